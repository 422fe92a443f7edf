//! What is live: versions, what they were made from, publications.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    app_migration,
    database::Database,
    error::{Doing, GreenError},
    hold, journal, lock, presence,
    schema::{self, version_table},
    sql::{Millis, diff_counts, operator, optional_time, time, word},
    tasks,
};
use crate::{
    entity::{Endpoint, Entity, MAPPING_VERSION},
    report::{
        DatabaseStatus, DiffCounts, EntityStatus, Layout, PublicationId, PublicationKind, PublicationReport,
        RecordCounts, Replay, RunId, RunOutcome, RunSummary, SnapshotId, StatusReport, Version,
    },
};

/// Runs, such as failed ones, that may have ended since the one that is held.
const RUNS_BEHIND_HELD: u64 = 50;

/// What a version was made from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The run that made it.
    pub run: Option<RunId>,
    /// The snapshot that it was made from.
    pub snapshot: Option<SnapshotId>,
    /// The mapping rules in force then.
    pub mapping: Option<i64>,
    /// When its run published it.
    pub made_at: Option<Timestamp>,
}

/// The live version of an entity and its backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveVersion {
    /// The live version, 0 before the first publish.
    pub active: Version,
    /// The backup, 0 for none.
    pub backup: Version,
    /// Whether visitors see the live version: its view reads it.
    pub is_seen: bool,
    /// What the live version was made from.
    pub active_origin: Origin,
    /// Hash of the snapshot behind the live version.
    pub active_hash: Option<String>,
    /// Another body that was found to make the very same rows.
    pub same_rows: Option<SameRows>,
    /// What the backup was made from.
    pub backup_origin: Origin,
    /// Difference from the backup to the live version, as recorded.
    pub diff: Option<DiffCounts>,
    /// What became of the records that the live version was made from.
    pub made_from: Option<RecordCounts>,
}

/// A body that makes the rows which are live, although they were made from another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SameRows {
    /// Its hash.
    pub hash: String,
    /// The mapping rules in force then.
    pub mapping: i64,
    /// The run that loaded it.
    pub run: RunId,
}

/// The versions in `sync_metadata` or `SyncMetadata`; of several rows for one entity the highest id counts.
pub(super) fn metadata(connection: &Connection, entity: Entity) -> Result<Option<(Version, Version)>, GreenError> {
    let table = Layout::of(connection)?.metadata();
    connection
        .prepare_cached(&format!(
            "SELECT coalesce(activeVersion, 0), coalesce(backupVersion, 0) FROM {table} \
             WHERE entityName = ?1 ORDER BY id DESC LIMIT 1"
        ))
        .and_then(|mut statement| statement.query_row([entity.name()], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .doing("reading sync_metadata")
}

/// Writes the versions into `sync_metadata` or `SyncMetadata`.
pub(super) fn write_metadata(
    connection: &Connection,
    entity: Entity,
    active: Version,
    backup: Version,
    at: Timestamp,
) -> Result<(), GreenError> {
    let (doing, table) = ("writing sync_metadata", Layout::of(connection)?.metadata());
    let updated = connection
        .execute(
            &format!(
                "UPDATE {table} SET activeVersion = ?2, backupVersion = ?3, updatedAt = ?4 \
                 WHERE id = (SELECT max(id) FROM {table} WHERE entityName = ?1)"
            ),
            params![entity.name(), active, backup, Millis(at)],
        )
        .doing(doing)?;
    if updated == 0 {
        connection
            .execute(
                &format!(
                    "INSERT INTO {table} (entityName, activeVersion, backupVersion, updatedAt) VALUES (?1, ?2, ?3, ?4)"
                ),
                params![entity.name(), active, backup, Millis(at)],
            )
            .doing(doing)?;
    }
    Ok(())
}

/// Makes again what something else has dropped of the tables and views of the entities, so that the next publish puts it
/// right. Where the live version is gone, its backup is live then, or nothing; to be called by the owner of the run lock only.
pub(super) fn mend(connection: &Connection, at: Timestamp) -> Result<(), GreenError> {
    let is_gone = |name: &str| schema::exists(connection, name).map(|there| !there);
    for entity in Entity::ALL {
        let (active, backup) = metadata(connection, entity)?.unwrap_or_default();
        let has_backup = backup != 0 && !is_gone(&version_table(entity, backup))?;
        let kept = if has_backup { backup } else { 0 };
        if active != 0 && is_gone(&version_table(entity, active))? {
            tracing::warn!("{} is missing; its backup is taken in its place", version_table(entity, active));
            write_metadata(connection, entity, kept, 0, at)?;
            schema::create_missing(connection)?;
            schema::point_view(connection, entity, kept.max(1))?;
        } else if kept != backup {
            tracing::warn!("{} is missing; there is no backup any more", version_table(entity, backup));
            write_metadata(connection, entity, active, 0, at)?;
        }
        if is_gone(&schema::view(entity))? {
            tracing::warn!("{} is missing; it is made again", schema::view(entity));
            schema::create_missing(connection)?;
            schema::point_view(connection, entity, active.max(1))?;
        }
    }
    for endpoint in Endpoint::ALL {
        let table = schema::json_table(connection, endpoint)?;
        if is_gone(&table)? {
            tracing::warn!("{table} is missing, and with it the kept bodies of {endpoint}");
            schema::create_missing(connection)?;
            connection
                .execute("DELETE FROM sync_snapshots WHERE endpoint = ?1", [endpoint.key()])
                .doing("forgetting snapshots")?;
        }
    }
    Ok(())
}

/// The live version of `entity`, with the newest publication's word on what it was made from.
pub(super) fn live(connection: &Connection, entity: Entity) -> Result<LiveVersion, GreenError> {
    let (active, backup) = metadata(connection, entity)?.unwrap_or_default();
    let recorded = connection
        .prepare_cached(
            "SELECT * FROM sync_publication_entities WHERE entity = ?1 ORDER BY publication_id DESC LIMIT 1",
        )
        .and_then(|mut statement| {
            statement.query_row([entity.name()], |row| Ok((switch(row)?, row.get("to_version")?))).optional()
        })
        .doing("reading the publications")?;
    // A record that speaks of another version says nothing about the one that is live.
    let recorded = recorded.filter(|(_, to_version): &(_, Version)| *to_version == active).map(|(switch, _)| switch);
    let (active_origin, backup_origin, diff) = recorded.unwrap_or_default();
    let active_hash = connection
        .prepare_cached("SELECT hash FROM sync_snapshots WHERE id = ?1")
        .and_then(|mut statement| statement.query_row([active_origin.snapshot], |row| row.get(0)).optional())
        .doing("reading the snapshots")?;
    let same_rows = connection
        .prepare_cached(
            "SELECT hash, mapping, run_id FROM sync_same_rows WHERE entity = ?1 AND publication_id = \
             (SELECT max(publication_id) FROM sync_publication_entities WHERE entity = ?1)",
        )
        .and_then(|mut statement| {
            let found = statement.query_row([entity.name()], |row| {
                Ok(SameRows { hash: row.get(0)?, mapping: row.get(1)?, run: row.get(2)? })
            });
            found.optional()
        })
        .doing("reading the publications")?;
    let made_from = connection
        .prepare_cached(
            "SELECT records, duplicates, quarantined, notes FROM sync_steps WHERE run_id = ?1 AND entity = ?2",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![active_origin.run, entity.name()], |row| {
                    Ok(RecordCounts {
                        records: row.get(0)?,
                        duplicates: row.get(1)?,
                        quarantined: row.get(2)?,
                        notes: row.get(3)?,
                    })
                })
                .optional()
        })
        .doing("reading the steps")?;
    let is_seen = active == 0 || schema::viewed_version(connection, entity)? == Some(active);
    Ok(LiveVersion { active, backup, is_seen, active_origin, active_hash, same_rows, backup_origin, diff, made_from })
}

/// Remembers that the body with this `hash` makes the very rows of `entity` that `base` and those before it made live,
/// unless something was published since.
pub(super) fn remember_same_rows(
    connection: &Connection,
    run: RunId,
    base: Option<PublicationId>,
    entity: Entity,
    hash: &str,
) -> Result<(), GreenError> {
    connection
        .execute(
            "INSERT OR REPLACE INTO sync_same_rows (entity, publication_id, hash, mapping, run_id) \
             SELECT ?1, max(publication_id), ?2, ?3, ?4 FROM sync_publication_entities WHERE entity = ?1 \
             HAVING max(publication_id) IS NOT NULL AND (SELECT max(id) FROM sync_publications) = ?5",
            params![entity.name(), hash, MAPPING_VERSION, run, base],
        )
        .doing("recording that rows are the same")?;
    Ok(())
}

fn switch(row: &Row<'_>) -> rusqlite::Result<(Origin, Origin, Option<DiffCounts>)> {
    let origin = |prefix: &str| -> rusqlite::Result<Origin> {
        Ok(Origin {
            run: row.get(format!("{prefix}_run").as_str())?,
            snapshot: row.get(format!("{prefix}_snapshot").as_str())?,
            mapping: row.get(format!("{prefix}_mapping").as_str())?,
            made_at: optional_time(row, &format!("{prefix}_made_at"))?,
        })
    };
    Ok((origin("to")?, origin("from")?, diff_counts(row)?))
}

/// The live versions of all entities, in the order of [`Entity::ALL`].
pub(super) fn live_all(connection: &Connection) -> Result<Vec<LiveVersion>, GreenError> {
    Entity::ALL.into_iter().map(|entity| live(connection, entity)).collect()
}

/// The same with the rows that visitors see of each.
pub(super) fn live_with_rows(connection: &Connection) -> Result<Vec<(LiveVersion, u64)>, GreenError> {
    let read = |entity| Ok((live(connection, entity)?, schema::count(connection, &schema::view(entity))?));
    Entity::ALL.into_iter().map(read).collect()
}

/// Snapshots behind an active or a backup version.
pub(super) fn snapshots_in_use(connection: &Connection) -> Result<Vec<SnapshotId>, GreenError> {
    let live = live_all(connection)?;
    Ok(live.iter().flat_map(|live| [live.active_origin.snapshot, live.backup_origin.snapshot]).flatten().collect())
}

/// The newest publication.
pub(super) fn newest_publication(connection: &Connection) -> Result<Option<PublicationReport>, GreenError> {
    newest_publication_id(connection)?.map(|id| publication(connection, id)).transpose()
}

/// One publication.
pub(super) fn publication(connection: &Connection, id: PublicationId) -> Result<PublicationReport, GreenError> {
    let found = connection
        .query_row("SELECT * FROM sync_publications WHERE id = ?1", [id], |row| {
            Ok(PublicationReport {
                id,
                kind: word(row, "kind", PublicationKind::from_word)?,
                run: row.get("run_id")?,
                undoes: row.get("undoes")?,
                replay_of: row.get("replay_of")?,
                accepted: Vec::new(),
                published_at: time(row, "published_at")?,
                operator: operator(row)?,
            })
        })
        .optional()
        .doing("reading the publications")?;
    let found = found.ok_or(GreenError::NotFound { what: "publication", id, command: "runs" })?;
    Ok(PublicationReport { accepted: journal::guards(connection, journal::GuardsOf::Publication(id))?, ..found })
}

/// The number of the newest publication.
pub(super) fn newest_publication_id(connection: &Connection) -> Result<Option<PublicationId>, GreenError> {
    connection
        .query_row("SELECT max(id) FROM sync_publications", [], |row| row.get(0))
        .doing("reading the publications")
}

fn entity_status(connection: &Connection, entity: Entity) -> Result<EntityStatus, GreenError> {
    let doing = "reading the state of an entity";
    let live = live(connection, entity)?;
    let backup_rows = match live.backup {
        0 => None,
        version => Some(schema::count(connection, &version_table(entity, version))?),
    };
    let snapshots = connection
        .query_row(
            "SELECT count(*) FROM sync_snapshots WHERE complete AND endpoint = ?1",
            [entity.endpoint().key()],
            |row| row.get(0),
        )
        .doing(doing)?;
    let bytes = connection
        .query_row("SELECT bytes FROM sync_snapshots WHERE id = ?1", [live.active_origin.snapshot], |row| row.get(0))
        .optional()
        .doing(doing)?;
    let checked_at = connection
        .query_row(
            "SELECT max(seen_at) AS seen_at FROM sync_snapshots WHERE endpoint = ?1 AND hash IN (?2, ?3)",
            params![entity.endpoint().key(), live.active_hash, live.same_rows.as_ref().map(|same| &same.hash)],
            |row| optional_time(row, "seen_at"),
        )
        .optional()
        .doing(doing)?
        .flatten();
    Ok(EntityStatus {
        entity,
        active_version: live.active,
        backup_version: live.backup,
        active_rows: schema::count(connection, &schema::view(entity))?,
        backup_rows,
        diff: live.diff.filter(|_| live.backup != 0),
        bytes,
        made_from: live.made_from,
        snapshots,
        published_at: live.active_origin.made_at,
        checked_at,
        run_id: live.active_origin.run,
    })
}

/// The newest run that is held, unless one was published or found nothing to do since.
fn held_run(connection: &Connection) -> Result<Option<RunSummary>, GreenError> {
    let overtaken = |run: &RunSummary| matches!(run.outcome, Some(RunOutcome::Published | RunOutcome::Unchanged));
    let is_held = |run: &RunSummary| run.outcome == Some(RunOutcome::Held) && run.replay != Some(Replay::Rollback);
    let newest = journal::runs(connection, RUNS_BEHIND_HELD)?;
    Ok(newest.into_iter().take_while(|run| !overtaken(run)).find(is_held))
}

impl Database {
    /// Everything that `status` tells, read in one transaction.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn status(&self, source: Option<String>) -> Result<StatusReport, GreenError> {
        let mut connection = self.reader()?;
        let transaction = connection.transaction().doing("reading the state")?;
        let entities =
            Entity::ALL.into_iter().map(|entity| entity_status(&transaction, entity)).collect::<Result<_, _>>()?;
        let newest = journal::runs(&transaction, 2)?;
        let hold = hold::in_force(&transaction)?;
        let held_run = held_run(&transaction)?;
        let app_migration = app_migration::open_one(&transaction)?;
        let publication = newest_publication(&transaction)?;
        let waiting = tasks::waiting(&transaction)?;
        let last_trigger = tasks::triggers(&transaction, 1)?.pop();
        let database = self.file_status(&transaction)?;
        drop(transaction);
        // A run without an outcome goes on only while its process has the lock.
        let mut newest = newest.into_iter().map(|run| self.with_dead(run)).peekable();
        let running = newest.next_if(|run| run.outcome.is_none());
        let last_run = newest.next();
        let owner = lock::holder(self).known().map(|owner| owner.report(None));
        let server = presence::server(self);
        Ok(StatusReport {
            database,
            source,
            hold,
            held_run,
            app_migration,
            running,
            owner,
            entities,
            last_run,
            publication,
            waiting,
            server,
            last_trigger,
        })
    }

    pub(super) fn file_status(&self, connection: &Connection) -> Result<DatabaseStatus, GreenError> {
        let doing = "reading the size of the database";
        let pragma = |name: &str| -> Result<u64, GreenError> {
            connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).doing(doing)
        };
        let page = pragma("page_size")?;
        let wal_bytes = std::fs::metadata(self.beside("-wal")).map_or(0, |file| file.len());
        Ok(DatabaseStatus {
            path: self.path().display().to_string(),
            layout: Layout::of(connection)?,
            bytes: pragma("page_count")? * page,
            free_bytes: pragma("freelist_count")? * page,
            wal_bytes,
            wal_readers: if wal_bytes < DatabaseStatus::LARGE_LOG { Vec::new() } else { self.wal_readers() },
        })
    }
}
