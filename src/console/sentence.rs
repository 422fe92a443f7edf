//! One sentence about a run that ended, for the notice and the log.

use super::model::{Tone, name_of};
use crate::{
    report::{RunOutcome, RunReport, StepOutcome, SyncReport},
    text,
};

/// How the run called `name` ended.
pub(super) fn end(name: &str, report: &SyncReport) -> (Tone, String) {
    end_after(name, "", report)
}

/// The same for a run that ended `after` something, such as ` after the line had dropped`.
fn end_after(name: &str, after: &str, report: &SyncReport) -> (Tone, String) {
    let run = &report.run;
    let took = run.duration_ms.map(text::duration).unwrap_or_default();
    let count = |outcome| {
        let count = report.entities.iter().filter(|step| step.outcome == Some(outcome)).count();
        text::count(u64::try_from(count).unwrap_or_default(), "entity", "entities")
    };
    match (run.outcome, run.error.as_deref()) {
        (Some(RunOutcome::Published), Some(left)) => {
            let published = count(StepOutcome::Published);
            (Tone::Bad, format!("{name} published {published} in {took}{after}, not all: {left}"))
        }
        (Some(RunOutcome::Published), None) => {
            (Tone::Good, format!("{name} published {} in {took}{after}", count(StepOutcome::Published)))
        }
        (Some(RunOutcome::Unchanged), _) => {
            (Tone::Good, format!("{name}{after}: the source sent what is live already; nothing was switched"))
        }
        (Some(RunOutcome::Prepared), left) => {
            let left = left.map_or_else(String::new, |left| format!("; not all: {left}"));
            let ready = count(StepOutcome::Ready);
            (Tone::Good, format!("{name} is prepared{after}, {ready} would change - p shows and publishes it{left}"))
        }
        (Some(RunOutcome::Held), error) => {
            let error = error.unwrap_or("nothing was switched");
            (Tone::Bad, format!("{name} is held{after} - p shows it: {error}"))
        }
        (outcome, error) => {
            let word = outcome.map_or("ended", RunOutcome::word);
            (Tone::Bad, format!("{name} {word}{after}: {}", error.unwrap_or("nothing was switched")))
        }
    }
}

/// The process of the run called `name` died.
pub(super) fn died(name: &str) -> String {
    format!("{name} died; nothing of it was switched")
}

/// How a run ended that nobody saw end.
pub(super) fn untold(report: &RunReport) -> (Tone, String) {
    let run = report.run.clone();
    if run.outcome == Some(RunOutcome::Interrupted) {
        let name = name_of(run.id, &run.asker());
        return (Tone::Bad, format!("{name} was interrupted: its process died; nothing was switched"));
    }
    let name = format!("run {}", run.id);
    let after = match run.operator_gone_at {
        Some(_) => format!(" after the line of {} had dropped", text::clean(&run.operator.to_string())),
        None => String::new(),
    };
    let (entities, guards, left_alone) = (report.entities.clone(), report.guards.clone(), Vec::new());
    end_after(&name, &after, &SyncReport { run, entities, guards, hold: None, left_alone })
}

/// How several runs ended that nobody saw end, newest first: the newest one, and the numbers of the others.
pub(super) fn untold_together(reports: &[RunReport]) -> Option<(Tone, String)> {
    let (newest, others) = reports.split_first()?;
    let (tone, sentence) = untold(newest);
    let numbers: Vec<_> = others.iter().map(|report| report.run.id.to_string()).collect();
    Some(match numbers.as_slice() {
        [] => (tone, sentence),
        [one] => (tone, format!("{sentence}; run {one} ended, too, see the log")),
        several => (tone, format!("{sentence}; runs {} ended, too, see the log", several.join(", "))),
    })
}
