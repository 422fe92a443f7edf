//! The bookkeeping tables and their versions.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::{
    error::{Doing, GreenError},
    fail, schema,
};
use crate::failpoint::Failpoint;

/// Each migration in its order; `PRAGMA user_version` holds the number of the last one applied.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001_bookkeeping.sql"),
    include_str!("../../migrations/0002_guards.sql"),
    include_str!("../../migrations/0003_operators.sql"),
    include_str!("../../migrations/0004_triggers.sql"),
    include_str!("../../migrations/0005_adoption.sql"),
];

/// The version that this program writes.
pub(super) fn known_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// The version that the database has; 0 for one without bookkeeping.
///
/// # Errors
/// When it is newer than this program.
pub(super) fn check_version(connection: &Connection, path: &Path) -> Result<i64, GreenError> {
    let found: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .doing("reading the version of the bookkeeping")?;
    let known = known_version();
    if found > known {
        return Err(GreenError::Newer { path: path.to_owned(), found, known });
    }
    Ok(found)
}

/// The tables that the bookkeeping consists of, in no order.
///
/// # Errors
/// When they cannot be made in memory.
pub(super) fn own_tables() -> Result<Vec<String>, GreenError> {
    let doing = "listing the bookkeeping";
    let connection = Connection::open_in_memory().doing(doing)?;
    MIGRATIONS.iter().try_for_each(|migration| connection.execute_batch(migration)).doing(doing)?;
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let mut statement = connection.prepare(sql).doing(doing)?;
    let names = statement.query_map([], |row| row.get(0)).doing(doing)?;
    names.collect::<rusqlite::Result<_>>().doing(doing)
}

/// Brings the bookkeeping up to date, in a transaction of the caller's.
pub(super) fn apply(connection: &Connection, path: &Path) -> Result<(), GreenError> {
    let doing = "preparing the database";
    let done = usize::try_from(check_version(connection, path)?).unwrap_or_default();
    for migration in &MIGRATIONS[done..] {
        connection.execute_batch(migration).doing(doing)?;
        fail::reach(connection, Failpoint::MigrateApplied)?;
    }
    connection.pragma_update(None, "user_version", known_version()).doing(doing)
}

/// Brings the bookkeeping up to date and creates what is missing of the mirrored tables, each step all or nothing.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), GreenError> {
    let doing = "preparing the database";
    if check_version(connection, path)? == known_version() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
    // Read again under the write lock: another process may have been faster.
    apply(&transaction, path)?;
    schema::create_missing(&transaction)?;
    fail::reach(&transaction, Failpoint::MigrateVersioned)?;
    transaction.commit().doing(doing)?;
    fail::reach(connection, Failpoint::MigrateCommitted)
}
