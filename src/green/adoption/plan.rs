//! What is found in a database that is to be adopted and what is done about it. The same plan is shown and carried out.

use rusqlite::Connection;

use super::{
    super::{
        error::{Doing, GreenError},
        schema,
        sql::quoted,
        status,
    },
    bodies::{self, Body},
    earlier, survey, tables, versions,
};
use crate::{
    entity::{Endpoint, Entity, Index},
    report::{AdoptedEntity, AdoptionFinding, AdoptionReport, FindingKind, Layout, Version},
};

/// One change to the database.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Makes `SyncMetadata`.
    CreateMetadata,
    /// Makes the table that bodies of an endpoint are staged in.
    CreateJson(Endpoint),
    /// Makes an empty version with its indexes.
    CreateVersion(Entity, Version),
    /// Adds a column to a table.
    AddColumn { table: String, definition: String },
    /// Builds an index.
    CreateIndex { table: String, index: &'static Index, name: String },
    /// Lets the view read a version.
    View(Entity, Version),
    /// Removes rows of `SyncMetadata`.
    RemoveMetadata(Vec<i64>),
    /// Writes active and backup version.
    Versions(Entity, Version, Version),
    /// Takes over the bodies that an earlier greenroom kept beside, and drops its tables.
    TakeOver(Vec<String>),
}

/// All that is found, in the order in which it is dealt with.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) findings: Vec<AdoptionFinding>,
    pub(super) acts: Vec<Act>,
    pub(super) entities: Vec<AdoptedEntity>,
    pub(super) bodies: Vec<Body>,
    /// Entities whose view reads no version, so that visitors see nothing of their active one.
    pub(super) unseen: Vec<Entity>,
}

impl Plan {
    /// Looks at everything. Writes nothing.
    pub(super) fn make(connection: &Connection) -> Result<Self, GreenError> {
        let mut plan = Self::default();
        let surveys: Vec<_> =
            Entity::ALL.into_iter().map(|entity| survey::Survey::of(connection, entity)).collect::<Result<_, _>>()?;
        tables::plan(connection, &surveys, &mut plan)?;
        for name in survey::unknown_names(connection)? {
            let found = format!("SyncMetadata has a row for `{name}`, which is no entity");
            plan.note(None, "SyncMetadata", found, "it stays as it is");
        }
        versions::plan(connection, &surveys, &mut plan)?;
        earlier::plan(connection, &mut plan)?;
        bodies::plan(connection, &mut plan)?;
        // What has to be done by hand is read first.
        plan.findings.sort_by_key(|finding| finding.kind != FindingKind::Obstacle);
        Ok(plan)
    }

    /// The report of it.
    pub(super) fn report(&self, dry_run: bool, journal_mode: String) -> AdoptionReport {
        AdoptionReport {
            dry_run,
            adopted_at: None,
            journal_mode,
            findings: self.findings.clone(),
            entities: self.entities.clone(),
            snapshots: self.bodies.len() as u64,
            publication: None,
        }
    }

    fn find(
        &mut self,
        kind: FindingKind,
        entity: Option<Entity>,
        subject: impl Into<String>,
        found: impl Into<String>,
        done: impl Into<String>,
    ) {
        let (subject, found, done) = (subject.into(), found.into(), done.into());
        self.findings.push(AdoptionFinding { kind, entity, subject, found, done });
    }

    /// Something that is put right by `act`.
    pub(super) fn repair(
        &mut self,
        entity: Option<Entity>,
        subject: impl Into<String>,
        found: impl Into<String>,
        done: impl Into<String>,
        act: Act,
    ) {
        self.find(FindingKind::Repair, entity, subject, found, done);
        self.acts.push(act);
    }

    /// Something that is left as it is.
    pub(super) fn note(
        &mut self,
        entity: Option<Entity>,
        subject: impl Into<String>,
        found: impl Into<String>,
        done: impl Into<String>,
    ) {
        self.find(FindingKind::Note, entity, subject, found, done);
    }

    /// Something that has to be put right by hand.
    pub(super) fn obstacle(
        &mut self,
        entity: Option<Entity>,
        subject: impl Into<String>,
        found: impl Into<String>,
        done: impl Into<String>,
    ) {
        self.find(FindingKind::Obstacle, entity, subject, found, done);
    }
}

/// Carries out one change, in a transaction of the caller's in which the adoption is in force already.
pub(super) fn carry_out(connection: &Connection, act: &Act, at: jiff::Timestamp) -> Result<(), GreenError> {
    let doing = "adopting the database";
    match act {
        Act::CreateMetadata => connection
            .execute_batch(&format!(
                "CREATE TABLE {} (id INTEGER PRIMARY KEY AUTOINCREMENT, entityName TEXT, activeVersion INTEGER, \
                 backupVersion INTEGER, updatedAt DATETIME)",
                Layout::Prisma.metadata()
            ))
            .doing(doing),
        Act::CreateJson(endpoint) => schema::create_json_table(connection, *endpoint),
        Act::CreateVersion(entity, version) => schema::create_version(connection, *entity, *version),
        Act::AddColumn { table, definition } => {
            connection.execute_batch(&format!("ALTER TABLE {} ADD COLUMN {definition}", quoted(table))).doing(doing)
        }
        Act::CreateIndex { table, index, name } => {
            schema::create_index(connection, schema::Place::Main, table, index, name)
        }
        Act::View(entity, version) => schema::point_view(connection, *entity, *version),
        Act::RemoveMetadata(ids) => {
            let sql = format!("DELETE FROM {} WHERE id = ?1", Layout::Prisma.metadata());
            ids.iter().try_for_each(|id| connection.execute(&sql, [id]).map(drop)).doing(doing)
        }
        Act::Versions(entity, active, backup) => status::write_metadata(connection, *entity, *active, *backup, at),
        Act::TakeOver(tables) => earlier::take_over(connection, tables),
    }
}
