//! Whether to clean up.

use ratatui::text::{Line, Span};

use crate::{
    console::{
        cell,
        model::Model,
        overlay::Overlay,
        view::{fit, wrap},
    },
    report::CleanupReport,
};

/// What would go, and the word to type.
pub(super) fn lines(model: &Model, plan: &CleanupReport, typed: &str, width: usize) -> Vec<Line<'static>> {
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
