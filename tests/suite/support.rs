//! A database of its own for each test, with operations on it that do not dawdle.

use std::{
    collections::BTreeMap,
    env,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use greenroom::{
    blue::{RetryPolicy, SourceConfig},
    clock::Clock,
    entity::{Endpoint, Entity},
    green::{Database, DiffSubject, Page, RollbackOptions},
    guard::Acceptance,
    ops::{OperationError, Operations, ReplayOptions, SyncOptions},
    report::{DiffReport, Operator, RollbackTarget, RunOutcome, StepReport, SyncReport, Trigger},
    sync::{EventRecord, RunEvent},
};
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, types::Value};
use tempfile::TempDir;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    data::{Data, Row},
    fake_blue::FakeBlue,
    invariants,
};

/// A rollback that leaves the hold alone, so that what follows can publish.
pub(crate) const NO_HOLD: RollbackOptions = RollbackOptions { set_hold: false, reason: None };

/// Somebody else, on the same host as the operator of a rig.
pub(crate) fn ben() -> Operator {
    Operator { user: "ben".to_owned(), host: "box".to_owned(), pid: 12 }
}

/// Operations of somebody else on the same database.
pub(crate) fn operations_of(rig: &Rig, operator: Operator) -> Operations {
    let database = Database::open(&rig.path).unwrap();
    Operations::new(database, Some(SourceConfig::new(rig.blue.base())), operator)
        .with_seams(Clock::system(), Arc::new(|| 0.0))
}

/// `blue` as a source that is asked again at once.
pub(crate) fn impatient(blue: &FakeBlue) -> SourceConfig {
    let retry = RetryPolicy { attempts: 3, first: Duration::from_millis(1), longest: Duration::from_millis(2) };
    SourceConfig { retry, ..SourceConfig::new(blue.base()) }
}

/// A number that the environment sets.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    env::var(name).ok().map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value}")))
}

/// Waits for `what`, and gives up on it after a time that only a defect needs.
pub(crate) async fn in_time<T>(what: &str, wait: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(Duration::from_mins(2), wait).await;
    waited.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// A fake source, a database and operations between them.
pub(crate) struct Rig {
    pub(crate) blue: FakeBlue,
    pub(crate) operations: Operations,
    pub(crate) path: PathBuf,
    _folder: TempDir,
}

/// A run that ended: its report and its events.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) report: SyncReport,
    pub(crate) events: Vec<EventRecord>,
}

/// A run that goes on.
pub(crate) struct Running {
    handle: JoinHandle<Result<SyncReport, OperationError>>,
    events: mpsc::UnboundedReceiver<EventRecord>,
    seen: Vec<EventRecord>,
    pub(crate) cancel: CancellationToken,
}

/// All that visitors can see, and all that they cannot but that must not change either.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Picture {
    /// Columns and rows of each view, in the order in which they come, each value with its `typeof`.
    pub(crate) views: BTreeMap<Entity, (Vec<String>, Vec<Row>)>,
    /// Rows of `sync_metadata`, or of what stands for it in an adopted database.
    pub(crate) metadata: Vec<Row>,
    /// Names of all tables and views.
    pub(crate) tables: Vec<Value>,
}

impl Rig {
    /// A new database, mirroring a source that sends `data`.
    pub(crate) async fn new(data: &Data) -> Self {
        Self::tuned(data, |_| {}).await
    }

    /// The same with another patience.
    pub(crate) async fn tuned(data: &Data, tune: impl FnOnce(&mut SourceConfig)) -> Self {
        Self::mirroring(FakeBlue::start(data).await, tune)
    }

    /// A new database, mirroring this source.
    pub(crate) fn mirroring(blue: FakeBlue, tune: impl FnOnce(&mut SourceConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("green.db");
        Self::on(folder, path, blue, tune)
    }

    /// The database at `path`, which is in `folder`, mirroring this source.
    pub(crate) fn on(folder: TempDir, path: PathBuf, blue: FakeBlue, tune: impl FnOnce(&mut SourceConfig)) -> Self {
        let mut source = impatient(&blue);
        tune(&mut source);
        let database = Database::create_or_open(&path).unwrap();
        let operator = Operator { user: "ana".to_owned(), host: "box".to_owned(), pid: 4711 };
        // A clock that moves whenever it is looked at shows where it is looked at twice for the same thing.
        let now = AtomicI64::new(1_700_000_000_000);
        let clock = Clock::from_fn(move || Timestamp::from_millisecond(now.fetch_add(7, Ordering::Relaxed)).unwrap());
        let operations = Operations::new(database, Some(source), operator).with_seams(clock, Arc::new(|| 0.5));
        Self { blue, operations, path, _folder: folder }
    }

    /// The same with other operations.
    pub(crate) fn operated_by(self, operations: Operations) -> Self {
        Self { operations, ..self }
    }

    /// Begins a run.
    pub(crate) fn start(&self) -> Running {
        self.start_with(SyncOptions::full(Trigger::Cli))
    }

    /// The same in another way.
    pub(crate) fn start_with(&self, options: SyncOptions) -> Running {
        self.start_under(options, CancellationToken::new())
    }

    /// A run that is cancelled before it does anything.
    pub(crate) fn start_cancelled(&self) -> Running {
        let cancel = CancellationToken::new();
        cancel.cancel();
        self.start_under(SyncOptions::full(Trigger::Cli), cancel)
    }

    fn start_under(&self, options: SyncOptions, cancel: CancellationToken) -> Running {
        let (sender, events) = mpsc::unbounded_channel();
        let (operations, token) = (self.operations.clone(), cancel.clone());
        let handle = tokio::spawn(async move { operations.sync(options, sender, token).await });
        Running { handle, events, seen: Vec::new(), cancel }
    }

    /// Begins a replay.
    pub(crate) fn start_replay(&self, options: ReplayOptions) -> Running {
        let (sender, events) = mpsc::unbounded_channel();
        let (operations, cancel) = (self.operations.clone(), CancellationToken::new());
        let token = cancel.clone();
        let handle = tokio::spawn(async move { operations.replay(options, sender, token).await });
        Running { handle, events, seen: Vec::new(), cancel }
    }

    /// A whole replay, after which everything that must hold is checked.
    pub(crate) async fn replay(&self, options: ReplayOptions) -> Result<Ran, OperationError> {
        let ran = self.start_replay(options).end().await;
        self.check();
        ran
    }

    /// A whole run, after which everything that must hold is checked.
    pub(crate) async fn sync(&self) -> Ran {
        self.sync_as(SyncOptions::full(Trigger::Cli)).await
    }

    /// The same, loading also what did not change.
    pub(crate) async fn sync_with(&self, force: bool) -> Ran {
        self.sync_as(SyncOptions { force, ..SyncOptions::full(Trigger::Cli) }).await
    }

    /// The same in another way.
    pub(crate) async fn sync_as(&self, options: SyncOptions) -> Ran {
        let ran = self.start_with(options).end().await.unwrap();
        self.check();
        ran
    }

    /// A run that must publish, whatever guards may say.
    pub(crate) async fn publish(&self) -> Ran {
        let accept = vec![Acceptance::All];
        let ran = self.sync_as(SyncOptions { accept, ..SyncOptions::full(Trigger::Cli) }).await;
        assert_eq!(ran.outcome(), RunOutcome::Published, "{:?}", ran.report.run.error);
        ran
    }

    /// Sends `data` and publishes it.
    pub(crate) async fn publish_data(&self, data: &Data) -> Ran {
        self.blue.send(data);
        self.publish().await
    }

    /// Takes the newest publication back.
    pub(crate) async fn roll_back(&self) -> greenroom::report::RollbackReport {
        let plan = self.operations.plan_rollback(RollbackTarget::Newest).await.unwrap();
        let report = self.operations.rollback(plan, NO_HOLD).await.unwrap();
        self.check();
        report
    }

    /// How `entities` differ, with the first rows that do.
    pub(crate) async fn diff(&self, subject: DiffSubject, entities: &[Entity]) -> DiffReport {
        let page = Page { offset: 0, limit: 1000 };
        self.operations.diff(subject, entities.to_vec(), Some(page), CancellationToken::new()).await.unwrap()
    }

    /// Everything that must hold while no run goes on.
    pub(crate) fn check(&self) {
        invariants::check(&self.reader());
    }

    /// A connection of somebody else's that cannot write.
    pub(crate) fn reader(&self) -> Connection {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags(&self.path, flags).unwrap()
    }

    /// A connection of somebody else's that can write.
    pub(crate) fn writer(&self) -> Connection {
        let connection = Connection::open(&self.path).unwrap();
        connection.busy_timeout(Duration::from_mins(1)).unwrap();
        connection
    }

    /// One number.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.reader().query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// What there is to be seen now.
    pub(crate) fn picture(&self) -> Picture {
        let mut connection = self.reader();
        let transaction = connection.transaction().unwrap();
        let views = Entity::ALL.into_iter().map(|entity| {
            let all = format!("SELECT * FROM {entity}_current");
            let columns: Vec<String> = transaction.prepare(&all).unwrap().column_names().map(str::to_owned).collect();
            let values = columns.iter().map(|name| format!("\"{name}\", typeof(\"{name}\")")).collect::<Vec<_>>();
            let rows = query(&transaction, &format!("SELECT {} FROM {entity}_current", values.join(", ")));
            (entity, (columns, rows))
        });
        let views = views.collect();
        let adopted = transaction.prepare("SELECT 1 FROM SyncMetadata").is_ok();
        let metadata = if adopted { "SyncMetadata" } else { "sync_metadata" };
        let metadata = query(&transaction, &format!("SELECT * FROM {metadata} ORDER BY id"));
        let tables = query(&transaction, "SELECT name FROM sqlite_schema WHERE type <> 'index' ORDER BY name");
        Picture { views, metadata, tables: tables.concat() }
    }

    /// Asserts that the view of `entity` holds exactly `expected`, values, storage classes and order.
    pub(crate) fn assert_view(&self, entity: Entity, expected: &[Row]) {
        view_is(&self.reader(), entity, expected);
    }

    /// Asserts that all views hold what `data` says.
    pub(crate) fn assert_views(&self, data: &Data) {
        self.assert_rows(|entity| data.rows(entity));
    }

    /// Asserts that each view holds exactly these rows.
    pub(crate) fn assert_rows<'a>(&self, rows: impl Fn(Entity) -> &'a [Row]) {
        let reader = self.reader();
        for entity in Entity::ALL {
            view_is(&reader, entity, rows(entity));
        }
    }

    /// Active and backup version of `entity` as `sync_metadata` has them.
    pub(crate) fn versions(&self, entity: Entity) -> (i64, i64) {
        let sql = "SELECT activeVersion, backupVersion FROM sync_metadata WHERE entityName = ?1 ORDER BY id DESC";
        self.reader().query_row(sql, [entity.name()], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    }

    /// Asserts that all ten have these versions.
    pub(crate) fn assert_versions(&self, versions: (i64, i64)) {
        for entity in Entity::ALL {
            assert_eq!(self.versions(entity), versions, "{entity}");
        }
    }
}

fn view_is(connection: &Connection, entity: Entity, expected: &[Row]) {
    let found = query(connection, &format!("SELECT * FROM {entity}_current"));
    assert_eq!(found.len(), expected.len(), "rows of {entity}: {found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected, "{entity}");
    }
}

/// All rows of a query, as SQLite has them.
pub(crate) fn query(connection: &Connection, sql: &str) -> Vec<Row> {
    let fail = |error: rusqlite::Error| -> ! { panic!("{sql}: {error}") };
    let mut statement = connection.prepare(sql).unwrap_or_else(|error| fail(error));
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|place| row.get::<_, Value>(place)).collect());
    rows.and_then(Iterator::collect).unwrap_or_else(|error| fail(error))
}

impl Ran {
    /// How it ended.
    pub(crate) fn outcome(&self) -> RunOutcome {
        self.report.run.outcome.unwrap()
    }

    /// What went wrong.
    pub(crate) fn error(&self) -> &str {
        self.report.run.error.as_deref().unwrap()
    }

    /// The step of `entity`.
    pub(crate) fn step(&self, entity: Entity) -> &StepReport {
        self.report.entities.iter().find(|step| step.entity == entity).unwrap()
    }

    /// The attempts at `endpoint` that failed: what went wrong, and the wait that followed.
    pub(crate) fn failed_attempts(&self, endpoint: Endpoint) -> Vec<(String, Option<u64>)> {
        let failed = self.events.iter().filter_map(|record| match &record.event {
            RunEvent::AttemptFailed { endpoint: one, error, retry_in_ms, .. } if *one == endpoint => {
                Some((error.clone(), *retry_in_ms))
            }
            _ => None,
        });
        failed.collect()
    }
}

impl Running {
    /// Waits for an event, and hands it out.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&RunEvent) -> bool) -> RunEvent {
        loop {
            let record = in_time("an event", self.events.recv()).await.unwrap();
            self.seen.push(record.clone());
            if wanted(&record.event) {
                return record.event;
            }
        }
    }

    /// Waits for the end.
    pub(crate) async fn end(mut self) -> Result<Ran, OperationError> {
        let report = in_time("the end of a run", self.handle).await.unwrap()?;
        while let Some(record) = self.events.recv().await {
            self.seen.push(record);
        }
        Ok(Ran { report, events: self.seen })
    }
}
