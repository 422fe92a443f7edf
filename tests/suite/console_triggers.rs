//! A console beside a server: what triggers it took, which one waits, and the runs that came of them, as they happen.

use greenroom::{
    console::Ended,
    entity::Endpoint,
    green::{Database, NewTrigger, Presence, Requested, Verdict},
    ops::{Operations, SyncOptions},
    report::{Operator, RunId, ServerReport, Trigger, TriggerAnswer, TriggerReport},
};
use jiff::Timestamp;
use ratatui::crossterm::event::KeyCode;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    data::Data,
    desk::Desk,
    fake_blue::{Fault, When},
    support::{Rig, in_time, operations_of},
};

/// Who runs the server.
fn green() -> Operator {
    Operator { user: "green".to_owned(), host: "box".to_owned(), pid: 812 }
}

/// A trigger of `by` over HTTP.
pub(crate) fn trigger_of(by: &str) -> NewTrigger {
    NewTrigger {
        kind: "orchestrate-sync".to_owned(),
        trigger: Trigger::Http,
        requested_by: by.to_owned(),
        idempotency_key: Some(format!("key-of-{by}")),
        at: Timestamp::now(),
    }
}

/// What is answered when a run begins, or waits behind another.
pub(crate) fn promise(behind: Option<RunId>) -> Verdict {
    let (answer, message) = match behind {
        Some(run) => (TriggerAnswer::Waiting, format!("begins once run {run} has ended")),
        None => (TriggerAnswer::Started, "the run begins".to_owned()),
    };
    Verdict::Promise { answer, behind, message }
}

/// The server on the database of `rig`, as it says who it is.
pub(crate) fn announce(rig: &Rig) -> Presence {
    let database = Database::open(&rig.path).unwrap();
    let address = "127.0.0.1:8080".to_owned();
    let since = Timestamp::now();
    let report = ServerReport { address, operator: green(), since, every_ms: Some(900_000), read_only: false };
    Presence::announce(&database, &report).unwrap()
}

/// The run that was promised for `trigger`, to its end.
pub(crate) async fn serve(operations: Operations, trigger: TriggerReport) -> RunId {
    let requested = Requested { task: trigger.task.unwrap(), by: trigger.requested_by };
    let options = SyncOptions { requested: Some(requested), ..SyncOptions::full(Trigger::Http) };
    let (events, _told) = mpsc::unbounded_channel();
    operations.sync(options, events, CancellationToken::new()).await.unwrap().run.id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_seen_while_it_is_there() {
    let rig = Rig::new(&Data::marked(1)).await;
    rig.publish().await;
    let mut desk = Desk::open(&rig);
    desk.until_shows("run 1 published").await;
    assert!(!desk.shown.borrow().text.contains("serve on"));
    let presence = announce(&rig);
    desk.until_shows("serve on 127.0.0.1:8080 · every 15m").await;
    drop(presence);
    desk.until("its end", |screen| !screen.contains("serve on")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_of_others_are_seen_and_lead_to_their_runs() {
    let rig = Rig::new(&Data::marked(1)).await;
    let _presence = announce(&rig);
    let server = operations_of(&rig, green());
    let mut desk = Desk::open(&rig);
    desk.until_shows("serve on 127.0.0.1:8080").await;
    desk.key('t');
    desk.until_shows("no trigger has come yet").await;
    // The open list shows what comes.
    let first = server.record_trigger(trigger_of("10.0.0.7"), promise(None)).await.unwrap();
    desk.until("the trigger", |screen| screen.contains("http 10.0.0.7") && screen.contains("started")).await;
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::Stall(10));
    let running = tokio::spawn(serve(server.clone(), first));
    rig.blue.until_stalled(Endpoint::Boards).await;
    desk.until_shows("task 1: run 1, key key-of-10.0.0.7").await;
    let second = server.record_trigger(trigger_of("10.0.0.8"), promise(Some(1))).await.unwrap();
    desk.until("the other trigger", |screen| screen.contains("http 10.0.0.8") && screen.contains("not begun")).await;
    desk.press(KeyCode::Esc);
    desk.until("who is served and who waits", |screen| {
        screen.contains("run 1 of http 10.0.0.7 ") && screen.contains("a sync for 10.0.0.8 waits behind run 1 since ")
    })
    .await;
    desk.key('s');
    desk.until_shows("sync: run 1 of http 10.0.0.7 is going on since").await;
    rig.blue.release();
    rig.blue.behave();
    assert_eq!(in_time("the first run", running).await.unwrap(), 1);
    desk.until_shows("run 1 of http 10.0.0.7 published 10 entities").await;
    desk.until_shows("a sync for 10.0.0.8 waits since ").await;
    assert_eq!(serve(server, second).await, 2);
    desk.until_shows("run 2 of http 10.0.0.8: the source sent what is live already").await;
    desk.until("no more waiting", |screen| {
        screen.contains("run 2 unchanged") && screen.contains(", http 10.0.0.8") && !screen.contains(" waits")
    })
    .await;
    // From the list to a run and back.
    desk.key('t');
    desk.until("both runs", |screen| screen.contains("run 2 unchanged") && screen.contains("run 1 published")).await;
    desk.key('j');
    desk.until_shows("task 1: run 1 published").await;
    desk.press(KeyCode::Enter);
    let screen = desk.until_shows(" Run 1 ").await;
    assert!(screen.contains(", http 10.0.0.7"), "{screen}");
    assert!(screen.contains("in process 812 of green@box"), "{screen}");
    desk.press(KeyCode::Esc);
    desk.until_shows("task 1: run 1 published").await;
    desk.press(KeyCode::Esc);
    desk.until("the end of the list", |screen| !screen.contains("Triggers")).await;
    desk.key('q');
    assert_eq!(desk.end().await.0, Ended::Quit);
    rig.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_the_hold_refuses_is_seen() {
    let rig = Rig::new(&Data::marked(1)).await;
    rig.publish().await;
    let server = operations_of(&rig, green());
    let mut desk = Desk::open_for(&rig, server.clone());
    desk.until_shows("run 1 published").await;
    server.hold("for the night".to_owned()).await.unwrap();
    desk.until_shows("HELD since").await;
    let answer = server.record_trigger(trigger_of("10.0.0.7"), promise(None)).await.unwrap();
    assert_eq!(answer.answer, TriggerAnswer::Held);
    desk.until_shows("a trigger by 10.0.0.7 was refused <1m ago").await;
    server.release(None).await.unwrap();
    desk.until("its end", |screen| !screen.contains("HELD since") && !screen.contains("was refused")).await;
}
