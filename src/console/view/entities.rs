//! The table of the ten entities. Columns come and go with the width; what matters fits 80 columns.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::Paragraph,
};
use unicode_width::UnicodeWidthStr;

use super::{
    super::{
        cell,
        model::{Model, Pane},
    },
    fit,
};
use crate::{
    entity::Entity,
    report::{EntityStatus, RecordCounts, RunOutcome},
    sync::{Stage, StepState},
    text,
};

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Name,
    Stage,
    Bar,
    Bytes,
    Records,
    Rows,
    Backup,
    Versions,
    Change,
    Age,
    Quarantined,
    Attempts,
    Error,
}

impl Field {
    /// Columns for a table of `width`, with their widths; each takes one more for the gap. While entities are marked, there
    /// is room for the marks.
    fn shown(width: u16, marking: bool) -> Vec<(Self, u16)> {
        let mut fields = vec![
            (Self::Name, 20),
            (Self::Stage, 9),
            (Self::Bytes, 5),
            (Self::Records, 7),
            (Self::Rows, 7),
            (Self::Backup, 7),
            (Self::Versions, 3),
            (Self::Change, 11),
            (Self::Age, 3),
        ];
        if width < 80 {
            // The figures that tell whether the site is whole stay longest.
            fields.retain(|(field, _)| !matches!(field, Self::Bytes | Self::Records | Self::Age));
            for (field, width) in &mut fields {
                match field {
                    Self::Backup => *width = 6,
                    Self::Change => *width = 10,
                    _ => {}
                }
            }
        }
        if marking {
            for (field, width) in &mut fields {
                match field {
                    Self::Name => *width += 1,
                    Self::Change => *width -= 1,
                    _ => {}
                }
            }
        }
        let mut used: u16 = fields.iter().map(|(_, width)| width + 1).sum::<u16>() - 1;
        let mut insert = |field: Self, size: u16, after: Self| {
            if used + size < width
                && let Some(at) = fields.iter().position(|(one, _)| *one == after)
            {
                used += size + 1;
                fields.insert(at + 1, (field, size));
            }
        };
        if width >= 80 {
            insert(Self::Quarantined, 5, Self::Records);
            insert(Self::Attempts, 3, Self::Age);
            insert(Self::Bar, 10, Self::Stage);
        }
        let left = width.saturating_sub(used);
        if left > 20 {
            fields.push((Self::Error, left - 1));
        }
        fields
    }

    /// Whether it stands to the right.
    fn is_figure(self) -> bool {
        !matches!(self, Self::Name | Self::Stage | Self::Bar | Self::Versions | Self::Change | Self::Error)
    }

    /// `text` at its side of a cell.
    fn place(self, text: &str, width: usize) -> String {
        let gap = " ".repeat(width.saturating_sub(text.width()));
        if self.is_figure() { format!("{gap}{text}") } else { format!("{text}{gap}") }
    }

    fn heading(self) -> &'static str {
        match self {
            Self::Name => " ENTITY",
            Self::Stage => "STAGE",
            Self::Bar => "PROGRESS",
            Self::Bytes => "BYTES",
            Self::Records => "RECORDS",
            Self::Rows => "ROWS",
            Self::Backup => "BACKUP",
            Self::Versions => "A/B",
            Self::Change => "CHANGE",
            Self::Age => "AGE",
            Self::Quarantined => "QUAR.",
            Self::Attempts => "TRY",
            Self::Error => "ERROR",
        }
    }
}

/// Draws the table.
pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let fields = Field::shown(area.width, !model.marks.is_empty());
    let headings = fields.iter().map(|(field, width)| Span::raw(field.place(field.heading(), usize::from(*width))));
    let mut lines = vec![joined(headings).style(model.theme.dim())];
    for entity in Entity::ALL {
        let line = Entry::of(model, entity).line(model, &fields);
        lines.push(match (entity == model.selected, model.focus) {
            (true, Pane::Entities) => line.style(model.theme.selected()),
            (true, _) => line.style(model.theme.strong()),
            _ => line,
        });
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// Cells with a gap after each.
fn joined(cells: impl Iterator<Item = Span<'static>>) -> Line<'static> {
    Line::from(cells.flat_map(|cell| [cell, Span::raw(" ")]).collect::<Vec<_>>())
}

/// One line: what is live, and where the entity is in our run.
struct Entry<'a> {
    entity: Entity,
    status: Option<&'a EntityStatus>,
    step: Option<&'a StepState>,
    /// Whether the run that the step belongs to goes on.
    going: bool,
}

impl<'a> Entry<'a> {
    fn of(model: &'a Model, entity: Entity) -> Self {
        let status = model.status.as_ref().and_then(|status| status.entities.iter().find(|one| one.entity == entity));
        let step = model.run.as_ref().and_then(|run| run.step(entity));
        let going = model.run.as_ref().is_some_and(|run| run.outcome.is_none());
        Self { entity, status, step, going }
    }

    fn line(&self, model: &Model, fields: &[(Field, u16)]) -> Line<'static> {
        let room_for_error = fields.iter().any(|(field, _)| *field == Field::Error);
        let mut cells = Vec::new();
        let mut fields = fields.iter().copied().peekable();
        while let Some((field, mut width)) = fields.next() {
            // Where it has no column of its own, an error takes the place of the figures that it left without meaning.
            let field = if field == Field::Bytes && self.failed() && !room_for_error {
                while let Some((_, more)) =
                    fields.next_if(|(next, _)| matches!(next, Field::Records | Field::Quarantined))
                {
                    width += more + 1;
                }
                Field::Error
            } else {
                field
            };
            let width = usize::from(width);
            let (text, style) = self.cell(model, field, width);
            cells.push(Span::styled(field.place(&fit(&text, width, model.theme), width), style));
        }
        joined(cells.into_iter())
    }

    fn cell(&self, model: &Model, field: Field, width: usize) -> (String, Style) {
        let theme = model.theme;
        let plain = |text: String| (text, Style::new());
        let number = |count: u64| plain(cell::count_within(count, width));
        let unknown = || plain("-".to_owned());
        let nothing = || plain(String::new());
        match field {
            Field::Name => {
                let cursor = if self.entity == model.selected { theme.cursor() } else { " " };
                let marked = match (model.marks.is_empty(), model.marks.contains(&self.entity)) {
                    (true, _) => "",
                    (false, true) => theme.mark(),
                    (false, false) => " ",
                };
                plain(format!("{cursor}{marked}{}", self.entity))
            }
            Field::Stage => self.stage(model),
            Field::Bar => match self.active_step().and_then(StepState::progress) {
                Some(progress) => {
                    let (full, empty) = theme.bar();
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10")]
                    let filled = ((progress * 10.0) as usize).min(10);
                    (format!("{}{}", full.repeat(filled), empty.repeat(10 - filled)), theme.active())
                }
                None => nothing(),
            },
            Field::Bytes => match self.step {
                Some(step) if step.bytes > 0 => plain(cell::compact(step.bytes)),
                Some(_) => nothing(),
                None => self
                    .status
                    .and_then(|status| status.bytes)
                    .map_or_else(nothing, |bytes| plain(cell::compact(bytes))),
            },
            Field::Records => match self.counts() {
                Some(counts) if counts.records > 0 => number(counts.records),
                _ => nothing(),
            },
            Field::Quarantined => match self.counts() {
                Some(counts) if counts.quarantined > 0 => {
                    (cell::count_within(counts.quarantined, width), theme.warning())
                }
                _ => nothing(),
            },
            Field::Rows => self.status.map_or_else(unknown, |status| number(status.active_rows)),
            Field::Backup => self.status.and_then(|status| status.backup_rows).map_or_else(unknown, number),
            Field::Versions => self.status.map_or_else(nothing, |status| {
                plain(format!("{}/{}", digit(status.active_version), digit(status.backup_version)))
            }),
            Field::Change => {
                let ready =
                    |step: &&StepState| matches!(step.stage, Stage::Ready | Stage::Unchanged | Stage::Published);
                let prepared = self.step.filter(ready).and_then(|step| step.diff);
                let diff = prepared.or_else(|| self.status.and_then(|status| status.diff));
                diff.map_or_else(nothing, |diff| plain(cell::change(diff, width)))
            }
            Field::Age => {
                let at = self.status.and_then(|status| status.published_at);
                at.map_or_else(unknown, |at| plain(cell::age(at, model.now.time)))
            }
            Field::Attempts => {
                let attempts = self.step.filter(|step| step.attempts > 1);
                attempts.map_or_else(nothing, |step| plain(step.attempts.to_string()))
            }
            Field::Error => (self.error(), theme.bad()),
        }
    }

    /// What became of the records: of our run, or of the one behind the live rows.
    fn counts(&self) -> Option<RecordCounts> {
        match self.step {
            Some(step) => Some(RecordCounts {
                records: step.records,
                duplicates: step.duplicates,
                quarantined: step.quarantined,
                notes: step.notes,
            }),
            None => self.status.and_then(|status| status.made_from),
        }
    }

    /// The step while its progress means something.
    fn active_step(&self) -> Option<&StepState> {
        self.step.filter(|step| self.going && !matches!(step.stage, Stage::Failed | Stage::Skipped))
    }

    fn failed(&self) -> bool {
        self.step.is_some_and(|step| matches!(step.stage, Stage::Failed | Stage::Retrying))
    }

    fn error(&self) -> String {
        let error = self.step.filter(|_| self.failed()).and_then(|step| step.error.as_deref());
        // The sentence begins with the endpoint and its path, which the line says already.
        let error = error.map(|error| error.split_once("): ").map_or(error, |(_, rest)| rest)).unwrap_or_default();
        text::clean(&error.replace("HTTP status", "HTTP")).into_owned()
    }

    /// Whether a guard's finding on it stopped our run.
    fn is_stopped(&self, model: &Model) -> bool {
        let run = model.run.as_ref().filter(|run| run.outcome == Some(RunOutcome::Held));
        run.is_some_and(|run| run.guards.iter().any(|finding| finding.entity == self.entity && !finding.accepted))
    }

    /// The stage in one word; while bytes or rows come in, with how many of them are there.
    fn stage(&self, model: &Model) -> (String, Style) {
        let theme = model.theme;
        if model.restored.contains(&self.entity) && model.run.is_none() {
            return ("restored".to_owned(), theme.warning());
        }
        if self.is_stopped(model) {
            return ("guard".to_owned(), theme.warning());
        }
        match (self.step, self.status) {
            (Some(step), _) => {
                let percent = step.progress().map(|progress| format!("{:>3.0}%", (progress * 100.0).floor()));
                let word = match (step.stage, percent) {
                    (Stage::Fetching, Some(percent)) => format!("fetch{percent}"),
                    (Stage::Loading, Some(percent)) => format!("load {percent}"),
                    (stage, _) => stage.word().to_owned(),
                };
                (word, theme.stage(step.stage))
            }
            (None, Some(status)) if status.active_version == 0 => ("empty".to_owned(), theme.dim()),
            (None, Some(_)) => ("live".to_owned(), Style::new()),
            (None, None) => (String::new(), Style::new()),
        }
    }
}

/// A version as one character; `-` for none.
fn digit(version: i64) -> String {
    if version == 0 { "-".to_owned() } else { version.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_every_width() {
        for (width, marking) in (60..=300).flat_map(|width| [(width, false), (width, true)]) {
            let fields = Field::shown(width, marking);
            let used: u16 = fields.iter().map(|(_, width)| width + 1).sum::<u16>() - 1;
            assert!(used <= width, "{used} of {width}");
            for needed in [Field::Name, Field::Stage, Field::Rows, Field::Backup, Field::Versions, Field::Change] {
                assert!(fields.iter().any(|(field, _)| *field == needed), "{needed:?} at {width}");
            }
            for (field, width) in fields {
                assert!(field.heading().len() <= usize::from(width), "{field:?} at {width}");
            }
        }
        let at_80: Vec<_> = Field::shown(80, true).into_iter().map(|(field, _)| field).collect();
        for needed in [Field::Bytes, Field::Records, Field::Age] {
            assert!(at_80.contains(&needed), "{needed:?}");
        }
    }
}
