//! Figures for a monitor, which reads them often: only what is counted already.

use rusqlite::{Connection, OptionalExtension};

use super::{
    database::Database,
    error::{Doing, GreenError},
    hold, journal,
    sql::word,
    status, tasks,
};
use crate::{
    entity::Entity,
    report::{EntityFigures, FiguresReport, RunOutcome, RunTotal, Trigger},
};

impl Database {
    /// Figures of one moment. No table of an entity is read.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn figures(&self) -> Result<FiguresReport, GreenError> {
        let mut connection = self.reader()?;
        let transaction = connection.transaction().doing("reading the state")?;
        let entities = Entity::ALL.into_iter().map(|entity| entity_figures(&transaction, entity));
        let entities = entities.collect::<Result<_, _>>()?;
        let runs = totals(&transaction)?;
        let last_run_ms = last_run(&transaction)?;
        let published_at = status::newest_publication(&transaction)?.map(|newest| newest.published_at);
        let held = hold::in_force(&transaction)?.is_some();
        let waiting = tasks::waiting(&transaction)?.is_some();
        let unfinished = journal::unfinished(&transaction)?;
        let bytes = transaction
            .query_row("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", [], |row| row.get(0))
            .doing("reading the size of the database")?;
        drop(transaction);
        // A run without an outcome goes on only while its process has the lock.
        let running = unfinished.is_some_and(|run| self.with_dead(run).outcome.is_none());
        let wal_bytes = std::fs::metadata(self.beside("-wal")).map_or(0, |file| file.len());
        Ok(FiguresReport { runs, last_run_ms, entities, published_at, held, running, waiting, bytes, wal_bytes })
    }
}

fn entity_figures(connection: &Connection, entity: Entity) -> Result<EntityFigures, GreenError> {
    let rows = connection
        .query_row(
            "SELECT to_rows FROM sync_publication_entities WHERE entity = ?1 ORDER BY publication_id DESC LIMIT 1",
            [entity.name()],
            |row| row.get(0),
        )
        .optional()
        .doing("reading the publications")?;
    let published_at = status::live(connection, entity)?.active_origin.made_at;
    Ok(EntityFigures { entity, rows: rows.unwrap_or(0), published_at })
}

fn totals(connection: &Connection) -> Result<Vec<RunTotal>, GreenError> {
    let doing = "reading the totals of runs";
    let mut statement =
        connection.prepare("SELECT * FROM sync_run_totals ORDER BY trigger_kind, outcome").doing(doing)?;
    let rows = statement.query_map([], |row| {
        let duration_ms: i64 = row.get("duration_ms")?;
        Ok(RunTotal {
            trigger: word(row, "trigger_kind", Trigger::from_word)?,
            outcome: word(row, "outcome", RunOutcome::from_word)?,
            runs: row.get("runs")?,
            // A clock that was set back may make it negative.
            duration_ms: u64::try_from(duration_ms).unwrap_or(0),
        })
    });
    rows.and_then(Iterator::collect).doing(doing)
}

fn last_run(connection: &Connection) -> Result<Option<u64>, GreenError> {
    let took: Option<i64> = connection
        .query_row(
            "SELECT finished_at - started_at FROM sync_runs \
             WHERE outcome IS NOT NULL AND finished_at IS NOT NULL ORDER BY id DESC LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()
        .doing("reading the runs")?;
    Ok(took.map(|took| u64::try_from(took).unwrap_or(0)))
}
