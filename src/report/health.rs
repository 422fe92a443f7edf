//! What `serve` tells of the database's health and figures.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{PublicationId, RunOutcome, Trigger};
use crate::entity::Entity;

/// Whether what visitors see is all there and new enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthReport {
    /// What is wrong, in sentences that may be shown to anybody; empty when nothing is.
    pub reasons: Vec<String>,
    /// The newest publication.
    pub publication: Option<PublicationId>,
    /// When it was made.
    pub published_at: Option<Timestamp>,
    /// When what is live was last known to be what the source sends: by that publication, or by a later full run that found
    /// nothing changed.
    pub confirmed_at: Option<Timestamp>,
    /// Whether the hold is set.
    pub held: bool,
}

impl HealthReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// Runs that were started and that ended alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunTotal {
    /// What started them.
    pub trigger: Trigger,
    /// How they ended.
    pub outcome: RunOutcome,
    /// How many there were, since the database was made.
    pub runs: u64,
    /// How long they took together, in milliseconds.
    pub duration_ms: u64,
}

/// Figures of one entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityFigures {
    /// The entity.
    pub entity: Entity,
    /// Rows of its newest switch, as they were counted then; 0 before the first.
    pub rows: u64,
    /// When the version that is live was published.
    pub published_at: Option<Timestamp>,
}

/// Figures for a monitor, all of one moment and none that takes long to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FiguresReport {
    /// Runs since the database was made.
    pub runs: Vec<RunTotal>,
    /// How long the newest run took that ended, in milliseconds.
    pub last_run_ms: Option<u64>,
    /// The ten entities.
    pub entities: Vec<EntityFigures>,
    /// When the newest publication was made.
    pub published_at: Option<Timestamp>,
    /// Whether the hold is set.
    pub held: bool,
    /// Whether a run goes on.
    pub running: bool,
    /// Whether a promised run has yet to begin.
    pub waiting: bool,
    /// Size of the database, in bytes.
    pub bytes: u64,
    /// Size of its write-ahead log, in bytes.
    pub wal_bytes: u64,
}
