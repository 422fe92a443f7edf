//! The stream of events and the journal tell the same run.

use greenroom::{
    entity::{Endpoint, Entity},
    ops::OperationError,
    report::{RunOutcome, StepOutcome, SyncReport},
    sync::{EventRecord, RunEvent, RunState},
};
use rusqlite::types::Value;

use crate::{
    data::Data,
    fake_blue::{Fault, When},
    support::{Ran, Rig, query},
};

fn fold(events: &[EventRecord]) -> SyncReport {
    let mut state = RunState::begin(&events[0]).unwrap();
    events[1..].iter().for_each(|record| state.apply(record));
    state.report()
}

/// The kept events of a run, as another process reads them.
fn journal(rig: &Rig, run: i64) -> Vec<EventRecord> {
    let rows = query(&rig.reader(), &format!("SELECT event, seq FROM sync_events WHERE run_id = {run} ORDER BY seq"));
    let events = rows.iter().map(|row| {
        let [Value::Text(event), Value::Integer(seq)] = &row[..] else { panic!("{row:?}") };
        let record: EventRecord = serde_json::from_str(event).unwrap();
        assert_eq!((record.run, i64::try_from(record.seq).unwrap()), (run, *seq));
        record
    });
    events.collect()
}

async fn assert_told_alike(rig: &Rig, ran: &Ran) {
    let numbers: Vec<_> = ran.events.iter().map(|record| record.seq).collect();
    assert_eq!(numbers, (1..=ran.events.len() as u64).collect::<Vec<_>>(), "events are numbered without a gap");
    assert!(matches!(ran.events.last().unwrap().event, RunEvent::Ended { .. }));
    assert_eq!(fold(&ran.events), ran.report, "the stream folded");
    let kept = journal(rig, ran.report.run.id);
    let lasting: Vec<_> = ran.events.iter().filter(|record| !record.event.is_passing()).cloned().collect();
    assert_eq!(kept, lasting);
    // How far a step came that was given up is told by passing events only.
    let settled = |mut report: SyncReport| {
        let given_up = report.entities.iter_mut().filter(|step| step.outcome == Some(StepOutcome::Skipped));
        given_up.for_each(|step| (step.bytes, step.records) = (0, 0));
        report
    };
    assert_eq!(settled(fold(&kept)), settled(ran.report.clone()), "the journal folded");
    let told = rig.operations.run(ran.report.run.id).await.unwrap();
    assert_eq!((told.run, told.entities), (ran.report.run.clone(), ran.report.entities.clone()), "the run's record");
    assert_eq!(rig.operations.runs(1).await.unwrap(), std::slice::from_ref(&ran.report.run));
    let attempts: Vec<_> = ran.events.iter().filter_map(|record| record.event.attempt(record.at)).collect();
    assert_eq!(told.attempts, attempts);
    // What one process serializes another reads.
    let json = serde_json::to_string(&ran.report).unwrap();
    assert_eq!(serde_json::from_str::<SyncReport>(&json).unwrap(), ran.report);
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_journal_and_report_agree_however_a_run_ends() {
    let rig = Rig::new(&Data::large(1, 2_500, 500)).await;
    rig.blue.fault(Endpoint::Talents, When::First(1), Fault::EarlyClose(600_000));
    rig.blue.fault(Endpoint::Boards, When::First(2), Fault::Html200);
    let ran = rig.publish().await;
    assert!(ran.events.iter().any(|record| record.event.is_passing()));
    assert_told_alike(&rig, &ran).await;

    let ran = rig.sync().await;
    assert_eq!(ran.outcome(), RunOutcome::Unchanged);
    assert_told_alike(&rig, &ran).await;

    rig.blue.send(&Data::small(2));
    rig.blue.fault(Endpoint::MediaTags, When::Always, Fault::status(418));
    let ran = rig.sync().await;
    assert_eq!(ran.outcome(), RunOutcome::Failed);
    assert_told_alike(&rig, &ran).await;

    rig.blue.behave();
    rig.blue.fault(Endpoint::MediaTags, When::Always, Fault::Stall(20));
    let running = rig.start();
    rig.blue.until_stalled(Endpoint::MediaTags).await;
    running.cancel.cancel();
    let ran = running.end().await.unwrap();
    rig.check();
    assert_eq!(ran.outcome(), RunOutcome::Cancelled);
    assert_told_alike(&rig, &ran).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_sees_a_run_go_on() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::Stall(20));
    let mut running = rig.start();
    rig.blue.until_stalled(Endpoint::Boards).await;
    for _ in 0..9 {
        running.until(|event| matches!(event, RunEvent::Ready { .. })).await;
    }
    let status = rig.operations.status().await.unwrap();
    assert_eq!(status.running.map(|run| (run.id, run.outcome)), Some((1, None)));
    assert_eq!(status.last_run, None);
    let kept = journal(&rig, 1);
    assert!(matches!(kept[0].event, RunEvent::Started { .. }));
    assert!(
        kept.iter().any(|record| record.event == RunEvent::AttemptStarted { endpoint: Endpoint::Boards, attempt: 1 })
    );
    rig.blue.release();
    running.end().await.unwrap();
    rig.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn events_concern_their_entities() {
    let rig = Rig::new(&Data::small(1)).await;
    let ran = rig.publish().await;
    for entity in Entity::ALL {
        let of_it: Vec<_> = ran.events.iter().filter(|record| record.event.concerns(entity)).collect();
        let ready =
            of_it.iter().filter(|record| matches!(record.event, RunEvent::Ready { entity: one, .. } if one == entity));
        assert_eq!(ready.count(), 1, "{entity}");
        assert!(of_it.iter().any(|record| matches!(record.event, RunEvent::Staged { .. })), "{entity}");
        assert!(of_it.iter().any(|record| matches!(record.event, RunEvent::Published { .. })), "{entity}");
    }
    assert!(ran.events.iter().all(|record| !record.to_owned().event.to_string().is_empty()));
    let missing = rig.operations.run(99).await.unwrap_err();
    assert!(matches!(missing, OperationError::Green(_)) && missing.to_string().contains("no run 99"), "{missing}");
}
