//! Bad data is stopped before it is live, and published only when an operator accepts what was found.

use greenroom::{
    entity::{Endpoint, Entity},
    green::{GreenError, HoldRule},
    guard::GuardLimits,
    ops::{OperationError, ReplayOptions, SyncOptions},
    report::{Guard, Replay, RunId, RunOutcome, StepOutcome, Trigger},
    sync::RunEvent,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    data::Data,
    support::{Ran, Rig},
};

fn found(ran: &Ran) -> Vec<(Guard, Entity)> {
    ran.report.guards.iter().map(|finding| (finding.guard, finding.entity)).collect()
}

fn accepting(accept: &[&str]) -> SyncOptions {
    let accept = accept.iter().map(|name| name.parse().unwrap()).collect();
    SyncOptions { accept, ..SyncOptions::full(Trigger::Cli) }
}

fn publishing(run: RunId, accept: &[&str]) -> ReplayOptions {
    let accept = accept.iter().map(|name| name.parse().unwrap()).collect();
    let (replay, hold) = (Replay::Publish, HoldRule::Obey);
    ReplayOptions { run, replay, dry_run: false, accept, expected: None, hold }
}

/// Boards with one record more and so many broken ones.
fn broken_boards(good: usize, broken: usize) -> Data {
    let mut list: Vec<_> = (0..good).map(|place| json!({"id": format!("b{place}"), "title": "T"})).collect();
    list.extend((0..broken).map(|place| json!({"id": format!("broken{place}")})));
    Data::small(1).with(Endpoint::Boards, list)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_entity_is_held_and_published_when_accepted() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    let before = rig.picture();
    let emptied = Data::small(1).only(Endpoint::TalentsSocials, 0);
    rig.blue.send(&emptied.clone().with(Endpoint::TalentsSocials, Vec::new()));
    let held = rig.sync().await;
    assert_eq!(held.outcome(), RunOutcome::Held);
    assert_eq!(found(&held), [(Guard::Empty, Entity::TalentsSocials)]);
    assert!(held.error().contains("talentssocials: had 3 rows and would have none"), "{}", held.error());
    assert_eq!(held.step(Entity::TalentsSocials).outcome, Some(StepOutcome::Ready));
    assert_eq!(rig.picture(), before, "nothing that visitors see was touched");
    let run = held.report.run.id;
    // The journal and the status know of it, too.
    assert_eq!(rig.operations.run(run).await.unwrap().guards, held.report.guards);
    assert_eq!(rig.operations.status().await.unwrap().held_run.unwrap().id, run);
    // The next run finds the same; it is not worn down by repetition.
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Held);
    let asked = rig.blue.asked(Endpoint::Talents);
    let refused = rig.replay(publishing(run, &["shrink", "boards.empty"])).await.unwrap();
    assert_eq!(refused.outcome(), RunOutcome::Held, "something else was accepted");
    assert_eq!(rig.picture(), before);
    let plan = rig.operations.plan_publish(run).await.unwrap();
    assert!(!plan.outdated);
    assert_eq!(plan.guards, held.report.guards);
    let published = rig.replay(publishing(run, &["empty"])).await.unwrap();
    assert_eq!(published.outcome(), RunOutcome::Published);
    assert_eq!((published.report.run.trigger, published.report.run.replay_of), (Trigger::Replay, Some(run)));
    assert_eq!(rig.blue.asked(Endpoint::Talents), asked, "the source was not asked again");
    rig.assert_view(Entity::TalentsSocials, &[]);
    let publication = rig.operations.status().await.unwrap().publication.unwrap();
    assert_eq!((publication.replay_of, publication.operator.user.as_str()), (Some(run), "ana"));
    assert_eq!(publication.accepted.len(), 1, "what was accepted is in the publication");
    assert!(publication.accepted[0].accepted);
    assert_eq!(rig.operations.run(run).await.unwrap().run.outcome, Some(RunOutcome::Held), "it stays what it was");
    // What is live now came of that very body.
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Unchanged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shrunk_entity_is_held_unless_accepted_in_advance_or_allowed() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    let before = rig.picture();
    let marked = Data::marked(1);
    rig.publish_data(&marked).await;
    rig.blue.send(&marked.clone().only(Endpoint::Talents, 2));
    let held = rig.sync().await;
    assert!(found(&held).contains(&(Guard::Shrink, Entity::Talents)), "{:?}", found(&held));
    let finding = &held.report.guards[0];
    assert!((finding.limit - 0.5).abs() < 1e-9 && (finding.value - 4.0 / 6.0).abs() < 1e-9, "{finding:?}");
    let tripped = held.events.iter().filter(|record| matches!(record.event, RunEvent::Tripped { .. }));
    assert_eq!(tripped.count(), held.report.guards.len(), "each is an event");
    assert_ne!(rig.picture().views, before.views);
    let published = rig.sync_as(accepting(&["talents.shrink", "dangling"])).await;
    assert_eq!(published.outcome(), RunOutcome::Published);
    assert!(published.report.guards.iter().all(|finding| finding.accepted));
    // A limit that allows it needs no acceptance.
    rig.publish_data(&marked).await;
    let settings = ["talents.shrink=0.9".parse().unwrap(), "dangling=off".parse().unwrap()];
    let lenient = rig.operations.clone().with_limits(GuardLimits::with(&settings));
    rig.blue.send(&marked.only(Endpoint::Talents, 2));
    let (sender, _events) = tokio::sync::mpsc::unbounded_channel();
    let report = lenient.sync(SyncOptions::full(Trigger::Cli), sender, CancellationToken::new()).await.unwrap();
    assert_eq!(report.run.outcome, Some(RunOutcome::Published), "{:?}", report.run.error);
    assert!(report.guards.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_quarantined_records_are_held() {
    let rig = Rig::new(&broken_boards(38, 2)).await;
    rig.publish().await;
    // One in twenty passes, one more does not.
    rig.blue.send(&broken_boards(37, 2));
    let held = rig.sync().await;
    assert_eq!(found(&held), [(Guard::Quarantine, Entity::Boards)]);
    assert!(held.error().contains("2 of 39 records quarantined, 5.1 % (limit 5 %)"), "{}", held.error());
    rig.blue.send(&broken_boards(57, 3));
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Published);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_dangling_references_are_held_and_old_ones_are_not() {
    let orphaned = |extra: &[&str]| {
        let mut talents = vec![json!({"id": "t0"}), json!({"id": "ghost"})];
        talents.extend(extra.iter().map(|id| json!({"id": id})));
        Data::small(1).with(Endpoint::BoardsTalents, vec![json!({"boardId": "b0", "talents": talents})])
    };
    let rig = Rig::new(&orphaned(&[])).await;
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Published, "a first sync publishes what it gets");
    rig.blue.send(&orphaned(&["t1"]));
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Published, "as many dangle as before");
    rig.blue.send(&orphaned(&["t1", "phantom"]));
    let held = rig.sync().await;
    assert_eq!(found(&held), [(Guard::Dangling, Entity::BoardsTalents)]);
    let finding = &held.report.guards[0];
    assert_eq!(finding.column.as_deref(), Some("talentId"));
    assert_eq!(finding.message, "2 references by talentId would lead to no row of talents (now 1, limit 1)");
    // The other end of a relation may be the one that changed.
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.blue.send(&Data::small(1).only(Endpoint::Boards, 2));
    let held = rig.sync().await;
    assert!(found(&held).contains(&(Guard::Dangling, Entity::BoardsTalents)), "{:?}", found(&held));
    assert_eq!(held.step(Entity::BoardsTalents).outcome, Some(StepOutcome::Unchanged));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sync_publishes_what_it_gets() {
    let rig = Rig::new(&broken_boards(1, 9).with(Endpoint::Talents, Vec::new())).await;
    let first = rig.sync().await;
    assert_eq!(first.outcome(), RunOutcome::Published);
    assert!(first.report.guards.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_published_is_refused_with_what_can() {
    let rig = Rig::new(&Data::small(1)).await;
    let published = rig.publish().await.report.run.id;
    let refused = rig.operations.plan_publish(published).await.unwrap_err();
    let OperationError::Green(GreenError::NotReplayable { possible, .. }) = &refused else { panic!("{refused}") };
    assert!(possible.is_empty() && refused.to_string().contains("neither held nor prepared"), "{refused}");
    let mut held = Vec::new();
    for seed in 2..8 {
        let missing = Data::small(seed).only(Endpoint::Boards, 1);
        rig.blue.send(&missing);
        let ran = rig.sync().await;
        assert_eq!(ran.outcome(), RunOutcome::Held);
        held.push(ran.report.run.id);
    }
    // Of each endpoint the newest three snapshots are kept, and the one behind the live version.
    let refused = rig.operations.plan_publish(held[0]).await.unwrap_err();
    let OperationError::Green(GreenError::NotReplayable { run, possible, .. }) = &refused else { panic!("{refused}") };
    assert_eq!((*run, possible.as_slice()), (held[0], &[held[5], held[4], held[3]][..]));
    assert!(rig.replay(publishing(held[0], &["all"])).await.is_err());
    let published = rig.replay(publishing(held[3], &["all"])).await.unwrap();
    assert_eq!(published.outcome(), RunOutcome::Published);
    rig.assert_view(Entity::Talents, Data::small(5).rows(Entity::Talents));
    // The next of them was prepared against something else, which its plan says.
    assert!(rig.operations.plan_publish(held[4]).await.unwrap().outdated);
    let late = ReplayOptions { expected: Some(Some(1)), ..publishing(held[4], &["all"]) };
    let refused = rig.replay(late).await.unwrap();
    assert_eq!(refused.outcome(), RunOutcome::Failed, "the operator had seen another publication");
    assert!(refused.error().contains("is the newest, not 1"), "{}", refused.error());
}
