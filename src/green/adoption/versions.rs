//! Which version is live and which the backup, where views and `SyncMetadata` disagree.

use rusqlite::Connection;

use super::{
    super::{
        error::{Doing, GreenError},
        schema,
        sql::quoted,
    },
    plan::{Act, Plan},
    survey::{Current, Said, Survey},
};
use crate::{
    entity::Entity,
    report::{AdoptedEntity, Layout, Version},
};

const METADATA: &str = Layout::Prisma.metadata();

/// Looks at views and `SyncMetadata` of all entities.
pub(super) fn plan(connection: &Connection, surveys: &[Survey], plan: &mut Plan) -> Result<(), GreenError> {
    let mut live: Vec<Version> = Vec::new();
    for survey in surveys {
        if !survey.superseded.is_empty() {
            let count = survey.superseded.len();
            let found = format!("{METADATA} has {} rows for {}", count + 1, survey.entity);
            let (done, act) = ("the newest counts, the others are removed", survey.superseded.clone());
            plan.repair(Some(survey.entity), METADATA, found, done, Act::RemoveMetadata(act));
        }
        let seen = seen(survey, plan);
        live.push(seen);
    }
    let before = live.clone();
    junction(connection, surveys, &mut live, plan)?;
    for ((survey, seen), before) in surveys.iter().zip(live).zip(before) {
        settle(survey, seen, seen != before, plan);
    }
    Ok(())
}

/// The version that visitors see, 0 for none.
fn seen(survey: &Survey, plan: &mut Plan) -> Version {
    let (entity, view) = (survey.entity, survey.view());
    let said = survey.said.map_or(0, |said| said.active);
    // Where a version is missing, one that has rows is taken in its place.
    let best = [said, 1, 2].into_iter().find(|version| survey.rows_of(*version) > 0).unwrap_or(1);
    match survey.current {
        Current::View(Some(version)) if survey.has(version) => version,
        Current::View(Some(version)) => {
            let found = format!("{view} reads {}, which is missing", survey.table(version));
            let done = format!("it reads {} from now on", survey.table(best));
            plan.repair(Some(entity), &view, found, done, Act::View(entity, best));
            best
        }
        Current::Missing => {
            let done = format!("it is made and reads {}", survey.table(best));
            plan.repair(Some(entity), &view, format!("{view} is missing"), done, Act::View(entity, best));
            best
        }
        Current::View(None) | Current::Table(_) => 0,
    }
}

/// Writes down how an entity is adopted, and what has to change for that in `SyncMetadata`; `is_told` when that was said.
fn settle(survey: &Survey, seen: Version, is_told: bool, plan: &mut Plan) {
    let entity = survey.entity;
    let said = survey.said;
    if seen == 0 {
        unseen(survey, plan);
        return;
    }
    let other = 3 - seen;
    let is_kept = survey.rows_of(other) > 0;
    let wished = match said {
        // The old system kept none.
        Some(Said { active, backup: 0 }) if active == seen => 0,
        _ => other,
    };
    let backup = if is_kept { wished } else { 0 };
    adopt(survey, seen, seen, backup, plan);
    if is_told {
        plan.acts.push(Act::Versions(entity, seen, backup));
        return;
    }
    let Some(said) = said else {
        let found = format!("{METADATA} has no row for {entity}, while {} reads version {seen}", survey.view());
        let done = format!("it gets one: active {seen}, backup {}", described(backup));
        plan.repair(Some(entity), METADATA, found, done, Act::Versions(entity, seen, backup));
        return;
    };
    if said == (Said { active: seen, backup }) {
        return;
    }
    let act = Act::Versions(entity, seen, backup);
    if said.active != seen {
        let found =
            format!("{METADATA} says version {} of {entity} is active, while visitors see version {seen}", said.active);
        let done = format!("what visitors see counts: active {seen}, backup {}", described(backup));
        plan.repair(Some(entity), METADATA, found, done, act);
    } else if said.backup == said.active {
        let found = format!("{METADATA} says version {seen} of {entity} is both active and backup");
        let done = if backup == 0 {
            format!("there is no backup, as version {other} has no rows")
        } else {
            format!("version {other} is the backup; nothing vouches for it being whole")
        };
        plan.repair(Some(entity), METADATA, found, done, act);
    } else {
        let found = format!("{METADATA} says version {} of {entity} is the backup, which has no rows", said.backup);
        plan.repair(Some(entity), METADATA, found, format!("the backup is {}", described(backup)), act);
    }
}

/// An entity of which visitors see no version: what is said of it may stay, as long as it can be true.
fn unseen(survey: &Survey, plan: &mut Plan) {
    let entity = survey.entity;
    plan.unseen.push(entity);
    let Some(said) = survey.said else {
        adopt(survey, 0, 0, 0, plan);
        return;
    };
    let active = if matches!(said.active, 1 | 2) { said.active } else { 0 };
    let backup = if active != 0 && survey.rows_of(3 - active) > 0 && said.backup != 0 { 3 - active } else { 0 };
    adopt(survey, 0, active, backup, plan);
    if active != 0 {
        let found =
            format!("{METADATA} says version {active} of {entity} is active, but {} does not read it", survey.view());
        plan.note(Some(entity), METADATA, found, "the next publish puts it right");
    }
    if said != (Said { active, backup }) {
        let found = format!("{METADATA} says active {} and backup {} of {entity}", said.active, said.backup);
        let done = format!("it says active {active}, backup {} from now on", described(backup));
        plan.repair(Some(entity), METADATA, found, done, Act::Versions(entity, active, backup));
    }
}

fn adopt(survey: &Survey, seen: Version, active_version: Version, backup_version: Version, plan: &mut Plan) {
    let (active_rows, backup_rows) = (survey.rows_of(seen), survey.rows_of(backup_version));
    let entity = survey.entity;
    // It was written when that version became the active one.
    let published_at = survey.said_at.filter(|_| survey.said.is_some_and(|said| said.active == active_version));
    plan.entities.push(AdoptedEntity {
        entity,
        active_version,
        backup_version,
        active_rows,
        backup_rows,
        published_at,
    });
}

fn described(version: Version) -> String {
    if version == 0 { "none".to_owned() } else { version.to_string() }
}

/// Tags and what they are on come from one body, but the old system switched them one after the other.
fn junction(
    connection: &Connection,
    surveys: &[Survey],
    live: &mut [Version],
    plan: &mut Plan,
) -> Result<(), GreenError> {
    let entity = Entity::MediaTagsJunction;
    let (tags, media, own) = (Entity::MediaTags.index(), Entity::PortfoliosMedia.index(), entity.index());
    let survey = &surveys[own];
    let (seen, other) = (live[own], 3 - live[own]);
    if seen == 0 || live[tags] == 0 {
        return Ok(());
    }
    let is_in_step = seen == live[tags] && survey.said.is_some_and(|said| said.active == seen);
    if is_in_step {
        return Ok(());
    }
    let table_of = |place: usize| {
        let survey = &surveys[place];
        survey.has(live[place]).then(|| schema::version_table(survey.entity, live[place]))
    };
    let lost = |version: Version| -> Result<u64, GreenError> {
        if !survey.has(version) {
            return Ok(0);
        }
        let nowhere = |column: &str, table: Option<String>, target: &str| match table {
            Some(table) => format!("NOT EXISTS (SELECT 1 FROM {} AS t WHERE t.{target} = j.{column})", quoted(&table)),
            None => "1".to_owned(),
        };
        let sql = format!(
            "SELECT count(*) FROM {} AS j WHERE {} OR {}",
            quoted(&schema::version_table(entity, version)),
            nowhere("tagId", table_of(tags), "id"),
            nowhere("mediaId", table_of(media), "mediaId"),
        );
        connection.query_row(&sql, [], |row| row.get(0)).doing("checking references")
    };
    let (now, then) = (lost(seen)?, lost(other)?);
    let (rows, other_rows) = (survey.rows_of(seen), survey.rows_of(other));
    let view = survey.view();
    let unsaid = if survey.said.is_none() { format!(", {METADATA} has no row for it") } else { String::new() };
    let found = format!(
        "{view} reads version {seen}, MediaTags_current version {}{unsaid}; {now} of its {rows} rows lead nowhere, and {then} of the \
         {other_rows} rows of version {other}",
        live[tags]
    );
    if other_rows > 0 && then < now {
        let done = format!("version {other} fits better: view and {METADATA} are switched to it");
        plan.repair(Some(entity), &view, found, done, Act::View(entity, other));
        live[own] = other;
    } else {
        plan.note(Some(entity), &view, found, "the other version fits no better, so it stays");
    }
    Ok(())
}
