//! Records that could not become rows, and values that were left out of rows.

use rusqlite::{Connection, ToSql, params};

use super::{
    error::{Doing, GreenError},
    sql::word,
};
use crate::{
    entity::{
        Endpoint, Entity, Position,
        harvest::{NotedValue, Quarantined},
    },
    report::{QuarantineReport, RunId, SnapshotId},
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
            "INSERT INTO sync_quarantine (run_id, snapshot_id, endpoint, entity, record, item, column_name, reason, body) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
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
                kept.record
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
                kept.record
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
