//! Names and DDL of the mirrored tables, made from what [`Entity::table`] says.

use rusqlite::{Connection, OptionalExtension};

use super::{
    error::{Doing, GreenError},
    sql::{quoted, quoted_list},
};
use crate::{
    entity::{Endpoint, Entity, Index, Table},
    report::{RunId, Version},
};

/// Infix of tables that a run loads into.
const SHADOW: &str = "_shadow_";
/// Infix of tables that a publish took out of use.
const TRASH: &str = "_trash_";

/// `{entity}_v1` or `{entity}_v2`.
pub(super) fn version_table(entity: Entity, version: Version) -> String {
    format!("{entity}_v{version}")
}

/// `{entity}_current`, the view that visitors read.
pub(super) fn view(entity: Entity) -> String {
    format!("{entity}_current")
}

/// `{entity}_json` of the first entity that `endpoint` feeds.
pub(super) fn json_table(endpoint: Endpoint) -> String {
    format!("{}_json", endpoint.entities()[0])
}

/// The table that `run` loads `entity` into.
pub(super) fn shadow_table(entity: Entity, run: RunId) -> String {
    format!("{entity}{SHADOW}{run}")
}

/// The name under which `run` puts the table aside that its publish replaces.
pub(super) fn trash_table(entity: Entity, run: RunId) -> String {
    format!("{entity}{TRASH}{run}")
}

/// Where a table is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the database file.
    Main,
    /// For one connection only, gone with it.
    Temporary,
}

impl Place {
    const fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Temporary => "temp",
        }
    }
}

/// Creates what is missing of the mirrored tables: two empty versions, the view on the first, and the staging tables.
pub(super) fn create_missing(connection: &Connection) -> Result<(), GreenError> {
    for entity in Entity::ALL {
        for version in [1, 2] {
            let name = version_table(entity, version);
            if !exists(connection, &name)? {
                let table = entity.table();
                create(connection, Place::Main, &name, table)?;
                for index in table.indexes {
                    create_index(connection, Place::Main, &name, index, &format!("v{version}_0"), entity)?;
                }
            }
        }
        if !exists(connection, &view(entity))? {
            point_view(connection, entity, 1)?;
        }
    }
    for endpoint in Endpoint::ALL {
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {} (id INTEGER PRIMARY KEY AUTOINCREMENT, data JSONB NOT NULL, \
             createdAt DATETIME DEFAULT CURRENT_TIMESTAMP, updatedAt DATETIME NOT NULL)",
            quoted(&json_table(endpoint))
        );
        connection.execute_batch(&sql).doing("creating the staging tables")?;
    }
    Ok(())
}

/// Creates a table under `name` without its indexes.
pub(super) fn create(connection: &Connection, place: Place, name: &str, table: &Table) -> Result<(), GreenError> {
    let columns = table.columns.iter().enumerate().map(|(place, column)| {
        let constraint = match (place, column.nullable) {
            (0, _) => " NOT NULL PRIMARY KEY",
            (_, false) => " NOT NULL",
            (_, true) => "",
        };
        format!("{} {}{constraint}", quoted(column.name), column.kind.declared())
    });
    let columns = columns.collect::<Vec<_>>().join(", ");
    let sql = format!("CREATE TABLE {}.{} ({columns})", place.name(), quoted(name));
    connection.execute_batch(&sql).doing("creating a table")
}

/// Creates one index on `table`. Indexes keep their names when a table is renamed, so each carries a `suffix` of its own.
pub(super) fn create_index(
    connection: &Connection,
    place: Place,
    table: &str,
    index: &Index,
    suffix: &str,
    entity: Entity,
) -> Result<(), GreenError> {
    let kind = if index.unique { "UNIQUE INDEX" } else { "INDEX" };
    let ending = if index.unique { "key" } else { "idx" };
    let name = format!("{entity}_{}_{ending}_{suffix}", index.columns.join("_"));
    let columns = quoted_list(index.columns.iter().copied());
    let (place, name, table) = (place.name(), quoted(&name), quoted(table));
    let sql = format!("CREATE {kind} {place}.{name} ON {table} ({columns})");
    connection.execute_batch(&sql).doing("building an index")
}

/// Makes the view of `entity` read `version`.
pub(super) fn point_view(connection: &Connection, entity: Entity, version: Version) -> Result<(), GreenError> {
    let view = quoted(&view(entity));
    let table = quoted(&version_table(entity, version));
    let sql = format!("DROP VIEW IF EXISTS {view}; CREATE VIEW {view} AS SELECT * FROM {table};");
    connection.execute_batch(&sql).doing("switching a view")
}

/// The version that the view of `entity` reads, `None` when it reads something else.
pub(super) fn viewed_version(connection: &Connection, entity: Entity) -> Result<Option<Version>, GreenError> {
    let sql: Option<String> = connection
        .query_row(
            "SELECT sql FROM sqlite_schema WHERE type = 'view' AND name = ?1 COLLATE NOCASE",
            [view(entity)],
            |row| row.get(0),
        )
        .optional()
        .doing("reading a view")?;
    let reads = |version| {
        let table = version_table(entity, version);
        sql.as_ref().is_some_and(|sql| sql.to_ascii_lowercase().contains(&quoted(&table)))
    };
    Ok([1, 2].into_iter().find(|version| reads(*version)))
}

/// Whether a table or view of this name exists.
pub(super) fn exists(connection: &Connection, name: &str) -> Result<bool, GreenError> {
    connection
        .query_row("SELECT 1 FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE", [name], |_| Ok(()))
        .optional()
        .map(|found| found.is_some())
        .doing("reading the schema")
}

/// Renames a table.
pub(super) fn rename(connection: &Connection, from: &str, to: &str) -> Result<(), GreenError> {
    let sql = format!("ALTER TABLE {} RENAME TO {}", quoted(from), quoted(to));
    connection.execute_batch(&sql).doing("renaming a table")
}

/// Drops a table if it is there.
pub(super) fn drop_table(connection: &Connection, name: &str) -> Result<(), GreenError> {
    connection.execute_batch(&format!("DROP TABLE IF EXISTS {}", quoted(name))).doing("dropping a table")
}

/// Rows in a table.
pub(super) fn count(connection: &Connection, name: &str) -> Result<u64, GreenError> {
    let sql = format!("SELECT count(*) FROM {}", quoted(name));
    connection.query_row(&sql, [], |row| row.get(0)).doing("counting rows")
}

/// Tables that runs left behind: shadows never published and tables put aside but not dropped.
pub(super) fn leftovers(connection: &Connection) -> Result<Vec<String>, GreenError> {
    let mut statement = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .doing("reading the schema")?;
    let names = statement.query_map([], |row| row.get::<_, String>(0)).doing("reading the schema")?;
    let mut found = Vec::new();
    for name in names {
        let name = name.doing("reading the schema")?;
        let ours = Entity::ALL.iter().any(|entity| {
            [SHADOW, TRASH].iter().any(|infix| {
                name.strip_prefix(entity.name())
                    .and_then(|rest| rest.strip_prefix(infix))
                    .is_some_and(|run| !run.is_empty() && run.bytes().all(|digit| digit.is_ascii_digit()))
            })
        });
        if ours {
            found.push(name);
        }
    }
    Ok(found)
}
