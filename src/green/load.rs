//! Loading rows into shadow tables, in short transactions that leave the live and the backup version alone.

use std::collections::BTreeMap;

use rusqlite::{Connection, TransactionBehavior, params_from_iter};

use super::{
    error::{Doing, GreenError},
    schema,
    sql::{quoted, quoted_list},
};
use crate::{
    entity::{Entity, OnDuplicate, harvest::Batch},
    report::RunId,
};

/// Creates the empty shadow table of `entity`, with the indexes that keep out duplicates which the primary key cannot see.
pub(super) fn open(connection: &Connection, entity: Entity, run: RunId) -> Result<(), GreenError> {
    let name = schema::shadow_table(entity, run);
    let table = entity.table();
    schema::create(connection, &name, table)?;
    for index in table.indexes.iter().filter(|index| table.can_collide(index)) {
        schema::create_index(connection, &name, index, &run.to_string(), entity)?;
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
    let mut duplicates = BTreeMap::new();
    for batch in batches {
        let table = batch.entity.table();
        let shadow = quoted(&schema::shadow_table(batch.entity, run));
        let columns = quoted_list(table.columns.iter().map(|column| column.name));
        let places = (1..=table.columns.len()).map(|place| format!("?{place}")).collect::<Vec<_>>();
        let insert = format!("INSERT INTO {shadow} ({columns}) VALUES ({}) ON CONFLICT DO NOTHING", places.join(", "));
        let assignments = table.columns.iter().zip(&places).skip(1);
        let assignments = assignments.map(|(column, place)| format!("{} = {place}", quoted(column.name)));
        let update = format!("UPDATE {shadow} SET {} WHERE id = ?1", assignments.collect::<Vec<_>>().join(", "));
        let mut insert = transaction.prepare_cached(&insert).doing(doing)?;
        let mut update = match table.on_duplicate {
            OnDuplicate::FirstStays => None,
            OnDuplicate::LastWins => Some(transaction.prepare_cached(&update).doing(doing)?),
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
    transaction.commit().doing(doing)?;
    Ok(duplicates)
}

/// Builds the remaining indexes of a loaded shadow table and counts its rows.
pub(super) fn seal(connection: &Connection, entity: Entity, run: RunId) -> Result<u64, GreenError> {
    let name = schema::shadow_table(entity, run);
    let table = entity.table();
    for index in table.indexes.iter().filter(|index| !table.can_collide(index)) {
        schema::create_index(connection, &name, index, &run.to_string(), entity)?;
    }
    schema::count(connection, &name)
}

/// Drops the shadow and put-aside tables of all runs, each in a transaction of its own.
pub(super) fn drop_leftovers(connection: &Connection) -> Result<(), GreenError> {
    schema::leftovers(connection)?.iter().try_for_each(|name| schema::drop_table(connection, name))
}
