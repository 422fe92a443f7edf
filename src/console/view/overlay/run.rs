//! One run in full.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::{Content, keys, wrapped};
use crate::{
    console::{
        action::can_go_back_to,
        cell,
        model::{Model, is_publishable},
        view::{fit, runs::outcome_style},
    },
    report::{RunOutcome, RunReport, RunSummary, StepOutcome},
    text,
};

/// The run: how it ended and why, its steps, requests and quarantine.
pub(super) fn content(model: &Model, report: &RunReport, width: usize) -> Content<'static> {
    let mut content = Content::list(format!("Run {}", report.run.id), lines(model, report, width));
    let run = &report.run;
    let mut hints = Vec::new();
    if model.in_the_way().is_none() && is_publishable(run.outcome, run.replay) {
        hints.push(("p", "publish"));
    }
    if model.in_the_way().is_none() && can_go_back_to(run) {
        hints.push(("b", "go back to it"));
    }
    hints.extend([("d", "diff to live"), ("Esc", "close")]);
    content.below = vec![keys(model.theme, &hints)];
    content
}

/// What it was about, where that was not everything from the source.
fn about(run: &RunSummary) -> Vec<String> {
    let mut about = Vec::new();
    if run.requested_by.is_some() {
        about.push(text::clean(&format!("in process {} of {}", run.operator.pid, run.operator)).into_owned());
    }
    if run.dry_run {
        about.push("dry run: it was to publish nothing".to_owned());
    }
    if let Some(of) = run.replay_of {
        about.push(format!("replay of run {of}, from its snapshots"));
    }
    if let Some(scope) = &run.scope {
        let names: Vec<_> = scope.iter().map(|entity| entity.name()).collect();
        about.push(format!("only {}", names.join(", ")));
    }
    if let Some(publication) = run.publication {
        about.push(format!("publication {publication}"));
    }
    about
}

/// What started it, and at whose word: `console by ana@box`, `http 10.0.0.7`.
fn by(run: &RunSummary) -> String {
    if run.requested_by.is_some() { run.asker() } else { format!("{} by {}", run.trigger, run.operator) }
}

fn lines(model: &Model, report: &RunReport, width: usize) -> Vec<Line<'static>> {
    let theme = model.theme;
    let run = &report.run;
    let outcome = run.outcome.map_or("going on", RunOutcome::word);
    let took = run.duration_ms.map(text::duration).unwrap_or_default();
    let rest = format!(" {} UTC, {took}, {}", cell::date(run.started_at), text::clean(&by(run)));
    let rest = fit(&rest, width.saturating_sub(outcome.len()), theme);
    let mut lines = vec![Line::from(vec![Span::styled(outcome, outcome_style(run.outcome, theme)), Span::raw(rest)])];
    for about in about(run) {
        lines.extend(wrapped(&about, width, Style::new()));
    }
    for finding in &report.guards {
        let style = if finding.accepted { Style::new() } else { theme.warning() };
        lines.extend(wrapped(&format!("! {}", text::clean(&finding.to_string())), width, style));
    }
    // A run that guards held says the same again in its error.
    let told = report.guards.iter().any(|finding| !finding.accepted) && run.outcome == Some(RunOutcome::Held);
    if let (false, Some(error)) = (told, &run.error) {
        let not_all = if run.outcome == Some(RunOutcome::Published) { "published in part only: " } else { "" };
        lines.extend(wrapped(&format!("{not_all}{}", text::clean(error)), width, theme.bad()));
    }
    let heading = format!("steps{:>34}{:>8}{:>6}{:>6}{:>4}  change", "records", "rows", "dup", "quar", "try");
    lines.push(Line::styled(fit(&heading, width, theme), theme.strong()));
    for step in &report.entities {
        let outcome = step.outcome.map_or("", StepOutcome::word);
        let change = step.diff.map_or_else(String::new, |diff| cell::change(diff, 16));
        let text = format!(
            "  {:<20}{outcome:<10}{:>7}{:>8}{:>6}{:>6}{:>4}  {change}",
            step.entity,
            cell::count_within(step.records, 7),
            cell::count_within(step.rows, 7),
            cell::count_within(step.duplicates, 5),
            cell::count_within(step.quarantined, 5),
            step.attempts
        );
        let style = if step.outcome == Some(StepOutcome::Failed) { theme.bad() } else { Style::new() };
        lines.push(Line::styled(fit(&text, width, theme), style));
        if let Some(error) = &step.error {
            let error = format!("    {}", text::clean(error));
            lines.extend(wrapped(&error, width, theme.bad()));
        }
    }
    lines.push(Line::styled("requests", theme.strong()));
    for attempt in &report.attempts {
        let status = attempt.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        let error = attempt.error.as_deref().map(text::clean).unwrap_or_default();
        let text = format!(
            "  {} {:<20} {} {status:>4} {:>6}B {error}",
            cell::clock(attempt.finished_at),
            attempt.endpoint,
            attempt.attempt,
            cell::compact(attempt.bytes)
        );
        let style = if attempt.error.is_some() { theme.bad() } else { Style::new() };
        lines.push(Line::styled(fit(&text, width, theme), style));
    }
    lines.push(Line::styled(format!("quarantine and notes: {}", report.quarantine.len()), theme.strong()));
    for kept in &report.quarantine {
        let column = kept.column.as_ref().map_or_else(String::new, |column| format!("{column}: "));
        let reason = text::clean(&kept.reason);
        let record = text::clean(&kept.record);
        let text = format!("  {} #{} {column}{reason} {record}", kept.endpoint, kept.position);
        lines.extend(wrapped(&text, width, Style::new()));
    }
    lines
}
