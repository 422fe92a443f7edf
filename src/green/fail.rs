//! Lets a drill make something go wrong on a connection; see [`crate::failpoint`].

use rusqlite::Connection;

use super::error::{Doing, GreenError};
use crate::failpoint::{self, Failpoint, Fault};

/// Says that `point` is reached.
///
/// # Errors
/// When a fault was armed that cannot be injected; what follows fails by itself when it could.
pub(super) fn reach(connection: &Connection, point: Failpoint) -> Result<(), GreenError> {
    let doing = "injecting a fault";
    match failpoint::reach(point) {
        Some(Fault::Full) => {
            let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).doing(doing)?;
            connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).doing(doing)
        }
        Some(Fault::ReadOnly) => connection.pragma_update(None, "query_only", true).doing(doing),
        Some(Fault::Abort | Fault::Stop | Fault::Panic) | None => Ok(()),
    }
}
