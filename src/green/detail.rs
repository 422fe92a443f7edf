//! What the console shows of one entity.

use rusqlite::params;

use super::{
    database::Database,
    error::{Doing, GreenError},
    journal, quarantine, snapshot, status,
};
use crate::{
    entity::Entity,
    report::{EntityDetail, PastStep},
};

/// Past runs that are read.
const STEPS: u64 = 10;

/// Quarantined records and notes that are read.
const QUARANTINE: u64 = 200;

impl Database {
    /// Snapshots, last steps and quarantine of `entity`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn detail(&self, entity: Entity) -> Result<EntityDetail, GreenError> {
        let doing = "reading the details of an entity";
        let mut connection = self.reader()?;
        let transaction = connection.transaction().doing(doing)?;
        let in_use = status::snapshots_in_use(&transaction)?;
        let snapshots = snapshot::list(&transaction, Some(entity.endpoint()), &in_use)?;
        let mut statement = transaction
            .prepare("SELECT * FROM sync_steps WHERE entity = ?1 ORDER BY run_id DESC LIMIT ?2")
            .doing(doing)?;
        let found = statement
            .query_map(params![entity.name(), STEPS], |row| Ok((row.get("run_id")?, journal::step(row)?)))
            .doing(doing)?;
        let mut steps = Vec::new();
        for step in found {
            let (run, step) = step.doing(doing)?;
            steps.push(PastStep { run: journal::run(&transaction, run)?, step });
        }
        // What stands behind the rows that visitors see; before the first publish, the newest attempt.
        let live = status::live(&transaction, entity)?.active_origin.run;
        let quarantine = match live.or_else(|| steps.first().map(|past| past.run.id)) {
            Some(run) => quarantine::list_entity(&transaction, run, entity, QUARANTINE)?,
            None => Vec::new(),
        };
        Ok(EntityDetail { snapshots, steps, quarantine })
    }
}
