//! Two consoles at once on one database, without terminals: each sees what the other does, and can end its run.

use greenroom::{
    console::Ended,
    entity::Endpoint,
    green::{Database, RunLock},
    report::{Operator, RollbackTarget, RunOutcome, Work},
    sync::{Line, OnHangup},
};
use jiff::Timestamp;
use ratatui::crossterm::event::KeyCode;
use tokio_util::sync::CancellationToken;

use crate::{
    data::Data,
    desk::{Desk, staged},
    fake_blue::{Fault, When},
    support::{NO_HOLD, Rig, ben, in_time, operations_of},
};

/// A run of a process that has the lock and does nothing any more.
fn stopped_run(rig: &Rig, run: i64, operator: &Operator) -> RunLock {
    let database = Database::open(&rig.path).unwrap();
    let lock = RunLock::acquire(&database, Work::Run, operator, Timestamp::UNIX_EPOCH).unwrap();
    lock.name_run(run);
    let Operator { user, host, pid } = operator;
    let sql = "INSERT INTO sync_runs (id, trigger_kind, source, operator_user, operator_host, operator_pid, \
               base_publication, started_at) VALUES (?1, 'cli', 'http://x/', ?2, ?3, ?4, 1, 1700000000000)";
    rig.writer().execute(sql, rusqlite::params![run, user, host, pid]).unwrap();
    let entities: Vec<_> = greenroom::entity::Entity::ALL
        .iter()
        .map(|entity| {
            format!(
                "{{\"entity\":\"{entity}\",\"activeVersion\":1,\"backupVersion\":0,\"rows\":3,\"madeFrom\":\
                 {{\"records\":3,\"duplicates\":0,\"quarantined\":0,\"notes\":0}}}}"
            )
        })
        .collect();
    let event = format!(
        "{{\"run\":{run},\"seq\":1,\"at\":\"2023-11-14T22:13:20Z\",\"event\":\"started\",\"trigger\":\"cli\",\"operator\":\
         {{\"user\":\"{user}\",\"host\":\"{host}\",\"pid\":{pid}}},\"source\":\"http://x/\",\"basedOn\":1,\"entities\":[{}]}}",
        entities.join(",")
    );
    let sql = "INSERT INTO sync_events (run_id, seq, at, passing, event) VALUES (?1, 1, 1700000000000, 0, ?2)";
    rig.writer().execute(sql, rusqlite::params![run, event]).unwrap();
    lock
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_seen_live_by_a_console_that_was_there_and_by_one_that_came_later() {
    let rig = Rig::new(&Data::marked(1)).await;
    let mut early = Desk::open_for(&rig, operations_of(&rig, ben()));
    early.until_shows("no run yet").await;
    let mut own = Desk::amid_a_run(&rig).await;
    own.until("nine ready", |screen| staged(screen, "ready") == 9).await;
    let mut late = Desk::open_for(&rig, operations_of(&rig, ben()));
    for desk in [&mut early, &mut late] {
        let screen = desk
            .until("the run as its owner sees it", |screen| {
                screen.contains("run 1 of ana@box") && staged(screen, "ready") == 9 && staged(screen, "fetch") == 1
            })
            .await;
        assert!(screen.contains("1 fetching"), "{screen}");
        desk.key('s');
        desk.until_shows("sync: run 1 of ana@box is going on since").await;
    }
    // What happened before the console came is in the detail.
    late.press(KeyCode::Enter);
    late.until("the events of talents", |screen| {
        screen.contains("Detail: talents") && screen.contains("talents: attempt 1") && screen.contains("rows")
    })
    .await;
    rig.blue.release();
    own.until_shows("run 1 published 10 entities").await;
    for desk in [&mut early, &mut late] {
        desk.until("the end", |screen| {
            screen.contains("run 1 of ana@box published 10 entities in") && staged(screen, "published") == 10
        })
        .await;
        desk.until("what is live now", |screen| screen.matches(" 1/- ").count() == 10).await;
    }
    // A run of ours after it is not taken for another's.
    rig.blue.behave();
    rig.blue.send(&Data::marked(2));
    early.key('s');
    early.until_shows("run 2 published 10 entities").await;
    own.until_shows("run 2 of ben@box published 10 entities").await;
    rig.check();
    for desk in [early, late, own] {
        desk.key('q');
        assert_eq!(desk.end().await.0, Ended::Quit);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_console_cancels_a_run_when_it_means_it() {
    let rig = Rig::new(&Data::marked(1)).await;
    let mut own = Desk::amid_a_run(&rig).await;
    let mut other = Desk::open_for(&rig, operations_of(&rig, ben()));
    other.until_shows("run 1 of ana@box").await;
    for no in [KeyCode::Enter, KeyCode::Esc, KeyCode::Char('y')] {
        other.key('x');
        let screen = other.until_shows("Cancel run 1 of ana@box").await;
        assert!(screen.contains("process 4711 on this host") && screen.contains("The live views"), "{screen}");
        other.press(no);
        other.until_shows("run 1 of ana@box was left alone").await;
    }
    other.key('x');
    other.until_shows("Cancel run 1 of ana@box").await;
    other.key('Y');
    own.until_shows("run 1 cancelled: cancelled by ben@box").await;
    let screen = other.until_shows("run 1 of ana@box cancelled: cancelled by ben@box").await;
    assert!(!screen.contains("Cancel run 1"), "{screen}");
    // Until the answer to the wish has come, there is another sentence.
    other.key_until('x', "cancel: no run is going on").await;
    rig.check();
    // With another's run, q leaves at once; with its own it asks.
    let own_again = own;
    own_again.key('s');
    other.until_shows("run 2 of ana@box").await;
    other.key('q');
    assert_eq!(other.end().await.0, Ended::Quit);
    rig.blue.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_during_another_consoles_run_says_what_becomes_of_that() {
    let rig = Rig::new(&Data::marked(1)).await;
    rig.publish().await;
    rig.publish_data(&Data::marked(2)).await;
    rig.blue.send(&Data::marked(3));
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::Stall(10));
    let mut own = Desk::open(&rig);
    own.until_shows("run 2 published").await;
    own.key('s');
    rig.blue.until_stalled(Endpoint::Boards).await;
    let mut other = Desk::open_for(&rig, operations_of(&rig, ben()));
    other.until("the run", |screen| screen.contains("run 3 of ana@box") && screen.contains("publication 2 at")).await;
    for (key, title) in [('c', "cleanup: run 3 of ana@box"), ('p', "publish: run 3 of"), ('b', "go back: run 3 of")] {
        other.key(key);
        other.until_shows(title).await;
    }
    other.key('H');
    other.until_shows("will run 3 of ana@box, which goes on now.").await;
    other.press(KeyCode::Esc);
    other.key('r');
    other.until_shows("The run that goes on, run 3 of ana@box, will then not publish.").await;
    other.key('Y');
    other.until_shows("publication 2 is taken back").await;
    // The owner sees it while its run goes on.
    own.until("the rollback", |screen| {
        screen.contains("HELD since")
            && screen.contains("rollback 3 at")
            && screen.contains("ben@box took publication 2")
    })
    .await;
    rig.blue.release();
    own.until("the end", |screen| screen.contains("run 3 failed: ") || screen.contains("run 3 is held")).await;
    other
        .until("the end", |screen| {
            screen.contains("run 3 of ana@box failed: ") || screen.contains("run 3 of ana@box is held")
        })
        .await;
    rig.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_change_is_seen_and_refuses_an_answer_to_what_was_shown_before() {
    let rig = Rig::new(&Data::marked(1)).await;
    rig.publish().await;
    rig.publish_data(&Data::marked(2)).await;
    let mut desk = Desk::open_for(&rig, operations_of(&rig, ben()));
    desk.until_shows("run 2 published").await;
    desk.key('r');
    desk.until_shows("Publication 2 (run 2").await;
    let plan = rig.operations.plan_rollback(RollbackTarget::Newest).await.unwrap();
    rig.operations.rollback(plan, NO_HOLD).await.unwrap();
    desk.until_shows("rollback 3 at").await;
    desk.key('Y');
    desk.until_shows("Nothing was rolled back").await;
    desk.press(KeyCode::Esc);
    rig.operations.hold("for the night".to_owned()).await.unwrap();
    desk.until("the hold", |screen| screen.contains("HELD since") && screen.contains("for the night")).await;
    rig.operations.release(None).await.unwrap();
    desk.until("its release", |screen| !screen.contains("HELD since")).await;
    rig.sync().await;
    desk.until_shows("run 3 of ana@box published").await;
    rig.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stops_is_told_and_can_be_ended() {
    let rig = Rig::new(&Data::marked(1)).await;
    rig.publish().await;
    let lock = stopped_run(&rig, 2, &ben());
    let mut desk = Desk::open(&rig);
    desk.until_shows("run 2 of ben@box does not answer; x ends it by force (since").await;
    desk.key('x');
    let screen = desk.until_shows("End the process of run 2 of ben@box").await;
    assert!(screen.contains("process 12 on this host") && screen.contains("It does not answer since"), "{screen}");
    desk.key('Y');
    desk.until_shows("its process is being ended").await;
    // No process of this host has that number and beginning; the test plays its death.
    drop(lock);
    desk.until_shows("nothing of it was switched").await;
    desk.until("an end", |screen| screen.contains("run 2 interrupted")).await;
    assert_eq!(rig.operations.run(2).await.unwrap().run.outcome, Some(RunOutcome::Interrupted));
    desk.key('s');
    desk.until_shows("run 3: the source sent what is live already").await;
    rig.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_is_told_and_cleared_away() {
    let rig = Rig::new(&Data::marked(1)).await;
    rig.publish().await;
    let elsewhere = Operator { host: "elsewhere".to_owned(), ..ben() };
    let lock = stopped_run(&rig, 2, &elsewhere);
    let mut desk = Desk::open(&rig);
    desk.until_shows("run 2 of ben@elsewhere").await;
    drop(lock);
    desk.until_shows("run 2 of ben@elsewhere died; nothing of it was switched").await;
    desk.until_shows("run 2 interrupted").await;
    desk.key('s');
    desk.until_shows("run 3: the source sent what is live already").await;
    rig.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_tells_what_became_of_runs_that_nobody_saw_end() {
    let mut rig = Rig::new(&Data::marked(1)).await;
    let plain = rig.operations.clone();
    let line = Line { dropped: CancellationToken::new(), on_hangup: OnHangup::Finish };
    line.dropped.cancel();
    rig.operations = plain.clone().with_line(line);
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::Stall(10));
    let mut running = rig.start();
    running.until(|event| matches!(event, greenroom::sync::RunEvent::OperatorGone { .. })).await;
    rig.blue.until_stalled(Endpoint::Boards).await;
    rig.blue.release();
    running.end().await.unwrap();
    rig.operations = plain;
    drop(stopped_run(&rig, 2, &ben()));
    let mut desk = Desk::open_for(&rig, operations_of(&rig, ben()));
    desk.until_shows("run 2 of ben@box was interrupted: its process died; nothing was switched; run 1 ended, too")
        .await;
    desk.key('q');
    desk.end().await;
    assert_eq!(rig.operations.take_untold().await.unwrap().len(), 0, "each is told once");
    rig.writer().execute_batch("UPDATE sync_runs SET untold = id = 1").unwrap();
    let mut desk = Desk::open_for(&rig, operations_of(&rig, ben()));
    desk.until("what became of run 1", |screen| {
        screen.contains("run 1 published 10 entities in ") && screen.contains("after the line of ana@box had dropped")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_that_begin_at_once_leave_one_that_is_seen() {
    let rig = Rig::new(&Data::marked(1)).await;
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::Stall(10));
    let mut own = Desk::open(&rig);
    let mut other = Desk::open_for(&rig, operations_of(&rig, ben()));
    own.until_shows("no run yet").await;
    other.until_shows("no run yet").await;
    own.key('s');
    other.key('s');
    rig.blue.until_stalled(Endpoint::Boards).await;
    let refused = |screen: &str| screen.contains("The run could not begin") || screen.contains("is going on since");
    let first = in_time("one refusal", async {
        tokio::select! {
            _ = own.until("a refusal", refused) => false,
            _ = other.until("a refusal", refused) => true,
        }
    })
    .await;
    let (winner, loser, name) = if first { (own, other, "ana@box") } else { (other, own, "ben@box") };
    let (mut winner, mut loser) = (winner, loser);
    loser.press(KeyCode::Esc);
    loser.until_shows(&format!("run 1 of {name}")).await;
    rig.blue.release();
    winner.until_shows("run 1 published 10 entities").await;
    loser.until_shows(&format!("run 1 of {name} published 10 entities")).await;
    rig.check();
}
