//! Undoing the newest publication: exactly the entities that it switched go back, in one transaction.

use std::time::Instant;

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};

use super::{
    database::{Database, durable},
    error::{Doing, GreenError},
    publish::{check_newest, insert_publication, insert_switch},
    schema::{self, version_table},
    status,
};
use crate::{
    entity::Entity,
    report::{
        Operator, PublicationId, PublicationKind, PublicationReport, RollbackPlan, RollbackReport, SwitchReport,
        Version,
    },
};

/// What a switch back would do, from what was recorded of the switch.
fn planned(connection: &Connection, publication: PublicationId) -> Result<Vec<SwitchReport>, GreenError> {
    let doing = "reading the newest publication";
    let mut statement =
        connection.prepare("SELECT * FROM sync_publication_entities WHERE publication_id = ?1").doing(doing)?;
    let rows = statement
        .query_map([publication], |row| {
            Ok(SwitchReport {
                entity: super::sql::word(row, "entity", |name| name.parse().ok())?,
                from_version: row.get("to_version")?,
                to_version: row.get("from_version")?,
                rows_before: row.get("to_rows")?,
                rows_after: row.get("from_rows")?,
                diff: super::sql::diff_counts(row)?.map(crate::report::DiffCounts::reversed),
            })
        })
        .doing(doing)?;
    let mut switches: Vec<SwitchReport> = rows.collect::<rusqlite::Result<_>>().doing(doing)?;
    switches.sort_by_key(|switch| switch.entity);
    Ok(switches)
}

/// The newest publication and what undoing it would switch, checked against views and metadata.
fn plan(connection: &Connection) -> Result<(PublicationReport, Vec<SwitchReport>), GreenError> {
    let nothing = |why: String| GreenError::NothingToRollBack { why };
    let publication =
        status::newest_publication(connection)?.ok_or_else(|| nothing("nothing was published yet".to_owned()))?;
    let switches = planned(connection, publication.id)?;
    for switch in &switches {
        check_switch(connection, switch.entity, switch.from_version, switch.to_version)?;
    }
    Ok((publication, switches))
}

fn check_switch(connection: &Connection, entity: Entity, active: Version, backup: Version) -> Result<(), GreenError> {
    if backup == 0 {
        let why = format!("the newest publication was the first one of {entity}, no earlier version is kept");
        return Err(GreenError::NothingToRollBack { why });
    }
    let viewed = schema::viewed_version(connection, entity)?;
    let (metadata, recorded_backup) = status::metadata(connection, entity)?.unwrap_or_default();
    if viewed != Some(active) || metadata != active || recorded_backup != backup {
        let view = viewed.map_or_else(|| "something else".to_owned(), |version| format!("version {version}"));
        return Err(GreenError::Inconsistent { entity: entity.name(), metadata, view });
    }
    if !schema::exists(connection, &version_table(entity, backup))? {
        let why = format!("the table {} is missing", version_table(entity, backup));
        return Err(GreenError::NothingToRollBack { why });
    }
    Ok(())
}

impl Database {
    /// What [`Database::rollback`] would do now.
    ///
    /// # Errors
    /// [`GreenError::NothingToRollBack`] when there is nothing to go back to.
    pub fn plan_rollback(&self) -> Result<RollbackPlan, GreenError> {
        let mut connection = self.reader()?;
        let transaction = connection.transaction().doing("planning a rollback")?;
        let (publication, entities) = plan(&transaction)?;
        let mut backup_published_at = None;
        for switch in &entities {
            let made_at = status::live(&transaction, switch.entity)?.backup_origin.made_at;
            backup_published_at = backup_published_at.max(made_at);
        }
        Ok(RollbackPlan { publication, entities, backup_published_at })
    }

    /// Undoes the newest publication, which must still be the one that was planned for.
    ///
    /// # Errors
    /// [`GreenError::Moved`] when something was published since the plan was made. On any error nothing was switched.
    pub fn rollback(
        &self,
        expected: PublicationId,
        operator: &Operator,
        at: Timestamp,
    ) -> Result<RollbackReport, GreenError> {
        let doing = "rolling back";
        let mut connection = self.writer()?;
        let begun = Instant::now();
        let (publication, entities) = durable(&mut connection, |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
            check_newest(&transaction, Some(expected))?;
            let (undone, switches) = plan(&transaction)?;
            let kind = PublicationKind::Rollback;
            let publication = insert_publication(&transaction, kind, undone.run, Some(undone.id), operator, at)?;
            for switch in &switches {
                let live = status::live(&transaction, switch.entity)?;
                schema::point_view(&transaction, switch.entity, switch.to_version)?;
                status::write_metadata(&transaction, switch.entity, switch.to_version, switch.from_version, at)?;
                insert_switch(&transaction, publication.id, switch, live.active_origin, live.backup_origin)?;
            }
            transaction.commit().doing(doing)?;
            Ok((publication, switches))
        })?;
        let duration_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        Ok(RollbackReport { publication, entities, duration_ms })
    }
}
