//! The one transaction that makes the prepared tables of a run live, all of them or none.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::{
    app_migration,
    error::{Doing, GreenError},
    fail, hold, journal, schema,
    sql::{self, Millis},
    status::{self, Origin},
};
use crate::{
    entity::{Entity, MAPPING_VERSION},
    failpoint::Failpoint,
    report::{
        DiffCounts, GuardReport, HoldReport, Layout, Operator, PublicationId, PublicationKind, PublicationReport,
        RunId, RunOutcome, SnapshotId, StepOutcome, StepReport, SwitchReport,
    },
};

/// An entity whose new rows are loaded and checked.
#[derive(Clone, Copy, Debug)]
pub struct Prepared {
    /// The entity.
    pub entity: Entity,
    /// The snapshot that the rows were made from.
    pub snapshot: SnapshotId,
    /// How many rows there are.
    pub rows: u64,
    /// How many are live now.
    pub rows_before: u64,
    /// Difference to the live rows.
    pub diff: Option<DiffCounts>,
}

/// What a publish or a rollback did.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// The publication.
    pub report: PublicationReport,
    /// What it switched.
    pub switches: Vec<SwitchReport>,
    /// The hold that was released with it.
    pub hold_released: Option<HoldReport>,
}

/// What a publish does with the hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldRule {
    /// It stops the publish.
    Obey,
    /// This one, which the operator was shown, is released with the publish; any other stops it.
    Release(Box<HoldReport>),
    /// The publish goes through a hold that was there when its run began, and sets one with this reason if there was none.
    Set(String),
    /// The publish goes through a hold that was there when its run began, and leaves it as it is.
    Ignore,
}

/// All that goes into a publish.
#[derive(Clone, Debug)]
pub struct PublishOrder {
    /// The entities to switch.
    pub prepared: Vec<Prepared>,
    /// All steps of the run.
    pub steps: Vec<StepReport>,
    /// Guards that tripped and were accepted.
    pub accepted: Vec<GuardReport>,
    /// What the publication is.
    pub kind: PublicationKind,
    /// The run whose snapshots were taken, for a replay.
    pub replay_of: Option<RunId>,
    /// What becomes of the hold.
    pub hold: HoldRule,
    /// What stays behind in a partial publish.
    pub left_behind: Option<String>,
    /// Who publishes.
    pub operator: Operator,
    /// When.
    pub at: Timestamp,
}

/// Switches all prepared entities to the tables that `run` loaded, and records the run with its steps as published.
///
/// # Errors
/// [`GreenError::TakenOver`] when the run has an outcome already, [`GreenError::Held`] when the hold is set,
/// [`GreenError::Moved`] when something was published since it began. On any error nothing was switched.
pub(super) fn publish(
    connection: &mut Connection,
    run: RunId,
    order: &PublishOrder,
    hold_at_begin: Option<&HoldReport>,
    cancelled: &dyn Fn() -> bool,
) -> Result<Publication, GreenError> {
    let doing = "publishing";
    let at = order.at;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
    fail::reach(&transaction, Failpoint::PublishLocked)?;
    // Waiting for the write lock may have taken a while.
    if cancelled() {
        return Err(GreenError::Cancelled { by: None });
    }
    check_may_publish(&transaction, run, &order.hold, hold_at_begin)?;
    fail::reach(&transaction, Failpoint::PublishChecked)?;
    // The process may be gone the moment after: what the steps became is part of the publish.
    journal::write_steps(&transaction, run, &order.steps)?;
    let made = Made { kind: order.kind, run: Some(run), undoes: None, replay_of: order.replay_of };
    let mut report = insert_publication(&transaction, made, &order.operator, at)?;
    journal::write_guards(&transaction, journal::GuardsOf::Publication(report.id), &order.accepted)?;
    report.accepted.clone_from(&order.accepted);
    fail::reach(&transaction, Failpoint::PublishRecorded)?;
    let origin = Origin { run: Some(run), snapshot: None, mapping: Some(MAPPING_VERSION), made_at: Some(at) };
    let mut switches = Vec::new();
    for new in &order.prepared {
        let entity = new.entity;
        let live = status::live(&transaction, entity)?;
        // Should view and metadata ever disagree, visitors see the view: the other version is the one to replace.
        let active =
            if live.active == 0 { 0 } else { schema::viewed_version(&transaction, entity)?.unwrap_or(live.active) };
        let target = if active == 1 { 2 } else { 1 };
        let table = Layout::of(&transaction)?.version_table(entity, target);
        if schema::exists(&transaction, &table)? {
            schema::rename(&transaction, &table, &schema::trash_table(entity, run))?;
            fail::reach(&transaction, Failpoint::PublishPutAside)?;
        }
        schema::rename(&transaction, &schema::shadow_table(entity, run), &table)?;
        fail::reach(&transaction, Failpoint::PublishRenamed)?;
        schema::point_view(&transaction, entity, target)?;
        fail::reach(&transaction, Failpoint::PublishViewed)?;
        status::write_metadata(&transaction, entity, target, active, at)?;
        fail::reach(&transaction, Failpoint::PublishMetadata)?;
        let switch = SwitchReport {
            entity,
            from_version: active,
            to_version: target,
            rows_before: new.rows_before,
            rows_after: new.rows,
            diff: new.diff,
        };
        let to = Origin { snapshot: Some(new.snapshot), ..origin };
        let from = if active == live.active { live.active_origin } else { Origin::default() };
        insert_switch(&transaction, report.id, &switch, from, to)?;
        transaction
            .execute(
                "UPDATE sync_steps SET outcome = ?3, active_version = ?4, backup_version = ?5 WHERE run_id = ?1 AND entity = ?2",
                params![run, entity.name(), StepOutcome::Published.word(), target, active],
            )
            .doing(doing)?;
        switches.push(switch);
        fail::reach(&transaction, Failpoint::PublishSwitched)?;
    }
    let hold_released = order.hold.apply(&transaction, Some(report.id), &order.operator, at)?;
    transaction
        .execute(
            "UPDATE sync_runs SET outcome = ?2, finished_at = max(?3, started_at), publication = ?4, error = ?5 WHERE id = ?1",
            params![run, RunOutcome::Published.word(), Millis(at), report.id, order.left_behind],
        )
        .doing(doing)?;
    fail::reach(&transaction, Failpoint::PublishWritten)?;
    transaction.commit().doing(doing)?;
    fail::reach(connection, Failpoint::PublishCommitted)?;
    Ok(Publication { report, switches, hold_released })
}

/// What the publish of `run` recorded; `None` when it published nothing.
pub(super) fn recorded(connection: &Connection, run: RunId) -> Result<Option<Publication>, GreenError> {
    let doing = "reading a publication";
    let Some(id) = journal::run(connection, run)?.publication else { return Ok(None) };
    let mut statement =
        connection.prepare("SELECT * FROM sync_publication_entities WHERE publication_id = ?1").doing(doing)?;
    let switches = statement.query_map([id], switch).doing(doing)?;
    let mut switches: Vec<SwitchReport> = switches.collect::<rusqlite::Result<_>>().doing(doing)?;
    switches.sort_unstable_by_key(|switch| switch.entity);
    Ok(Some(Publication { report: status::publication(connection, id)?, switches, hold_released: None }))
}

/// A row of `sync_publication_entities` as it switched.
pub(super) fn switch(row: &Row<'_>) -> rusqlite::Result<SwitchReport> {
    Ok(SwitchReport {
        entity: sql::word(row, "entity", |name| name.parse().ok())?,
        from_version: row.get("from_version")?,
        to_version: row.get("to_version")?,
        rows_before: row.get("from_rows")?,
        rows_after: row.get("to_rows")?,
        diff: sql::diff_counts(row)?,
    })
}

impl HoldRule {
    /// The hold that stops a publish by this rule, given the one in force and the one that was when the run began.
    #[must_use]
    pub fn stopped_by(&self, in_force: Option<HoldReport>, at_begin: Option<&HoldReport>) -> Option<HoldReport> {
        match self {
            Self::Obey => in_force,
            Self::Release(shown) => in_force.filter(|hold| *hold != **shown),
            // Who set one since then means this run, too.
            Self::Set(_) | Self::Ignore => in_force.filter(|hold| Some(hold) != at_begin),
        }
    }

    /// Does with the hold what goes with `publication`, or with finding nothing to publish.
    ///
    /// # Returns
    /// The hold that was released.
    fn apply(
        &self,
        connection: &Connection,
        publication: Option<PublicationId>,
        operator: &Operator,
        at: Timestamp,
    ) -> Result<Option<HoldReport>, GreenError> {
        match self {
            Self::Release(_) => hold::release(connection, operator, at),
            Self::Set(reason) => hold::set(connection, reason, publication, operator, at).map(|_| None),
            Self::Obey | Self::Ignore => Ok(None),
        }
    }
}

/// Does with the hold what a publish would do, for a run that found nothing to publish; refuses as a publish does.
pub(super) fn settle_hold(
    connection: &mut Connection,
    run: RunId,
    rule: &HoldRule,
    hold_at_begin: Option<&HoldReport>,
    operator: &Operator,
    at: Timestamp,
) -> Result<(), GreenError> {
    let doing = "settling the hold";
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
    check_may_publish(&transaction, run, rule, hold_at_begin)?;
    rule.apply(&transaction, None, operator, at)?;
    transaction.commit().doing(doing)
}

fn check_may_publish(
    connection: &Connection,
    run: RunId,
    rule: &HoldRule,
    hold_at_begin: Option<&HoldReport>,
) -> Result<(), GreenError> {
    let found: Option<(Option<String>, Option<PublicationId>, Option<Operator>)> = connection
        .query_row("SELECT * FROM sync_runs WHERE id = ?1", [run], |row| {
            Ok((row.get("outcome")?, row.get("base_publication")?, sql::prefixed_operator(row, "cancel")?))
        })
        .optional()
        .doing("checking the run before publishing")?;
    let Some((None, expected, cancelled_by)) = found else { return Err(GreenError::TakenOver { run }) };
    if cancelled_by.is_some() {
        return Err(GreenError::Cancelled { by: cancelled_by });
    }
    app_migration::check_none(connection)?;
    // Before the check for newer publications: after a rollback both are so, and the hold is what it says.
    if let Some(hold) = rule.stopped_by(hold::in_force(connection)?, hold_at_begin) {
        return Err(GreenError::Held { hold: Box::new(hold) });
    }
    check_newest(connection, expected)
}

/// Checks that nothing was published since `expected`.
pub(super) fn check_newest(connection: &Connection, expected: Option<PublicationId>) -> Result<(), GreenError> {
    let newest = status::newest_publication_id(connection)?;
    if newest == expected { Ok(()) } else { Err(GreenError::Moved { newest, expected }) }
}

/// What a publication is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    pub(super) kind: PublicationKind,
    pub(super) run: Option<RunId>,
    pub(super) undoes: Option<PublicationId>,
    pub(super) replay_of: Option<RunId>,
}

/// Writes down a publication.
pub(super) fn insert_publication(
    connection: &Connection,
    made: Made,
    operator: &Operator,
    at: Timestamp,
) -> Result<PublicationReport, GreenError> {
    let Made { kind, run, undoes, replay_of } = made;
    connection
        .execute(
            "INSERT INTO sync_publications (kind, run_id, undoes, replay_of, operator_user, operator_host, operator_pid, \
             published_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![kind.word(), run, undoes, replay_of, operator.user, operator.host, operator.pid, Millis(at)],
        )
        .doing("recording a publication")?;
    let id = connection.last_insert_rowid();
    let (operator, accepted) = (operator.clone(), Vec::new());
    Ok(PublicationReport { id, kind, run, undoes, replay_of, accepted, published_at: at, operator })
}

/// Writes down what a publication switched.
pub(super) fn insert_switch(
    connection: &Connection,
    publication: PublicationId,
    switch: &SwitchReport,
    from: Origin,
    to: Origin,
) -> Result<(), GreenError> {
    connection
        .execute(
            "INSERT INTO sync_publication_entities (publication_id, entity, from_version, to_version, from_rows, to_rows, \
             added, removed, changed, from_run, to_run, from_snapshot, to_snapshot, from_mapping, to_mapping, from_made_at, \
             to_made_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
            params![
                publication,
                switch.entity.name(),
                switch.from_version,
                switch.to_version,
                switch.rows_before,
                switch.rows_after,
                switch.diff.map(|diff| diff.added),
                switch.diff.map(|diff| diff.removed),
                switch.diff.map(|diff| diff.changed),
                from.run,
                to.run,
                from.snapshot,
                to.snapshot,
                from.mapping,
                to.mapping,
                from.made_at.map(Millis),
                to.made_at.map(Millis)
            ],
        )
        .doing("recording a publication")?;
    Ok(())
}
