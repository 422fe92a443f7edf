//! Taking over a database that the application's own migrations made and its old system filled.
//!
//! `survey` looks, `tables`, `versions`, `earlier` and `bodies` say what is to be done about what it sees, `plan` holds that
//! and carries it out. What visitors see is never changed for worse: the views are the truth, not `SyncMetadata`.

mod bodies;
mod earlier;
mod plan;
mod survey;
mod tables;
mod versions;

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};

use self::plan::Plan;
use super::{
    database::{Database, durable, without_foreign_keys},
    error::{Doing, GreenError},
    fail, layout,
    lock::RunLock,
    migrate,
    publish::{self, Made},
    release, schema,
    sql::{Millis, time},
    status::Origin,
};
use crate::{
    entity::Entity,
    failpoint::Failpoint,
    report::{AdoptionReport, FindingKind, Layout, Operator, PublicationId, PublicationKind, SwitchReport, Work},
};

/// Since when an adopted database is, and the journal mode that it was in.
pub(super) fn in_force(connection: &Connection) -> Result<Option<(Timestamp, String)>, GreenError> {
    if !layout::is_adopted(connection)? {
        return Ok(None);
    }
    connection
        .query_row("SELECT * FROM sync_adoption", [], |row| Ok((time(row, "adopted_at")?, row.get("journal_mode")?)))
        .map(Some)
        .doing("reading the adoption")
}

fn journal_mode(connection: &Connection) -> Result<String, GreenError> {
    connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).doing("reading the journal mode")
}

/// The report of a database that is adopted already.
fn already(connection: &Connection, dry_run: bool) -> Result<Option<AdoptionReport>, GreenError> {
    let Some((at, journal_mode)) = in_force(connection)? else { return Ok(None) };
    let told = Plan::default().report(dry_run, journal_mode);
    Ok(Some(AdoptionReport { adopted_at: Some(at), ..told }))
}

fn check_is_of_application(connection: &Connection, path: &Path) -> Result<(), GreenError> {
    if layout::is_of_application(connection)? {
        return Ok(());
    }
    Err(GreenError::NothingToAdopt { path: path.to_owned() })
}

/// Refuses what has to be put right by hand first.
fn check_obstacles(report: &AdoptionReport) -> Result<(), GreenError> {
    let obstacles: Vec<_> =
        report.of(FindingKind::Obstacle).map(|finding| format!("{}; {}", finding.found, finding.done)).collect();
    if obstacles.is_empty() { Ok(()) } else { Err(GreenError::CannotAdopt { obstacles }) }
}

/// Writes down what is live as a publication, so that a rollback leads to the backup that the old system left.
fn publish(
    connection: &Connection,
    plan: &Plan,
    operator: &Operator,
    at: Timestamp,
) -> Result<Option<PublicationId>, GreenError> {
    let is_seen = |entity: Entity| !plan.unseen.contains(&entity);
    let live: Vec<_> = plan.entities.iter().filter(|one| one.active_version != 0 && is_seen(one.entity)).collect();
    if live.is_empty() {
        return Ok(None);
    }
    let made = Made { kind: PublicationKind::Adoption, run: None, undoes: None, replay_of: None };
    let publication = publish::insert_publication(connection, made, operator, at)?;
    for one in live {
        let switch = SwitchReport {
            entity: one.entity,
            from_version: one.backup_version,
            to_version: one.active_version,
            rows_before: one.backup_rows,
            rows_after: one.active_rows,
            diff: None,
        };
        // Nobody knows what they were made from.
        let to = Origin { made_at: one.published_at, ..Origin::default() };
        publish::insert_switch(connection, publication.id, &switch, Origin::default(), to)?;
    }
    Ok(Some(publication.id))
}

impl Database {
    /// What [`Database::adopt`] would do with the file at `path`. Writes nothing, neither to the file nor beside it.
    ///
    /// Takes as long as reading all bodies takes that are there.
    ///
    /// # Errors
    /// [`GreenError::NothingToAdopt`] when the application's own migrations did not make it; when it cannot be read. What
    /// is in the way of an adoption is in the report.
    pub fn plan_adoption(path: impl AsRef<Path>) -> Result<AdoptionReport, GreenError> {
        let database = Self::unchecked(path.as_ref())?;
        let mut connection = database.traceless_reader()?;
        database.check_readable(&connection)?;
        let transaction = connection.transaction().doing("planning an adoption")?;
        migrate::check_version(&transaction, database.path())?;
        check_is_of_application(&transaction, database.path())?;
        if let Some(report) = already(&transaction, true)? {
            return Ok(report);
        }
        Ok(Plan::make(&transaction)?.report(true, journal_mode(&transaction)?))
    }

    /// The right to adopt the file at `path`.
    ///
    /// # Errors
    /// [`GreenError::Locked`] with the owner when something else goes on; when there is no such file.
    pub fn lock_for_adoption(
        path: impl AsRef<Path>,
        operator: &Operator,
        at: Timestamp,
    ) -> Result<RunLock, GreenError> {
        RunLock::acquire(&Self::unchecked(path.as_ref())?, Work::Adoption, operator, at)
    }

    /// Takes over the file at `path`: switches it to WAL mode, puts right what [`Database::plan_adoption`] says and writes
    /// down what is live, all in one transaction. Readers go on reading what they read.
    ///
    /// # Errors
    /// [`GreenError::CannotAdopt`] when something has to be put right by hand first; as [`Database::plan_adoption`]; when it
    /// cannot be written. Nothing was changed then, but that it may be in WAL mode when others have it open.
    pub fn adopt(
        path: impl AsRef<Path>,
        _lock: &RunLock,
        operator: &Operator,
        at: Timestamp,
    ) -> Result<AdoptionReport, GreenError> {
        let planned = Self::plan_adoption(path.as_ref())?;
        check_obstacles(&planned)?;
        if planned.adopted_at.is_some() {
            return Ok(AdoptionReport { dry_run: false, ..planned });
        }
        let database = Self::unchecked(path.as_ref())?;
        let mut connection = database.run_writer()?;
        database.enter_wal(&connection)?;
        fail::reach(&connection, Failpoint::AdoptLogged)?;
        let taken = without_foreign_keys(&mut connection, |connection| {
            durable(connection, |connection| {
                take_over(connection, database.path(), planned.journal_mode.clone(), operator, at)
            })
        });
        if taken.is_err() && !release::put_mode_back(&connection, &planned.journal_mode) {
            tracing::warn!("the journal mode stays wal, as another program has the database open");
        }
        taken
    }
}

fn take_over(
    connection: &mut Connection,
    path: &Path,
    journal_mode: String,
    operator: &Operator,
    at: Timestamp,
) -> Result<AdoptionReport, GreenError> {
    let doing = "adopting the database";
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
    if let Some(report) = already(&transaction, false)? {
        return Ok(report);
    }
    // Looked at again under the write lock: what is done is what is there now.
    let plan = Plan::make(&transaction)?;
    let mut report = plan.report(false, journal_mode);
    check_obstacles(&report)?;
    let had = schema::table_exists(&transaction, Layout::Standard.metadata())?;
    migrate::apply(&transaction, path)?;
    if !had {
        schema::drop_table(&transaction, Layout::Standard.metadata())?;
    }
    transaction
        .execute(
            "INSERT INTO sync_adoption (id, adopted_at, operator_user, operator_host, operator_pid, journal_mode, report) \
             VALUES (1, ?1, ?2, ?3, ?4, ?5, '')",
            params![Millis(at), operator.user, operator.host, operator.pid, report.journal_mode],
        )
        .doing(doing)?;
    fail::reach(&transaction, Failpoint::AdoptRecorded)?;
    plan.acts.iter().try_for_each(|act| plan::carry_out(&transaction, act, at))?;
    fail::reach(&transaction, Failpoint::AdoptRepaired)?;
    bodies::register(&transaction, &plan.bodies, at)?;
    report.publication = publish(&transaction, &plan, operator, at)?;
    let told = serde_json::to_string(&report).unwrap_or_default();
    transaction.execute("UPDATE sync_adoption SET report = ?1", [told]).doing(doing)?;
    fail::reach(&transaction, Failpoint::AdoptWritten)?;
    transaction.commit().doing(doing)?;
    fail::reach(connection, Failpoint::AdoptCommitted)?;
    Ok(report)
}
