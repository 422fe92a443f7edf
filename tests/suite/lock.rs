//! One run at a time, and what is done about runs whose process died.

use std::sync::Arc;

use greenroom::{
    blue::SourceConfig,
    clock::Clock,
    entity::Endpoint,
    green::{Database, GreenError},
    ops::{OperationError, Operations, SyncOptions},
    report::{Operator, RunOutcome, Trigger},
    sync::RunEvent,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    data::Data,
    fake_blue::{Fault, When},
    support::Rig,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_is_refused_and_told_who_is_at_work() {
    let data = Data::small(1);
    let rig = Rig::new(&data).await;
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::Stall(20));
    let running = rig.start();
    rig.blue.until_stalled(Endpoint::Boards).await;
    let other = Operator { user: "bob".to_owned(), host: "elsewhere".to_owned(), pid: 12 };
    let database = Database::create_or_open(&rig.path).unwrap();
    let other = Operations::new(database, Some(SourceConfig::new(rig.blue.base())), other)
        .with_seams(Clock::system(), Arc::new(|| 0.0));
    let (sender, mut events) = mpsc::unbounded_channel();
    let refused = other.sync(SyncOptions::full(Trigger::Console), sender, CancellationToken::new()).await.unwrap_err();
    let OperationError::Green(GreenError::Locked { owner: Some(owner) }) = &refused else { panic!("{refused}") };
    assert_eq!((owner.run, owner.answers, owner.operator.pid), (Some(1), Some(true), 4711));
    for word in ["run 1", "ana@box", "pid 4711", "2023-11-14 22:13:20Z"] {
        assert!(refused.to_string().contains(word), "no {word} in {refused}");
    }
    assert!(events.recv().await.is_none(), "a run that did not begin has no events");
    assert!(matches!(other.cleanup().await, Err(OperationError::Green(GreenError::Locked { .. }))));
    assert_eq!(other.status().await.unwrap().running.map(|run| run.id), Some(1));
    rig.blue.release();
    assert_eq!(running.end().await.unwrap().outcome(), RunOutcome::Published);
    rig.check();
    assert_eq!(rig.blue.requests().len(), 9, "a run that is refused asks nothing of the source");
    assert_eq!(other.status().await.unwrap().running, None);
    assert_eq!(other.runs(10).await.unwrap().len(), 1, "a run that was refused is no run");
    rig.blue.behave();
    let (sender, _events) = mpsc::unbounded_channel();
    let report = other
        .sync(SyncOptions { force: true, ..SyncOptions::full(Trigger::Console) }, sender, CancellationToken::new())
        .await
        .unwrap();
    assert_eq!((report.run.id, report.run.outcome), (2, Some(RunOutcome::Published)));
    rig.check();
    rig.assert_views(&data);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_run_left_is_cleared_away_by_the_next() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.publish_data(&Data::small(2)).await;
    let before = rig.picture();
    rig.writer()
        .execute_batch(
            "INSERT INTO sync_runs (trigger_kind, source, operator_user, operator_host, operator_pid, base_publication, \
             started_at) VALUES ('cli', 'http://x/', 'eve', 'box', 9, 2, 1700000000000); \
             INSERT INTO sync_events VALUES (3, 1, 1700000000000, 0, '{}'), (3, 2, 1700000000000, 1, '{}'); \
             CREATE TABLE talents_shadow_3 (id TEXT NOT NULL PRIMARY KEY); INSERT INTO talents_shadow_3 VALUES ('x'); \
             CREATE TABLE mediatags_junction_shadow_3 (id TEXT); CREATE TABLE boards_trash_2 AS SELECT * FROM boards_v1; \
             INSERT INTO boards_json (data, createdAt, updatedAt) VALUES ('[{}]', 1, 1), ('[{}]', 1, 1); \
             INSERT INTO sync_snapshots (endpoint, run_id, complete, first_row, last_row) \
             SELECT 'boards', 3, 0, max(id) - 1, max(id) FROM boards_json;",
        )
        .unwrap();
    let status = rig.operations.status().await.unwrap();
    assert_eq!(status.running, None, "a run whose process is dead does not go on");
    assert_eq!(rig.operations.history(Some(Endpoint::Boards)).await.unwrap().len(), 2, "half a body is no snapshot");
    let ran = rig.sync().await;
    assert_eq!(ran.outcome(), RunOutcome::Unchanged);
    assert_eq!(ran.events[1].event, RunEvent::FoundInterrupted { runs: vec![3] });
    let dead = rig.operations.run(3).await.unwrap().run;
    assert_eq!((dead.outcome, dead.publication), (Some(RunOutcome::Interrupted), None));
    assert!(dead.error.unwrap().contains("nothing was switched"));
    assert_eq!(rig.picture(), before);
    let again = rig.sync().await;
    assert!(!again.events.iter().any(|record| matches!(record.event, RunEvent::FoundInterrupted { .. })));
}
