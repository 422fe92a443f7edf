//! Giving space back.

use greenroom::{
    entity::{Endpoint, Entity},
    green::Retention,
    report::RunOutcome,
};

use crate::{
    data::Data,
    fake_blue::{Fault, When},
    support::Rig,
};

#[tokio::test(flavor = "multi_thread")]
async fn does_what_it_planned_and_nothing_twice() {
    let rig = Rig::new(&Data::small(0)).await;
    for seed in 1..=5 {
        rig.publish_data(&Data::small(seed)).await;
    }
    rig.writer()
        .execute_batch("CREATE TABLE boards_shadow_1 (id TEXT); CREATE TABLE talents_trash_1 (id TEXT);")
        .unwrap();
    let before = rig.picture();
    let frugal = rig.operations.clone().with_retention(Retention { snapshots: 1, runs: 2 });
    let plan = frugal.plan_cleanup().await.unwrap();
    assert!(plan.dry_run);
    assert_eq!(rig.picture(), before, "a plan changes nothing");
    // Of three each, two are behind the versions.
    assert_eq!(plan.snapshots.len(), 9);
    assert!(plan.snapshots.iter().all(|snapshot| !snapshot.in_use));
    assert_eq!(
        (plan.leftovers.clone(), plan.runs),
        (vec!["boards_shadow_1".to_owned(), "talents_trash_1".to_owned()], 3)
    );
    let done = frugal.cleanup().await.unwrap();
    assert!(!done.dry_run);
    assert_eq!((done.snapshots, done.leftovers, done.runs), (plan.snapshots, plan.leftovers, plan.runs));
    rig.check();
    assert_eq!(rig.picture().views, before.views);
    assert_eq!(rig.operations.history(None).await.unwrap().len(), 18);
    let runs: Vec<_> = rig.operations.runs(10).await.unwrap().into_iter().map(|run| run.id).collect();
    assert_eq!(runs, [5, 4]);
    let again = frugal.plan_cleanup().await.unwrap();
    assert!(again.snapshots.is_empty() && again.leftovers.is_empty() && again.runs == 0, "{again:?}");
    // The way back is still open, and so is the way on.
    rig.roll_back().await;
    rig.assert_views(&Data::small(4));
    rig.publish_data(&Data::small(6)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_shrinks_after_large_data_was_replaced() {
    let rig = Rig::new(&Data::large(1, 3_000, 900)).await;
    rig.publish().await;
    for seed in 2..=3 {
        rig.publish_data(&Data::small(seed)).await;
    }
    let frugal = rig.operations.clone().with_retention(Retention { snapshots: 1, runs: 200 });
    let plan = frugal.plan_cleanup().await.unwrap();
    assert!(plan.snapshots.iter().any(|snapshot| snapshot.bytes > 2_000_000));
    let done = frugal.cleanup().await.unwrap();
    rig.check();
    rig.assert_views(&Data::small(3));
    let size = std::fs::metadata(&rig.path).unwrap().len();
    assert_eq!(done.bytes_after, size, "what is told is the file's real size");
    assert!(done.bytes_before > 5_000_000 && size < 2_000_000, "{done:?}");
    assert_eq!(rig.number("PRAGMA freelist_count"), 0);
    assert_eq!(std::fs::metadata(rig.path.with_file_name("green.db-wal")).map_or(0, |log| log.len()), 0);
    assert!(rig.operations.plan_cleanup().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn never_removes_what_is_behind_a_version() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.publish_data(&Data::small(2)).await;
    // Bodies that were staged and never published push the two behind the versions out of the newest three.
    rig.blue.fault(Endpoint::Talents, When::Always, Fault::status(404));
    for seed in 3..=7 {
        rig.blue.send(&Data::small(seed));
        assert_eq!(rig.sync().await.outcome(), RunOutcome::Failed);
    }
    let greedy = rig.operations.clone().with_retention(Retention { snapshots: 0, runs: 0 });
    greedy.cleanup().await.unwrap();
    rig.check();
    for endpoint in Endpoint::ALL {
        let kept = rig.operations.history(Some(endpoint)).await.unwrap();
        let newest_too = if endpoint == Endpoint::Talents { 2 } else { 3 };
        assert_eq!(kept.len(), newest_too, "{endpoint}");
        assert_eq!(kept.iter().filter(|snapshot| snapshot.in_use).count(), 2, "{endpoint}");
    }
    let runs: Vec<_> = rig.operations.runs(10).await.unwrap().into_iter().map(|run| run.id).collect();
    assert_eq!(runs, [2, 1], "the runs behind the versions stay");
    // Nothing of what is live is forgotten with the other runs.
    rig.blue.behave();
    rig.blue.send(&Data::small(2));
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Unchanged);
    rig.roll_back().await;
    rig.assert_view(Entity::Talents, Data::small(1).rows(Entity::Talents));
}
