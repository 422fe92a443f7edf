//! What is written down, as it is read by faces.

use jiff::Timestamp;

use super::{
    database::Database,
    error::{Doing, GreenError},
    journal,
    lock::RunLock,
    snapshot, status,
};
use crate::{
    entity::Endpoint,
    report::{Operator, RunId, RunReport, RunSummary, SnapshotReport, StepReport, Work},
};

impl Database {
    /// The newest runs, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn runs(&self, limit: u64) -> Result<Vec<RunSummary>, GreenError> {
        let runs = journal::runs(&self.reader()?, limit)?;
        Ok(runs.into_iter().map(|run| self.with_dead(run)).collect())
    }

    /// One run with its steps, attempts and quarantine.
    ///
    /// # Errors
    /// When there is no such run.
    pub fn run(&self, run: RunId) -> Result<RunReport, GreenError> {
        let report = journal::report(&self.reader()?, run)?;
        let was_unfinished = report.run.outcome.is_none();
        let summary = self.with_dead(report.run);
        if was_unfinished && summary.finished_at.is_some() {
            // It ended meanwhile, and its steps with it.
            return journal::report(&self.reader()?, run);
        }
        Ok(RunReport { run: summary, ..report })
    }

    /// The steps of each of `runs`, none for a run that is not kept any more.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn steps(&self, runs: &[RunId]) -> Result<Vec<Vec<StepReport>>, GreenError> {
        let connection = self.reader()?;
        runs.iter().map(|run| journal::steps(&connection, *run)).collect()
    }

    /// One run as it stands in a list.
    ///
    /// # Errors
    /// When there is no such run.
    pub fn run_summary(&self, run: RunId) -> Result<RunSummary, GreenError> {
        Ok(self.with_dead(journal::run(&self.reader()?, run)?))
    }

    /// The kept snapshots, of one endpoint or of all, newest first within each.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn snapshots(&self, endpoint: Option<Endpoint>) -> Result<Vec<SnapshotReport>, GreenError> {
        let mut connection = self.reader()?;
        let transaction = connection.transaction().doing("reading the snapshots")?;
        let in_use = status::snapshots_in_use(&transaction)?;
        snapshot::list(&transaction, endpoint, &in_use)
    }

    /// The right to change what only one process may change at a time, for a cleanup.
    ///
    /// # Errors
    /// [`GreenError::Locked`] with the owner when a run goes on.
    pub fn lock_for_cleanup(&self, operator: &Operator, at: Timestamp) -> Result<RunLock, GreenError> {
        RunLock::acquire(self, Work::Cleanup, operator, at)
    }
}
