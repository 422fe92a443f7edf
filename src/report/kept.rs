//! What is kept beside the live rows: snapshots and quarantine, and what is removed of them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{RunId, SnapshotId};
use crate::entity::{Endpoint, Entity, Position};

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

/// One staged body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotReport {
    /// Its number.
    pub id: SnapshotId,
    /// Where it came from.
    pub endpoint: Endpoint,
    /// The run that fetched it first; 0 for one that was there before greenroom, in an adopted database.
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
