//! Names of indexes: those of tables that a publish put in their place carry the number of the run, while the application's
//! migrations know them by others.

use rusqlite::{Connection, TransactionBehavior};

use super::{
    error::{Doing, GreenError},
    fail,
    schema::{self, Place},
    sql::{quoted, quoted_list},
};
use crate::{
    entity::{Entity, Index},
    failpoint::Failpoint,
    report::Layout,
};

/// An index as it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its name.
    pub(super) name: String,
    is_unique: bool,
    columns: Vec<String>,
}

impl Found {
    /// Whether it does all that `wanted` is for.
    pub(super) fn serves(&self, wanted: &Index) -> bool {
        self.is_unique >= wanted.unique
            && self.columns.len() == wanted.columns.len()
            && self.columns.iter().zip(wanted.columns).all(|(found, wanted)| found.eq_ignore_ascii_case(wanted))
    }
}

/// The indexes of a table over whole columns and all rows, beside its keys.
pub(super) fn of(connection: &Connection, table: &str) -> Result<Vec<Found>, GreenError> {
    let doing = "reading the indexes of a table";
    let sql = "SELECT list.name, list.\"unique\", info.name FROM pragma_index_list(?1) AS list, \
               pragma_index_info(list.name) AS info WHERE list.origin = 'c' AND NOT list.partial \
               ORDER BY list.seq, info.seqno";
    let mut statement = connection.prepare_cached(sql).doing(doing)?;
    let rows = statement
        .query_map([table], |row| {
            // An expression has no name.
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, Option<String>>(2)?.unwrap_or_default()))
        })
        .doing(doing)?;
    let mut found: Vec<Found> = Vec::new();
    for row in rows {
        let (name, is_unique, column) = row.doing(doing)?;
        match found.last_mut().filter(|last| last.name == name) {
            Some(last) => last.columns.push(column),
            None => found.push(Found { name, is_unique, columns: vec![column] }),
        }
    }
    Ok(found)
}

/// Indexes of the versions whose names are not those that the application's migrations know.
pub(super) fn count_others(connection: &Connection) -> Result<u64, GreenError> {
    let mut count = 0;
    for (table, entity) in tables(connection)? {
        count += others(connection, &table, entity)?.len() as u64;
    }
    Ok(count)
}

fn tables(connection: &Connection) -> Result<Vec<(String, Entity)>, GreenError> {
    let layout = Layout::of(connection)?;
    let mut found = Vec::new();
    for entity in Entity::ALL {
        for version in [1, 2] {
            let table = layout.version_table(entity, version);
            if schema::table_exists(connection, &table)? {
                found.push((table, entity));
            }
        }
    }
    Ok(found)
}

/// The indexes of `table` with another name than the application's, each with that.
fn others(
    connection: &Connection,
    table: &str,
    entity: Entity,
) -> Result<Vec<(String, String, &'static Index)>, GreenError> {
    let found = of(connection, table)?;
    let mut others = Vec::new();
    for index in entity.table().indexes {
        let wanted = schema::application_index_name(table, index);
        let serving = || found.iter().filter(|found| found.serves(index));
        if serving().any(|found| found.name == wanted) || schema::exists(connection, &wanted)? {
            continue;
        }
        if let Some(found) = serving().next() {
            others.push((found.name.clone(), wanted, index));
        }
    }
    Ok(others)
}

/// Gives the indexes of the versions the names that the application's migrations know, one table a transaction. As indexes
/// cannot be renamed, each is built once more.
///
/// # Returns
/// How many there were.
pub(super) fn restore(connection: &mut Connection) -> Result<u64, GreenError> {
    let doing = "naming indexes";
    let mut renamed = 0;
    for (table, entity) in tables(connection)? {
        if others(connection, &table, entity)?.is_empty() {
            continue;
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
        renamed += restore_of(&transaction, &table, entity)?;
        transaction.commit().doing(doing)?;
        fail::reach(connection, Failpoint::ReleaseNamed)?;
    }
    Ok(renamed)
}

/// The same in a transaction of the caller's.
pub(super) fn restore_within(connection: &Connection) -> Result<(), GreenError> {
    tables(connection)?.into_iter().try_for_each(|(table, entity)| restore_of(connection, &table, entity).map(drop))
}

fn restore_of(connection: &Connection, table: &str, entity: Entity) -> Result<u64, GreenError> {
    let others = others(connection, table, entity)?;
    for (old, wanted, index) in &others {
        schema::create_index(connection, Place::Main, table, index, wanted)?;
        connection.execute_batch(&format!("DROP INDEX {}", quoted(old))).doing("naming indexes")?;
    }
    Ok(others.len() as u64)
}

/// Whether rows of `table` would violate the unique `index`.
pub(super) fn is_violated(connection: &Connection, table: &str, index: &Index) -> Result<bool, GreenError> {
    let columns = quoted_list(index.columns.iter().copied());
    let known = index.columns.iter().map(|column| format!("{} IS NOT NULL", quoted(column)));
    let known = known.collect::<Vec<_>>().join(" AND ");
    let sql =
        format!("SELECT EXISTS (SELECT 1 FROM {} WHERE {known} GROUP BY {columns} HAVING count(*) > 1)", quoted(table));
    connection.query_row(&sql, [], |row| row.get(0)).doing("looking for duplicate rows")
}
