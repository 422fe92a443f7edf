//! A run that is cancelled leaves everything as it was.

use std::sync::atomic::{AtomicUsize, Ordering};

use greenroom::{
    entity::{Endpoint, Entity},
    report::{RunOutcome, StepOutcome},
    sync::RunEvent,
};

use crate::{
    data::Data,
    fake_blue::{Fault, When},
    support::{Ran, Rig},
};

fn assert_cancelled(ran: &Ran) {
    assert_eq!(ran.outcome(), RunOutcome::Cancelled);
    assert!(ran.error().contains("cancelled"), "{}", ran.error());
    assert_eq!(ran.report.run.publication, None);
    let live = |outcome| matches!(outcome, Some(StepOutcome::Published) | None);
    assert!(!ran.report.entities.iter().any(|step| live(step.outcome)), "{:?}", ran.report.entities);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_body_arrives() {
    // Large enough that parts of the body are staged before it stalls.
    let large = Data::large(2, 4_000, 900);
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    let before = rig.picture();
    rig.blue.send(&large);
    for endpoint in Endpoint::ALL {
        rig.blue.behave();
        let sent = if endpoint == Endpoint::Talents { 3_000_000 } else { 20 };
        rig.blue.fault(endpoint, When::Always, Fault::Stall(sent));
        let mut running = rig.start();
        rig.blue.until_stalled(endpoint).await;
        if endpoint == Endpoint::Talents {
            // The client reads behind the sender; a part is written with its first megabyte.
            running.until(|event| matches!(event, RunEvent::Receiving { endpoint: Endpoint::Talents, .. })).await;
        }
        running.cancel.cancel();
        let ran = running.end().await.unwrap();
        rig.check();
        assert_cancelled(&ran);
        assert_eq!(rig.blue.injected(endpoint), 1, "{endpoint}");
        assert_eq!(rig.picture(), before, "{endpoint}");
    }
    rig.blue.behave();
    rig.publish().await;
    rig.assert_views(&large);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_rows_are_loaded() {
    let large = Data::large(2, 30_000, 30);
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    let before = rig.picture();
    rig.blue.send(&large);
    // The run cannot come to its publish, however slow this test is in cancelling it.
    rig.blue.fault(Endpoint::Boards, When::First(1), Fault::Stall(20));
    let mut running = rig.start();
    let loading = |event: &RunEvent| matches!(event, RunEvent::Loading { entity: Entity::Talents, elements: 1.., .. });
    running.until(loading).await;
    assert_eq!(rig.number("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'talents\\_shadow\\_%' ESCAPE '\\'"), 1);
    running.cancel.cancel();
    let ran = running.end().await.unwrap();
    rig.check();
    assert_cancelled(&ran);
    assert_eq!(rig.picture(), before);
    // What was staged stays and is known the next time.
    rig.blue.behave();
    let ran = rig.publish().await;
    assert!(
        ran.events
            .iter()
            .any(|record| matches!(record.event, RunEvent::Staged { endpoint: Endpoint::Talents, known: true, .. }))
    );
    rig.assert_views(&large);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_but_one_are_ready() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    let before = rig.picture();
    rig.blue.send(&Data::small(2));
    rig.blue.fault(Endpoint::TalentsSocials, When::Always, Fault::Stall(20));
    let mut running = rig.start();
    for _ in 0..9 {
        running.until(|event| matches!(event, RunEvent::Ready { .. })).await;
    }
    running.cancel.cancel();
    let ran = running.end().await.unwrap();
    rig.check();
    assert_cancelled(&ran);
    let ready = ran.report.entities.iter().filter(|step| step.outcome == Some(StepOutcome::Ready));
    assert_eq!(ready.count(), 9);
    assert_eq!(rig.picture(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_next_attempt_is_waited_for() {
    let rig = Rig::new(&Data::small(1)).await;
    let before = rig.picture();
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::retry_after_seconds(503, 600));
    let mut running = rig.start();
    running.until(|event| matches!(event, RunEvent::AttemptFailed { retry_in_ms: Some(600_000), .. })).await;
    running.cancel.cancel();
    let ran = running.end().await.unwrap();
    rig.check();
    assert_cancelled(&ran);
    assert_eq!(rig.picture(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_any_event_either_all_or_nothing_is_switched() {
    let rig = Rig::new(&Data::small(0)).await;
    rig.publish().await;
    let (mut cancelled, mut published) = (0, 0);
    for event in (0..60).step_by(4).chain([usize::MAX]) {
        let before = rig.picture();
        let data = Data::small(event as u64 % 1000 + 1);
        rig.blue.send(&data);
        let mut running = rig.start();
        let count = AtomicUsize::new(0);
        let token = running.cancel.clone();
        if event == 0 {
            token.cancel();
        }
        running
            .until(|seen| {
                if count.fetch_add(1, Ordering::Relaxed) + 1 == event {
                    token.cancel();
                }
                matches!(seen, RunEvent::Ended { .. })
            })
            .await;
        let ran = running.end().await.unwrap();
        rig.check();
        if ran.outcome() == RunOutcome::Published {
            published += 1;
            rig.assert_views(&data);
        } else {
            cancelled += 1;
            assert_cancelled(&ran);
            assert_eq!(rig.picture(), before, "cancelled at event {event}");
        }
    }
    assert!(cancelled > 0 && published > 0, "{cancelled} cancelled, {published} published");
}
