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

/// Brings the bookkeeping up to date and creates what is missing of the mirrored tables, each step all or nothing.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), GreenError> {
    let doing = "preparing the database";
    if check_version(connection, path)? == known_version() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
    // Read again under the write lock: another process may have been faster.
    let done = usize::try_from(check_version(&transaction, path)?).unwrap_or_default();
    for migration in &MIGRATIONS[done..] {
        transaction.execute_batch(migration).doing(doing)?;
        fail::reach(&transaction, Failpoint::MigrateApplied)?;
    }
    schema::create_missing(&transaction)?;
    transaction.pragma_update(None, "user_version", known_version()).doing(doing)?;
    fail::reach(&transaction, Failpoint::MigrateVersioned)?;
    transaction.commit().doing(doing)?;
    fail::reach(connection, Failpoint::MigrateCommitted)
}
