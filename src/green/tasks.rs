//! Triggers by other programs and by the schedule, and the runs that were promised for them.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::{
    database::{Database, durable},
    error::{Doing, GreenError},
    hold, reserve,
    sql::{Millis, optional_time, optional_word, time, word},
};
use crate::report::{HoldReport, RunId, RunOutcome, TaskId, TaskReport, Trigger, TriggerAnswer, TriggerReport};

/// For how long a client's own name for what it asks for stands for the same run.
pub const KEY_LIFETIME: Duration = Duration::from_hours(24);

/// Newest triggers that are kept, beside those whose name still counts.
const KEPT: u64 = 1_000;

/// Triggers after which old ones are removed.
const REMOVED_EVERY: i64 = 100;

/// A trigger that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTrigger {
    /// The name under which a run is asked for.
    pub kind: String,
    /// What it came by.
    pub trigger: Trigger,
    /// Who asks.
    pub requested_by: String,
    /// The client's own name for what it asks for.
    pub idempotency_key: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// What is to be answered when nothing stands against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A run is promised: it begins at once, or after the run that goes on, or later.
    Promise {
        /// Whether it begins at once or waits.
        answer: TriggerAnswer,
        /// The run that it waits behind.
        behind: Option<RunId>,
        /// The same in a sentence.
        message: String,
    },
    /// The run of a task that has not begun yet is the one for it.
    Join {
        /// The task.
        task: TaskId,
        /// The run that it waits behind.
        behind: Option<RunId>,
    },
}

/// Which tasks are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskQuery {
    /// Only those asked for under this name.
    pub kind: Option<String>,
    /// Only those in one of these states.
    pub states: Option<Vec<TaskState>>,
    /// At most so many, newest first.
    pub limit: u64,
}

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// Its run has yet to begin.
    Waiting,
    /// Its run goes on.
    Going,
    /// Its run ended like this.
    Ended(RunOutcome),
}

impl TaskState {
    /// The state of `task`.
    #[must_use]
    pub fn of(task: &TaskReport) -> Self {
        match (task.outcome, task.run) {
            (Some(outcome), _) => Self::Ended(outcome),
            (None, Some(_)) => Self::Going,
            (None, None) => Self::Waiting,
        }
    }

    fn condition(self) -> String {
        match self {
            Self::Waiting => "(outcome IS NULL AND run_id IS NULL)".to_owned(),
            Self::Going => "(outcome IS NULL AND run_id IS NOT NULL)".to_owned(),
            Self::Ended(outcome) => format!("outcome = '{outcome}'"),
        }
    }
}

/// Writes down that the run promised by `task` begins; in the transaction in which it does.
pub(super) fn begin(connection: &Connection, task: TaskId, run: RunId, at: Timestamp) -> Result<(), GreenError> {
    connection
        .execute("UPDATE sync_tasks SET run_id = ?2, started_at = ?3 WHERE id = ?1", params![task, run, Millis(at)])
        .doing("recording the start of a run")?;
    Ok(())
}

/// Removes old triggers, and tasks that nothing speaks of any more.
pub(super) fn remove_old(connection: &Connection) -> Result<(), GreenError> {
    let doing = "removing old triggers";
    let lifetime = i64::try_from(KEY_LIFETIME.as_millis()).unwrap_or(i64::MAX);
    connection
        .execute(
            "DELETE FROM sync_triggers WHERE id <= (SELECT max(id) FROM sync_triggers) - ?1 \
             AND (idempotency_key IS NULL OR at < (SELECT max(at) FROM sync_triggers) - ?2)",
            params![KEPT, lifetime],
        )
        .doing(doing)?;
    connection
        .execute(
            "DELETE FROM sync_tasks WHERE outcome IS NOT NULL AND id <= (SELECT max(id) FROM sync_tasks) - ?1 \
             AND id NOT IN (SELECT task_id FROM sync_triggers WHERE task_id IS NOT NULL)",
            [KEPT],
        )
        .doing(doing)?;
    Ok(())
}

/// The oldest task whose run has yet to begin.
pub(super) fn waiting(connection: &Connection) -> Result<Option<TaskReport>, GreenError> {
    connection
        .query_row(
            "SELECT * FROM sync_tasks WHERE outcome IS NULL AND run_id IS NULL ORDER BY id LIMIT 1",
            [],
            task_report,
        )
        .optional()
        .doing("reading the triggers")
}

/// The newest triggers, newest first.
pub(super) fn triggers(connection: &Connection, limit: u64) -> Result<Vec<TriggerReport>, GreenError> {
    let doing = "reading the triggers";
    let mut statement = connection.prepare("SELECT * FROM sync_triggers ORDER BY id DESC LIMIT ?1").doing(doing)?;
    let rows = statement.query_map([limit], trigger_report).doing(doing)?;
    rows.collect::<rusqlite::Result<_>>().doing(doing)
}

fn task(connection: &Connection, id: TaskId) -> Result<Option<TaskReport>, GreenError> {
    connection
        .query_row("SELECT * FROM sync_tasks WHERE id = ?1", [id], task_report)
        .optional()
        .doing("reading the triggers")
}

fn task_report(row: &Row<'_>) -> rusqlite::Result<TaskReport> {
    Ok(TaskReport {
        id: row.get("id")?,
        kind: row.get("kind")?,
        trigger: word(row, "trigger_kind", Trigger::from_word)?,
        requested_by: row.get("requested_by")?,
        created_at: time(row, "created_at")?,
        run: row.get("run_id")?,
        started_at: optional_time(row, "started_at")?,
        outcome: optional_word(row, "outcome", RunOutcome::from_word)?,
        finished_at: optional_time(row, "finished_at")?,
        error: row.get("error")?,
    })
}

fn trigger_report(row: &Row<'_>) -> rusqlite::Result<TriggerReport> {
    Ok(TriggerReport {
        at: time(row, "at")?,
        kind: row.get("kind")?,
        trigger: word(row, "trigger_kind", Trigger::from_word)?,
        requested_by: row.get("requested_by")?,
        answer: word(row, "answer", TriggerAnswer::from_word)?,
        message: row.get("message")?,
        task: row.get("task_id")?,
        run: row.get("run_id")?,
        idempotency_key: row.get("idempotency_key")?,
    })
}

/// The task that a client's own name stands for.
fn named(connection: &Connection, new: &NewTrigger) -> Result<Option<TaskReport>, GreenError> {
    let Some(key) = &new.idempotency_key else { return Ok(None) };
    let since = new.at.as_millisecond() - i64::try_from(KEY_LIFETIME.as_millis()).unwrap_or_default();
    let id: Option<TaskId> = connection
        .query_row(
            // A repetition does not let the name live on.
            "SELECT task_id FROM sync_triggers WHERE idempotency_key = ?1 AND at > ?2 AND task_id IS NOT NULL \
             AND NOT repeated ORDER BY id DESC LIMIT 1",
            params![key, since],
            |row| row.get(0),
        )
        .optional()
        .doing("reading the triggers")?;
    id.map_or(Ok(None), |id| task(connection, id))
}

/// What is answered to a trigger that goes by the name of an earlier one.
fn joined_by_name(task: &TaskReport) -> String {
    match (task.outcome, task.run) {
        (Some(outcome), Some(run)) => format!("the same request as before: run {run} ended {outcome}"),
        (Some(outcome), None) => format!("the same request as before: its run ended {outcome} before it began"),
        (None, Some(run)) => format!("the same request as before: run {run} is going on"),
        (None, None) => "the same request as before: its run has yet to begin".to_owned(),
    }
}

fn refused(hold: &HoldReport) -> String {
    format!("refused: {hold}; `greenroom release` lets syncs publish again")
}

impl Database {
    /// Answers a trigger and writes both down, durably, as somebody counts on it. A name that was used before, and then the
    /// hold, come before `verdict`.
    ///
    /// # Errors
    /// When the database cannot be written; nothing was promised then.
    pub fn record_trigger(&self, new: &NewTrigger, verdict: &Verdict) -> Result<TriggerReport, GreenError> {
        let doing = "recording a trigger";
        let record = |connection: &mut Connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
            let repeated = named(&transaction, new)?;
            let report = answer(&transaction, new, repeated.as_ref(), verdict)?;
            transaction
                .execute(
                    "INSERT INTO sync_triggers (at, kind, trigger_kind, requested_by, answer, message, task_id, run_id, \
                     idempotency_key, repeated) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                    params![
                        Millis(report.at),
                        report.kind,
                        report.trigger.word(),
                        report.requested_by,
                        report.answer.word(),
                        report.message,
                        report.task,
                        report.run,
                        report.idempotency_key,
                        repeated.is_some()
                    ],
                )
                .doing(doing)?;
            // Where no run ends, as under the hold, nothing else does it.
            if transaction.last_insert_rowid() % REMOVED_EVERY == 0 {
                remove_old(&transaction)?;
            }
            transaction.commit().doing(doing)?;
            Ok(report)
        };
        reserve::with_room(self, || durable(&mut self.writer()?, record))
    }

    /// Writes down that the run promised by `task` could not begin. Nothing is changed once it began or ended.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn give_up_task(&self, task: TaskId, error: &str, at: Timestamp) -> Result<(), GreenError> {
        let sql = "UPDATE sync_tasks SET outcome = ?2, error = ?3, finished_at = ?4 WHERE id = ?1 \
                   AND run_id IS NULL AND outcome IS NULL";
        let give_up = || {
            let failed = RunOutcome::Failed.word();
            self.writer()?.execute(sql, params![task, failed, error, Millis(at)]).doing("recording a trigger")
        };
        reserve::with_room(self, give_up).map(drop)
    }

    /// One task.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn task(&self, id: TaskId) -> Result<Option<TaskReport>, GreenError> {
        let task = task(&self.reader()?, id)?;
        Ok(task.map(|task| self.with_dead_run(task)))
    }

    /// The tasks that `query` asks for, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn tasks(&self, query: &TaskQuery) -> Result<Vec<TaskReport>, GreenError> {
        let doing = "reading the triggers";
        // A run may be dead without a word of it: such a task reads as going on.
        let interrupted = TaskState::Ended(RunOutcome::Interrupted);
        let needs_a_look = |states: &&[TaskState]| states.contains(&interrupted) || states.contains(&TaskState::Going);
        let looked_for = query.states.as_deref().filter(needs_a_look);
        let more: &[TaskState] = if looked_for.is_some() { &[TaskState::Going, interrupted] } else { &[] };
        let limit = if looked_for.is_some() { i64::MAX.unsigned_abs() } else { query.limit };
        let states = query.states.as_deref().map_or_else(
            || "true".to_owned(),
            |states| {
                let conditions: Vec<_> = states.iter().chain(more).map(|state| state.condition()).collect();
                let conditions = conditions.join(" OR ");
                if conditions.is_empty() { "false".to_owned() } else { conditions }
            },
        );
        let sql = format!(
            "SELECT * FROM sync_tasks WHERE (?1 IS NULL OR kind = ?1) AND ({states}) ORDER BY id DESC LIMIT ?2"
        );
        let connection = self.reader()?;
        let mut statement = connection.prepare(&sql).doing(doing)?;
        let rows = statement.query_map(params![query.kind, limit], task_report).doing(doing)?;
        let tasks: Vec<_> = rows.collect::<rusqlite::Result<_>>().doing(doing)?;
        let mut tasks: Vec<_> = tasks.into_iter().map(|task| self.with_dead_run(task)).collect();
        if let Some(states) = looked_for {
            tasks.retain(|task| states.contains(&TaskState::of(task)));
        }
        tasks.truncate(usize::try_from(query.limit).unwrap_or(usize::MAX));
        Ok(tasks)
    }

    /// The task whose run was promised and has yet to begin.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn waiting_task(&self) -> Result<Option<TaskReport>, GreenError> {
        waiting(&self.reader()?)
    }

    /// The newest `limit` triggers, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn triggers(&self, limit: u64) -> Result<Vec<TriggerReport>, GreenError> {
        triggers(&self.reader()?, limit)
    }

    /// Says of a task whose run's process is gone that it was interrupted, as the next run will record.
    fn with_dead_run(&self, task: TaskReport) -> TaskReport {
        let Some(run) = task.run.filter(|_| task.outcome.is_none()) else { return task };
        match self.run_summary(run) {
            Ok(run) => TaskReport { outcome: run.outcome, finished_at: run.finished_at, error: run.error, ..task },
            Err(_) => task,
        }
    }
}

/// What is answered, in the transaction in which it is written down.
fn answer(
    connection: &Connection,
    new: &NewTrigger,
    repeated: Option<&TaskReport>,
    verdict: &Verdict,
) -> Result<TriggerReport, GreenError> {
    let report = |answer, message, task, run| TriggerReport {
        at: new.at,
        kind: new.kind.clone(),
        trigger: new.trigger,
        requested_by: new.requested_by.clone(),
        answer,
        message,
        task,
        run,
        idempotency_key: new.idempotency_key.clone(),
    };
    if let Some(task) = repeated {
        return Ok(report(TriggerAnswer::Joined, joined_by_name(task), Some(task.id), task.run));
    }
    if let Some(hold) = hold::in_force(connection)? {
        return Ok(report(TriggerAnswer::Held, refused(&hold), None, None));
    }
    match verdict {
        Verdict::Join { task: joined, .. } if has_begun(connection, *joined)? => {
            let behind = task(connection, *joined)?.and_then(|task| task.run);
            let after = behind.map_or_else(|| "the run before it".to_owned(), |run| format!("run {run}"));
            let promised = promise(connection, new)?;
            Ok(report(TriggerAnswer::Waiting, format!("a sync waits behind {after}"), Some(promised), behind))
        }
        Verdict::Join { task, behind } => {
            let waits = behind.map_or_else(|| "is about to begin".to_owned(), |run| format!("waits behind run {run}"));
            Ok(report(TriggerAnswer::Joined, format!("joined the sync that {waits}"), Some(*task), *behind))
        }
        Verdict::Promise { answer, behind, message } => {
            let promised = promise(connection, new)?;
            Ok(report(*answer, message.clone(), Some(promised), *behind))
        }
    }
}

/// Whether the run of a task has begun, or never will: it may have asked the source too early to be joined.
fn has_begun(connection: &Connection, id: TaskId) -> Result<bool, GreenError> {
    Ok(!task(connection, id)?.is_some_and(|task| task.is_waiting()))
}

fn promise(connection: &Connection, new: &NewTrigger) -> Result<TaskId, GreenError> {
    connection
        .execute(
            "INSERT INTO sync_tasks (kind, trigger_kind, requested_by, created_at) VALUES (?1, ?2, ?3, ?4)",
            params![new.kind, new.trigger.word(), new.requested_by, Millis(new.at)],
        )
        .doing("recording a trigger")?;
    Ok(connection.last_insert_rowid())
}
