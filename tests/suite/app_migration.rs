//! The application's own migrations: tables stand in the place of the views until they end, whatever becomes of them, and
//! readers do not notice.

use std::{path::Path, process::Command};

use greenroom::{
    entity::{Endpoint, Entity},
    failpoint::{self, Failpoint},
    green::GreenError,
    ops::OperationError,
    report::{RollbackTarget, RunOutcome},
};
use rusqlite::{Connection, types::Value};
use rustix::process::{Pid, Signal, kill_process};
use tokio_util::sync::CancellationToken;

use crate::{
    commands::Shell,
    data::Data,
    prisma::{self, OrmReader, Prisma, model},
    process::Process,
    support::{NO_HOLD, Rig, in_time, query},
};

/// What stands in the places of the ten views.
fn kinds(connection: &Connection) -> Vec<Value> {
    let sql = "SELECT DISTINCT type FROM sqlite_schema WHERE type <> 'index' AND name LIKE '%\\_current' ESCAPE '\\'";
    query(connection, sql).concat()
}

fn are(connection: &Connection, kind: &str) {
    assert_eq!(kinds(connection), [Value::Text(kind.to_owned())]);
}

/// Adds a column as the ORM does where it may not be NULL: another table takes the place of the old one. At once, as what
/// readers see in the middle of a migration is the migration's own matter.
fn redefined(table: &str, index: &str) -> String {
    format!(
        "PRAGMA foreign_keys=OFF; BEGIN;
         CREATE TABLE \"new_{table}\" (\"id\" TEXT NOT NULL PRIMARY KEY, \"title\" TEXT NOT NULL, \"description\" TEXT, \
         \"coverImage\" TEXT, \"color\" TEXT NOT NULL DEFAULT 'grey');
         INSERT INTO \"new_{table}\" (\"id\", \"title\", \"description\", \"coverImage\") SELECT \"id\", \"title\", \
         \"description\", \"coverImage\" FROM \"{table}\";
         DROP TABLE \"{table}\"; ALTER TABLE \"new_{table}\" RENAME TO \"{table}\";
         CREATE INDEX \"{index}\" ON \"{table}\"(\"title\");
         COMMIT; PRAGMA foreign_keys=ON;"
    )
}

/// A migration of the application over three tables of one model and one of another.
fn migrate(path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    for suffix in ["v1", "v2", "current"] {
        let table = format!("Boards_{suffix}");
        // Names that the migrations know, whichever tables a publish has put there since.
        connection.execute_batch(&format!("DROP INDEX \"Talents_{suffix}_talentType_idx\"")).unwrap();
        connection.execute_batch(&format!("ALTER TABLE \"Talents_{suffix}\" ADD COLUMN \"agency\" TEXT")).unwrap();
        let index = format!("{table}_title_idx");
        connection.execute_batch(&redefined(&table, &index)).unwrap();
    }
}

async fn sync(rig: &Rig, generation: u64) {
    rig.blue.send(&Data::marked(generation));
    let ran = rig.start().end().await.unwrap();
    assert_eq!(ran.outcome(), RunOutcome::Published, "{ran:?}");
}

/// An adopted database that was synced since, and the binary on it.
async fn adopted() -> (Shell, Rig) {
    let prisma = Prisma::synced();
    prisma.adopt();
    let rig = prisma.rig(&Data::marked(3)).await;
    sync(&rig, 3).await;
    sync(&rig, 4).await;
    (Shell::with(&Data::marked(5)).await, rig)
}

/// Runs `migrate-app` with a command that waits until it is let go, and hands it out once it waits.
async fn waiting(shell: &Shell, rig: &Rig, arguments: &[&str], script: &str) -> Process {
    let script = format!("echo waiting; while [ ! -e \"$GO\" ]; do sleep 0.02; done; {script}");
    let mut words = arguments.to_vec();
    words.extend(["migrate-app", "sh", "-c", script.as_str()]);
    let mut command = shell.command_on(&rig.path, &words);
    command.env("GO", rig.path.with_file_name("go")).env("PATH", "/usr/local/bin:/usr/bin:/bin");
    let mut process = Process::start(command);
    if arguments.contains(&"--json") {
        process.until_says("waiting").await;
    } else {
        process.until_prints("that it waits", |line| line == "waiting").await;
    }
    process
}

fn let_go(rig: &Rig) {
    std::fs::write(rig.path.with_file_name("go"), "").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_finds_tables_and_leaves_views_with_its_columns() {
    let (shell, rig) = adopted().await;
    let reader = OrmReader::start(&rig.path);
    let process = waiting(&shell, &rig, &["--json"], "exit 0").await;
    are(&rig.reader(), "table");
    rig.assert_views(&Data::marked(4));
    // Others are told who is at work, and switch nothing.
    let call = shell.call_on(&rig.path, &["sync"]).await;
    assert_eq!(call.status, 4, "{}", call.stderr);
    assert!(call.stderr.contains("a migration of the application by "), "{}", call.stderr);
    for arguments in [&["rollback", "--yes"][..], &["cleanup", "--yes"], &["release-database", "--yes"]] {
        let call = shell.call_on(&rig.path, arguments).await;
        assert!(matches!(call.status, 1 | 4), "{arguments:?} {}", call.stderr);
        assert!(call.stderr.contains("migration"), "{arguments:?} {}", call.stderr);
    }
    let status = shell.call_on(&rig.path, &["status"]).await;
    assert!(status.stdout.contains("\napplication  migrates with `sh -c "), "{}", status.stdout);
    reader.reads_on();
    let path = rig.path.clone();
    tokio::task::spawn_blocking(move || migrate(&path)).await.unwrap();
    reader.reads_on();
    let_go(&rig);
    let call = process.end().await;
    assert_eq!(call.status, 0, "{}", call.stderr);
    let report = call.json();
    assert_eq!((&report["exitStatus"], &report["notes"]), (&0.into(), &serde_json::json!([])));
    are(&rig.reader(), "view");
    reader.reads_on();
    let columns = |table: &str, column: &str| {
        rig.number(&format!("SELECT count(*) FROM pragma_table_info('{table}') WHERE name = '{column}'"))
    };
    assert_eq!((columns("Boards_current", "color"), columns("Talents_current", "agency")), (1, 1));
    for generation in [5, 6, 7] {
        sync(&rig, generation).await;
        for table in ["Boards_current", "Boards_v1", "Boards_v2"] {
            assert_eq!(columns(table, "color"), 1, "{table} after {generation}");
        }
        assert_eq!(columns("Talents_current", "agency"), 1);
        assert_eq!(rig.number("SELECT count(*) FROM Boards_current WHERE color = 'grey'"), 3);
        assert_eq!(rig.number("SELECT count(*) FROM Talents_current WHERE agency IS NULL"), 6);
    }
    reader.end();
    let report = rig.operations.release_database().await.unwrap();
    assert!(report.notes.is_empty(), "{report:?}");
    assert_eq!(columns("Boards_v1", "color") + columns("Boards_v2", "color"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_those_that_the_migrations_had_made() {
    let prisma = Prisma::fresh();
    let sql = "SELECT name, sql FROM sqlite_schema WHERE tbl_name LIKE '%\\_current' ESCAPE '\\' AND sql IS NOT NULL ORDER BY name";
    let before = prisma.query(sql);
    assert_eq!(before.len(), 32);
    prisma.adopt();
    let rig = prisma.rig(&Data::marked(1)).await;
    // Its tables are in their place already.
    let open = || rig.operations.open_app_migration("a test".to_owned(), CancellationToken::new());
    let migration = open().await.unwrap();
    rig.operations.close_app_migration(migration, Some(0)).await.unwrap();
    assert_eq!(query(&rig.reader(), sql), before);
    sync(&rig, 1).await;
    let migration = open().await.unwrap();
    assert_eq!(query(&rig.reader(), sql), before);
    rig.assert_views(&Data::marked(1));
    rig.writer()
        .execute_batch("ALTER TABLE Boards_current ADD COLUMN color TEXT DEFAULT 'grey'; DELETE FROM Talents_current")
        .unwrap();
    let end = rig.operations.close_app_migration(migration, Some(0)).await.unwrap();
    let note = "Boards_v1 got the column color, which the migration gave to Boards_current only";
    assert_eq!(end.notes[0], note, "{end:?}");
    // Rows of these tables are a mirror's and come from the source only.
    assert_eq!(rig.number("SELECT count(*) FROM Talents_current"), 6);
    assert_eq!(rig.number("SELECT count(*) FROM Boards_current WHERE color = 'grey'"), 3);
    let migration = open().await.unwrap();
    assert_eq!(rig.number("SELECT count(*) FROM Boards_current WHERE color = 'grey'"), 3);
    rig.operations.close_app_migration(migration, Some(0)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_old_system_left_twice_is_copied_as_it_is() {
    let prisma = Prisma::synced();
    prisma.execute("DROP INDEX Talents_v2_talentUserNumber_key; UPDATE Talents_v2 SET talentUserNumber = 7");
    prisma.adopt();
    let rig = prisma.rig(&Data::marked(3)).await;
    let migration = rig.operations.open_app_migration("a test".to_owned(), CancellationToken::new()).await.unwrap();
    are(&rig.reader(), "table");
    assert_eq!(rig.number("SELECT count(*) FROM Talents_current WHERE talentUserNumber = 7"), 6);
    rig.operations.close_app_migration(migration, Some(0)).await.unwrap();
    are(&rig.reader(), "view");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_fails_is_told_and_the_views_are_back() {
    let (shell, rig) = adopted().await;
    let call = shell.call_on(&rig.path, &["migrate-app", "--", "/bin/sh", "-c", "echo out; exit 42"]).await;
    assert_eq!(call.status, 42, "{}", call.stderr);
    assert!(
        call.stdout.starts_with("out\n`/bin/sh -c echo out; exit 42` ended with status 42; tables with "),
        "{}",
        call.stdout
    );
    let call = shell.call_on(&rig.path, &["migrate-app", "/bin/sh", "-c", "kill -9 $$"]).await;
    assert_eq!(call.status, 137, "{}", call.stderr);
    let call = shell.call_on(&rig.path, &["migrate-app", "/no/such/program"]).await;
    assert_eq!(call.status, 1, "{}", call.stderr);
    assert!(call.stderr.contains("cannot run `/no/such/program`: No such file"), "{}", call.stderr);
    are(&rig.reader(), "view");
    rig.assert_views(&Data::marked(4));
    prisma::check(&rig.reader());
    // What a command leaves running keeps nobody from anything.
    let script = "PATH=/usr/bin:/bin; sleep 600 >/dev/null 2>&1 & echo $!";
    let call = shell.call_on(&rig.path, &["migrate-app", "/bin/sh", "-c", script]).await;
    assert_eq!(call.status, 0, "{}", call.stderr);
    let left = Pid::from_raw(call.stdout.lines().next().unwrap().parse().unwrap()).unwrap();
    assert_eq!(shell.call_on(&rig.path, &["cleanup", "--yes"]).await.status, 0);
    kill_process(left, Signal::KILL).unwrap();
    // The same in a database of greenroom's own.
    shell.rig.publish().await;
    assert_eq!(shell.call(&["migrate-app", "/bin/sh", "-c", "exit 3"]).await.status, 3);
    shell.rig.assert_views(&Data::marked(5));
    shell.rig.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_are_the_commands_own() {
    let (shell, rig) = adopted().await;
    for (signal, name) in [(Signal::TERM, "TERM"), (Signal::INT, "INT"), (Signal::HUP, "HUP")] {
        let script = format!("trap 'echo got; exit 7' {name}; echo waiting; while :; do sleep 0.02; done");
        let mut command = shell.command_on(&rig.path, &["migrate-app", "/bin/sh", "-c", &script]);
        command.env("PATH", "/usr/bin:/bin");
        let mut process = Process::start(command);
        process.until_prints("that it waits", |line| line == "waiting").await;
        process.signal(signal);
        process.until_prints("that it got the signal", |line| line == "got").await;
        let call = process.end().await;
        assert_eq!(call.status, 7, "{name}: {}", call.stderr);
        are(&rig.reader(), "view");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_start_puts_the_views_back_after_a_process_that_died() {
    let points = [
        Failpoint::AppAnnounced,
        Failpoint::AppCopied,
        Failpoint::AppSwitched,
        Failpoint::AppOpened,
        Failpoint::AppClosing,
        Failpoint::AppClosed,
    ];
    let nexts: [&[&str]; 3] = [&["sync"], &["rollback", "--yes", "--no-hold"], &["migrate-app", "/bin/true"]];
    let (shell, rig) = adopted().await;
    let reader = OrmReader::start(&rig.path);
    for (place, point) in points.into_iter().enumerate() {
        let mut command: Command = shell.command_on(&rig.path, &["migrate-app", "/bin/true"]);
        command.env(failpoint::VARIABLE, format!("{point}=abort"));
        let ended = command.output().unwrap();
        assert_eq!(ended.status.code(), None, "{point} was not reached: {ended:?}");
        reader.reads_on();
        let is_open = matches!(point, Failpoint::AppOpened | Failpoint::AppClosing);
        are(&rig.reader(), if is_open { "table" } else { "view" });
        let status = shell.call_on(&rig.path, &["status"]).await;
        let is_told = point != Failpoint::AppClosed;
        assert_eq!(
            status.stdout.contains("its process died, the next sync or rollback puts the views back"),
            is_told,
            "{}",
            status.stdout
        );
        let next = nexts[place % nexts.len()];
        let call = shell.call_on(&rig.path, next).await;
        assert_eq!(call.status, 0, "{point} {next:?} {}", call.stderr);
        reader.reads_on();
        prisma::check(&rig.reader());
        assert_eq!(rig.number("SELECT count(*) FROM sync_app_migration"), 0);
    }
    reader.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_greenroom_leaves_its_tables_to_the_consoles_recovery() {
    let (shell, rig) = adopted().await;
    let process = waiting(&shell, &rig, &[], "exit 0").await;
    process.signal(Signal::KILL);
    // The command goes on, and nobody takes its tables away under it.
    let pid = process.pid();
    let is_dead = || std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "));
    in_time("the death of greenroom", async {
        while !is_dead() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(rig.operations.recover().await.unwrap().is_empty());
    assert_eq!(shell.call_on(&rig.path, &["sync"]).await.status, 4);
    are(&rig.reader(), "table");
    let_go(&rig);
    assert_eq!(process.end().await.status, 137);
    assert!(rig.operations.wait_for_turn(None).await);
    are(&rig.reader(), "table");
    rig.assert_views(&Data::marked(4));
    rig.operations.recover().await.unwrap();
    are(&rig.reader(), "view");
    prisma::check(&rig.reader());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_switched_while_tables_stand_there() {
    let (_, rig) = adopted().await;
    let plan = rig.operations.plan_rollback(RollbackTarget::Newest).await.unwrap();
    let migration = rig.operations.open_app_migration("a test".to_owned(), CancellationToken::new()).await.unwrap();
    let error = rig.operations.rollback(plan, NO_HOLD).await.unwrap_err();
    assert!(matches!(error, OperationError::Green(GreenError::AppMigrating { .. })), "{error}");
    assert!(error.to_string().contains("`a test`, which ana@box began"), "{error}");
    let error = rig.operations.plan_rollback(RollbackTarget::Newest).await.unwrap_err();
    assert!(matches!(error, OperationError::Green(GreenError::Locked { .. })), "{error}");
    let stopped = CancellationToken::new();
    stopped.cancel();
    rig.operations.close_app_migration(migration, None).await.unwrap();
    let error = rig.operations.open_app_migration("another".to_owned(), stopped).await.unwrap_err();
    assert!(matches!(error, OperationError::Green(GreenError::Stopped)), "{error}");
    prisma::check(&rig.reader());
    assert!(rig.operations.plan_rollback(RollbackTarget::Newest).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_nothing_for_a_view_to_read_is_named() {
    let (shell, rig) = adopted().await;
    let migration = rig.operations.open_app_migration("a test".to_owned(), CancellationToken::new()).await.unwrap();
    let live = if rig.number("SELECT activeVersion FROM SyncMetadata WHERE entityName = 'boards'") == 1 {
        "Boards_v1"
    } else {
        "Boards_v2"
    };
    rig.writer().execute_batch(&format!("DROP TABLE {live}")).unwrap();
    let error = rig.operations.close_app_migration(migration, Some(0)).await.unwrap_err().to_string();
    assert!(error.contains(&format!("{live}, which is live, is missing")), "{error}");
    rig.assert_view(Entity::Boards, Data::marked(4).rows(Entity::Boards));
    let call = shell.call_on(&rig.path, &["sync"]).await;
    assert_eq!(call.status, 1, "{}", call.stderr);
    assert!(call.stderr.contains("Boards_current cannot be a view again"), "{}", call.stderr);
    let remedy = error.split('`').nth(1).unwrap();
    rig.writer().execute_batch(remedy).unwrap();
    assert_eq!(shell.call_on(&rig.path, &["migrate-app", "/bin/true"]).await.status, 0);
    are(&rig.reader(), "view");
    rig.assert_views(&Data::marked(4));
    sync(&rig, 5).await;
    sync(&rig, 6).await;
    prisma::check(&rig.reader());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_needs_a_value_stops_the_load_and_is_named() {
    let (_, rig) = adopted().await;
    let live = rig.number("SELECT activeVersion FROM SyncMetadata WHERE entityName = 'boardstalents'");
    let table = format!("{}_v{live}", model(Entity::BoardsTalents));
    let sql = format!(
        "CREATE TABLE new (id TEXT NOT NULL PRIMARY KEY, boardId TEXT NOT NULL, talentId TEXT NOT NULL, rank INTEGER NOT NULL); \
         INSERT INTO new SELECT id, boardId, talentId, 1 FROM {table}; DROP VIEW BoardsTalents_current; DROP TABLE {table}; \
         ALTER TABLE new RENAME TO {table}; CREATE VIEW BoardsTalents_current AS SELECT * FROM {table}"
    );
    rig.writer().execute_batch(&sql).unwrap();
    rig.blue.send(&Data::marked(5));
    let ran = rig.start().end().await.unwrap();
    assert_eq!(ran.outcome(), RunOutcome::Failed);
    assert!(ran.error().contains("column rank of"), "{}", ran.error());
    assert!(ran.error().contains("Give it a default"), "{}", ran.error());
    let sent = rig.blue.asked(Endpoint::BoardsTalents);
    assert!(sent > 0);
    rig.assert_view(Entity::Boards, Data::marked(4).rows(Entity::Boards));
}
