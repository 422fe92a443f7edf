//! Triggers become runs: one at a time, one that waits, every answer honest and written down.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use greenroom::{
    clock::Clock,
    dispatch::{DispatchError, DispatchOptions, Dispatcher},
    entity::Endpoint,
    green::{Database, Patience, TaskQuery, TaskState},
    ops::Operations,
    report::{RunOutcome, TaskId, TaskReport, Trigger, TriggerAnswer, TriggerReport},
};
use jiff::Timestamp;
use rusqlite::Connection;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    data::Data,
    fake_blue::{Fault, When},
    support::{Rig, ben, impatient, in_time, operations_of},
};

/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(10);

/// A dispatcher at work on a rig.
struct Desk {
    rig: Rig,
    dispatcher: Dispatcher,
    stop: CancellationToken,
    cancel: CancellationToken,
    work: JoinHandle<()>,
}

impl Desk {
    async fn new(options: DispatchOptions) -> Self {
        let rig = Rig::new(&Data::small(1)).await;
        rig.publish().await;
        Self::on(rig, options)
    }

    fn on(rig: Rig, options: DispatchOptions) -> Self {
        let dispatcher = Dispatcher::new(rig.operations.clone(), options);
        let (stop, cancel) = (CancellationToken::new(), CancellationToken::new());
        let (worker, stopped, cancelled) = (dispatcher.clone(), stop.clone(), cancel.clone());
        let work = tokio::spawn(async move { worker.work(stopped, cancelled).await });
        Self { rig, dispatcher, stop, cancel, work }
    }

    async fn trigger(&self) -> TriggerReport {
        self.trigger_as(None).await
    }

    async fn trigger_as(&self, key: Option<&str>) -> TriggerReport {
        let key = key.map(str::to_owned);
        let answer = self.dispatcher.trigger("orchestrate-sync", "10.0.0.7".to_owned(), key);
        in_time("the answer to a trigger", answer).await.unwrap()
    }

    /// Lets the next run stall, and begins it.
    async fn stall(&self) -> TriggerReport {
        self.rig.blue.send(&Data::marked(2));
        self.rig.blue.fault(Endpoint::Boards, When::Always, Fault::StallHead);
        let report = self.trigger().await;
        self.rig.blue.until_stalled(Endpoint::Boards).await;
        report
    }

    /// Lets stalled and later runs go on.
    fn let_go(&self) {
        self.rig.blue.behave();
        self.rig.blue.release();
    }

    async fn task(&self, id: TaskId) -> TaskReport {
        self.rig.operations.task(id).await.unwrap().unwrap()
    }

    async fn ended(&self, id: TaskId) -> TaskReport {
        in_time("the end of a task", async {
            loop {
                let task = self.task(id).await;
                if task.outcome.is_some() {
                    return task;
                }
                tokio::time::sleep(LOOK).await;
            }
        })
        .await
    }

    async fn closed(self) -> Rig {
        self.stop.cancel();
        in_time("the end of the work", self.work).await.unwrap();
        self.rig
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_becomes_a_run_and_its_task_tells_the_end() {
    let desk = Desk::new(DispatchOptions::default()).await;
    desk.rig.blue.send(&Data::marked(2));
    let report = desk.trigger().await;
    assert_eq!((report.answer, report.message.as_str()), (TriggerAnswer::Started, "a sync is started"));
    let task = desk.ended(report.task.unwrap()).await;
    assert_eq!((task.outcome, task.run, task.trigger), (Some(RunOutcome::Published), Some(2), Trigger::Http));
    assert!(task.started_at.is_some() && task.finished_at >= task.started_at && task.error.is_none(), "{task:?}");
    let run = desk.rig.operations.run_summary(2).await.unwrap();
    assert_eq!((run.trigger, run.requested_by.as_deref()), (Trigger::Http, Some("10.0.0.7")));
    let begun = desk.rig.operations.run_events(2).await.unwrap()[0].clone();
    assert!(begun.event.to_string().contains("ana@box (http 10.0.0.7)"), "{}", begun.event);
    assert_eq!(desk.rig.operations.triggers(9).await.unwrap(), [report]);

    desk.rig.blue.fault(Endpoint::Talents, When::Always, Fault::Status(500, Vec::new(), String::new()));
    let failed = desk.ended(desk.trigger().await.task.unwrap()).await;
    assert_eq!(failed.outcome, Some(RunOutcome::Failed));
    assert!(failed.error.unwrap().contains("HTTP status 500"));
    desk.closed().await.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_run_goes_on_one_waits_and_all_others_join_it() {
    let desk = Desk::new(DispatchOptions::default()).await;
    let first = desk.stall().await;
    let answers = join_all((0..63).map(|_| desk.trigger())).await;
    let waiting: Vec<_> = answers.iter().filter(|one| one.answer == TriggerAnswer::Waiting).collect();
    assert_eq!(waiting.len(), 1);
    assert_eq!((waiting[0].run, waiting[0].message.as_str()), (Some(2), "a sync waits behind run 2"));
    assert_ne!(waiting[0].task, first.task);
    for joined in answers.iter().filter(|one| one.answer != TriggerAnswer::Waiting) {
        assert_eq!((joined.answer, joined.task, joined.run), (TriggerAnswer::Joined, waiting[0].task, Some(2)));
        assert_eq!(joined.message, "joined the sync that waits behind run 2");
    }
    let status = desk.rig.operations.status().await.unwrap();
    assert_eq!(status.waiting.as_ref().map(|task| task.id), waiting[0].task);
    assert_eq!(desk.rig.number("SELECT count(*) FROM sync_triggers"), 64);
    // What the source has by then is not in the body that the first run fetched.
    desk.let_go();
    desk.rig.blue.send(&Data::marked(3));
    assert_eq!(desk.ended(first.task.unwrap()).await.run, Some(2));
    let second = desk.ended(waiting[0].task.unwrap()).await;
    assert_eq!((second.outcome, second.run), (Some(RunOutcome::Published), Some(3)));
    let rig = desk.closed().await;
    rig.assert_views(&Data::marked(3));
    assert_eq!(rig.number("SELECT count(*) FROM sync_runs"), 3);
    rig.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_triggers_are_two_runs_at_most() {
    let desk = Desk::new(DispatchOptions::default()).await;
    let answers = join_all((0..64).map(|_| desk.trigger())).await;
    let mut tasks: Vec<_> = answers.iter().map(|one| one.task.unwrap()).collect();
    tasks.sort_unstable();
    tasks.dedup();
    assert!(tasks.len() <= 2, "{tasks:?}");
    for task in &tasks {
        assert!(desk.ended(*task).await.outcome.unwrap().is_success());
    }
    let rig = desk.closed().await;
    assert_eq!(rig.number("SELECT count(*) FROM sync_runs") - 1, i64::try_from(tasks.len()).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_waits_behind_the_run_of_another_process() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.blue.send(&Data::marked(2));
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::StallHead);
    let others = rig.start();
    rig.blue.until_stalled(Endpoint::Boards).await;
    let desk = Desk::on(rig, DispatchOptions::default());
    let report = desk.trigger().await;
    assert_eq!((report.answer, report.run), (TriggerAnswer::Waiting, Some(2)));
    assert_eq!(desk.trigger().await.answer, TriggerAnswer::Joined);
    assert!(desk.task(report.task.unwrap()).await.is_waiting());
    desk.let_go();
    assert_eq!(others.end().await.unwrap().outcome(), RunOutcome::Published);
    assert_eq!(desk.ended(report.task.unwrap()).await.run, Some(3));
    desk.closed().await.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_under_the_hold_are_refused_and_written_down() {
    let desk = Desk::new(DispatchOptions::default()).await;
    desk.rig.operations.hold("bad data".to_owned()).await.unwrap();
    let report = desk.trigger_as(Some("a")).await;
    assert_eq!((report.answer, report.task), (TriggerAnswer::Held, None));
    assert!(report.message.contains("bad data") && report.message.contains("greenroom release"), "{}", report.message);
    assert_eq!(desk.rig.operations.status().await.unwrap().last_trigger, Some(report));
    desk.rig.operations.release(None).await.unwrap();
    // What was refused was no promise that its name could stand for.
    let report = desk.trigger_as(Some("a")).await;
    assert_eq!(report.answer, TriggerAnswer::Started);
    desk.ended(report.task.unwrap()).await;
    assert_eq!(desk.closed().await.number("SELECT count(*) FROM sync_runs"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_dispatcher_refuses_and_writes_nothing() {
    let desk = Desk::new(DispatchOptions { read_only: true, ..DispatchOptions::default() }).await;
    let report = desk.trigger().await;
    assert_eq!((report.answer, report.task), (TriggerAnswer::ReadOnly, None));
    assert_eq!(desk.rig.number("SELECT (SELECT count(*) FROM sync_triggers) + (SELECT count(*) FROM sync_tasks)"), 0);
    desk.closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_is_one_run_for_a_day() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    let now = Arc::new(AtomicI64::new(1_800_000_000_000));
    let told = now.clone();
    let clock = Clock::from_fn(move || Timestamp::from_millisecond(told.load(Ordering::Relaxed)).unwrap());
    let operations = rig.operations.clone().with_seams(clock, Arc::new(|| 0.0));
    let rig = rig.operated_by(operations);
    let desk = Desk::on(rig, DispatchOptions::default());
    let first = desk.trigger_as(Some("deploy-1")).await;
    let task = desk.ended(first.task.unwrap()).await;
    now.fetch_add(24 * 60 * 60 * 1000 - 1, Ordering::Relaxed);
    let again = desk.trigger_as(Some("deploy-1")).await;
    assert_eq!((again.answer, again.task, again.run), (TriggerAnswer::Joined, first.task, task.run));
    assert_eq!(again.message, "the same request as before: run 2 ended unchanged");
    // The run before may still be clearing away.
    let other = desk.trigger_as(Some("deploy-2")).await;
    assert_ne!(other.answer, TriggerAnswer::Joined);
    desk.ended(other.task.unwrap()).await;
    now.fetch_add(1, Ordering::Relaxed);
    let later = desk.trigger_as(Some("deploy-1")).await;
    assert_ne!(later.answer, TriggerAnswer::Joined, "asking again does not make a name last longer");
    desk.ended(later.task.unwrap()).await;
    assert_eq!(desk.closed().await.number("SELECT count(*) FROM sync_runs"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_one_run() {
    let hour = Duration::from_hours(1);
    let patient = DispatchOptions { debounce: hour, longest_debounce: hour, ..DispatchOptions::default() };
    let desk = Desk::new(patient).await;
    let first = desk.trigger().await;
    let message = "a sync begins once no trigger has come for 1h";
    assert_eq!((first.answer, first.message.as_str()), (TriggerAnswer::Waiting, message));
    let second = desk.trigger().await;
    assert_eq!((second.answer, second.task), (TriggerAnswer::Joined, first.task));
    assert_eq!(second.message, "joined the sync that is about to begin");
    // A promise that has not come due outlives the process, and is kept by the next at once.
    let rig = desk.closed().await;
    assert_eq!(rig.number("SELECT count(*) FROM sync_runs"), 1);
    let short = Duration::from_millis(50);
    let quick = DispatchOptions { debounce: short, longest_debounce: short, ..DispatchOptions::default() };
    let desk = Desk::on(rig, quick);
    assert_eq!(desk.ended(first.task.unwrap()).await.run, Some(2));
    let third = desk.trigger().await;
    assert_eq!(third.answer, TriggerAnswer::Waiting);
    assert_eq!(desk.ended(third.task.unwrap()).await.run, Some(3));
    desk.closed().await.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_the_run_end_and_leaves_what_waits_to_the_next_start() {
    let desk = Desk::new(DispatchOptions::default()).await;
    let first = desk.stall().await;
    let waiting = desk.trigger().await;
    desk.stop.cancel();
    in_time("that it takes no more", async {
        while desk.dispatcher.trigger("orchestrate-sync", "10.0.0.7".to_owned(), None).await.is_ok() {
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;
    let refused = desk.dispatcher.trigger("orchestrate-sync", String::new(), None).await;
    assert!(matches!(refused, Err(DispatchError::Closing)));
    assert!(!desk.work.is_finished());
    desk.let_go();
    let rig = desk.closed().await;
    let query = TaskQuery { limit: 9, ..TaskQuery::default() };
    let tasks = rig.operations.tasks(query).await.unwrap();
    let states: Vec<_> = tasks.iter().map(|task| (Some(task.id), TaskState::of(task))).collect();
    let published = TaskState::Ended(RunOutcome::Published);
    assert_eq!(states, [(waiting.task, TaskState::Waiting), (first.task, published)]);
    let desk = Desk::on(rig, DispatchOptions::default());
    assert_eq!(desk.ended(waiting.task.unwrap()).await.outcome, Some(RunOutcome::Unchanged));
    desk.closed().await.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_ends_the_run_that_goes_on() {
    let desk = Desk::new(DispatchOptions::default()).await;
    let first = desk.stall().await;
    desk.stop.cancel();
    desk.cancel.cancel();
    let (operations, rig) = (desk.rig.operations.clone(), desk.closed().await);
    let task = operations.task(first.task.unwrap()).await.unwrap().unwrap();
    assert_eq!(task.outcome, Some(RunOutcome::Cancelled));
    rig.assert_views(&Data::small(1));
    rig.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_begin_is_a_task_that_failed() {
    let rig = Rig::new(&Data::small(1)).await;
    let without_source = Operations::new(Database::open(&rig.path).unwrap(), None, ben());
    let desk = Desk::on(rig.operated_by(without_source), DispatchOptions::default());
    let task = desk.ended(desk.trigger().await.task.unwrap()).await;
    assert_eq!((task.outcome, task.run), (Some(RunOutcome::Failed), None));
    assert!(task.error.unwrap().contains("no source is set"));
    desk.closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_found_by_name_and_state_and_outlive_their_runs() {
    let desk = Desk::new(DispatchOptions::default()).await;
    let first = desk.trigger().await.task.unwrap();
    desk.ended(first).await;
    let going = desk.stall().await.task.unwrap();
    let waiting = desk.trigger().await.task.unwrap();
    let found = async |states: Option<Vec<TaskState>>, kind: Option<&str>, limit| {
        let query = TaskQuery { kind: kind.map(str::to_owned), states, limit };
        let tasks = desk.rig.operations.tasks(query).await.unwrap();
        tasks.into_iter().map(|task| task.id).collect::<Vec<_>>()
    };
    assert_eq!(found(None, None, 9).await, [waiting, going, first]);
    assert_eq!(found(None, Some("orchestrate-sync"), 2).await, [waiting, going]);
    assert!(found(None, Some("other"), 9).await.is_empty());
    assert_eq!(found(Some(vec![TaskState::Going]), None, 9).await, [going]);
    let unchanged = TaskState::Ended(RunOutcome::Unchanged);
    assert_eq!(found(Some(vec![TaskState::Waiting, unchanged]), None, 9).await, [waiting, first]);
    assert!(found(Some(Vec::new()), None, 9).await.is_empty());
    desk.let_go();
    desk.ended(waiting).await;
    desk.rig.writer().execute("DELETE FROM sync_runs WHERE id = 2", []).unwrap();
    assert_eq!(desk.task(first).await.outcome, Some(RunOutcome::Unchanged));
    let rig = desk.closed().await;
    let totals = "SELECT sum(runs) FROM sync_run_totals WHERE trigger_kind = 'http'";
    assert_eq!(rig.number(totals), 3, "runs that are not kept any more stay counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schedule_starts_runs_and_none_under_the_hold() {
    let rig = Rig::new(&Data::small(1)).await;
    let database = Database::open(&rig.path).unwrap();
    // A clock that moves a minute whenever it is looked at, which the schedule does in each round.
    let looks = Arc::new(AtomicI64::new(0));
    let looked = looks.clone();
    let minutes = move || Timestamp::from_second(1_800_000_000 + 60 * looked.fetch_add(1, Ordering::Relaxed)).unwrap();
    let operations = Operations::new(database, Some(impatient(&rig.blue)), ben())
        .with_seams(Clock::from_fn(minutes), Arc::new(|| 0.0));
    let every = Some(Duration::from_secs(30));
    let desk = Desk::on(rig.operated_by(operations), DispatchOptions { every, ..DispatchOptions::default() });
    let until = async |what: &str, reached: &(dyn Fn() -> bool + Sync)| {
        in_time(what, async {
            while !reached() {
                tokio::time::sleep(LOOK).await;
            }
        })
        .await;
    };
    let ended = || desk.rig.number("SELECT count(*) FROM sync_tasks WHERE outcome IS NOT NULL");
    until("scheduled runs", &|| ended() >= 2).await;
    let run = desk.rig.operations.run_summary(1).await.unwrap();
    assert_eq!((run.trigger, run.requested_by.as_deref()), (Trigger::Schedule, Some("every 30s")));
    desk.rig.operations.hold("bad data".to_owned()).await.unwrap();
    // What was promised before the hold is kept.
    until("the last promise", &|| desk.rig.number("SELECT count(*) FROM sync_tasks WHERE outcome IS NULL") == 0).await;
    // The round in which the hold came may have looked before it and asked after it.
    let rounds = async |count: i64| {
        let before = looks.load(Ordering::Relaxed);
        until("rounds of the schedule", &|| looks.load(Ordering::Relaxed) > before + count).await;
    };
    rounds(5).await;
    let asked = "SELECT (SELECT count(*) FROM sync_runs) + (SELECT count(*) FROM sync_triggers)";
    let before = desk.rig.number(asked);
    rounds(20).await;
    assert_eq!(desk.closed().await.number(asked), before, "it does not even ask");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cancelled_by_another_takes_no_later_one_with_it() {
    let desk = Desk::new(DispatchOptions::default()).await;
    let first = desk.stall().await.task.unwrap();
    let cancelled = operations_of(&desk.rig, ben()).cancel(false).await.unwrap();
    assert_eq!(cancelled.run.unwrap().outcome, Some(RunOutcome::Cancelled));
    assert_eq!(desk.ended(first).await.outcome, Some(RunOutcome::Cancelled));
    desk.let_go();
    let next = desk.trigger().await.task.unwrap();
    assert_eq!(desk.ended(next).await.outcome, Some(RunOutcome::Published));
    desk.closed().await.check();
}

/// A promised run that tries to begin while another program has the write lock, which is handed out; it has this patience.
async fn kept_from_beginning(patience: Patience) -> (Desk, TriggerReport, Connection) {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    let database = Database::open(&rig.path).unwrap().with_patience(patience);
    let operations = Operations::new(database, Some(impatient(&rig.blue)), ben());
    let quiet = Duration::from_millis(300);
    let options = DispatchOptions { debounce: quiet, longest_debounce: quiet, ..DispatchOptions::default() };
    let desk = Desk::on(rig.operated_by(operations), options);
    let report = desk.trigger().await;
    let writer = desk.rig.writer();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    in_time("a run that tries to begin", async {
        while desk.rig.operations.lock_owner().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    (desk, report, writer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_a_lock_keeps_from_beginning_is_tried_again() {
    let impatience = Duration::from_millis(20);
    let (desk, report, writer) = kept_from_beginning(Patience { operator: impatience, run: impatience }).await;
    assert!(desk.rig.operations.wait_for_turn(None).await, "it gave up for now");
    let refused = desk.dispatcher.trigger("orchestrate-sync", "10.0.0.8".to_owned(), None).await;
    assert!(refused.is_err(), "nothing can be promised meanwhile");
    writer.execute_batch("ROLLBACK").unwrap();
    assert_eq!(desk.ended(report.task.unwrap()).await.run, Some(2));
    assert_eq!(desk.closed().await.number("SELECT count(*) FROM sync_tasks"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_does_not_wait_for_a_run_that_cannot_begin() {
    let patience = Patience { operator: Duration::from_secs(10), run: Duration::from_hours(24) };
    let (desk, report, writer) = kept_from_beginning(patience).await;
    desk.cancel.cancel();
    let (operations, rig) = (desk.rig.operations.clone(), desk.closed().await);
    assert!(operations.task(report.task.unwrap()).await.unwrap().unwrap().is_waiting(), "the next start begins it");
    writer.execute_batch("ROLLBACK").unwrap();
    drop(rig);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_found_by_the_state_that_is_shown_also_when_its_run_is_dead() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.writer()
        .execute_batch(
            "INSERT INTO sync_runs (id, trigger_kind, source, operator_user, operator_host, operator_pid, started_at)
                 VALUES (9, 'http', 'x', 'ben', 'box', 1, 1);
             INSERT INTO sync_tasks (kind, trigger_kind, requested_by, created_at, run_id, started_at)
                 VALUES ('orchestrate-sync', 'http', '10.0.0.7', 1, 9, 1);",
        )
        .unwrap();
    let count = async |state| {
        let query = TaskQuery { kind: None, states: Some(vec![state]), limit: 5 };
        rig.operations.tasks(query).await.unwrap().len()
    };
    assert_eq!(count(TaskState::Going).await, 0);
    assert_eq!(count(TaskState::Ended(RunOutcome::Interrupted)).await, 1);
    assert_eq!(count(TaskState::Ended(RunOutcome::Failed)).await, 0);
}
