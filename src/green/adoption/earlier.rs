//! What an earlier greenroom left that worked beside the application's own tables, as if the database were its own.

use rusqlite::{Connection, params};

use super::{
    super::{
        error::{Doing, GreenError},
        schema,
        sql::quoted,
    },
    plan::{Act, Plan},
};
use crate::{entity::Endpoint, report::Layout};

/// Looks for tables by greenroom's own names.
pub(super) fn plan(connection: &Connection, plan: &mut Plan) -> Result<(), GreenError> {
    let version: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .doing("reading the version of the bookkeeping")?;
    if version == 0 {
        return Ok(());
    }
    let mut tables = Vec::new();
    for table in names() {
        if schema::table_exists(connection, &table)? {
            tables.push(table);
        }
    }
    if !tables.is_empty() {
        let found = format!("an earlier greenroom kept books of its own beside: {}", tables.join(", "));
        let done = "its journal and its bodies are taken over, these tables are dropped; the views say what is live";
        plan.repair(None, "sync_metadata", found, done, Act::TakeOver(tables));
    }
    Ok(())
}

fn names() -> impl Iterator<Item = String> {
    let json = Endpoint::ALL.into_iter().map(|endpoint| Layout::Standard.json_table(endpoint));
    std::iter::once(Layout::Standard.metadata().to_owned()).chain(json)
}

/// Moves the bodies in these `tables` to where the application keeps its own, and drops them.
pub(super) fn take_over(connection: &Connection, tables: &[String]) -> Result<(), GreenError> {
    let doing = "taking over what an earlier greenroom kept";
    for endpoint in Endpoint::ALL {
        let (from, to) = (Layout::Standard.json_table(endpoint), Layout::Prisma.json_table(endpoint));
        if !tables.contains(&from) {
            continue;
        }
        let mut statement = connection
            .prepare("SELECT id, first_row, last_row FROM sync_snapshots WHERE endpoint = ?1 ORDER BY id")
            .doing(doing)?;
        let snapshots = statement
            .query_map([endpoint.key()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .and_then(Iterator::collect::<rusqlite::Result<Vec<(i64, i64, i64)>>>)
            .doing(doing)?;
        for (snapshot, first, last) in snapshots {
            let sql = format!(
                "INSERT INTO {} (data, createdAt, updatedAt) SELECT data, createdAt, updatedAt FROM {} \
                 WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
                quoted(&to),
                quoted(&from)
            );
            let moved = connection.execute(&sql, params![first, last]).doing(doing)?;
            if moved == 0 {
                connection.execute("DELETE FROM sync_snapshots WHERE id = ?1", [snapshot]).doing(doing)?;
                continue;
            }
            let end = connection.last_insert_rowid();
            let begin = end - i64::try_from(moved).unwrap_or_default() + 1;
            let sql = "UPDATE sync_snapshots SET first_row = ?2, last_row = ?3 WHERE id = ?1";
            connection.execute(sql, params![snapshot, begin, end]).doing(doing)?;
        }
    }
    tables.iter().try_for_each(|table| schema::drop_table(connection, table))
}
