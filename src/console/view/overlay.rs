//! What lies on top: help, questions with their figures, one run in full.

use ratatui::{
    Frame,
    layout::{Constraint, Rect, Size},
    style::Style,
    text::{Line, Span},
    widgets::{Block, Clear, Padding, Paragraph},
};

use super::{
    super::{
        action::{ACTIONS, Group},
        cell,
        model::Model,
        overlay::Overlay,
        update::describe_plan,
    },
    fit, wrap,
};
use crate::{
    report::{CleanupReport, DiffCounts, RollbackPlan, RunOutcome, RunReport, StepOutcome},
    text,
};

/// Columns that the frame of an overlay takes.
const FRAME: u16 = 4;

/// What an overlay shows. Between what always stands above and below, the lines in the middle can be scrolled.
#[derive(Default)]
struct Content {
    title: String,
    above: Vec<Line<'static>>,
    middle: Vec<Line<'static>>,
    below: Vec<Line<'static>>,
    /// Whether it is a question.
    asks: bool,
}

impl Content {
    /// Rows of the middle on a screen of so many rows.
    fn room(&self, screen: u16) -> usize {
        usize::from(screen.saturating_sub(2)).saturating_sub(self.above.len() + self.below.len())
    }
}

/// Draws `overlay` in the middle.
pub(super) fn draw(model: &Model, overlay: &Overlay, frame: &mut Frame<'_>) {
    let screen = frame.area();
    let width = width(overlay, screen.as_size());
    let content = content(model, overlay, width);
    let room = content.room(screen.height);
    let last = content.middle.len().saturating_sub(room);
    let first = overlay.scroll().min(last);
    let Content { title, above, middle, below, asks } = content;
    let lines: Vec<_> = above.into_iter().chain(middle.into_iter().skip(first).take(room)).chain(below).collect();
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2).min(screen.height);
    let area = screen.centered(Constraint::Length(width + FRAME), Constraint::Length(height));
    let style = if asks { model.theme.warning() } else { model.theme.strong() };
    let block = Block::bordered().border_style(style).title(format!(" {title} ")).padding(Padding::horizontal(1));
    let inside = block.inner(area);
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    frame.render_widget(Paragraph::new(lines), inside);
    if last > first {
        let at = Rect::new(area.right().saturating_sub(20), area.bottom() - 1, 19, 1);
        frame.render_widget(Line::styled(format!(" {} more below ", last - first), style).right_aligned(), at);
    }
}

/// The furthest that the foremost overlay can be scrolled on a screen of `size`.
#[must_use]
pub fn last_scroll(model: &Model, size: Size) -> usize {
    let Some(overlay) = model.overlays.last() else { return 0 };
    let content = content(model, overlay, width(overlay, size));
    content.middle.len().saturating_sub(content.room(size.height))
}

fn width(overlay: &Overlay, screen: Size) -> u16 {
    let wanted = match overlay {
        Overlay::Run { .. } => 140,
        _ => 76,
    };
    screen.width.saturating_sub(FRAME).min(wanted)
}

fn content(model: &Model, overlay: &Overlay, width: u16) -> Content {
    let width = usize::from(width);
    let list = |title: String, middle| Content { title, middle, ..Content::default() };
    let question = |title: &str, below| Content { title: title.to_owned(), below, asks: true, ..Content::default() };
    match overlay {
        Overlay::Help { .. } => list("Keys".to_owned(), help(model, width)),
        Overlay::Rollback { plan, .. } => rollback(model, plan, width),
        Overlay::Cleanup { plan, typed, .. } => question("Clean up", cleanup(model, plan, typed, width)),
        Overlay::Quit { .. } => question("A run is going on", quit(model)),
        Overlay::Run { report, .. } => list(format!("Run {}", report.run.id), run(model, report, width)),
    }
}

fn help(model: &Model, width: usize) -> Vec<Line<'static>> {
    let theme = model.theme;
    let mut lines = Vec::new();
    for group in Group::ALL {
        lines.push(Line::styled(group.title(), theme.strong()));
        for action in ACTIONS.iter().filter(|action| action.group == group) {
            let keys: Vec<_> = action.keys.iter().map(|key| key.label()).collect();
            let keys = format!("  {:<16}", keys.join(" "));
            let text = match (action.enabled)(model) {
                Ok(()) => action.help.to_owned(),
                Err(reason) => format!("{} (not now: {reason})", action.help),
            };
            let mut first = true;
            for part in wrap(&text, width.saturating_sub(keys.len())) {
                let keys = if first { keys.clone() } else { " ".repeat(keys.len()) };
                first = false;
                lines.push(Line::from(vec![Span::styled(keys, theme.active()), Span::raw(part)]));
            }
        }
    }
    lines
}

fn rollback(model: &Model, plan: &RollbackPlan, width: usize) -> Content {
    let theme = model.theme;
    let mut content = Content { title: "Roll back".to_owned(), asks: true, ..Content::default() };
    let back = plan.backup_published_at.map(|at| {
        let age = cell::age(at, model.now.time);
        format!(" What comes back was published {} UTC, {age} ago.", cell::date(at))
    });
    let sentences = format!("{}{}", text::clean(&describe_plan(plan)), back.unwrap_or_default());
    content.above.extend(wrap(&sentences, width).into_iter().map(Line::raw));
    let heading = format!("{:<20}{:>5} {:>21} change for visitors", "entity", "from", "rows");
    content.above.push(Line::styled(fit(&heading, width, theme), theme.dim()));
    for switch in &plan.entities {
        let rows = format!("{} > {}", text::thousands(switch.rows_before), text::thousands(switch.rows_after));
        let room = width.saturating_sub(48).max(6);
        let change = switch.diff.map_or_else(|| "unknown".to_owned(), |diff| cell::change(diff, room));
        let versions = format!("v{}>v{}", switch.from_version, switch.to_version);
        let text = format!("{:<20}{versions} {rows:>21} {change}", switch.entity);
        let style = if switch.diff.is_some_and(DiffCounts::is_empty) { theme.dim() } else { Style::new() };
        content.middle.push(Line::styled(fit(&text, width, theme), style));
    }
    let note = "All of them switch in one transaction, or none; r again undoes it.";
    content.below.extend(wrap(note, width).into_iter().map(Line::raw));
    content.below.push(Line::from(vec![
        Span::styled(" Y ", theme.warning()),
        Span::raw("roll back    "),
        Span::styled(" any other key: No ", theme.selected()),
    ]));
    content
}

fn cleanup(model: &Model, plan: &CleanupReport, typed: &str, width: usize) -> Vec<Line<'static>> {
    let theme = model.theme;
    let mut lines = Vec::new();
    let bytes: u64 = plan.snapshots.iter().map(|snapshot| snapshot.bytes).sum();
    lines.push(Line::raw(format!(
        "{} snapshots beyond the kept ones ({}B)",
        plan.snapshots.len(),
        cell::compact(bytes)
    )));
    for snapshot in plan.snapshots.iter().take(5) {
        let text = format!("  {} {} of {}", snapshot.endpoint, snapshot.id, cell::date(snapshot.fetched_at));
        lines.push(Line::styled(fit(&text, width, theme), theme.dim()));
    }
    lines.push(Line::raw(format!("{} tables left behind by runs that did not end", plan.leftovers.len())));
    lines.push(Line::raw(format!("{} old runs with their journal", plan.runs)));
    let free = plan.bytes_before.saturating_sub(plan.bytes_after);
    lines.push(Line::raw(format!(
        "{}B of {}B on disk hold nothing and are given back",
        cell::compact(free),
        cell::compact(plan.bytes_before)
    )));
    lines.push(Line::raw(""));
    let note = "Live views, backups and the snapshots behind them stay. What is removed cannot be brought back.";
    lines.extend(wrap(note, width).into_iter().map(Line::raw));
    lines.push(Line::from(vec![
        Span::raw("Type "),
        Span::styled(Overlay::CLEANUP_WORD, theme.warning()),
        Span::raw(" and Enter: "),
        Span::styled(format!("{typed:<width$}", width = Overlay::CLEANUP_WORD.len()), theme.selected()),
        Span::raw("   Esc: No"),
    ]));
    lines
}

fn quit(model: &Model) -> Vec<Line<'static>> {
    let theme = model.theme;
    let choice = |key: &'static str, text: &'static str| {
        Line::from(vec![Span::styled(format!(" {key:<5}"), theme.warning()), Span::raw(text)])
    };
    vec![
        choice("w", "wait for its end, then quit"),
        choice("x", "cancel it, which leaves everything as it was, and quit"),
        Line::from(vec![Span::styled(" any other key: stay ", theme.selected())]),
    ]
}

fn run(model: &Model, report: &RunReport, width: usize) -> Vec<Line<'static>> {
    let theme = model.theme;
    let run = &report.run;
    let outcome = run.outcome.map_or("going on", RunOutcome::word);
    let took = run.duration_ms.map(text::duration).unwrap_or_default();
    let mut lines = vec![Line::from(vec![
        Span::styled(outcome, super::runs::outcome_style(run.outcome, theme)),
        Span::raw(format!(
            " {} UTC, {took}, {} by {}",
            cell::date(run.started_at),
            run.trigger,
            text::clean(&run.operator.to_string())
        )),
    ])];
    if let Some(error) = &run.error {
        lines.extend(wrap(&text::clean(error), width).into_iter().map(|line| Line::styled(line, theme.bad())));
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
            lines.extend(wrap(&error, width).into_iter().map(|line| Line::styled(line, theme.bad())));
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
        lines.extend(wrap(&text, width).into_iter().map(Line::raw));
    }
    lines
}
