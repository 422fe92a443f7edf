//! What lies on top: help, questions with their figures, one run in full, rows that differ, the quarantine.

mod cancel;
mod cleanup;
mod diff;
mod help;
mod hold;
mod quarantine;
mod replay;
mod rollback;
mod rows;
mod run;
mod sync_form;
mod triggers;

use ratatui::{
    Frame,
    layout::{Constraint, Rect, Size},
    style::Style,
    text::{Line, Span},
    widgets::{Block, Clear, Padding, Paragraph},
};

use super::{Areas, fit, wrap};
use crate::{
    console::{model::Model, overlay::Overlay, theme::Theme},
    text,
};

/// Columns that the frame of an overlay takes.
const FRAME: u16 = 4;

/// Makes one of many lines.
type MakeLine<'a> = Box<dyn Fn(usize) -> Line<'static> + 'a>;

/// Lines of which only a part is shown.
enum Middle<'a> {
    /// All of them.
    Lines(Vec<Line<'static>>),
    /// So many, each made when it is shown.
    Made(usize, MakeLine<'a>),
}

impl Middle<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Lines(lines) => lines.len(),
            Self::Made(count, _) => *count,
        }
    }

    fn shown(self, first: usize, count: usize) -> Vec<Line<'static>> {
        match self {
            Self::Lines(lines) => lines.into_iter().skip(first).take(count).collect(),
            Self::Made(all, make) => (first..all.min(first + count)).map(make).collect(),
        }
    }
}

/// What an overlay shows. Between what always stands above and below, the lines in the middle can be scrolled.
struct Content<'a> {
    title: String,
    above: Vec<Line<'static>>,
    middle: Middle<'a>,
    below: Vec<Line<'static>>,
    /// The line in the middle that is always shown.
    chosen: Option<usize>,
    /// Whether it is a question.
    asks: bool,
}

impl Content<'_> {
    fn list(title: impl Into<String>, middle: Vec<Line<'static>>) -> Self {
        let (above, below) = (Vec::new(), Vec::new());
        Self { title: title.into(), above, middle: Middle::Lines(middle), below, chosen: None, asks: false }
    }

    fn question(title: impl Into<String>) -> Self {
        Self { asks: true, ..Self::list(title, Vec::new()) }
    }

    /// Rows of the middle on a stage of so many rows.
    fn room(&self, stage: u16) -> usize {
        usize::from(stage.saturating_sub(2)).saturating_sub(self.above.len() + self.below.len())
    }
}

/// Draws `overlay` in the middle.
pub(super) fn draw(model: &Model, overlay: &Overlay, frame: &mut Frame<'_>) {
    let screen = frame.area().as_size();
    let stage = Areas::stage(model, screen);
    let width = width(overlay, screen);
    let content = content(model, overlay, width);
    let room = content.room(stage.height);
    let last = content.middle.len().saturating_sub(room);
    let first = content.chosen.map_or(overlay.scroll(), |chosen| (chosen + 1).saturating_sub(room)).min(last);
    let Content { title, above, middle, below, asks, .. } = content;
    let lines: Vec<_> = above.into_iter().chain(middle.shown(first, room)).chain(below).collect();
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2).min(stage.height);
    let area = stage.centered(Constraint::Length(width + FRAME), Constraint::Length(height));
    let style = if asks { model.theme.warning() } else { model.theme.strong() };
    let title = fit(&title, usize::from(width), model.theme);
    let block = Block::bordered().border_style(style).title(format!(" {title} ")).padding(Padding::horizontal(1));
    let inside = block.inner(area);
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    frame.render_widget(Paragraph::new(lines), inside);
    if last > first {
        let at = Rect::new(area.right().saturating_sub(26), area.bottom() - 1, 25, 1);
        let more = text::thousands(u64::try_from(last - first).unwrap_or_default());
        frame.render_widget(Line::styled(format!(" {more} more below "), style).right_aligned(), at);
    }
}

/// The furthest that the foremost overlay can be scrolled on a screen of `size`.
#[must_use]
pub fn last_scroll(model: &Model, size: Size) -> usize {
    let Some(overlay) = model.overlays.last() else { return 0 };
    let content = content(model, overlay, width(overlay, size));
    content.middle.len().saturating_sub(content.room(Areas::stage(model, size).height))
}

/// Lines of the foremost overlay that can be scrolled and are shown at once on a screen of `size`.
#[must_use]
pub fn room(model: &Model, size: Size) -> usize {
    let Some(overlay) = model.overlays.last() else { return 0 };
    content(model, overlay, width(overlay, size)).room(Areas::stage(model, size).height)
}

fn width(overlay: &Overlay, screen: Size) -> u16 {
    let wanted = match overlay {
        Overlay::Run { .. } | Overlay::Diff(_) | Overlay::Quarantine(_) | Overlay::Triggers(_) => 140,
        Overlay::Rows(_) => u16::MAX,
        _ => 76,
    };
    screen.width.saturating_sub(FRAME).min(wanted)
}

fn content<'a>(model: &'a Model, overlay: &'a Overlay, width: u16) -> Content<'a> {
    let width = usize::from(width);
    match overlay {
        Overlay::Help { .. } => Content::list("Keys", help::lines(model, width)),
        Overlay::Text { title, text, .. } => Content::list(title, wrapped(&text::clean(text), width, Style::new())),
        Overlay::Rollback(question) => rollback::content(model, question, width),
        Overlay::Replay(question) => replay::content(model, question, width),
        Overlay::SyncHeld { hold, .. } => hold::sync(model, hold, width),
        Overlay::SyncWith(form) => sync_form::content(model, form, width),
        Overlay::HoldReason { typed } => hold::reason(model, typed, width),
        Overlay::Release { hold, .. } => hold::release(model, hold, width),
        Overlay::Cleanup { plan, typed, .. } => {
            let below = cleanup::lines(model, plan, typed, width);
            Content { below, ..Content::question("Clean up") }
        }
        Overlay::Cancel(question) => cancel::content(model, question, width),
        Overlay::Quit { .. } => Content { below: quit(model), ..Content::question("A run is going on") },
        Overlay::Run { report, .. } => run::content(model, report, width),
        Overlay::Diff(view) => diff::content(model, view, width),
        Overlay::Quarantine(view) => quarantine::content(model, view, width),
        Overlay::Triggers(view) => triggers::content(model, view, width),
        Overlay::Rows(view) => rows::content(model, view, width),
    }
}

/// `text` on as many lines as it takes.
fn wrapped(text: &str, width: usize, style: Style) -> Vec<Line<'static>> {
    wrap(text, width).into_iter().map(|line| Line::styled(line, style)).collect()
}

/// A key and what it does.
fn choice(theme: Theme, key: &'static str, text: impl Into<String>) -> Line<'static> {
    Line::from(vec![Span::styled(format!(" {key:<6}"), theme.warning()), Span::raw(text.into())])
}

/// ` Y word    n other    any other key: No `
fn answers(theme: Theme, yes: &'static str, more: &[(&'static str, &'static str)]) -> Line<'static> {
    let mut spans = vec![Span::styled(" Y ", theme.warning()), Span::raw(yes), Span::raw("  ")];
    spans.extend(keys(theme, more).spans);
    spans.push(Span::styled(" any other key: No ", theme.selected()));
    Line::from(spans)
}

/// ` key word   key word `
fn keys(theme: Theme, keys: &[(&'static str, &'static str)]) -> Line<'static> {
    let each = keys.iter().flat_map(|(key, word)| {
        [Span::styled(format!(" {key}"), theme.strong()), Span::styled(format!(" {word} "), theme.dim())]
    });
    Line::from(each.collect::<Vec<_>>())
}

fn quit(model: &Model) -> Vec<Line<'static>> {
    let theme = model.theme;
    vec![
        choice(theme, "w", "wait for its end, then quit"),
        choice(theme, "x", "cancel it, which leaves everything as it was, and quit"),
        Line::from(vec![Span::styled(" any other key: stay ", theme.selected())]),
    ]
}
