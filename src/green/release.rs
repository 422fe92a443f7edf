//! Giving an adopted database back: what the application reads stays, greenroom's own bookkeeping goes, and the old system
//! or a later adoption finds what they look for.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};

use super::{
    adoption, app_migration,
    cleanup::{self, Retention},
    database::{Database, durable, without_foreign_keys},
    error::{Doing, GreenError},
    fail, hold, index_names,
    lock::{self, RunLock},
    migrate, recovery, reserve,
    schema::{self, version_table},
    sql::{quoted, word},
    status,
};
use crate::{
    entity::{Endpoint, Entity},
    failpoint::Failpoint,
    report::{AdoptedEntity, Layout, Operator, ReleaseReport, SnapshotId, Work},
    text,
};

/// How long the other users of the database are waited for when the journal mode is put back.
const PATIENCE: Duration = Duration::from_millis(500);

/// Snapshots in more than one row.
fn in_parts(connection: &Connection) -> Result<Vec<(Endpoint, SnapshotId)>, GreenError> {
    let doing = "reading the snapshots";
    let mut statement = connection
        .prepare("SELECT id, endpoint FROM sync_snapshots WHERE complete AND last_row > first_row ORDER BY id")
        .doing(doing)?;
    let rows = statement
        .query_map([], |row| Ok((word(row, "endpoint", |key| key.parse().ok())?, row.get("id")?)))
        .doing(doing)?;
    rows.collect::<rusqlite::Result<_>>().doing(doing)
}

/// Puts a body into one row.
fn join(connection: &mut Connection, endpoint: Endpoint, snapshot: SnapshotId) -> Result<(), GreenError> {
    let doing = "putting a body into one row";
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
    let table = quoted(&schema::json_table(&transaction, endpoint)?);
    let (first, last): (i64, i64) = transaction
        .query_row("SELECT first_row, last_row FROM sync_snapshots WHERE id = ?1", [snapshot], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .doing(doing)?;
    // Each part is a list in brackets, the last one perhaps an empty one.
    let sql = format!(
        "UPDATE {table} SET data = '[' || coalesce((SELECT group_concat(inner, ',' ORDER BY id) FROM (SELECT id, \
         substr(data, 2, length(data) - 2) AS inner FROM {table} WHERE id BETWEEN ?1 AND ?2) WHERE inner <> ''), '') || ']' \
         WHERE id = ?1"
    );
    transaction.execute(&sql, params![first, last]).doing(doing)?;
    transaction
        .execute(&format!("DELETE FROM {table} WHERE id > ?1 AND id <= ?2"), params![first, last])
        .doing(doing)?;
    transaction.execute("UPDATE sync_snapshots SET last_row = first_row WHERE id = ?1", [snapshot]).doing(doing)?;
    transaction.commit().doing(doing)
}

/// Lets `SyncMetadata` have one row an entity that agrees with the view.
fn settle_metadata(connection: &Connection, at: Timestamp) -> Result<(), GreenError> {
    let (doing, table) = ("writing SyncMetadata", Layout::Prisma.metadata());
    for entity in Entity::ALL {
        let Some((active, backup)) = status::metadata(connection, entity)? else { continue };
        let sql = format!(
            "DELETE FROM {table} WHERE entityName = ?1 AND id < (SELECT max(id) FROM {table} WHERE entityName = ?1)"
        );
        connection.execute(&sql, [entity.name()]).doing(doing)?;
        if let Some(viewed) = schema::viewed_version(connection, entity)?.filter(|viewed| *viewed != active) {
            let backup = if backup == viewed { active } else { backup };
            status::write_metadata(connection, entity, viewed, backup, at)?;
        }
    }
    Ok(())
}

fn entities(connection: &Connection) -> Result<Vec<AdoptedEntity>, GreenError> {
    let state = |entity| {
        let (active_version, backup_version) = status::metadata(connection, entity)?.unwrap_or_default();
        let backup_rows = match backup_version {
            0 => 0,
            version => schema::count(connection, &version_table(entity, version))?,
        };
        let active_rows = schema::count(connection, &schema::view(entity))?;
        let published_at = status::live(connection, entity)?.active_origin.made_at;
        Ok(AdoptedEntity { entity, active_version, backup_version, active_rows, backup_rows, published_at })
    };
    Entity::ALL.into_iter().map(state).collect()
}

/// What goes and what stays, by what there is now.
fn report(connection: &Connection, database: &Database, retention: Retention) -> Result<ReleaseReport, GreenError> {
    let Some((adopted_at, journal_mode)) = adoption::in_force(connection)? else {
        return Err(GreenError::NotReleasable { path: database.path().to_owned() });
    };
    app_migration::check_none(connection)?;
    let old = cleanup::old_snapshots(connection, retention)?;
    let is_kept = |id: SnapshotId| old.iter().all(|old| old.id != id);
    let joined = in_parts(connection)?.into_iter().filter(|(_, id)| is_kept(*id)).count() as u64;
    Ok(ReleaseReport {
        dry_run: true,
        adopted_at,
        runs: schema::count(connection, "sync_runs")?,
        publications: schema::count(connection, "sync_publications")?,
        quarantined: schema::count(connection, "sync_quarantine_records")?,
        hold: hold::in_force(connection)?.map(|hold| hold.to_string()),
        snapshots: schema::count(connection, "sync_snapshots")? - old.len() as u64,
        joined,
        old_snapshots: old.len() as u64,
        indexes: index_names::count_others(connection)?,
        entities: entities(connection)?,
        journal_mode,
        notes: Vec::new(),
    })
}

impl Database {
    /// What [`Database::release_database`] would do. Writes nothing.
    ///
    /// # Errors
    /// [`GreenError::NotReleasable`] when the database was not adopted, [`GreenError::AppMigrating`] while the application
    /// migrates.
    pub fn plan_release(&self, retention: Retention) -> Result<ReleaseReport, GreenError> {
        let mut connection = self.reader()?;
        let transaction = connection.transaction().doing("planning to give the database back")?;
        report(&transaction, self, retention)
    }

    /// The right to give the database back.
    ///
    /// # Errors
    /// [`GreenError::Locked`] with the owner when something else goes on.
    pub fn lock_for_release(&self, operator: &Operator, at: Timestamp) -> Result<RunLock, GreenError> {
        RunLock::acquire(self, Work::Release, operator, at)
    }

    /// Gives an adopted database back: views, versions, `SyncMetadata` and the kept bodies stay as the application knows
    /// them, everything else of greenroom goes. It can be adopted again.
    ///
    /// # Errors
    /// As [`Database::plan_release`]; when it cannot be written. It stays adopted then and can be used as before.
    pub fn release_database(
        &self,
        retention: Retention,
        _lock: &RunLock,
        at: Timestamp,
    ) -> Result<ReleaseReport, GreenError> {
        let mut connection = self.run_writer()?;
        recovery::recover(self, &mut connection, at)?;
        let planned = report(&connection, self, retention)?;
        let mut report = without_foreign_keys(&mut connection, |connection| {
            reserve::with_room(self, || give_back(connection, &planned, retention, at))
        })?;
        fail::reach(&connection, Failpoint::ReleaseCommitted)?;
        // From here on it is given back, whatever may be in the way of the rest.
        let _ = cleanup::checkpoint(&connection).inspect_err(|error| tracing::warn!("{error}"));
        leave_wal(&connection, &mut report);
        drop(connection);
        report.notes.extend(
            lock::remove_side_files(self)
                .into_iter()
                .map(|path| format!("{path} is in use and stays; remove it by hand")),
        );
        Ok(report)
    }
}

fn give_back(
    connection: &mut Connection,
    planned: &ReleaseReport,
    retention: Retention,
    at: Timestamp,
) -> Result<ReleaseReport, GreenError> {
    let doing = "giving the database back";
    let indexes = index_names::restore(connection)?;
    cleanup::prune(connection, retention)?;
    for (endpoint, snapshot) in in_parts(connection)? {
        join(connection, endpoint, snapshot)?;
    }
    fail::reach(connection, Failpoint::ReleaseJoined)?;
    let mut own = migrate::own_tables()?;
    // An adopted database has none of ours.
    own.retain(|table| table != Layout::Standard.metadata());
    durable(connection, |connection| {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
        settle_metadata(&transaction, at)?;
        let entities = entities(&transaction)?;
        own.iter().try_for_each(|table| schema::drop_table(&transaction, table))?;
        transaction.pragma_update(None, "user_version", 0).doing(doing)?;
        fail::reach(&transaction, Failpoint::ReleaseWritten)?;
        transaction.commit().doing(doing)?;
        Ok(ReleaseReport { dry_run: false, indexes, entities, ..planned.clone() })
    })
}

/// Sets the journal mode `wanted`; whether that could be done.
pub(super) fn put_mode_back(connection: &Connection, wanted: &str) -> bool {
    // The name of a journal mode, as SQLite gave it.
    let is_word = wanted.bytes().all(|byte| byte.is_ascii_alphabetic());
    let set = connection.busy_timeout(PATIENCE).and_then(|()| {
        let sql = format!("PRAGMA journal_mode = {}", if is_word { wanted } else { "delete" });
        connection.query_row(&sql, [], |row| row.get::<_, String>(0))
    });
    set.is_ok_and(|mode| mode.eq_ignore_ascii_case(wanted))
}

/// Puts the journal mode back to what it was, unless somebody else has the database open.
fn leave_wal(connection: &Connection, report: &mut ReleaseReport) {
    if report.journal_mode.eq_ignore_ascii_case("wal") {
        return;
    }
    let wanted = report.journal_mode.clone();
    if put_mode_back(connection, &wanted) {
        return;
    }
    "wal".clone_into(&mut report.journal_mode);
    report.notes.push(format!(
        "it stays in WAL mode, as other programs have it open; once they are closed, `PRAGMA journal_mode = {}` puts back \
         what it was in before the adoption",
        text::clean(&wanted)
    ));
}
