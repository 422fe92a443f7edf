//! Tables, columns and indexes that are not there.

use rusqlite::Connection;

use super::{
    super::{
        columns,
        error::{Doing, GreenError},
        index_names, schema,
    },
    plan::{Act, Plan},
    survey::{Current, Survey},
};
use crate::{
    entity::Endpoint,
    report::{Layout, Version},
};

/// Looks at all tables.
pub(super) fn plan(connection: &Connection, surveys: &[Survey], plan: &mut Plan) -> Result<(), GreenError> {
    let metadata = Layout::Prisma.metadata();
    if !schema::table_exists(connection, metadata)? {
        plan.repair(None, metadata, format!("{metadata} is missing"), "it is made", Act::CreateMetadata);
    }
    for endpoint in Endpoint::ALL {
        let table = Layout::Prisma.json_table(endpoint);
        if !schema::table_exists(connection, &table)? {
            plan.repair(None, &table, format!("{table} is missing"), "it is made", Act::CreateJson(endpoint));
        }
    }
    for survey in surveys {
        for version in [1, 2] {
            let table = survey.table(version);
            if survey.has(version) {
                columns_of(connection, survey, version, plan)?;
                indexes_of(connection, survey, version, plan)?;
            } else {
                let act = Act::CreateVersion(survey.entity, version);
                plan.repair(Some(survey.entity), &table, format!("{table} is missing"), "it is made, empty", act);
            }
        }
        current(survey, plan);
        triggers(connection, survey, plan)?;
    }
    Ok(())
}

fn columns_of(connection: &Connection, survey: &Survey, version: Version, plan: &mut Plan) -> Result<(), GreenError> {
    let (entity, table) = (survey.entity, survey.table(version));
    let there = columns::of(connection, &table)?;
    for column in entity.table().columns.iter().filter(|column| !columns::has(&there, column.name)) {
        let found = format!("{table} has no column {}", column.name);
        if column.nullable {
            let definition = format!("\"{}\" {}", column.name, column.kind.declared());
            let act = Act::AddColumn { table: table.clone(), definition };
            plan.repair(Some(entity), &table, found, "it is added, NULL in all rows", act);
        } else {
            let done = "it may not be NULL, so it cannot be made up: add it, with values, before adopting";
            plan.obstacle(Some(entity), &table, found, done);
        }
    }
    for column in columns::unknown(connection, entity, &table)? {
        let found = format!("{table} has the column {}, which greenroom does not fill", column.name);
        if column.can_be_left_out() {
            plan.note(Some(entity), &table, found, "it stays, with NULL or its default in the rows of later syncs");
        } else {
            let done = "it is NOT NULL without a default, so no row could be loaded: give it one before adopting";
            plan.obstacle(Some(entity), &table, found, done);
        }
    }
    Ok(())
}

fn indexes_of(connection: &Connection, survey: &Survey, version: Version, plan: &mut Plan) -> Result<(), GreenError> {
    let (entity, table) = (survey.entity, survey.table(version));
    let (found, there) = (index_names::of(connection, &table)?, columns::of(connection, &table)?);
    for index in entity.table().indexes.iter().filter(|index| !found.iter().any(|found| found.serves(index))) {
        let over = index.columns.join(", ");
        let kind = if index.unique { "unique index" } else { "index" };
        let said = format!("{table} has no {kind} over {over}");
        let is_there = index.columns.iter().all(|column| columns::has(&there, column));
        // A required column that is missing is told of by itself, and one that may be NULL is made before its index.
        let is_optional = |name: &str| entity.table().columns.iter().any(|one| one.name == name && one.nullable);
        if !is_there && !index.columns.iter().all(|name| columns::has(&there, name) || is_optional(name)) {
            continue;
        }
        if is_there && index.unique && index_names::is_violated(connection, &table, index)? {
            let done = "it cannot be built, as rows are there twice; the next publish brings a table that has it";
            plan.note(Some(entity), &table, said, done);
            continue;
        }
        let mut name = schema::application_index_name(&table, index);
        while schema::exists(connection, &name)? {
            name.push_str("_made");
        }
        let done = format!("it is built as {name}");
        plan.repair(Some(entity), &table, said, done, Act::CreateIndex { table: table.clone(), index, name });
    }
    Ok(())
}

/// What stands where visitors read, as far as it says nothing about versions.
fn current(survey: &Survey, plan: &mut Plan) {
    let (entity, view) = (Some(survey.entity), survey.view());
    match survey.current {
        Current::Table(0) => {
            let found = format!("{view} is an empty table, as the application's migrations leave it");
            plan.note(entity, &view, found, "the first publish puts the view in its place");
        }
        Current::Table(rows) => {
            let found = format!("{view} is a table with {rows} rows, where a view belongs");
            let done = "the first publish would drop them: save what is needed of them and empty it before adopting";
            plan.obstacle(entity, &view, found, done);
        }
        Current::View(None) => {
            let found = format!("{view} is a view that reads neither version");
            plan.note(entity, &view, found, "it stays until the first publish puts another in its place");
        }
        Current::View(Some(version)) if !survey.is_plain => {
            let found = format!("{view} shows something else than all of {}", survey.table(version));
            let done = "it stays until the first publish puts a view in its place that shows all rows and columns";
            plan.note(entity, &view, found, done);
        }
        Current::View(Some(_)) | Current::Missing => {}
    }
}

/// Triggers of the application, which go with what they are on.
fn triggers(connection: &Connection, survey: &Survey, plan: &mut Plan) -> Result<(), GreenError> {
    let doing = "reading the triggers of the application";
    let view = survey.view();
    let (first, second) = (survey.table(1), survey.table(2));
    let sql = "SELECT name, tbl_name FROM sqlite_schema WHERE type = 'trigger' \
               AND tbl_name COLLATE NOCASE IN (?1, ?2, ?3) ORDER BY rowid";
    let mut statement = connection.prepare(sql).doing(doing)?;
    let found = statement
        .query_map([&first, &second, &view], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect::<rusqlite::Result<Vec<(String, String)>>>)
        .doing(doing)?;
    for (name, on) in found {
        let found = format!("{on} has the trigger {name}");
        plan.note(Some(survey.entity), on, found, "it goes with the publish that replaces what it is on");
    }
    Ok(())
}
