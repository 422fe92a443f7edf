//! The last line: the answer to the last key, or the keys that can be pressed now.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

use super::{
    super::{
        action::ACTIONS,
        model::{Model, Tone},
    },
    fit,
};
use crate::text;

/// Draws the notice, or the hints.
pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let theme = model.theme;
    if let Some(notice) = &model.notice {
        let style = match notice.tone {
            Tone::Good => theme.good(),
            Tone::Bad => theme.bad(),
            Tone::Plain => theme.strong(),
        };
        let text = fit(&format!(" {}", text::clean(&notice.text)), usize::from(area.width), theme);
        frame.render_widget(Line::styled(text, style), area);
        return;
    }
    let mut spans = Vec::new();
    for action in ACTIONS.iter().filter(|action| !action.label.is_empty() && (action.enabled)(model).is_ok()) {
        spans.push(Span::styled(format!(" {}", action.keys[0].label()), theme.strong()));
        spans.push(Span::styled(format!(" {} ", action.label), theme.dim()));
    }
    frame.render_widget(Line::from(spans), area);
}
