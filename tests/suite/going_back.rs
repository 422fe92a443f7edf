//! The hold, and the ways back beyond the newest publication.

use greenroom::{
    entity::{Endpoint, Entity},
    green::{GreenError, HoldRule, RollbackOptions},
    ops::{OperationError, ReplayOptions, SyncOptions},
    report::{
        HoldEffect, HoldReport, PublicationKind, Replay, RollbackReport, RollbackTarget, RunId, RunOutcome, Trigger,
    },
    sync::Scope,
};

use crate::{
    data::Data,
    fake_blue::{Fault, When},
    support::{NO_HOLD, Rig},
};

const HOLD: RollbackOptions = RollbackOptions { set_hold: true, reason: None };

async fn roll_back(rig: &Rig, target: RollbackTarget, options: RollbackOptions) -> RollbackReport {
    let plan = rig.operations.plan_rollback(target).await.unwrap();
    let report = rig.operations.rollback(plan, options).await.unwrap();
    rig.check();
    report
}

fn to_run(run: RunId) -> ReplayOptions {
    let hold = HoldRule::Set(format!("went back to run {run}"));
    ReplayOptions { run, replay: Replay::Rollback, dry_run: false, accept: Vec::new(), expected: None, hold }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_the_hold_runs_prepare_and_end_held() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    let set = rig.operations.hold("the source is being mended".to_owned()).await.unwrap();
    assert!(set.changed);
    let again = rig.operations.hold("another reason".to_owned()).await.unwrap();
    assert!(!again.changed);
    assert_eq!(again.hold.unwrap().reason, "the source is being mended", "the first one stays");
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Unchanged, "nothing to hold back");
    rig.blue.send(&Data::small(2));
    let before = rig.picture();
    let held = rig.sync().await;
    assert_eq!(held.outcome(), RunOutcome::Held);
    assert_eq!(held.report.hold, rig.operations.status().await.unwrap().hold);
    assert!(held.error().contains("the source is being mended"), "{}", held.error());
    assert!(held.report.guards.is_empty());
    assert_eq!(rig.picture(), before);
    // Only the hold that the operator was shown is released.
    let shown = rig.operations.status().await.unwrap().hold.unwrap();
    let other = HoldReport { reason: "something else".to_owned(), ..shown.clone() };
    let refused = rig.operations.release(Some(other)).await.unwrap_err();
    assert!(refused.to_string().contains("another one by now: held by ana@box: the source is"), "{refused}");
    let released = rig.operations.release(Some(shown)).await.unwrap();
    assert_eq!(released.released.unwrap().operator.user, "ana");
    assert!(!rig.operations.release(None).await.unwrap().changed);
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Published);
    rig.assert_views(&Data::small(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_may_release_the_hold_and_only_a_publish_does() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.operations.hold("wait".to_owned()).await.unwrap();
    let releasing = async || {
        let shown = rig.operations.status().await.unwrap().hold.unwrap();
        SyncOptions { hold: HoldRule::Release(Box::new(shown)), ..SyncOptions::full(Trigger::Cli) }
    };
    rig.blue.send(&Data::small(2).only(Endpoint::Boards, 1));
    assert_eq!(rig.sync_as(releasing().await).await.outcome(), RunOutcome::Held, "by a guard");
    assert!(rig.operations.status().await.unwrap().hold.is_some());
    rig.blue.send(&Data::small(2));
    assert_eq!(rig.sync_as(releasing().await).await.outcome(), RunOutcome::Published);
    assert!(rig.operations.status().await.unwrap().hold.is_none());
    // Where there is nothing to publish the operator's word still counts.
    rig.operations.hold("wait".to_owned()).await.unwrap();
    assert_eq!(rig.sync_as(releasing().await).await.outcome(), RunOutcome::Unchanged);
    assert!(rig.operations.status().await.unwrap().hold.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_sets_the_hold_and_its_undoing_releases_it() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.publish_data(&Data::small(2)).await;
    let back = roll_back(&rig, RollbackTarget::Newest, HOLD).await;
    assert_eq!(back.hold_effect, HoldEffect::Set);
    let hold = rig.operations.status().await.unwrap().hold.unwrap();
    assert_eq!((hold.publication, hold.reason.as_str()), (Some(3), "publication 2 was taken back"));
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Held, "the bad data does not come back by itself");
    rig.assert_views(&Data::small(1));
    let forward = roll_back(&rig, RollbackTarget::Newest, HOLD).await;
    assert_eq!((forward.hold_effect, forward.hold), (HoldEffect::Released, None));
    rig.assert_views(&Data::small(2));
    // A hold that somebody set by hand stays through both.
    rig.operations.hold("by hand".to_owned()).await.unwrap();
    assert_eq!(roll_back(&rig, RollbackTarget::Newest, HOLD).await.hold_effect, HoldEffect::Kept);
    assert_eq!(roll_back(&rig, RollbackTarget::Newest, HOLD).await.hold.unwrap().reason, "by hand");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_sets_the_hold_whenever_it_leads_back() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.publish_data(&Data::small(2)).await;
    for turn in 0..2 {
        let back = roll_back(&rig, RollbackTarget::Newest, HOLD).await;
        assert_eq!(back.hold_effect, HoldEffect::Set, "turn {turn}");
        assert_eq!(rig.sync().await.outcome(), RunOutcome::Held, "turn {turn}");
        rig.assert_views(&Data::small(1));
        let plan = rig.operations.plan_rollback(RollbackTarget::Newest).await.unwrap();
        assert!(plan.leads_forward);
        assert_eq!(roll_back(&rig, RollbackTarget::Newest, HOLD).await.hold_effect, HoldEffect::Released);
        rig.assert_views(&Data::small(2));
    }
    assert!(!rig.operations.plan_rollback(RollbackTarget::Newest).await.unwrap().leads_forward);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_set_by_hand_takes_the_place_of_one_that_a_rollback_set() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.publish_data(&Data::small(2)).await;
    roll_back(&rig, RollbackTarget::Newest, HOLD).await;
    let by_hand = rig.operations.hold("until Monday".to_owned()).await.unwrap();
    assert!(by_hand.changed && by_hand.released.is_some());
    let forward = roll_back(&rig, RollbackTarget::Newest, HOLD).await;
    assert_eq!((forward.hold_effect, forward.hold.unwrap().reason.as_str()), (HoldEffect::Kept, "until Monday"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_releases_only_the_hold_that_was_shown() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    let shown = rig.operations.hold("one".to_owned()).await.unwrap().hold.unwrap();
    rig.operations.release(None).await.unwrap();
    rig.operations.hold("another".to_owned()).await.unwrap();
    let options =
        || SyncOptions { hold: HoldRule::Release(Box::new(shown.clone())), ..SyncOptions::full(Trigger::Cli) };
    let unchanged = rig.sync_as(options()).await;
    assert_eq!(unchanged.outcome(), RunOutcome::Held, "also where there is nothing to publish");
    rig.blue.send(&Data::small(2));
    let held = rig.sync_as(options()).await;
    assert_eq!(held.outcome(), RunOutcome::Held);
    assert!(held.error().contains("held by ana@box: another"), "{}", held.error());
    assert_eq!(rig.operations.status().await.unwrap().hold.unwrap().reason, "another");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_go_back_alone_is_named_where_not_all_can() {
    let rig = Rig::new(&Data::small(1)).await;
    let scope = Scope::of(&[Entity::Talents]);
    rig.sync_as(SyncOptions { scope, ..SyncOptions::full(Trigger::Cli) }).await;
    rig.publish_data(&Data::small(2)).await;
    let refused = rig.operations.plan_rollback(RollbackTarget::Newest).await.unwrap_err();
    assert!(refused.to_string().contains("`greenroom rollback talents`"), "{refused}");
    roll_back(&rig, RollbackTarget::Entities(vec![Entity::Talents]), NO_HOLD).await;
    rig.assert_view(Entity::Talents, Data::small(1).rows(Entity::Talents));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_meets_a_rollback_finds_the_hold() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.publish_data(&Data::small(2)).await;
    rig.blue.send(&Data::small(3));
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::Stall(20));
    let running = rig.start();
    rig.blue.until_stalled(Endpoint::Boards).await;
    let plan = rig.operations.plan_rollback(RollbackTarget::Newest).await.unwrap();
    rig.operations.rollback(plan, HOLD).await.unwrap();
    rig.blue.release();
    let ran = running.end().await.unwrap();
    rig.check();
    assert_eq!(ran.outcome(), RunOutcome::Held);
    assert!(ran.error().contains("publication 2 was taken back"), "{}", ran.error());
    rig.assert_views(&Data::small(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_is_taken_back_while_its_entities_were_not_switched_since() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    let boards = Data::small(1).with_endpoint_of(Endpoint::Boards, &Data::small(2));
    rig.publish_data(&boards).await;
    let both = boards.clone().with_endpoint_of(Endpoint::MediaTags, &Data::small(2));
    rig.publish_data(&both).await;
    // Publication 2 switched boards, publication 3 the tags: both can be taken back, in any order.
    let plan = rig.operations.plan_rollback(RollbackTarget::Publication(2)).await.unwrap();
    assert_eq!((plan.publication.as_ref().unwrap().id, plan.newest), (2, 3));
    let related: Vec<_> = plan.crossing.iter().map(|crossing| (crossing.entity, crossing.target)).collect();
    assert_eq!(related, [(Entity::BoardsTalents, Entity::Boards), (Entity::BoardsPortfolios, Entity::Boards)]);
    let back = roll_back(&rig, RollbackTarget::Publication(2), NO_HOLD).await;
    assert_eq!(back.publication.undoes, Some(2));
    rig.assert_views(&Data::small(1).with_endpoint_of(Endpoint::MediaTags, &Data::small(2)));
    // It cannot be taken back twice: its entity was switched by that rollback.
    let refused = rig.operations.plan_rollback(RollbackTarget::Publication(2)).await.unwrap_err();
    let OperationError::Green(GreenError::SwitchedSince { publication: 2, entity: "boards", since: 4 }) = refused
    else {
        panic!("{refused}")
    };
    let missing = rig.operations.plan_rollback(RollbackTarget::Publication(99)).await.unwrap_err();
    assert!(missing.to_string().contains("no publication 99"), "{missing}");
    roll_back(&rig, RollbackTarget::Publication(4), NO_HOLD).await;
    rig.assert_views(&both);
}

#[tokio::test(flavor = "multi_thread")]
async fn named_entities_go_back_alone_and_the_relations_across_are_told() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    let fewer = Data::small(1).only(Endpoint::Boards, 1).with_endpoint_of(Endpoint::BoardsTalents, &Data::small(0));
    rig.publish_data(&fewer).await;
    let target = RollbackTarget::Entities(vec![Entity::Boards, Entity::Boards]);
    let plan = rig.operations.plan_rollback(target.clone()).await.unwrap();
    assert_eq!(plan.entities.len(), 1);
    let pairs = plan.crossing.iter().find(|crossing| crossing.entity == Entity::BoardsTalents).unwrap();
    // Boards b1 and b2 are gone, and pairs that name them dangle until they are back.
    assert!(pairs.dangling_before > 0 && pairs.dangling_after == 0, "{pairs:?}");
    assert_eq!((pairs.column.as_str(), pairs.target), ("boardId", Entity::Boards));
    let back = roll_back(&rig, target, HOLD).await;
    assert_eq!((back.publication.undoes, back.publication.kind), (None, PublicationKind::Rollback));
    assert_eq!(back.crossing, plan.crossing);
    assert_eq!(back.hold.unwrap().reason, "rolled back: boards");
    rig.assert_view(Entity::Boards, Data::small(1).rows(Entity::Boards));
    rig.assert_view(Entity::BoardsTalents, Data::small(0).rows(Entity::BoardsTalents));
    let refused = rig.operations.plan_rollback(RollbackTarget::Entities(vec![Entity::Talents])).await.unwrap_err();
    assert!(refused.to_string().contains("first one of talents"), "{refused}");
    // Taking the rollback of boards back leads forward again, and releases the hold that it set.
    let forward = roll_back(&rig, RollbackTarget::Newest, HOLD).await;
    assert_eq!((forward.hold_effect, forward.hold), (HoldEffect::Released, None));
    rig.assert_view(Entity::Boards, fewer.rows(Entity::Boards));
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_back_to_an_older_run_from_its_snapshots() {
    let rig = Rig::new(&Data::small(1)).await;
    let mut runs = Vec::new();
    for seed in [1, 2, 3] {
        runs.push(rig.publish_data(&Data::small(seed)).await.report.run.id);
    }
    let asked = rig.blue.requests().len();
    let dry = rig.replay(ReplayOptions { dry_run: true, ..to_run(runs[0]) }).await.unwrap();
    assert_eq!(dry.outcome(), RunOutcome::Prepared);
    rig.assert_views(&Data::small(3));
    assert!(rig.operations.status().await.unwrap().hold.is_none(), "a dry run sets no hold");
    let back = rig.replay(to_run(runs[0])).await.unwrap();
    assert_eq!(back.outcome(), RunOutcome::Published, "{:?}", back.report.run.error);
    rig.assert_views(&Data::small(1));
    assert_eq!(rig.blue.requests().len(), asked, "without the source");
    let status = rig.operations.status().await.unwrap();
    let publication = status.publication.unwrap();
    assert_eq!((publication.kind, publication.replay_of), (PublicationKind::Rollback, Some(runs[0])));
    assert_eq!(status.hold.unwrap().publication, Some(publication.id));
    // The same again finds nothing to do, and the next sync is held.
    assert_eq!(rig.replay(to_run(runs[0])).await.unwrap().outcome(), RunOutcome::Unchanged);
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Held);
    // It can be undone like any rollback, which releases the hold that it set.
    let forward = roll_back(&rig, RollbackTarget::Newest, HOLD).await;
    assert_eq!(forward.hold_effect, HoldEffect::Released);
    rig.assert_views(&Data::small(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_meets_the_same_guards_and_says_what_is_still_possible() {
    let rig = Rig::new(&Data::small(1).only(Endpoint::Boards, 1)).await;
    let mut runs = vec![rig.publish().await.report.run.id];
    for seed in [2, 3] {
        runs.push(rig.publish_data(&Data::small(seed)).await.report.run.id);
    }
    let held = rig.replay(to_run(runs[0])).await.unwrap();
    assert_eq!(held.outcome(), RunOutcome::Held, "two of three boards would go");
    rig.assert_views(&Data::small(3));
    let accepted = ReplayOptions { accept: vec!["all".parse().unwrap()], ..to_run(runs[0]) };
    assert_eq!(rig.replay(accepted).await.unwrap().outcome(), RunOutcome::Published);
    rig.operations.release(None).await.unwrap();
    for seed in 4..8 {
        runs.push(rig.publish_data(&Data::small(seed)).await.report.run.id);
    }
    let refused = rig.replay(to_run(runs[1])).await.unwrap_err();
    let OperationError::Green(GreenError::NotReplayable { possible, .. }) = &refused else { panic!("{refused}") };
    assert_eq!(possible, &runs[4..].iter().rev().copied().collect::<Vec<_>>(), "{refused}");
    assert!(refused.to_string().contains("is not kept any more; it can be done with run"), "{refused}");
    assert_eq!(rig.replay(to_run(runs[4])).await.unwrap().outcome(), RunOutcome::Published);
    rig.assert_views(&Data::small(5));
    let failed = rig.replay(to_run(held.report.run.id)).await.unwrap_err();
    assert!(failed.to_string().contains("nothing of it was live"), "{failed}");
}
