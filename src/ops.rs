//! The one set of operations that console, command line and every later face turn their input into.

use std::{fmt, io, path::PathBuf, sync::Arc};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    blue::{Client, SourceConfig},
    clock::Clock,
    entity::{Endpoint, Entity},
    green::{Database, GreenError, Retention, SnapshotParts},
    report::{
        CleanupReport, DiffReport, EntityDetail, Operator, PublicationId, RollbackPlan, RollbackReport, RunId,
        RunReport, RunSummary, SnapshotId, SnapshotReport, StatusReport, SyncReport, Trigger,
    },
    sync::{self, EventRecord, SyncContext, SyncRequest},
};

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// The database refused.
    #[error(transparent)]
    Green(#[from] GreenError),
    /// No source is set.
    #[error("no source is set; give --source-url or SOURCE_API_URL, such as https://blue.example.com")]
    NoSource,
    /// The client could not be made.
    #[error("cannot set up TLS: {0}; check the system's certificates")]
    Tls(#[source] reqwest::Error),
    /// Output could not be written.
    #[error("cannot write: {0}")]
    Output(#[source] io::Error),
    /// The operation's thread panicked.
    #[error("the operation ended unexpectedly; this is a defect in greenroom")]
    Panicked,
}

/// Where operations work and who asks for them.
#[derive(Clone)]
pub struct Operations {
    database: Database,
    source: Option<SourceConfig>,
    operator: Operator,
    clock: Clock,
    jitter: Arc<dyn Fn() -> f64 + Send + Sync>,
    retention: Retention,
}

impl fmt::Debug for Operations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Operations").field("database", &self.database).finish_non_exhaustive()
    }
}

impl Operations {
    /// Operations on `database` on behalf of `operator`, by the system's clock. Without a `source` only `sync` is refused.
    #[must_use]
    pub fn new(database: Database, source: Option<SourceConfig>, operator: Operator) -> Self {
        let jitter = Arc::new(fastrand::f64);
        Self { database, source, operator, clock: Clock::system(), jitter, retention: Retention::default() }
    }

    /// The same with another clock and other randomness for the delays between attempts.
    #[must_use]
    pub fn with_seams(self, clock: Clock, jitter: Arc<dyn Fn() -> f64 + Send + Sync>) -> Self {
        Self { clock, jitter, ..self }
    }

    /// The same, keeping more or less.
    #[must_use]
    pub fn with_retention(self, retention: Retention) -> Self {
        Self { retention, ..self }
    }

    /// The clock in use.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The database in use.
    #[must_use]
    pub fn database_path(&self) -> PathBuf {
        self.database.path().to_owned()
    }

    /// Address of the source, when one is set.
    #[must_use]
    pub fn source(&self) -> Option<String> {
        self.source.as_ref().map(SourceConfig::shown)
    }

    /// Runs a full sync; see [`sync::run`].
    ///
    /// # Errors
    /// When it could not begin. A run that began and failed is a report with that outcome.
    pub async fn sync(
        &self,
        trigger: Trigger,
        force: bool,
        events: mpsc::UnboundedSender<EventRecord>,
        cancel: CancellationToken,
    ) -> Result<SyncReport, OperationError> {
        let source = self.source.clone().ok_or(OperationError::NoSource)?;
        let context = SyncContext {
            database: self.database.clone(),
            client: Client::new(source).map_err(OperationError::Tls)?,
            clock: self.clock.clone(),
            jitter: self.jitter.clone(),
            retention: self.retention,
        };
        let request = SyncRequest { trigger, operator: self.operator.clone(), force };
        Ok(sync::run(&context, request, events, cancel).await?)
    }

    /// What is live, what runs and what ran last.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn status(&self) -> Result<StatusReport, OperationError> {
        let source = self.source();
        self.blocking(move |database| database.status(source)).await
    }

    /// The newest `limit` runs, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn runs(&self, limit: u64) -> Result<Vec<RunSummary>, OperationError> {
        self.blocking(move |database| database.runs(limit)).await
    }

    /// One run with its steps, attempts and quarantine.
    ///
    /// # Errors
    /// When there is no such run.
    pub async fn run(&self, run: RunId) -> Result<RunReport, OperationError> {
        self.blocking(move |database| database.run(run)).await
    }

    /// The kept snapshots, of one endpoint or of all.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn history(&self, endpoint: Option<Endpoint>) -> Result<Vec<SnapshotReport>, OperationError> {
        self.blocking(move |database| database.snapshots(endpoint)).await
    }

    /// Writes the body of `snapshot` to `output`, piece by piece.
    ///
    /// # Errors
    /// When there is no such snapshot or `output` fails.
    pub fn body(&self, snapshot: SnapshotId, output: &mut impl io::Write) -> Result<(), OperationError> {
        SnapshotParts::open(&self.database, snapshot)?.write_to(output)?.map_err(OperationError::Output)
    }

    /// Snapshots, last steps and quarantine of `entity`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn detail(&self, entity: Entity) -> Result<EntityDetail, OperationError> {
        self.blocking(move |database| database.detail(entity)).await
    }

    /// How the live rows of `entities` differ from their backups; with `rows`, the first so many rows of each.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn diff(&self, entities: Vec<Entity>, rows: Option<u64>) -> Result<DiffReport, OperationError> {
        self.blocking(move |database| database.diff(&entities, rows)).await
    }

    /// What [`Operations::rollback`] would do now.
    ///
    /// # Errors
    /// When there is nothing to go back to.
    pub async fn plan_rollback(&self) -> Result<RollbackPlan, OperationError> {
        self.blocking(Database::plan_rollback).await
    }

    /// Undoes the newest publication, which must still be `expected`.
    ///
    /// # Errors
    /// When something was published since it was planned. Nothing was switched then.
    pub async fn rollback(&self, expected: PublicationId) -> Result<RollbackReport, OperationError> {
        let (operator, now) = (self.operator.clone(), self.clock.now());
        let report = self.blocking(move |database| database.rollback(expected, &operator, now)).await?;
        let (id, count, took) = (report.publication.id, report.entities.len(), report.duration_ms);
        tracing::info!("publication {id}: took back publication {expected}, {count} entities switched in {took} ms");
        Ok(report)
    }

    /// What [`Operations::cleanup`] would remove.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn plan_cleanup(&self) -> Result<CleanupReport, OperationError> {
        let retention = self.retention;
        self.blocking(move |database| database.plan_cleanup(retention)).await
    }

    /// Removes what is no longer needed and gives its space back.
    ///
    /// # Errors
    /// When a run goes on or the database cannot be written.
    pub async fn cleanup(&self) -> Result<CleanupReport, OperationError> {
        let retention = self.retention;
        let report = self.blocking(move |database| database.cleanup(retention, &database.lock()?)).await?;
        let freed = report.bytes_before.saturating_sub(report.bytes_after);
        let (snapshots, leftovers, runs) = (report.snapshots.len(), report.leftovers.len(), report.runs);
        tracing::info!(
            "cleanup: {snapshots} snapshots, {leftovers} leftover tables, {runs} runs removed, {freed} bytes given back"
        );
        Ok(report)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, GreenError> + Send + 'static,
    ) -> Result<T, OperationError> {
        let database = self.database.clone();
        match tokio::task::spawn_blocking(move || work(&database)).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(OperationError::Panicked),
        }
    }
}
