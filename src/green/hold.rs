//! The hold: what keeps runs from publishing until it is released.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{
    database::{Database, durable},
    error::{Doing, GreenError},
    reserve,
    sql::{Millis, operator, time},
};
use crate::report::{HoldChange, HoldReport, Operator, PublicationId};

/// The hold in force.
pub(super) fn in_force(connection: &Connection) -> Result<Option<HoldReport>, GreenError> {
    connection
        .query_row("SELECT * FROM sync_holds WHERE released_at IS NULL", [], |row| {
            Ok(HoldReport {
                since: time(row, "held_at")?,
                operator: operator(row)?,
                reason: row.get("reason")?,
                publication: row.get("publication")?,
            })
        })
        .optional()
        .doing("reading the hold")
}

/// Sets the hold unless one is in force, which then stays as it is.
///
/// # Returns
/// The hold that was set.
pub(super) fn set(
    connection: &Connection,
    reason: &str,
    publication: Option<PublicationId>,
    operator: &Operator,
    at: Timestamp,
) -> Result<Option<HoldReport>, GreenError> {
    if in_force(connection)?.is_some() {
        return Ok(None);
    }
    connection
        .execute(
            "INSERT INTO sync_holds (held_at, operator_user, operator_host, operator_pid, reason, publication) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![Millis(at), operator.user, operator.host, operator.pid, reason, publication],
        )
        .doing("setting the hold")?;
    Ok(Some(HoldReport { since: at, operator: operator.clone(), reason: reason.to_owned(), publication }))
}

/// Releases the hold.
///
/// # Returns
/// The hold that was in force.
pub(super) fn release(
    connection: &Connection,
    operator: &Operator,
    at: Timestamp,
) -> Result<Option<HoldReport>, GreenError> {
    let hold = in_force(connection)?;
    connection
        .execute(
            "UPDATE sync_holds SET released_at = ?1, released_user = ?2, released_host = ?3, released_pid = ?4 \
             WHERE released_at IS NULL",
            params![Millis(at), operator.user, operator.host, operator.pid],
        )
        .doing("releasing the hold")?;
    Ok(hold)
}

impl Database {
    /// The hold in force.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn hold_in_force(&self) -> Result<Option<HoldReport>, GreenError> {
        in_force(&self.reader()?)
    }

    /// Keeps runs from publishing from now on, also one that is going on. A hold that was set by hand stays as it is; one
    /// that a rollback had set gives way, so that undoing the rollback does not release it.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn hold(&self, reason: &str, operator: &Operator, at: Timestamp) -> Result<HoldChange, GreenError> {
        self.change_hold(|connection| {
            let released = match in_force(connection)? {
                Some(hold) if hold.publication.is_some() => release(connection, operator, at)?,
                _ => None,
            };
            let set = set(connection, reason, None, operator, at)?;
            Ok(HoldChange { changed: set.is_some(), hold: in_force(connection)?, released })
        })
    }

    /// Lets runs publish again. With `shown`, only if that is still the hold in force.
    ///
    /// # Errors
    /// [`GreenError::OtherHold`] when another one is, or when the database cannot be written.
    pub fn release(
        &self,
        shown: Option<&HoldReport>,
        operator: &Operator,
        at: Timestamp,
    ) -> Result<HoldChange, GreenError> {
        self.change_hold(|connection| {
            if let (Some(shown), Some(hold)) = (shown, in_force(connection)?)
                && *shown != hold
            {
                return Err(GreenError::OtherHold { hold: Box::new(hold) });
            }
            let released = release(connection, operator, at)?;
            Ok(HoldChange { changed: released.is_some(), hold: None, released })
        })
    }

    fn change_hold(
        &self,
        change: impl Fn(&Connection) -> Result<HoldChange, GreenError>,
    ) -> Result<HoldChange, GreenError> {
        let doing = "changing the hold";
        reserve::with_room(self, || {
            durable(&mut self.writer()?, |connection| {
                let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
                let changed = change(&transaction)?;
                transaction.commit().doing(doing)?;
                Ok(changed)
            })
        })
    }
}
