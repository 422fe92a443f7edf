//! The last line: the answer to the last key, or the keys that can be pressed now.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

use super::{
    super::{
        action::{ACTIONS, Action, Group},
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
    let possible = |action: &&Action| !action.label.is_empty() && (action.enabled)(model).is_ok();
    // Moving about is found without a hint, should the line be short.
    let (moving, doing): (Vec<&Action>, Vec<&Action>) =
        ACTIONS.iter().filter(possible).partition(|action| action.group == Group::Navigation);
    for action in doing.into_iter().chain(moving) {
        spans.push(Span::styled(format!(" {}", action.keys[0].label()), theme.strong()));
        spans.push(Span::styled(format!(" {} ", action.label), theme.dim()));
    }
    frame.render_widget(Line::from(spans), area);
}
