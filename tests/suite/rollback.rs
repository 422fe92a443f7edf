//! Taking publications back, and forward again.

use greenroom::{
    entity::{Endpoint, Entity},
    green::GreenError,
    ops::OperationError,
    report::{HoldEffect, PublicationKind, RollbackPlan, RollbackTarget, RunOutcome},
};

use crate::{
    data::Data,
    fake_blue::{Fault, When},
    support::{NO_HOLD, Rig},
};

#[tokio::test(flavor = "multi_thread")]
async fn goes_back_exactly_and_forward_again() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    let first = rig.picture();
    let second = rig.publish_data(&Data::small(2)).await;
    let after = rig.picture();
    let plan = rig.operations.plan_rollback(RollbackTarget::Newest).await.unwrap();
    let planned = plan.publication.unwrap();
    assert_eq!(planned.run, Some(second.report.run.id));
    let back = rig.roll_back().await;
    assert_eq!(rig.picture().views, first.views);
    rig.assert_views(&Data::small(1));
    rig.assert_versions((1, 2));
    assert_eq!(back.entities, plan.entities, "what was planned is what was done");
    assert_eq!((back.publication.kind, back.publication.undoes), (PublicationKind::Rollback, Some(planned.id)));
    for switch in &back.entities {
        let step = second.step(switch.entity);
        assert_eq!((switch.rows_before, switch.rows_after), (step.rows, step.rows_before), "{}", switch.entity);
        let (there, back) = (step.diff.unwrap(), switch.diff.unwrap());
        assert_eq!((there.added, there.removed, there.changed), (back.removed, back.added, back.changed));
    }
    let status = rig.operations.status().await.unwrap();
    assert!(status.entities.iter().all(|entity| entity.run_id == Some(1)), "the live rows are those of run 1 again");
    let forward = rig.roll_back().await;
    assert_eq!(forward.publication.undoes, Some(back.publication.id));
    assert_eq!(rig.picture().views, after.views);
    rig.assert_versions((2, 1));
    // The source still sends what is live, so there is nothing to do; taken back, there is.
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Unchanged);
    rig.roll_back().await;
    rig.publish().await;
    rig.assert_views(&Data::small(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_goes_back_itself_after_a_rollback_is_unchanged() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.publish_data(&Data::small(2)).await;
    rig.roll_back().await;
    rig.blue.send(&Data::small(1));
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Unchanged);
    rig.assert_versions((1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn switches_exactly_the_entities_of_the_publication() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.publish_data(&Data::small(2)).await;
    let before = rig.picture();
    let only = Data::small(2).with_endpoint_of(Endpoint::MediaTags, &Data::small(3));
    rig.publish_data(&only).await;
    let back = rig.roll_back().await;
    let switched: Vec<_> = back.entities.iter().map(|switch| switch.entity).collect();
    assert_eq!(switched, [Entity::MediaTags, Entity::MediaTagsJunction]);
    assert_eq!(rig.picture().views, before.views, "the others stay at 2, and do not go back to 1");
    rig.assert_versions((2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_publication_and_none_at_all_cannot_be_taken_back() {
    let rig = Rig::new(&Data::small(1)).await;
    let refused = rig.operations.plan_rollback(RollbackTarget::Newest).await.unwrap_err();
    assert!(matches!(refused, OperationError::Green(GreenError::NothingToRollBack { .. })), "{refused}");
    let publication = rig.publish().await.report.run.publication.unwrap();
    let before = rig.picture();
    let unplanned = RollbackPlan {
        target: RollbackTarget::Newest,
        publication: None,
        newest: publication,
        entities: Vec::new(),
        backup_published_at: None,
        crossing: Vec::new(),
        hold: HoldEffect::Kept,
        leads_forward: false,
    };
    for refused in [
        rig.operations.plan_rollback(RollbackTarget::Newest).await.unwrap_err(),
        rig.operations.rollback(unplanned, NO_HOLD).await.unwrap_err(),
    ] {
        assert!(matches!(refused, OperationError::Green(GreenError::NothingToRollBack { .. })), "{refused}");
    }
    assert_eq!(rig.picture(), before);
    rig.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_plan_is_refused() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.publish_data(&Data::small(2)).await;
    let plan = rig.operations.plan_rollback(RollbackTarget::Newest).await.unwrap();
    rig.publish_data(&Data::small(3)).await;
    let before = rig.picture();
    let planned = plan.newest;
    let refused = rig.operations.rollback(plan, NO_HOLD).await.unwrap_err();
    let OperationError::Green(GreenError::Moved { newest, expected }) = refused else { panic!("{refused}") };
    assert_eq!((newest, expected), (Some(planned + 1), Some(planned)));
    assert_eq!(rig.picture(), before);
    // Two operators with the same plan: the second does not bring back what the first took away.
    let plan = rig.operations.plan_rollback(RollbackTarget::Newest).await.unwrap();
    let (one, other) =
        tokio::join!(rig.operations.rollback(plan.clone(), NO_HOLD), rig.operations.rollback(plan, NO_HOLD));
    assert_eq!([&one, &other].iter().filter(|result| result.is_ok()).count(), 1, "{one:?} {other:?}");
    rig.assert_views(&Data::small(2));
    rig.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_overtaken_by_a_rollback_does_not_publish() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.publish_data(&Data::small(2)).await;
    rig.blue.send(&Data::small(3));
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::Stall(20));
    let running = rig.start();
    rig.blue.until_stalled(Endpoint::Boards).await;
    let plan = rig.operations.plan_rollback(RollbackTarget::Newest).await.unwrap();
    let planned = plan.newest;
    let back = rig.operations.rollback(plan, NO_HOLD).await.unwrap();
    let after = rig.picture().views;
    rig.assert_views(&Data::small(1));
    rig.blue.release();
    let ran = running.end().await.unwrap();
    rig.check();
    assert_eq!(ran.outcome(), RunOutcome::Failed);
    let told = format!("publication {} is the newest, not {}", back.publication.id, planned);
    assert!(ran.error().contains(&told), "{}", ran.error());
    assert_eq!(rig.picture().views, after);
    rig.blue.behave();
    rig.publish().await;
    rig.assert_views(&Data::small(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn does_not_go_by_records_when_views_say_otherwise() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.publish_data(&Data::small(2)).await;
    rig.writer()
        .execute_batch("DROP VIEW boards_current; CREATE VIEW boards_current AS SELECT * FROM \"boards_v1\";")
        .unwrap();
    let before = rig.picture();
    let refused = rig.operations.plan_rollback(RollbackTarget::Newest).await.unwrap_err();
    assert!(matches!(refused, OperationError::Green(GreenError::Inconsistent { entity: "boards", .. })), "{refused}");
    assert_eq!(rig.picture(), before);
    // The next publish leaves alone what visitors see until it switches, and puts things right, also when the source
    // sends what sync_metadata calls live.
    rig.publish().await;
    rig.assert_views(&Data::small(2));
    rig.publish_data(&Data::small(3)).await;
    rig.assert_views(&Data::small(3));
    assert_eq!((rig.versions(Entity::Boards), rig.versions(Entity::Talents)), ((1, 2), (1, 2)));
}
