//! All actions with their keys.

use ratatui::text::{Line, Span};

use crate::console::{
    action::{ACTIONS, Group},
    model::Model,
    view::wrap,
};

/// All actions, and why some cannot be done now.
pub(super) fn lines(model: &Model, width: usize) -> Vec<Line<'static>> {
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
