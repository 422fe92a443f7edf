//! `sync`: a full sync, here and now.

use clap::Args;
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{
    Context,
    exit::{CliError, ExitStatus},
    output::{Layout, Output},
    progress::{DRAW_INTERVAL, Progress},
    signal::{Signal, Signals},
    table::{Column, Table, change, left, right, version},
};
use crate::{
    ops::{OperationError, Operations, SyncOptions},
    report::{RunOutcome, RunSummary, StepOutcome, StepReport, SyncReport, Trigger},
    text,
};

/// What has to be said of every run that did not publish.
const NOTHING_SWITCHED: &str = "nothing was switched";

/// Arguments of `sync`.
#[derive(Args, Clone, Copy, Debug)]
#[command(after_help = "\
Examples:
  greenroom sync --source-url https://blue.example.com --database-url green.db
  greenroom sync --json | jq .run.outcome
  greenroom sync --json-lines

All ten entities are published together or none. SIGINT, SIGTERM and SIGHUP cancel the run; what is live then stays.
Exit status: 0 published or unchanged, 1 failed, 2 configuration, 4 another run goes on, 130/143/129 by signal.")]
pub struct SyncArguments {
    /// Load and publish also what the source sends unchanged
    #[arg(long)]
    pub force: bool,
    /// Print each event as a line of JSON on standard output, as it happens
    #[arg(long)]
    pub json_lines: bool,
}

/// Runs a sync from the source that is set.
pub(super) async fn run(context: &Context, arguments: &SyncArguments) -> Result<ExitStatus, CliError> {
    let output = &context.output;
    if output.is_json() && arguments.json_lines {
        return Err(CliError::JsonTwice);
    }
    let operations = context.settings.create()?;
    let progress = if arguments.json_lines {
        Progress::JsonLines(None)
    } else if output.is_json() || context.settings.verbose > 0 {
        // The log tells of the same events.
        Progress::Quiet
    } else {
        Progress::for_people(output)
    };
    perform(output, &operations, arguments.force, progress).await
}

/// Runs a sync with `operations`, tells `progress` of it, and prints the report.
pub(super) async fn perform(
    output: &Output,
    operations: &Operations,
    force: bool,
    mut progress: Progress,
) -> Result<ExitStatus, CliError> {
    let cancel = CancellationToken::new();
    let mut signals = Signals::cancel(&cancel)?;
    let (sender, mut events) = mpsc::unbounded_channel();
    // A task of its own, so that a terminal or pipe that takes no more does not hold up the run.
    let operations_of_run = operations.clone();
    let mut run = tokio::spawn(async move {
        operations_of_run.sync(SyncOptions { force, ..SyncOptions::full(Trigger::Cli) }, sender, cancel).await
    });
    let mut draws = tokio::time::interval(DRAW_INTERVAL);
    draws.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told_of_signal = false;
    let result = loop {
        tokio::select! {
            biased;
            Some(record) = events.recv() => progress.take(output, &record),
            signal = signals.next() => {
                if signal == Signal::Hangup {
                    progress.abandon();
                }
                progress.note(output, &ending(signal, told_of_signal));
                told_of_signal = true;
            }
            result = &mut run => break result,
            _ = draws.tick(), if progress.is_drawn() => progress.draw(output),
        }
    };
    while let Ok(record) = events.try_recv() {
        progress.take(output, &record);
    }
    let is_stream = matches!(progress, Progress::JsonLines(_));
    let told = progress.end();
    let report = result.map_err(|_| OperationError::Panicked)??;
    let status = ExitStatus::of_run(report.run.outcome, signals.first());
    if (output.is_json() || is_stream) && status != ExitStatus::Done {
        output.note(&format!("greenroom: {}", summary(&report)));
    }
    let told = told.and_then(|()| {
        if is_stream {
            Ok(())
        } else {
            output.report(&report, operations.clock().now(), |layout| render(&report, layout))
        }
    });
    match told {
        // The run is what was asked for; that its report found no reader is not worth another status.
        Err(error) if status == ExitStatus::Done && !error.is_broken_pipe() => Err(error),
        _ => Ok(status),
    }
}

fn ending(signal: Signal, told_before: bool) -> String {
    let name = signal.name();
    if told_before {
        format!("greenroom: {name}: the run is ending already; it is brought to a safe end, please wait")
    } else {
        format!("greenroom: {name}: cancelling the run, which is brought to a safe end")
    }
}

const COLUMNS: [Column; 9] = [
    left("entity"),
    left("outcome"),
    right("records"),
    right("rows"),
    right("change"),
    right("quarantined").or("quar."),
    right("duplicates").or("dup."),
    right("attempts").or("try"),
    left("active/backup").or("a/b"),
];

/// The report as text.
fn render(report: &SyncReport, layout: &Layout) -> String {
    let sentences = failures(&report.entities);
    let end =
        if sentences.is_empty() { summary(report) } else { format!("{}; {NOTHING_SWITCHED}", ended(&report.run)) };
    format!("{}{sentences}{end}\n", steps(&report.entities, layout))
}

/// Steps as a table.
pub(super) fn steps(steps: &[StepReport], layout: &Layout) -> String {
    let mut table = Table::new(&COLUMNS);
    for step in steps {
        table.row([
            step.entity.to_string(),
            step.outcome.map_or_else(|| "-".to_owned(), |outcome| outcome.to_string()),
            text::thousands(step.records),
            text::thousands(step.rows),
            change(step.diff),
            text::thousands(step.quarantined),
            text::thousands(step.duplicates),
            step.attempts.to_string(),
            format!("{}/{}", version(step.active_version), version(step.backup_version)),
        ]);
    }
    table.render(layout)
}

/// A line for each step that failed.
pub(super) fn failures(steps: &[StepReport]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for step in steps.iter().filter(|step| step.outcome == Some(StepOutcome::Failed)) {
        let error = text::clean(step.error.as_deref().unwrap_or("no reason given"));
        // Failures of an endpoint name it, once for all of its entities.
        let endpoint = step.entity.endpoint();
        let names_it = error.strip_prefix(endpoint.key()).is_some_and(|rest| rest.starts_with([':', ' ']));
        let line = if names_it { format!("{error}\n") } else { format!("{}: {error}\n", step.entity) };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.concat()
}

/// The run in one line.
fn summary(report: &SyncReport) -> String {
    let run = &report.run;
    let line = match run.outcome {
        Some(RunOutcome::Published) => {
            let switched = report.entities.iter().filter(|step| step.outcome == Some(StepOutcome::Published)).count();
            let switched = text::count(switched as u64, "entity", "entities");
            let publication = run.publication.map(|id| format!(", publication {id}")).unwrap_or_default();
            format!("{}: {switched} switched{publication}", ended(run))
        }
        Some(RunOutcome::Unchanged) => format!("{}: the source sent what is live already", ended(run)),
        _ => {
            let error = run.error.as_deref().unwrap_or("no reason given");
            let nothing =
                if error.contains(NOTHING_SWITCHED) { String::new() } else { format!("; {NOTHING_SWITCHED}") };
            format!("{}: {error}{nothing}", ended(run))
        }
    };
    text::clean(&line).into_owned()
}

/// How a run ended and after what time.
fn ended(run: &RunSummary) -> String {
    let took = run.duration_ms.map(|took| format!(" after {}", text::duration(took))).unwrap_or_default();
    format!("run {} {}{took}", run.id, outcome(run))
}

/// How a run ended, or that it did not.
pub(super) fn outcome(run: &RunSummary) -> &'static str {
    run.outcome.map_or("not ended", RunOutcome::word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        entity::Entity,
        report::{DiffCounts, Operator},
    };

    fn step(entity: Entity, outcome: StepOutcome) -> StepReport {
        StepReport {
            entity,
            outcome: Some(outcome),
            attempts: 1,
            bytes: 18_211,
            records: 1240,
            rows: 1237,
            rows_before: 1200,
            quarantined: 2,
            duplicates: 1,
            notes: 0,
            diff: Some(DiffCounts { added: 40, removed: 3, changed: 7 }),
            active_version: 2,
            backup_version: 1,
            snapshot: Some(3),
            error: None,
        }
    }

    fn report(outcome: RunOutcome, entities: Vec<StepReport>) -> SyncReport {
        let run = RunSummary {
            id: 7,
            trigger: Trigger::Cli,
            outcome: Some(outcome),
            started_at: jiff::Timestamp::UNIX_EPOCH,
            finished_at: None,
            duration_ms: Some(812),
            operator: Operator { user: "ana".into(), host: "box".into(), pid: 1 },
            source: "http://blue".into(),
            publication: (outcome == RunOutcome::Published).then_some(3),
            scope: None,
            dry_run: false,
            replay_of: None,
            error: (outcome == RunOutcome::Failed).then(|| "boards: HTTP status 500 after 3 attempts\u{1b}[2J".into()),
        };
        SyncReport { run, entities, guards: Vec::new(), hold: None, left_alone: Vec::new() }
    }

    #[test]
    fn a_published_run_is_a_table_and_a_line() {
        let unchanged =
            StepReport { diff: Some(DiffCounts::default()), ..step(Entity::Boards, StepOutcome::Unchanged) };
        let report = report(RunOutcome::Published, vec![step(Entity::Talents, StepOutcome::Published), unchanged]);
        assert_eq!(
            render(&report, &Layout::unlimited(jiff::Timestamp::UNIX_EPOCH)),
            "\
entity   outcome    records   rows     change  quarantined  duplicates  attempts  active/backup
talents  published    1,240  1,237  +40 -3 ~7            2           1         1  v2/v1
boards   unchanged    1,240  1,237       none            2           1         1  v2/v1
run 7 published after 812 ms: 1 entity switched, publication 3
"
        );
    }

    #[test]
    fn a_failed_run_says_why_and_fits_a_terminal() {
        let error = Some("HTTP status 500\nafter 3 attempts".to_owned());
        let mut failed = step(Entity::MediaTagsJunction, StepOutcome::Failed);
        failed.error.clone_from(&error);
        let report = report(RunOutcome::Failed, vec![step(Entity::Talents, StepOutcome::Skipped), failed]);
        let layout = Layout { width: Some(80), ..Layout::unlimited(jiff::Timestamp::UNIX_EPOCH) };
        let text = render(&report, &layout);
        assert!(text.contains("mediatags_junction: HTTP status 500\\nafter 3 attempts\n"), "{text}");
        assert!(text.ends_with("\nrun 7 failed after 812 ms; nothing was switched\n"), "{text}");
        assert!(
            summary(&report)
                .ends_with("812 ms: boards: HTTP status 500 after 3 attempts\\x1b[2J; nothing was switched")
        );
        assert!(text.lines().take(3).all(|line| line.len() <= 80), "{text}");
    }

    #[test]
    fn later_signals_say_that_it_ends_already() {
        assert!(ending(Signal::Interrupt, false).contains("SIGINT: cancelling"));
        assert!(ending(Signal::Interrupt, true).contains("ending already"));
    }
}
