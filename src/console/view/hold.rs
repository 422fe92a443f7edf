//! The hold, which stands below the header whatever else is on the screen.

use ratatui::{Frame, layout::Rect, style::Modifier, text::Line};
use unicode_width::UnicodeWidthStr;

use super::{
    super::{cell, model::Model},
    fit,
};
use crate::{report::HoldReport, text};

/// Columns from which its age is shown beside its time.
const ROOMY_COLUMNS: u16 = 70;

/// ` HELD since 12:03 (5m) by ana@box: publication 5 was taken back   H releases `
pub(super) fn draw(model: &Model, hold: &HoldReport, frame: &mut Frame<'_>, area: Rect) {
    let theme = model.theme;
    let width = usize::from(area.width);
    let right = "  H releases ";
    let who = fit(&text::clean(&hold.operator.to_string()), width / 3, theme);
    let since = since(model, hold, area.width >= ROOMY_COLUMNS);
    let start = format!(" HELD since {since} by {who}: ");
    let room = width.saturating_sub(start.width() + right.width());
    let reason = fit(&text::clean(&hold.reason), room, theme);
    let gap = " ".repeat(room.saturating_sub(reason.width()));
    let style = theme.warning().add_modifier(Modifier::REVERSED);
    frame.render_widget(Line::styled(format!("{start}{reason}{gap}{right}"), style), area);
}

/// Since when, with the date once that was not today.
pub(super) fn since(model: &Model, hold: &HoldReport, with_age: bool) -> String {
    let date = cell::date(hold.since);
    let today = cell::date(model.now.time).get(..10) == date.get(..10);
    let at = if today { &date[11..16] } else { &date[5..16] };
    if with_age { format!("{at} ({})", cell::age(hold.since, model.now.time)) } else { at.to_owned() }
}
