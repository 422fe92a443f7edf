//! Colours and glyphs, which degrade to a terminal without either.

use ratatui::{
    buffer::Buffer,
    style::{Color, Modifier, Style},
};

use crate::sync::Stage;

/// How the console is drawn. Nothing is told by colour alone: every state also has its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Whether colours are used; without, states are told by words and modifiers.
    pub color: bool,
    /// Whether only ASCII is drawn.
    pub ascii: bool,
}

impl Theme {
    /// The terminal's own sixteen colours and Unicode line drawing.
    pub const DEFAULT: Self = Self { color: true, ascii: false };

    /// Secondary text.
    #[must_use]
    pub const fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Titles and what is chosen.
    #[must_use]
    pub const fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// A line under the cursor.
    #[must_use]
    pub const fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Something is as it should be.
    #[must_use]
    pub const fn good(self) -> Style {
        Style::new().fg(Color::Green)
    }

    /// Something wants attention.
    #[must_use]
    pub const fn warning(self) -> Style {
        Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    /// Something failed.
    #[must_use]
    pub const fn bad(self) -> Style {
        Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// Something is going on.
    #[must_use]
    pub const fn active(self) -> Style {
        Style::new().fg(Color::Cyan)
    }

    /// The style of a stage's word.
    #[must_use]
    pub const fn stage(self, stage: Stage) -> Style {
        match stage {
            Stage::Waiting | Stage::Skipped => self.dim(),
            Stage::Fetching | Stage::Staged | Stage::Loading => self.active(),
            Stage::Retrying => self.warning(),
            Stage::Ready | Stage::Unchanged => Style::new(),
            Stage::Published => self.good(),
            Stage::Failed => self.bad(),
        }
    }

    /// The mark before the chosen line.
    #[must_use]
    pub const fn cursor(self) -> &'static str {
        if self.ascii { ">" } else { "▸" }
    }

    /// The mark of a marked line.
    #[must_use]
    pub const fn mark(self) -> &'static str {
        if self.ascii { "*" } else { "✓" }
    }

    /// What stands for cut-off text.
    #[must_use]
    pub const fn ellipsis(self) -> &'static str {
        if self.ascii { "~" } else { "…" }
    }

    /// What stands between two parts of a line.
    #[must_use]
    pub const fn separator(self) -> &'static str {
        if self.ascii { " | " } else { " · " }
    }

    /// Filled and empty cell of a bar.
    #[must_use]
    pub const fn bar(self) -> (&'static str, &'static str) {
        if self.ascii { ("#", ".") } else { ("█", "░") }
    }

    /// Makes a drawn frame fit the terminal: no colours where none are wanted, no character beyond ASCII where none can be
    /// shown.
    pub fn degrade(self, buffer: &mut Buffer) {
        if self.color && !self.ascii {
            return;
        }
        for cell in &mut buffer.content {
            if !self.color {
                cell.fg = Color::Reset;
                cell.bg = Color::Reset;
                cell.underline_color = Color::Reset;
            }
            if self.ascii && !cell.symbol().is_ascii() {
                cell.set_symbol(ascii(cell.symbol()));
            }
        }
    }
}

/// The ASCII character that comes nearest to `symbol`.
fn ascii(symbol: &str) -> &'static str {
    match symbol {
        "─" | "━" | "–" | "—" => "-",
        "│" | "┃" => "|",
        "┌" | "┐" | "└" | "┘" | "├" | "┤" | "┬" | "┴" | "┼" | "╭" | "╮" | "╰" | "╯" => "+",
        "█" => "#",
        "▸" | "→" => ">",
        "░" | "·" => ".",
        "×" => "x",
        "±" | "✓" => "*",
        "…" => "~",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;

    use super::*;

    #[test]
    fn degrades_to_what_the_terminal_can_show() {
        let area = Rect::new(0, 0, 4, 1);
        let mut buffer = Buffer::empty(area);
        buffer.set_string(0, 0, "█é│x", Theme::DEFAULT.bad());
        Theme { color: false, ascii: true }.degrade(&mut buffer);
        let symbols: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
        assert_eq!(symbols, "#?|x");
        assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset));
        assert!(buffer.content[0].modifier.contains(Modifier::BOLD));
    }
}
