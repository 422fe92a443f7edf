//! Rows that differ between two tables of one entity.

use rusqlite::{Connection, Row, params, types::ValueRef};
use tokio_util::sync::CancellationToken;

use super::{
    database::Database,
    error::{Doing, GreenError},
    journal, load,
    schema::{self, Place, version_table},
    snapshot::SnapshotParts,
    sql::quoted,
    status,
};
use crate::{
    entity::{Entity, Harvest, MAPPING_VERSION},
    report::{
        ColumnDiff, DiffCounts, DiffReport, DiffSide, EntityDiff, RowChange, RowDiff, RunId, SnapshotId, StepReport,
        Version,
    },
};

/// Columns that both tables have, `id` first; a backup made by an older greenroom may lack some.
fn common_columns(
    connection: &Connection,
    entity: Entity,
    before: &str,
    after: &str,
) -> Result<Vec<&'static str>, GreenError> {
    let doing = "reading the columns of a table";
    let mut statement = connection
        .prepare("SELECT (SELECT count(*) FROM pragma_table_info(?1) WHERE name = ?3) + (SELECT count(*) FROM pragma_table_info(?2) WHERE name = ?3)")
        .doing(doing)?;
    let mut common = Vec::new();
    for column in entity.table().columns {
        let tables: i64 = statement.query_row(params![before, after, column.name], |row| row.get(0)).doing(doing)?;
        if tables == 2 {
            common.push(column.name);
        }
    }
    Ok(common)
}

fn differs(columns: &[&str]) -> String {
    let each = columns.iter().skip(1).map(|name| format!("o.{0} IS NOT n.{0}", quoted(name)));
    let each = each.collect::<Vec<_>>().join(" OR ");
    if each.is_empty() { "0".to_owned() } else { format!("({each})") }
}

/// How two tables of one entity compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Rows that differ.
    pub counts: DiffCounts,
    /// Whether columns, rows and their order are the same, so that no reader could tell one from the other.
    pub same: bool,
}

/// Compares table `before` with table `after`.
pub(super) fn compare(
    connection: &Connection,
    entity: Entity,
    before: &str,
    after: &str,
) -> Result<Comparison, GreenError> {
    let columns = common_columns(connection, entity, before, after)?;
    // Rows were inserted one after the other into empty tables, so their rowids are their places.
    let sql = format!(
        "SELECT count(*) FILTER (WHERE o.id IS NULL), count(*) FILTER (WHERE n.id IS NULL), \
         count(*) FILTER (WHERE o.id = n.id AND {}), count(*) FILTER (WHERE o.rowid <> n.rowid) \
         FROM {} AS o FULL OUTER JOIN {} AS n ON o.id = n.id",
        differs(&columns),
        quoted(before),
        quoted(after)
    );
    connection
        .query_row(&sql, [], |row| {
            let counts = DiffCounts { added: row.get(0)?, removed: row.get(1)?, changed: row.get(2)? };
            let moved: u64 = row.get(3)?;
            let same = counts.is_empty() && moved == 0 && columns.len() == entity.table().columns.len();
            Ok(Comparison { counts, same })
        })
        .doing("comparing two versions")
}

/// Rows that differ, removed and changed ones in the order of `before`, then added ones; one `page` of them.
fn rows(
    connection: &Connection,
    entity: Entity,
    before: &str,
    after: &str,
    page: Page,
) -> Result<Vec<RowDiff>, GreenError> {
    let doing = "comparing two versions";
    let columns = common_columns(connection, entity, before, after)?;
    let both = columns.iter().map(|name| format!("o.{0}, n.{0}", quoted(name))).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT {both} FROM {} AS o FULL OUTER JOIN {} AS n ON o.id = n.id \
         WHERE o.id IS NULL OR n.id IS NULL OR {} LIMIT ?1 OFFSET ?2",
        quoted(before),
        quoted(after),
        differs(&columns)
    );
    let mut statement = connection.prepare(&sql).doing(doing)?;
    let rows = statement.query_map([page.limit, page.offset], |row| row_diff(row, &columns)).doing(doing)?;
    rows.collect::<rusqlite::Result<_>>().doing(doing)
}

fn row_diff(row: &Row<'_>, columns: &[&'static str]) -> rusqlite::Result<RowDiff> {
    let before_id: Option<String> = row.get(0)?;
    let after_id: Option<String> = row.get(1)?;
    let change = match (&before_id, &after_id) {
        (None, _) => RowChange::Added,
        (_, None) => RowChange::Removed,
        _ => RowChange::Changed,
    };
    let mut differing = Vec::new();
    for (place, column) in columns.iter().enumerate().skip(1) {
        let before = json(row.get_ref(2 * place)?);
        let after = json(row.get_ref(2 * place + 1)?);
        if before != after {
            differing.push(ColumnDiff { column: (*column).to_owned(), before, after });
        }
    }
    Ok(RowDiff { id: after_id.or(before_id).unwrap_or_default(), change, columns: differing })
}

/// A value as JSON; what is no text is taken for it as far as that goes.
pub(super) fn json(value: ValueRef<'_>) -> serde_json::Value {
    match value {
        ValueRef::Null => serde_json::Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into(),
    }
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiffSubject {
    /// From the backup to the live version.
    Backup,
    /// From the live version to what a run staged, be it published, held or prepared only.
    Run(RunId),
    /// From one snapshot of an endpoint to another.
    Snapshots(SnapshotId, SnapshotId),
}

/// Which of the rows that differ are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many are left out first.
    pub offset: u64,
    /// How many are listed at most.
    pub limit: u64,
}

/// Puts the rows that `snapshot` makes of `entity` into a temporary table.
///
/// # Returns
/// Its name.
fn materialize(
    database: &Database,
    connection: &mut Connection,
    entity: Entity,
    snapshot: SnapshotId,
    stop: &CancellationToken,
) -> Result<String, GreenError> {
    let doing = "preparing a snapshot for comparison";
    let name = format!("{entity}_snapshot_{snapshot}");
    let mut parts = SnapshotParts::open(database, snapshot)?;
    if parts.endpoint() != entity.endpoint() {
        let (what, id, command) = ("snapshot of this endpoint with number", snapshot, "history");
        return Err(GreenError::NotFound { what, id, command });
    }
    load::open(connection, Place::Temporary, &name, entity, &snapshot.to_string())?;
    let mut harvest = Harvest::new(&[entity]);
    let transaction = connection.transaction().doing(doing)?;
    let hand_over = |harvest: &mut Harvest| {
        let (batches, ..) = harvest.take();
        load::insert_into(&transaction, &|_| name.clone(), &batches)
    };
    let whole = parts.each_element(|element, place| {
        entity.endpoint().transform(element, place, &mut harvest);
        if harvest.weight() >= MATERIALIZED_AT_ONCE {
            hand_over(&mut harvest)?;
        }
        Ok(!stop.is_cancelled())
    })?;
    hand_over(&mut harvest)?;
    transaction.commit().doing(doing)?;
    if whole { Ok(name) } else { Err(GreenError::Stopped) }
}

/// Bytes of rows that are inserted at once.
const MATERIALIZED_AT_ONCE: usize = 1024 * 1024;

/// What is compared, as far as it can be read before the entities are looked at.
enum Resolved {
    Backup,
    Snapshots(SnapshotId, SnapshotId),
    /// The steps of a run, and whether what it compared with is still live.
    Run(Vec<StepReport>, bool),
}

impl Resolved {
    fn of(connection: &Connection, subject: DiffSubject) -> Result<Self, GreenError> {
        Ok(match subject {
            DiffSubject::Backup => Self::Backup,
            DiffSubject::Snapshots(from, to) => Self::Snapshots(from, to),
            DiffSubject::Run(run) => {
                journal::run(connection, run)?;
                let is_current = journal::base(connection, run)? == status::newest_publication_id(connection)?;
                Self::Run(journal::steps(connection, run)?, is_current)
            }
        })
    }

    /// What `entity` is compared with what; `None` for the entities that the subject says nothing about.
    fn sides(&self, connection: &Connection, entity: Entity) -> Result<Option<Sides>, GreenError> {
        let live = status::live(connection, entity)?;
        let (active, backup) = (live.active, live.backup);
        let sides = |from, to, known| Ok(Some(Sides { active, backup, from, to, known }));
        let (steps, is_current) = match self {
            Self::Backup => return sides(DiffSide::Version(backup), DiffSide::Version(active), None),
            Self::Snapshots(from, to) => return sides(DiffSide::Snapshot(*from), DiffSide::Snapshot(*to), None),
            Self::Run(steps, is_current) => (steps, *is_current),
        };
        let step = steps.iter().find(|step| step.entity == entity);
        let Some((snapshot, diff)) = step.and_then(|step| Some((step.snapshot?, step.diff))) else { return Ok(None) };
        let origin = live.active_origin;
        let is_live = origin.snapshot == Some(snapshot) && origin.mapping == Some(MAPPING_VERSION);
        let known = if is_live { Some(DiffCounts::default()) } else { diff.filter(|_| is_current) };
        sides(DiffSide::Version(active), DiffSide::Snapshot(snapshot), known)
    }
}

/// What one entity is compared with what, and the counts where they are known without looking.
#[derive(Clone, Copy)]
struct Sides {
    active: Version,
    backup: Version,
    from: DiffSide,
    to: DiffSide,
    known: Option<DiffCounts>,
}

impl Database {
    /// Rows added, removed and changed in `entities`, and with `page` the rows themselves. Entities that `subject` says
    /// nothing about are left out. Takes about 2 s at a million rows between versions, and some seconds more for each million
    /// rows that have to be made from a snapshot, which the counts of a run that was just prepared need not. `stop` ends it
    /// early.
    ///
    /// # Errors
    /// When the database cannot be read, a run or snapshot is not there, or [`GreenError::Stopped`].
    pub fn diff(
        &self,
        subject: DiffSubject,
        entities: &[Entity],
        page: Option<Page>,
        stop: &CancellationToken,
    ) -> Result<DiffReport, GreenError> {
        let mut connection = self.stoppable_reader(stop)?;
        let subject = Resolved::of(&connection, subject)?;
        let mut compared = Vec::new();
        for entity in entities.iter().copied() {
            if let Some(sides) = subject.sides(&connection, entity)? {
                compared.push(self.compare_sides(&mut connection, entity, sides, page, stop)?);
            }
        }
        Ok(DiffReport { entities: compared })
    }

    fn compare_sides(
        &self,
        connection: &mut Connection,
        entity: Entity,
        sides: Sides,
        page: Option<Page>,
        stop: &CancellationToken,
    ) -> Result<EntityDiff, GreenError> {
        let Sides { active: active_version, backup: backup_version, from, to, known } = sides;
        let mut diff = EntityDiff { entity, active_version, backup_version, from, to, counts: None, rows: None };
        if known.is_some_and(|counts| page.is_none() || counts.is_empty()) {
            diff.counts = known;
            diff.rows = page.map(|_| Vec::new());
            return Ok(diff);
        }
        let expected = status::newest_publication_id(connection)?;
        let mut made = |side| match side {
            DiffSide::Version(0) => Ok(None),
            DiffSide::Version(version) => Ok(Some(version_table(entity, version))),
            DiffSide::Snapshot(snapshot) => materialize(self, connection, entity, snapshot, stop).map(Some),
        };
        // One snapshot against itself needs its table once only.
        let before = made(from)?;
        let after = if from == to { before.clone() } else { made(to)? };
        let transaction = connection.transaction().doing("comparing two versions")?;
        let (now_active, _) = status::metadata(&transaction, entity)?.unwrap_or_default();
        if [from, to].contains(&DiffSide::Version(active_version)) && now_active != active_version {
            // What was live when it began is not any more, and must not be called so.
            return Err(GreenError::Moved { newest: status::newest_publication_id(&transaction)?, expected });
        }
        if let (Some(before), Some(after)) = (&before, &after) {
            diff.counts = Some(compare(&transaction, entity, before, after)?.counts);
            if let Some(page) = page {
                diff.rows = Some(rows(&transaction, entity, before, after, page)?);
            }
        } else if let (None, Some(after)) = (&before, &after)
            && matches!(to, DiffSide::Snapshot(_))
        {
            // Nothing is live yet: all of it is new.
            let added = schema::count(&transaction, after)?;
            diff.counts = Some(DiffCounts { added, ..DiffCounts::default() });
        }
        drop(transaction);
        for (side, table) in [(from, before), (to, after)] {
            if let (DiffSide::Snapshot(_), Some(table)) = (side, table) {
                schema::drop_table(connection, &table)?;
            }
        }
        Ok(diff)
    }
}
