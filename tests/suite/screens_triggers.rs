//! Pictures of triggers by other programs and by the schedule: who asks, what waits or was refused, and the server.

use greenroom::{
    console::{Effect, Message, Theme},
    report::{
        HoldReport, ListedTrigger, RunId, RunOutcome, RunReport, RunSummary, ServerReport, StatusReport, StepOutcome,
        TaskReport, Trigger, TriggerAnswer, TriggerList, TriggerReport,
    },
    sync::{EventRecord, Observed, RunEvent},
};
use ratatui::{crossterm::event::KeyCode, layout::Size};

use crate::screens::{AT_80, AT_120, MINIMUM, Scene, live, operator, past_run, started_as, status, step, time};

fn sizes() -> [(&'static str, Size); 3] {
    [("80", AT_80), ("120", AT_120), ("60", MINIMUM)]
}

fn server() -> ServerReport {
    ServerReport {
        address: "127.0.0.1:8080".into(),
        operator: greenroom::report::Operator { user: "green".into(), host: "gate".into(), pid: 812 },
        since: time(-7200),
        every_ms: Some(900_000),
        read_only: false,
    }
}

fn task(id: i64, run: Option<RunId>, outcome: Option<RunOutcome>) -> TaskReport {
    TaskReport {
        id,
        kind: "orchestrate-sync".into(),
        trigger: Trigger::Http,
        requested_by: "10.0.0.7".into(),
        created_at: time(-30),
        run,
        started_at: run.map(|_| time(-20)),
        outcome,
        finished_at: outcome.map(|_| time(-10)),
        error: None,
    }
}

fn trigger(seconds: i64, answer: TriggerAnswer, message: &str) -> TriggerReport {
    TriggerReport {
        at: time(seconds),
        kind: "orchestrate-sync".into(),
        trigger: Trigger::Http,
        requested_by: "10.0.0.7".into(),
        answer,
        message: message.into(),
        task: None,
        run: None,
        idempotency_key: None,
    }
}

/// Every answer, newest first.
fn list() -> TriggerList {
    let promised = |trigger: TriggerReport, task: TaskReport| ListedTrigger {
        trigger: TriggerReport { task: Some(task.id), ..trigger },
        promised: Some(task),
    };
    let schedule = TriggerReport {
        trigger: Trigger::Schedule,
        requested_by: "every 15m".into(),
        ..trigger(-3700, TriggerAnswer::Started, "the run begins")
    };
    let named = TriggerReport {
        requested_by: "2001:db8:4006:812::200e".into(),
        idempotency_key: Some("deploy-2025-11-22\u{1b}[2J".into()),
        ..trigger(-3650, TriggerAnswer::Joined, "joined a run that was asked for before and has yet to begin")
    };
    let refused = ListedTrigger {
        trigger: trigger(
            -300,
            TriggerAnswer::Held,
            "refused: held by ana@gate: publication 5 was taken back; `greenroom release` lets syncs publish again",
        ),
        promised: None,
    };
    TriggerList {
        waiting: Some(task(9, None, None)),
        server: Some(server()),
        triggers: vec![
            promised(trigger(-30, TriggerAnswer::Waiting, "begins once run 7 has ended"), task(9, None, None)),
            promised(trigger(-60, TriggerAnswer::Started, "the run begins"), task(8, Some(7), None)),
            refused,
            promised(named, task(6, Some(6), Some(RunOutcome::Published))),
            promised(schedule, task(5, Some(5), Some(RunOutcome::Failed))),
            ListedTrigger { trigger: trigger(-9000, TriggerAnswer::ReadOnly, "refused: read-only"), promised: None },
        ],
    }
}

/// The request that `effects` hold.
fn requested(effects: &[Effect]) -> u64 {
    let request = effects.iter().find_map(|effect| match effect {
        Effect::LoadTriggers { request } => Some(*request),
        _ => None,
    });
    request.unwrap_or_else(|| panic!("{effects:?}"))
}

fn with(size: Size, change: impl FnOnce(StatusReport) -> StatusReport) -> Scene {
    let mut scene = live(Theme::DEFAULT, size);
    scene.tell(Message::Status(Ok(Box::new(change(status(1, 2))))));
    scene
}

/// The list, open.
fn listing(size: Size) -> Scene {
    let mut scene = with(size, |status| StatusReport { server: Some(server()), ..status });
    let request = requested(&scene.asks_by(KeyCode::Char('t')));
    scene.tell(Message::Triggers(request, Ok(list())));
    scene
}

fn triggered(run: RunSummary) -> RunSummary {
    RunSummary { trigger: Trigger::Http, requested_by: Some("10.0.0.7\u{202e}".into()), ..run }
}

#[test]
fn the_server_and_who_triggered_runs_are_seen_at_rest() {
    for (end, size) in sizes() {
        let last_run = Some(triggered(past_run(6, RunOutcome::Published, None)));
        let mut scene = with(size, |status| StatusReport { server: Some(server()), last_run, ..status });
        let scheduled = RunSummary {
            trigger: Trigger::Schedule,
            requested_by: Some("every 15m".into()),
            ..past_run(5, RunOutcome::Failed, Some("boards: no"))
        };
        scene.tell(Message::Runs(Ok(vec![triggered(past_run(6, RunOutcome::Published, None)), scheduled])));
        scene.press(KeyCode::Tab).press(KeyCode::Tab);
        let picture = scene.picture();
        assert!(picture.contains("serve on 127.0.0.1:8080 · every 15m"), "{picture}");
        assert!(picture.contains("http 10.0.0.7\\u{202e}"), "{picture}");
        insta::assert_snapshot!(format!("served_{end}"), picture);
    }
    let plain = Theme { color: false, ascii: true };
    let mut scene = live(plain, MINIMUM);
    let read_only = ServerReport { read_only: true, address: "[2001:db8::1]:8080".into(), ..server() };
    scene.tell(Message::Status(Ok(Box::new(StatusReport { server: Some(read_only), ..status(1, 2) }))));
    assert!(scene.picture().contains(" serve on [2001:db8::1]:8080 | read-only | every 15m"), "{}", scene.picture());
    assert!(
        !live(plain, AT_80).picture().contains("serve on"),
        "the line is there only when there is something to say"
    );
}

#[test]
fn a_waiting_trigger_is_seen_during_the_run_that_it_waits_behind() {
    for (end, size) in sizes() {
        let served = |status| StatusReport { server: Some(server()), waiting: Some(task(9, None, None)), ..status };
        let mut scene = with(size, served);
        let event = started_as(Trigger::Http, server().operator, Some("10.0.0.8"));
        let seen = EventRecord { run: 7, seq: 1, at: time(0), event };
        scene.tell(Message::Observed(Observed::Event(seen))).at(4).tell(Message::Tick);
        let picture = scene.picture();
        let name = if size == MINIMUM { "run 7 of 10.0.0.8 " } else { "run 7 of http 10.0.0.8 " };
        assert!(picture.contains(name), "{picture}");
        assert!(picture.contains("a sync for 10.0.0.7 waits behind run 7"), "{picture}");
        insta::assert_snapshot!(format!("waiting_{end}"), picture);
        // Who triggered a run is named wherever it is in the way, and when it ends.
        assert_eq!(scene.asks_by(KeyCode::Char('s')), []);
        assert!(scene.picture().contains("run 7 of http 10.0.0.8 is going on since"), "{}", scene.picture());
        scene.press(KeyCode::Char('x'));
        assert!(scene.picture().contains("Cancel run 7 of http 10.0.0.8"), "{}", scene.picture());
        let event = RunEvent::Ended { outcome: RunOutcome::Unchanged, error: None };
        scene.tell(Message::Observed(Observed::Event(EventRecord { run: 7, seq: 2, at: time(5), event })));
        assert!(
            scene.picture().contains("run 7 of http 10.0.0.8: the source sent what is live"),
            "{}",
            scene.picture()
        );
    }
}

#[test]
fn a_trigger_that_waits_for_no_run_says_so() {
    let waiting = || Some(task(9, None, None));
    let scene = with(AT_80, |status| StatusReport { server: Some(server()), waiting: waiting(), ..status });
    assert!(scene.picture().contains("a sync for 10.0.0.7 waits since 08:26:10 · serve on"), "{}", scene.picture());
    let scene = with(MINIMUM, |status| StatusReport { waiting: waiting(), ..status });
    let picture = scene.picture();
    assert!(picture.contains("a sync for 10.0.0.7 waits since 08:26:10, nothing serves"), "{picture}");
    let long = || TaskReport { requested_by: "a-proxy-with-a-name.example.com".into(), ..task(9, None, None) };
    let scene = with(MINIMUM, |status| StatusReport { waiting: Some(long()), ..status });
    let picture = scene.picture();
    assert!(picture.contains(" a sync for a-proxy-with-a-na… waits since 08:26:10, nothin…"), "{picture}");
}

#[test]
fn a_trigger_that_the_hold_refused_is_told() {
    let hold = |seconds| {
        Some(HoldReport { since: time(seconds), operator: operator(), reason: "bad data".into(), publication: None })
    };
    let refused = || Some(trigger(-180, TriggerAnswer::Held, "refused"));
    for (end, size) in sizes() {
        let mut scene = with(size, |status| StatusReport {
            hold: hold(-600),
            server: Some(server()),
            last_trigger: refused(),
            ..status
        });
        let picture = scene.picture();
        assert!(picture.contains("a trigger by 10.0.0.7 was refused 3m ago"), "{picture}");
        insta::assert_snapshot!(format!("refused_{end}"), picture);
        scene.at(60).tell(Message::Tick);
        assert!(scene.picture().contains("was refused 4m ago"), "its age goes on: {}", scene.picture());
    }
    let earlier = with(AT_80, |status| StatusReport { hold: hold(-60), last_trigger: refused(), ..status });
    assert!(!earlier.picture().contains("was refused"), "that was an earlier hold: {}", earlier.picture());
    let started = Some(trigger(-180, TriggerAnswer::Started, "the run begins"));
    let other = with(AT_80, |status| StatusReport { hold: hold(-600), last_trigger: started, ..status });
    assert!(!other.picture().contains("was refused"), "{}", other.picture());
}

#[test]
fn triggers_are_listed_with_what_came_of_them() {
    for (end, size) in sizes() {
        let mut scene = listing(size);
        insta::assert_snapshot!(format!("triggers_{end}"), scene.picture());
        for _ in 0..3 {
            scene.press(KeyCode::Down);
        }
        let picture = scene.picture();
        assert!(picture.contains("2001:db8:4006:812::200e: orchestrate-sync"), "{picture}");
        assert!(picture.contains("task 6: run 6 published, key deploy-2025-11-22\\x1b[2J"), "{picture}");
        assert!(picture.contains("Enter open its run"), "{picture}");
        scene.press(KeyCode::Up);
        let picture = scene.picture();
        assert!(picture.contains("refused: held by ana@gate") && !picture.contains("Enter open"), "{picture}");
        assert_eq!(scene.asks_by(KeyCode::Enter), [], "nothing came of it");
        scene.press(KeyCode::Char('G'));
        assert!(scene.picture().contains("refused: read-only"), "{}", scene.picture());
        scene.press(KeyCode::Esc);
        assert!(!scene.picture().contains("Triggers"), "{}", scene.picture());
    }
    let mut scene = live(Theme::DEFAULT, AT_80);
    let request = requested(&scene.asks_by(KeyCode::Char('t')));
    assert!(scene.picture().contains("reading the triggers"), "{}", scene.picture());
    let empty = TriggerList { waiting: None, server: None, triggers: Vec::new() };
    scene.tell(Message::Triggers(request, Ok(empty)));
    let picture = scene.picture();
    assert!(picture.contains("nothing serves: no triggers are taken now"), "{picture}");
    assert!(picture.contains("no trigger has come yet"), "{picture}");
}

#[test]
fn a_long_list_keeps_the_chosen_trigger_in_sight() {
    let mut scene = with(MINIMUM, |status| status);
    let request = requested(&scene.asks_by(KeyCode::Char('t')));
    let triggers = (0..100).map(|place| {
        let trigger = trigger(-place * 60, TriggerAnswer::Held, &format!("refused, number {place}"));
        ListedTrigger { trigger: TriggerReport { requested_by: format!("host-{place:02}"), ..trigger }, promised: None }
    });
    scene.tell(Message::Triggers(request, Ok(TriggerList { triggers: triggers.collect(), ..list() })));
    for place in 1..100 {
        scene.press(KeyCode::Down);
        let picture = scene.picture();
        assert!(picture.matches(&format!("host-{place:02} ")).count() == 1, "{place}: {picture}");
        assert!(picture.contains(&format!("refused, number {place}")), "{place}: {picture}");
    }
    scene.press(KeyCode::Char('g'));
    assert!(scene.picture().contains("refused, number 0"), "{}", scene.picture());
}

#[test]
fn an_open_list_is_read_again_and_keeps_its_choice() {
    let mut scene = listing(AT_80);
    scene.press(KeyCode::Down);
    assert!(scene.picture().contains("task 8: run 7"), "{}", scene.picture());
    let first = requested(&scene.at(1).asks(Message::Observed(Observed::Changed)));
    scene.tell(Message::Status(Ok(Box::new(status(1, 2)))));
    let second = requested(&scene.at(2).asks(Message::Observed(Observed::Changed)));
    let newer = |message: &str| {
        let mut list = list();
        let trigger = trigger(1, TriggerAnswer::Joined, message);
        list.triggers.insert(0, ListedTrigger { trigger, promised: None });
        Ok(list)
    };
    scene.tell(Message::Triggers(first, newer("too late")));
    assert!(!scene.picture().contains("08:26:41"), "an answer that was overtaken: {}", scene.picture());
    scene.tell(Message::Triggers(second, newer("in time")));
    let picture = scene.picture();
    assert!(picture.contains("08:26:41"), "{picture}");
    assert!(picture.contains("task 8: run 7"), "the choice stays with its trigger: {picture}");
    scene.press(KeyCode::Esc);
    let effects = scene.at(4).asks_by(KeyCode::F(5));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::LoadTriggers { .. })), "{effects:?}");
}

#[test]
fn the_run_of_a_trigger_opens_above_the_list() {
    let mut scene = listing(AT_80);
    scene.press(KeyCode::Down);
    assert_eq!(scene.asks_by(KeyCode::Enter), [Effect::LoadRun(7)]);
    let report = RunReport {
        run: triggered(past_run(7, RunOutcome::Held, Some("empty guard"))),
        entities: vec![step(StepOutcome::Ready, None)],
        guards: Vec::new(),
        attempts: Vec::new(),
        quarantine: Vec::new(),
    };
    scene.tell(Message::Run(Ok(report.clone())));
    insta::assert_snapshot!("triggered_run_80", scene.picture());
    scene.press(KeyCode::Esc);
    assert!(scene.picture().contains("task 8: run 7"), "back in the list: {}", scene.picture());
    scene.tell(Message::Run(Err("run 7 is not kept any more".into())));
    assert!(scene.picture().contains("run 7 is not kept any more"), "{}", scene.picture());
    scene.press(KeyCode::Esc);
    // A question about the run needs the room of the list.
    scene.tell(Message::Run(Ok(report)));
    assert_eq!(scene.asks_by(KeyCode::Char('p')), [Effect::PlanPublish(7)]);
    assert!(scene.model.overlays.is_empty(), "{:?}", scene.model.overlays);
}
