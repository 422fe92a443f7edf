//! What a database holds, looked at as a visitor would, and that it is sound whatever happened to the last program.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use greenroom::entity::{Endpoint, Entity};
use rusqlite::{Connection, OpenFlags, OptionalExtension, types::Value};

use crate::{
    data::{Data, generations},
    support::query,
};

/// How far the program had come, as the database tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// There is no database, or an empty one.
    NoDatabase,
    /// Its bookkeeping is that of an earlier version.
    OldVersion,
    /// Its bookkeeping is the newest, and no run began since.
    #[default]
    NoRun,
    /// The run began.
    Begun,
    /// It has whole snapshots.
    Staged,
    /// It has tables that rows are loaded into.
    Loading,
    /// It published and has not told its end.
    Published,
    /// It told its end.
    Ended,
    /// A rollback or a cleanup did nothing yet.
    NotDone,
    /// Tables without an owner are gone.
    Cleared,
    /// Old snapshots are gone.
    Pruned,
    /// Free pages are given back.
    Vacuumed,
    /// A rollback is made.
    Done,
}

impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::NoDatabase => "no database",
            Self::OldVersion => "old version",
            Self::NoRun => "no run yet",
            Self::Begun => "begun",
            Self::Staged => "staged",
            Self::Loading => "loading",
            Self::Published => "published, not ended",
            Self::Ended => "ended",
            Self::NotDone => "not done",
            Self::Cleared => "cleared",
            Self::Pruned => "pruned",
            Self::Vacuumed => "vacuumed",
            Self::Done => "done",
        })
    }
}

/// What visitors see, and what there is to go back to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// The newest publication.
    pub(super) publication: Option<i64>,
    /// The generation that all views show.
    pub(super) live: Option<u64>,
    /// The generation of all backup versions.
    pub(super) backup: Option<u64>,
    /// Whether the hold is set.
    pub(super) hold: bool,
}

/// A database as it was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    pub(super) state: State,
    /// The version of its bookkeeping, 0 when there is none.
    pub(super) version: i64,
    /// The newest run.
    pub(super) run: i64,
    /// Where that run is, or was when it died.
    pub(super) phase: Phase,
    /// Whether that run published and something went wrong afterwards.
    pub(super) is_troubled: bool,
    /// The run behind the backup versions.
    pub(super) backup_run: Option<i64>,
    /// Runs without an outcome.
    pub(super) unfinished: Vec<i64>,
    /// Whole snapshots of each endpoint, newest first.
    pub(super) snapshots: BTreeMap<Endpoint, Vec<i64>>,
}

/// Opens a database so that nothing is written to it, neither rows nor what its log holds.
pub(super) fn reader(path: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).unwrap()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// One number, if there is one.
pub(super) fn number(connection: &Connection, sql: &str) -> Option<i64> {
    connection
        .query_row(sql, [], |row| row.get(0))
        .optional()
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
        .flatten()
}

impl Look {
    /// Looks at the database at `path` with all that its log holds, and checks that what it has is whole.
    pub(super) fn at(path: &Path) -> Self {
        if std::fs::metadata(path).map_or(0, |file| file.len()) == 0 {
            return Self { phase: Phase::NoDatabase, ..Self::default() };
        }
        let journal = beside(path, "-journal");
        if journal.exists() {
            // What was about to enter WAL mode is taken back by whoever opens it next, which needs to write.
            let folder = tempfile::tempdir().unwrap();
            let copy = folder.path().join("copy.db");
            std::fs::copy(path, &copy).unwrap();
            std::fs::copy(journal, beside(&copy, "-journal")).unwrap();
            assert_eq!(query(&Connection::open(&copy).unwrap(), "SELECT name FROM sqlite_schema"), [[]; 0]);
            return Self { phase: Phase::NoDatabase, ..Self::default() };
        }
        let mut connection = reader(path);
        assert_eq!(query(&connection, "PRAGMA integrity_check"), [[Value::Text("ok".to_owned())]]);
        let transaction = connection.transaction().unwrap();
        let version = number(&transaction, "PRAGMA user_version").unwrap();
        if version == 0 {
            assert_eq!(number(&transaction, "SELECT count(*) FROM sqlite_schema"), Some(0), "half a migration");
            return Self { phase: Phase::NoDatabase, ..Self::default() };
        }
        let mut look = Self { version, state: state(&transaction), ..Self::default() };
        look.state.hold =
            version > 1 && number(&transaction, "SELECT count(*) FROM sync_holds WHERE released_at IS NULL") != Some(0);
        look.run = number(&transaction, "SELECT max(id) FROM sync_runs").unwrap_or_default();
        look.phase = phase(&transaction, look.run);
        let troubled =
            format!("SELECT outcome = 'published' AND error IS NOT NULL FROM sync_runs WHERE id = {}", look.run);
        look.is_troubled = number(&transaction, &troubled) == Some(1);
        look.backup_run =
            number(&transaction, "SELECT from_run FROM sync_publication_entities ORDER BY publication_id DESC LIMIT 1");
        look.unfinished = numbers(&transaction, "SELECT id FROM sync_runs WHERE outcome IS NULL");
        for endpoint in Endpoint::ALL {
            let whole = format!(
                "SELECT id FROM sync_snapshots WHERE endpoint = '{}' AND complete ORDER BY id DESC",
                endpoint.key()
            );
            look.snapshots.insert(endpoint, numbers(&transaction, &whole));
        }
        look
    }

    /// Checks that of the snapshots which were there then, those are still there that are always kept.
    pub(super) fn keeps_snapshots_of(&self, earlier: &Self) {
        for (endpoint, before) in &earlier.snapshots {
            let now = &self.snapshots[endpoint];
            let newer = now.iter().filter(|id| before.first().is_none_or(|newest| **id > *newest)).count();
            for id in before.iter().take(3_usize.saturating_sub(newer)) {
                assert!(now.contains(id), "{endpoint}: snapshot {id} of {before:?} is gone, there are {now:?}");
            }
        }
    }
}

fn numbers(connection: &Connection, sql: &str) -> Vec<i64> {
    let mut statement = connection.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// What views, metadata, versions and the newest publications say, which must be one and the same.
fn state(connection: &Connection) -> State {
    let mut found = Vec::new();
    for entity in Entity::ALL {
        let versions =
            format!("SELECT activeVersion, backupVersion FROM sync_metadata WHERE entityName = '{}'", entity.name());
        let versions = connection.query_row(&versions, [], |row| Ok((row.get(0)?, row.get(1)?))).optional().unwrap();
        let (active, backup): (i64, i64) = versions.unwrap_or_default();
        let view = format!("SELECT sql FROM sqlite_schema WHERE name = '{entity}_current'");
        let view: String = connection.query_row(&view, [], |row| row.get(0)).unwrap();
        // Before the first publish the views show the first version, which is empty.
        assert!(view.contains(&format!("{entity}_v{}\"", active.max(1))), "{view} while version {active} is active");
        let expected = Data::marked(1).rows(entity).len() as u64;
        let live = generation(connection, entity, &format!("{entity}_current"), (active != 0).then_some(expected));
        let kept = (backup != 0).then(|| {
            assert_eq!(backup, 3 - active, "backup version of {entity}");
            generation(connection, entity, &format!("{entity}_v{backup}"), Some(expected))
        });
        let newest = format!(
            "SELECT to_version, from_version, to_rows FROM sync_publication_entities WHERE entity = '{}' \
             ORDER BY publication_id DESC LIMIT 1",
            entity.name()
        );
        let rows = i64::try_from(expected).unwrap();
        let told = if active == 0 { vec![] } else { vec![[active, backup, rows].map(Value::Integer).to_vec()] };
        assert_eq!(query(connection, &newest), told, "newest switch of {entity}");
        let publication =
            format!("SELECT max(publication_id) FROM sync_publication_entities WHERE entity = '{}'", entity.name());
        found.push((live, kept.flatten(), active, number(connection, &publication)));
    }
    assert!(found.iter().all(|one| *one == found[0]), "parts of two publications at one moment: {found:?}");
    let (live, backup, _, publication) = found[0];
    assert_eq!(number(connection, "SELECT max(id) FROM sync_publications"), publication, "a publication of nothing");
    State { publication, live, backup, hold: false }
}

/// The one generation of all rows in `table`, of which there must be so many.
fn generation(connection: &Connection, entity: Entity, table: &str, expected: Option<u64>) -> Option<u64> {
    let answer =
        connection.query_row(&generations(entity, table), [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let (count, least, greatest): (u64, Option<u64>, Option<u64>) = answer.unwrap();
    assert_eq!(count, expected.unwrap_or_default(), "rows of {table}");
    assert_eq!(least, greatest, "{table} holds rows of two generations");
    least
}

fn phase(connection: &Connection, run: i64) -> Phase {
    if query(connection, "SELECT 1 FROM sqlite_schema WHERE name = 'sync_holds'").is_empty() {
        return Phase::OldVersion;
    }
    if run == 0 {
        return Phase::NoRun;
    }
    let is = |sql: String| number(connection, &sql).is_some_and(|count| count > 0);
    let told = "SELECT count(*) FROM sync_events WHERE json_extract(event, '$.event') = 'ended' AND run_id";
    let outcome = |outcome: &str| format!("SELECT count(*) FROM sync_runs WHERE outcome = '{outcome}' AND id = {run}");
    if is(format!("{told} = {run}")) || is(outcome("interrupted")) {
        Phase::Ended
    } else if is(outcome("published")) {
        Phase::Published
    } else if is(format!("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%\\_shadow\\_{run}' ESCAPE '\\'")) {
        Phase::Loading
    } else if is(format!("SELECT count(*) FROM sync_snapshots WHERE complete AND run_id = {run}")) {
        Phase::Staged
    } else {
        Phase::Begun
    }
}
