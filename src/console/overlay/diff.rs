//! What is shown of a difference: read page by page, never as a whole.

use crate::{
    entity::Entity,
    green::{DiffSubject, Page},
    report::{DiffCounts, DiffReport, RowChange, RowDiff, RunId, RunOutcome, SnapshotReport},
    text,
};

/// Rows that are read at once.
const ROWS_AT_ONCE: u64 = 200;

/// Characters of a value that are kept, from shortly before the place where it differs.
const KEPT: usize = 400;

/// Which way a difference is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the older side to the newer one.
    Forward,
    /// From the newer side to the older one, as a rollback goes.
    Back,
}

/// Something that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What is compared.
    pub compared: DiffSubject,
    /// Which way.
    pub direction: Direction,
    /// In words, such as `backup > live`.
    pub title: String,
}

impl Subject {
    /// From the backup to what is live.
    #[must_use]
    pub fn backup() -> Self {
        Self { compared: DiffSubject::Backup, direction: Direction::Forward, title: "backup > live".to_owned() }
    }

    /// From what is live to the backup.
    #[must_use]
    pub fn rollback() -> Self {
        Self { compared: DiffSubject::Backup, direction: Direction::Back, title: "live > backup".to_owned() }
    }

    /// From what is live to what a run staged.
    #[must_use]
    pub fn run(run: RunId, outcome: Option<RunOutcome>) -> Self {
        let outcome = outcome.map_or_else(String::new, |outcome| format!(" ({outcome})"));
        let title = format!("live > run {run}{outcome}");
        Self { compared: DiffSubject::Run(run), direction: Direction::Forward, title }
    }

    /// From each of `snapshots`, newest first, to the one after it.
    pub fn snapshots(snapshots: &[SnapshotReport]) -> impl Iterator<Item = Self> {
        snapshots.windows(2).map(|pair| {
            let (from, to) = (pair[1].id, pair[0].id);
            let title = format!("snapshot {from} > {to}");
            Self { compared: DiffSubject::Snapshots(from, to), direction: Direction::Forward, title }
        })
    }
}

/// One line of a list of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiffLine {
    /// A row that differs.
    Row {
        /// How.
        change: RowChange,
        /// Its id.
        id: String,
    },
    /// A value of the row above.
    Value {
        /// The column.
        column: String,
        /// The value before; `None` for a row that was not there.
        before: Option<String>,
        /// The value after; `None` for a row that is not there any more.
        after: Option<String>,
    },
}

/// Rows that differ.
#[derive(Debug)]
pub struct DiffView {
    /// The entities that can be turned through.
    pub entities: Vec<Entity>,
    /// The one that is shown, as a place among them.
    pub entity: usize,
    /// What can be compared.
    pub subjects: Vec<Subject>,
    /// What is compared, as a place among them.
    pub subject: usize,
    /// Whether the snapshots of the entity are among the subjects.
    pub with_snapshots: bool,
    /// Number of the answer that is waited for.
    pub request: Option<u64>,
    /// How many rows differ, once that is known.
    pub counts: Option<DiffCounts>,
    /// Rows that were read.
    pub rows: u64,
    /// Their lines.
    pub lines: Vec<DiffLine>,
    /// Why there is nothing to show.
    pub note: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// First line shown.
    pub scroll: usize,
}

impl DiffView {
    /// Nothing read yet. Neither list may be empty.
    #[must_use]
    pub fn new(entities: Vec<Entity>, subjects: Vec<Subject>) -> Self {
        Self {
            entities,
            entity: 0,
            subjects,
            subject: 0,
            with_snapshots: false,
            request: None,
            counts: None,
            rows: 0,
            lines: Vec::new(),
            note: None,
            error: None,
            scroll: 0,
        }
    }

    /// The entity that is shown.
    #[must_use]
    pub fn shown_entity(&self) -> Entity {
        self.entities.get(self.entity).copied().unwrap_or(Entity::Talents)
    }

    /// What is compared.
    #[must_use]
    pub fn shown_subject(&self) -> Subject {
        self.subjects.get(self.subject).cloned().unwrap_or_else(Subject::backup)
    }

    /// Forgets what was read.
    pub fn clear(&mut self) {
        (self.request, self.counts, self.rows, self.scroll) = (None, None, 0, 0);
        self.lines.clear();
        (self.note, self.error) = (None, None);
    }

    /// The rows to read next.
    #[must_use]
    pub fn next_page(&self) -> Page {
        Page { offset: self.rows, limit: ROWS_AT_ONCE }
    }

    /// How many rows differ.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.counts.map(|counts| counts.added + counts.removed + counts.changed)
    }

    /// Whether there are rows that were not read, and nothing keeps them from being read.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.error.is_none() && self.note.is_none() && self.total().is_some_and(|total| self.rows < total)
    }

    /// Takes the next page in.
    pub fn take(&mut self, answer: Result<DiffReport, String>) {
        self.request = None;
        let report = match answer {
            Ok(report) => report,
            Err(error) => {
                self.error = Some(error);
                return;
            }
        };
        let Subject { compared, direction, .. } = self.shown_subject();
        let Some(diff) = report.entities.into_iter().next() else {
            self.note = Some(format!("the run has no rows of {}", self.shown_entity()));
            return;
        };
        let Some(counts) = diff.counts else {
            self.note = Some(match compared {
                DiffSubject::Backup => "there is no backup to compare with".to_owned(),
                _ => format!("{} or {} is not there", diff.from, diff.to),
            });
            return;
        };
        self.counts = Some(if direction == Direction::Back { counts.reversed() } else { counts });
        let Some(rows) = diff.rows else {
            self.note = Some(format!("nothing is live yet: all {} are new", text::count(counts.added, "row", "rows")));
            return;
        };
        // What is read from here on may have changed since; an empty page is the end all the same.
        if rows.is_empty() && self.rows > 0 {
            self.note = Some("no more rows differ".to_owned());
        }
        for row in rows {
            self.rows += 1;
            self.push(row, direction);
        }
    }

    fn push(&mut self, row: RowDiff, direction: Direction) {
        let change = match (direction, row.change) {
            (Direction::Back, RowChange::Added) => RowChange::Removed,
            (Direction::Back, RowChange::Removed) => RowChange::Added,
            (_, change) => change,
        };
        self.lines.push(DiffLine::Row { change, id: text::clean(&row.id).into_owned() });
        for column in row.columns {
            let (before, after) = match direction {
                Direction::Forward => (column.before, column.after),
                Direction::Back => (column.after, column.before),
            };
            let (before, after) = around_difference(&shown(&before), &shown(&after));
            self.lines.push(DiffLine::Value {
                column: column.column,
                before: (change != RowChange::Added).then_some(before),
                after: (change != RowChange::Removed).then_some(after),
            });
        }
    }
}

/// A value on one line.
fn shown(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "NULL".to_owned(),
        other => text::clean(&other.to_string()).into_owned(),
    }
}

/// The part of two values in which they differ, with a little of what comes before.
fn around_difference(before: &str, after: &str) -> (String, String) {
    const LEAD: usize = 8;
    let common = before.chars().zip(after.chars()).take_while(|(one, other)| one == other).count();
    let skipped = if common > 3 * LEAD { common - LEAD } else { 0 };
    let cut = |value: &str| {
        let rest: String = value.chars().skip(skipped).collect();
        let rest = text::shorten(&rest, KEPT);
        if skipped > 0 { format!("…{rest}") } else { rest.into_owned() }
    };
    (cut(before), cut(after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{ColumnDiff, DiffSide, EntityDiff};

    fn report(total: u64, rows: Vec<RowDiff>) -> DiffReport {
        let entity = EntityDiff {
            entity: Entity::Boards,
            active_version: 1,
            backup_version: 2,
            from: DiffSide::Version(2),
            to: DiffSide::Version(1),
            counts: Some(DiffCounts { added: 1, removed: 0, changed: total - 1 }),
            rows: Some(rows),
        };
        DiffReport { entities: vec![entity] }
    }

    fn row(change: RowChange) -> RowDiff {
        let column = ColumnDiff { column: "title".to_owned(), before: "old".into(), after: "new".into() };
        RowDiff { id: "b1".to_owned(), change, columns: vec![column] }
    }

    #[test]
    fn pages_follow_each_other() {
        let mut view = DiffView::new(vec![Entity::Boards], vec![Subject::backup()]);
        assert_eq!(view.next_page(), Page { offset: 0, limit: 200 });
        view.take(Ok(report(3, vec![row(RowChange::Added), row(RowChange::Changed)])));
        assert!(view.has_more());
        assert_eq!(view.next_page().offset, 2);
        view.take(Ok(report(3, vec![row(RowChange::Changed)])));
        assert!(!view.has_more());
        assert_eq!(view.lines.len(), 6);
    }

    #[test]
    fn a_rollback_is_read_backwards() {
        let mut view = DiffView::new(vec![Entity::Boards], vec![Subject::rollback()]);
        view.take(Ok(report(2, vec![row(RowChange::Added), row(RowChange::Changed)])));
        assert_eq!(view.counts, Some(DiffCounts { added: 0, removed: 1, changed: 1 }));
        let value = |before: Option<&str>, after: Option<&str>| DiffLine::Value {
            column: "title".to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let id = "b1".to_owned();
        let expected = [
            DiffLine::Row { change: RowChange::Removed, id: id.clone() },
            value(Some("\"new\""), None),
            DiffLine::Row { change: RowChange::Changed, id },
            value(Some("\"new\""), Some("\"old\"")),
        ];
        assert_eq!(view.lines, expected);
    }

    #[test]
    fn long_values_are_shown_where_they_differ() {
        let long = |end: &str| format!("{}{end}", "a".repeat(1000));
        let (before, after) = around_difference(&long("old"), &long("new"));
        assert_eq!((before.as_str(), after.as_str()), ("…aaaaaaaaold", "…aaaaaaaanew"));
        assert_eq!(around_difference("1", "2"), ("1".to_owned(), "2".to_owned()));
    }
}
