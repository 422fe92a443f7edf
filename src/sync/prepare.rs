//! Getting each endpoint's rows prepared: fetched or taken from a snapshot, loaded, counted, compared.

use std::{collections::BTreeMap, sync::Arc};

use tokio::{
    sync::Semaphore,
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    event::RunEvent,
    fetch::{Fetch, Fetched, Unfetched},
    load::{Counts, load_snapshot},
    request::Bodies,
    run::Run,
};
use crate::{
    blue::Client,
    defect,
    entity::{Endpoint, Entity, MAPPING_VERSION},
    green::{GreenError, LiveVersion, Prepared},
    report::{DiffCounts, RunId, SnapshotId},
};

/// Endpoints whose rows are parsed at the same time; one thread inserts for all.
const PARALLEL_LOADS: usize = 2;

/// Entities that are made from one body.
#[derive(Clone, Debug)]
struct Part {
    endpoint: Endpoint,
    entities: Vec<Entity>,
    body: PartBody,
}

#[derive(Clone, Debug)]
enum PartBody {
    Fetched(Box<Client>),
    Staged(SnapshotId),
}

/// How the part of one body ended.
enum Ended {
    /// Entities to publish; none when what is live is the same.
    Prepared(Vec<Prepared>),
    /// It failed for good.
    Failed(String),
    /// It was given up, because of a cancel or because the run cannot be published any more.
    GivenUp,
}

/// How many endpoints are fetched and loaded at the same time, and until when.
struct Slots {
    fetch: Semaphore,
    load: Semaphore,
    deadline: Instant,
}

impl Run {
    /// Prepares all that the run is about; also answers what failed for good.
    ///
    /// After the first failure the other endpoints are still fetched, so that the report names all that fail, but not loaded,
    /// unless a partial publish is wanted.
    pub(super) async fn prepare(&self) -> (Vec<Prepared>, Vec<String>) {
        let stop_loading = self.cancel.child_token();
        let slots = Arc::new(self.slots());
        let mut running = JoinSet::new();
        let mut endpoints = BTreeMap::new();
        for part in self.parts() {
            let (run, stop, slots) = (self.clone(), stop_loading.clone(), slots.clone());
            let endpoint = part.endpoint;
            let task = running.spawn(async move {
                let ended = run.part(&part, &slots, &stop).await;
                if matches!(ended, Ended::Failed(_)) && !run.request.partial {
                    stop.cancel();
                }
                ended
            });
            endpoints.insert(task.id(), endpoint);
        }
        let mut prepared = Vec::new();
        let mut failures = Vec::new();
        let mut is_defect = false;
        while let Some(ended) = running.join_next_with_id().await {
            match ended {
                Ok((_, Ended::Prepared(entities))) => prepared.extend(entities),
                Ok((_, Ended::Failed(error))) => failures.push(error),
                Ok((_, Ended::GivenUp)) => {}
                Err(panic) => {
                    is_defect = true;
                    stop_loading.cancel();
                    let endpoint = endpoints.get(&panic.id()).map_or("a step", |endpoint| endpoint.key());
                    failures.push(format!("{endpoint}: {}", panic_message(panic)));
                }
            }
        }
        if is_defect {
            // No fault of the source that one could leave behind.
            prepared.clear();
        }
        prepared.sort_by_key(|entity| entity.entity);
        failures.sort();
        (prepared, failures)
    }

    fn slots(&self) -> Slots {
        let (concurrency, deadline) = match &self.context.bodies {
            Bodies::Source(client) => (client.config().concurrency.max(1), Instant::now() + client.config().deadline),
            Bodies::Staged(_) => (1, Instant::now()),
        };
        Slots { fetch: Semaphore::new(concurrency), load: Semaphore::new(PARALLEL_LOADS), deadline }
    }

    /// The bodies of the run, in the order of the endpoints.
    fn parts(&self) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        match &self.context.bodies {
            Bodies::Source(client) => {
                for endpoint in Endpoint::ALL {
                    let entities = self.request.scope.of_endpoint(endpoint);
                    if !entities.is_empty() {
                        parts.push(Part { endpoint, entities, body: PartBody::Fetched(Box::new(client.clone())) });
                    }
                }
            }
            Bodies::Staged(staged) => {
                // Two entities of one endpoint may have been made from two of its snapshots.
                let mut by_snapshot: BTreeMap<SnapshotId, Vec<Entity>> = BTreeMap::new();
                for (entity, snapshot) in &staged.snapshots {
                    by_snapshot.entry(*snapshot).or_default().push(*entity);
                }
                for (snapshot, entities) in by_snapshot {
                    let endpoint = entities[0].endpoint();
                    parts.push(Part { endpoint, entities, body: PartBody::Staged(snapshot) });
                }
            }
        }
        parts
    }

    async fn part(&self, part: &Part, slots: &Slots, stop: &CancellationToken) -> Ended {
        let endpoint = part.endpoint;
        let body = match &part.body {
            PartBody::Fetched(client) => self.fetch(client, endpoint, slots).await,
            PartBody::Staged(snapshot) => self.take(part, *snapshot).await.map_err(Unfetched::Database),
        };
        let body = match body {
            Ok(body) => body,
            Err(Unfetched::Cancelled) => return Ended::GivenUp,
            Err(Unfetched::Source(error)) => return self.part_failed(part, error),
            Err(Unfetched::Database(error)) => return self.part_failed(part, format!("{endpoint}: {error}")),
        };
        match self.is_unchanged(part, &body).await {
            Ok(true) => return Ended::Prepared(Vec::new()),
            Ok(false) => {}
            Err(error) => return self.part_failed(part, format!("{endpoint}: {error}")),
        }
        let Ok(_slot) = slots.load.acquire().await else { return Ended::GivenUp };
        match self.load(part, &body, stop).await {
            Ok(Some(prepared)) => Ended::Prepared(prepared),
            Ok(None) => Ended::GivenUp,
            Err(_) if stop.is_cancelled() => Ended::GivenUp,
            Err(error) => {
                let error = error.to_string();
                for entity in &part.entities {
                    self.emitter.emit(RunEvent::LoadFailed { entity: *entity, error: error.clone() });
                }
                Ended::Failed(format!("{endpoint}: {error}"))
            }
        }
    }

    fn part_failed(&self, part: &Part, error: String) -> Ended {
        self.emitter.emit(RunEvent::EndpointFailed { endpoint: part.endpoint, error: error.clone() });
        Ended::Failed(error)
    }

    async fn fetch(&self, client: &Client, endpoint: Endpoint, slots: &Slots) -> Result<Fetched, Unfetched> {
        let fetch = Fetch {
            client,
            emitter: &self.emitter,
            slots: &slots.fetch,
            deadline: slots.deadline,
            cancel: &self.cancel,
            jitter: &*self.context.jitter,
            anew: self.request.force,
        };
        fetch.body(endpoint).await
    }

    /// Takes a staged body in place of what the source would send.
    async fn take(&self, part: &Part, snapshot: SnapshotId) -> Result<Fetched, GreenError> {
        let body = self.emitter.session().body(snapshot).await?;
        let (entities, bytes, elements) = (part.entities.clone(), body.bytes, body.elements);
        self.emitter.emit(RunEvent::Replayed { entities, snapshot, bytes, elements });
        Ok(Fetched { snapshot, hash: body.hash })
    }

    /// The run that loaded the rows which the body with this hash makes of `entity`, when they are what is live by the
    /// mapping rules in force.
    fn live_from(&self, entity: Entity, hash: &str) -> Option<RunId> {
        let live = &self.live[entity.index()];
        if !live.is_seen {
            // Publishing puts the view right.
            return None;
        }
        if live.active_hash.as_deref() == Some(hash) && live.active_origin.mapping == Some(MAPPING_VERSION) {
            return live.active_origin.run;
        }
        let same = live.same_rows.as_ref()?;
        (same.hash == hash && same.mapping == MAPPING_VERSION).then_some(same.run)
    }

    /// Whether all that the body makes is live already, which is then told.
    async fn is_unchanged(&self, part: &Part, body: &Fetched) -> Result<bool, GreenError> {
        let live: Vec<_> = part.entities.iter().filter_map(|entity| self.live_from(*entity, &body.hash)).collect();
        if self.request.force || live.len() < part.entities.len() {
            return Ok(false);
        }
        for (entity, loaded_by) in part.entities.iter().zip(live) {
            if let PartBody::Fetched(_) = part.body {
                self.emitter.session().observe_quarantine(*entity, loaded_by, self.emitter.now()).await?;
            }
            self.emitter.emit(RunEvent::Unchanged { entity: *entity });
        }
        Ok(true)
    }

    /// Loads a body, counts its rows and compares them with the live ones; `None` when it was told to stop.
    async fn load(
        &self,
        part: &Part,
        body: &Fetched,
        stop: &CancellationToken,
    ) -> Result<Option<Vec<Prepared>>, GreenError> {
        if stop.is_cancelled() {
            return Ok(None);
        }
        let session = self.emitter.session();
        for entity in &part.entities {
            self.emitter.emit(RunEvent::Loading { entity: *entity, elements: 0, records: 0 });
        }
        session.open_load(part.entities.clone()).await?;
        let (emitter, stopped) = (self.emitter.clone(), stop.clone());
        let (endpoint, entities, snapshot) = (part.endpoint, part.entities.clone(), body.snapshot);
        let loading = blocking(move || load_snapshot(&emitter, endpoint, &entities, snapshot, &stopped));
        let Some(counts) = loading.await? else { return Ok(None) };
        let mut prepared = Vec::new();
        for entity in part.entities.iter().copied() {
            let sealing = session.seal_load(entity);
            let rows = tokio::select! {
                rows = sealing => rows?,
                () = self.cancel.cancelled() => {
                    session.interrupt();
                    return Ok(None);
                }
            };
            let counts = counts.get(&entity).copied().unwrap_or_default();
            check_balance(entity, counts, rows)?;
            if let PartBody::Fetched(_) = part.body {
                session.observe_quarantine(entity, session.run(), self.emitter.now()).await?;
            }
            let Some((diff, same)) = self.compare(entity, rows, stop).await? else { return Ok(None) };
            if same {
                session.remember_same_rows(entity, body.hash.clone()).await?;
            }
            self.emitter.emit(RunEvent::Ready {
                entity,
                records: counts.records,
                rows,
                duplicates: counts.duplicates,
                quarantined: counts.quarantined,
                notes: counts.notes,
                diff: Some(diff),
                same,
            });
            if !same {
                let rows_before = self.emitter.step(entity).rows_before;
                prepared.push(Prepared { entity, snapshot, rows, rows_before, diff: Some(diff) });
            }
        }
        Ok(Some(prepared))
    }

    /// The difference to the live rows, and whether there is none and nothing is to be switched.
    async fn compare(
        &self,
        entity: Entity,
        rows: u64,
        stop: &CancellationToken,
    ) -> Result<Option<(DiffCounts, bool)>, GreenError> {
        let LiveVersion { active, is_seen, .. } = self.live[entity.index()];
        if active == 0 {
            return Ok(Some((DiffCounts { added: rows, ..DiffCounts::default() }, false)));
        }
        let compared = tokio::select! {
            compared = self.emitter.session().compare(entity, active) => compared?,
            () = stop.cancelled() => return Ok(None),
        };
        Ok(Some((compared.counts, compared.same && is_seen && !self.request.force)))
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
    format!("defect in greenroom: {}", defect::message(&*panic))
}
