//! What there is of one entity in a database that is to be adopted.

use jiff::Timestamp;
use rusqlite::Connection;

use super::{
    super::{
        error::{Doing, GreenError},
        schema::{self, version_table},
    },
    bodies,
};
use crate::{
    entity::Entity,
    report::{Layout, Version},
};

/// What stands where visitors read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Current {
    /// Nothing.
    Missing,
    /// A view, and the version that it reads; `None` for something else.
    View(Option<Version>),
    /// A table with so many rows.
    Table(u64),
}

/// What `SyncMetadata` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) active: Version,
    pub(super) backup: Version,
}

/// One entity as it is found.
#[derive(Clone, Debug)]
pub(super) struct Survey {
    pub(super) entity: Entity,
    pub(super) current: Current,
    /// Whether a view there, if there is one, shows all rows and columns of one table.
    pub(super) is_plain: bool,
    /// Rows of both versions; `None` for a table that is not there.
    pub(super) rows: [Option<u64>; 2],
    /// The row that counts.
    pub(super) said: Option<Said>,
    /// When it was written.
    pub(super) said_at: Option<Timestamp>,
    /// Other rows for the same entity.
    pub(super) superseded: Vec<i64>,
}

impl Survey {
    /// Looks at `entity`.
    pub(super) fn of(connection: &Connection, entity: Entity) -> Result<Self, GreenError> {
        let view = schema::view(entity);
        let current = if schema::table_exists(connection, &view)? {
            Current::Table(schema::count(connection, &view)?)
        } else if schema::exists(connection, &view)? {
            Current::View(schema::viewed_version(connection, entity)?)
        } else {
            Current::Missing
        };
        let rows = |version| -> Result<Option<u64>, GreenError> {
            let table = version_table(entity, version);
            let there = schema::table_exists(connection, &table)?;
            there.then(|| schema::count(connection, &table)).transpose()
        };
        let rows = [rows(1)?, rows(2)?];
        let mut said = metadata(connection, entity)?;
        let newest = said.pop();
        let superseded = said.into_iter().map(|(id, ..)| id).collect();
        let said_at = newest.and_then(|(_, _, at)| at);
        let is_plain = schema::is_plain_view(connection, entity)?;
        Ok(Self { entity, current, is_plain, rows, said: newest.map(|(_, said, _)| said), said_at, superseded })
    }

    /// Rows of a version; 0 when its table is missing or there is no such version.
    pub(super) fn rows_of(&self, version: Version) -> u64 {
        match version {
            1 => self.rows[0].unwrap_or_default(),
            2 => self.rows[1].unwrap_or_default(),
            _ => 0,
        }
    }

    /// Whether the table of a version is there.
    pub(super) fn has(&self, version: Version) -> bool {
        match version {
            1 => self.rows[0].is_some(),
            2 => self.rows[1].is_some(),
            _ => false,
        }
    }

    /// Name of a version's table, as the application spells it.
    pub(super) fn table(&self, version: Version) -> String {
        Layout::Prisma.version_table(self.entity, version)
    }

    /// Name of what visitors read, as the application spells it.
    pub(super) fn view(&self) -> String {
        Layout::Prisma.view(self.entity)
    }
}

/// All rows of an entity, oldest first.
fn metadata(connection: &Connection, entity: Entity) -> Result<Vec<(i64, Said, Option<Timestamp>)>, GreenError> {
    let (doing, table) = ("reading SyncMetadata", Layout::Prisma.metadata());
    if !schema::table_exists(connection, table)? {
        return Ok(Vec::new());
    }
    // Whatever an old program may have written there, a word is no version.
    let sql = format!(
        "SELECT id, CAST(coalesce(activeVersion, 0) AS INTEGER), CAST(coalesce(backupVersion, 0) AS INTEGER), updatedAt FROM {table} \
         WHERE entityName = ?1 ORDER BY id"
    );
    let mut statement = connection.prepare(&sql).doing(doing)?;
    let rows = statement
        .query_map([entity.name()], |row| {
            let said = Said { active: row.get(1)?, backup: row.get(2)? };
            Ok((row.get(0)?, said, bodies::time(row.get_ref(3)?)))
        })
        .doing(doing)?;
    rows.collect::<rusqlite::Result<_>>().doing(doing)
}

/// Names in `SyncMetadata` that are of no entity.
pub(super) fn unknown_names(connection: &Connection) -> Result<Vec<String>, GreenError> {
    let (doing, table) = ("reading SyncMetadata", Layout::Prisma.metadata());
    if !schema::table_exists(connection, table)? {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT DISTINCT coalesce(CAST(entityName AS TEXT), 'NULL') FROM {table} ORDER BY 1");
    let mut statement = connection.prepare(&sql).doing(doing)?;
    let names = statement.query_map([], |row| row.get(0)).doing(doing)?;
    let mut names: Vec<String> = names.collect::<rusqlite::Result<_>>().doing(doing)?;
    names.retain(|name| Entity::ALL.iter().all(|entity| entity.name() != name));
    Ok(names)
}
