//! The limits of the machine: a disk that refuses, a database that others lock or read for long, a clock that jumps.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use greenroom::{
    clock::Clock,
    entity::Endpoint,
    green::{Database, GreenError, Patience},
    ops::{OperationError, Operations, SyncOptions},
    report::{RollbackTarget, RunOutcome, SyncReport, Trigger},
};
use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    data::Data,
    fake_blue::{Fault, When},
    support::{NO_HOLD, Rig, ben, impatient, in_time},
};

/// Waiting for somebody else's lock must not take the time of a test.
const SHORT: Patience = Patience { operator: Duration::from_millis(100), run: Duration::from_millis(100) };

fn operations(rig: &Rig, clock: Clock) -> Operations {
    let database = Database::open(&rig.path).unwrap().with_patience(SHORT);
    Operations::new(database, Some(impatient(&rig.blue)), ben()).with_seams(clock, Arc::new(|| 0.5))
}

async fn sync(operations: &Operations) -> Result<SyncReport, OperationError> {
    let (sender, _events) = mpsc::unbounded_channel();
    let options = SyncOptions { accept: vec![greenroom::guard::Acceptance::All], ..SyncOptions::full(Trigger::Cli) };
    operations.sync(options, sender, CancellationToken::new()).await
}

/// The program with files that cannot grow beyond `blocks` of 512 bytes, as on a disk that refuses to write.
async fn limited(rig: &Rig, blocks: u64, arguments: &'static [&'static str]) -> (Option<i32>, String) {
    let path = rig.path.clone();
    let source = rig.blue.base().to_string();
    let run = tokio::task::spawn_blocking(move || {
        // Without the signal the write fails with EFBIG, which SQLite takes for a failing disk.
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let output = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_greenroom")])
            .args(arguments)
            .env_clear()
            .env("DATABASE_URL", path)
            .env("SOURCE_API_URL", source)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    });
    in_time("a program that cannot write", run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_refuses_changes_nothing() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.publish_data(&Data::small(2)).await;
    let before = rig.picture();
    // What is set aside is there already, and what is sent is larger.
    let boards = (0..60_000)
        .map(|number| serde_json::json!({"id": format!("b{number}"), "title": "T".repeat(100), "description": null}));
    rig.blue.send(&Data::small(3).with(Endpoint::Boards, boards.collect()));
    let blocks = (8 * 1024 * 1024 + 300 * 1024) / 512;
    let (status, error) = limited(&rig, blocks, &["sync", "--accept", "all"]).await;
    assert_eq!(status, Some(1), "{error}");
    assert!(error.contains("the disk failed while"), "{error}");
    assert!(error.contains("which was taken back"), "{error}");
    let after = rig.picture();
    assert_eq!((after.views, after.metadata), (before.views, before.metadata));
    rig.publish_data(&Data::small(4)).await;
    rig.assert_views(&Data::small(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_another_program_locks_is_told_and_left_alone() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.publish_data(&Data::small(2)).await;
    rig.blue.send(&Data::small(3));
    let before = rig.picture();
    let operations = operations(&rig, Clock::system());
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::StallHead);
    let running = operations.clone();
    let running = tokio::spawn(async move { sync(&running).await });
    rig.blue.until_stalled(Endpoint::Boards).await;
    let locker = rig.writer();
    locker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let plan = operations.plan_rollback(RollbackTarget::Newest).await.unwrap();
    for refused in [
        operations.rollback(plan, NO_HOLD).await.map(drop),
        operations.hold("x".to_owned()).await.map(drop),
        operations.release(None).await.map(drop),
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, OperationError::Green(GreenError::Busy { .. })), "{error}");
        assert!(error.to_string().contains("find the writer that holds it and try again"), "{error}");
    }
    assert_eq!(operations.status().await.unwrap().entities.len(), 10, "what only reads is not held up");
    rig.blue.release();
    // The run's end cannot be written down before the lock is gone.
    let report = in_time("the end of the run", running).await.unwrap().unwrap();
    assert_eq!(report.run.outcome, Some(RunOutcome::Failed));
    assert!(report.run.error.unwrap().contains("locked by another program"));
    let refused = sync(&operations).await.unwrap_err();
    assert!(matches!(refused, OperationError::Green(GreenError::Busy { .. })), "{refused}");
    locker.execute_batch("COMMIT").unwrap();
    assert_eq!(rig.picture().views, before.views);
    rig.blue.behave();
    assert_eq!(sync(&operations).await.unwrap().run.outcome, Some(RunOutcome::Published));
    rig.check();
    rig.assert_views(&Data::small(3));
}

/// What `a_reader_that_stays_is_named` starts: it reads the database of the variable until its input ends.
#[test]
#[ignore = "the other half of a test"]
fn stay_in_a_read_transaction() {
    let Ok(path) = std::env::var("GREENROOM_TEST_DATABASE") else { return };
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("BEGIN; SELECT count(*) FROM boards_current;").unwrap();
    println!("reading");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stays_is_named() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "limits::stay_in_a_read_transaction", "--ignored", "--nocapture"])
        .env("GREENROOM_TEST_DATABASE", &rig.path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().any(|line| line.unwrap().contains("reading")));
    let large = "x".repeat(1_000_000);
    let talents = (0..30)
        .map(|number| serde_json::json!({"id": format!("t{number}"), "firstName": "A", "lastName": "B", "bio": large}));
    rig.blue.send(&Data::small(1).with(Endpoint::Talents, talents.collect()));
    rig.publish().await;
    let database = rig.operations.status().await.unwrap().database;
    assert!(database.wal_bytes > 16 * 1024 * 1024, "{database:?}");
    if cfg!(target_os = "linux") {
        let pids: Vec<u32> = database.wal_readers.iter().map(|reader| reader.pid).collect();
        assert_eq!(pids, [child.id()]);
        assert!(database.wal_readers[0].name.is_some());
    }
    drop(child.stdin.take());
    lines.for_each(drop);
    child.wait().unwrap();
    rig.publish_data(&Data::small(2)).await;
    let database = rig.operations.status().await.unwrap().database;
    assert_eq!((database.wal_bytes, database.wal_readers), (0, Vec::new()), "once it is gone the log is emptied");
}

#[tokio::test(flavor = "multi_thread")]
async fn order_never_depends_on_the_clock() {
    let rig = Rig::new(&Data::small(1)).await;
    // Years back and forth at every look.
    let looks = AtomicI64::new(0);
    let clock = Clock::from_fn(move || {
        let look = looks.fetch_add(1, Ordering::Relaxed);
        let years = [0, -20, 30, -1, 5][usize::try_from(look % 5).unwrap()];
        Timestamp::from_millisecond(1_700_000_000_000 + years * 31_557_600_000 - look).unwrap()
    });
    let operations = operations(&rig, clock);
    for generation in 1..=5 {
        rig.blue.send(&Data::small(generation));
        let report = sync(&operations).await.unwrap();
        assert_eq!(report.run.outcome, Some(RunOutcome::Published));
        assert!(report.run.duration_ms.unwrap() >= 0);
        rig.assert_views(&Data::small(generation));
    }
    let ids: Vec<_> = operations.runs(10).await.unwrap().iter().map(|run| run.id).collect();
    assert_eq!(ids, [5, 4, 3, 2, 1]);
    let status = operations.status().await.unwrap();
    assert_eq!((status.last_run.unwrap().id, status.publication.unwrap().id), (5, 5));
    let plan = operations.plan_rollback(RollbackTarget::Newest).await.unwrap();
    assert_eq!(plan.publication.as_ref().unwrap().id, 5);
    operations.rollback(plan, NO_HOLD).await.unwrap();
    rig.assert_views(&Data::small(4));
    let kept = operations.history(Some(Endpoint::Talents)).await.unwrap();
    let ids: Vec<_> = kept.iter().map(|snapshot| snapshot.id).collect();
    assert!(ids.len() == 3 && ids.is_sorted_by(|a, b| a > b), "the newest three by number: {ids:?}");
    operations.cleanup().await.unwrap();
    rig.assert_views(&Data::small(4));
    rig.check();
}
