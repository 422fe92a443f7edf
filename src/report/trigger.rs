//! Triggers of runs by other programs and by the schedule: what was asked, what was answered, and what was promised.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{HoldReport, Operator, RunId, RunOutcome, Trigger, TriggerAnswer};

/// Number of a task; it only grows.
pub type TaskId = i64;

/// One run that was promised for one or more triggers. It begins now, once its turn comes, or never.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskReport {
    /// Its number.
    pub id: TaskId,
    /// The name under which it was asked for first, such as `orchestrate-sync`.
    pub kind: String,
    /// What the run is started by.
    pub trigger: Trigger,
    /// Who asked for it first, such as the address of a client.
    pub requested_by: String,
    /// When.
    pub created_at: Timestamp,
    /// The run, once it began.
    pub run: Option<RunId>,
    /// When the run began.
    pub started_at: Option<Timestamp>,
    /// How the run ended, or `failed` for one that could not begin; `None` while it waits or goes on.
    pub outcome: Option<RunOutcome>,
    /// When that was.
    pub finished_at: Option<Timestamp>,
    /// What went wrong.
    pub error: Option<String>,
}

impl TaskReport {
    /// Whether its run has yet to begin.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.run.is_none() && self.outcome.is_none()
    }

    /// Who asked, in few words: `10.0.0.7`, `the schedule`.
    #[must_use]
    pub fn asker(&self) -> &str {
        short_asker(self.trigger, &self.requested_by)
    }
}

/// One trigger and what was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerReport {
    /// When it came.
    pub at: Timestamp,
    /// The name under which a run was asked for.
    pub kind: String,
    /// What it came by.
    pub trigger: Trigger,
    /// Who asked.
    pub requested_by: String,
    /// What was answered.
    pub answer: TriggerAnswer,
    /// The same in a sentence.
    pub message: String,
    /// What was promised, unless it was refused.
    pub task: Option<TaskId>,
    /// The run that the answer speaks of: the one that is joined, or that is waited for.
    pub run: Option<RunId>,
    /// The client's own name for what it asks for.
    pub idempotency_key: Option<String>,
}

impl TriggerReport {
    /// Who asked, in few words: `10.0.0.7`, `the schedule`.
    #[must_use]
    pub fn asker(&self) -> &str {
        short_asker(self.trigger, &self.requested_by)
    }

    /// Whether it was refused under `hold`, not under an earlier one.
    #[must_use]
    pub fn is_refused_by(&self, hold: &HoldReport) -> bool {
        self.answer == TriggerAnswer::Held && self.at >= hold.since
    }
}

pub(super) fn short_asker(trigger: Trigger, requested_by: &str) -> &str {
    if trigger == Trigger::Schedule { "the schedule" } else { requested_by }
}

impl fmt::Display for TriggerReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} by {}: {}", self.kind, self.requested_by, self.message)
    }
}

/// A trigger in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedTrigger {
    /// The trigger.
    #[serde(flatten)]
    pub trigger: TriggerReport,
    /// What was promised for it, as it stands now.
    pub promised: Option<TaskReport>,
}

/// The answer of `triggers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerList {
    /// The run that was promised and has not begun yet.
    pub waiting: Option<TaskReport>,
    /// Who takes triggers for the database.
    pub server: Option<ServerReport>,
    /// The newest triggers, newest first.
    pub triggers: Vec<ListedTrigger>,
}

/// A process that takes triggers for the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerReport {
    /// The address on which it listens, such as `127.0.0.1:8080`.
    pub address: String,
    /// Who runs it.
    pub operator: Operator,
    /// Since when.
    pub since: Timestamp,
    /// How often it starts a run by itself, in milliseconds; `None` when it does not.
    pub every_ms: Option<u64>,
    /// Whether it refuses all triggers.
    pub read_only: bool,
}

impl fmt::Display for ServerReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "greenroom serve of {} (pid {}) on {}", self.operator, self.operator.pid, self.address)
    }
}
