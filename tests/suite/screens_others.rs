//! Pictures of what other processes do: their run going on or silent, the questions about it, and what the start tells.

use greenroom::{
    console::{Effect, Message, Theme},
    entity::{Endpoint, Entity},
    report::{
        CancelReport, DiffCounts, Operator, OwnerReport, PublicationKind, PublicationReport, RunId, RunOutcome,
        RunReport, StatusReport, StepOutcome, Trigger, Work,
    },
    sync::{EventRecord, Observed, RunEvent},
};
use ratatui::{crossterm::event::KeyCode, layout::Size};

use crate::screens::{
    AT_80, MINIMUM, Scene, live, operator, past_run, publication, rollback_plan, started_as, status, step, time,
};

fn ben(host: &str) -> Operator {
    Operator { user: "ben".into(), host: host.into(), pid: 815 }
}

impl Scene {
    fn see(&mut self, observed: Observed) -> Vec<Effect> {
        self.asks(Message::Observed(observed))
    }

    fn see_event(&mut self, run: RunId, event: RunEvent) -> Vec<Effect> {
        let record = EventRecord { run, seq: 1, at: time(self.seconds), event };
        self.see(Observed::Event(record))
    }
}

/// Another operator's run, in the middle.
fn watching(theme: Theme, size: Size, by: Operator) -> Scene {
    let mut scene = live(theme, size);
    scene.see_event(7, started_as(Trigger::Console, by, None));
    scene.at(4);
    for endpoint in [Endpoint::Talents, Endpoint::Boards, Endpoint::MediaTags] {
        scene.see_event(7, RunEvent::AttemptStarted { endpoint, attempt: 1 });
    }
    scene.see_event(
        7,
        RunEvent::Receiving { endpoint: Endpoint::Boards, bytes: 700_000, announced: Some(1_000_000), elements: 80 },
    );
    let staged = RunEvent::Staged {
        endpoint: Endpoint::Talents,
        attempt: 1,
        snapshot: 20,
        bytes: 28_211,
        elements: 61,
        known: false,
        not_modified: false,
    };
    scene.see_event(7, staged);
    let ready = RunEvent::Ready {
        entity: Entity::Talents,
        records: 61,
        rows: 60,
        duplicates: 0,
        quarantined: 1,
        notes: 0,
        diff: Some(DiffCounts { added: 1, removed: 0, changed: 2 }),
        same: false,
    };
    scene.see_event(7, ready);
    scene
}

fn silent(size: Size, by: Operator) -> Scene {
    let mut scene = watching(Theme::DEFAULT, size, by);
    scene.at(20).see(Observed::Answers { run: 7, answers: false });
    scene
}

fn notice(scene: &Scene) -> String {
    scene.picture().lines().last().unwrap().trim_matches('"').trim().to_owned()
}

fn sizes() -> [(&'static str, Size); 2] {
    [("80", AT_80), ("60", MINIMUM)]
}

#[test]
fn another_run_goes_on() {
    for (end, size) in sizes() {
        let scene = watching(Theme::DEFAULT, size, ben("gate"));
        let picture = scene.picture();
        assert!(picture.contains("run 7 of ben@gate") && picture.contains(" 18 %"), "{picture}");
        insta::assert_snapshot!(format!("other_{end}"), picture);
    }
    let plain = Theme { color: false, ascii: true };
    insta::assert_snapshot!("other_80_ascii", watching(plain, AT_80, ben("gate")).picture());
    let mut scene = watching(Theme::DEFAULT, MINIMUM, ben("a-host-with-a-very-long-name.example.com"));
    assert!(scene.picture().contains("run 7 of ben@a-ho…"), "{}", scene.picture());
    scene.see_event(7, RunEvent::CancelAsked { by: operator() });
    assert!(scene.picture().contains(" cancelling"), "{}", scene.picture());
    assert_eq!(scene.asks_by(KeyCode::Char('x')), []);
    let said = scene.model.notice.as_ref().map(|notice| notice.text.clone()).unwrap_or_default();
    assert!(said.ends_with("is being cancelled"), "{said}");
}

#[test]
fn another_run_does_not_answer() {
    for (end, size) in sizes() {
        insta::assert_snapshot!(format!("silent_{end}"), silent(size, ben("gate")).picture());
        insta::assert_snapshot!(format!("silent_elsewhere_{end}"), silent(size, ben("far")).picture());
    }
    let mut scene = silent(AT_80, ben("gate"));
    scene.see(Observed::Answers { run: 7, answers: true });
    assert!(!scene.picture().contains("does not answer"));
}

#[test]
fn ending_another_run_is_asked() {
    for (end, size) in sizes() {
        for (name, mut scene, force) in [
            ("cancel_other", watching(Theme::DEFAULT, size, ben("gate")), false),
            ("cancel_elsewhere", silent(size, ben("far")), false),
            ("cancel_force", silent(size, ben("gate")), true),
        ] {
            scene.at(24).press(KeyCode::Char('x'));
            scene.press(KeyCode::Char('Y'));
            let picture = scene.picture();
            assert!(picture.contains("any other key: No"), "dropped within the guard: {picture}");
            insta::assert_snapshot!(format!("{name}_{end}"), picture);
            for no in [KeyCode::Enter, KeyCode::Char('y')] {
                scene.seconds += 1;
                assert_eq!(scene.asks_by(no), []);
                assert_eq!(
                    notice(&scene),
                    "run 7 of ben@".to_owned()
                        + if name == "cancel_elsewhere" { "far" } else { "gate" }
                        + " was left alone"
                );
                scene.press(KeyCode::Char('x'));
            }
            scene.seconds += 1;
            assert_eq!(scene.asks_by(KeyCode::Char('Y')), [Effect::CancelOther { run: 7, force }]);
        }
    }
}

#[test]
fn a_question_about_a_run_goes_with_it() {
    let mut scene = watching(Theme::DEFAULT, AT_80, ben("gate"));
    scene.press(KeyCode::Char('x')).at(6);
    scene.see_event(7, RunEvent::Ended { outcome: RunOutcome::Unchanged, error: None });
    assert_eq!(scene.asks_by(KeyCode::Char('Y')), []);
    let picture = scene.picture();
    assert!(!picture.contains("Cancel run 7"), "{picture}");
}

#[test]
fn what_became_of_a_cancel_is_told() {
    let asked = |by: Operator| {
        let mut scene = watching(Theme::DEFAULT, AT_80, by);
        scene.press(KeyCode::Char('x')).at(6);
        scene.press(KeyCode::Char('Y'));
        scene
    };
    let owner = |by: Operator| OwnerReport {
        work: Work::Run,
        run: Some(7),
        operator: by,
        since: time(0),
        answers: Some(false),
    };
    let answer = |silent, forced, run| Message::CancelAnswered(7, Ok(Box::new(CancelReport { run, forced, silent })));
    let mut scene = asked(ben("gate"));
    assert!(scene.picture().contains(" cancelling"));
    scene.tell(answer(Some(owner(ben("gate"))), false, None));
    assert!(notice(&scene).contains("was asked to end and does not answer"), "{}", notice(&scene));
    let mut scene = asked(ben("gate"));
    scene.tell(answer(None, true, Some(past_run(7, RunOutcome::Interrupted, None))));
    assert!(notice(&scene).contains("was ended by force"), "{}", notice(&scene));
    scene.see(Observed::Died(7));
    assert!(notice(&scene).contains("was ended by force"), "told once: {}", notice(&scene));
    let mut scene = asked(ben("gate"));
    scene.tell(Message::CancelAnswered(7, Err("its host is far, this one is gate".into())));
    assert!(notice(&scene).contains("its host is far"), "{}", notice(&scene));
    assert_eq!(scene.asks_by(KeyCode::Char('x')), []);
    assert!(scene.picture().contains("Cancel run 7"), "it can be asked again");
}

#[test]
fn what_cannot_be_done_during_another_run_says_whose_it_is() {
    let mut scene = watching(Theme::DEFAULT, AT_80, ben("gate"));
    for key in ['s', 'S', 'p', 'b', 'c'] {
        assert_eq!(scene.asks_by(KeyCode::Char(key)), []);
        let said = notice(&scene);
        assert!(said.contains(": run 7 of ben@gate is going on since ") && said.contains(" UTC"), "{key}: {said}");
    }
    scene.tell(Message::RollbackPlanned(Ok(rollback_plan())));
    insta::assert_snapshot!("rollback_amid_other_80", scene.picture());
    scene.at(10).press(KeyCode::Esc);
    assert_eq!(scene.asks_by(KeyCode::Char('q')), [Effect::Quit], "another's run keeps nobody here");
}

#[test]
fn the_end_of_another_run_is_told_with_its_owner() {
    for (outcome, error, said) in [
        (RunOutcome::Held, Some("empty guard"), "run 7 of ben@gate is held - p shows it: empty guard"),
        (RunOutcome::Failed, Some("no"), "run 7 of ben@gate failed: no"),
        (RunOutcome::Interrupted, None, "run 7 of ben@gate died; nothing of it was switched"),
    ] {
        let mut scene = watching(Theme::DEFAULT, AT_80, ben("gate"));
        let effects = scene.see_event(7, RunEvent::Ended { outcome, error: error.map(str::to_owned) });
        assert!(effects.contains(&Effect::LoadStatus), "{effects:?}");
        assert_eq!(notice(&scene), said);
    }
    let mut scene = watching(Theme::DEFAULT, AT_80, ben("gate"));
    let effects = scene.see(Observed::Died(7));
    assert!(effects.contains(&Effect::Recover), "{effects:?}");
    assert_eq!(notice(&scene), "run 7 of ben@gate died; nothing of it was switched");
    assert!(!scene.picture().contains("fetch"), "{}", scene.picture());
}

#[test]
fn the_start_tells_what_was_missed() {
    let report = |run| RunReport {
        run,
        entities: vec![step(StepOutcome::Published, None)],
        guards: Vec::new(),
        attempts: Vec::new(),
        quarantine: Vec::new(),
    };
    let published = greenroom::report::RunSummary {
        operator_gone_at: Some(time(-3605)),
        ..past_run(8, RunOutcome::Published, None)
    };
    let reports = [report(past_run(9, RunOutcome::Interrupted, None)), report(published)];
    for (end, size) in sizes() {
        let mut scene = live(Theme::DEFAULT, size);
        scene.tell(Message::Untold(vec![reports[1].clone()]));
        insta::assert_snapshot!(format!("untold_{end}"), scene.picture());
    }
    let mut scene = live(Theme::DEFAULT, Size::new(120, 40));
    scene.tell(Message::Untold(reports.to_vec()));
    let said =
        "run 9 of ana@gate was interrupted: its process died; nothing was switched; run 8 ended, too, see the log";
    assert_eq!(notice(&scene), said);
}

#[test]
fn what_others_publish_is_not_taken_for_what_our_run_left() {
    let mut scene = watching(Theme::DEFAULT, AT_80, ben("gate"));
    scene.see_event(7, RunEvent::Ended { outcome: RunOutcome::Unchanged, error: None });
    assert!(scene.picture().contains("ready") || scene.picture().contains("skipped"), "{}", scene.picture());
    let rollback = PublicationReport {
        run: Some(7),
        undoes: Some(5),
        operator: ben("gate"),
        ..publication(6, PublicationKind::Rollback)
    };
    let state = StatusReport { publication: Some(rollback), ..status(2, 1) };
    scene.tell(Message::Status(Ok(Box::new(state))));
    let picture = scene.picture();
    assert!(picture.contains("ben@gate took publication 5 back") && !picture.contains("skipped"), "{picture}");
}

#[test]
fn a_burst_of_changes_is_not_a_burst_of_readings() {
    let mut scene = live(Theme::DEFAULT, AT_80);
    let readings = |effects: Vec<Effect>| effects.iter().filter(|effect| **effect == Effect::LoadStatus).count();
    scene.at(1);
    assert_eq!(readings(scene.see(Observed::Changed)), 1);
    let more: usize = (0..10).map(|_| readings(scene.see(Observed::Changed))).sum();
    assert_eq!(more, 0, "an answer is still to come");
    assert_eq!(readings(scene.asks(Message::Status(Ok(Box::new(status(1, 2)))))), 0);
    assert!(scene.model.next_tick().is_some_and(|tick| tick.as_millis() <= 250));
    scene.at(2);
    assert_eq!(readings(scene.asks(Message::Tick)), 1, "what changed last is read");
    scene.asks(Message::Status(Ok(Box::new(status(1, 2)))));
    scene.at(3);
    assert_eq!(readings(scene.asks(Message::Tick)), 0);
}

#[test]
fn where_others_cannot_be_watched_the_database_is_read_by_the_clock() {
    let mut scene = live(Theme::DEFAULT, AT_80);
    assert!(scene.model.next_tick().is_none_or(|tick| tick.as_secs() > 60), "only ages change");
    scene.tell(Message::Unseen { error: "no".into(), over: true });
    assert_eq!(notice(&scene), "what others do is seen within a minute only, Ctrl-L reads it now: no");
    assert_eq!(scene.model.next_tick().map(|tick| tick.as_secs()), Some(60));
    scene.press(KeyCode::Down).at(60);
    let effects = scene.asks(Message::Tick);
    assert!(effects.contains(&Effect::LoadStatus) && effects.contains(&Effect::Watch), "{effects:?}");
    scene.tell(Message::Unseen { error: "no".into(), over: true });
    assert!(!notice(&scene).contains("within a minute"), "told once");
    // A run is seen by what is recorded of it.
    let running =
        greenroom::report::RunSummary { operator: ben("gate"), outcome: None, ..past_run(7, RunOutcome::Failed, None) };
    scene.tell(Message::Status(Ok(Box::new(StatusReport { running: Some(running), ..status(1, 2) }))));
    scene.press(KeyCode::Char('s'));
    assert!(notice(&scene).contains("sync: run 7 of ben@gate is going on"), "{}", notice(&scene));
}
