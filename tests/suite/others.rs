//! Two operators at once: watching and ending each other's runs, processes that die or stop, and what is told of it later.

use std::time::Duration;

use greenroom::{
    entity::Endpoint,
    green::{Database, GreenError, HoldRule, RunLock},
    ops::{OperationError, SyncOptions, Watching},
    report::{Operator, RollbackTarget, RunOutcome, Trigger, Work},
    sync::{Follower, Line, Observed, OnHangup, RunEvent, RunState},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    data::Data,
    fake_blue::{Fault, When},
    support::{NO_HOLD, Rig, ben, in_time, operations_of},
};

async fn until(watching: &mut Watching, what: &str, wanted: impl Fn(&Observed) -> bool) -> Vec<Observed> {
    let mut seen = Vec::new();
    loop {
        let next = in_time(what, watching.next()).await.unwrap().unwrap();
        let is_it = wanted(&next);
        seen.push(next);
        if is_it {
            return seen;
        }
    }
}

fn ended(observed: &Observed) -> bool {
    matches!(observed, Observed::Event(record) if matches!(record.event, RunEvent::Ended { .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_seen_by_others_as_by_its_owner() {
    let rig = Rig::new(&Data::small(1)).await;
    let mut watching = operations_of(&rig, ben()).watch().await.unwrap();
    let first = until(&mut watching, "the first look", |_| true).await;
    assert_eq!(first, [Observed::Changed]);
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::Stall(20));
    let running = rig.start();
    rig.blue.until_stalled(Endpoint::Boards).await;
    let staged = |observed: &Observed| {
        matches!(observed, Observed::Event(record)
            if matches!(record.event, RunEvent::Unchanged { .. } | RunEvent::Ready { .. }))
    };
    let mut seen = until(&mut watching, "a step that is ready while another waits", staged).await;
    rig.blue.release();
    seen.extend(until(&mut watching, "the end", ended).await);
    let ran = running.end().await.unwrap();
    let events: Vec<_> = seen
        .iter()
        .filter_map(|one| match one {
            Observed::Event(record) => Some(record.clone()),
            _ => None,
        })
        .collect();
    let mut state = RunState::begin(&events[0]).unwrap();
    events[1..].iter().for_each(|record| state.apply(record));
    assert_eq!(state.report(), ran.report);
    assert!(events.windows(2).all(|pair| pair[0].seq < pair[1].seq), "each once, in their order");
    until(&mut watching, "that the publication is worth reading", |one| *one == Observed::Changed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_between_two_looks_are_not_missed() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    let database = Database::open(&rig.path).unwrap();
    let mut follower = Follower::open(&database, Some(ben())).unwrap();
    assert_eq!(follower.look().unwrap(), [Observed::Changed], "what is over is not told");
    let mut expected = Vec::new();
    for generation in [2, 3] {
        let ran = rig.publish_data(&Data::small(generation)).await;
        expected.push(ran.report);
    }
    let seen = follower.look().unwrap();
    let reports = [2, 3].map(|run| {
        let events: Vec<_> = seen
            .iter()
            .filter_map(|one| match one {
                Observed::Event(record) if record.run == run => Some(record),
                _ => None,
            })
            .collect();
        let mut state = RunState::begin(events[0]).unwrap();
        events[1..].iter().for_each(|record| state.apply(record));
        state.report()
    });
    assert_eq!(reports.to_vec(), expected);
    assert_eq!(follower.look().unwrap(), []);
    assert_eq!(seen.iter().filter(|one| ended(one)).count(), 2, "each ends once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_do_is_seen_and_what_we_do_is_not_followed() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.publish_data(&Data::small(2)).await;
    let mut own = rig.operations.watch().await.unwrap();
    until(&mut own, "the first look", |_| true).await;
    let plan = rig.operations.plan_rollback(RollbackTarget::Newest).await.unwrap();
    operations_of(&rig, ben()).rollback(plan, NO_HOLD).await.unwrap();
    assert_eq!(until(&mut own, "the rollback", |_| true).await, [Observed::Changed]);
    rig.operations.hold("ours".to_owned()).await.unwrap();
    assert_eq!(until(&mut own, "the hold", |_| true).await, [Observed::Changed]);
    rig.sync().await;
    let seen = until(&mut own, "the run", |_| true).await;
    assert_eq!(seen, [Observed::Changed], "our own run has events of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_commit_is_seen_however_long_after_its_write_it_comes() {
    let rig = Rig::new(&Data::small(1)).await;
    let mut watching = rig.operations.watch().await.unwrap();
    until(&mut watching, "the first look", |_| true).await;
    let writer = rig.writer();
    writer.pragma_update(None, "synchronous", "FULL").unwrap();
    for turn in 0..10 {
        // So long after its last look it looks as soon as something is written, which is before the commit can be seen.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let sql = if turn % 2 == 0 {
            "INSERT INTO sync_holds (held_at, operator_user, operator_host, operator_pid, reason) VALUES (1, 'b', 'c', 1, '')"
        } else {
            "UPDATE sync_holds SET released_at = 1, released_user = 'b', released_host = 'c', released_pid = 1"
        };
        writer.execute_batch(sql).unwrap();
        assert_eq!(until(&mut watching, "the commit", |_| true).await, [Observed::Changed]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_operator_can_cancel_a_run() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    let before = rig.picture();
    rig.blue.send(&Data::small(2));
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::Stall(20));
    let running = rig.start();
    rig.blue.until_stalled(Endpoint::Boards).await;
    let report = in_time("the cancel", operations_of(&rig, ben()).cancel(false)).await.unwrap();
    let run = report.run.unwrap();
    assert_eq!((run.id, run.outcome, report.forced, report.silent), (2, Some(RunOutcome::Cancelled), false, None));
    assert_eq!(run.cancel_asked_by, Some(ben()));
    let ran = running.end().await.unwrap();
    assert_eq!(ran.outcome(), RunOutcome::Cancelled);
    assert_eq!(ran.error(), "cancelled by ben@box (pid 12) before its publish; nothing was switched");
    assert!(ran.events.iter().any(|record| record.event == RunEvent::CancelAsked { by: ben() }));
    rig.check();
    assert_eq!(rig.picture(), before);
    let nothing = rig.operations.cancel(false).await.unwrap();
    assert_eq!((nothing.run, nothing.silent), (None, None), "nothing goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_does_not_answer_is_told_and_can_never_publish() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    // A process that has the lock and a run, and does nothing any more.
    let lock = {
        let database = Database::open(&rig.path).unwrap();
        let lock = RunLock::acquire(&database, Work::Run, &ben(), jiff::Timestamp::UNIX_EPOCH).unwrap();
        lock.name_run(2);
        lock
    };
    rig.writer()
        .execute_batch(
            "INSERT INTO sync_runs (trigger_kind, source, operator_user, operator_host, operator_pid, base_publication, \
             started_at) VALUES ('cli', 'http://x/', 'ben', 'box', 12, 1, 1700000000000)",
        )
        .unwrap();
    let (sender, _events) = mpsc::unbounded_channel();
    let refused = rig.operations.sync(SyncOptions::full(Trigger::Cli), sender, CancellationToken::new()).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("does not answer; `greenroom cancel --force` ends it"), "{refused}");
    let mut watching = rig.operations.watch().await.unwrap();
    until(&mut watching, "that it is silent", |one| *one == Observed::Answers { run: 2, answers: false }).await;
    let report = rig.operations.cancel(false).await.unwrap();
    assert_eq!(report.silent.map(|owner| (owner.run, owner.answers)), Some((Some(2), Some(false))));
    assert_eq!(rig.number("SELECT count(*) FROM sync_runs WHERE id = 2 AND cancel_user = 'ana'"), 1);
    // Its number stands for no process of this host.
    assert!(!rig.operations.wait_for_turn(Some(Duration::ZERO)).await);
    drop(lock);
    assert!(rig.operations.wait_for_turn(None).await);
    until(&mut watching, "that it is gone", |one| *one == Observed::Died(2)).await;
    let dead = rig.operations.run(2).await.unwrap().run;
    assert_eq!(dead.outcome, Some(RunOutcome::Interrupted), "what is read says it before it is recorded");
    assert_eq!(rig.operations.recover().await.unwrap(), [2]);
    assert_eq!(rig.operations.take_untold().await.unwrap().iter().map(|run| run.id).collect::<Vec<_>>(), [2]);
    assert!(rig.operations.take_untold().await.unwrap().is_empty(), "each is told once");
    assert!(rig.operations.recover().await.unwrap().is_empty());
    rig.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn force_reaches_only_processes_of_this_host() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    let database = Database::open(&rig.path).unwrap();
    let elsewhere = Operator { host: "elsewhere".to_owned(), ..ben() };
    let lock = RunLock::acquire(&database, Work::Run, &elsewhere, jiff::Timestamp::UNIX_EPOCH).unwrap();
    lock.name_run(2);
    let error = rig.operations.cancel(true).await.unwrap_err();
    assert!(matches!(error, OperationError::Green(GreenError::CannotEnd { .. })), "{error}");
    assert!(error.to_string().contains("its host is elsewhere"), "{error}");
    drop(lock);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_drops_is_recorded_and_told_at_the_next_start() {
    for on_hangup in [OnHangup::Finish, OnHangup::Cancel] {
        let mut rig = Rig::new(&Data::small(1)).await;
        let line = Line { dropped: CancellationToken::new(), on_hangup };
        rig.operations = rig.operations.clone().with_line(line.clone());
        rig.blue.fault(Endpoint::Boards, When::Always, Fault::Stall(20));
        let mut running = rig.start();
        rig.blue.until_stalled(Endpoint::Boards).await;
        line.dropped.cancel();
        running.until(|event| matches!(event, RunEvent::OperatorGone { .. })).await;
        rig.blue.release();
        let ran = running.end().await.unwrap();
        let expected = if on_hangup == OnHangup::Cancel { RunOutcome::Cancelled } else { RunOutcome::Published };
        assert_eq!(ran.outcome(), expected);
        rig.check();
        let untold = operations_of(&rig, ben()).take_untold().await.unwrap();
        assert_eq!((untold.len(), untold[0].outcome), (1, Some(expected)));
        assert!(untold[0].operator_gone_at.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_is_set_during_a_run_stops_it_whatever_it_was_begun_for() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.operations.hold("from before".to_owned()).await.unwrap();
    rig.blue.send(&Data::small(2));
    let ignoring = || SyncOptions { hold: HoldRule::Ignore, ..SyncOptions::full(Trigger::Cli) };
    assert_eq!(rig.sync_as(ignoring()).await.outcome(), RunOutcome::Published, "it was known when the run began");
    rig.operations.release(None).await.unwrap();
    rig.blue.send(&Data::small(3));
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::Stall(20));
    let running = rig.start_with(ignoring());
    rig.blue.until_stalled(Endpoint::Boards).await;
    operations_of(&rig, ben()).hold("stop".to_owned()).await.unwrap();
    rig.blue.release();
    assert_eq!(running.end().await.unwrap().outcome(), RunOutcome::Held);
    rig.check();
    rig.assert_views(&Data::small(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_has_one_end_whatever_is_told_after_it() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.writer()
        .execute_batch(
            "INSERT INTO sync_events SELECT 1, max(seq) + 1, max(at), 0, json_object('run', 1, 'seq', max(seq) + 1, 'at', \
             '2024-01-01T00:00:00Z', 'event', 'operatorGone', 'cancels', json('false')) FROM sync_events WHERE run_id = 1",
        )
        .unwrap();
    let events = greenroom::sync::kept_events(&Database::open(&rig.path).unwrap(), 1).unwrap();
    assert!(matches!(events.last().unwrap().event, RunEvent::OperatorGone { .. }), "{events:?}");
    let ends = events.iter().filter(|record| matches!(record.event, RunEvent::Ended { .. }));
    assert_eq!(ends.count(), 1);
}
