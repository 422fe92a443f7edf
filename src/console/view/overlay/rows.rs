//! Rows of a version: a table around the chosen one, or that one alone with all its values.

use std::borrow::Cow;

use ratatui::{
    style::Style,
    text::{Line, Span},
};
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use super::{Content, Middle, keys, wrapped};
use crate::{
    console::{model::Model, overlay::RowsView, theme::Theme, view::fit},
    green::Side,
    report::RowsReport,
    text,
};

/// Characters of a value that are looked at for a cell; no screen shows more.
const CELL: usize = 300;
/// Widest a column gets while others want room, in columns of the terminal.
const WIDEST: usize = 32;
/// Blanks between two columns.
const GAP: usize = 2;

/// The state and the column names above, rows in the middle, keys below.
pub(super) fn content<'a>(model: &'a Model, view: &'a RowsView, width: usize) -> Content<'a> {
    let theme = model.theme;
    let side = match view.side {
        Side::Live => "live",
        Side::Backup => "backup",
    };
    let mut content = Content::list(format!("Rows of {}, {side}", view.entity), Vec::new());
    content.above.push(state(view, width, theme));
    if let Some(error) = &view.error {
        content.above.extend(wrapped(&text::clean(error), width, theme.bad()));
    }
    if let (Some(page), true) = (&view.page, view.alone.is_some()) {
        let row = view.row(view.chosen).unwrap_or_default();
        content.middle = Middle::Lines(alone(page, row, width, theme));
        content.below = vec![keys(theme, &[("Up Down", "scroll"), ("Esc", "back to the rows")])];
        return content;
    }
    if let Some(page) = &view.page {
        let columns = Columns::of(page, view.column, width);
        content.above.push(Line::styled(columns.line(theme, |name, _| Cow::Borrowed(name)), theme.strong()));
        content.middle = Middle::Made(
            view.total(),
            Box::new(move |at| {
                let chosen = at == view.chosen;
                let line = match view.row(at) {
                    Some(row) => Line::raw(columns.line(theme, |_, place| row.get(place).map_or("".into(), shown))),
                    None => Line::styled("reading", theme.dim()),
                };
                if chosen { line.style(theme.selected()) } else { line }
            }),
        );
    }
    content.below = vec![match &view.typed {
        Some(typed) => Line::from(vec![
            Span::styled(" / ", theme.warning()),
            Span::raw(fit(&format!("{}_", text::clean(typed)), width.saturating_sub(3), theme)),
        ]),
        None => keys(
            theme,
            &[
                ("/", "filter"),
                ("o", "other version"),
                ("Left Right", "columns"),
                ("Enter", "whole row"),
                ("Esc", "close"),
            ],
        ),
    }];
    content
}

fn state(view: &RowsView, width: usize, theme: Theme) -> Line<'static> {
    let filter = if view.filter.is_empty() {
        String::new()
    } else {
        format!(" with `{}`, Esc shows all", text::clean(&view.filter))
    };
    let (state, style) = match (&view.page, view.request, view.error.is_some()) {
        (_, _, true) => return Line::styled("no rows", theme.dim()),
        (None, Some(_), _) => (format!("reading rows{filter}"), theme.active()),
        (None, None, _) => (String::new(), theme.dim()),
        (Some(page), ..) if page.total == 0 => (format!("no rows{filter}"), theme.strong()),
        (Some(page), request, _) => {
            let (at, all) = (text::thousands(view.chosen as u64 + 1), text::thousands(page.total));
            let reading = if request.is_some() { ", reading" } else { "" };
            (format!("row {at} of {all}{filter}{reading}"), theme.strong())
        }
    };
    Line::styled(fit(&state, width, theme), style)
}

/// A value on one line.
fn shown(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => "NULL".into(),
        Value::String(value) => text::clean(&text::shorten(value, CELL)).into_owned().into(),
        other => other.to_string().into(),
    }
}

/// The columns that fit: the id, then those from the chosen one on.
struct Columns<'a> {
    names: Vec<(&'a str, usize, usize)>,
}

impl<'a> Columns<'a> {
    fn of(page: &'a RowsReport, first: usize, width: usize) -> Self {
        let places = (0..page.columns.len()).filter(|place| *place == 0 || *place > first);
        let (mut names, mut left) = (Vec::new(), width);
        for place in places {
            if left <= GAP {
                break;
            }
            let name = page.columns[place].as_str();
            let widest = page.rows.iter().filter_map(|row| row.get(place)).map(|value| shown(value).width()).max();
            let wanted = widest.unwrap_or_default().max(name.width()).min(WIDEST).min(left);
            names.push((name, place, wanted));
            left = left.saturating_sub(wanted + GAP);
        }
        // The last one takes what is left over.
        if let Some((_, _, width)) = names.last_mut() {
            *width += left;
        }
        Self { names }
    }

    fn line<'b>(&'b self, theme: Theme, cell: impl Fn(&'b str, usize) -> Cow<'b, str>) -> String {
        let mut line = String::new();
        for (name, place, width) in &self.names {
            let text = fit(&cell(name, *place), *width, theme);
            line.push_str(&text);
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(text.width()) + GAP));
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Each value of a row in full, under its column's name.
fn alone(page: &RowsReport, row: &[Value], width: usize, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for (name, value) in page.columns.iter().zip(row) {
        let value = match value {
            Value::String(value) => text::clean(value).into_owned(),
            Value::Null => "NULL".to_owned(),
            other => other.to_string(),
        };
        let name = text::clean(name).into_owned();
        if name.width() + value.width() + GAP <= width {
            lines.push(Line::from(vec![Span::styled(format!("{name}  "), theme.dim()), Span::raw(value)]));
        } else {
            lines.push(Line::styled(name, theme.dim()));
            lines.extend(wrapped(&format!("  {value}"), width, Style::new()));
        }
    }
    lines
}
