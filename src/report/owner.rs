//! Who has the right to run, and what became of a wish to end a run.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Operator, RunId, RunSummary, Work};

/// Who has the run lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerReport {
    /// What it is at.
    pub work: Work,
    /// The run, once it has a number.
    pub run: Option<RunId>,
    /// Who.
    pub operator: Operator,
    /// Since when.
    pub since: Timestamp,
    /// Whether its process still answers, as far as that was looked at: one that is stopped or stuck does not.
    pub answers: Option<bool>,
}

impl fmt::Display for OwnerReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.run {
            Some(run) => write!(out, "run {run}")?,
            None if self.work == Work::Run => write!(out, "a run")?,
            None if self.work == Work::Adoption => write!(out, "an {}", self.work)?,
            None if self.work == Work::Migration => write!(out, "a {} of the application", self.work)?,
            None => write!(out, "a {}", self.work)?,
        }
        let by = if self.run.is_none() && self.work == Work::Migration { "by" } else { "of" };
        write!(out, " {by} {} (pid {})", self.operator, self.operator.pid)
    }
}

/// A process that reads an old state of the database and so keeps the write-ahead log from being emptied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalReader {
    /// Its number.
    pub pid: u32,
    /// Its program, when the system tells.
    pub name: Option<String>,
}

impl fmt::Display for WalReader {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(out, "{name} (pid {})", self.pid),
            None => write!(out, "pid {}", self.pid),
        }
    }
}

/// The answer of `cancel`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelReport {
    /// The run that was asked to end, as it is now; `None` when none was going on.
    pub run: Option<RunSummary>,
    /// Whether its process was ended by force.
    pub forced: bool,
    /// The owner of the run when it did not answer and was left alone: the run may not publish should it wake.
    pub silent: Option<OwnerReport>,
}
