//! Folds the events of a run into what is shown of it, be the run our own or another process's.

use jiff::Timestamp;

use super::{
    event::{EventRecord, RunEvent},
    step::{Stage, StepState},
};
use crate::{
    entity::{Endpoint, Entity},
    report::{
        DiffCounts, GuardReport, HoldReport, Operator, PublicationId, Replay, RunId, RunOutcome, RunSummary,
        SyncReport, Trigger, asker,
    },
};

/// A run, so far.
#[derive(Clone, Debug, PartialEq)]
pub struct RunState {
    /// Its number.
    pub run: RunId,
    /// Its steps, in the order of [`Entity::ALL`]; only the entities that it is about.
    pub steps: Vec<StepState>,
    /// How it ended.
    pub outcome: Option<RunOutcome>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// What went wrong.
    pub error: Option<String>,
    /// The publication that it made.
    pub publication: Option<PublicationId>,
    /// Guards that tripped.
    pub guards: Vec<GuardReport>,
    /// The hold that stopped its publish.
    pub hold: Option<HoldReport>,
    /// Entities related to those of the run, which it leaves alone.
    pub left_alone: Vec<Entity>,
    /// Whether it is to stop before the publish.
    pub dry_run: bool,
    /// What it is for, for a replay.
    pub replay: Option<Replay>,
    /// The run whose snapshots it takes, for a replay.
    pub replay_of: Option<RunId>,
    /// Who asked it to end from another process.
    pub cancel_asked_by: Option<Operator>,
    /// When the line of its operator dropped.
    pub operator_gone_at: Option<Timestamp>,
    /// Who started it.
    pub operator: Operator,
    /// At whose word, when that was no person at that host.
    pub requested_by: Option<String>,
    trigger: Trigger,
    source: String,
}

impl RunState {
    /// The state after the first event of a run; `None` when `record` is another one.
    #[must_use]
    pub fn begin(record: &EventRecord) -> Option<Self> {
        let RunEvent::Started {
            trigger,
            operator,
            requested_by,
            source,
            entities,
            left_alone,
            dry_run,
            replay,
            replay_of,
            based_on: _,
        } = &record.event
        else {
            return None;
        };
        let steps = entities.iter().map(|before| StepState {
            active_version: before.active_version,
            backup_version: before.backup_version,
            rows_before: before.rows,
            made_from: before.made_from,
            ..StepState::new(before.entity)
        });
        Some(Self {
            run: record.run,
            steps: steps.collect(),
            outcome: None,
            started_at: record.at,
            finished_at: None,
            error: None,
            publication: None,
            guards: Vec::new(),
            hold: None,
            left_alone: left_alone.clone(),
            dry_run: *dry_run,
            replay: *replay,
            replay_of: *replay_of,
            cancel_asked_by: None,
            operator_gone_at: None,
            operator: operator.clone(),
            requested_by: requested_by.clone(),
            trigger: *trigger,
            source: source.clone(),
        })
    }

    /// At whose word it goes: a person, or the program or schedule that triggered it.
    #[must_use]
    pub fn asker(&self) -> String {
        asker(self.trigger, self.requested_by.as_deref(), &self.operator)
    }

    /// The step of `entity`.
    #[must_use]
    pub fn step(&self, entity: Entity) -> Option<&StepState> {
        self.steps.iter().find(|step| step.entity == entity)
    }

    /// How far the run is as a whole, 0 to 1.
    #[must_use]
    pub fn progress(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "at most ten steps")]
        let count = self.steps.len().max(1) as f64;
        self.steps.iter().map(|step| step.progress().unwrap_or(0.25)).sum::<f64>() / count
    }

    /// Takes the next event in.
    pub fn apply(&mut self, record: &EventRecord) {
        match &record.event {
            RunEvent::Started { .. } | RunEvent::FoundInterrupted { .. } => {}
            RunEvent::CancelAsked { by } => self.cancel_asked_by = Some(by.clone()),
            RunEvent::OperatorGone { .. } => self.operator_gone_at = Some(record.at),
            RunEvent::AttemptStarted { endpoint, attempt } => self.each(*endpoint, |step| {
                step.stage = Stage::Fetching;
                step.attempts = *attempt;
                step.bytes = 0;
                step.elements = 0;
                step.announced = None;
            }),
            RunEvent::Receiving { endpoint, bytes, announced, elements } => self.each(*endpoint, |step| {
                step.bytes = *bytes;
                step.announced = *announced;
                step.elements = *elements;
            }),
            RunEvent::AttemptFailed { endpoint, error, .. } => self.each(*endpoint, |step| {
                step.stage = Stage::Retrying;
                step.error = Some(error.clone());
            }),
            RunEvent::Staged { endpoint, snapshot, bytes, elements, .. } => self.each(*endpoint, |step| {
                step.stage = Stage::Staged;
                step.snapshot = Some(*snapshot);
                step.bytes = *bytes;
                step.elements = *elements;
                step.error = None;
            }),
            RunEvent::Replayed { entities, snapshot, bytes, elements } => {
                for entity in entities {
                    self.one(*entity, |step| {
                        step.stage = Stage::Staged;
                        step.snapshot = Some(*snapshot);
                        step.bytes = *bytes;
                        step.elements = *elements;
                    });
                }
            }
            RunEvent::EndpointFailed { endpoint, error } => self.each(*endpoint, |step| {
                step.stage = Stage::Failed;
                step.error = Some(error.clone());
            }),
            RunEvent::Unchanged { entity } => self.one(*entity, |step| {
                step.stage = Stage::Unchanged;
                step.rows = step.rows_before;
                step.records = step.made_from.records;
                step.duplicates = step.made_from.duplicates;
                step.quarantined = step.made_from.quarantined;
                step.notes = step.made_from.notes;
                step.diff = Some(DiffCounts::default());
            }),
            RunEvent::Loading { entity, elements, records } => self.one(*entity, |step| {
                step.stage = Stage::Loading;
                step.elements_loaded = *elements;
                step.records = *records;
            }),
            RunEvent::Ready { entity, records, rows, duplicates, quarantined, notes, diff, same } => {
                self.one(*entity, |step| {
                    step.stage = if *same { Stage::Unchanged } else { Stage::Ready };
                    step.records = *records;
                    step.rows = *rows;
                    step.duplicates = *duplicates;
                    step.quarantined = *quarantined;
                    step.notes = *notes;
                    step.diff = *diff;
                });
            }
            RunEvent::LoadFailed { entity, error } => self.one(*entity, |step| {
                step.stage = Stage::Failed;
                step.nothing_loaded();
                step.error = Some(error.clone());
            }),
            RunEvent::Tripped { finding } => self.guards.push(finding.clone()),
            RunEvent::HoldMet { hold } => self.hold = Some(hold.clone()),
            RunEvent::Published { publication, switches, .. } => {
                self.publication = Some(*publication);
                for switch in switches {
                    self.one(switch.entity, |step| {
                        step.stage = Stage::Published;
                        step.active_version = switch.to_version;
                        step.backup_version = switch.from_version;
                    });
                }
            }
            RunEvent::Ended { outcome, error } => {
                self.outcome = Some(*outcome);
                self.error.clone_from(error);
                self.finished_at = Some(record.at);
                for step in self.steps.iter_mut().filter(|step| !step.stage.is_settled()) {
                    step.stage = Stage::Skipped;
                    step.nothing_loaded();
                }
            }
        }
    }

    fn each(&mut self, endpoint: Endpoint, change: impl Fn(&mut StepState)) {
        self.steps.iter_mut().filter(|step| step.entity.endpoint() == endpoint).for_each(change);
    }

    fn one(&mut self, entity: Entity, change: impl FnOnce(&mut StepState)) {
        if let Some(step) = self.steps.iter_mut().find(|step| step.entity == entity) {
            change(step);
        }
    }

    /// The run as it is reported.
    #[must_use]
    pub fn report(&self) -> SyncReport {
        let run = RunSummary {
            id: self.run,
            trigger: self.trigger,
            outcome: self.outcome,
            started_at: self.started_at,
            finished_at: self.finished_at,
            duration_ms: self.finished_at.map(|end| (end.as_millisecond() - self.started_at.as_millisecond()).max(0)),
            operator: self.operator.clone(),
            requested_by: self.requested_by.clone(),
            source: self.source.clone(),
            publication: self.publication,
            scope: (self.steps.len() < Entity::ALL.len()).then(|| self.steps.iter().map(|step| step.entity).collect()),
            dry_run: self.dry_run,
            replay: self.replay,
            replay_of: self.replay_of,
            error: self.error.clone(),
            cancel_asked_by: self.cancel_asked_by.clone(),
            operator_gone_at: self.operator_gone_at,
        };
        SyncReport {
            run,
            entities: self.steps.iter().map(StepState::report).collect(),
            guards: self.guards.clone(),
            hold: self.hold.clone(),
            left_alone: self.left_alone.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{RecordCounts, StepOutcome};

    fn record(seq: u64, event: RunEvent) -> EventRecord {
        let at = Timestamp::from_millisecond(1_700_000_000_000 + i64::try_from(seq).unwrap() * 1000).unwrap();
        EventRecord { run: 7, seq, at, event }
    }

    fn started() -> EventRecord {
        let entities = [Entity::Talents, Entity::MediaTags, Entity::MediaTagsJunction];
        let made_from = RecordCounts { records: 6, duplicates: 1, ..RecordCounts::default() };
        let before = |entity| super::super::event::EntityBefore {
            entity,
            active_version: 1,
            backup_version: 0,
            rows: 5,
            made_from,
        };
        let operator = Operator { user: "ana".into(), host: "box".into(), pid: 1 };
        record(
            1,
            RunEvent::Started {
                requested_by: None,
                trigger: Trigger::Cli,
                operator,
                source: "http://blue".into(),
                based_on: Some(3),
                entities: entities.map(before).to_vec(),
                left_alone: Vec::new(),
                dry_run: false,
                replay: None,
                replay_of: None,
            },
        )
    }

    #[test]
    fn folds_a_run_into_its_report() {
        let mut state = RunState::begin(&started()).unwrap();
        let endpoint = Endpoint::MediaTags;
        let events = [
            RunEvent::AttemptStarted { endpoint, attempt: 1 },
            RunEvent::AttemptFailed {
                endpoint,
                attempt: 1,
                bytes: 0,
                status: Some(503),
                error: "HTTP status 503".into(),
                excerpt: None,
                retry_in_ms: Some(900),
            },
            RunEvent::AttemptStarted { endpoint, attempt: 2 },
            RunEvent::Receiving { endpoint, bytes: 10, announced: Some(40), elements: 1 },
        ];
        for (event, stage) in
            events.into_iter().zip([Stage::Fetching, Stage::Retrying, Stage::Fetching, Stage::Fetching])
        {
            state.apply(&record(2, event));
            assert_eq!(state.step(Entity::MediaTags).unwrap().stage, stage);
            assert_eq!(state.step(Entity::MediaTagsJunction).unwrap().stage, stage);
            assert_eq!(state.step(Entity::Talents).unwrap().stage, Stage::Waiting);
        }
        assert_eq!(state.step(Entity::MediaTags).unwrap().progress(), Some(0.125));
        state.apply(&record(
            6,
            RunEvent::Staged {
                endpoint,
                attempt: 2,
                snapshot: 4,
                bytes: 40,
                elements: 3,
                known: false,
                not_modified: false,
            },
        ));
        assert_eq!(state.step(Entity::MediaTags).unwrap().error, None);
        state.apply(&record(7, RunEvent::Unchanged { entity: Entity::Talents }));
        state.apply(&record(8, RunEvent::Ended { outcome: RunOutcome::Cancelled, error: None }));
        let report = state.report();
        assert_eq!(report.run.duration_ms, Some(7000));
        let outcomes: Vec<_> = report.entities.iter().map(|step| step.outcome.unwrap()).collect();
        assert_eq!(outcomes, [StepOutcome::Unchanged, StepOutcome::Skipped, StepOutcome::Skipped]);
        let unchanged = &report.entities[0];
        assert_eq!((unchanged.records, unchanged.rows, unchanged.duplicates), (6, 5, 1));
    }

    #[test]
    fn events_survive_the_journal() {
        let event = started();
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<EventRecord>(&json).unwrap(), event);
    }
}
