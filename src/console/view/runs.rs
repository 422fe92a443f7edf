//! Past runs, newest first.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{
    super::{
        cell,
        model::{Model, Pane},
        theme::Theme,
    },
    fit,
};
use crate::{
    entity::Entity,
    report::{RunOutcome, RunSummary},
    text,
};

/// Draws the runs around the chosen one.
pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let height = usize::from(area.height);
    let first = (model.selected_run + 1).saturating_sub(height);
    let shown = model.runs.iter().enumerate().skip(first).take(height);
    let lines: Vec<_> = shown
        .map(|(place, run)| {
            let line = line(model, run, usize::from(area.width));
            let chosen = place == model.selected_run && model.focus == Pane::Runs;
            if chosen { line.style(model.theme.selected()) } else { line }
        })
        .collect();
    let lines = if lines.is_empty() { vec![Line::styled("no run yet", model.theme.dim())] } else { lines };
    frame.render_widget(Paragraph::new(lines), area);
}

/// The style of an outcome's word.
pub(super) fn outcome_style(outcome: Option<RunOutcome>, theme: Theme) -> Style {
    match outcome {
        Some(RunOutcome::Published) => theme.good(),
        Some(RunOutcome::Unchanged | RunOutcome::Prepared) => Style::new(),
        Some(RunOutcome::Cancelled | RunOutcome::Held) => theme.warning(),
        Some(RunOutcome::Failed | RunOutcome::Interrupted) => theme.bad(),
        None => theme.active(),
    }
}

fn line(model: &Model, run: &RunSummary, width: usize) -> Line<'static> {
    let theme = model.theme;
    let outcome = run.outcome.map_or("going on", RunOutcome::word);
    let took = run.duration_ms.map(text::duration).unwrap_or_default();
    let date = cell::date(run.started_at);
    let date = if width < 70 { &date[5..16] } else { date.as_str() };
    let start = format!("{:>5} {date} ", run.id);
    let word = format!("{outcome:<12}");
    let error = run.error.as_deref().map(|error| format!("  {}", text::clean(error))).unwrap_or_default();
    let by = run.requested_by.clone().unwrap_or_else(|| run.operator.to_string());
    let rest = format!("{took:>8}  {} {}{error}", kind(run), text::clean(&by));
    let rest = fit(&rest, width.saturating_sub(start.len() + word.len()), theme);
    Line::from(vec![Span::raw(start), Span::styled(word, outcome_style(run.outcome, theme)), Span::raw(rest)])
}

/// What started it, and what it was about where that was not everything from the source.
fn kind(run: &RunSummary) -> String {
    let dry = if run.dry_run { "dry " } else { "" };
    let of = run.replay_of.map_or_else(String::new, |of| format!(" of {of}"));
    let about = run.scope.as_ref().filter(|_| run.replay_of.is_none());
    let about = about.map_or_else(String::new, |scope| format!(" {}/{}", scope.len(), Entity::ALL.len()));
    format!("{dry}{}{of}{about}", run.trigger)
}
