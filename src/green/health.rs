//! Whether what visitors see is all there and new enough: a few rows of bookkeeping and the first row of each view.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    database::Database,
    error::{Doing, GreenError},
    hold, schema,
    sql::optional_time,
    status,
};
use crate::{
    entity::Entity,
    report::{Guard, HealthReport, PublicationId, RunOutcome},
    text,
};

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthLimits {
    /// The longest time since the live data was last known to be the source's; `None` for any.
    pub longest_age: Option<Duration>,
    /// Entities that may become empty without anybody's word.
    pub may_become_empty: Vec<Entity>,
}

impl Database {
    /// Whether what visitors see is all there and new enough at `now`, read in one transaction.
    ///
    /// # Errors
    /// When the database cannot be read, a view included.
    pub fn health(&self, limits: &HealthLimits, now: Timestamp) -> Result<HealthReport, GreenError> {
        let mut connection = self.reader()?;
        let transaction = connection.transaction().doing("reading the state")?;
        let newest = status::newest_publication(&transaction)?;
        let (publication, published_at) = newest.map(|newest| (newest.id, newest.published_at)).unzip();
        let confirmed_at = published_at.max(found_unchanged(&transaction)?);
        let mut reasons = Vec::new();
        if let Some(limit) = limits.longest_age {
            reasons.extend(too_old(confirmed_at, limit, now));
        }
        for entity in Entity::ALL {
            let may_be = limits.may_become_empty.contains(&entity);
            reasons.extend(lost(&transaction, entity, may_be)?);
        }
        let held = hold::in_force(&transaction)?.is_some();
        Ok(HealthReport { reasons, publication, published_at, confirmed_at, held })
    }
}

/// When the newest full run ended that found the source to send what is live already. Such a run makes no publication,
/// however often the source is asked.
fn found_unchanged(connection: &Connection) -> Result<Option<Timestamp>, GreenError> {
    connection
        .query_row(
            "SELECT max(finished_at) AS finished_at FROM sync_runs \
             WHERE outcome = ?1 AND scope IS NULL AND replay IS NULL AND NOT dry_run AND error IS NULL",
            [RunOutcome::Unchanged.word()],
            |row| optional_time(row, "finished_at"),
        )
        .doing("reading the runs")
}

fn too_old(confirmed_at: Option<Timestamp>, limit: Duration, now: Timestamp) -> Option<String> {
    let Some(confirmed_at) = confirmed_at else { return Some("nothing was published yet".to_owned()) };
    let age = now.duration_since(confirmed_at);
    let shown = |duration: SignedDuration| text::duration(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX));
    let limit = SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX);
    (age > limit).then(|| {
        let (age, limit) = (shown(age), shown(limit));
        format!("the data was last published or found unchanged {age} ago, which is longer than {limit}")
    })
}

/// What is wrong with an entity that has no rows for visitors.
fn lost(connection: &Connection, entity: Entity, may_be_empty: bool) -> Result<Option<String>, GreenError> {
    let doing = "reading the views";
    let has_rows: bool = connection
        .query_row(&format!("SELECT EXISTS (SELECT 1 FROM {})", schema::view(entity)), [], |row| row.get(0))
        .doing(doing)?;
    if has_rows {
        return Ok(None);
    }
    // The newest switch that says anything: one from nothing to nothing does not make a loss good.
    let switch: Option<(PublicationId, u64, u64)> = connection
        .query_row(
            "SELECT publication_id, from_rows, to_rows FROM sync_publication_entities \
             WHERE entity = ?1 AND (from_rows > 0 OR to_rows > 0) ORDER BY publication_id DESC LIMIT 1",
            [entity.name()],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()
        .doing(doing)?;
    let Some((publication, before, after)) = switch else { return Ok(None) };
    if after > 0 {
        let rows = text::count(after, "row", "rows");
        return Ok(Some(format!("{entity} is empty, although publication {publication} gave it {rows}")));
    }
    if may_be_empty || accepted_empty(connection, publication, entity)? {
        return Ok(None);
    }
    let rows = text::count(before, "row", "rows");
    Ok(Some(format!("{entity} is empty since publication {publication}, before which it had {rows}")))
}

fn accepted_empty(connection: &Connection, publication: PublicationId, entity: Entity) -> Result<bool, GreenError> {
    connection
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM sync_publication_guards WHERE publication_id = ?1 AND entity = ?2 AND guard = ?3)",
            params![publication, entity.name(), Guard::Empty.word()],
            |row| row.get(0),
        )
        .doing("reading the publications")
}
