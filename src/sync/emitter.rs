//! The one place through which all events of a run go.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{sync::mpsc, time::Instant};

use super::{
    event::{EntityBefore, EventRecord, RunEvent},
    request::{SyncContext, SyncOptions},
    state::RunState,
    step::StepState,
};
use crate::{
    clock::Clock,
    entity::Entity,
    green::{JournalEntry, LiveVersion, Retention, RunEnd, Session},
    report::{Operator, RecordCounts, RunOutcome, StepReport, SyncReport},
};

/// Shortest time between two reports of progress on one endpoint.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Gives each event its number and time, folds it into the run's state, and passes it on to journal, log and face.
#[derive(Debug)]
pub(super) struct Emitter {
    session: Session,
    clock: Clock,
    events: mpsc::UnboundedSender<EventRecord>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    seq: u64,
    state: RunState,
    told: BTreeMap<(bool, Entity), Instant>,
}

impl Emitter {
    /// Tells the first event, which happened at the time that the run's record has for its start.
    pub(super) fn begin(
        session: Session,
        context: &SyncContext,
        request: &SyncOptions,
        at: Timestamp,
        live: &[(LiveVersion, u64)],
        events: mpsc::UnboundedSender<EventRecord>,
    ) -> Self {
        let of_run = Entity::ALL.into_iter().zip(live).filter(|(entity, _)| request.scope.contains(*entity));
        let entities = of_run.map(|(entity, (live, rows))| EntityBefore {
            entity,
            active_version: live.active,
            backup_version: live.backup,
            rows: *rows,
            made_from: live.made_from.unwrap_or(RecordCounts { records: *rows, ..RecordCounts::default() }),
        });
        let event = RunEvent::Started {
            trigger: request.trigger,
            operator: context.operator.clone(),
            requested_by: request.requested.as_ref().map(|requested| requested.by.clone()),
            source: context.bodies.shown(),
            based_on: session.base(),
            entities: entities.collect(),
            left_alone: request.scope.left_alone(),
            dry_run: request.dry_run,
            replay: context.bodies.replay().map(|(replay, _)| replay),
            replay_of: context.bodies.replay().map(|(_, run)| run),
        };
        let record = EventRecord { run: session.run(), seq: 1, at, event };
        let state = RunState::begin(&record).unwrap_or_else(|| unreachable!("the event is a Started"));
        let inner = Mutex::new(Inner { seq: 1, state, told: BTreeMap::new() });
        let emitter = Self { session, clock: context.clock.clone(), events, inner };
        emitter.pass_on(record);
        emitter
    }

    /// The run's hold on the database.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The steps as they are now.
    pub(super) fn steps(&self) -> Vec<StepReport> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).state.report().entities
    }

    /// The step of `entity` as it is now.
    pub(super) fn step(&self, entity: Entity) -> StepReport {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.state.step(entity).map_or_else(|| StepReport::new(entity), StepState::report)
    }

    /// Who asked the run to end from another process.
    pub(super) fn cancel_asked_by(&self) -> Option<Operator> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).state.cancel_asked_by.clone()
    }

    /// Tells an event.
    pub(super) fn emit(&self, event: RunEvent) {
        // The lock is held while the event is passed on, so that all consumers see the order of the numbers.
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.seq += 1;
        let record = EventRecord { run: self.session.run(), seq: inner.seq, at: self.now(), event };
        inner.state.apply(&record);
        self.pass_on(record);
    }

    /// Tells of progress, unless it was told a moment ago.
    pub(super) fn progress(&self, event: RunEvent) {
        let key = match &event {
            RunEvent::Receiving { endpoint, .. } => (false, endpoint.entities()[0]),
            RunEvent::Loading { entity, .. } => (true, *entity),
            _ => return self.emit(event),
        };
        let now = Instant::now();
        {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            if inner.told.get(&key).is_some_and(|last| now.duration_since(*last) < PROGRESS_INTERVAL) {
                return;
            }
            inner.told.insert(key, now);
        }
        self.emit(event);
    }

    fn pass_on(&self, record: EventRecord) {
        self.session.record(journal_entry(&record));
        self.tell(record);
    }

    fn tell(&self, record: EventRecord) {
        record.event.log(&format!("run {}", record.run));
        // A face that is gone does not end the run.
        let _ = self.events.send(record);
    }

    /// Ends the run: the last event, the record in the journal, and everything that is not needed any more cleared away.
    ///
    /// How the run ended is told in any case; that it could not be recorded is part of it.
    pub(super) async fn finish(&self, outcome: RunOutcome, error: Option<String>, retention: Retention) -> SyncReport {
        let (mut record, mut report) = {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            let event = RunEvent::Ended { outcome, error: error.clone() };
            inner.seq += 1;
            let record = EventRecord { run: self.session.run(), seq: inner.seq, at: self.now(), event };
            inner.state.apply(&record);
            (record, inner.state.report())
        };
        let steps = report.entities.clone();
        let end = RunEnd { outcome, error: error.clone(), at: record.at, steps, event: journal_entry(&record) };
        match self.session.end(end, retention).await {
            Ok(true) => {}
            Ok(false) => {
                let readers = self.session.database().wal_readers();
                let names: Vec<_> = readers.iter().map(ToString::to_string).collect();
                let who = if names.is_empty() { "another process".to_owned() } else { names.join(", ") };
                tracing::warn!(
                    "run {}: {who} keeps an old state of the database open; the write-ahead log grows until that ends",
                    self.session.run()
                );
            }
            Err(failure) => {
                let unrecorded = format!("the end of the run could not be recorded: {failure}");
                let error = error.map_or(unrecorded.clone(), |error| format!("{error}; {unrecorded}"));
                record.event = RunEvent::Ended { outcome, error: Some(error.clone()) };
                report.run.error = Some(error);
            }
        }
        // Told last: who hears of the end finds the run recorded and the lock about to be free.
        self.tell(record);
        report
    }
}

fn journal_entry(record: &EventRecord) -> JournalEntry {
    JournalEntry {
        seq: record.seq,
        at: record.at,
        passing: record.event.is_passing(),
        event: serde_json::to_string(record).unwrap_or_default(),
        attempt: record.event.attempt(record.at),
        finding: record.event.finding().cloned(),
    }
}
