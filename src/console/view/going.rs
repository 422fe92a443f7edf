//! The line of the run that goes on: how far it is, whose it is when it is not ours, and what is the matter with it.

use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::{super::model::Model, fit};
use crate::{
    console::{
        cell,
        model::{OtherRun, OwnRun, name_of},
        theme::Theme,
    },
    sync::{RunState, Stage},
    text,
};

/// Stages in the order in which they want attention, should the line be short.
const STAGES: [Stage; 6] =
    [Stage::Failed, Stage::Retrying, Stage::Fetching, Stage::Loading, Stage::Ready, Stage::Waiting];

/// ` run 7 of ben@box [####......] 62 %  4.1 s  3 fetching 2 loading`
pub(super) fn line(model: &Model, run: &RunState, width: u16) -> Line<'static> {
    let theme = model.theme;
    let other = model.other.as_ref().filter(|other| other.run == run.run);
    let name = match other {
        Some(other) => {
            let room = usize::from(width) * 3 / 10;
            let name = other.name();
            if name.width() <= room { name } else { fit(&name_of(run.run, &other.short_asker), room, theme) }
        }
        None => format!("run {}", run.run),
    };
    let mut spans = vec![Span::styled(format!(" {name} "), theme.strong())];
    if let Some(other) = other
        && let Some(since) = other.silent_since
    {
        spans.push(Span::styled("does not answer", theme.bad()));
        spans.push(Span::styled(remedy(model, other), theme.warning()));
        spans.push(Span::raw(format!(" (since {})", cell::clock(since))));
        return Line::from(spans);
    }
    let bar: u8 = if width < 100 { 10 } else { 20 };
    let progress = run.progress();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the bar")]
    let filled = usize::from(((progress * f64::from(bar)) as u8).min(bar));
    let (full, empty) = theme.bar();
    let elapsed = model.now.time.as_millisecond() - run.started_at.as_millisecond();
    spans.extend([
        Span::styled(full.repeat(filled), theme.active()),
        Span::styled(empty.repeat(usize::from(bar) - filled), theme.dim()),
        Span::raw(format!(" {:3.0} % {:>7} ", progress * 100.0, text::duration(elapsed.max(0) / 1000 * 1000))),
    ]);
    let is_asked = other.is_some_and(|other| other.asked) || (other.is_none() && model.own_run == OwnRun::Cancelling);
    if is_asked || run.cancel_asked_by.is_some() {
        spans.push(Span::styled(" cancelling", theme.warning()));
        if let Some(by) = &run.cancel_asked_by {
            spans.push(Span::styled(format!(", asked by {}", text::clean(&by.to_string())), theme.warning()));
        }
        return Line::from(spans);
    }
    if run.operator_gone_at.is_some() {
        spans.push(Span::styled(" its operator's line dropped", theme.warning()));
    }
    spans.extend(stages(run, theme));
    Line::from(spans)
}

/// What can be done about a run that does not answer.
fn remedy(model: &Model, other: &OtherRun) -> String {
    match (model.is_here(&other.operator), other.asked) {
        (true, _) => "; x ends it by force".to_owned(),
        (false, false) => "; x bars its publish".to_owned(),
        (false, true) => "; greenroom cancel --force there".to_owned(),
    }
}

/// How many entities are in each stage that says something.
pub(super) fn stages(run: &RunState, theme: Theme) -> Vec<Span<'static>> {
    let count = |stage| run.steps.iter().filter(|step| step.stage == stage).count();
    let counts = STAGES.map(|stage| (stage, count(stage)));
    let shown = counts.into_iter().filter(|(_, count)| *count > 0);
    shown.map(|(stage, count)| Span::styled(format!(" {count} {stage}"), theme.stage(stage))).collect()
}
