//! Giving an adopted database back: the old system goes on, and a later adoption finds what it looks for.

use std::process::Command;

use greenroom::{
    entity::{Endpoint, Entity},
    failpoint::{self, Failpoint},
    green::{Database, GreenError},
    ops::OperationError,
    report::{RollbackTarget, RunOutcome},
};
use rusqlite::{Connection, types::Value};

use crate::{
    commands::Shell,
    data::Data,
    prisma::{self, OrmReader, Prisma, json_table, model, old_system_syncs},
    support::{NO_HOLD, Rig, query},
};

/// The application's tables and indexes, by name, and how views are made.
fn schema(connection: &Connection) -> Vec<Vec<Value>> {
    query(connection, "SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name")
}

/// Checks that nothing of greenroom's own is left and all is as the old system and the migrations know it.
fn check_given_back(connection: &Connection) {
    assert_eq!(query(connection, "PRAGMA integrity_check"), [[Value::Text("ok".to_owned())]]);
    assert_eq!(query(connection, "PRAGMA user_version"), [[Value::Integer(0)]]);
    let old = Prisma::synced();
    assert_eq!(schema(connection), schema(&old.connection()));
    for entity in Entity::ALL {
        let versions = format!("SELECT activeVersion, backupVersion FROM SyncMetadata WHERE entityName = '{entity}'");
        let versions = query(connection, &versions);
        let [Value::Integer(active), _] = versions[0][..] else { panic!("{versions:?}") };
        assert_eq!(versions.len(), 1, "{entity}");
        let view =
            format!("SELECT sql LIKE '%_v{active}\"' FROM sqlite_schema WHERE name = '{}_current'", model(entity));
        assert_eq!(query(connection, &view), [[Value::Integer(1)]], "{entity}");
    }
    for endpoint in Endpoint::ALL {
        let table = json_table(endpoint);
        let odd = format!("SELECT count(*) FROM \"{table}\" WHERE typeof(data) <> 'text' OR NOT json_valid(data)");
        assert_eq!(query(connection, &odd), [[Value::Integer(0)]], "{table}");
    }
}

async fn sync(rig: &Rig, generation: u64) {
    rig.blue.send(&Data::marked(generation));
    assert_eq!(rig.start().end().await.unwrap().outcome(), RunOutcome::Published);
    rig.assert_views(&Data::marked(generation));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_way_and_back_is_not_noticed_by_readers() {
    let prisma = Prisma::synced();
    prisma.execute("UPDATE SyncMetadata SET backupVersion = activeVersion WHERE entityName = 'talents'");
    prisma.execute("DROP INDEX Boards_v1_title_idx; DELETE FROM SyncMetadata WHERE entityName = 'mediatags_junction'");
    assert_eq!(prisma.journal_mode(), "delete");
    let reader = OrmReader::start(&prisma.path);
    prisma.adopt();
    reader.reads_on();
    let rig = prisma.rig(&Data::marked(3)).await;
    sync(&rig, 3).await;
    reader.reads_on();
    let plan = rig.operations.plan_rollback(RollbackTarget::Newest).await.unwrap();
    rig.operations.rollback(plan, NO_HOLD).await.unwrap();
    rig.assert_views(&Data::marked(2));
    reader.reads_on();
    sync(&rig, 4).await;
    reader.reads_on();
    let planned = rig.operations.plan_release_database().await.unwrap();
    let done = rig.operations.release_database().await.unwrap();
    reader.reads_on();
    assert_eq!((planned.runs, planned.publications, planned.journal_mode.as_str()), (2, 4, "delete"));
    assert_eq!((done.entities, done.indexes), (planned.entities, planned.indexes));
    // A reader has it open, so it stays as it is and that is said.
    assert_eq!(done.journal_mode, "wal");
    assert!(done.notes[0].contains("it stays in WAL mode"), "{:?}", done.notes);
    check_given_back(&rig.reader());
    for suffix in ["-run.lock", "-reserve", "-serve.lock"] {
        assert!(!rig.path.with_file_name(format!("sqlite.db{suffix}")).exists(), "{suffix}");
    }
    assert!(matches!(Database::open(&rig.path), Err(GreenError::NotAdopted { .. })));
    for generation in [5, 6] {
        old_system_syncs(&mut rig.writer(), &Data::marked(generation));
        rig.assert_views(&Data::marked(generation));
        reader.reads_on();
    }
    assert_eq!(rig.number("SELECT count(*) FROM BoardsJson"), 3);
    let again = Database::plan_adoption(&rig.path).unwrap();
    assert_eq!((again.findings.len(), again.snapshots), (0, 27), "{again:?}");
    let operator = rig.operations.operator().clone();
    let lock = Database::lock_for_adoption(&rig.path, &operator, jiff::Timestamp::UNIX_EPOCH).unwrap();
    Database::adopt(&rig.path, &lock, &operator, jiff::Timestamp::UNIX_EPOCH).unwrap();
    drop(lock);
    sync(&rig, 7).await;
    prisma::check(&rig.reader());
    reader.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn long_bodies_are_one_row_each_and_the_journal_mode_is_what_it_was() {
    let prisma = Prisma::synced();
    prisma.adopt();
    let long = Data::marked(3).padded(Endpoint::Talents, 600_000);
    let rig = prisma.rig(&long).await;
    assert_eq!(rig.start().end().await.unwrap().outcome(), RunOutcome::Published);
    sync(&rig, 4).await;
    let parts = "SELECT max(last_row - first_row) FROM sync_snapshots";
    assert!(rig.number(parts) > 1);
    rig.operations.hold("for the test".to_owned()).await.unwrap();
    let planned = rig.operations.plan_release_database().await.unwrap();
    assert_eq!((planned.dry_run, planned.joined, planned.old_snapshots), (true, 1, 0));
    assert!(planned.hold.as_ref().unwrap().contains("for the test"));
    let (path, operations) = (rig.path.clone(), rig.operations.clone());
    let done = operations.release_database().await.unwrap();
    assert_eq!((done.journal_mode.as_str(), done.notes.len()), ("delete", 0), "{done:?}");
    let connection = Connection::open(&path).unwrap();
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete");
    check_given_back(&connection);
    let bodies = query(&connection, "SELECT data FROM TalentsJson ORDER BY id");
    assert_eq!(bodies.len(), 3, "the newest three");
    let Value::Text(body) = &bodies[1][0] else { panic!() };
    let sent: serde_json::Value =
        serde_json::from_slice(&long.body(Endpoint::Talents, greenroom::blue::Envelope::Array)).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(body).unwrap(), sent);
    let files: Vec<_> =
        std::fs::read_dir(path.parent().unwrap()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["sqlite.db"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_asks_and_tells() {
    let shell = Shell::with(&Data::marked(1)).await;
    let prisma = Prisma::synced();
    prisma.adopt();
    let call = shell.call_on(&prisma.path, &["release-database", "--dry-run"]).await;
    assert_eq!(call.status, 0, "{}", call.stderr);
    let last = "would give the database back in journal mode delete; views and rows stay\n";
    assert!(call.stdout.ends_with(last), "{}", call.stdout);
    for arguments in [&["release-database"][..], &["adopt", "--undo"], &["adopt", "--undo", "--json"]] {
        let call = shell.call_on(&prisma.path, arguments).await;
        assert_eq!(call.status, 5, "{arguments:?} {}", call.stderr);
    }
    assert!(prisma.plan().adopted_at.is_some(), "nothing is done without a yes");
    let call = shell.call_on(&prisma.path, &["adopt", "--undo", "--yes", "--json"]).await;
    assert_eq!((call.status, call.json()["journalMode"].as_str()), (0, Some("delete")), "{}", call.stderr);
    check_given_back(&prisma.connection());
    let standard = shell.call(&["release-database", "--yes"]).await;
    assert_eq!(standard.status, 2, "{}", standard.stderr);
    assert!(standard.stderr.contains("was not adopted"), "{}", standard.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_nobody() {
    let prisma = Prisma::synced();
    prisma.adopt();
    let rig = prisma.rig(&Data::marked(3)).await;
    let lock = Database::open(&rig.path)
        .unwrap()
        .lock_for_cleanup(&crate::support::ben(), jiff::Timestamp::UNIX_EPOCH)
        .unwrap();
    let error = rig.operations.release_database().await.unwrap_err();
    assert!(matches!(error, OperationError::Green(GreenError::Locked { .. })), "{error}");
    drop(lock);
    assert!(rig.operations.plan_release_database().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_while_it_releases_leaves_an_adopted_database_or_one_that_is_given_back() {
    let shell = Shell::with(&Data::marked(3).padded(Endpoint::Talents, 600_000)).await;
    for (point, is_done) in [
        (Failpoint::ReleaseNamed, false),
        (Failpoint::ReleaseJoined, false),
        (Failpoint::ReleaseWritten, false),
        (Failpoint::ReleaseCommitted, true),
    ] {
        let prisma = Prisma::synced();
        prisma.adopt();
        assert_eq!(shell.call_on(&prisma.path, &["sync"]).await.status, 0);
        let reader = OrmReader::start(&prisma.path);
        let mut command: Command = shell.command_on(&prisma.path, &["release-database", "--yes"]);
        command.env(failpoint::VARIABLE, format!("{point}=abort"));
        let ended = command.output().unwrap();
        assert_eq!(ended.status.code(), None, "{point} was not reached: {ended:?}");
        assert_eq!(prisma.plan().adopted_at.is_none(), is_done, "{point}");
        reader.reads_on();
        if is_done {
            prisma.adopt();
        }
        for arguments in [&["sync", "--force"][..], &["rollback", "--yes", "--no-hold"]] {
            let call = shell.call_on(&prisma.path, arguments).await;
            assert_eq!(call.status, 0, "{point} {arguments:?} {}", call.stderr);
        }
        prisma::check(&prisma.connection());
        assert_eq!(shell.call_on(&prisma.path, &["release-database", "--yes"]).await.status, 0);
        check_given_back(&prisma.connection());
        reader.end();
    }
}
