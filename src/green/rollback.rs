//! Undoing what was published: exactly the entities of a publication, or those that are named, in one transaction.

use std::{collections::BTreeMap, time::Instant};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{
    app_migration,
    database::{Database, durable},
    error::{Doing, GreenError},
    fail, hold,
    publish::{self, Made, check_newest, insert_publication, insert_switch},
    references, reserve,
    schema::{self, version_table},
    status,
};
use crate::{
    entity::Entity,
    failpoint::Failpoint,
    report::{
        CrossingReport, HoldEffect, Operator, PublicationId, PublicationKind, PublicationReport, RollbackPlan,
        RollbackReport, RollbackTarget, SwitchReport, Version,
    },
};

/// What a rollback does beside switching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollbackOptions {
    /// Whether it may set the hold.
    pub set_hold: bool,
    /// Why, for the hold; made up from what is taken back otherwise.
    pub reason: Option<String>,
}

/// The switches of a rollback before anything is asked or done.
struct Planned {
    publication: Option<PublicationReport>,
    switches: Vec<SwitchReport>,
    hold: HoldEffect,
    /// Whether every entity goes on to data that its source sent later.
    leads_forward: bool,
}

/// The newest switch of `entity` the other way round, and the publication that made it.
fn newest_switch(connection: &Connection, entity: Entity) -> Result<Option<(PublicationId, SwitchReport)>, GreenError> {
    connection
        .query_row(
            "SELECT * FROM sync_publication_entities WHERE entity = ?1 ORDER BY publication_id DESC LIMIT 1",
            [entity.name()],
            |row| Ok((row.get("publication_id")?, publish::switch(row)?.reversed())),
        )
        .optional()
        .doing("reading the publications")
}

fn nothing(why: impl Into<String>) -> GreenError {
    GreenError::NothingToRollBack { why: why.into() }
}

/// The entities that `publication` switched.
fn entities_of(connection: &Connection, publication: PublicationId) -> Result<Vec<Entity>, GreenError> {
    let doing = "reading the publications";
    let mut statement =
        connection.prepare("SELECT entity FROM sync_publication_entities WHERE publication_id = ?1").doing(doing)?;
    let rows = statement
        .query_map([publication], |row| super::sql::word(row, "entity", |name| name.parse().ok()))
        .doing(doing)?;
    let mut entities: Vec<Entity> = rows.collect::<rusqlite::Result<_>>().doing(doing)?;
    entities.sort_unstable();
    Ok(entities)
}

/// What would be switched, checked against views and metadata.
fn plan(connection: &Connection, target: &RollbackTarget) -> Result<Planned, GreenError> {
    let publication = match target {
        RollbackTarget::Newest => {
            Some(status::newest_publication(connection)?.ok_or_else(|| nothing("nothing was published yet"))?)
        }
        RollbackTarget::Publication(id) => Some(status::publication(connection, *id)?),
        RollbackTarget::Entities(_) => None,
    };
    let entities = match (&publication, target) {
        (Some(publication), _) => entities_of(connection, publication.id)?,
        (None, RollbackTarget::Entities(named)) => {
            let mut named = named.clone();
            named.sort_unstable();
            named.dedup();
            named
        }
        (None, _) => Vec::new(),
    };
    let mut switches = Vec::new();
    let mut leads_forward = true;
    for entity in entities.iter().copied() {
        let (made_by, switch) =
            newest_switch(connection, entity)?.ok_or_else(|| nothing(format!("{entity} was not published yet")))?;
        if let Some(publication) = &publication
            && publication.id != made_by
        {
            let (publication, entity) = (publication.id, entity.name());
            return Err(GreenError::SwitchedSince { publication, entity, since: made_by });
        }
        check_switch(connection, &switch, &entities)?;
        let live = status::live(connection, entity)?;
        // Snapshots are numbered in the order in which they came; what is not known counts as older.
        leads_forward &= live.backup_origin.snapshot > live.active_origin.snapshot;
        switches.push(switch);
    }
    let in_force = hold::in_force(connection)?;
    let set_by_it = |publication: &PublicationReport| {
        in_force.as_ref().is_some_and(|hold| hold.publication == Some(publication.id))
    };
    let hold = if publication.as_ref().is_some_and(set_by_it) {
        HoldEffect::Released
    } else if in_force.is_some() || leads_forward {
        HoldEffect::Kept
    } else {
        HoldEffect::Set
    };
    Ok(Planned { publication, switches, hold, leads_forward })
}

fn check_switch(connection: &Connection, switch: &SwitchReport, together: &[Entity]) -> Result<(), GreenError> {
    let SwitchReport { entity, from_version: active, to_version: backup, .. } = *switch;
    if backup == 0 {
        let why = format!("its newest publication was the first one of {entity}, no earlier version is kept");
        let mut with_backup = Vec::new();
        for other in together {
            if status::metadata(connection, *other)?.is_some_and(|(_, backup)| backup != 0) {
                with_backup.push(other.name());
            }
        }
        if with_backup.is_empty() {
            return Err(nothing(why));
        }
        let names = with_backup.join(" ");
        return Err(nothing(format!("{why}; others can go back alone: `greenroom rollback {names}`")));
    }
    let viewed = schema::viewed_version(connection, entity)?;
    let (metadata, recorded_backup) = status::metadata(connection, entity)?.unwrap_or_default();
    if viewed != Some(active) || metadata != active || recorded_backup != backup {
        let viewed = viewed.map_or_else(|| "something else".to_owned(), |version| format!("version {version}"));
        let found = format!(
            "the view reads {viewed}, sync_metadata says active {metadata} and backup {recorded_backup}, \
             the newest publication says active {active} and backup {backup}"
        );
        return Err(GreenError::Inconsistent { entity: entity.name(), found });
    }
    if !schema::exists(connection, &version_table(entity, backup))? {
        return Err(nothing(format!("the table {} is missing", version_table(entity, backup))));
    }
    Ok(())
}

/// Relations with one end that is switched and one that is not, and what would become of their references.
fn crossing(connection: &Connection, switches: &[SwitchReport]) -> Result<Vec<CrossingReport>, GreenError> {
    let new_versions: BTreeMap<Entity, Version> =
        switches.iter().map(|switch| (switch.entity, switch.to_version)).collect();
    let after = |entity: Entity| {
        new_versions.get(&entity).map_or_else(|| schema::view(entity), |version| version_table(entity, *version))
    };
    let mut crossing = Vec::new();
    for entity in Entity::ALL {
        for relation in entity.table().relations {
            let target = relation.target;
            if new_versions.contains_key(&entity) == new_versions.contains_key(&target) {
                continue;
            }
            let dangling = |from: &str, to: &str| references::dangling(connection, from, relation, to);
            crossing.push(CrossingReport {
                entity,
                column: relation.column.to_owned(),
                target,
                dangling_before: dangling(&schema::view(entity), &schema::view(target))?,
                dangling_after: dangling(&after(entity), &after(target))?,
            });
        }
    }
    Ok(crossing)
}

/// The reason that the hold gets when nobody gave one.
fn reason(publication: Option<PublicationId>, switches: &[SwitchReport]) -> String {
    if let Some(id) = publication {
        return format!("publication {id} was taken back");
    }
    let names: Vec<_> = switches.iter().map(|switch| switch.entity.name()).collect();
    format!("rolled back: {}", names.join(", "))
}

impl Database {
    /// What [`Database::rollback`] would do now. Takes a second or two at a million rows when `target` leaves out entities
    /// that are related to others, as their references are counted.
    ///
    /// # Errors
    /// [`GreenError::NothingToRollBack`] when there is nothing to go back to, [`GreenError::SwitchedSince`] when entities
    /// of the publication were switched after it.
    pub fn plan_rollback(&self, target: &RollbackTarget) -> Result<RollbackPlan, GreenError> {
        let mut connection = self.reader()?;
        let transaction = connection.transaction().doing("planning a rollback")?;
        let Planned { publication, switches: entities, hold, leads_forward } = plan(&transaction, target)?;
        let newest = status::newest_publication_id(&transaction)?.unwrap_or_default();
        let mut backup_published_at = None;
        for switch in &entities {
            let made_at = status::live(&transaction, switch.entity)?.backup_origin.made_at;
            backup_published_at = backup_published_at.max(made_at);
        }
        // What was live as a whole before the newest publication comes back as a whole.
        let whole = publication.as_ref().is_some_and(|publication| publication.id == newest);
        let crossing = if whole { Vec::new() } else { crossing(&transaction, &entities)? };
        let target = target.clone();
        Ok(RollbackPlan { target, publication, newest, entities, backup_published_at, crossing, hold, leads_forward })
    }

    /// Takes back what was planned.
    ///
    /// # Errors
    /// [`GreenError::Moved`] when something was published since the plan was made. On any error nothing was switched.
    pub fn rollback(
        &self,
        planned: &RollbackPlan,
        options: &RollbackOptions,
        operator: &Operator,
        at: Timestamp,
    ) -> Result<RollbackReport, GreenError> {
        let doing = "rolling back";
        let begun = Instant::now();
        let roll_back = |connection: &mut Connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
            app_migration::check_none(&transaction)?;
            check_newest(&transaction, Some(planned.newest))?;
            let Planned { publication: undone, switches: entities, hold: effect, .. } =
                plan(&transaction, &planned.target)?;
            fail::reach(&transaction, Failpoint::RollbackChecked)?;
            let undoes = undone.as_ref().map(|publication| publication.id);
            let run = undone.and_then(|publication| publication.run);
            let made = Made { kind: PublicationKind::Rollback, run, undoes, replay_of: None };
            let publication = insert_publication(&transaction, made, operator, at)?;
            for switch in &entities {
                let live = status::live(&transaction, switch.entity)?;
                schema::point_view(&transaction, switch.entity, switch.to_version)?;
                status::write_metadata(&transaction, switch.entity, switch.to_version, switch.from_version, at)?;
                insert_switch(&transaction, publication.id, switch, live.active_origin, live.backup_origin)?;
                fail::reach(&transaction, Failpoint::RollbackSwitched)?;
            }
            let hold_effect = match effect {
                HoldEffect::Set if !options.set_hold => HoldEffect::Kept,
                effect => effect,
            };
            match hold_effect {
                HoldEffect::Set => {
                    let reason = options.reason.clone().unwrap_or_else(|| reason(undoes, &entities));
                    hold::set(&transaction, &reason, Some(publication.id), operator, at)?;
                }
                HoldEffect::Released => drop(hold::release(&transaction, operator, at)?),
                HoldEffect::Kept => {}
            }
            let hold = hold::in_force(&transaction)?;
            fail::reach(&transaction, Failpoint::RollbackWritten)?;
            transaction.commit().doing(doing)?;
            fail::reach(connection, Failpoint::RollbackCommitted)?;
            let crossing = planned.crossing.clone();
            Ok(RollbackReport { publication, entities, crossing, hold_effect, hold, duration_ms: 0 })
        };
        // The way back works on a full disk, too.
        let mut report = reserve::with_room(self, || durable(&mut self.writer()?, roll_back))?;
        report.duration_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        Ok(report)
    }
}

/// The snapshot that each entity was made from once publications up to `publication` were made, `None` when it is unknown.
pub(super) fn state_after(
    connection: &Connection,
    publication: PublicationId,
) -> Result<Vec<(Entity, Option<i64>)>, GreenError> {
    let mut state = Vec::new();
    for entity in Entity::ALL {
        let snapshot = connection
            .query_row(
                "SELECT to_snapshot FROM sync_publication_entities WHERE entity = ?1 AND publication_id <= ?2 \
                 ORDER BY publication_id DESC LIMIT 1",
                params![entity.name(), publication],
                |row| row.get(0),
            )
            .optional()
            .doing("reading the publications")?;
        if let Some(snapshot) = snapshot {
            state.push((entity, snapshot));
        }
    }
    Ok(state)
}
