//! What is done about runs whose process died or does not answer, and what the next start has to tell.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{
    app_migration, cleanup,
    database::Database,
    error::{Doing, GreenError},
    fail, journal,
    lock::{self, Holder, Owner, RunLock},
    reserve, schema,
    sql::Millis,
};
use crate::{
    failpoint::Failpoint,
    process,
    report::{Operator, RunId, RunOutcome, RunSummary, Work},
};

/// What is said of a run whose process died.
pub(super) const DIED: &str = "its process ended before it was done; nothing was switched";

/// Puts the views back that a migration of the application left tables in the place of, marks dead runs as interrupted and
/// clears away what they left, but for their complete snapshots; to be called by the owner of the run lock only.
pub(super) fn recover(
    database: &Database,
    connection: &mut Connection,
    at: Timestamp,
) -> Result<Vec<RunId>, GreenError> {
    for note in reserve::with_room(database, || app_migration::close(connection))? {
        tracing::warn!("{note}");
    }
    let dead = reserve::with_room(database, || journal::interrupt_dead(connection, at))?;
    fail::reach(connection, Failpoint::RecoverMarked)?;
    if let Err(error) = cleanup::clear_away(connection) {
        if !error.is_lack_of_space() {
            return Err(error);
        }
        // What is to be cleared away takes the very space that this needs.
        cleanup::clear_away_when_full(database, connection)?;
    }
    Ok(dead)
}

impl Database {
    /// The right to clear away what dead runs left, when they left something and nobody is at work; see
    /// [`Database::recover`]. Writes nothing.
    ///
    /// # Errors
    /// When the database cannot be read or the lock file cannot be used.
    pub fn lock_for_recovery(&self, operator: &Operator, at: Timestamp) -> Result<Option<RunLock>, GreenError> {
        let reader = self.reader()?;
        let is_migrating = app_migration::open_one(&reader)?.is_some();
        if !is_migrating && journal::unfinished(&reader)?.is_none() && schema::leftovers(&reader)?.is_empty() {
            return Ok(None);
        }
        match RunLock::acquire(self, Work::Recovery, operator, at) {
            Ok(lock) => Ok(Some(lock)),
            Err(GreenError::Locked { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Marks runs whose process died as interrupted and clears away what they left, but for their complete snapshots.
    ///
    /// # Returns
    /// The runs that were marked.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn recover(&self, _lock: &RunLock, at: Timestamp) -> Result<Vec<RunId>, GreenError> {
        recover(self, &mut self.writer()?, at)
    }

    /// Writes down that `operator` wants the run that goes on to end, or `only` this one. It cannot publish from then on.
    ///
    /// # Returns
    /// The run; `None` when none has no outcome, or another one.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn ask_to_end(
        &self,
        only: Option<RunId>,
        operator: &Operator,
        at: Timestamp,
    ) -> Result<Option<RunId>, GreenError> {
        let doing = "asking the run to end";
        lock::check_readable(self)?;
        let connection = self.writer()?;
        let Some(run) = journal::unfinished(&connection)? else { return Ok(None) };
        if only.is_some_and(|only| only != run.id) {
            return Ok(None);
        }
        let ask = || {
            let asked = connection.query_row(
                // The first who asks is named.
                "UPDATE sync_runs SET cancel_user = coalesce(cancel_user, ?2), cancel_host = coalesce(cancel_host, ?3), \
                 cancel_pid = coalesce(cancel_pid, ?4), cancel_at = coalesce(cancel_at, ?5) \
                 WHERE id = ?1 AND outcome IS NULL RETURNING id",
                params![run.id, operator.user, operator.host, operator.pid, Millis(at)],
                |row| row.get(0),
            );
            asked.optional().doing(doing)
        };
        reserve::with_room(self, ask)
    }

    /// Ends the process `silent`, at once, if it has the run lock still and has not shown itself since. `asked` says whether
    /// the wish that its run ends is written down.
    ///
    /// # Errors
    /// [`GreenError::CannotEnd`] when that is not for this process to do.
    pub fn end_owner(&self, silent: &Owner, operator: &Operator, asked: bool) -> Result<(), GreenError> {
        let cannot = |why: String| GreenError::CannotEnd { owner: silent.report(None).to_string(), why, asked };
        if silent.operator.host != operator.host {
            return Err(cannot(format!("its host is {}, this one is {}", silent.operator.host, operator.host)));
        }
        let Some(began) = silent.process_began else {
            return Err(cannot("it does not say when its process began".to_owned()));
        };
        match lock::holder(self) {
            Holder::Nobody => return Ok(()),
            Holder::Known(owner) if owner == *silent => {}
            Holder::Known(_) | Holder::Unknown => return Err(cannot("it answers, or another has the lock".to_owned())),
        }
        match process::kill(silent.operator.pid, began) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(cannot(error.to_string())),
            _ => Ok(()),
        }
    }

    /// Runs that ended while nobody was there to read how: those whose operator was gone and those whose process died.
    /// Newest first; each is answered once.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn take_untold(&self) -> Result<Vec<RunSummary>, GreenError> {
        let doing = "reading what happened";
        if journal::untold(&self.reader()?)?.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.writer()?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
        let untold = journal::untold(&transaction)?;
        transaction.execute("UPDATE sync_runs SET untold = 0 WHERE untold AND outcome IS NOT NULL", []).doing(doing)?;
        transaction.commit().doing(doing)?;
        Ok(untold)
    }

    /// Says of a run without an outcome whose process is gone that it was interrupted, as the next run will record.
    pub(super) fn with_dead(&self, run: RunSummary) -> RunSummary {
        if run.outcome.is_some() || lock::is_alive(self, run.id) {
            return run;
        }
        // It may have ended since it was read; who gave the lock back has written that down.
        match self.reader().and_then(|reader| journal::run(&reader, run.id)) {
            Ok(ended) if ended.outcome.is_some() => ended,
            _ => RunSummary { outcome: Some(RunOutcome::Interrupted), error: Some(DIED.to_owned()), ..run },
        }
    }
}
