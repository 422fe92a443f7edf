//! A database as the application's own migrations make it and its old system fills it, that old system, and a reader that
//! reads as the application's ORM does.

use std::{
    fmt::Write as _,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use greenroom::{
    blue::Envelope,
    entity::{Endpoint, Entity},
    green::Database,
    report::{AdoptionReport, Operator},
};
use jiff::Timestamp;
use rusqlite::{Connection, types::Value};
use tempfile::TempDir;

use crate::{
    contract::{CONTRACTS, Contract},
    data::Data,
    fake_blue::FakeBlue,
    invariants,
    support::{Rig, query},
};

/// How long anything may take; only a defect needs that long.
const LIMIT: Duration = Duration::from_mins(2);

/// The spelling of the application's models.
pub(crate) fn model(entity: Entity) -> &'static str {
    match entity {
        Entity::Talents => "Talents",
        Entity::Boards => "Boards",
        Entity::MediaTags => "MediaTags",
        Entity::TalentsPortfolios => "TalentsPortfolios",
        Entity::PortfoliosMedia => "PortfoliosMedia",
        Entity::TalentsMeasurements => "TalentsMeasurements",
        Entity::TalentsSocials => "TalentsSocials",
        Entity::BoardsTalents => "BoardsTalents",
        Entity::BoardsPortfolios => "BoardsPortfolios",
        Entity::MediaTagsJunction => "MediaTags_Junction",
    }
}

/// The name of the table that bodies are in.
pub(crate) fn json_table(endpoint: Endpoint) -> String {
    format!("{}Json", model(endpoint.entities()[0]))
}

fn contract(entity: Entity) -> &'static Contract {
    CONTRACTS.iter().find(|contract| contract.entity == entity.name()).unwrap()
}

/// `CREATE TABLE` and `CREATE INDEX` of one of an entity's three tables, as the migrations have them.
fn table(entity: Entity, suffix: &str) -> String {
    let (contract, name) = (contract(entity), format!("{}{suffix}", model(entity)));
    let columns = contract.columns().into_iter().map(|column| {
        let required = if column.not_null { " NOT NULL" } else { "" };
        let key = if column.key { " PRIMARY KEY" } else { "" };
        format!("    \"{}\" {}{required}{key}", column.name, column.declared)
    });
    let mut sql =
        format!("-- CreateTable\nCREATE TABLE \"{name}\" (\n{}\n);\n", columns.collect::<Vec<_>>().join(",\n"));
    for (unique, columns) in contract.indexes() {
        let (kind, ending) = if unique { ("UNIQUE INDEX", "key") } else { ("INDEX", "idx") };
        let quoted = columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ");
        writeln!(sql, "CREATE {kind} \"{name}_{}_{ending}\" ON \"{name}\"({quoted});", columns.join("_")).unwrap();
    }
    sql
}

/// All that the application's migrations do.
fn migrations() -> String {
    let mut sql = "CREATE TABLE \"_prisma_migrations\" (\"id\" TEXT PRIMARY KEY NOT NULL, \"checksum\" TEXT NOT NULL, \
                   \"finished_at\" DATETIME, \"migration_name\" TEXT NOT NULL, \"logs\" TEXT, \"rolled_back_at\" DATETIME, \
                   \"started_at\" DATETIME NOT NULL DEFAULT current_timestamp, \"applied_steps_count\" INTEGER UNSIGNED NOT \
                   NULL DEFAULT 0);\n\
                   INSERT INTO _prisma_migrations VALUES ('1', 'x', 1700000000000, '20250101_init', NULL, NULL, 1700000000000, 1);\n\
                   CREATE TABLE \"SyncMetadata\" (\"id\" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, \"entityName\" TEXT NOT NULL, \
                   \"activeVersion\" INTEGER NOT NULL, \"backupVersion\" INTEGER NOT NULL, \"updatedAt\" DATETIME NOT NULL);\n"
        .to_owned();
    for endpoint in Endpoint::ALL {
        writeln!(
            sql,
            "CREATE TABLE \"{}\" (\"id\" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, \"data\" JSONB NOT NULL, \
             \"createdAt\" DATETIME DEFAULT CURRENT_TIMESTAMP, \"updatedAt\" DATETIME NOT NULL);",
            json_table(endpoint)
        )
        .unwrap();
    }
    for entity in Entity::ALL {
        for suffix in ["_v1", "_v2", "_current"] {
            sql += &table(entity, suffix);
        }
    }
    sql
}

/// What the old system does with one sync: loads the inactive versions, switches one view after the other, writes
/// `SyncMetadata` and keeps the newest three bodies.
pub(crate) fn old_system_syncs(connection: &mut Connection, data: &Data) {
    for endpoint in Endpoint::ALL {
        let (table, body) = (json_table(endpoint), data.body(endpoint, Envelope::Data));
        let body = String::from_utf8(body).unwrap();
        let insert = format!("INSERT INTO \"{table}\" (data, updatedAt) VALUES (?1, 1700000000000)");
        connection.execute(&insert, [body]).unwrap();
        let prune =
            format!("DELETE FROM \"{table}\" WHERE id NOT IN (SELECT id FROM \"{table}\" ORDER BY id DESC LIMIT 3)");
        connection.execute(&prune, []).unwrap();
    }
    for entity in Entity::ALL {
        let (name, model) = (entity.name(), model(entity));
        let newest = "SELECT activeVersion FROM \"SyncMetadata\" WHERE entityName = ?1 ORDER BY id DESC LIMIT 1";
        let active: Option<i64> = connection.query_row(newest, [name], |row| row.get(0)).ok();
        let target = if active == Some(1) { 2 } else { 1 };
        let loading = connection.transaction().unwrap();
        loading.execute(&format!("DELETE FROM \"{model}_v{target}\""), []).unwrap();
        fill(&loading, &format!("{model}_v{target}"), data, entity);
        loading.commit().unwrap();
        let switching = connection.transaction().unwrap();
        let kind = "SELECT type FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE";
        let kind: String = switching.query_row(kind, [format!("{model}_current")], |row| row.get(0)).unwrap();
        let switch = format!(
            "DROP {kind} \"{model}_current\"; CREATE VIEW \"{model}_current\" AS SELECT * FROM \"{model}_v{target}\";"
        );
        switching.execute_batch(&switch).unwrap();
        let written = match active {
            Some(active) => switching.execute(
                "UPDATE \"SyncMetadata\" SET activeVersion = ?2, backupVersion = ?3, updatedAt = 1700000000000 WHERE entityName = ?1",
                (name, target, active),
            ),
            None => switching.execute("INSERT INTO \"SyncMetadata\" VALUES (NULL, ?1, ?2, 0, 1700000000000)", (name, target)),
        };
        assert_eq!(written.unwrap(), 1, "{name}");
        switching.commit().unwrap();
    }
}

/// Inserts the rows of `data` into a table.
pub(crate) fn fill(connection: &Connection, table: &str, data: &Data, entity: Entity) {
    let columns: Vec<_> = contract(entity).columns().into_iter().map(|column| format!("\"{}\"", column.name)).collect();
    let places: Vec<_> = (1..=columns.len()).map(|place| format!("?{place}")).collect();
    let insert = format!("INSERT INTO \"{table}\" ({}) VALUES ({})", columns.join(", "), places.join(", "));
    for row in data.rows(entity) {
        connection.execute(&insert, rusqlite::params_from_iter(row)).unwrap();
    }
}

/// Such a database.
pub(crate) struct Prisma {
    pub(crate) path: PathBuf,
    folder: TempDir,
}

impl Prisma {
    /// As the migrations leave it.
    pub(crate) fn fresh() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let prisma = Self { path: folder.path().join("sqlite.db"), folder };
        prisma.execute(&migrations());
        prisma
    }

    /// As the old system leaves it after two syncs: generation 2 is live in the second versions, generation 1 the backup.
    pub(crate) fn synced() -> Self {
        let prisma = Self::fresh();
        let mut connection = prisma.connection();
        for generation in [1, 2] {
            old_system_syncs(&mut connection, &Data::marked(generation));
        }
        prisma
    }

    /// A connection of the application's.
    pub(crate) fn connection(&self) -> Connection {
        let connection = Connection::open(&self.path).unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        connection
    }

    pub(crate) fn execute(&self, sql: &str) {
        self.connection().execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    pub(crate) fn query(&self, sql: &str) -> Vec<Vec<Value>> {
        query(&self.connection(), sql)
    }

    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.connection().query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub(crate) fn journal_mode(&self) -> String {
        self.connection().query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap()
    }

    /// The bytes of the file, and the names of what is beside it.
    pub(crate) fn bytes(&self) -> (Vec<u8>, Vec<PathBuf>) {
        let mut beside: Vec<_> =
            std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        beside.sort();
        (std::fs::read(&self.path).unwrap(), beside)
    }

    pub(crate) fn plan(&self) -> AdoptionReport {
        Database::plan_adoption(&self.path).unwrap()
    }

    pub(crate) fn adopt(&self) -> AdoptionReport {
        let operator = Operator { user: "ana".to_owned(), host: "box".to_owned(), pid: std::process::id() };
        let lock = Database::lock_for_adoption(&self.path, &operator, Timestamp::UNIX_EPOCH).unwrap();
        Database::adopt(&self.path, &lock, &operator, Timestamp::UNIX_EPOCH).unwrap()
    }

    /// The same with a source that sends `data`. It must be adopted.
    pub(crate) async fn rig(self, data: &Data) -> Rig {
        let blue = FakeBlue::start(data).await;
        Rig::on(self.folder, self.path, blue, |_| {})
    }
}

/// What must hold of an adopted database while no run goes on.
pub(crate) fn check(connection: &Connection) {
    assert_eq!(query(connection, "PRAGMA integrity_check"), [[Value::Text("ok".to_owned())]]);
    let leftovers = "SELECT name FROM sqlite_schema WHERE name LIKE '%\\_shadow\\_%' ESCAPE '\\' \
                     OR name LIKE '%\\_trash\\_%' ESCAPE '\\' OR name LIKE '%\\_copy\\_%' ESCAPE '\\' \
                     OR name = 'sync_metadata' OR name LIKE '%\\_json' ESCAPE '\\'";
    assert_eq!(query(connection, leftovers), [[]; 0]);
    let twice = "SELECT entityName FROM SyncMetadata GROUP BY entityName HAVING count(*) > 1";
    assert_eq!(query(connection, twice), [[]; 0]);
    invariants::versions_are_as_agreed(connection, "SyncMetadata");
    // Names are spelled as the application's models are.
    for entity in Entity::ALL {
        for suffix in ["_v1", "_v2", "_current"] {
            let name = format!("{}{suffix}", model(entity));
            let found = format!("SELECT count(*) FROM sqlite_schema WHERE name = '{name}'");
            assert_eq!(query(connection, &found), [[Value::Integer(1)]], "{name}");
        }
    }
}

/// A reader that reads as the ORM does, all the time: names in another case and in other quotes, one statement after the
/// other, with the patience that the ORM has.
pub(crate) struct OrmReader {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// Rounds, and what went wrong.
    state: Mutex<(u64, Option<String>)>,
    changed: Condvar,
}

impl OrmReader {
    /// Begins to read; each view must always have so many rows as it has now.
    pub(crate) fn start(path: &std::path::Path) -> Self {
        let (shared, path) = (Arc::<Shared>::default(), path.to_owned());
        let seen = shared.clone();
        let thread = thread::spawn(move || {
            let connection = Connection::open(path).unwrap();
            connection.busy_timeout(Duration::from_secs(5)).unwrap();
            while !seen.stop.load(Ordering::Acquire) {
                let read = read_all(&connection);
                let mut state = seen.state.lock().unwrap();
                state.0 += 1;
                if let Err(problem) = read {
                    state.1.get_or_insert(problem);
                }
                seen.changed.notify_all();
                drop(state);
                thread::sleep(Duration::from_millis(2));
            }
        });
        let reader = Self { shared, thread: Some(thread) };
        reader.reads_on();
        reader
    }

    /// Waits until everything was read once more, and fails if that ever failed.
    pub(crate) fn reads_on(&self) {
        let state = self.shared.state.lock().unwrap();
        let until = state.0 + 2;
        let more = |state: &mut (u64, Option<String>)| state.0 < until && state.1.is_none();
        let (state, waited) = self.shared.changed.wait_timeout_while(state, LIMIT, more).unwrap();
        assert_eq!(state.1, None, "after {} rounds", state.0);
        assert!(!waited.timed_out());
    }

    /// Reads once more and ends.
    pub(crate) fn end(mut self) {
        self.reads_on();
        self.shared.stop.store(true, Ordering::Release);
        self.thread.take().unwrap().join().unwrap();
        assert_eq!(self.shared.state.lock().unwrap().1, None);
    }
}

impl Drop for OrmReader {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

fn read_all(connection: &Connection) -> Result<(), String> {
    let typed = [
        (
            "SELECT count(*), min(`ID` IS NOT NULL AND `main`.`TALENTS_CURRENT`.`FIRSTNAME` IS NOT NULL AND \
          typeof(`talentUserNumber`) = 'integer') FROM `main`.`TALENTS_CURRENT`",
            "TALENTS",
        ),
        (
            "SELECT count(*), min(typeof(\"CREATEDAT\") = 'integer' AND typeof(\"updatedat\") = 'integer') \
          FROM \"TalentsMeasurements_CURRENT\"",
            "measurements",
        ),
        ("SELECT count(*), min(\"IsDefault\" IN (0, 1)) FROM \"TALENTSportfolios_current\"", "portfolios"),
        ("SELECT count(*), min(typeof(\"ORDER\") = 'integer') FROM \"PortfoliosMedia_current\"", "media"),
        ("SELECT count(*), min(\"tagID\" <> '') FROM [MEDIATAGS_junction_CURRENT]", "junction"),
    ];
    let plain = ["Boards", "mediaTAGS", "TALENTSSOCIALS", "BoardsTalents", "boardsPORTFOLIOS"]
        .map(|name| (format!("SELECT count(*), min(\"Id\" <> '') FROM \"{name}_CURRENT\""), name));
    let plain = plain.iter().map(|(sql, name)| (sql.as_str(), *name));
    for (sql, name) in typed.into_iter().chain(plain) {
        let read = connection.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<bool>>(1)?)));
        match read {
            Ok((rows, Some(true))) if rows > 0 => {}
            Ok(found) => return Err(format!("{name}: {found:?}")),
            Err(error) => return Err(format!("{name}: {error}")),
        }
    }
    Ok(())
}
