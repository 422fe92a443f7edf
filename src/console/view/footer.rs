//! The last line: the answer to the last key, or the keys that can be pressed now.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

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
    let possible = |action: &&Action| !action.label.is_empty() && (action.enabled)(model).is_ok();
    let hints = |group: Group| ACTIONS.iter().filter(possible).filter(move |action| action.group == group);
    let width = |action: &Action| action.keys[0].label().width() + action.label.width() + 3;
    // What leads to all the others stays; what does not fit whole is left out, from the right.
    let last: Vec<_> = hints(Group::Console).collect();
    let mut room = usize::from(area.width).saturating_sub(last.iter().map(|action| width(action)).sum());
    let fits = |action: &&Action| {
        let needed = width(action);
        let fits = needed <= room;
        room = if fits { room - needed } else { 0 };
        fits
    };
    let shown: Vec<_> = hints(Group::Operations).chain(hints(Group::Navigation)).filter(fits).collect();
    let mut spans = Vec::new();
    for action in shown.into_iter().chain(last) {
        spans.push(Span::styled(format!(" {}", action.keys[0].label()), theme.strong()));
        spans.push(Span::styled(format!(" {} ", action.label), theme.dim()));
    }
    frame.render_widget(Line::from(spans), area);
}
