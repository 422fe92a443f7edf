//! A way through the application's own migrations, which fail while views stand where its models are tables: tables with
//! the live rows stand in the place of the views until such a migration ends.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use tokio_util::sync::CancellationToken;

use super::{
    columns::{self, ExtraColumn},
    current_table,
    database::{Database, durable, without_foreign_keys},
    error::{Doing, GreenError},
    fail, index_names, load,
    lock::RunLock,
    recovery, reserve,
    schema::{self, version_table},
    sql::{Millis, operator, quoted, time},
    status,
};
use crate::{
    entity::Entity,
    failpoint::Failpoint,
    report::{AppMigrationReport, Layout, Operator, Version, Work},
};

/// Rows that are copied in one transaction.
const ROWS_AT_ONCE: i64 = 5_000;

/// The migration for which tables stand in the place of views or are being made, be its process alive or not.
pub(super) fn open_one(connection: &Connection) -> Result<Option<AppMigrationReport>, GreenError> {
    connection
        .query_row("SELECT * FROM sync_app_migration", [], |row| {
            Ok(AppMigrationReport {
                command: row.get("command")?,
                operator: operator(row)?,
                since: time(row, "opened_at")?,
            })
        })
        .optional()
        .doing("reading whether the application migrates")
}

/// Refuses to switch anything while the application migrates.
pub(super) fn check_none(connection: &Connection) -> Result<(), GreenError> {
    match open_one(connection)? {
        Some(migration) => Err(GreenError::AppMigrating { migration: Box::new(migration) }),
        None => Ok(()),
    }
}

/// The version that the table in the place of the view of `entity` is made from.
fn source(connection: &Connection, entity: Entity) -> Result<Version, GreenError> {
    if let Some(version) = schema::viewed_version(connection, entity)? {
        return Ok(version);
    }
    Ok(status::metadata(connection, entity)?.map_or(1, |(active, _)| active.max(1)))
}

/// Copies the live rows of `entity` into a table beside, with its indexes, a few at a time.
fn copy(connection: &mut Connection, entity: Entity, stop: &CancellationToken) -> Result<u64, GreenError> {
    let doing = "copying rows for the application's migration";
    let (name, version) = (schema::copy_table(entity), source(connection, entity)?);
    let (indexes, columns) = current_table::create(connection, entity, version, &name)?;
    let (from, to) = (quoted(&version_table(entity, version)), quoted(&name));
    let last = format!("SELECT max(rowid) FROM (SELECT rowid FROM {from} WHERE rowid > ?1 ORDER BY rowid LIMIT ?2)");
    let insert = format!(
        "INSERT INTO {to} ({columns}) SELECT {columns} FROM {from} WHERE rowid > ?1 AND rowid <= ?2 ORDER BY rowid"
    );
    let (mut after, mut copied) = (i64::MIN, 0);
    loop {
        if stop.is_cancelled() {
            return Err(GreenError::Stopped);
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
        let end: Option<i64> = transaction
            .prepare_cached(&last)
            .and_then(|mut statement| statement.query_row(params![after, ROWS_AT_ONCE], |row| row.get(0)))
            .doing(doing)?;
        let Some(end) = end else { break };
        copied += transaction.execute(&insert, params![after, end]).doing(doing)? as u64;
        transaction.commit().doing(doing)?;
        fail::reach(connection, Failpoint::AppCopied)?;
        after = end;
    }
    current_table::build_indexes(connection, entity, &indexes)?;
    Ok(copied)
}

/// Puts the copies in the place of the views.
fn switch(connection: &mut Connection, entities: &[Entity]) -> Result<(), GreenError> {
    let doing = "putting tables in the place of the views";
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
    let layout = Layout::of(&transaction)?;
    for entity in entities.iter().copied() {
        let view = layout.view(entity);
        transaction.execute_batch(&format!("DROP VIEW IF EXISTS {}", quoted(&view))).doing(doing)?;
        schema::rename(&transaction, &schema::copy_table(entity), &view)?;
    }
    let names = entities.iter().map(|entity| entity.name()).collect::<Vec<_>>().join(",");
    transaction.execute("UPDATE sync_app_migration SET entities = ?1", [names]).doing(doing)?;
    fail::reach(&transaction, Failpoint::AppSwitched)?;
    transaction.commit().doing(doing)?;
    fail::reach(connection, Failpoint::AppOpened)
}

/// Puts the views back, should a migration of the application have left tables in their place; to be called by the owner of
/// the run lock only.
///
/// # Returns
/// What the migration left that had to be dealt with.
///
/// # Errors
/// [`GreenError::NoView`] when it left nothing that a view could read. All stays as it is then.
pub(super) fn close(connection: &mut Connection) -> Result<Vec<String>, GreenError> {
    let doing = "putting the views back";
    if open_one(connection)?.is_none() {
        return Ok(Vec::new());
    }
    without_foreign_keys(connection, |connection| {
        durable(connection, |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
            let switched: String =
                transaction.query_row("SELECT entities FROM sync_app_migration", [], |row| row.get(0)).doing(doing)?;
            let mut notes = Vec::new();
            for entity in switched.split(',').filter_map(|name| name.parse().ok()) {
                put_view_back(&transaction, entity, &mut notes)?;
            }
            transaction.execute("DELETE FROM sync_app_migration", []).doing(doing)?;
            fail::reach(&transaction, Failpoint::AppClosing)?;
            transaction.commit().doing(doing)?;
            fail::reach(connection, Failpoint::AppClosed)?;
            Ok(notes)
        })
    })
}

/// Adds a column to a table, without its default where it need not have that and `SQLite` takes no such default.
///
/// # Returns
/// What is to be told of it.
fn give_column(connection: &Connection, table: &str, column: &ExtraColumn) -> rusqlite::Result<&'static str> {
    let add = |column: &ExtraColumn| {
        connection.execute_batch(&format!("ALTER TABLE {} ADD COLUMN {}", quoted(table), column.definition()))
    };
    match (add(column), column.without_default()) {
        (Err(_), Some(bare)) => add(&bare).map(|()| ", without its default"),
        (added, _) => added.map(|()| ""),
    }
}

/// Makes the view of `entity` again where a table stands, which is put aside.
pub(super) fn put_view_back(
    connection: &Connection,
    entity: Entity,
    notes: &mut Vec<String>,
) -> Result<(), GreenError> {
    let layout = Layout::of(connection)?;
    let (view, active) = (layout.view(entity), source(connection, entity)?);
    let live = layout.version_table(entity, active);
    let refuse = |why: String, remedy: String| GreenError::NoView { view: view.clone(), why, remedy };
    if !schema::table_exists(connection, &live)? {
        let remedy = format!("`CREATE TABLE {} AS SELECT * FROM {}`", quoted(&live), quoted(&view));
        return Err(refuse(format!("{live}, which is live, is missing"), remedy));
    }
    if schema::table_exists(connection, &view)? {
        current_table::remember(connection, entity)?;
        let there = columns::of(connection, &view)?;
        for version in [active, 3 - active] {
            let table = layout.version_table(entity, version);
            if !schema::table_exists(connection, &table)? {
                continue;
            }
            let known = columns::of(connection, &table)?;
            for column in there.iter().filter(|column| !columns::has(&known, &column.name)) {
                // The application asks for what its own migration has made.
                let name = &column.name;
                let how = give_column(connection, &table, column).map_err(|error| {
                    let why =
                        format!("{table} has no column {name} as the table has, and cannot be given one: {error}");
                    refuse(why, format!("give {table} that column, with a constant default"))
                })?;
                notes.push(format!("{table} got the column {name}{how}, which the migration gave to {view} only"));
            }
        }
        schema::rename(connection, &view, &schema::put_aside_table(entity))?;
    } else if !schema::exists(connection, &view)? {
        notes.push(format!("the migration dropped {view}; the view is made again"));
    }
    let known = columns::of(connection, &live)?;
    for column in entity.table().columns.iter().filter(|column| !columns::has(&known, column.name)) {
        notes.push(format!("{live} has no column {} any more; the next sync makes it again", column.name));
    }
    schema::point_view(connection, entity, active)
}

impl Database {
    /// The right to put tables in the place of the views.
    ///
    /// # Errors
    /// [`GreenError::Locked`] with the owner when something else goes on.
    pub fn lock_for_app_migration(&self, operator: &Operator, at: Timestamp) -> Result<RunLock, GreenError> {
        RunLock::acquire(self, Work::Migration, operator, at)
    }

    /// Whether tables stand in the place of the views, or a migration of the application died before they did.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn app_migration(&self) -> Result<Option<AppMigrationReport>, GreenError> {
        open_one(&self.reader()?)
    }

    /// Puts tables with the live rows in the place of the views, for `command`, a migration of the application. Readers see
    /// the same rows throughout. Takes as long as copying the rows takes, unless `stop` is set.
    ///
    /// # Returns
    /// How many rows the tables hold.
    ///
    /// # Errors
    /// When the database cannot be written, or [`GreenError::Stopped`]; the views are as they were then.
    pub fn open_app_migration(
        &self,
        _lock: &RunLock,
        command: &str,
        operator: &Operator,
        at: Timestamp,
        stop: &CancellationToken,
    ) -> Result<u64, GreenError> {
        let mut connection = self.run_writer()?;
        recovery::recover(self, &mut connection, at)?;
        let opened = without_foreign_keys(&mut connection, |connection| {
            announce(connection, command, operator, at)?;
            if Layout::of(connection)? == Layout::Prisma {
                index_names::restore(connection)?;
            }
            let mut entities = Vec::new();
            for entity in Entity::ALL {
                // An empty table of the application's own is what its migrations look for already.
                if !schema::table_exists(connection, &schema::view(entity))? {
                    entities.push(entity);
                }
            }
            let mut rows = 0;
            for entity in &entities {
                rows += copy(connection, *entity, stop)?;
            }
            durable(connection, |connection| switch(connection, &entities))?;
            Ok(rows)
        });
        if opened.is_err() {
            // The next start does it otherwise.
            let closed = self.put_back(&mut connection);
            let _ = closed.inspect_err(|error| tracing::warn!("putting the views back: {error}"));
        }
        opened
    }

    /// Puts the views back.
    ///
    /// # Returns
    /// What the migration left that had to be dealt with.
    ///
    /// # Errors
    /// [`GreenError::NoView`] when it left nothing that a view could read, or when the database cannot be written. The tables
    /// stay then.
    pub fn close_app_migration(&self, _lock: &RunLock) -> Result<Vec<String>, GreenError> {
        self.put_back(&mut self.run_writer()?)
    }

    fn put_back(&self, connection: &mut Connection) -> Result<Vec<String>, GreenError> {
        let notes = reserve::with_room(self, || close(connection))?;
        load::drop_leftovers(connection)?;
        Ok(notes)
    }
}

fn announce(connection: &mut Connection, command: &str, operator: &Operator, at: Timestamp) -> Result<(), GreenError> {
    let doing = "announcing a migration of the application";
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
    status::mend(&transaction, at)?;
    transaction
        .execute(
            "INSERT INTO sync_app_migration (id, opened_at, operator_user, operator_host, operator_pid, command, entities) \
             VALUES (1, ?1, ?2, ?3, ?4, ?5, '')",
            params![Millis(at), operator.user, operator.host, operator.pid, command],
        )
        .doing(doing)?;
    transaction.commit().doing(doing)?;
    fail::reach(connection, Failpoint::AppAnnounced)
}
