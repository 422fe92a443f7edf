//! Seeing what other processes do to the database, without reading tables while nothing happens.

use rusqlite::{Connection, OptionalExtension};

use super::{
    database::Database,
    error::{Doing, GreenError},
    journal,
};
use crate::report::{Operator, PublicationId, RunId, RunSummary};

/// A look at the few numbers that change with whatever is worth showing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// The newest run and how it ended.
    pub newest_run: Option<(RunId, Option<String>)>,
    /// The newest publication.
    pub publication: Option<PublicationId>,
    /// The newest hold and whether it was released.
    pub hold: Option<(i64, bool)>,
    /// The newest snapshot and how many there are.
    pub snapshots: (Option<i64>, u64),
    /// The run without an outcome, and who wants it to end.
    pub unfinished: Option<(RunId, Operator, Option<Operator>)>,
    /// The newest trigger, and how many promised runs are over.
    pub triggers: (Option<i64>, u64),
    /// Version of the schema: tables and views were made, switched or dropped.
    pub schema: i64,
}

/// A connection that is kept to see changes of others.
#[derive(Debug)]
pub struct Watch {
    connection: Connection,
    version: Option<i64>,
}

impl Watch {
    /// Begins to watch.
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub fn open(database: &Database) -> Result<Self, GreenError> {
        Ok(Self { connection: database.reader()?, version: None })
    }

    /// Whether any other connection has committed since the last call; always so at the first one. Reads no table
    /// (`PRAGMA data_version`).
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn has_changed(&mut self) -> Result<bool, GreenError> {
        let version = self.connection.query_row("PRAGMA data_version", [], |row| row.get(0));
        let version = Some(version.doing("watching the database")?);
        Ok(std::mem::replace(&mut self.version, version) != version)
    }

    /// Lets the next [`Watch::has_changed`] say so, as what changed could not be read.
    pub fn look_again(&mut self) {
        self.version = None;
    }

    /// The numbers as they are now, all of one moment.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn pulse(&mut self) -> Result<Pulse, GreenError> {
        let doing = "watching the database";
        let transaction = self.connection.transaction().doing(doing)?;
        let newest_run = transaction
            .query_row("SELECT id, outcome FROM sync_runs ORDER BY id DESC LIMIT 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
            .doing(doing)?;
        let publication =
            transaction.query_row("SELECT max(id) FROM sync_publications", [], |row| row.get(0)).doing(doing)?;
        let hold = transaction
            .query_row("SELECT id, released_at IS NOT NULL FROM sync_holds ORDER BY id DESC LIMIT 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
            .doing(doing)?;
        let snapshots = transaction
            .query_row("SELECT max(id), count(*) FROM sync_snapshots", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .doing(doing)?;
        let unfinished = journal::unfinished(&transaction)?
            .map(|RunSummary { id, operator, cancel_asked_by, .. }| (id, operator, cancel_asked_by));
        let triggers = transaction
            .query_row(
                "SELECT (SELECT max(id) FROM sync_triggers), (SELECT count(*) FROM sync_tasks WHERE outcome IS NOT NULL)",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .doing(doing)?;
        let schema = transaction.query_row("PRAGMA schema_version", [], |row| row.get(0)).doing(doing)?;
        Ok(Pulse { newest_run, publication, hold, snapshots, unfinished, triggers, schema })
    }

    /// The events of `run` after the one numbered `after`, as JSON, in their order.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn events(&self, run: RunId, after: u64) -> Result<Vec<String>, GreenError> {
        journal::events(&self.connection, run, after)
    }

    /// One run, as it is recorded.
    ///
    /// # Errors
    /// When there is no such run.
    pub fn run(&self, run: RunId) -> Result<RunSummary, GreenError> {
        journal::run(&self.connection, run)
    }
}
