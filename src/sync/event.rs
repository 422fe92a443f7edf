//! What happens in a run, one event at a time.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    entity::{Endpoint, Entity},
    report::{
        AttemptReport, DiffCounts, Operator, PublicationId, RecordCounts, RunId, RunOutcome, SnapshotId, SwitchReport,
        Trigger, Version,
    },
};

/// An event with its place in the run. Order is given by `seq`, never by the time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// The run.
    pub run: RunId,
    /// Its place among the run's events, from 1.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: RunEvent,
}

/// An entity as it is when a run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntityBefore {
    /// The entity.
    pub entity: Entity,
    /// Its live version.
    pub active_version: Version,
    /// Its backup.
    pub backup_version: Version,
    /// Rows that visitors see.
    pub rows: u64,
    /// What the records became that the live version was made from.
    pub made_from: RecordCounts,
}

/// What can happen in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum RunEvent {
    /// The run began.
    Started {
        /// What started it.
        trigger: Trigger,
        /// Who started it.
        operator: Operator,
        /// Address of its source.
        source: String,
        /// The publication that it is based on.
        based_on: Option<PublicationId>,
        /// The entities that it is about.
        entities: Vec<EntityBefore>,
    },
    /// Runs were found whose process had died; what they left was cleared away.
    FoundInterrupted {
        /// Their numbers.
        runs: Vec<RunId>,
    },
    /// An endpoint is asked.
    AttemptStarted {
        /// The endpoint.
        endpoint: Endpoint,
        /// From 1.
        attempt: u32,
    },
    /// A body is arriving.
    Receiving {
        /// The endpoint.
        endpoint: Endpoint,
        /// Bytes so far.
        bytes: u64,
        /// Bytes to come in all, when the server says so.
        announced: Option<u64>,
        /// Elements so far.
        elements: u64,
    },
    /// An attempt brought no body.
    AttemptFailed {
        /// The endpoint.
        endpoint: Endpoint,
        /// From 1.
        attempt: u32,
        /// Bytes received before.
        bytes: u64,
        /// HTTP status, when one came.
        status: Option<u16>,
        /// What went wrong.
        error: String,
        /// The beginning of a body that could not be read.
        excerpt: Option<String>,
        /// Milliseconds until the next attempt; `None` when there is none.
        retry_in_ms: Option<u64>,
    },
    /// A body arrived whole and is kept as a snapshot.
    Staged {
        /// The endpoint.
        endpoint: Endpoint,
        /// The attempt that brought it.
        attempt: u32,
        /// The snapshot.
        snapshot: SnapshotId,
        /// Size of the body.
        bytes: u64,
        /// Elements of its list.
        elements: u64,
        /// Whether the endpoint's newest snapshot was the same already.
        known: bool,
    },
    /// An endpoint failed for good.
    EndpointFailed {
        /// The endpoint.
        endpoint: Endpoint,
        /// Endpoint, status and attempts in one sentence.
        error: String,
    },
    /// The live rows were made from the same body.
    Unchanged {
        /// The entity.
        entity: Entity,
    },
    /// Rows are being loaded.
    Loading {
        /// The entity.
        entity: Entity,
        /// Elements done.
        elements: u64,
        /// Records read from them.
        records: u64,
    },
    /// All rows are loaded and counted, and the records balance.
    Ready {
        /// The entity.
        entity: Entity,
        /// Records in.
        records: u64,
        /// Rows out.
        rows: u64,
        /// Records with the key of an earlier one.
        duplicates: u64,
        /// Records that could not become rows.
        quarantined: u64,
        /// Values that were left out of rows.
        notes: u64,
        /// Difference to the live rows.
        diff: Option<DiffCounts>,
    },
    /// The load of an entity failed.
    LoadFailed {
        /// The entity.
        entity: Entity,
        /// What went wrong.
        error: String,
    },
    /// All prepared entities are live.
    Published {
        /// The publication.
        publication: PublicationId,
        /// What it switched.
        switches: Vec<SwitchReport>,
        /// How long the switch took.
        duration_ms: u64,
    },
    /// The run ended.
    Ended {
        /// How.
        outcome: RunOutcome,
        /// What went wrong.
        error: Option<String>,
    },
}

impl RunEvent {
    /// Whether later events overtake it, so that it is told but not kept.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Receiving { .. } | Self::Loading { .. })
    }

    /// Whether it tells of something that went wrong.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        match self {
            Self::AttemptFailed { .. }
            | Self::EndpointFailed { .. }
            | Self::LoadFailed { .. }
            | Self::FoundInterrupted { .. } => true,
            Self::Ended { outcome, .. } => !matches!(outcome, RunOutcome::Published | RunOutcome::Unchanged),
            _ => false,
        }
    }

    /// Whether it is about `entity` or its endpoint.
    #[must_use]
    pub fn concerns(&self, entity: Entity) -> bool {
        match self {
            Self::AttemptStarted { endpoint, .. }
            | Self::Receiving { endpoint, .. }
            | Self::AttemptFailed { endpoint, .. }
            | Self::Staged { endpoint, .. }
            | Self::EndpointFailed { endpoint, .. } => *endpoint == entity.endpoint(),
            Self::Unchanged { entity: one }
            | Self::Loading { entity: one, .. }
            | Self::Ready { entity: one, .. }
            | Self::LoadFailed { entity: one, .. } => *one == entity,
            Self::Published { switches, .. } => switches.iter().any(|switch| switch.entity == entity),
            Self::Started { .. } | Self::FoundInterrupted { .. } | Self::Ended { .. } => false,
        }
    }

    /// The request that ended with this event.
    #[must_use]
    pub fn attempt(&self, at: Timestamp) -> Option<AttemptReport> {
        match self {
            Self::AttemptFailed { endpoint, attempt, bytes, status, error, excerpt, .. } => Some(AttemptReport {
                endpoint: *endpoint,
                attempt: *attempt,
                finished_at: at,
                status: *status,
                bytes: *bytes,
                error: Some(error.clone()),
                excerpt: excerpt.clone(),
            }),
            Self::Staged { endpoint, attempt, bytes, .. } => Some(AttemptReport {
                endpoint: *endpoint,
                attempt: *attempt,
                finished_at: at,
                status: Some(200),
                bytes: *bytes,
                error: None,
                excerpt: None,
            }),
            _ => None,
        }
    }
}

/// One line for logs and lists.
impl fmt::Display for RunEvent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { trigger, operator, source, .. } => {
                write!(out, "started by {operator} ({trigger}) from {source}")
            }
            Self::FoundInterrupted { runs } => {
                let runs: Vec<_> = runs.iter().map(ToString::to_string).collect();
                write!(
                    out,
                    "found run {} interrupted: its process had died, nothing of it was switched",
                    runs.join(", ")
                )
            }
            Self::AttemptStarted { endpoint, attempt } => write!(out, "{endpoint}: attempt {attempt}"),
            Self::Receiving { endpoint, bytes, elements, .. } => {
                write!(out, "{endpoint}: {bytes} bytes, {elements} elements")
            }
            Self::AttemptFailed { endpoint, attempt, error, retry_in_ms, .. } => {
                write!(out, "{endpoint}: attempt {attempt} failed: {error}")?;
                match retry_in_ms {
                    Some(wait) => write!(out, "; next in {}.{} s", wait / 1000, wait % 1000 / 100),
                    None => Ok(()),
                }
            }
            Self::Staged { endpoint, snapshot, bytes, elements, known, .. } => {
                let again = if *known { ", same as before" } else { "" };
                write!(out, "{endpoint}: staged as snapshot {snapshot}, {bytes} bytes, {elements} elements{again}")
            }
            Self::EndpointFailed { error, .. } => write!(out, "{error}"),
            Self::Unchanged { entity } => write!(out, "{entity}: unchanged"),
            Self::Loading { entity, records, .. } => write!(out, "{entity}: {records} records"),
            Self::Ready { entity, records, rows, duplicates, quarantined, notes, .. } => {
                write!(out, "{entity}: {records} records, {rows} rows")?;
                let rest = [(duplicates, "duplicates"), (quarantined, "quarantined"), (notes, "noted")];
                rest.iter()
                    .filter(|(count, _)| **count > 0)
                    .try_for_each(|(count, word)| write!(out, ", {count} {word}"))
            }
            Self::LoadFailed { entity, error } => write!(out, "{entity}: {error}"),
            Self::Published { publication, switches, duration_ms } => {
                let count = switches.len();
                let noun = if count == 1 { "entity" } else { "entities" };
                write!(out, "publication {publication}: {count} {noun} switched in {duration_ms} ms")
            }
            Self::Ended { outcome, error } => match error {
                Some(error) => write!(out, "{outcome}: {error}"),
                None => write!(out, "{outcome}"),
            },
        }
    }
}
