//! Loading rows into shadow tables, in short transactions that leave the live and the backup version alone.

use std::collections::BTreeMap;

use rusqlite::{Connection, TransactionBehavior, params_from_iter};

use super::{
    columns,
    database::without_foreign_keys,
    error::{Doing, GreenError},
    fail,
    schema::{self, Place},
    sql::{quoted, quoted_list},
};
use crate::{
    entity::{Entity, OnDuplicate, harvest::Batch},
    failpoint::Failpoint,
    report::RunId,
};

/// Creates an empty table for rows of `entity`, with the indexes that keep out duplicates which the primary key cannot see.
/// Index names end in `suffix`.
pub(super) fn open(
    connection: &Connection,
    place: Place,
    name: &str,
    entity: Entity,
    suffix: &str,
) -> Result<(), GreenError> {
    let table = entity.table();
    // What the application has beside our columns must not vanish with a publish.
    let extra = if place == Place::Main { columns::extra(connection, entity)? } else { Vec::new() };
    schema::create(connection, place, name, table, &extra)?;
    for index in table.indexes.iter().filter(|index| table.can_collide(index)) {
        schema::create_index(connection, place, name, index, &schema::index_name(entity, index, suffix))?;
    }
    Ok(())
}

/// Inserts rows in their order, in one transaction, and counts the duplicates of each entity.
///
/// Of rows with one primary or unique key the first stays; where [`OnDuplicate::LastWins`], it takes the later values.
pub(super) fn insert(
    connection: &mut Connection,
    run: RunId,
    batches: &[Batch],
) -> Result<BTreeMap<Entity, u64>, GreenError> {
    let doing = "loading rows";
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
    let duplicates = insert_into(&transaction, &|entity| schema::shadow_table(entity, run), batches)?;
    fail::reach(&transaction, Failpoint::LoadRows)?;
    transaction.commit().doing(doing)?;
    fail::reach(connection, Failpoint::LoadRowsCommitted)?;
    Ok(duplicates)
}

/// As [`insert`], into the table that `table_of` names, in a transaction of the caller's.
pub(super) fn insert_into(
    connection: &Connection,
    table_of: &dyn Fn(Entity) -> String,
    batches: &[Batch],
) -> Result<BTreeMap<Entity, u64>, GreenError> {
    let doing = "loading rows";
    let mut duplicates = BTreeMap::new();
    for batch in batches {
        let table = batch.entity.table();
        let shadow = quoted(&table_of(batch.entity));
        let columns = quoted_list(table.columns.iter().map(|column| column.name));
        let places = (1..=table.columns.len()).map(|place| format!("?{place}")).collect::<Vec<_>>();
        let insert = format!("INSERT INTO {shadow} ({columns}) VALUES ({}) ON CONFLICT DO NOTHING", places.join(", "));
        let assignments = table.columns.iter().zip(&places).skip(1);
        let assignments = assignments.map(|(column, place)| format!("{} = {place}", quoted(column.name)));
        let update = format!("UPDATE {shadow} SET {} WHERE id = ?1", assignments.collect::<Vec<_>>().join(", "));
        let mut insert = connection.prepare_cached(&insert).doing(doing)?;
        let mut update = match table.on_duplicate {
            OnDuplicate::FirstStays => None,
            OnDuplicate::LastWins => Some(connection.prepare_cached(&update).doing(doing)?),
        };
        for row in batch.rows() {
            if insert.execute(params_from_iter(row)).doing(doing)? == 0 {
                *duplicates.entry(batch.entity).or_default() += 1;
                if let Some(update) = &mut update {
                    update.execute(params_from_iter(row)).doing(doing)?;
                }
            }
        }
    }
    Ok(duplicates)
}

/// Builds the remaining indexes of a loaded shadow table and counts its rows.
pub(super) fn seal(connection: &Connection, entity: Entity, run: RunId) -> Result<u64, GreenError> {
    let name = schema::shadow_table(entity, run);
    let table = entity.table();
    for index in table.indexes.iter().filter(|index| !table.can_collide(index)) {
        fail::reach(connection, Failpoint::LoadIndex)?;
        let index_name = schema::index_name(entity, index, &run.to_string());
        schema::create_index(connection, Place::Main, &name, index, &index_name)?;
    }
    fail::reach(connection, Failpoint::LoadSealed)?;
    schema::count(connection, &name)
}

/// Drops the shadow, copied and put-aside tables of all runs and migrations, each in a transaction of its own.
pub(super) fn drop_leftovers(connection: &mut Connection) -> Result<(), GreenError> {
    without_foreign_keys(connection, |connection| {
        schema::leftovers(connection)?.iter().try_for_each(|name| schema::drop_table(connection, name))
    })
}
