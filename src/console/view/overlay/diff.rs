//! Rows that differ, with the old and the new value of each column that does.

use ratatui::{
    style::Style,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

use super::{Content, Middle, keys, wrapped};
use crate::{
    console::{
        cell,
        model::Model,
        overlay::{DiffLine, DiffView},
        view::fit,
    },
    report::{DiffCounts, RowChange},
    text,
};

/// Counts above, rows in the middle, keys below.
pub(super) fn content<'a>(model: &'a Model, view: &'a DiffView, width: usize) -> Content<'a> {
    let theme = model.theme;
    let subject = view.shown_subject();
    let mut content = Content::list(format!("Diff of {}: {}", view.shown_entity(), subject.title), Vec::new());
    content.above = head(model, view, width);
    content.middle = Middle::Made(view.lines.len(), Box::new(move |at| line(model, &view.lines[at], width)));
    let mut hints = Vec::new();
    if view.subjects.len() > 1 {
        hints.push(("Left Right", "compare others"));
    }
    if view.entities.len() > 1 {
        hints.push(("Tab", "next entity"));
    }
    hints.push(("Esc", "close"));
    content.below = vec![keys(theme, &hints)];
    content
}

fn head(model: &Model, view: &DiffView, width: usize) -> Vec<Line<'static>> {
    let theme = model.theme;
    let mut lines = Vec::new();
    let place = |at: usize, count: usize, what: &str| {
        if count > 1 { format!("  {what} {} of {count}", at + 1) } else { String::new() }
    };
    let places = format!(
        "{}{}",
        place(view.subject, view.subjects.len(), "comparison"),
        place(view.entity, view.entities.len(), "entity")
    );
    match (view.counts, view.request) {
        (Some(counts), request) => {
            let all = counts.added + counts.removed + counts.changed;
            let state = match (counts.is_empty(), view.rows == all, request) {
                (true, ..) => "no row differs".to_owned(),
                (_, true, _) => format!("{} ({})", change(counts, width), text::count(all, "row", "rows")),
                (_, _, request) => {
                    let more = if request.is_some() { ", reading more" } else { "" };
                    let (shown, all) = (text::thousands(view.rows), text::thousands(all));
                    format!("{}  showing {shown} of {all}{more}", change(counts, width))
                }
            };
            lines.push(Line::styled(fit(&format!("{state}{places}"), width, theme), theme.strong()));
        }
        (None, Some(_)) => {
            let text = format!("comparing; at a million rows that takes seconds{places}");
            lines.push(Line::styled(fit(&text, width, theme), theme.active()));
        }
        (None, None) if !places.is_empty() => lines.push(Line::styled(places.trim_start().to_owned(), theme.dim())),
        (None, None) => {}
    }
    if let Some(note) = &view.note {
        lines.extend(wrapped(&text::clean(note), width, Style::new()));
    }
    if let Some(error) = &view.error {
        lines.extend(wrapped(&text::clean(error), width, theme.bad()));
    }
    lines
}

fn change(counts: DiffCounts, width: usize) -> String {
    cell::change(counts, width / 2)
}

fn line(model: &Model, line: &DiffLine, width: usize) -> Line<'static> {
    let theme = model.theme;
    match line {
        DiffLine::Row { change, id } => {
            let (sign, style) = match change {
                RowChange::Added => ("+", theme.good()),
                RowChange::Removed => ("-", theme.bad()),
                RowChange::Changed => ("~", theme.warning()),
            };
            Line::styled(fit(&format!("{sign} {id}"), width, theme), style)
        }
        DiffLine::Value { column, before, after } => {
            let name = format!("    {column}: ");
            let room = width.saturating_sub(name.width());
            let name = Span::styled(name, theme.dim());
            match (before, after) {
                (Some(before), Some(after)) => {
                    let (before, after) =
                        share(before, after, room.saturating_sub(3), |value, room| fit(value, room, theme));
                    let arrow = Span::styled(" > ", theme.dim());
                    Line::from(vec![name, Span::raw(before), arrow, Span::styled(after, theme.strong())])
                }
                (Some(value), None) | (None, Some(value)) => Line::from(vec![name, Span::raw(fit(value, room, theme))]),
                (None, None) => Line::from(name),
            }
        }
    }
}

/// Two values in `room` columns: a short one leaves what it does not need to the other.
fn share(before: &str, after: &str, room: usize, fit: impl Fn(&str, usize) -> String) -> (String, String) {
    let half = room / 2;
    let (left, right) = (before.width(), after.width());
    let left_room = if left <= half { left } else { room.saturating_sub(right.min(half)) };
    (fit(before, left_room), fit(after, room.saturating_sub(left_room.min(left))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::theme::Theme;

    #[test]
    fn a_short_value_leaves_its_room_to_the_long_one() {
        let cut = |value: &str, room: usize| fit(value, room, Theme::DEFAULT);
        let long = "0123456789";
        let of = |before: &str, after: &str| share(before, after, 8, cut);
        assert_eq!(of("1", "2"), ("1".to_owned(), "2".to_owned()));
        assert_eq!(of("1", long), ("1".to_owned(), "012345…".to_owned()));
        assert_eq!(of(long, "2"), ("012345…".to_owned(), "2".to_owned()));
        assert_eq!(of(long, long), ("012…".to_owned(), "012…".to_owned()));
    }
}
