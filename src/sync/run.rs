//! One run from its lock to its record.

use std::{collections::BTreeMap, fmt, sync::Arc};

use tokio::{
    sync::{Semaphore, mpsc},
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    emitter::Emitter,
    event::{EventRecord, RunEvent},
    fetch::{Fetch, Fetched, Unfetched},
    load::{Counts, load_snapshot},
};
use crate::{
    blue::Client,
    clock::Clock,
    entity::{Endpoint, Entity, MAPPING_VERSION},
    green::{Begun, Database, GreenError, LiveVersion, Prepared, Retention, RunStart, Session},
    report::{DiffCounts, Operator, RunOutcome, SnapshotId, SyncReport, Trigger},
};

/// Endpoints whose rows are parsed at the same time; one thread inserts for all.
const PARALLEL_LOADS: usize = 2;

/// What a run needs from outside.
#[derive(Clone)]
pub struct SyncContext {
    /// The target.
    pub database: Database,
    /// The source.
    pub client: Client,
    /// The clock.
    pub clock: Clock,
    /// A number in 0..1 for each delay between attempts.
    pub jitter: Arc<dyn Fn() -> f64 + Send + Sync>,
    /// How many snapshots and runs are kept.
    pub retention: Retention,
}

impl fmt::Debug for SyncContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SyncContext").field("database", &self.database).finish_non_exhaustive()
    }
}

/// What is asked of a run.
#[derive(Clone, Debug)]
pub struct SyncRequest {
    /// What starts it.
    pub trigger: Trigger,
    /// Who starts it.
    pub operator: Operator,
    /// Load also what the source sent unchanged.
    pub force: bool,
}

/// Runs a full sync and reports how it ended; every step of it is also sent to `events`.
///
/// `cancel` ends it at any moment before the publish, leaving everything as it was.
///
/// # Errors
/// When the run could not begin, such as [`GreenError::Locked`] while another one goes on. Once it began, whatever happens
/// is an outcome in the report.
pub async fn run(
    context: &SyncContext,
    request: SyncRequest,
    events: mpsc::UnboundedSender<EventRecord>,
    cancel: CancellationToken,
) -> Result<SyncReport, GreenError> {
    let at = context.clock.now();
    let start = RunStart {
        trigger: request.trigger,
        source: context.client.config().shown(),
        operator: request.operator.clone(),
        at,
    };
    let (session, Begun { live, dead }) = Session::begin(&context.database, start).await?;
    let emitter = Emitter::begin(session, context, &request, at, &live, events);
    if !dead.is_empty() {
        emitter.emit(RunEvent::FoundInterrupted { runs: dead });
    }
    let live = live.into_iter().map(|(version, _)| version).collect();
    let run = Run { context: context.clone(), request, emitter: Arc::new(emitter), live: Arc::new(live), cancel };
    let (outcome, error) = run.execute().await;
    Ok(run.emitter.finish(outcome, error, context.retention).await)
}

/// A run that began.
#[derive(Clone)]
struct Run {
    context: SyncContext,
    request: SyncRequest,
    emitter: Arc<Emitter>,
    live: Arc<Vec<LiveVersion>>,
    cancel: CancellationToken,
}

/// How one endpoint's part ended.
enum Part {
    /// Entities to publish; none when the endpoint sent what is live.
    Prepared(Vec<Prepared>),
    /// It failed for good.
    Failed(String),
    /// It was given up, because of a cancel or because the run cannot be published any more.
    GivenUp,
}

impl Run {
    async fn execute(&self) -> (RunOutcome, Option<String>) {
        let (prepared, failures) = self.prepare().await;
        if self.cancel.is_cancelled() {
            return (RunOutcome::Cancelled, Some(GreenError::Cancelled.to_string()));
        }
        if !failures.is_empty() {
            return (RunOutcome::Failed, Some(failures.join("; ")));
        }
        if prepared.is_empty() {
            return (RunOutcome::Unchanged, None);
        }
        match self.publish(prepared).await {
            Ok(()) => (RunOutcome::Published, None),
            Err(error @ GreenError::Cancelled) => (RunOutcome::Cancelled, Some(error.to_string())),
            Err(error) => (RunOutcome::Failed, Some(error.to_string())),
        }
    }

    /// Fetches and loads all endpoints. After the first that fails for good the others are still fetched, so that the
    /// report names all that fail, but no longer loaded.
    async fn prepare(&self) -> (Vec<Prepared>, Vec<String>) {
        let stop_loading = self.cancel.child_token();
        let fetch_slots = Arc::new(Semaphore::new(self.context.client.config().concurrency.max(1)));
        let load_slots = Arc::new(Semaphore::new(PARALLEL_LOADS));
        let deadline = Instant::now() + self.context.client.config().deadline;
        let mut parts = JoinSet::new();
        let mut endpoints = BTreeMap::new();
        for endpoint in Endpoint::ALL {
            let (run, stop) = (self.clone(), stop_loading.clone());
            let (fetch_slots, load_slots) = (fetch_slots.clone(), load_slots.clone());
            let part = parts.spawn(async move {
                let part = run.endpoint(endpoint, &fetch_slots, &load_slots, deadline, &stop).await;
                if matches!(part, Part::Failed(_)) {
                    stop.cancel();
                }
                part
            });
            endpoints.insert(part.id(), endpoint);
        }
        let mut prepared = Vec::new();
        let mut failures = Vec::new();
        while let Some(part) = parts.join_next_with_id().await {
            match part {
                Ok((_, Part::Prepared(entities))) => prepared.extend(entities),
                Ok((_, Part::Failed(error))) => failures.push(error),
                Ok((_, Part::GivenUp)) => {}
                Err(panic) => {
                    stop_loading.cancel();
                    let endpoint = endpoints.get(&panic.id()).map_or("a step", |endpoint| endpoint.key());
                    failures.push(format!("{endpoint}: {}", panic_message(panic)));
                }
            }
        }
        prepared.sort_by_key(|entity| entity.entity);
        (prepared, failures)
    }

    async fn endpoint(
        &self,
        endpoint: Endpoint,
        fetch_slots: &Semaphore,
        load_slots: &Semaphore,
        deadline: Instant,
        stop: &CancellationToken,
    ) -> Part {
        let fetch = Fetch {
            client: &self.context.client,
            emitter: &self.emitter,
            slots: fetch_slots,
            deadline,
            cancel: &self.cancel,
            jitter: &*self.context.jitter,
        };
        let fetched = match fetch.body(endpoint).await {
            Ok(fetched) => fetched,
            Err(Unfetched::Cancelled) => return Part::GivenUp,
            Err(Unfetched::Source(error)) => return self.endpoint_failed(endpoint, error),
            Err(Unfetched::Database(error)) => return self.endpoint_failed(endpoint, format!("{endpoint}: {error}")),
        };
        if !self.request.force && self.is_live(endpoint, &fetched) {
            for entity in endpoint.entities() {
                self.emitter.emit(RunEvent::Unchanged { entity: *entity });
            }
            return Part::Prepared(Vec::new());
        }
        let Ok(_slot) = load_slots.acquire().await else { return Part::GivenUp };
        match self.load(endpoint, fetched.staged.snapshot, stop).await {
            Ok(Some(prepared)) => Part::Prepared(prepared),
            Ok(None) => Part::GivenUp,
            Err(_) if stop.is_cancelled() => Part::GivenUp,
            Err(error) => {
                let error = error.to_string();
                for entity in endpoint.entities() {
                    self.emitter.emit(RunEvent::LoadFailed { entity: *entity, error: error.clone() });
                }
                Part::Failed(format!("{endpoint}: {error}"))
            }
        }
    }

    fn endpoint_failed(&self, endpoint: Endpoint, error: String) -> Part {
        self.emitter.emit(RunEvent::EndpointFailed { endpoint, error: error.clone() });
        Part::Failed(error)
    }

    /// Whether the live rows of all entities of `endpoint` were made from this very body by the mapping rules in force.
    fn is_live(&self, endpoint: Endpoint, fetched: &Fetched) -> bool {
        endpoint.entities().iter().all(|entity| {
            let live = &self.live[entity.index()];
            live.active_hash.as_ref() == Some(&fetched.summary.hash)
                && live.active_origin.mapping == Some(MAPPING_VERSION)
        })
    }

    /// Loads a snapshot, counts its rows and compares them with the live ones; `None` when it was told to stop.
    async fn load(
        &self,
        endpoint: Endpoint,
        snapshot: SnapshotId,
        stop: &CancellationToken,
    ) -> Result<Option<Vec<Prepared>>, GreenError> {
        if stop.is_cancelled() {
            return Ok(None);
        }
        let session = self.emitter.session();
        for entity in endpoint.entities() {
            self.emitter.emit(RunEvent::Loading { entity: *entity, elements: 0, records: 0 });
        }
        session.open_load(endpoint.entities()).await?;
        let (emitter, stopped) = (self.emitter.clone(), stop.clone());
        let loading = blocking(move || load_snapshot(&emitter, endpoint, snapshot, &stopped));
        let Some(counts) = loading.await? else { return Ok(None) };
        let mut prepared = Vec::new();
        for entity in endpoint.entities() {
            let sealing = session.seal_load(*entity);
            let rows = tokio::select! {
                rows = sealing => rows?,
                () = self.cancel.cancelled() => {
                    session.interrupt();
                    return Ok(None);
                }
            };
            let counts = counts.get(entity).copied().unwrap_or_default();
            check_balance(*entity, counts, rows)?;
            let live = &self.live[entity.index()];
            let rows_before = self.emitter.rows_before(*entity);
            let diff = match live.active {
                0 => DiffCounts { added: rows, ..DiffCounts::default() },
                active => tokio::select! {
                    diff = session.compare(*entity, active) => diff?,
                    () = stop.cancelled() => return Ok(None),
                },
            };
            self.emitter.emit(RunEvent::Ready {
                entity: *entity,
                records: counts.records,
                rows,
                duplicates: counts.duplicates,
                quarantined: counts.quarantined,
                notes: counts.notes,
                diff: Some(diff),
            });
            prepared.push(Prepared { entity: *entity, snapshot, rows, rows_before, diff: Some(diff) });
        }
        Ok(Some(prepared))
    }

    async fn publish(&self, prepared: Vec<Prepared>) -> Result<(), GreenError> {
        let begun = Instant::now();
        let now = self.emitter.now();
        let cancel = self.cancel.clone();
        let cancelled = move || cancel.is_cancelled();
        let (steps, operator) = (self.emitter.steps(), self.request.operator.clone());
        let publication = self.emitter.session().publish(prepared, steps, operator, now, cancelled).await?;
        self.emitter.emit(RunEvent::Published {
            publication: publication.report.id,
            switches: publication.switches,
            duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        Ok(())
    }
}

/// Records in = rows + duplicates + quarantined, the rows counted by the database and not by us.
fn check_balance(entity: Entity, counts: Counts, rows: u64) -> Result<(), GreenError> {
    let Counts { records, duplicates, quarantined, .. } = counts;
    if records == rows + duplicates + quarantined {
        return Ok(());
    }
    Err(GreenError::Unbalanced { entity: entity.name(), records, rows, duplicates, quarantined })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, GreenError> + Send + 'static,
) -> Result<T, GreenError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            // The endpoint's own task ends with it and names it.
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(GreenError::WriterGone),
        },
    }
}

fn panic_message(error: JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "was stopped".to_owned() };
    let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("defect in greenroom: {}", message.unwrap_or_else(|| "panic without a message".to_owned()))
}
