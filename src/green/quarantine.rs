//! Records that could not become rows, and values that were left out of rows.

use jiff::Timestamp;
use rusqlite::{Connection, Row, ToSql, params};

use super::{
    database::Database,
    error::{Doing, GreenError},
    journal,
    sql::{Millis, time, word},
};
use crate::{
    entity::{
        Endpoint, Entity, Position,
        harvest::{NotedValue, Quarantined},
    },
    report::{QuarantineList, QuarantineRecord, QuarantineReport, RunId, SnapshotId},
};

/// Entries of one kind that are kept for an entity and run. The rest is counted; the snapshot holds the records anyway.
pub const KEPT: u64 = 1_000;

/// Keeps records and notes of `endpoint`, in a transaction of the caller's.
pub(super) fn keep(
    connection: &Connection,
    run: RunId,
    snapshot: SnapshotId,
    endpoint: Endpoint,
    records: &[Quarantined],
    notes: &[NotedValue],
) -> Result<(), GreenError> {
    let doing = "keeping quarantined records";
    let mut insert = connection
        .prepare_cached(
            "INSERT INTO sync_quarantine (run_id, snapshot_id, endpoint, entity, record, item, column_name, reason, body, \
             hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )
        .doing(doing)?;
    for kept in records {
        let Position { record, item } = kept.position;
        let column: Option<&str> = None;
        insert
            .execute(params![
                run,
                snapshot,
                endpoint.key(),
                kept.entity.name(),
                record,
                item,
                column,
                kept.reason,
                kept.record,
                fingerprint(kept.entity.name(), None, &kept.reason, &kept.record)
            ])
            .doing(doing)?;
    }
    for kept in notes {
        let Position { record, item } = kept.position;
        insert
            .execute(params![
                run,
                snapshot,
                endpoint.key(),
                kept.entity.name(),
                record,
                item,
                kept.note.column,
                kept.note.problem,
                kept.record,
                fingerprint(kept.entity.name(), Some(kept.note.column), &kept.note.problem, &kept.record)
            ])
            .doing(doing)?;
    }
    Ok(())
}

/// What is kept of `run`, records before notes, at most `limit` entries.
pub(super) fn list(connection: &Connection, run: RunId, limit: u64) -> Result<Vec<QuarantineReport>, GreenError> {
    select(connection, "*", "run_id = ?1", params![run, limit])
}

/// What is kept of one entity's part of `run`, records before notes, at most `limit` entries, with the beginnings of the
/// records.
pub(super) fn list_entity(
    connection: &Connection,
    run: RunId,
    entity: Entity,
    limit: u64,
) -> Result<Vec<QuarantineReport>, GreenError> {
    let columns = "endpoint, entity, record, item, column_name, reason, substr(body, 1, 1000) AS body";
    select(connection, columns, "run_id = ?1 AND entity = ?3", params![run, limit, entity.name()])
}

fn select(
    connection: &Connection,
    columns: &str,
    condition: &str,
    values: &[&dyn ToSql],
) -> Result<Vec<QuarantineReport>, GreenError> {
    let doing = "reading the quarantine";
    let sql = format!(
        "SELECT {columns} FROM sync_quarantine WHERE {condition} ORDER BY column_name IS NOT NULL, id LIMIT ?2"
    );
    let mut statement = connection.prepare(&sql).doing(doing)?;
    let rows = statement
        .query_map(values, |row| {
            Ok(QuarantineReport {
                endpoint: word(row, "endpoint", |key| key.parse().ok())?,
                entity: word(row, "entity", |name| name.parse().ok())?,
                position: Position { record: row.get("record")?, item: row.get("item")? },
                column: row.get("column_name")?,
                reason: row.get("reason")?,
                record: row.get("body")?,
            })
        })
        .doing(doing)?;
    rows.collect::<rusqlite::Result<_>>().doing(doing)
}

/// Identity of a record through the runs, whatever its place in the body.
fn fingerprint(entity: &str, column: Option<&str>, reason: &str, body: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in [entity, column.unwrap_or_default(), reason, body] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().into()
}

/// Takes note of what `run` met in `entity`: the records that the load of `loaded` kept, be that `run` itself or the earlier
/// run whose body came again.
///
/// What was met before and not this time is gone since `run`, unless there were too many to keep all.
pub(super) fn observe(
    connection: &Connection,
    run: RunId,
    entity: Entity,
    loaded: RunId,
    at: Timestamp,
) -> Result<(), GreenError> {
    let doing = "keeping account of the quarantine";
    let (records, notes): (u64, u64) = connection
        .query_row(
            "SELECT count(*) FILTER (WHERE column_name IS NULL), count(column_name) FROM sync_quarantine \
             WHERE run_id = ?1 AND entity = ?2",
            params![loaded, entity.name()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .doing(doing)?;
    let kept_all = records < KEPT && notes < KEPT;
    let mut select = connection
        .prepare_cached(
            "SELECT endpoint, column_name, reason, body FROM sync_quarantine WHERE run_id = ?1 AND entity = ?2",
        )
        .doing(doing)?;
    let mut upsert = connection
        .prepare_cached(
            "INSERT INTO sync_quarantine_records (hash, endpoint, entity, column_name, reason, body, first_run, first_at, \
             last_run, last_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?7, ?8) \
             ON CONFLICT (hash) DO UPDATE SET last_run = ?7, last_at = ?8, gone_run = NULL",
        )
        .doing(doing)?;
    let mut rows = select.query(params![loaded, entity.name()]).doing(doing)?;
    while let Some(row) = rows.next().doing(doing)? {
        let read = || -> rusqlite::Result<(String, Option<String>, String, String)> {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        };
        let (endpoint, column, reason, body) = read().doing(doing)?;
        let hash = fingerprint(entity.name(), column.as_deref(), &reason, &body);
        upsert.execute(params![hash, endpoint, entity.name(), column, reason, body, run, Millis(at)]).doing(doing)?;
    }
    if kept_all {
        connection
            .execute(
                "UPDATE sync_quarantine_records SET gone_run = ?1 WHERE entity = ?2 AND gone_run IS NULL AND last_run < ?1",
                params![run, entity.name()],
            )
            .doing(doing)?;
    }
    Ok(())
}

/// Forgets records that are gone since a run that is itself forgotten, and of each entity all but the newest gone ones.
pub(super) fn forget_gone(connection: &Connection) -> Result<(), GreenError> {
    connection
        .execute(
            "DELETE FROM sync_quarantine_records WHERE gone_run IS NOT NULL AND (gone_run NOT IN (SELECT id FROM sync_runs) \
             OR hash IN (SELECT hash FROM (SELECT hash, row_number() OVER (PARTITION BY entity ORDER BY gone_run DESC, hash) \
              AS place FROM sync_quarantine_records WHERE gone_run IS NOT NULL) WHERE place > ?1))",
            [KEPT],
        )
        .doing("forgetting old quarantined records")?;
    Ok(())
}

/// Which quarantined records are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuarantineQuery {
    /// Of these entities; of all when there are none.
    pub entities: Vec<Entity>,
    /// What this run met; otherwise what the newest run met.
    pub run: Option<RunId>,
    /// Also what the source does not send any more; without meaning for the records of one run.
    pub gone: bool,
    /// How many at most.
    pub limit: u64,
    /// So many characters of each record only; `None` for the whole of it.
    pub excerpt: Option<u32>,
}

impl QuarantineQuery {
    /// What is counted, and what is selected in which order.
    fn sql(&self) -> (String, String) {
        let names: Vec<_> = self.entities.iter().map(|entity| format!("'{}'", entity.name())).collect();
        let of_entities =
            if names.is_empty() { String::new() } else { format!(" AND entity IN ({})", names.join(", ")) };
        let body =
            |name: &str| self.excerpt.map_or_else(|| name.to_owned(), |most| format!("substr({name}, 1, {most})"));
        if let Some(run) = self.run {
            let of_run = format!("SELECT * FROM sync_quarantine WHERE run_id = {run}{of_entities}");
            let rows = format!(
                "SELECT q.endpoint, q.entity, q.column_name, q.reason, {} AS body, q.record, q.item, \
                 coalesce(r.first_run, q.run_id) AS first_run, coalesce(r.first_at, s.started_at) AS first_at, \
                 coalesce(r.last_run, q.run_id) AS last_run, coalesce(r.last_at, s.started_at) AS last_at, r.gone_run \
                 FROM ({of_run}) AS q JOIN sync_runs AS s ON s.id = q.run_id \
                 LEFT JOIN sync_quarantine_records AS r ON r.hash = q.hash ORDER BY q.column_name IS NOT NULL, q.id",
                body("q.body")
            );
            return (of_run, rows);
        }
        let gone = if self.gone { "" } else { " AND gone_run IS NULL" };
        let all = format!("SELECT * FROM sync_quarantine_records WHERE 1{gone}{of_entities}");
        let rows = format!(
            "SELECT endpoint, entity, column_name, reason, {} AS body, first_run, first_at, last_run, last_at, gone_run, \
             NULL AS record, NULL AS item FROM ({all}) \
             ORDER BY gone_run IS NOT NULL, column_name IS NOT NULL, entity, first_run, hash",
            body("body")
        );
        (all, rows)
    }
}

impl Database {
    /// Quarantined records and notes with the runs that met them first and last, records before notes.
    ///
    /// # Errors
    /// When the database cannot be read or there is no such run.
    pub fn quarantine(&self, query: &QuarantineQuery) -> Result<QuarantineList, GreenError> {
        let mut records = Vec::new();
        let total = self.each_quarantined(query, |record| {
            records.push(record);
            true
        })?;
        Ok(QuarantineList { total, records })
    }

    /// Hands the same records to `take` one after the other, until that says no.
    ///
    /// # Returns
    /// How many there are, whatever the limit.
    ///
    /// # Errors
    /// As [`Database::quarantine`].
    pub fn each_quarantined(
        &self,
        query: &QuarantineQuery,
        mut take: impl FnMut(QuarantineRecord) -> bool,
    ) -> Result<u64, GreenError> {
        let doing = "reading the quarantine";
        let mut connection = self.reader()?;
        let transaction = connection.transaction().doing(doing)?;
        if let Some(run) = query.run {
            journal::run(&transaction, run)?;
        }
        let (counted, rows) = query.sql();
        let total =
            transaction.query_row(&format!("SELECT count(*) FROM ({counted})"), [], |row| row.get(0)).doing(doing)?;
        let mut statement = transaction.prepare(&format!("{rows} LIMIT ?1")).doing(doing)?;
        let mut rows = statement.query([query.limit]).doing(doing)?;
        while let Some(row) = rows.next().doing(doing)? {
            if !take(record(row).doing(doing)?) {
                break;
            }
        }
        Ok(total)
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<QuarantineRecord> {
    let place: Option<u64> = row.get("record")?;
    let item = row.get("item")?;
    Ok(QuarantineRecord {
        endpoint: word(row, "endpoint", |key| key.parse().ok())?,
        entity: word(row, "entity", |name| name.parse().ok())?,
        column: row.get("column_name")?,
        reason: row.get("reason")?,
        first_run: row.get("first_run")?,
        first_seen_at: time(row, "first_at")?,
        last_run: row.get("last_run")?,
        last_seen_at: time(row, "last_at")?,
        gone_since_run: row.get("gone_run")?,
        position: place.map(|record| Position { record, item }),
        record: row.get("body")?,
    })
}
