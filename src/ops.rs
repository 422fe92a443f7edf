//! The one set of operations that console, command line and every later face turn their input into.

mod adoption;
mod app_migration;
mod export;
mod others;
mod service;
mod triggers;
mod watch;

use std::{fmt, io, path::PathBuf, sync::Arc};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    blue::{Client, SourceConfig},
    clock::Clock,
    entity::{Endpoint, Entity},
    green::{Database, DiffSubject, GreenError, HoldRule, Page, Retention, RollbackOptions, RowsQuery, SnapshotParts},
    guard::{Acceptance, GuardLimits},
    report::{
        CleanupReport, DiffReport, EntityDetail, HoldChange, HoldEffect, HoldReport, Operator, PublicationId,
        PublishPlan, Replay, RollbackPlan, RollbackReport, RollbackTarget, RowsReport, RunId, RunReport, RunSummary,
        SnapshotId, SnapshotReport, StatusReport, SyncReport, Trigger,
    },
    sync::{self, Bodies, EventRecord, Line, Scope, StagedBodies, SyncContext},
};

pub use self::{
    adoption::{adopt, plan_adoption},
    app_migration::AppMigration,
    watch::Watching,
};
pub use crate::sync::SyncOptions;

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
    #[error("the operation ended unexpectedly, which is a defect in greenroom; `greenroom status` shows what is live")]
    Panicked,
}

/// What is asked of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayOptions {
    /// The run whose snapshots are taken.
    pub run: RunId,
    /// What for.
    pub replay: Replay,
    /// Stop before the publish.
    pub dry_run: bool,
    /// Guards that may trip.
    pub accept: Vec<Acceptance>,
    /// The newest publication that the operator was shown; the run fails when it finds another. `None` does not look.
    pub expected: Option<Option<PublicationId>>,
    /// What becomes of the hold.
    pub hold: HoldRule,
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
    limits: GuardLimits,
    line: Line,
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
        let (clock, retention, limits) = (Clock::system(), Retention::default(), GuardLimits::default());
        Self { database, source, operator, clock, jitter, retention, limits, line: Line::default() }
    }

    /// The same for an operator who may be cut off.
    #[must_use]
    pub fn with_line(self, line: Line) -> Self {
        Self { line, ..self }
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

    /// The same with other limits for the guards.
    #[must_use]
    pub fn with_limits(self, limits: GuardLimits) -> Self {
        Self { limits, ..self }
    }

    /// The clock in use.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A random number in 0..1.
    #[must_use]
    pub fn random(&self) -> f64 {
        (self.jitter)()
    }

    /// The database in use.
    #[must_use]
    pub fn database_path(&self) -> PathBuf {
        self.database.path().to_owned()
    }

    /// Who asks.
    #[must_use]
    pub fn operator(&self) -> &Operator {
        &self.operator
    }

    /// Address of the source, when one is set.
    #[must_use]
    pub fn source(&self) -> Option<String> {
        self.source.as_ref().map(SourceConfig::shown)
    }

    /// Runs a sync; see [`sync::run`].
    ///
    /// # Errors
    /// When it could not begin. A run that began and failed is a report with that outcome.
    pub async fn sync(
        &self,
        options: SyncOptions,
        events: mpsc::UnboundedSender<EventRecord>,
        cancel: CancellationToken,
    ) -> Result<SyncReport, OperationError> {
        let source = self.source.clone().ok_or(OperationError::NoSource)?;
        let client = Client::new(source).map_err(OperationError::Tls)?;
        self.run_with(Bodies::Source(client), options, events, cancel).await
    }

    /// Publishes what an earlier run staged, or goes back to it: prepares its rows again from the snapshots, with the same
    /// checks as a sync.
    ///
    /// # Errors
    /// When it could not begin, such as when a snapshot is gone. A run that began and failed is a report with that outcome.
    pub async fn replay(
        &self,
        options: ReplayOptions,
        events: mpsc::UnboundedSender<EventRecord>,
        cancel: CancellationToken,
    ) -> Result<SyncReport, OperationError> {
        let ReplayOptions { run, replay, dry_run, accept, expected, hold } = options;
        let snapshots = self.blocking(move |database| database.replay_bodies(run, replay)).await?;
        let entities: Vec<Entity> = snapshots.iter().map(|(entity, _)| *entity).collect();
        let bodies = Bodies::Staged(StagedBodies { run, replay, snapshots });
        let scope = Scope::of(&entities);
        let options = SyncOptions { scope, dry_run, accept, hold, expected, ..SyncOptions::full(Trigger::Replay) };
        self.run_with(bodies, options, events, cancel).await
    }

    async fn run_with(
        &self,
        bodies: Bodies,
        options: SyncOptions,
        events: mpsc::UnboundedSender<EventRecord>,
        cancel: CancellationToken,
    ) -> Result<SyncReport, OperationError> {
        match sync::run(&self.context(bodies), options, events, cancel).await {
            Ok(report) => Ok(report),
            Err(error) => Err(self.with_owner(error).await.into()),
        }
    }

    fn context(&self, bodies: Bodies) -> SyncContext {
        SyncContext {
            database: self.database.clone(),
            bodies,
            operator: self.operator.clone(),
            limits: self.limits.clone(),
            clock: self.clock.clone(),
            jitter: self.jitter.clone(),
            retention: self.retention,
            line: self.line.clone(),
        }
    }

    /// The line to the operator.
    #[must_use]
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// What publishing the held or prepared `run` would do, as far as it is known.
    ///
    /// # Errors
    /// When that run has nothing to publish or a snapshot of it is gone; it then names the runs for which it can be done.
    pub async fn plan_publish(&self, run: RunId) -> Result<PublishPlan, OperationError> {
        self.blocking(move |database| database.plan_publish(run)).await
    }

    /// Keeps runs from publishing until the hold is released.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn hold(&self, reason: String) -> Result<HoldChange, OperationError> {
        let (operator, now) = (self.operator.clone(), self.clock.now());
        let change = self.blocking(move |database| database.hold(&reason, &operator, now)).await?;
        if let (true, Some(hold)) = (change.changed, &change.hold) {
            tracing::info!("the hold is set: {hold}");
        }
        Ok(change)
    }

    /// The hold in force.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn hold_in_force(&self) -> Result<Option<HoldReport>, OperationError> {
        self.blocking(Database::hold_in_force).await
    }

    /// Lets runs publish again. With `shown`, only if that is still the hold in force.
    ///
    /// # Errors
    /// When another hold is in force than was shown, or the database cannot be written.
    pub async fn release(&self, shown: Option<HoldReport>) -> Result<HoldChange, OperationError> {
        let (operator, now) = (self.operator.clone(), self.clock.now());
        let change = self.blocking(move |database| database.release(shown.as_ref(), &operator, now)).await?;
        if let Some(hold) = &change.released {
            tracing::info!("the hold is released; it was {hold}");
        }
        Ok(change)
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

    /// One run as it stands in a list.
    ///
    /// # Errors
    /// When there is no such run.
    pub async fn run_summary(&self, run: RunId) -> Result<RunSummary, OperationError> {
        self.blocking(move |database| database.run_summary(run)).await
    }

    /// The kept events of `run`, which is over, in their order.
    ///
    /// # Errors
    /// When there is no such run.
    pub async fn run_events(&self, run: RunId) -> Result<Vec<EventRecord>, OperationError> {
        self.blocking(move |database| sync::kept_events(database, run)).await
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

    /// How `entities` differ between two states; with `page`, the rows that differ, too. `stop` ends it early.
    ///
    /// # Errors
    /// When the database cannot be read, or a run or snapshot is not there.
    pub async fn diff(
        &self,
        subject: DiffSubject,
        entities: Vec<Entity>,
        page: Option<Page>,
        stop: CancellationToken,
    ) -> Result<DiffReport, OperationError> {
        self.blocking(move |database| database.diff(subject, &entities, page, &stop)).await
    }

    /// Rows of a version of an entity. `stop` ends it early.
    ///
    /// # Errors
    /// When the database cannot be read or there is no such version.
    pub async fn rows(&self, query: RowsQuery, stop: CancellationToken) -> Result<RowsReport, OperationError> {
        self.blocking(move |database| database.rows(&query, &stop)).await
    }

    /// What [`Operations::rollback`] would do now.
    ///
    /// # Errors
    /// When there is nothing to go back to.
    pub async fn plan_rollback(&self, target: RollbackTarget) -> Result<RollbackPlan, OperationError> {
        self.end_dead_app_migration().await?;
        self.blocking(move |database| database.plan_rollback(&target)).await
    }

    /// Takes back what was planned.
    ///
    /// # Errors
    /// When something was published since it was planned. Nothing was switched then.
    pub async fn rollback(
        &self,
        plan: RollbackPlan,
        options: RollbackOptions,
    ) -> Result<RollbackReport, OperationError> {
        let (operator, now) = (self.operator.clone(), self.clock.now());
        let report = self.blocking(move |database| database.rollback(&plan, &options, &operator, now)).await?;
        let (id, count, took) = (report.publication.id, report.entities.len(), report.duration_ms);
        let undone = report.publication.undoes.map_or_else(String::new, |id| format!(" took back publication {id},"));
        tracing::info!("publication {id}:{undone} {count} entities switched in {took} ms");
        if let (HoldEffect::Set, Some(hold)) = (report.hold_effect, &report.hold) {
            tracing::info!("the hold is set: {hold}");
        }
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
        let (retention, operator, now) = (self.retention, self.operator.clone(), self.clock.now());
        let lock = Arc::new(self.blocking(move |database| database.lock_for_cleanup(&operator, now)).await?);
        let held = lock.clone();
        let work = self.blocking(move |database| database.cleanup(retention, &held));
        let report = lock.beating_while(work).await?;
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
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.with_owner(error).await.into()),
            Err(_) => Err(OperationError::Panicked),
        }
    }
}
