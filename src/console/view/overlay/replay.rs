//! Whether to publish a held run or to go back to an older one: what changes, and what guards found.

use ratatui::{style::Style, text::Line};

use super::{Content, Middle, answers, wrapped};
use crate::{
    console::{cell, model::Model, overlay::ReplayQuestion, view::fit},
    report::{Replay, StepOutcome, StepReport},
    text,
};

/// The question with its figures.
pub(super) fn content(model: &Model, question: &ReplayQuestion, width: usize) -> Content<'static> {
    let theme = model.theme;
    let run = question.run;
    let title = match question.replay {
        Replay::Publish => format!("Publish run {run}"),
        Replay::Rollback => format!("Go back to run {run}"),
    };
    let mut content = Content::question(title);
    content.above.extend(wrapped(&text::clean(&facts(model, question)), width, Style::new()));
    let findings = question.guards.len();
    if findings == 0 {
        content.above.push(Line::raw("No guard tripped."));
    } else {
        let count = text::count(u64::try_from(findings).unwrap_or_default(), "finding", "findings");
        let first = format!("Guards tripped; Y accepts exactly this ({count}):");
        content.above.extend(wrapped(&first, width, theme.warning()));
    }
    let mut lines = Vec::new();
    for finding in &question.guards {
        let sentence = format!("! {} guard, {}: {}", finding.guard, finding.entity, text::clean(&finding.message));
        lines.extend(wrapped(&sentence, width, theme.warning()));
    }
    let heading = format!("{:<20}{:>23}  change for visitors", "entity", "rows");
    lines.push(Line::styled(fit(&heading, width, theme), theme.dim()));
    lines.extend(question.changing().map(|step| step_line(model, step, width)));
    let unchanged = |step: &&StepReport| step.outcome == Some(StepOutcome::Unchanged);
    let same = question.entities.iter().filter(unchanged).count();
    if same > 0 {
        let same =
            text::count(u64::try_from(same).unwrap_or_default(), "other stays as it is", "others stay as they are");
        lines.push(Line::styled(same, theme.dim()));
    }
    let failed = question.entities.iter().filter(|step| step.outcome == Some(StepOutcome::Failed));
    let failed: Vec<_> = failed.map(|step| step.entity.name()).collect();
    if !failed.is_empty() {
        let left = format!("left behind, as their endpoint had failed: {}", failed.join(", "));
        lines.extend(wrapped(&left, width, theme.warning()));
    }
    content.middle = Middle::Lines(lines);
    content.below.extend(wrapped(&hold_sentence(question), width, Style::new()));
    let toggle: &[_] = match (question.replay, question.hold.is_some(), question.set_hold) {
        (Replay::Rollback, false, true) => &[("d", "diff"), ("n", "no hold")],
        (Replay::Rollback, false, false) => &[("d", "diff"), ("n", "with hold")],
        _ => &[("d", "diff")],
    };
    let yes = match (question.replay, findings) {
        (Replay::Rollback, 0) => "go back",
        (Replay::Publish, 0) => "publish",
        (Replay::Rollback, _) => "accept",
        (Replay::Publish, _) => "accept, publish",
    };
    content.below.push(answers(theme, yes, toggle));
    content
}

fn facts(model: &Model, question: &ReplayQuestion) -> String {
    let figures = &question.figures;
    let outcome = figures.outcome.map_or_else(String::new, |outcome| format!(", {outcome}"));
    let at = cell::date(figures.started_at);
    let age = cell::age(figures.started_at, model.now.time);
    match (question.replay, figures.replay_of) {
        (Replay::Rollback, _) => format!(
            "What was live after run {} is made live again from its snapshots. These are the figures of dry run {}.",
            question.run, figures.id
        ),
        (Replay::Publish, Some(of)) => {
            format!("Run {} is run {of} prepared again {age} ago, by what is live now{outcome}.", figures.id)
        }
        (Replay::Publish, None) => {
            format!(
                "Run {} of {at} UTC ({age} ago, by {}){outcome}. Nothing was published since.",
                figures.id, figures.operator
            )
        }
    }
}

fn step_line(model: &Model, step: &StepReport, width: usize) -> Line<'static> {
    let rows = format!("{} > {}", text::thousands(step.rows_before), text::thousands(step.rows));
    let room = width.saturating_sub(45).max(6);
    let change = step.diff.map_or_else(|| "all of it is new".to_owned(), |diff| cell::change(diff, room));
    let text = format!("{:<20}{rows:>23}  {change}", step.entity);
    Line::raw(fit(&text, width, model.theme))
}

fn hold_sentence(question: &ReplayQuestion) -> String {
    let hold = question.hold.as_ref().map(|hold| text::clean(&hold.to_string()).into_owned());
    match (question.replay, hold) {
        (Replay::Publish, Some(hold)) => format!("It is {hold}. Y releases the hold as well."),
        (Replay::Publish, None) => "No hold is set. r takes the publication back.".to_owned(),
        (Replay::Rollback, Some(_)) => "The hold stays set. r takes the publication back.".to_owned(),
        (Replay::Rollback, None) if question.set_hold => {
            "The hold is set, or the next run would publish again what is taken back.".to_owned()
        }
        (Replay::Rollback, None) => {
            "The hold is not set: the next run may publish again what is taken back.".to_owned()
        }
    }
}
