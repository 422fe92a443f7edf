//! What happens in a run, one event at a time.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    entity::{Endpoint, Entity},
    report::{
        AttemptReport, DiffCounts, GuardReport, HoldReport, Operator, PublicationId, RecordCounts, Replay, RunId,
        RunOutcome, SnapshotId, SwitchReport, Trigger, Version,
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
        /// At whose word, when that was no person at that host.
        #[serde(default)]
        requested_by: Option<String>,
        /// Address of its source.
        source: String,
        /// The publication that it is based on.
        based_on: Option<PublicationId>,
        /// The entities that it is about.
        entities: Vec<EntityBefore>,
        /// Entities that are related to them and that it leaves alone.
        #[serde(default)]
        left_alone: Vec<Entity>,
        /// Whether it is to stop before the publish.
        #[serde(default)]
        dry_run: bool,
        /// What it is for, for a replay.
        replay: Option<Replay>,
        /// The run whose snapshots it takes, for a replay.
        replay_of: Option<RunId>,
    },
    /// Runs were found whose process had died; what they left was cleared away.
    FoundInterrupted {
        /// Their numbers.
        runs: Vec<RunId>,
    },
    /// Somebody wants the run to end, from another process.
    CancelAsked {
        /// Who.
        by: Operator,
    },
    /// The line of the run's operator dropped.
    OperatorGone {
        /// Whether the run ends for it.
        cancels: bool,
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
        /// Whether the server said so without sending the body.
        #[serde(default)]
        not_modified: bool,
    },
    /// A staged snapshot is taken in place of what the source would send.
    Replayed {
        /// The entities that are made from it.
        entities: Vec<Entity>,
        /// The snapshot.
        snapshot: SnapshotId,
        /// Size of the body.
        bytes: u64,
        /// Elements of its list.
        elements: u64,
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
        /// Whether the live rows are the same in the same order, so that nothing is to be switched.
        #[serde(default)]
        same: bool,
    },
    /// The load of an entity failed.
    LoadFailed {
        /// The entity.
        entity: Entity,
        /// What went wrong.
        error: String,
    },
    /// A guard tripped.
    Tripped {
        /// The finding.
        finding: GuardReport,
    },
    /// The hold stops the publish.
    HoldMet {
        /// The hold.
        hold: HoldReport,
    },
    /// All prepared entities are live.
    Published {
        /// The publication.
        publication: PublicationId,
        /// What it switched.
        switches: Vec<SwitchReport>,
        /// How long the switch took.
        duration_ms: u64,
        /// The hold that was released with it.
        hold_released: Option<HoldReport>,
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
            | Self::FoundInterrupted { .. }
            | Self::CancelAsked { .. }
            | Self::OperatorGone { .. }
            | Self::HoldMet { .. } => true,
            Self::Tripped { finding } => !finding.accepted,
            Self::Ended { outcome, error } => !outcome.is_success() || error.is_some(),
            _ => false,
        }
    }

    /// Writes it to the log as something that happened to `name`, such as `run 7`.
    pub fn log(&self, name: &str) {
        if self.is_passing() {
            tracing::trace!("{name}: {self}");
        } else if self.is_failure() {
            tracing::warn!("{name}: {self}");
        } else if matches!(self, Self::AttemptStarted { .. }) {
            tracing::debug!("{name}: {self}");
        } else {
            tracing::info!("{name}: {self}");
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
            Self::Replayed { entities, .. } => entities.contains(&entity),
            Self::Tripped { finding } => finding.entity == entity,
            Self::Published { switches, .. } => switches.iter().any(|switch| switch.entity == entity),
            Self::Started { .. }
            | Self::FoundInterrupted { .. }
            | Self::CancelAsked { .. }
            | Self::OperatorGone { .. }
            | Self::HoldMet { .. }
            | Self::Ended { .. } => false,
        }
    }

    /// The guard that tripped with this event.
    #[must_use]
    pub fn finding(&self) -> Option<&GuardReport> {
        match self {
            Self::Tripped { finding } => Some(finding),
            _ => None,
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
            Self::Staged { endpoint, attempt, bytes, not_modified, .. } => Some(AttemptReport {
                endpoint: *endpoint,
                attempt: *attempt,
                finished_at: at,
                status: Some(if *not_modified { 304 } else { 200 }),
                bytes: if *not_modified { 0 } else { *bytes },
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
            Self::Started { trigger, operator, requested_by, source, entities, dry_run, replay_of, .. } => {
                let dry = if *dry_run { "dry run " } else { "" };
                write!(out, "{dry}started by {operator} ({trigger}")?;
                if let Some(by) = requested_by {
                    write!(out, " {by}")?;
                }
                write!(out, ") from ")?;
                match replay_of {
                    Some(run) => write!(out, "the snapshots of run {run}")?,
                    None => write!(out, "{source}")?,
                }
                if entities.len() < Entity::ALL.len() {
                    let names: Vec<_> = entities.iter().map(|before| before.entity.name()).collect();
                    write!(out, ": {}", names.join(", "))?;
                }
                Ok(())
            }
            Self::FoundInterrupted { runs } => {
                let runs: Vec<_> = runs.iter().map(ToString::to_string).collect();
                write!(
                    out,
                    "found run {} interrupted: its process had died, nothing of it was switched",
                    runs.join(", ")
                )
            }
            Self::CancelAsked { by } => write!(out, "{by} (pid {}) wants it to end", by.pid),
            Self::OperatorGone { cancels: true } => write!(out, "the operator's line dropped; it is cancelled"),
            Self::OperatorGone { cancels: false } => write!(out, "the operator's line dropped; it goes on to its end"),
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
            Self::Staged { endpoint, snapshot, not_modified: true, .. } => {
                write!(out, "{endpoint}: not modified, still snapshot {snapshot}")
            }
            Self::Replayed { entities, snapshot, bytes, elements } => {
                let names: Vec<_> = entities.iter().map(|entity| entity.name()).collect();
                write!(out, "{}: from snapshot {snapshot}, {bytes} bytes, {elements} elements", names.join(", "))
            }
            Self::Staged { endpoint, snapshot, bytes, elements, known, .. } => {
                let again = if *known { ", same as before" } else { "" };
                write!(out, "{endpoint}: staged as snapshot {snapshot}, {bytes} bytes, {elements} elements{again}")
            }
            Self::EndpointFailed { error, .. } => write!(out, "{error}"),
            Self::Unchanged { entity } => write!(out, "{entity}: unchanged"),
            Self::Loading { entity, records, .. } => write!(out, "{entity}: {records} records"),
            Self::Ready { entity, records, rows, duplicates, quarantined, notes, same, .. } => {
                let as_live = if *same { ", the same as are live" } else { "" };
                write!(out, "{entity}: {records} records, {rows} rows{as_live}")?;
                let rest = [(duplicates, "duplicates"), (quarantined, "quarantined"), (notes, "noted")];
                rest.iter()
                    .filter(|(count, _)| **count > 0)
                    .try_for_each(|(count, word)| write!(out, ", {count} {word}"))
            }
            Self::LoadFailed { entity, error } => write!(out, "{entity}: {error}"),
            Self::Tripped { finding } => write!(out, "{finding}"),
            Self::HoldMet { hold } => write!(out, "{hold}"),
            Self::Published { publication, switches, duration_ms, hold_released } => {
                let count = switches.len();
                let noun = if count == 1 { "entity" } else { "entities" };
                let released = if hold_released.is_some() { ", the hold is released" } else { "" };
                write!(out, "publication {publication}: {count} {noun} switched in {duration_ms} ms{released}")
            }
            Self::Ended { outcome, error } => match error {
                Some(error) => write!(out, "{outcome}: {error}"),
                None => write!(out, "{outcome}"),
            },
        }
    }
}
