//! Names and DDL of the mirrored tables, made from what [`Entity::table`] says.

use rusqlite::{Connection, OptionalExtension};

use super::{
    columns::{self, ExtraColumn},
    current_table,
    error::{Doing, GreenError},
    sql::{quoted, quoted_list},
};
use crate::{
    entity::{Endpoint, Entity, Index, Table},
    report::{Layout, RunId, Version},
};

/// Infix of tables that a run loads into.
const SHADOW: &str = "_shadow_";
/// Infix of tables that a publish took out of use.
const TRASH: &str = "_trash_";
/// Infix of tables that are to stand in the place of views.
const COPY: &str = "_copy_";

/// `{entity}_v1` or `{entity}_v2`.
pub(super) fn version_table(entity: Entity, version: Version) -> String {
    format!("{entity}_v{version}")
}

/// `{entity}_current`, the view that visitors read.
pub(super) fn view(entity: Entity) -> String {
    format!("{entity}_current")
}

/// The table that the bodies of `endpoint` are staged in.
pub(super) fn json_table(connection: &Connection, endpoint: Endpoint) -> Result<String, GreenError> {
    Ok(Layout::of(connection)?.json_table(endpoint))
}

/// The table that `run` loads `entity` into.
pub(super) fn shadow_table(entity: Entity, run: RunId) -> String {
    format!("{entity}{SHADOW}{run}")
}

/// The name under which `run` puts the table aside that its publish replaces.
pub(super) fn trash_table(entity: Entity, run: RunId) -> String {
    format!("{entity}{TRASH}{run}")
}

/// The table that is to stand in the place of the view of `entity`, while its rows are copied.
pub(super) fn copy_table(entity: Entity) -> String {
    format!("{entity}{COPY}0")
}

/// The name under which the table is put aside that stood in the place of the view of `entity`.
pub(super) fn put_aside_table(entity: Entity) -> String {
    trash_table(entity, 0)
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
            if !exists(connection, &version_table(entity, version))? {
                create_version(connection, entity, version)?;
            }
        }
        if !exists(connection, &view(entity))? {
            point_view(connection, entity, 1)?;
        }
    }
    Endpoint::ALL.into_iter().try_for_each(|endpoint| create_json_table(connection, endpoint))
}

/// Creates an empty version of `entity` with its indexes.
pub(super) fn create_version(connection: &Connection, entity: Entity, version: Version) -> Result<(), GreenError> {
    let layout = Layout::of(connection)?;
    let (name, table) = (layout.version_table(entity, version), entity.table());
    let extra = columns::extra(connection, entity)?;
    create(connection, Place::Main, &name, table, &extra)?;
    table.indexes.iter().try_for_each(|index| {
        let index_name = match layout {
            Layout::Standard => index_name(entity, index, &format!("v{version}_0")),
            Layout::Prisma => application_index_name(&name, index),
        };
        create_index(connection, Place::Main, &name, index, &index_name)
    })
}

/// Creates the table that the bodies of `endpoint` are staged in, if it is not there.
pub(super) fn create_json_table(connection: &Connection, endpoint: Endpoint) -> Result<(), GreenError> {
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS {} (id INTEGER PRIMARY KEY AUTOINCREMENT, data JSONB NOT NULL, \
         createdAt DATETIME DEFAULT CURRENT_TIMESTAMP, updatedAt DATETIME NOT NULL)",
        quoted(&json_table(connection, endpoint)?)
    );
    connection.execute_batch(&sql).doing("creating the staging tables")
}

/// Creates a table under `name` without its indexes, with the `extra` columns of the application after those of `table`.
pub(super) fn create(
    connection: &Connection,
    place: Place,
    name: &str,
    table: &Table,
    extra: &[ExtraColumn],
) -> Result<(), GreenError> {
    let columns = table.columns.iter().enumerate().map(|(place, column)| {
        let constraint = match (place, column.nullable) {
            (0, _) => " NOT NULL PRIMARY KEY",
            (_, false) => " NOT NULL",
            (_, true) => "",
        };
        format!("{} {}{constraint}", quoted(column.name), column.kind.declared())
    });
    let columns = columns.chain(extra.iter().map(ExtraColumn::definition)).collect::<Vec<_>>().join(", ");
    let sql = format!("CREATE TABLE {}.{} ({columns})", place.name(), quoted(name));
    connection.execute_batch(&sql).doing("creating a table")
}

/// A name for an index of a table that will get another name: indexes keep theirs, so each carries a `suffix` of its own.
pub(super) fn index_name(entity: Entity, index: &Index, suffix: &str) -> String {
    format!("{}_{suffix}", application_index_name(entity.name(), index))
}

/// The name that the application's migrations give to an index of `table`.
pub(super) fn application_index_name(table: &str, index: &Index) -> String {
    format!("{table}_{}_{}", index.columns.join("_"), if index.unique { "key" } else { "idx" })
}

/// Creates one index on `table`.
pub(super) fn create_index(
    connection: &Connection,
    place: Place,
    table: &str,
    index: &Index,
    name: &str,
) -> Result<(), GreenError> {
    let kind = if index.unique { "UNIQUE INDEX" } else { "INDEX" };
    let columns = quoted_list(index.columns.iter().copied());
    let (place, name, table) = (place.name(), quoted(name), quoted(table));
    let sql = format!("CREATE {kind} {place}.{name} ON {table} ({columns})");
    connection.execute_batch(&sql).doing("building an index")
}

/// Makes the view of `entity` read `version`. The empty table that the application's migrations leave in its place gives way.
pub(super) fn point_view(connection: &Connection, entity: Entity, version: Version) -> Result<(), GreenError> {
    let name = view(entity);
    if table_exists(connection, &name)? {
        if count(connection, &name)? > 0 {
            return Err(GreenError::TableInPlace { name });
        }
        current_table::remember(connection, entity)?;
        drop_table(connection, &name)?;
    }
    let layout = Layout::of(connection)?;
    let view = quoted(&layout.view(entity));
    let table = quoted(&layout.version_table(entity, version));
    let sql = format!("DROP VIEW IF EXISTS {view}; CREATE VIEW {view} AS SELECT * FROM {table};");
    connection.execute_batch(&sql).doing("switching a view")
}

/// The version that the view of `entity` reads, `None` when it reads something else.
pub(super) fn viewed_version(connection: &Connection, entity: Entity) -> Result<Option<Version>, GreenError> {
    let sql = view_definition(connection, entity)?.unwrap_or_default();
    // Names may stand in any kind of quotes, or in none.
    let words: Vec<_> = sql.split(|one: char| !one.is_ascii_alphanumeric() && one != '_').collect();
    let reads = |version| words.contains(&version_table(entity, version).as_str());
    Ok(match (reads(1), reads(2)) {
        (true, false) => Some(1),
        (false, true) => Some(2),
        _ => None,
    })
}

/// Whether the view of `entity` shows all rows and columns of one table, as ours do; also when there is none.
pub(super) fn is_plain_view(connection: &Connection, entity: Entity) -> Result<bool, GreenError> {
    let Some(sql) = view_definition(connection, entity)? else { return Ok(true) };
    let is_part = |one: char| one.is_ascii_alphanumeric() || one == '_' || one == '*';
    let words: Vec<_> = sql.split(|one: char| !is_part(one)).filter(|word| !word.is_empty()).collect();
    Ok(matches!(words.as_slice(), ["create", "view", _, "as", "select", "*", "from", _]))
}

/// What the view of `entity` is made of, in lower case; `None` when there is none.
fn view_definition(connection: &Connection, entity: Entity) -> Result<Option<String>, GreenError> {
    let sql: Option<String> = connection
        .query_row(
            "SELECT sql FROM sqlite_schema WHERE type = 'view' AND name = ?1 COLLATE NOCASE",
            [view(entity)],
            |row| row.get(0),
        )
        .optional()
        .doing("reading a view")?;
    Ok(sql.map(|sql| sql.to_ascii_lowercase()))
}

/// Whether a table of this name exists.
pub(super) fn table_exists(connection: &Connection, name: &str) -> Result<bool, GreenError> {
    connection
        .query_row("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE", [name], |_| Ok(()))
        .optional()
        .map(|found| found.is_some())
        .doing("reading the schema")
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

/// Tables that runs and migrations of the application left behind: shadows never published, copies that never stood in the
/// place of a view, and tables put aside but not dropped.
pub(super) fn leftovers(connection: &Connection) -> Result<Vec<String>, GreenError> {
    let mut statement = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .doing("reading the schema")?;
    let names = statement.query_map([], |row| row.get::<_, String>(0)).doing("reading the schema")?;
    let mut found = Vec::new();
    for name in names {
        let name = name.doing("reading the schema")?;
        let ours = Entity::ALL.iter().any(|entity| {
            [SHADOW, TRASH, COPY].iter().any(|infix| {
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
