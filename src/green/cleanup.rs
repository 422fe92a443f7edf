//! Removing what is no longer needed and giving its space back.

use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::{
    database::Database,
    error::{Doing, GreenError},
    fail, journal, load,
    lock::RunLock,
    reserve, schema, snapshot, status,
};
use crate::{
    entity::Endpoint,
    failpoint::Failpoint,
    report::{CleanupReport, SnapshotReport},
};

/// Pages given back in one transaction.
const VACUUM_STEP: u64 = 4_096;

/// How long the log's end waits for readers; the next run tries again.
const CHECKPOINT_WAIT: Duration = Duration::from_secs(1);

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Newest snapshots of each endpoint, beside those behind an active or backup version. At least 1.
    pub snapshots: usize,
    /// Newest runs.
    pub runs: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { snapshots: 3, runs: 200 }
    }
}

/// Snapshots beyond the kept ones.
pub(super) fn old_snapshots(connection: &Connection, retention: Retention) -> Result<Vec<SnapshotReport>, GreenError> {
    let in_use = status::snapshots_in_use(connection)?;
    let mut old = Vec::new();
    for endpoint in Endpoint::ALL {
        let all = snapshot::list(connection, Some(endpoint), &in_use)?;
        old.extend(all.into_iter().skip(retention.snapshots.max(1)).filter(|snapshot| !snapshot.in_use));
    }
    Ok(old)
}

/// Removes snapshots beyond the kept ones.
pub(super) fn prune(connection: &mut Connection, retention: Retention) -> Result<Vec<SnapshotReport>, GreenError> {
    let old = old_snapshots(connection, retention)?;
    for snapshot in &old {
        snapshot::remove(connection, snapshot.endpoint, snapshot.id)?;
    }
    Ok(old)
}

/// Writes the log back into the database file and truncates it.
///
/// # Returns
/// Whether it could be done; a reader inside a long transaction prevents it.
pub(super) fn checkpoint(connection: &Connection) -> Result<bool, GreenError> {
    let doing = "truncating the write-ahead log";
    let patience: u64 = connection.query_row("PRAGMA busy_timeout", [], |row| row.get(0)).doing(doing)?;
    connection.busy_timeout(CHECKPOINT_WAIT).doing(doing)?;
    let truncated = truncate(connection);
    connection.busy_timeout(Duration::from_millis(patience)).doing(doing)?;
    truncated
}

/// Keeps commits from writing the log back by themselves, which lets the file grow and so takes the space on a full disk
/// that is needed for other things.
pub(super) fn leave_log_alone(connection: &Connection) -> Result<(), GreenError> {
    connection.pragma_update(None, "wal_autocheckpoint", 0).doing("setting up the database connection")
}

/// Lets commits write the log back again, as `SQLite` does by default.
pub(super) fn mind_log_again(connection: &Connection) -> Result<(), GreenError> {
    connection.pragma_update(None, "wal_autocheckpoint", 1000).doing("setting up the database connection")
}

fn truncate(connection: &Connection) -> Result<bool, GreenError> {
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
        .map(|busy| busy == 0)
        .or_else(|error| match error.sqlite_error_code() {
            // Another connection writes the log back at this moment.
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Ok(false),
            _ => Err(error),
        })
        .doing("truncating the write-ahead log")
}

/// Gives up to [`VACUUM_STEP`] pages back in one transaction. The statement gives back one page each time that it is stepped.
fn vacuum_step(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({VACUUM_STEP})"))?;
    let mut steps = statement.query([])?;
    while steps.next()?.is_some() {}
    Ok(())
}

/// Gives the free pages back to the disk, in a file that was made by another program by writing all of it anew.
fn give_space_back(connection: &Connection) -> Result<(), GreenError> {
    if !give_pages_back(connection)? {
        connection.execute_batch("VACUUM").doing("giving space back")?;
    }
    Ok(())
}

/// Gives the free pages back to the disk, step by step.
///
/// # Returns
/// Whether the file is made so that this can be done.
pub(super) fn give_pages_back(connection: &Connection) -> Result<bool, GreenError> {
    let doing = "giving space back";
    let free = || connection.query_row("PRAGMA freelist_count", [], |row| row.get::<_, u64>(0)).doing(doing);
    let incremental: i64 = connection.query_row("PRAGMA auto_vacuum", [], |row| row.get(0)).doing(doing)?;
    if incremental != 2 {
        return Ok(false);
    }
    let mut left = free()?;
    while left > 0 {
        vacuum_step(connection).doing(doing)?;
        let now = free()?;
        if now >= left {
            break;
        }
        left = now;
    }
    Ok(true)
}

/// As [`clear_away`], and removes snapshots and runs beyond the kept ones, at the end of a run.
pub(super) fn clear_away_and_prune(connection: &mut Connection, retention: Retention) -> Result<(), GreenError> {
    clear_away(connection)?;
    fail::reach(connection, Failpoint::EndCleared)?;
    prune(connection, retention)?;
    fail::reach(connection, Failpoint::EndPruned)?;
    journal::remove_old(connection, retention.runs).map(drop)
}

/// As [`clear_away`], on a disk that is full because of what is to be cleared away, with the space set aside for that.
pub(super) fn clear_away_when_full(database: &Database, connection: &mut Connection) -> Result<(), GreenError> {
    reserve::release(database);
    leave_log_alone(connection)?;
    let cleared = clear_away(connection);
    if cleared.is_ok() {
        // A smaller file takes the log in; that again makes room for all the rest.
        let _ = give_pages_back(connection).inspect_err(|error| tracing::warn!("{error}"));
    }
    let written = checkpoint(connection).map(drop);
    mind_log_again(connection)?;
    cleared.and(written)
}

/// Removes the tables and bodies that a run left; to be called by the owner of the run lock only.
pub(super) fn clear_away(connection: &mut Connection) -> Result<(), GreenError> {
    load::drop_leftovers(connection)?;
    for (endpoint, unfinished) in snapshot::unfinished(connection)? {
        snapshot::remove(connection, endpoint, unfinished)?;
    }
    Ok(())
}

impl Database {
    /// What [`Database::cleanup`] would remove.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn plan_cleanup(&self, retention: Retention) -> Result<CleanupReport, GreenError> {
        let mut connection = self.reader()?;
        let transaction = connection.transaction().doing("planning a cleanup")?;
        let file = self.file_status(&transaction)?;
        Ok(CleanupReport {
            dry_run: true,
            snapshots: old_snapshots(&transaction, retention)?,
            leftovers: schema::leftovers(&transaction)?,
            runs: journal::count_old(&transaction, retention.runs)?,
            bytes_before: file.bytes,
            bytes_after: file.bytes - file.free_bytes,
        })
    }

    /// Removes snapshots beyond the kept ones, leftovers of dead runs and old runs, and gives their space back.
    ///
    /// Takes a [`RunLock`], as the tables of a living run look like leftovers.
    ///
    /// # Errors
    /// When the database cannot be written. What was removed until then stays removed.
    pub fn cleanup(&self, retention: Retention, _lock: &RunLock) -> Result<CleanupReport, GreenError> {
        // On a full disk a cleanup is the way out.
        let report = reserve::with_room(self, || self.clean_up(retention))?;
        let _ = reserve::make(self).inspect_err(|error| tracing::warn!("after the cleanup: {error}"));
        Ok(report)
    }

    fn clean_up(&self, retention: Retention) -> Result<CleanupReport, GreenError> {
        let mut connection = self.writer()?;
        let bytes_before = self.file_status(&connection)?.bytes;
        let leftovers = schema::leftovers(&connection)?;
        clear_away(&mut connection)?;
        fail::reach(&connection, Failpoint::CleanupCleared)?;
        let snapshots = prune(&mut connection, retention)?;
        fail::reach(&connection, Failpoint::CleanupPruned)?;
        let runs = journal::remove_old(&connection, retention.runs)?;
        give_space_back(&connection)?;
        fail::reach(&connection, Failpoint::CleanupVacuumed)?;
        checkpoint(&connection)?;
        let bytes_after = self.file_status(&connection)?.bytes;
        Ok(CleanupReport { dry_run: false, snapshots, leftovers, runs, bytes_before, bytes_after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_many_pages_back_in_one_transaction() {
        let folder = tempfile::tempdir().unwrap();
        let connection = Connection::open(folder.path().join("green.db")).unwrap();
        connection
            .execute_batch(
                "PRAGMA auto_vacuum = INCREMENTAL; CREATE TABLE t (body); INSERT INTO t VALUES (zeroblob(4000000)); \
                 DELETE FROM t;",
            )
            .unwrap();
        let free = || connection.query_row("PRAGMA freelist_count", [], |row| row.get::<_, u64>(0)).unwrap();
        assert!((500..VACUUM_STEP).contains(&free()));
        vacuum_step(&connection).unwrap();
        assert_eq!(free(), 0);
    }
}
