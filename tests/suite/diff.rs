//! Differences between any two states that can be had.

use greenroom::{
    entity::{Endpoint, Entity},
    green::{DiffSubject, GreenError, Page},
    ops::{OperationError, SyncOptions},
    report::{DiffCounts, DiffSide, RowChange, RunOutcome, Trigger},
};
use rusqlite::types::Value;
use tokio_util::sync::CancellationToken;

use crate::{data::Data, support::Rig};

/// What a diff of boards must say, from the rows that the test knows.
fn expected(before: &Data, after: &Data, entity: Entity) -> DiffCounts {
    let id = |row: &[Value]| row[0].clone();
    let (before, after) = (before.rows(entity), after.rows(entity));
    let mut counts = DiffCounts::default();
    for row in after {
        match before.iter().find(|old| id(old) == id(row)) {
            None => counts.added += 1,
            Some(old) if old != row => counts.changed += 1,
            Some(_) => {}
        }
    }
    counts.removed = before.iter().filter(|old| !after.iter().any(|row| id(row) == id(old))).count() as u64;
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_run_is_compared_with_what_is_live() {
    let (one, two) = (Data::small(1), Data::small(2).only(Endpoint::Boards, 2));
    let rig = Rig::new(&one).await;
    // Before anything is live, all of it is new.
    let first = rig.sync_as(SyncOptions { dry_run: true, ..SyncOptions::full(Trigger::Cli) }).await.report.run.id;
    let found = rig.diff(DiffSubject::Run(first), &[Entity::Boards]).await.entities.remove(0);
    assert_eq!((found.counts.unwrap().added, found.active_version), (3, 0));
    rig.publish().await;
    rig.blue.send(&two);
    let held = rig.sync().await;
    assert_eq!(held.outcome(), RunOutcome::Held);
    let before = rig.picture();
    let report = rig.diff(DiffSubject::Run(held.report.run.id), &Entity::ALL).await;
    for diff in &report.entities {
        assert_eq!(diff.counts, Some(expected(&one, &two, diff.entity)), "{}", diff.entity);
        assert_eq!(diff.counts, held.step(diff.entity).diff, "as the run itself had counted");
        assert_eq!(diff.from, DiffSide::Version(1));
        assert_eq!(diff.to, DiffSide::Snapshot(held.step(diff.entity).snapshot.unwrap()));
        assert_eq!(diff.rows.as_ref().unwrap().len() as u64, diff.counts.unwrap().all(), "{}", diff.entity);
    }
    // The counts alone are known from the run, until something else is live.
    let counted = async || {
        let (subject, all) = (DiffSubject::Run(held.report.run.id), Entity::ALL.to_vec());
        let report = rig.operations.diff(subject, all, None, CancellationToken::new()).await.unwrap();
        report.entities.into_iter().map(|diff| diff.counts.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(counted().await, report.entities.iter().map(|diff| diff.counts.unwrap()).collect::<Vec<_>>());
    let boards = report.entities.iter().find(|diff| diff.entity == Entity::Boards).unwrap();
    let removed: Vec<_> = boards.rows.iter().flatten().filter(|row| row.change == RowChange::Removed).collect();
    assert_eq!(removed.len(), 1);
    assert_eq!(removed[0].id, "b2");
    assert_eq!(rig.picture(), before, "comparing leaves nothing behind");
    rig.publish_data(&Data::small(3)).await;
    let from_three = Entity::ALL.map(|entity| expected(&Data::small(3), &two, entity));
    assert_eq!(counted().await, from_three);
    let missing = rig.operations.diff(DiffSubject::Run(99), vec![Entity::Boards], None, CancellationToken::new()).await;
    assert!(missing.unwrap_err().to_string().contains("no run 99"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_snapshots_are_compared() {
    let (one, two) = (Data::small(1), Data::small(2));
    let rig = Rig::new(&one).await;
    rig.publish().await;
    rig.publish_data(&two).await;
    let kept = rig.operations.history(Some(Endpoint::MediaTags)).await.unwrap();
    let (new, old) = (kept[0].id, kept[1].id);
    let entities = [Entity::MediaTags, Entity::MediaTagsJunction];
    for diff in rig.diff(DiffSubject::Snapshots(old, new), &entities).await.entities {
        assert_eq!(diff.counts, Some(expected(&one, &two, diff.entity)), "{}", diff.entity);
    }
    let itself = rig.diff(DiffSubject::Snapshots(new, new), &[Entity::MediaTags]).await.entities.remove(0);
    assert!(itself.counts.unwrap().is_empty());
    let other = DiffSubject::Snapshots(old, new);
    let refused = rig.operations.diff(other, vec![Entity::Boards], None, CancellationToken::new()).await.unwrap_err();
    assert!(refused.to_string().contains("no snapshot of this endpoint"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_in_pages_and_the_work_can_be_stopped() {
    let rig = Rig::new(&Data::large(1, 700, 60)).await;
    rig.publish().await;
    rig.publish_data(&Data::large(2, 700, 60)).await;
    let mut seen = Vec::new();
    for offset in [0, 300, 600] {
        let page = Some(Page { offset, limit: 300 });
        let (subject, talents) = (DiffSubject::Backup, vec![Entity::Talents]);
        let report = rig.operations.diff(subject, talents, page, CancellationToken::new()).await.unwrap();
        let rows = report.entities[0].rows.clone().unwrap();
        assert_eq!(rows.len() as u64, 300.min(700 - offset));
        seen.extend(rows.into_iter().map(|row| row.id));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 700, "each row once");
    let stop = CancellationToken::new();
    stop.cancel();
    for subject in [DiffSubject::Backup, DiffSubject::Run(1)] {
        let stopped = rig.operations.diff(subject, vec![Entity::Talents], None, stop.clone()).await.unwrap_err();
        assert!(matches!(stopped, OperationError::Green(GreenError::Stopped)), "{stopped}");
    }
}
