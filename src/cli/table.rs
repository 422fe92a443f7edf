//! Tables of plain text, without lines, cut to the terminal's width.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, presets};

use super::output::Layout;
use crate::{
    report::{DiffCounts, Version},
    text,
};

/// Blanks between two columns.
const GAP: u16 = 2;

/// A column: its header and how its cells stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    name: &'static str,
    short: &'static str,
    alignment: CellAlignment,
    wraps: bool,
}

/// A column of words.
pub(super) const fn left(name: &'static str) -> Column {
    Column { name, short: name, alignment: CellAlignment::Left, wraps: false }
}

/// A column of numbers.
pub(super) const fn right(name: &'static str) -> Column {
    Column { name, short: name, alignment: CellAlignment::Right, wraps: false }
}

impl Column {
    /// The same with another header where the terminal is too narrow for the long ones.
    pub(super) const fn or(self, short: &'static str) -> Self {
        Self { short, ..self }
    }

    /// The same with its cells wrapped where the terminal is too narrow.
    pub(super) const fn wrapped(self) -> Self {
        Self { wraps: true, ..self }
    }
}

/// Rows under their headers.
#[derive(Debug)]
pub(super) struct Table<'a> {
    columns: &'a [Column],
    rows: Vec<Vec<String>>,
}

impl<'a> Table<'a> {
    /// A table without rows.
    pub(super) const fn new(columns: &'a [Column]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row with one cell a column; harmful text in it is made harmless.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.columns.len(), "one cell a column");
        self.rows.push(cells.into_iter().map(|cell| text::clean(&cell).into_owned()).collect());
    }

    /// The table as lines, each with its line feed.
    pub(super) fn render(&self, layout: &Layout) -> String {
        let long = self.build(|column| column.name);
        let widths = long.column_max_content_widths();
        let needed: usize = widths.iter().map(|width| usize::from(*width + GAP)).sum();
        let mut table = match layout.width {
            Some(width) if needed > usize::from(width + GAP) => self.build(|column| column.short),
            _ => long,
        };
        match layout.width {
            Some(width) => table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic),
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        let mut lines = table.trim_fmt();
        lines.push('\n');
        lines
    }

    fn build(&self, header: impl Fn(&Column) -> &'static str) -> comfy_table::Table {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_header(self.columns.iter().map(header));
        for row in &self.rows {
            table.add_row(row);
        }
        let last = self.columns.len() - 1;
        for (place, (built, column)) in table.column_iter_mut().zip(self.columns).enumerate() {
            built.set_padding((0, if place == last { 0 } else { GAP })).set_cell_alignment(column.alignment);
            if !column.wraps {
                built.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        table
    }
}

/// A version as people call it: `v1`, or `-` for none.
pub(super) fn version(version: Version) -> String {
    if version == 0 { "-".to_owned() } else { format!("v{version}") }
}

/// Rows added, removed and changed: `+3 -0 ~12`; empty when it is not known.
pub(super) fn change(diff: Option<DiffCounts>) -> String {
    match diff {
        Some(diff) if diff.is_empty() => "none".to_owned(),
        Some(DiffCounts { added, removed, changed }) => {
            let [added, removed, changed] = [added, removed, changed].map(text::thousands);
            format!("+{added} -{removed} ~{changed}")
        }
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [left("entity"), right("quarantined").or("quar."), left("error").wrapped()];

    fn sample() -> Table<'static> {
        let mut table = Table::new(&COLUMNS);
        table.row(["boards".to_owned(), "1,203".to_owned(), "\u{1b}[2J went wrong".to_owned()]);
        table.row(["talents".to_owned(), "0".to_owned(), String::new()]);
        table
    }

    #[test]
    fn a_pipe_gets_whole_lines() {
        let layout = Layout::unlimited(jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(
            sample().render(&layout),
            "entity   quarantined  error\nboards         1,203  \\x1b[2J went wrong\ntalents            0\n"
        );
    }

    #[test]
    fn a_narrow_terminal_gets_short_headers_and_wrapped_text() {
        let layout = Layout { width: Some(27), ..Layout::unlimited(jiff::Timestamp::UNIX_EPOCH) };
        let lines = sample().render(&layout);
        assert!(lines.starts_with("entity   quar.  error\n"), "{lines}");
        assert!(lines.lines().all(|line| line.chars().count() <= 27), "{lines}");
        assert!(lines.contains("went"), "{lines}");
    }

    #[test]
    fn versions_and_changes() {
        assert_eq!((version(0), version(2)), ("-".to_owned(), "v2".to_owned()));
        assert_eq!(change(Some(DiffCounts { added: 1234, removed: 0, changed: 7 })), "+1,234 -0 ~7");
        assert_eq!(change(Some(DiffCounts::default())), "none");
        assert_eq!(change(None), "");
    }
}
