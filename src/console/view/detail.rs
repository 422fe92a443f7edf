//! Details of the chosen entity: what is live, snapshots, last steps, quarantine.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{
    super::{cell, model::Model},
    fit, wrap,
};
use crate::{
    report::{EntityDetail, StepOutcome},
    sync::StepState,
    text,
};

/// Draws the part of the detail that fits.
pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let lines = lines(model, area.width);
    let scroll = model.detail_scroll.min(lines.len().saturating_sub(usize::from(area.height)));
    let shown: Vec<_> = lines.into_iter().skip(scroll).take(usize::from(area.height)).collect();
    frame.render_widget(Paragraph::new(shown), area);
}

/// All lines of the detail, none wider than `width`.
#[must_use]
pub fn lines(model: &Model, width: u16) -> Vec<Line<'static>> {
    let width = usize::from(width);
    let theme = model.theme;
    let mut lines = Vec::new();
    if let Some(step) = model.run.as_ref().and_then(|run| run.step(model.selected)) {
        step_lines(model, step, width, &mut lines);
    }
    if let Some(status) =
        model.status.as_ref().and_then(|status| status.entities.iter().find(|one| one.entity == model.selected))
    {
        let live = match status.published_at {
            Some(at) => {
                let run = status.run_id.map_or_else(String::new, |run| format!(" by run {run}"));
                let checked =
                    status.checked_at.map_or_else(String::new, |at| format!(", source checked {}", cell::date(at)));
                format!(
                    "live: version {}, {} rows, published {}{run}{checked}",
                    status.active_version,
                    text::thousands(status.active_rows),
                    cell::date(at)
                )
            }
            None => "live: nothing was published yet".to_owned(),
        };
        lines.extend(wrap(&live, width).into_iter().map(Line::raw));
    }
    let Some((_, detail)) = model.detail.as_ref().filter(|(entity, _)| *entity == model.selected) else {
        return lines;
    };
    snapshot_lines(model, detail, width, &mut lines);
    past_lines(model, detail, width, &mut lines);
    let title = format!(
        "quarantine: {}",
        if detail.quarantine.is_empty() { "empty" } else { "records that became no row, and values left out" }
    );
    lines.push(Line::styled(fit(&title, width, theme), theme.strong()));
    for kept in &detail.quarantine {
        let column = kept.column.as_ref().map_or_else(String::new, |column| format!("{column}: "));
        let place = format!("  #{} ", kept.position);
        let reason = format!("{column}{} ", text::clean(&kept.reason));
        let record = text::clean(&kept.record).into_owned();
        let style = if kept.column.is_some() { theme.dim() } else { theme.warning() };
        let room = width.saturating_sub(place.len());
        let reason = fit(&reason, room, theme);
        let record = fit(&record, room.saturating_sub(unicode_width::UnicodeWidthStr::width(reason.as_str())), theme);
        lines.push(Line::from(vec![Span::raw(place), Span::styled(reason, style), Span::styled(record, theme.dim())]));
    }
    lines
}

/// Where the entity is in our run, and what went wrong.
fn step_lines(model: &Model, step: &StepState, width: usize, lines: &mut Vec<Line<'static>>) {
    let theme = model.theme;
    if let Some(error) = &step.error {
        lines.extend(wrap(&text::clean(error), width).into_iter().map(|line| Line::styled(line, theme.bad())));
    }
    let figures = format!(
        "{}: {} bytes, {} records = {} rows + {} duplicates + {} quarantined; {} values noted",
        step.stage,
        text::thousands(step.bytes),
        text::thousands(step.records),
        text::thousands(step.rows),
        text::thousands(step.duplicates),
        text::thousands(step.quarantined),
        text::thousands(step.notes)
    );
    if step.rows + step.quarantined + step.duplicates > 0 {
        lines.extend(wrap(&figures, width).into_iter().map(Line::raw));
    }
    for record in model.events.iter().filter(|record| record.event.concerns(model.selected)).rev().take(8) {
        let style = if record.event.is_failure() { theme.bad() } else { theme.dim() };
        let text = format!("{} {}", cell::clock(record.at), text::clean(&record.event.to_string()));
        lines.push(Line::styled(fit(&text, width, theme), style));
    }
}

fn snapshot_lines(model: &Model, detail: &EntityDetail, width: usize, lines: &mut Vec<Line<'static>>) {
    let theme = model.theme;
    let title = format!("snapshots of {}: {}", model.selected.endpoint(), detail.snapshots.len());
    lines.push(Line::styled(fit(&title, width, theme), theme.strong()));
    for snapshot in &detail.snapshots {
        let used = if snapshot.in_use { "  in use" } else { "" };
        let text = format!(
            "  {:>4}  {}  {:>5}B  {:>7} records  {}{used}",
            snapshot.id,
            cell::date(snapshot.fetched_at),
            cell::compact(snapshot.bytes),
            text::thousands(snapshot.records),
            snapshot.hash.chars().take(12).collect::<String>()
        );
        lines.push(Line::raw(fit(&text, width, theme)));
    }
}

fn past_lines(model: &Model, detail: &EntityDetail, width: usize, lines: &mut Vec<Line<'static>>) {
    let theme = model.theme;
    lines.push(Line::styled("last steps", theme.strong()));
    for past in &detail.steps {
        let step = &past.step;
        let outcome = step.outcome.map_or("", StepOutcome::word);
        let change = step.diff.map_or_else(String::new, |diff| cell::change(diff, 20));
        let figures = match step.outcome {
            Some(StepOutcome::Published | StepOutcome::Ready) => format!(
                "{} records, {} rows, {} duplicates, {} quarantined  {change}",
                text::thousands(step.records),
                text::thousands(step.rows),
                text::thousands(step.duplicates),
                text::thousands(step.quarantined)
            ),
            _ => step.error.as_deref().map(text::clean).unwrap_or_default().into_owned(),
        };
        let text = format!("  run {:<4} {} {outcome:<9} {figures}", past.run.id, cell::clock(past.run.started_at));
        let style = if step.outcome == Some(StepOutcome::Failed) { theme.bad() } else { ratatui::style::Style::new() };
        lines.push(Line::styled(fit(&text, width, theme), style));
    }
}
