//! Draws the model: a pure function of model and frame.
//!
//! ```text
//! greenroom  green.db  from http://blue          pub 5 12:03:11 UTC     header
//! HELD since 12:03 (5m) by ana@box: publication 5 ...   H releases      while the hold is set, also under overlays
//! run 7 [######....] 62 %  4.1 s  3 fetching 2 loading ...              overall line
//! a sync for 10.0.0.7 waits behind run 7 | serve on 127.0.0.1:8080      while there are triggers to speak of
//!   ENTITY              STAGE  ...                                       entities
//! > talents             published ...
//! ...
//! ┌ Detail │ Runs │ Log ──────────────────────────────────────────────┐  lower panes: one where there is little room,
//! └───────────────────────────────────────────────────────────────────┘  all three where there is much
//! s sync  r rollback  c cleanup  Tab pane  ? help  q quit                hints, or the answer to the last key
//! ```

pub mod detail;
mod entities;
mod footer;
mod going;
mod header;
mod hold;
pub mod overlay;
mod runs;
mod triggers;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect, Size},
    style::Style,
    text::{Line, Span},
    widgets::{Block, Borders, Paragraph},
};

use super::{
    log_pane,
    model::{Model, Pane},
    theme::Theme,
};
use crate::entity::Entity;

/// Smallest screen, columns by rows.
pub const MINIMUM: Size = Size { width: 60, height: 16 };

/// Rows of the table of entities, with its heading.
#[expect(clippy::cast_possible_truncation, reason = "ten")]
const TABLE_ROWS: u16 = Entity::ALL.len() as u16 + 1;

/// Rows from which all lower panes are shown at once.
const ROOMY_ROWS: u16 = 34;

/// Columns from which detail and runs stand side by side.
const ROOMY_COLUMNS: u16 = 110;

/// Where everything is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Areas {
    header: Rect,
    hold: Rect,
    overall: Rect,
    triggers: Rect,
    entities: Rect,
    /// Panes below the table that are shown.
    lower: Vec<(Pane, Rect)>,
    footer: Rect,
}

impl Areas {
    /// Where things are on a screen of `size` with the panes as the model has them.
    #[must_use]
    pub fn of(model: &Model, size: Size) -> Self {
        let whole = Rect::new(0, 0, size.width, size.height);
        let banner = u16::from(model.hold().is_some());
        let about_triggers = u16::from(triggers::is_shown(model));
        let rows = [1, banner, 1, about_triggers].map(Constraint::Length);
        let rows = rows.into_iter().chain([Constraint::Min(0), Constraint::Length(1)]);
        let [header, hold, overall, triggers, body, footer] = Layout::vertical(rows).areas(whole);
        let left = body.height.saturating_sub(TABLE_ROWS);
        // Where the lower pane would be a mere strip, the pane that has the keys takes the room.
        let (table, below) = match model.focus {
            Pane::Entities => (TABLE_ROWS.min(body.height), left),
            _ if left < 4 => (0, body.height),
            _ => (TABLE_ROWS, left),
        };
        let [entities, below] = Layout::vertical([Constraint::Length(table), Constraint::Length(below)]).areas(body);
        let lower = if size.height >= ROOMY_ROWS {
            let [upper, log] = Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(below);
            if size.width >= ROOMY_COLUMNS {
                let [detail, runs] = Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(upper);
                vec![(Pane::Detail, detail), (Pane::Runs, runs), (Pane::Log, log)]
            } else {
                let shown = if model.lower == Pane::Log { Pane::Detail } else { model.lower };
                vec![(shown, upper), (Pane::Log, log)]
            }
        } else if below.height >= 2 {
            vec![(model.lower, below)]
        } else {
            Vec::new()
        };
        Self { header, hold, overall, triggers, entities, lower, footer }
    }

    /// Where overlays lie: everywhere, but never on the hold.
    #[must_use]
    fn stage(model: &Model, size: Size) -> Rect {
        let above = if model.hold().is_some() { 2.min(size.height) } else { 0 };
        Rect::new(0, above, size.width, size.height - above)
    }

    /// The inside of a lower pane, when it is shown.
    #[must_use]
    pub fn inside(&self, pane: Pane) -> Option<Rect> {
        let (_, area) = self.lower.iter().find(|(shown, _)| *shown == pane)?;
        Some(frame_of(Line::default(), Style::new()).inner(*area))
    }
}

fn frame_of(title: Line<'_>, style: Style) -> Block<'_> {
    Block::new().borders(Borders::TOP).border_style(style).title(title)
}

/// Draws the whole screen.
pub fn draw(model: &Model, frame: &mut Frame<'_>) {
    let size = frame.area().as_size();
    if size.width < MINIMUM.width || size.height < MINIMUM.height {
        let text =
            format!("greenroom needs {} x {}, this is {} x {}", MINIMUM.width, MINIMUM.height, size.width, size.height);
        frame.render_widget(Paragraph::new(text).wrap(ratatui::widgets::Wrap { trim: true }), frame.area());
        model.theme.degrade(frame.buffer_mut());
        return;
    }
    let areas = Areas::of(model, size);
    header::draw(model, frame, areas.header);
    if let Some(held) = model.hold() {
        hold::draw(model, held, frame, areas.hold);
    }
    header::draw_overall(model, frame, areas.overall);
    if areas.triggers.height > 0 {
        triggers::draw(model, frame, areas.triggers);
    }
    entities::draw(model, frame, areas.entities);
    for (pane, area) in &areas.lower {
        draw_lower(model, frame, *pane, *area, areas.lower.len() == 1);
    }
    footer::draw(model, frame, areas.footer);
    if let Some(top) = model.overlays.last() {
        overlay::draw(model, top, frame);
    }
    model.theme.degrade(frame.buffer_mut());
}

/// A lower pane in its frame. `alone` lets the title name the panes that Tab would bring.
fn draw_lower(model: &Model, frame: &mut Frame<'_>, pane: Pane, area: Rect, alone: bool) {
    let theme = model.theme;
    let style = if model.focus == pane { theme.active() } else { theme.dim() };
    let mut title = Vec::new();
    let named: &[Pane] = if alone { &Pane::LOWER } else { std::slice::from_ref(&pane) };
    for (place, one) in named.iter().enumerate() {
        if place > 0 {
            title.push(Span::styled("·", theme.dim()));
        }
        let mut text = format!(" {} ", one.title());
        if *one == Pane::Detail && pane == Pane::Detail {
            text = format!(" {}: {} ", one.title(), model.selected);
        }
        let style = match (*one == pane, model.focus == pane) {
            (true, true) => theme.active().patch(theme.strong()),
            (true, false) => theme.strong(),
            (false, _) => theme.dim(),
        };
        title.push(Span::styled(text, style));
    }
    let block = frame_of(Line::from(title), style);
    let inside = block.inner(area);
    frame.render_widget(block, area);
    match pane {
        Pane::Detail => detail::draw(model, frame, inside),
        Pane::Runs => runs::draw(model, frame, inside),
        Pane::Log => log_pane::draw(model, frame, inside),
        Pane::Entities => {}
    }
}

/// Cuts `text` to `width` columns, marking the cut.
fn fit(text: &str, width: usize, theme: Theme) -> String {
    use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
    if text.width() <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used > width {
            break;
        }
        cut.push(character);
    }
    cut + theme.ellipsis()
}

/// Breaks `text` into lines of at most `width` columns, at spaces where there are some.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    use unicode_width::UnicodeWidthStr;
    let width = width.max(8);
    let mut lines = vec![String::new()];
    for word in text.split_inclusive(' ') {
        let mut word = word;
        loop {
            let line = lines.last().map(String::as_str).unwrap_or_default();
            if line.width() + word.trim_end().width() <= width {
                break;
            }
            if line.is_empty() {
                // A word longer than a line is cut.
                let mut end = 0;
                for (at, character) in word.char_indices() {
                    if word[..at + character.len_utf8()].width() > width {
                        break;
                    }
                    end = at + character.len_utf8();
                }
                let end = end.max(word.chars().next().map_or(1, char::len_utf8));
                if let Some(line) = lines.last_mut() {
                    line.push_str(&word[..end]);
                }
                word = &word[end..];
            }
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_and_wrapped_by_columns() {
        assert_eq!(fit("talents", 7, Theme::DEFAULT), "talents");
        assert_eq!(fit("talents", 5, Theme::DEFAULT), "tale…");
        assert_eq!(fit("日本語", 5, Theme::DEFAULT), "日本…");
        assert_eq!(wrap("one two three", 8), ["one two ", "three"]);
        assert_eq!(wrap("0123456789abc", 8), ["01234567", "89abc"]);
        assert_eq!(wrap("日本語日本語", 8), ["日本語日", "本語"]);
    }
}
