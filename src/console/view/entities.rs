//! The table of the ten entities. Columns come and go with the width; what matters fits 80 columns.

use ratatui::{
    Frame,
    layout::{Constraint, Rect},
    style::Style,
    text::Span,
    widgets::{Cell, Row, Table},
};

use super::{
    super::{
        cell,
        model::{Model, Pane},
    },
    fit,
};
use crate::{
    entity::Entity,
    report::EntityStatus,
    sync::{Stage, StepState},
    text,
};

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Name,
    Stage,
    Percent,
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
    /// Columns for a table of `width`, with their widths; each takes one more for the gap.
    fn shown(width: u16) -> Vec<(Self, u16)> {
        let mut fields = vec![
            (Self::Name, 20),
            (Self::Stage, 9),
            (Self::Percent, 4),
            (Self::Bytes, 5),
            (Self::Records, 7),
            (Self::Rows, 7),
            (Self::Backup, 7),
            (Self::Versions, 3),
            (Self::Change, 6),
            (Self::Age, 3),
        ];
        if width < 80 {
            // The figures that tell whether the site is whole stay longest.
            fields.retain(|(field, _)| !matches!(field, Self::Bytes | Self::Records | Self::Percent));
            for (field, width) in &mut fields {
                *width -= u16::from(*field == Self::Backup);
            }
        }
        let mut used: u16 = fields.iter().map(|(_, width)| width + 1).sum::<u16>() - 1;
        let mut widen = |field: Self, by: u16, fields: &mut Vec<(Self, u16)>| {
            if used + by <= width {
                used += by;
                if let Some((_, width)) = fields.iter_mut().find(|(one, _)| *one == field) {
                    *width += by;
                }
            }
        };
        widen(Self::Change, 2, &mut fields);
        widen(Self::Change, 6, &mut fields);
        let mut insert = |field: Self, size: u16, after: Self| {
            if used + size < width
                && let Some(at) = fields.iter().position(|(one, _)| *one == after)
            {
                used += size + 1;
                fields.insert(at + 1, (field, size));
            }
        };
        insert(Self::Quarantined, 5, Self::Records);
        insert(Self::Attempts, 3, Self::Age);
        insert(Self::Bar, 10, Self::Percent);
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

    fn heading(self) -> &'static str {
        match self {
            Self::Name => " ENTITY",
            Self::Stage => "STAGE",
            Self::Percent => "%",
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
    let fields = Field::shown(area.width);
    let headings = fields.iter().map(|(field, width)| {
        let (text, width) = (field.heading(), usize::from(*width));
        Cell::from(if field.is_figure() { format!("{text:>width$}") } else { text.to_owned() })
    });
    let heading = Row::new(headings).style(model.theme.dim());
    let rows = Entity::ALL.into_iter().map(|entity| {
        let line = Entry::of(model, entity);
        let row = Row::new(fields.iter().map(|(field, width)| line.cell(model, *field, usize::from(*width))));
        match (entity == model.selected, model.focus) {
            (true, Pane::Entities) => row.style(model.theme.selected()),
            (true, _) => row.style(model.theme.strong()),
            _ => row,
        }
    });
    let widths = fields.iter().map(|(_, width)| Constraint::Length(*width));
    let table = Table::new(rows, widths).header(heading).column_spacing(1);
    frame.render_widget(table, area);
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

    fn cell(&self, model: &Model, field: Field, width: usize) -> Cell<'static> {
        let theme = model.theme;
        let right = |text: String| Cell::from(format!("{text:>width$}"));
        let number =
            |count: Option<u64>| right(count.map_or_else(|| "-".to_owned(), |count| cell::count_within(count, width)));
        match field {
            Field::Name => {
                let mark = if self.entity == model.selected { theme.cursor() } else { " " };
                Cell::from(fit(&format!("{mark}{}", self.entity), width, theme))
            }
            Field::Stage => {
                let (word, style) = self.stage(model);
                Cell::from(Span::styled(word, style))
            }
            Field::Percent => right(match self.active_step().and_then(StepState::progress) {
                Some(progress) => format!("{:.0}%", (progress * 100.0).floor()),
                None => String::new(),
            }),
            Field::Bar => Cell::from(match self.active_step().and_then(StepState::progress) {
                Some(progress) => {
                    let (full, empty) = theme.bar();
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10")]
                    let filled = ((progress * 10.0) as usize).min(10);
                    Span::styled(format!("{}{}", full.repeat(filled), empty.repeat(10 - filled)), theme.active())
                }
                None => Span::raw(""),
            }),
            // Where there is no column for it, a failure takes the place of the figures that it left without meaning.
            Field::Bytes if self.failed() => Cell::from(Span::styled(fit(&self.error(), width, theme), theme.bad())),
            Field::Bytes => {
                right(self.step.filter(|step| step.bytes > 0).map_or_else(String::new, |step| cell::bytes(step.bytes)))
            }
            Field::Records => match self.step {
                Some(step) if step.records > 0 => number(Some(step.records)),
                _ => right(String::new()),
            },
            Field::Quarantined => match self.step {
                Some(step) if step.quarantined > 0 => {
                    let text = cell::count_within(step.quarantined, width);
                    Cell::from(Span::styled(format!("{text:>width$}"), theme.warning()))
                }
                _ => right(String::new()),
            },
            Field::Rows => number(self.status.map(|status| status.active_rows)),
            Field::Backup => number(self.status.and_then(|status| status.backup_rows)),
            Field::Versions => Cell::from(match self.status {
                Some(status) => format!("{}/{}", digit(status.active_version), digit(status.backup_version)),
                None => String::new(),
            }),
            Field::Change => {
                let prepared =
                    self.step.filter(|step| matches!(step.stage, Stage::Ready | Stage::Unchanged | Stage::Published));
                let diff = prepared.and_then(|step| step.diff).or_else(|| self.status.and_then(|status| status.diff));
                Cell::from(diff.map_or_else(String::new, |diff| cell::change(diff, width)))
            }
            Field::Age => {
                let at = self.status.and_then(|status| status.published_at);
                right(at.map_or_else(|| "-".to_owned(), |at| cell::age(at, model.now.time)))
            }
            Field::Attempts => {
                let attempts = self.step.filter(|step| step.attempts > 1);
                right(attempts.map_or_else(String::new, |step| step.attempts.to_string()))
            }
            Field::Error => Cell::from(Span::styled(fit(&self.error(), width, theme), theme.bad())),
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
        text::clean(error).into_owned()
    }

    fn stage(&self, model: &Model) -> (&'static str, Style) {
        let theme = model.theme;
        if model.restored.contains(&self.entity) && model.run.is_none() {
            return ("restored", theme.warning());
        }
        match (self.step, self.status) {
            (Some(step), _) => (step.stage.word(), theme.stage(step.stage)),
            (None, Some(status)) if status.active_version == 0 => ("empty", theme.dim()),
            (None, Some(_)) => ("live", Style::new()),
            (None, None) => ("", Style::new()),
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
        for width in 60..=300 {
            let fields = Field::shown(width);
            let used: u16 = fields.iter().map(|(_, width)| width + 1).sum::<u16>() - 1;
            assert!(used <= width, "{used} of {width}");
            for needed in
                [Field::Name, Field::Stage, Field::Rows, Field::Backup, Field::Versions, Field::Change, Field::Age]
            {
                assert!(fields.iter().any(|(field, _)| *field == needed), "{needed:?} at {width}");
            }
            for (field, width) in fields {
                assert!(field.heading().len() <= usize::from(width), "{field:?} at {width}");
            }
        }
        let at_80: Vec<_> = Field::shown(80).into_iter().map(|(field, _)| field).collect();
        for needed in [Field::Bytes, Field::Records, Field::Percent] {
            assert!(at_80.contains(&needed), "{needed:?}");
        }
    }
}
