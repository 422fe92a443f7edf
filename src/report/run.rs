//! What is told of runs and their steps.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    DiffCounts, Guard, HoldReport, Operator, PublicationId, QuarantineReport, Replay, RunId, RunOutcome, SnapshotId,
    StepOutcome, Trigger, Version, trigger::short_asker,
};
use crate::entity::{Endpoint, Entity};

/// What became of the records of a body: records = rows + duplicates + quarantined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordCounts {
    /// Records in the body that should become rows.
    pub records: u64,
    /// Records with the key of an earlier one.
    pub duplicates: u64,
    /// Records that could not become rows.
    pub quarantined: u64,
    /// Values that did not fit and were stored as NULL or repaired.
    pub notes: u64,
}

/// One entity's part of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepReport {
    /// The entity.
    pub entity: Entity,
    /// How it ended; `None` while it goes on.
    pub outcome: Option<StepOutcome>,
    /// Attempts at its endpoint.
    pub attempts: u32,
    /// Size of the body, in bytes.
    pub bytes: u64,
    /// Records in the body that should become rows; for an unchanged entity those of the live version's body.
    pub records: u64,
    /// Rows prepared; for an unchanged entity the live ones.
    pub rows: u64,
    /// Rows live before the run.
    pub rows_before: u64,
    /// Records that could not become rows.
    pub quarantined: u64,
    /// Records with the key of an earlier one.
    pub duplicates: u64,
    /// Values that did not fit and were stored as NULL or repaired.
    pub notes: u64,
    /// Difference to the live rows.
    pub diff: Option<DiffCounts>,
    /// The version that is live after the run.
    pub active_version: Version,
    /// The version to which a rollback would go.
    pub backup_version: Version,
    /// The snapshot that it was made from.
    pub snapshot: Option<SnapshotId>,
    /// What went wrong.
    pub error: Option<String>,
}

impl StepReport {
    /// The step of `entity` before anything happened.
    #[must_use]
    pub const fn new(entity: Entity) -> Self {
        Self {
            entity,
            outcome: None,
            attempts: 0,
            bytes: 0,
            records: 0,
            rows: 0,
            rows_before: 0,
            quarantined: 0,
            duplicates: 0,
            notes: 0,
            diff: None,
            active_version: 0,
            backup_version: 0,
            snapshot: None,
            error: None,
        }
    }
}

/// A run in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// Its number.
    pub id: RunId,
    /// What started it.
    pub trigger: Trigger,
    /// `None` while it goes on.
    pub outcome: Option<RunOutcome>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How long it took.
    pub duration_ms: Option<i64>,
    /// Who started it.
    pub operator: Operator,
    /// At whose word, when that was no person at that host: who triggered it over HTTP, or the schedule.
    pub requested_by: Option<String>,
    /// Address of its source.
    pub source: String,
    /// The publication that it made.
    pub publication: Option<PublicationId>,
    /// The entities that it is about; `None` for all ten.
    pub scope: Option<Vec<Entity>>,
    /// Whether it was to stop before the publish.
    pub dry_run: bool,
    /// For a replay, what it was for.
    pub replay: Option<Replay>,
    /// For a replay, the run whose snapshots it took.
    pub replay_of: Option<RunId>,
    /// What went wrong, or why it is held, or what a partial publish left behind.
    pub error: Option<String>,
    /// Who asked it to end from another process.
    pub cancel_asked_by: Option<Operator>,
    /// When the line of its operator dropped while it went on.
    pub operator_gone_at: Option<Timestamp>,
}

impl RunSummary {
    /// At whose word it goes: a person, or the program or schedule that triggered it.
    #[must_use]
    pub fn asker(&self) -> String {
        asker(self.trigger, self.requested_by.as_deref(), &self.operator)
    }

    /// The same in fewer words: `ana@box`, `10.0.0.7`, `the schedule`.
    #[must_use]
    pub fn short_asker(&self) -> String {
        let by = self.requested_by.as_deref().map(|by| short_asker(self.trigger, by).to_owned());
        by.unwrap_or_else(|| self.operator.to_string())
    }
}

/// At whose word a run goes: `ana@box`, or for one that no person started `http 10.0.0.7` or `schedule every 15m`.
#[must_use]
pub fn asker(trigger: Trigger, requested_by: Option<&str>, operator: &Operator) -> String {
    requested_by.map_or_else(|| operator.to_string(), |by| format!("{trigger} {by}"))
}

/// The answer of `sync`, `publish` and `rollback --to`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncReport {
    /// The run.
    pub run: RunSummary,
    /// Its steps, in the order of [`Entity::ALL`].
    pub entities: Vec<StepReport>,
    /// Guards that tripped, the accepted ones included.
    pub guards: Vec<GuardReport>,
    /// The hold that stopped its publish.
    pub hold: Option<HoldReport>,
    /// Entities that refer to those of the run or that they refer to, and that it left alone.
    pub left_alone: Vec<Entity>,
}

/// A check of the prepared rows that did not hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuardReport {
    /// The guard.
    pub guard: Guard,
    /// The entity that it is about.
    pub entity: Entity,
    /// For [`Guard::Dangling`] the column that refers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub column: Option<String>,
    /// The largest value that passes: shares from 0 to 1, rows or references as counts.
    pub limit: f64,
    /// What was found.
    pub value: f64,
    /// Both in a sentence.
    pub message: String,
    /// Whether an operator accepted it, so that it did not stop the publish.
    pub accepted: bool,
}

/// One request of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptReport {
    /// Whom it asked.
    pub endpoint: Endpoint,
    /// Its number, from 1.
    pub attempt: u32,
    /// When it ended.
    pub finished_at: Timestamp,
    /// HTTP status of a failure, when one came.
    pub status: Option<u16>,
    /// Bytes received.
    pub bytes: u64,
    /// What went wrong; `None` for the attempt that brought the body.
    pub error: Option<String>,
    /// The beginning of a body that could not be read.
    pub excerpt: Option<String>,
}

/// The answer of `runs RUN`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// The run.
    pub run: RunSummary,
    /// Its steps.
    pub entities: Vec<StepReport>,
    /// Guards that tripped in it.
    pub guards: Vec<GuardReport>,
    /// Its requests, in the order in which they ended.
    pub attempts: Vec<AttemptReport>,
    /// Its quarantined records and notes, in the order of the source.
    pub quarantine: Vec<QuarantineReport>,
}

/// An entity's part of a past run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastStep {
    /// The run.
    pub run: RunSummary,
    /// The entity's part of it.
    pub step: StepReport,
}
