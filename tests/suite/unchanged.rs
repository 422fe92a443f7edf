//! What did not change is neither loaded nor switched, so that the backup stays worth going back to.

use greenroom::{
    entity::{Endpoint, Entity},
    report::{RunOutcome, StepOutcome},
    sync::RunEvent,
};
use serde_json::json;

use crate::{
    data::Data,
    fake_blue::{Fault, Knows, When},
    support::{Ran, Rig},
};

fn loaded(ran: &Ran) -> usize {
    let loading = ran.events.iter().filter(|record| matches!(record.event, RunEvent::Ready { .. }));
    loading.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_asked_whether_anything_changed() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.blue.know_by(Knows::Etag);
    rig.publish().await;
    assert!(
        rig.blue.requests().iter().all(|request| !request.headers.contains_key("if-none-match")),
        "nothing known yet"
    );
    let snapshots = rig.number("SELECT count(*) FROM sync_snapshots");
    let again = rig.sync().await;
    assert_eq!(again.outcome(), RunOutcome::Unchanged);
    assert_eq!(rig.number("SELECT count(*) FROM sync_snapshots"), snapshots);
    for endpoint in Endpoint::ALL {
        assert_eq!(rig.blue.unmodified(endpoint), 1, "{endpoint}");
    }
    let attempts = rig.operations.run(again.report.run.id).await.unwrap().attempts;
    assert!(attempts.iter().all(|attempt| (attempt.status, attempt.bytes) == (Some(304), 0)), "{attempts:?}");
    assert!(again.report.entities.iter().all(|step| step.bytes > 0 && step.snapshot.is_some()));
    // One that changed is sent, the others are not.
    rig.blue.send(&Data::small(1).with_endpoint_of(Endpoint::Boards, &Data::small(2)));
    rig.publish().await;
    assert_eq!((rig.blue.unmodified(Endpoint::Boards), rig.blue.unmodified(Endpoint::Talents)), (1, 2));
    // What the server calls the same is loaded from its snapshot when something else is live.
    rig.roll_back().await;
    rig.publish().await;
    assert_eq!(rig.blue.unmodified(Endpoint::Boards), 2);
    rig.assert_view(Entity::Boards, Data::small(2).rows(Entity::Boards));
    // By force it is sent in full.
    rig.sync_with(true).await;
    assert_eq!((rig.blue.unmodified(Endpoint::Boards), rig.blue.unmodified(Endpoint::Talents)), (2, 3));
    assert_eq!(rig.blue.injected_in_all(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_are_believed_once_they_are_settled() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.blue.know_by(Knows::Date(59));
    rig.publish().await;
    // The body may have changed once more within the second: it is asked for in full.
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Unchanged);
    assert_eq!(rig.blue.unmodified(Endpoint::Boards), 0);
    rig.blue.know_by(Knows::Date(60));
    rig.sync().await;
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Unchanged);
    assert_eq!(rig.blue.unmodified(Endpoint::Boards), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_304_unasked_has_failed() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::Status(304, Vec::new(), String::new()));
    let ran = rig.sync().await;
    assert_eq!(ran.outcome(), RunOutcome::Failed);
    assert!(ran.error().contains("HTTP status 304"), "{}", ran.error());
    assert_eq!(rig.blue.injected(Endpoint::Boards), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn validators_of_one_source_mean_nothing_to_another() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.blue.know_by(Knows::Etag);
    rig.publish().await;
    rig.writer().execute("UPDATE sync_snapshots SET source = 'http://elsewhere/'", []).unwrap();
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Unchanged);
    assert_eq!(rig.blue.unmodified(Endpoint::Boards), 0);
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Unchanged);
    assert_eq!(rig.blue.unmodified(Endpoint::Boards), 1, "asked in full once, it is known again");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_body_with_the_same_rows_uses_up_no_backup() {
    let boards = |noise: u32| {
        let list = ["b0", "b1", "b2"].map(|id| json!({"noise": noise, "title": "T", "id": id}));
        Data::small(1).with(Endpoint::Boards, list.to_vec())
    };
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.publish_data(&boards(1)).await;
    let before = rig.picture();
    rig.blue.send(&boards(2));
    let noisy = rig.sync().await;
    assert_eq!(noisy.outcome(), RunOutcome::Unchanged);
    assert_eq!((loaded(&noisy), noisy.step(Entity::Boards).outcome), (1, Some(StepOutcome::Unchanged)));
    assert_eq!(rig.picture(), before);
    let again = rig.sync().await;
    assert_eq!((again.outcome(), loaded(&again)), (RunOutcome::Unchanged, 0), "it is known by now");
    // The rollback still leads to what was there before the last change that anyone could see.
    rig.roll_back().await;
    rig.assert_views(&Data::small(1));
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Published, "and what was known of the other version is void");
    // Readers without ORDER BY see the order, so that is a change.
    let mut list = ["b0", "b1", "b2"].map(|id| json!({"title": "T", "id": id})).to_vec();
    list.reverse();
    rig.blue.send(&Data::small(1).with(Endpoint::Boards, list));
    let turned = rig.sync().await;
    assert_eq!(turned.outcome(), RunOutcome::Published);
    assert!(turned.step(Entity::Boards).diff.unwrap().is_empty());
}
