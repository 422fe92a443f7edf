//! The tables that stand in the place of the views: what the application's migrations leave at first, and what they need
//! to find again while they work.

use rusqlite::{Connection, ErrorCode, params};

use super::{
    columns,
    error::{Doing, GreenError},
    schema::{self, version_table},
    sql::{quoted, quoted_list},
};
use crate::{
    entity::Entity,
    report::{Layout, Version},
};

/// Writes down what the table in the place of the view of `entity` is made of, in place of what was known before.
pub(super) fn remember(connection: &Connection, entity: Entity) -> Result<(), GreenError> {
    let doing = "recording a table of the application";
    connection.execute("DELETE FROM sync_current_tables WHERE entity = ?1", [entity.name()]).doing(doing)?;
    connection
        .execute(
            "INSERT INTO sync_current_tables (entity, place, sql) \
             SELECT ?1, row_number() OVER (ORDER BY type = 'index', rowid) - 1, sql FROM sqlite_schema \
             WHERE tbl_name = ?2 COLLATE NOCASE AND type IN ('table', 'index') AND sql IS NOT NULL",
            params![entity.name(), schema::view(entity)],
        )
        .doing(doing)?;
    Ok(())
}

/// The definitions of the table and its indexes that were written down, for a table of another name.
fn remembered(connection: &Connection, entity: Entity, name: &str) -> Result<Vec<String>, GreenError> {
    let doing = "reading what a table of the application is made of";
    let mut statement =
        connection.prepare("SELECT sql FROM sync_current_tables WHERE entity = ?1 ORDER BY place").doing(doing)?;
    let found = statement.query_map([entity.name()], |row| row.get::<_, String>(0)).doing(doing)?;
    let found: Vec<String> = found.collect::<rusqlite::Result<_>>().doing(doing)?;
    // What cannot be understood is made anew from the version.
    Ok(found.iter().map(|sql| under_name(sql, name)).collect::<Option<_>>().unwrap_or_default())
}

/// A `CREATE TABLE` or `CREATE INDEX` as `SQLite` keeps it, for the table `name` in place of its own.
fn under_name(sql: &str, name: &str) -> Option<String> {
    const TABLE: &str = "CREATE TABLE ";
    const INDEX: &str = "INDEX ";
    let at = if sql.starts_with(TABLE) {
        TABLE.len()
    } else {
        let index = sql.find(INDEX)? + INDEX.len();
        let named = index + identifier(&sql[index..])?;
        let on = named + sql[named..].to_ascii_uppercase().find("ON")? + "ON".len();
        on + sql[on..].find(|one: char| !one.is_whitespace())?
    };
    let end = at + identifier(&sql[at..])?;
    Some(format!("{}{}{}", &sql[..at], quoted(name), &sql[end..]))
}

/// Length of the name that `sql` begins with, quotes included.
fn identifier(sql: &str) -> Option<usize> {
    let first = sql.chars().next()?;
    let closing = match first {
        '"' | '`' | '\'' => first,
        '[' => ']',
        _ => return sql.find(|one: char| one.is_whitespace() || one == '(').filter(|length| *length > 0),
    };
    // None of our names has a quote in it.
    Some(sql[1..].find(closing)? + 2)
}

/// Creates an empty table under `name` that can stand in the place of the view of `entity`, which reads `version`, without
/// its indexes.
///
/// # Returns
/// The statements that make its indexes, and the columns to copy.
pub(super) fn create(
    connection: &Connection,
    entity: Entity,
    version: Version,
    name: &str,
) -> Result<(Vec<String>, String), GreenError> {
    let doing = "making a table for the application's migration";
    let live = columns::of(connection, &version_table(entity, version))?;
    let mut statements = remembered(connection, entity, name)?;
    if let Some(table) = statements.first() {
        connection.execute_batch(table).doing(doing)?;
        let found = columns::of(connection, name)?;
        let is_enough = live.iter().all(|column| columns::has(&found, &column.name));
        let is_filled = found.iter().all(|column| columns::has(&live, &column.name) || column.can_be_left_out());
        if is_enough && is_filled {
            statements.remove(0);
            return Ok((statements, quoted_list(live.iter().map(|column| column.name.as_str()))));
        }
        schema::drop_table(connection, name)?;
    }
    let made = live.iter().map(|column| {
        let definition = column.definition();
        if column.is_key { format!("{definition} PRIMARY KEY") } else { definition }
    });
    let made = made.collect::<Vec<_>>().join(", ");
    connection.execute_batch(&format!("CREATE TABLE {} ({made})", quoted(name))).doing(doing)?;
    let current = Layout::of(connection)?.view(entity);
    let indexes =
        entity.table().indexes.iter().filter(|index| index.columns.iter().all(|one| columns::has(&live, one)));
    let indexes = indexes.map(|index| {
        let kind = if index.unique { "UNIQUE INDEX" } else { "INDEX" };
        let index_name = quoted(&schema::application_index_name(&current, index));
        format!("CREATE {kind} {index_name} ON {} ({})", quoted(name), quoted_list(index.columns.iter().copied()))
    });
    Ok((indexes.collect(), quoted_list(live.iter().map(|column| column.name.as_str()))))
}

/// Builds the indexes that [`create`] named.
pub(super) fn build_indexes(connection: &Connection, entity: Entity, indexes: &[String]) -> Result<(), GreenError> {
    for index in indexes {
        match connection.execute_batch(index) {
            // The old system's rows may be there twice where the live version has no such index either.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                tracing::warn!("{entity}: an index cannot be built for the migration: {error}");
            }
            built => built.doing("making a table for the application's migration")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_for_another_table() {
        for (sql, expected) in [
            ("CREATE TABLE \"Boards_current\" (\n \"id\" TEXT)", "CREATE TABLE \"x\" (\n \"id\" TEXT)"),
            ("CREATE TABLE Boards_current(id TEXT)", "CREATE TABLE \"x\"(id TEXT)"),
            ("CREATE TABLE [Boards_current] (id TEXT)", "CREATE TABLE \"x\" (id TEXT)"),
            (
                "CREATE UNIQUE INDEX \"Boards_current_on_key\" ON \"Boards_current\"(\"on\")",
                "CREATE UNIQUE INDEX \"Boards_current_on_key\" ON \"x\"(\"on\")",
            ),
            ("CREATE INDEX a\non `Boards_current` (title)", "CREATE INDEX a\non \"x\" (title)"),
        ] {
            assert_eq!(under_name(sql, "x").as_deref(), Some(expected), "{sql}");
        }
        assert_eq!(under_name("CREATE TABLE ", "x"), None);
    }
}
