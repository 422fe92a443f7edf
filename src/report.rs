//! What operations answer with: the types behind `--json`, the console's tables and the printed text.
//!
//! Serialized as camelCase; times are RFC 3339 in UTC, durations whole milliseconds in fields that end in `Ms`.

mod adoption;
mod diff;
mod health;
mod kept;
mod owner;
mod publication;
mod rows;
mod run;
mod trigger;
mod words;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::{
    adoption::{
        AdoptedEntity, AdoptionFinding, AdoptionReport, AppMigrationEnd, AppMigrationReport, AppScriptsReport,
        ReleaseReport,
    },
    diff::{ColumnDiff, DiffCounts, DiffReport, DiffSide, EntityDiff, RowDiff},
    health::{EntityFigures, FiguresReport, HealthReport, RunTotal},
    kept::{CleanupReport, QuarantineList, QuarantineRecord, QuarantineReport, SnapshotReport},
    owner::{CancelReport, OwnerReport, WalReader},
    publication::{
        CrossingReport, HoldChange, HoldReport, PublicationReport, PublishPlan, RollbackPlan, RollbackReport,
        RollbackTarget, SwitchReport,
    },
    rows::RowsReport,
    run::{AttemptReport, GuardReport, PastStep, RecordCounts, RunReport, RunSummary, StepReport, SyncReport, asker},
    trigger::{ListedTrigger, ServerReport, TaskId, TaskReport, TriggerList, TriggerReport},
    words::{
        FindingKind, Guard, HoldEffect, Layout, PublicationKind, Replay, RowChange, RunOutcome, StepOutcome, Trigger,
        TriggerAnswer, Work,
    },
};
use crate::entity::Entity;

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
    /// By which names the bookkeeping goes that the application reads.
    pub layout: Layout,
    /// Its size, in bytes.
    pub bytes: u64,
    /// Part of it that holds nothing, in bytes.
    pub free_bytes: u64,
    /// Size of its write-ahead log, in bytes.
    pub wal_bytes: u64,
    /// Who keeps the write-ahead log from being emptied, once it is large.
    pub wal_readers: Vec<WalReader>,
}

impl DatabaseStatus {
    /// Bytes from which on a write-ahead log makes one ask who keeps it; a run leaves none behind.
    pub const LARGE_LOG: u64 = 16 * 1024 * 1024;
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
    /// The newest run that is held, unless one was published or unchanged since: `publish` makes it live.
    pub held_run: Option<RunSummary>,
    /// The migration of the application for which tables stand in the place of the views, should that go on or have died.
    pub app_migration: Option<AppMigrationReport>,
    /// The run that goes on.
    pub running: Option<RunSummary>,
    /// Who has the right to run now, be it for a run or anything else.
    pub owner: Option<OwnerReport>,
    /// The ten entities.
    pub entities: Vec<EntityStatus>,
    /// The newest run that ended.
    pub last_run: Option<RunSummary>,
    /// The newest publication.
    pub publication: Option<PublicationReport>,
    /// The run that was promised and has not begun yet.
    pub waiting: Option<TaskReport>,
    /// Who takes triggers for the database.
    pub server: Option<ServerReport>,
    /// The newest trigger that a server took.
    pub last_trigger: Option<TriggerReport>,
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
