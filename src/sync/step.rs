//! One entity's part of a run, as it is shown.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    entity::Entity,
    report::{DiffCounts, RecordCounts, SnapshotId, StepOutcome, StepReport, Version},
};

/// Where an entity is in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// Its endpoint was not asked yet.
    Waiting,
    /// Its body is on its way.
    Fetching,
    /// An attempt failed, the next one is waited for.
    Retrying,
    /// Its body is kept as a snapshot.
    Staged,
    /// Its rows are being loaded.
    Loading,
    /// Its rows wait to be published.
    Ready,
    /// Its live rows were made from the same body.
    Unchanged,
    /// Its new rows are live.
    Published,
    /// Its endpoint or load failed.
    Failed,
    /// It was given up.
    Skipped,
}

impl Stage {
    /// The word shown.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Fetching => "fetching",
            Self::Retrying => "retrying",
            Self::Staged => "staged",
            Self::Loading => "loading",
            Self::Ready => "ready",
            Self::Unchanged => "unchanged",
            Self::Published => "published",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Whether nothing more happens to the entity unless the run publishes.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Ready | Self::Unchanged | Self::Published | Self::Failed | Self::Skipped)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.word())
    }
}

/// One entity's part of a run, so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepState {
    /// The entity.
    pub entity: Entity,
    /// Where it is.
    pub stage: Stage,
    /// Attempts begun.
    pub attempts: u32,
    /// Bytes received by the current attempt.
    pub bytes: u64,
    /// Bytes that the server announced.
    pub announced: Option<u64>,
    /// Elements of the body: received so far, then all.
    pub elements: u64,
    /// Elements that were loaded.
    pub elements_loaded: u64,
    /// Records read.
    pub records: u64,
    /// Rows prepared.
    pub rows: u64,
    /// Rows live when the run began.
    pub rows_before: u64,
    /// Records that could not become rows.
    pub quarantined: u64,
    /// Records with the key of an earlier one.
    pub duplicates: u64,
    /// Values that were left out of rows.
    pub notes: u64,
    /// Difference to the live rows.
    pub diff: Option<DiffCounts>,
    /// The live version.
    pub active_version: Version,
    /// The backup.
    pub backup_version: Version,
    /// The snapshot of its body.
    pub snapshot: Option<SnapshotId>,
    /// The last thing that went wrong.
    pub error: Option<String>,
    /// What the records became that the live version was made from.
    pub(super) made_from: RecordCounts,
}

impl StepState {
    pub(super) fn new(entity: Entity) -> Self {
        Self {
            entity,
            stage: Stage::Waiting,
            attempts: 0,
            bytes: 0,
            announced: None,
            elements: 0,
            elements_loaded: 0,
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
            made_from: RecordCounts::default(),
        }
    }

    /// How far it is, 0 to 1: half for the body, half for the rows. `None` while the size of the body is unknown.
    #[must_use]
    pub fn progress(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a progress bar")]
        let share = |part: u64, whole: u64| if whole == 0 { 1.0 } else { (part as f64 / whole as f64).min(1.0) };
        match self.stage {
            Stage::Waiting | Stage::Retrying | Stage::Skipped | Stage::Failed => Some(0.0),
            Stage::Fetching => self.announced.map(|announced| share(self.bytes, announced) / 2.0),
            Stage::Staged => Some(0.5),
            Stage::Loading => Some(0.5 + share(self.elements_loaded, self.elements) / 2.0),
            Stage::Ready | Stage::Unchanged | Stage::Published => Some(1.0),
        }
    }

    /// A load that was given up has no records to account for.
    pub(super) fn nothing_loaded(&mut self) {
        (self.records, self.rows, self.duplicates, self.quarantined, self.notes) = (0, 0, 0, 0, 0);
    }

    fn outcome(&self) -> Option<StepOutcome> {
        match self.stage {
            Stage::Published => Some(StepOutcome::Published),
            Stage::Unchanged => Some(StepOutcome::Unchanged),
            Stage::Ready => Some(StepOutcome::Ready),
            Stage::Failed => Some(StepOutcome::Failed),
            Stage::Skipped => Some(StepOutcome::Skipped),
            Stage::Waiting | Stage::Fetching | Stage::Retrying | Stage::Staged | Stage::Loading => None,
        }
    }

    /// The step as it is reported.
    #[must_use]
    pub fn report(&self) -> StepReport {
        StepReport {
            entity: self.entity,
            outcome: self.outcome(),
            attempts: self.attempts,
            bytes: self.bytes,
            records: self.records,
            rows: self.rows,
            rows_before: self.rows_before,
            quarantined: self.quarantined,
            duplicates: self.duplicates,
            notes: self.notes,
            diff: self.diff,
            active_version: self.active_version,
            backup_version: self.backup_version,
            snapshot: self.snapshot,
            error: self.error.clone(),
        }
    }
}
