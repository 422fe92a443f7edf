//! What operations answer with: the types behind `--json`, the console's tables and the printed text.
//!
//! Serialized as camelCase; times are RFC 3339 in UTC, durations whole milliseconds in fields that end in `Ms`.

mod words;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::words::{Guard, HoldEffect, PublicationKind, Replay, RowChange, RunOutcome, StepOutcome, Trigger};
use crate::entity::{Endpoint, Entity, Position};

/// Number of a run; it only grows.
pub type RunId = i64;
/// Number of a publication; it only grows.
pub type PublicationId = i64;
/// Number of a snapshot; it only grows.
pub type SnapshotId = i64;
/// 1 or 2, the number in `{entity}_v1` and `{entity}_v2`; 0 stands for none.
pub type Version = i64;

/// Who does something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Login name.
    pub user: String,
    /// Host name.
    pub host: String,
    /// Process id of greenroom there.
    pub pid: u32,
}

impl fmt::Display for Operator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.user, self.host)
    }
}

/// Rows that differ between two versions of an entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffCounts {
    /// Rows only in the newer one.
    pub added: u64,
    /// Rows only in the older one.
    pub removed: u64,
    /// Rows in both with another value in some column.
    pub changed: u64,
}

impl DiffCounts {
    /// The same difference seen from the other side.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self { added: self.removed, removed: self.added, changed: self.changed }
    }

    /// Whether nothing differs.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.added == 0 && self.removed == 0 && self.changed == 0
    }
}

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
    /// Address of its source.
    pub source: String,
    /// The publication that it made.
    pub publication: Option<PublicationId>,
    /// The entities that it is about; `None` for all ten.
    pub scope: Option<Vec<Entity>>,
    /// Whether it was to stop before the publish.
    pub dry_run: bool,
    /// For a replay, the run whose snapshots it took.
    pub replay_of: Option<RunId>,
    /// What went wrong, or why it is held, or what a partial publish left behind.
    pub error: Option<String>,
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

/// The switch that keeps runs from publishing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldReport {
    /// Since when it is set.
    pub since: Timestamp,
    /// Who set it.
    pub operator: Operator,
    /// Why.
    pub reason: String,
    /// The rollback that set it.
    pub publication: Option<PublicationId>,
}

/// One line without the time.
impl fmt::Display for HoldReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "held by {}: {}", self.operator, self.reason)
    }
}

/// The answer of `hold` and `release`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldChange {
    /// Whether anything changed; it was so already otherwise.
    pub changed: bool,
    /// The hold that is set now.
    pub hold: Option<HoldReport>,
    /// The hold that was released.
    pub released: Option<HoldReport>,
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

/// A record in quarantine, or a value that was left out of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuarantineReport {
    /// Where it came from.
    pub endpoint: Endpoint,
    /// Whose row it would have been, or is.
    pub entity: Entity,
    /// Where it stood in the body.
    pub position: Position,
    /// Set when the record became a row without this column's value.
    pub column: Option<String>,
    /// What is wrong.
    pub reason: String,
    /// The record as received; a text when it is not readable as JSON.
    pub record: String,
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

/// One staged body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotReport {
    /// Its number.
    pub id: SnapshotId,
    /// Where it came from.
    pub endpoint: Endpoint,
    /// The run that fetched it first.
    pub run: RunId,
    /// When it was complete.
    pub fetched_at: Timestamp,
    /// Size as received, in bytes.
    pub bytes: u64,
    /// Elements of its list.
    pub records: u64,
    /// blake3 of the bytes received.
    pub hash: String,
    /// How the list was wrapped: `data`, `key` or `array`.
    pub envelope: String,
    /// Rows of `{entity}_json` that hold it.
    pub parts: u64,
    /// Whether an active or a backup version was made from it.
    pub in_use: bool,
}

/// The state of one entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntityStatus {
    /// The entity.
    pub entity: Entity,
    /// The live version; 0 before the first publish.
    pub active_version: Version,
    /// The version to which a rollback would go; 0 when there is none.
    pub backup_version: Version,
    /// Rows that visitors see.
    pub active_rows: u64,
    /// Rows of the backup.
    pub backup_rows: Option<u64>,
    /// Difference between them, as recorded when the live version was published.
    pub diff: Option<DiffCounts>,
    /// Size of the body that the live version was made from, in bytes.
    pub bytes: Option<u64>,
    /// What became of its records.
    #[serde(flatten)]
    pub made_from: Option<RecordCounts>,
    /// Kept snapshots of its endpoint.
    pub snapshots: u64,
    /// When the live version was published.
    pub published_at: Option<Timestamp>,
    /// When its source was last found to be what is live.
    pub checked_at: Option<Timestamp>,
    /// The run that made the live version.
    pub run_id: Option<RunId>,
}

/// The database file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseStatus {
    /// Where it is.
    pub path: String,
    /// Its size, in bytes.
    pub bytes: u64,
    /// Part of it that holds nothing, in bytes.
    pub free_bytes: u64,
    /// Size of its write-ahead log, in bytes.
    pub wal_bytes: u64,
}

/// The answer of `status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusReport {
    /// The database file.
    pub database: DatabaseStatus,
    /// Address of the source, when one is set.
    pub source: Option<String>,
    /// What keeps runs from publishing.
    pub hold: Option<HoldReport>,
    /// The newest run that ended, when it is held: `publish` makes it live.
    pub held_run: Option<RunSummary>,
    /// The run that goes on.
    pub running: Option<RunSummary>,
    /// The ten entities.
    pub entities: Vec<EntityStatus>,
    /// The newest run that ended.
    pub last_run: Option<RunSummary>,
    /// The newest publication.
    pub publication: Option<PublicationReport>,
}

/// A publication.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicationReport {
    /// Its number.
    pub id: PublicationId,
    /// What made it.
    pub kind: PublicationKind,
    /// The run that made it; for a rollback that undid a run's publication, that run.
    pub run: Option<RunId>,
    /// The publication that it took back as a whole, for a rollback.
    pub undoes: Option<PublicationId>,
    /// The run whose staged snapshots it was made from, for a replay.
    pub replay_of: Option<RunId>,
    /// Guards that had tripped and that its operator accepted.
    pub accepted: Vec<GuardReport>,
    /// When it was made.
    pub published_at: Timestamp,
    /// By whom.
    pub operator: Operator,
}

/// What one entity goes through in a publication or would go through in a rollback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SwitchReport {
    /// The entity.
    pub entity: Entity,
    /// The version that was, or is, live before; 0 for none.
    pub from_version: Version,
    /// The version that is live after.
    pub to_version: Version,
    /// Rows live before.
    pub rows_before: u64,
    /// Rows live after.
    pub rows_after: u64,
    /// What changes for visitors.
    pub diff: Option<DiffCounts>,
}

/// What is to be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RollbackTarget {
    /// The newest publication. When that is itself a rollback, what it took away comes back.
    Newest,
    /// This publication, as long as none of its entities was switched since.
    Publication(PublicationId),
    /// The newest switch of each of these entities.
    Entities(Vec<Entity>),
}

/// A relation of which a rollback would switch one end only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CrossingReport {
    /// The entity that refers.
    pub entity: Entity,
    /// Its column that refers.
    pub column: String,
    /// The entity referred to.
    pub target: Entity,
    /// References that lead nowhere now.
    pub dangling_before: u64,
    /// References that would lead nowhere.
    pub dangling_after: u64,
}

/// What a rollback would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RollbackPlan {
    /// What is to be taken back.
    pub target: RollbackTarget,
    /// The publication that it would take back as a whole; `None` when entities were named.
    pub publication: Option<PublicationReport>,
    /// The newest publication now; the rollback is refused once there is another.
    pub newest: PublicationId,
    /// The entities that it would switch.
    pub entities: Vec<SwitchReport>,
    /// Since when the versions that would come back had been live.
    pub backup_published_at: Option<Timestamp>,
    /// Relations that would then lead from one generation to another.
    pub crossing: Vec<CrossingReport>,
    /// What becomes of the hold.
    pub hold: HoldEffect,
}

/// The answer of `rollback`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RollbackReport {
    /// The publication that the rollback is.
    pub publication: PublicationReport,
    /// What was switched.
    pub entities: Vec<SwitchReport>,
    /// Relations that lead from one generation to another now.
    pub crossing: Vec<CrossingReport>,
    /// What became of the hold.
    pub hold_effect: HoldEffect,
    /// The hold that is set now.
    pub hold: Option<HoldReport>,
    /// How long the switch took.
    pub duration_ms: i64,
}

/// What the replay of an earlier run would do, as far as it is known without preparing its rows again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishPlan {
    /// The run that would be published.
    pub run: RunSummary,
    /// Its steps, with the difference to what was live then.
    pub entities: Vec<StepReport>,
    /// Guards that tripped in it.
    pub guards: Vec<GuardReport>,
    /// The hold that is set.
    pub hold: Option<HoldReport>,
    /// The newest publication now; the publish is refused once there is another.
    pub newest: Option<PublicationId>,
    /// Whether something was published since the run began, so that differences and guards may be others by now.
    pub outdated: bool,
}

/// One side of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DiffSide {
    /// A version of the entity; 0 when there is none.
    Version(Version),
    /// The rows that a snapshot of the endpoint makes.
    Snapshot(SnapshotId),
}

impl fmt::Display for DiffSide {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(0) => formatter.write_str("-"),
            Self::Version(version) => write!(formatter, "v{version}"),
            Self::Snapshot(snapshot) => write!(formatter, "snapshot {snapshot}"),
        }
    }
}

/// The difference between two states of one entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntityDiff {
    /// The entity.
    pub entity: Entity,
    /// Its live version; 0 before the first publish.
    pub active_version: Version,
    /// Its backup; 0 when there is none.
    pub backup_version: Version,
    /// The older side.
    pub from: DiffSide,
    /// The newer side.
    pub to: DiffSide,
    /// From the one to the other; `None` when one of them is not there.
    #[serde(flatten)]
    pub counts: Option<DiffCounts>,
    /// The rows, when they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<RowDiff>>,
}

/// One row that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowDiff {
    /// The row's id.
    pub id: String,
    /// How it differs.
    pub change: RowChange,
    /// The columns that differ; for an added or removed row all that are not NULL.
    pub columns: Vec<ColumnDiff>,
}

/// One value that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnDiff {
    /// The column.
    pub column: String,
    /// The value on the older side.
    pub before: serde_json::Value,
    /// The value on the newer side.
    pub after: serde_json::Value,
}

/// The answer of `diff`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffReport {
    /// One difference an entity.
    pub entities: Vec<EntityDiff>,
}

/// The answer of `cleanup`, and what it would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CleanupReport {
    /// Whether it was only asked what would be done.
    pub dry_run: bool,
    /// Snapshots beyond the kept ones.
    pub snapshots: Vec<SnapshotReport>,
    /// Tables left behind by runs that did not end.
    pub leftovers: Vec<String>,
    /// Ended runs beyond the kept ones, whose journal goes.
    pub runs: u64,
    /// Size of the file, in bytes, before and, unless `dry_run`, after.
    pub bytes_before: u64,
    /// Size of the file afterwards, in bytes; in a dry run what it would be without its free pages of today.
    pub bytes_after: u64,
}

impl CleanupReport {
    /// Whether there is nothing to remove and no space to give back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.snapshots.is_empty()
            && self.leftovers.is_empty()
            && self.runs == 0
            && self.bytes_before <= self.bytes_after
    }
}

/// An entity's part of a past run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastStep {
    /// The run.
    pub run: RunSummary,
    /// The entity's part of it.
    pub step: StepReport,
}

/// A record in quarantine, or a value that was left out of a row, through the runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuarantineRecord {
    /// Where it came from.
    pub endpoint: Endpoint,
    /// Whose row it would have been, or is.
    pub entity: Entity,
    /// Set when the record became a row without this column's value.
    pub column: Option<String>,
    /// What is wrong.
    pub reason: String,
    /// The run that met it first.
    pub first_run: RunId,
    /// When.
    pub first_seen_at: Timestamp,
    /// The newest run whose source still sent it.
    pub last_run: RunId,
    /// When.
    pub last_seen_at: Timestamp,
    /// The first run whose source did not send it any more.
    pub gone_since_run: Option<RunId>,
    /// Where it stood in the body, for the records of one run.
    pub position: Option<Position>,
    /// The record as received; a text when it is not readable as JSON.
    pub record: String,
}

/// The answer of `quarantine`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineList {
    /// How many there are.
    pub total: u64,
    /// The first of them.
    pub records: Vec<QuarantineRecord>,
}

/// What the console shows of one entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityDetail {
    /// Kept snapshots of its endpoint, newest first.
    pub snapshots: Vec<SnapshotReport>,
    /// Its part of the newest runs, newest first.
    pub steps: Vec<PastStep>,
    /// Records in quarantine and notes of the run behind its live rows, with the beginnings of the records.
    pub quarantine: Vec<QuarantineReport>,
}
