//! What is written down of runs: the run, its steps, attempts and events.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::{
    error::{Doing, GreenError},
    fail, quarantine, recovery,
    sql::{Millis, diff_counts, operator, optional_time, optional_word, prefixed_operator, time, word},
    status, tasks,
};
use crate::{
    entity::Entity,
    failpoint::Failpoint,
    report::{
        AttemptReport, Guard, GuardReport, Operator, PublicationId, Replay, RunId, RunOutcome, RunReport, RunSummary,
        StepOutcome, StepReport, TaskId, Trigger,
    },
};

/// Entries of the quarantine that are read with a run: all that are kept, of both kinds and ten entities.
const QUARANTINE_READ: u64 = 2 * 10 * quarantine::KEPT;

/// What is known of a run when it begins.
#[derive(Clone, Debug)]
pub struct RunStart {
    /// What started it.
    pub trigger: Trigger,
    /// Address of its source.
    pub source: String,
    /// Who started it.
    pub operator: Operator,
    /// Who asked for it and what was promised, when that was no person at this host.
    pub requested: Option<Requested>,
    /// The entities that it is about; `None` for all.
    pub scope: Option<Vec<Entity>>,
    /// Whether it is to stop before the publish.
    pub dry_run: bool,
    /// For a replay, what it is for and the run whose snapshots it takes.
    pub replay: Option<(Replay, RunId)>,
    /// When.
    pub at: Timestamp,
}

/// A run that was promised to another program or by the schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested {
    /// Who asked for it.
    pub by: String,
    /// What was promised.
    pub task: TaskId,
}

/// One event of a run and what it says of a step or an attempt.
#[derive(Clone, Debug)]
pub struct JournalEntry {
    /// Its place among the events of the run.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Whether later events overtake it, so that it need not be kept once the run ended.
    pub passing: bool,
    /// The event as JSON.
    pub event: String,
    /// A request that ended with it.
    pub attempt: Option<AttemptReport>,
    /// A guard that tripped.
    pub finding: Option<GuardReport>,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct RunEnd {
    /// Its outcome.
    pub outcome: RunOutcome,
    /// What went wrong.
    pub error: Option<String>,
    /// When.
    pub at: Timestamp,
    /// All its steps.
    pub steps: Vec<StepReport>,
    /// Its last event.
    pub event: JournalEntry,
}

/// Writes down that a run begins, based on the newest publication; in a transaction of the caller's.
pub(super) fn begin(connection: &Connection, start: &RunStart) -> Result<(RunId, Option<PublicationId>), GreenError> {
    let doing = "recording the start of a run";
    let base = status::newest_publication_id(connection)?;
    connection
        .execute(
            "INSERT INTO sync_runs (trigger_kind, source, operator_user, operator_host, operator_pid, base_publication, \
             scope, dry_run, replay, replay_of, started_at, requested_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                start.trigger.word(),
                start.source,
                start.operator.user,
                start.operator.host,
                start.operator.pid,
                base,
                start.scope.as_deref().map(names),
                start.dry_run,
                start.replay.map(|(replay, _)| replay.word()),
                start.replay.map(|(_, run)| run),
                Millis(start.at),
                start.requested.as_ref().map(|requested| &requested.by)
            ],
        )
        .doing(doing)?;
    let run = connection.last_insert_rowid();
    if let Some(requested) = &start.requested {
        tasks::begin(connection, requested.task, run, start.at)?;
    }
    Ok((run, base))
}

/// Names joined by commas.
fn names(entities: &[Entity]) -> String {
    entities.iter().map(|entity| entity.name()).collect::<Vec<_>>().join(",")
}

/// Writes down one event.
pub(super) fn record(connection: &mut Connection, run: RunId, entry: &JournalEntry) -> Result<(), GreenError> {
    let doing = "recording an event";
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
    insert_event(&transaction, run, entry)?;
    write_guards(&transaction, GuardsOf::Run(run), entry.finding.as_slice())?;
    if let Some(attempt) = &entry.attempt {
        transaction
            .execute(
                "INSERT INTO sync_attempts (run_id, endpoint, attempt, finished_at, status, bytes, error, excerpt) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    run,
                    attempt.endpoint.key(),
                    attempt.attempt,
                    Millis(attempt.finished_at),
                    attempt.status,
                    attempt.bytes,
                    attempt.error,
                    attempt.excerpt
                ],
            )
            .doing(doing)?;
    }
    transaction.commit().doing(doing)
}

fn insert_event(connection: &Connection, run: RunId, entry: &JournalEntry) -> Result<(), GreenError> {
    connection
        .prepare_cached("INSERT INTO sync_events (run_id, seq, at, passing, event) VALUES (?1, ?2, ?3, ?4, ?5)")
        .and_then(|mut insert| insert.execute(params![run, entry.seq, Millis(entry.at), entry.passing, entry.event]))
        .doing("recording an event")?;
    Ok(())
}

/// Writes down how a run ended, its last event included: the process may be gone the moment after. A run that has an outcome already keeps it, as a publish records it by itself.
pub(super) fn end(connection: &mut Connection, run: RunId, end: &RunEnd) -> Result<(), GreenError> {
    let doing = "recording the end of a run";
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
    transaction
        .execute(
            "UPDATE sync_runs SET outcome = coalesce(outcome, ?2), finished_at = max(?3, started_at), error = ?4 WHERE id = ?1",
            params![run, end.outcome.word(), Millis(end.at), end.error],
        )
        .doing(doing)?;
    write_steps(&transaction, run, &end.steps)?;
    insert_event(&transaction, run, &end.event)?;
    transaction.execute("DELETE FROM sync_events WHERE run_id = ?1 AND passing", [run]).doing(doing)?;
    fail::reach(&transaction, Failpoint::EndWritten)?;
    transaction.commit().doing(doing)?;
    fail::reach(connection, Failpoint::EndCommitted)
}

/// Whether `run` was ended by someone else, who has the run lock now or had it since.
pub(super) fn is_taken_over(connection: &Connection, run: RunId) -> Result<bool, GreenError> {
    let interrupted = RunOutcome::Interrupted.word();
    connection
        .query_row("SELECT 1 FROM sync_runs WHERE id = ?1 AND outcome IS ?2", params![run, interrupted], |_| Ok(()))
        .optional()
        .map(|found| found.is_some())
        .doing("reading a run")
}

/// Writes down that the line of the run's operator dropped; how the run ends is to be told by a later start.
pub(super) fn operator_gone(connection: &Connection, run: RunId, at: Timestamp) -> Result<(), GreenError> {
    connection
        .execute("UPDATE sync_runs SET operator_gone_at = ?2, untold = 1 WHERE id = ?1", params![run, Millis(at)])
        .doing("recording that the operator is gone")?;
    Ok(())
}

/// Ended runs of which nobody has read how they ended, newest first.
pub(super) fn untold(connection: &Connection) -> Result<Vec<RunSummary>, GreenError> {
    let doing = "reading the runs";
    let sql = "SELECT * FROM sync_runs WHERE untold AND outcome IS NOT NULL ORDER BY id DESC";
    let mut statement = connection.prepare(sql).doing(doing)?;
    let rows = statement.query_map([], summary).doing(doing)?;
    rows.collect::<rusqlite::Result<_>>().doing(doing)
}

/// The events of `run` after the one numbered `after`, as JSON, in their order.
pub(super) fn events(connection: &Connection, run: RunId, after: u64) -> Result<Vec<String>, GreenError> {
    let doing = "reading the events of a run";
    let sql = "SELECT event FROM sync_events WHERE run_id = ?1 AND seq > ?2 ORDER BY seq";
    let mut statement = connection.prepare_cached(sql).doing(doing)?;
    let rows = statement.query_map(params![run, after], |row| row.get(0)).doing(doing)?;
    rows.collect::<rusqlite::Result<_>>().doing(doing)
}

/// Writes down steps as they are now.
pub(super) fn write_steps(connection: &Connection, run: RunId, steps: &[StepReport]) -> Result<(), GreenError> {
    let doing = "recording the steps";
    let mut insert = connection
        .prepare_cached(
            "INSERT OR REPLACE INTO sync_steps (run_id, entity, outcome, attempts, bytes, records, rows, rows_before, \
             quarantined, duplicates, notes, added, removed, changed, active_version, backup_version, snapshot_id, error) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
        )
        .doing(doing)?;
    for step in steps {
        insert
            .execute(params![
                run,
                step.entity.name(),
                step.outcome.map(StepOutcome::word),
                step.attempts,
                step.bytes,
                step.records,
                step.rows,
                step.rows_before,
                step.quarantined,
                step.duplicates,
                step.notes,
                step.diff.map(|diff| diff.added),
                step.diff.map(|diff| diff.removed),
                step.diff.map(|diff| diff.changed),
                step.active_version,
                step.backup_version,
                step.snapshot,
                step.error
            ])
            .doing(doing)?;
    }
    Ok(())
}

/// Whose guards are written down or read.
#[derive(Clone, Copy, Debug)]
pub(super) enum GuardsOf {
    /// Those that tripped in a run.
    Run(RunId),
    /// Those that were accepted with a publication.
    Publication(PublicationId),
}

impl GuardsOf {
    const fn place(self) -> (&'static str, &'static str, i64) {
        match self {
            Self::Run(run) => ("sync_guards", "run_id", run),
            Self::Publication(publication) => ("sync_publication_guards", "publication_id", publication),
        }
    }
}

/// Writes down guards that tripped.
pub(super) fn write_guards(connection: &Connection, of: GuardsOf, guards: &[GuardReport]) -> Result<(), GreenError> {
    let (table, key, id) = of.place();
    let sql = format!(
        "INSERT INTO {table} ({key}, guard, entity, column_name, limit_value, value, message, accepted) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
    );
    for guard in guards {
        let GuardReport { guard, entity, column, limit, value, message, accepted } = guard;
        connection
            .execute(&sql, params![id, guard.word(), entity.name(), column, limit, value, message, accepted])
            .doing("recording the guards")?;
    }
    Ok(())
}

/// Guards that were written down.
pub(super) fn guards(connection: &Connection, of: GuardsOf) -> Result<Vec<GuardReport>, GreenError> {
    let doing = "reading the guards";
    let (table, key, id) = of.place();
    let sql = format!("SELECT * FROM {table} WHERE {key} = ?1 ORDER BY id");
    let mut statement = connection.prepare(&sql).doing(doing)?;
    let guards = statement
        .query_map([id], |row| {
            Ok(GuardReport {
                guard: word(row, "guard", Guard::from_word)?,
                entity: word(row, "entity", |name| name.parse().ok())?,
                column: row.get("column_name")?,
                limit: row.get("limit_value")?,
                value: row.get("value")?,
                message: row.get("message")?,
                accepted: row.get("accepted")?,
            })
        })
        .doing(doing)?;
    guards.collect::<rusqlite::Result<_>>().doing(doing)
}

/// Marks runs without an outcome as interrupted; to be called by the owner of the run lock only.
pub(super) fn interrupt_dead(connection: &Connection, at: Timestamp) -> Result<Vec<RunId>, GreenError> {
    let doing = "clearing up after interrupted runs";
    // No run goes on. One that died between its publish and its end has an outcome and still its passing events.
    connection.execute("DELETE FROM sync_events WHERE passing", []).doing(doing)?;
    let mut update = connection
        .prepare("UPDATE sync_runs SET outcome = ?1, finished_at = max(?2, started_at), error = ?3, untold = 1 WHERE outcome IS NULL RETURNING id")
        .doing(doing)?;
    let ids = update
        .query_map(params![RunOutcome::Interrupted.word(), Millis(at), recovery::DIED], |row| row.get(0))
        .doing(doing)?;
    ids.collect::<rusqlite::Result<_>>().doing(doing)
}

fn summary(row: &Row<'_>) -> rusqlite::Result<RunSummary> {
    let started_at = time(row, "started_at")?;
    let finished_at = optional_time(row, "finished_at")?;
    Ok(RunSummary {
        id: row.get("id")?,
        trigger: word(row, "trigger_kind", Trigger::from_word)?,
        outcome: optional_word(row, "outcome", RunOutcome::from_word)?,
        started_at,
        finished_at,
        duration_ms: finished_at.map(|end| (end.as_millisecond() - started_at.as_millisecond()).max(0)),
        operator: operator(row)?,
        requested_by: row.get("requested_by")?,
        source: row.get("source")?,
        publication: row.get("publication")?,
        scope: optional_word(row, "scope", |names| names.split(',').map(|name| name.parse().ok()).collect())?,
        dry_run: row.get("dry_run")?,
        replay: optional_word(row, "replay", Replay::from_word)?,
        replay_of: row.get("replay_of")?,
        error: row.get("error")?,
        cancel_asked_by: prefixed_operator(row, "cancel")?,
        operator_gone_at: optional_time(row, "operator_gone_at")?,
    })
}

/// The newest runs, newest first.
pub(super) fn runs(connection: &Connection, limit: u64) -> Result<Vec<RunSummary>, GreenError> {
    let doing = "reading the runs";
    let mut statement = connection.prepare("SELECT * FROM sync_runs ORDER BY id DESC LIMIT ?1").doing(doing)?;
    let rows = statement.query_map([limit], summary).doing(doing)?;
    rows.collect::<rusqlite::Result<_>>().doing(doing)
}

/// One run.
pub(super) fn run(connection: &Connection, run: RunId) -> Result<RunSummary, GreenError> {
    connection
        .query_row("SELECT * FROM sync_runs WHERE id = ?1", [run], summary)
        .optional()
        .doing("reading a run")?
        .ok_or(GreenError::NotFound { what: "run", id: run, command: "runs" })
}

/// The publication that a run was based on.
pub(super) fn base(connection: &Connection, run: RunId) -> Result<Option<PublicationId>, GreenError> {
    connection
        .query_row("SELECT base_publication FROM sync_runs WHERE id = ?1", [run], |row| row.get(0))
        .doing("reading a run")
}

/// The run without an outcome, if there is one.
pub(super) fn unfinished(connection: &Connection) -> Result<Option<RunSummary>, GreenError> {
    connection
        .query_row("SELECT * FROM sync_runs WHERE outcome IS NULL ORDER BY id DESC LIMIT 1", [], summary)
        .optional()
        .doing("reading the runs")
}

/// One run with its steps, attempts and quarantine.
pub(super) fn report(connection: &Connection, id: RunId) -> Result<RunReport, GreenError> {
    let doing = "reading a run";
    let run = run(connection, id)?;
    let mut statement = connection.prepare("SELECT * FROM sync_attempts WHERE run_id = ?1 ORDER BY id").doing(doing)?;
    let attempts = statement.query_map([id], attempt).doing(doing)?;
    let attempts = attempts.collect::<rusqlite::Result<_>>().doing(doing)?;
    let quarantine = quarantine::list(connection, id, QUARANTINE_READ)?;
    let guards = guards(connection, GuardsOf::Run(id))?;
    Ok(RunReport { run, entities: steps(connection, id)?, guards, attempts, quarantine })
}

/// The steps of a run, in the order of [`Entity::ALL`].
pub(super) fn steps(connection: &Connection, run: RunId) -> Result<Vec<StepReport>, GreenError> {
    let doing = "reading the steps of a run";
    let mut statement = connection.prepare("SELECT * FROM sync_steps WHERE run_id = ?1").doing(doing)?;
    let steps = statement.query_map([run], step).doing(doing)?;
    let mut steps: Vec<StepReport> = steps.collect::<rusqlite::Result<_>>().doing(doing)?;
    steps.sort_by_key(|step| step.entity);
    Ok(steps)
}

/// A row of `sync_steps`.
pub(super) fn step(row: &Row<'_>) -> rusqlite::Result<StepReport> {
    Ok(StepReport {
        entity: word(row, "entity", |name| name.parse().ok())?,
        outcome: optional_word(row, "outcome", StepOutcome::from_word)?,
        attempts: row.get("attempts")?,
        bytes: row.get("bytes")?,
        records: row.get("records")?,
        rows: row.get("rows")?,
        rows_before: row.get("rows_before")?,
        quarantined: row.get("quarantined")?,
        duplicates: row.get("duplicates")?,
        notes: row.get("notes")?,
        diff: diff_counts(row)?,
        active_version: row.get("active_version")?,
        backup_version: row.get("backup_version")?,
        snapshot: row.get("snapshot_id")?,
        error: row.get("error")?,
    })
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<AttemptReport> {
    Ok(AttemptReport {
        endpoint: word(row, "endpoint", |key| key.parse().ok())?,
        attempt: row.get("attempt")?,
        finished_at: time(row, "finished_at")?,
        status: row.get("status")?,
        bytes: row.get("bytes")?,
        error: row.get("error")?,
        excerpt: row.get("excerpt")?,
    })
}

/// Ended runs beyond the newest `?1`, but for those behind a live version or a backup.
const OLD_RUNS: &str = "WITH newest AS (SELECT max(publication_id) AS id, entity FROM sync_publication_entities GROUP BY entity), \
     used AS (SELECT to_run, from_run FROM sync_publication_entities AS switch JOIN newest \
         ON switch.publication_id = newest.id AND switch.entity = newest.entity) \
     SELECT id FROM sync_runs WHERE outcome IS NOT NULL \
     AND id NOT IN (SELECT id FROM sync_runs ORDER BY id DESC LIMIT ?1) \
     AND id NOT IN (SELECT to_run FROM used WHERE to_run IS NOT NULL UNION SELECT from_run FROM used WHERE from_run IS NOT NULL \
         UNION SELECT run_id FROM sync_same_rows)";

/// How many runs [`remove_old`] would remove.
pub(super) fn count_old(connection: &Connection, keep: u64) -> Result<u64, GreenError> {
    let sql = format!("SELECT count(*) FROM ({OLD_RUNS})");
    connection.query_row(&sql, [keep], |row| row.get(0)).doing("reading the runs")
}

/// Removes ended runs beyond the newest `keep` with all that was written down of them, and quarantined records that are
/// gone since one of those; publications stay.
pub(super) fn remove_old(connection: &Connection, keep: u64) -> Result<u64, GreenError> {
    let sql = format!("DELETE FROM sync_runs WHERE id IN ({OLD_RUNS})");
    let removed = connection.execute(&sql, [keep]).doing("removing old runs")?;
    quarantine::forget_gone(connection)?;
    tasks::remove_old(connection)?;
    Ok(removed as u64)
}
