//! Runs of some entities, runs that publish what is healthy, and runs that stop before the publish.

use greenroom::{
    entity::{Endpoint, Entity},
    green::HoldRule,
    guard::Acceptance,
    ops::{ReplayOptions, SyncOptions},
    report::{Guard, Replay, RunOutcome, StepOutcome, Trigger},
    sync::Scope,
};

use crate::{
    data::Data,
    fake_blue::{Fault, When},
    support::Rig,
};

fn of(entities: &[Entity]) -> SyncOptions {
    SyncOptions { scope: Scope::of(entities), ..SyncOptions::full(Trigger::Cli) }
}

fn partial() -> SyncOptions {
    SyncOptions { partial: true, ..SyncOptions::full(Trigger::Cli) }
}

#[tokio::test(flavor = "multi_thread")]
async fn some_entities_are_fetched_and_published_alone() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.blue.send(&Data::small(2));
    let asked = rig.blue.requests().len();
    let ran = rig.sync_as(of(&[Entity::Boards, Entity::TalentsSocials])).await;
    assert_eq!(ran.outcome(), RunOutcome::Published, "{:?}", ran.report.run.error);
    let requests = rig.blue.requests();
    let asked: Vec<_> = requests[asked..].iter().filter_map(|request| request.endpoint).collect();
    assert_eq!(asked.len(), 2);
    assert!(asked.contains(&Endpoint::Boards) && asked.contains(&Endpoint::TalentsSocials), "{asked:?}");
    let steps: Vec<_> = ran.report.entities.iter().map(|step| step.entity).collect();
    assert_eq!(steps, [Entity::Boards, Entity::TalentsSocials]);
    assert_eq!(ran.report.run.scope.as_deref(), Some(&steps[..]));
    assert_eq!(ran.report.left_alone, [Entity::Talents, Entity::BoardsTalents, Entity::BoardsPortfolios]);
    let expected = Data::small(1).with_endpoint_of(Endpoint::Boards, &Data::small(2));
    rig.assert_views(&expected.with_endpoint_of(Endpoint::TalentsSocials, &Data::small(2)));
    rig.roll_back().await;
    rig.assert_views(&Data::small(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_entities_of_an_endpoint_can_be_meant() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.blue.send(&Data::small(2));
    let ran = rig.sync_as(of(&[Entity::MediaTagsJunction])).await;
    assert_eq!(ran.outcome(), RunOutcome::Published, "{:?}", ran.report.run.error);
    rig.assert_view(Entity::MediaTagsJunction, Data::small(2).rows(Entity::MediaTagsJunction));
    rig.assert_view(Entity::MediaTags, Data::small(1).rows(Entity::MediaTags));
    // Two snapshots of one endpoint are behind what is live, and going back to it needs both.
    let run = ran.report.run.id;
    rig.publish_data(&Data::small(3)).await;
    let replay = ReplayOptions {
        run,
        replay: Replay::Rollback,
        dry_run: false,
        accept: vec![Acceptance::All],
        expected: None,
        hold: HoldRule::Ignore,
    };
    assert_eq!(rig.replay(replay).await.unwrap().outcome(), RunOutcome::Published);
    rig.assert_view(Entity::MediaTagsJunction, Data::small(2).rows(Entity::MediaTagsJunction));
    rig.assert_view(Entity::MediaTags, Data::small(1).rows(Entity::MediaTags));
}

#[tokio::test(flavor = "multi_thread")]
async fn references_to_what_is_left_alone_are_checked() {
    let rig = Rig::new(&Data::small(1)).await;
    // On a database without anything, too: pairs without what they refer to are no site.
    let first = rig.sync_as(of(&[Entity::BoardsTalents])).await;
    assert_eq!(first.outcome(), RunOutcome::Held);
    rig.publish().await;
    rig.blue.send(&Data::small(1).only(Endpoint::Boards, 2));
    let held = rig.sync_as(of(&[Entity::Boards])).await;
    assert_eq!(held.outcome(), RunOutcome::Held);
    assert!(held.report.guards.iter().all(|finding| finding.guard == Guard::Dangling), "{:?}", held.report.guards);
    assert_eq!(held.report.guards[0].entity, Entity::BoardsTalents, "which was not fetched");
    rig.assert_views(&Data::small(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn related_entities_come_along() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.blue.send(&Data::small(2));
    let scope = Scope::of(&[Entity::BoardsTalents]).with_related();
    let ran = rig.sync_as(SyncOptions { scope, ..SyncOptions::full(Trigger::Cli) }).await;
    assert_eq!(ran.outcome(), RunOutcome::Published, "{:?}", ran.report.run.error);
    for entity in Entity::ALL {
        let fetched = [Entity::Talents, Entity::Boards, Entity::BoardsTalents].contains(&entity);
        rig.assert_view(entity, Data::small(if fetched { 2 } else { 1 }).rows(entity));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_publish_leaves_behind_what_failed() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.blue.send(&Data::small(2));
    rig.blue.fault(Endpoint::TalentsSocials, When::Always, Fault::status(404));
    let before = rig.picture();
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Failed);
    assert_eq!(rig.picture(), before, "not unless it was asked for");
    let ran = rig.sync_as(partial()).await;
    assert_eq!(ran.outcome(), RunOutcome::Published);
    assert!(
        ran.error().starts_with("talentsSocials (/api/v1/public/talents/socials): HTTP status 404"),
        "{}",
        ran.error()
    );
    assert_eq!(ran.step(Entity::TalentsSocials).outcome, Some(StepOutcome::Failed));
    assert_eq!(rig.blue.injected(Endpoint::TalentsSocials), 2);
    rig.assert_views(&Data::small(2).with_endpoint_of(Endpoint::TalentsSocials, &Data::small(1)));
    // Exactly what was published goes back.
    let back = rig.roll_back().await;
    assert_eq!(back.entities.len(), 9);
    rig.assert_views(&Data::small(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_publish_is_held_when_it_would_dangle() {
    let rig = Rig::new(&Data::small(1)).await;
    // On a first sync as well: what failed is not there to be referred to.
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::status(404));
    let first = rig.sync_as(partial()).await;
    assert_eq!(first.outcome(), RunOutcome::Held, "{:?}", first.report.guards);
    assert!(first.error().contains("HTTP status 404"), "{}", first.error());
    rig.blue.behave();
    rig.publish().await;
    rig.blue.send(&Data::small(2).only(Endpoint::Boards, 2));
    rig.blue.fault(Endpoint::BoardsTalents, When::Always, Fault::status(404));
    let held = rig.sync_as(partial()).await;
    assert_eq!(held.outcome(), RunOutcome::Held);
    rig.assert_views(&Data::small(1));
    assert!(rig.blue.injected(Endpoint::BoardsTalents) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_run_with_nothing_healthy_to_publish_failed() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.blue.fault(Endpoint::TalentsSocials, When::Always, Fault::status(404));
    let ran = rig.sync_as(partial()).await;
    assert_eq!(ran.outcome(), RunOutcome::Failed, "all the others are unchanged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_does_all_but_the_publish() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.blue.send(&Data::small(2));
    let before = rig.picture();
    let dry = || SyncOptions { dry_run: true, ..SyncOptions::full(Trigger::Cli) };
    let ran = rig.sync_as(dry()).await;
    assert_eq!(ran.outcome(), RunOutcome::Prepared);
    assert!(ran.report.run.dry_run && ran.report.run.error.is_none());
    let changed = ran.report.entities.iter().filter(|step| step.diff.is_some_and(|diff| !diff.is_empty())).count();
    assert_eq!(changed, 10, "what would change is told");
    assert_eq!(rig.picture(), before);
    // What was looked at can be made live as it is.
    rig.blue.send(&Data::small(3));
    let plan = rig.operations.plan_publish(ran.report.run.id).await.unwrap();
    let replay = ReplayOptions {
        run: ran.report.run.id,
        replay: Replay::Publish,
        dry_run: false,
        accept: Vec::new(),
        expected: Some(plan.newest),
        hold: HoldRule::Obey,
    };
    assert_eq!(rig.replay(replay).await.unwrap().outcome(), RunOutcome::Published);
    rig.assert_views(&Data::small(2));
    // The verdict of the guards is part of it.
    rig.blue.send(&Data::small(2).only(Endpoint::Boards, 1));
    let held = rig.sync_as(dry()).await;
    assert_eq!(held.outcome(), RunOutcome::Held);
    assert!(held.report.guards.iter().any(|finding| finding.guard == Guard::Shrink), "{:?}", held.report.guards);
    rig.assert_views(&Data::small(2));
}
