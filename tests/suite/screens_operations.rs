//! Pictures of the questions and lists of the console's operations, and the requests that they make.

use greenroom::{
    console::{Effect, Message, Theme},
    entity::{Endpoint, Entity},
    green::{DiffSubject, HoldRule, Page},
    guard::Acceptance,
    ops::ReplayOptions,
    report::{
        ColumnDiff, CrossingReport, DiffCounts, DiffReport, DiffSide, EntityDiff, Guard, GuardReport, HoldEffect,
        HoldReport, PublicationKind, PublicationReport, PublishPlan, QuarantineList, QuarantineRecord, Replay,
        RollbackPlan, RollbackTarget, RowChange, RowDiff, RunOutcome, RunReport, RunSummary, StepOutcome, StepReport,
        SyncReport,
    },
    sync::RunEvent,
};
use ratatui::{crossterm::event::KeyCode, layout::Size, style::Modifier};

use crate::screens::{AT_80, MINIMUM, Scene, live, operator, past_run, publication, rollback_plan, status, step, time};

fn hold() -> HoldReport {
    let reason = "publication 5 was taken back, as its boards were all gone".to_owned();
    HoldReport { since: time(-300), operator: operator(), reason, publication: Some(6) }
}

/// Live, and held.
fn held(theme: Theme, size: Size) -> Scene {
    let mut scene = live(theme, size);
    let state = greenroom::report::StatusReport { hold: Some(hold()), ..status(1, 2) };
    scene.tell(Message::Status(Ok(Box::new(state))));
    scene
}

fn findings() -> Vec<GuardReport> {
    let finding = |guard, entity, message: &str| GuardReport {
        guard,
        entity,
        column: None,
        limit: 0.5,
        value: 0.9,
        message: message.to_owned(),
        accepted: false,
    };
    vec![
        finding(Guard::Shrink, Entity::Boards, "100 of 1,240 rows would be left, 91.9 % fewer (limit 50 %)"),
        finding(
            Guard::Dangling,
            Entity::BoardsTalents,
            "5,210 references by boardId would lead to no row of boards (now 0, limit 0)",
        ),
    ]
}

fn steps() -> Vec<StepReport> {
    let of = |entity, outcome, rows_before, rows, diff| StepReport {
        entity,
        rows_before,
        rows,
        diff: Some(diff),
        ..step(outcome, None)
    };
    let removed = DiffCounts { removed: 1140, ..DiffCounts::default() };
    let mut steps = vec![
        of(Entity::Boards, StepOutcome::Ready, 1240, 100, removed),
        of(
            Entity::PortfoliosMedia,
            StepOutcome::Ready,
            1_028_000,
            1_028_736,
            DiffCounts { added: 737, removed: 1, changed: 12 },
        ),
    ];
    let others = Entity::ALL.into_iter().filter(|entity| !matches!(entity, Entity::Boards | Entity::PortfoliosMedia));
    steps.extend(others.map(|entity| of(entity, StepOutcome::Unchanged, 10, 10, DiffCounts::default())));
    steps.sort_by_key(|step| step.entity);
    steps
}

fn held_run() -> RunSummary {
    let error = findings().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    past_run(9, RunOutcome::Held, Some(&error))
}

fn publish_plan(hold: Option<HoldReport>) -> PublishPlan {
    PublishPlan { run: held_run(), entities: steps(), guards: findings(), hold, newest: Some(5), outdated: false }
}

fn diff_report(total: u64, rows: u64) -> DiffReport {
    let value = |column: &str, before: serde_json::Value, after: serde_json::Value| ColumnDiff {
        column: column.to_owned(),
        before,
        after,
    };
    let long = "<p>Born on an island, dancer first, then everything else, and \u{1b}[31mmore".to_owned();
    let row = |number: u64| {
        let (change, columns) = match number % 3 {
            0 => (
                RowChange::Changed,
                vec![
                    value("bio", long.clone().into(), format!("{long} of it</p>").into()),
                    value("talentUserNumber", 17.into(), serde_json::Value::Null),
                ],
            ),
            1 => (RowChange::Added, vec![value("firstName", serde_json::Value::Null, "Zoë".into())]),
            _ => (RowChange::Removed, vec![value("firstName", "Søren".into(), serde_json::Value::Null)]),
        };
        RowDiff { id: format!("c{number}"), change, columns }
    };
    let counts = DiffCounts { added: 1, removed: 2, changed: total - 3 };
    let entity = EntityDiff {
        entity: Entity::Talents,
        active_version: 1,
        backup_version: 2,
        from: DiffSide::Version(2),
        to: DiffSide::Version(1),
        counts: Some(counts),
        rows: Some((0..rows).map(row).collect()),
    };
    DiffReport { entities: vec![entity] }
}

fn quarantined(column: Option<&str>, gone_since_run: Option<i64>) -> QuarantineRecord {
    QuarantineRecord {
        endpoint: Endpoint::Talents,
        entity: Entity::Talents,
        column: column.map(str::to_owned),
        reason: "expected a text, found the number 7".to_owned(),
        first_run: 3,
        first_seen_at: time(-90_000),
        last_run: 6,
        last_seen_at: time(-3600),
        gone_since_run,
        position: None,
        record: "{\"id\":\"c17\",\n \"firstName\":\"Zoë\u{1b}[31m\",\"bio\":\"a text that goes on for longer than one line of a screen holds\"}".into(),
    }
}

/// A question and its picture at each of two sizes.
fn asked(name: &str, scene: impl Fn(Size) -> Scene, needed: &[&str]) {
    for (end, size) in [("80", AT_80), ("60", MINIMUM)] {
        let picture = scene(size).picture();
        for needed in needed {
            assert!(picture.contains(needed), "{needed}: {picture}");
        }
        insta::assert_snapshot!(format!("{name}_{end}"), picture);
    }
}

#[test]
fn the_hold_stands_on_every_screen() {
    asked("held", |size| held(Theme::DEFAULT, size), &["HELD since", "by ana@gate: publication 5", "H releases"]);
    let plain = Theme { color: false, ascii: true };
    let scene = held(plain, MINIMUM);
    let terminal = scene.draw();
    insta::assert_snapshot!("held_60_ascii", terminal.backend().to_string());
    assert!(terminal.backend().buffer()[(1, 1)].modifier.contains(Modifier::REVERSED));
    // No list and no question lies on it, at no size.
    for size in [AT_80, MINIMUM, Size::new(200, 60)] {
        for code in [KeyCode::Char('?'), KeyCode::Char('H'), KeyCode::Char('s'), KeyCode::Char('S'), KeyCode::Tab] {
            let mut scene = held(Theme::DEFAULT, size);
            scene.press(code);
            let picture = scene.picture();
            assert!(picture.lines().nth(1).unwrap().contains("HELD since"), "{code:?} {picture}");
        }
        let mut scene = held(Theme::DEFAULT, size);
        scene.tell(Message::RollbackPlanned(Ok(rollback_plan())));
        let picture = scene.picture();
        assert!(picture.lines().nth(1).unwrap().contains("HELD since"), "{picture}");
        assert!(picture.contains("any other key: No"), "{picture}");
    }
}

#[test]
fn questions_about_the_hold() {
    let after = |code| {
        move |size| {
            let mut scene = held(Theme::DEFAULT, size);
            scene.press(KeyCode::Char(code));
            scene
        }
    };
    asked("sync_held", after('s'), &["keep it", "release the hold", "any other key: no run"]);
    asked("release", after('H'), &["Y release it", "any other key: No"]);
    let reason = |size| {
        let mut scene = live(Theme::DEFAULT, size);
        scene.press(KeyCode::Char('H'));
        scene
    };
    asked("hold", reason, &["Reason: (set by hand)", "Esc: No"]);
    let mut scene = reason(AT_80);
    "boards\u{202e} gone".chars().for_each(|character| drop(scene.asks_by(KeyCode::Char(character))));
    scene.press(KeyCode::Backspace);
    assert_eq!(scene.asks_by(KeyCode::Enter), [Effect::Hold("boards gon".to_owned())]);
    let mut scene = after('H')(AT_80);
    assert_eq!(scene.asks_by(KeyCode::Char('Y')), [], "dropped within the guard");
    assert_eq!(scene.at(1).asks_by(KeyCode::Char('Y')), [Effect::Release(Box::new(hold()))]);
}

#[test]
fn marks_are_shown_and_chosen_from() {
    let marked = |theme, size| {
        let mut scene = live(theme, size);
        scene.press(KeyCode::Char(' ')).press(KeyCode::Down).press(KeyCode::Char(' '));
        scene
    };
    asked("marked", |size| marked(Theme::DEFAULT, size), &["2 marked", "✓talents ", "✓mediatags ", "▸ talentsp"]);
    let picture = marked(Theme { color: false, ascii: true }, MINIMUM).picture();
    assert!(picture.contains(" *talents ") && picture.contains("> talentsportfolios"), "{picture}");
    let form = |size| {
        let mut scene = marked(Theme::DEFAULT, size);
        scene.press(KeyCode::Char('S')).at(1).press(KeyCode::Char('p'));
        scene
    };
    asked("sync_with", form, &["2 of 10 entities", "left alone: ", "[x] partial", "Esc: No"]);
    let mut scene = held(Theme::DEFAULT, AT_80);
    scene.press(KeyCode::Char('S')).at(1);
    assert!(scene.picture().contains("start, stays held"), "{}", scene.picture());
    scene.press(KeyCode::Char('u')).press(KeyCode::Char('f'));
    let effects = scene.asks_by(KeyCode::Enter);
    let [Effect::Sync(options)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(
        (options.hold.clone(), options.force, options.partial),
        (HoldRule::Release(Box::new(hold())), true, false)
    );
}

#[test]
fn a_held_run_is_published_by_what_was_shown() {
    let question = |hold: Option<HoldReport>| {
        move |size| {
            let mut scene = if hold.is_some() { held(Theme::DEFAULT, size) } else { live(Theme::DEFAULT, size) };
            scene.tell(Message::PublishPlanned(Ok(Box::new(publish_plan(hold.clone())))));
            scene
        }
    };
    asked("publish", question(None), &["Publish run 9", "! shrink guard, boards: 100 of 1,240", "any other key: No"]);
    asked("publish_held", question(Some(hold())), &["Y releases the hold", "any other key: No"]);
    let expected = |hold| ReplayOptions {
        run: 9,
        replay: Replay::Publish,
        dry_run: false,
        accept: vec![
            Acceptance::Guard(Some(Entity::Boards), Guard::Shrink),
            Acceptance::Guard(Some(Entity::BoardsTalents), Guard::Dangling),
        ],
        expected: Some(Some(5)),
        hold,
    };
    for (set, rule) in [(None, HoldRule::Obey), (Some(hold()), HoldRule::Release(Box::new(hold())))] {
        let mut scene = question(set)(AT_80);
        assert_eq!(scene.asks_by(KeyCode::Char('Y')), [], "dropped within the guard");
        assert_eq!(scene.at(1).asks_by(KeyCode::Char('Y')), [Effect::Replay(Box::new(expected(rule)))]);
    }
    // Under a run of ours there is no place for another.
    let mut scene = live(Theme::DEFAULT, AT_80);
    let plan = PublishPlan { outdated: true, ..publish_plan(None) };
    let effects = scene.asks(Message::PublishPlanned(Ok(Box::new(plan.clone()))));
    let [Effect::Replay(options)] = effects.as_slice() else { panic!("{effects:?}") };
    assert!(options.dry_run && options.accept.is_empty() && options.run == 9, "{options:?}");
    assert_eq!(scene.asks(Message::PublishPlanned(Ok(Box::new(plan)))), []);
}

/// A console in which a dry run for going back to run 3 ended.
fn gone_back(size: Size, lying_on_top: Option<KeyCode>) -> Scene {
    let mut scene = live(Theme::DEFAULT, size);
    scene.tell(Message::Runs(Ok(vec![past_run(3, RunOutcome::Published, None)])));
    scene.press(KeyCode::Tab).press(KeyCode::Tab);
    let effects = scene.asks_by(KeyCode::Char('b'));
    let [Effect::Replay(options)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((options.run, options.replay, options.dry_run), (3, Replay::Rollback, true));
    scene.event(RunEvent::Started {
        requested_by: None,
        trigger: greenroom::report::Trigger::Replay,
        operator: operator(),
        source: "snapshots of run 3".into(),
        based_on: Some(5),
        entities: Vec::new(),
        left_alone: Vec::new(),
        dry_run: true,
        replay: Some(Replay::Rollback),
        replay_of: Some(3),
    });
    if let Some(code) = lying_on_top {
        scene.press(code);
    }
    let replay = Some(Replay::Rollback);
    let run = RunSummary { dry_run: true, replay, replay_of: Some(3), ..past_run(7, RunOutcome::Held, Some("held")) };
    let report = SyncReport { run, entities: steps(), guards: findings(), hold: None, left_alone: Vec::new() };
    scene.tell(Message::RunEnded(Ok(report)));
    scene
}

#[test]
fn going_back_is_asked_by_the_figures_of_its_dry_run() {
    asked("go_back", |size| gone_back(size, None), &["Go back to run 3", "! shrink guard", "The hold is set"]);
    let mut scene = gone_back(AT_80, None);
    scene.at(1).press(KeyCode::Char('n')).press(KeyCode::Char('n'));
    let expected = ReplayOptions {
        run: 3,
        replay: Replay::Rollback,
        dry_run: false,
        accept: findings().iter().map(Acceptance::of).collect(),
        expected: Some(Some(5)),
        hold: HoldRule::Set("went back to run 3".to_owned()),
    };
    assert_eq!(scene.asks_by(KeyCode::Char('Y')), [Effect::Replay(Box::new(expected))]);
    // Where something lies on top, the question waits and is then asked from the start.
    let mut scene = gone_back(AT_80, Some(KeyCode::Char('?')));
    assert!(!scene.picture().contains("Go back to run 3"));
    scene.at(5).press(KeyCode::Esc);
    assert!(scene.picture().contains("Go back to run 3"), "{}", scene.picture());
    assert_eq!(scene.asks_by(KeyCode::Char('Y')), [], "dropped within the guard");
}

#[test]
fn a_rollback_says_what_is_undone_and_what_relates_across() {
    let entities = |size| {
        let mut scene = live(Theme::DEFAULT, size);
        let crossing = |column: &str, dangling_after| CrossingReport {
            entity: Entity::BoardsTalents,
            column: column.to_owned(),
            target: Entity::Talents,
            dangling_before: 0,
            dangling_after,
        };
        let plan = rollback_plan();
        let plan = RollbackPlan {
            target: RollbackTarget::Entities(vec![Entity::Talents, Entity::Boards]),
            publication: None,
            crossing: vec![crossing("talentId", 12), crossing("boardId", 0)],
            entities: plan.entities.into_iter().take(2).collect(),
            ..plan
        };
        scene.tell(Message::RollbackPlanned(Ok(plan)));
        scene
    };
    asked("rollback_entities", entities, &["Roll back talents, boards", "2 relations lead", "any other key: No"]);
    let undo = |size| {
        let mut scene = held(Theme::DEFAULT, size);
        let undone = PublicationReport { undoes: Some(4), ..publication(5, PublicationKind::Rollback) };
        let hold = HoldEffect::Released;
        let plan = RollbackPlan { publication: Some(undone), hold, leads_forward: true, ..rollback_plan() };
        scene.tell(Message::RollbackPlanned(Ok(plan)));
        scene
    };
    asked("undo", undo, &["Undo the rollback", "comes back live", "is released", "Y undo it"]);
    let mut scene = entities(AT_80);
    let effects = scene.at(1).asks_by(KeyCode::Char('n'));
    assert_eq!(effects, []);
    let effects = scene.asks_by(KeyCode::Char('Y'));
    assert!(matches!(effects.as_slice(), [Effect::Rollback { set_hold: false, .. }]), "{effects:?}");
}

#[test]
fn a_difference_is_read_page_by_page_and_given_up_when_nobody_looks() {
    let mut scene = live(Theme::DEFAULT, AT_80);
    let page = |offset| Page { offset, limit: 200 };
    let load =
        |request, subject, offset| Effect::LoadDiff { request, subject, entity: Entity::Talents, page: page(offset) };
    assert_eq!(scene.asks_by(KeyCode::Char('d')), [load(1, DiffSubject::Backup, 0)]);
    insta::assert_snapshot!("diff_reading_80", scene.picture());
    scene.tell(Message::Diff(1, Ok(diff_report(1_028_000, 200))));
    let picture = scene.picture();
    assert!(picture.contains("showing 200 of 1,028,000"), "{picture}");
    assert!(!picture.contains('\u{1b}'), "{picture}");
    insta::assert_snapshot!("diff_80", picture);
    // Far from the end nothing is read, near it the next page, and no other while that is on its way.
    assert_eq!(scene.asks_by(KeyCode::Down), []);
    assert_eq!(scene.asks_by(KeyCode::End), [load(2, DiffSubject::Backup, 200)]);
    assert_eq!(scene.asks_by(KeyCode::End), []);
    assert!(scene.picture().contains("reading more"), "{}", scene.picture());
    scene.tell(Message::Diff(2, Ok(diff_report(1_028_000, 200))));
    assert!(scene.picture().contains("showing 400 of 1,028,000"), "{}", scene.picture());
    // Another subject forgets what was read; what was asked before comes too late.
    assert_eq!(scene.asks_by(KeyCode::End), [load(3, DiffSubject::Backup, 400)]);
    assert_eq!(scene.asks_by(KeyCode::Right), [load(4, DiffSubject::Snapshots(4, 12), 0)]);
    scene.tell(Message::Diff(3, Ok(diff_report(1_028_000, 200))));
    let picture = scene.picture();
    assert!(picture.contains("snapshot 4 > 12") && picture.contains("comparing"), "{picture}");
    scene.tell(Message::Diff(4, Err("snapshot 4 is not there".into())));
    assert!(scene.picture().contains("snapshot 4 is not there"), "{}", scene.picture());
    assert_eq!(scene.asks_by(KeyCode::Left), [load(5, DiffSubject::Backup, 0)]);
    assert_eq!(scene.asks_by(KeyCode::Esc), [Effect::StopDiff]);
    scene.tell(Message::Diff(5, Ok(diff_report(10, 10))));
    assert!(!scene.picture().contains("Diff of"), "{}", scene.picture());
    let mut scene = live(Theme::DEFAULT, MINIMUM);
    scene.press(KeyCode::Char('d')).tell(Message::Diff(1, Ok(diff_report(6, 6))));
    insta::assert_snapshot!("diff_60", scene.picture());
}

#[test]
fn the_quarantine_with_its_records() {
    let listed = |size| {
        let mut scene = live(Theme::DEFAULT, size);
        assert!(matches!(scene.asks_by(KeyCode::Char('u')).as_slice(), [Effect::LoadQuarantine { request: 1, .. }]));
        let effects = scene.asks_by(KeyCode::Char('g'));
        let [Effect::LoadQuarantine { request: 2, query }] = effects.as_slice() else { panic!("{effects:?}") };
        assert!(query.gone && query.entities == [Entity::Talents], "{query:?}");
        // The answer to the first request was overtaken.
        scene.tell(Message::Quarantine(1, Err("too late".into())));
        let records = vec![quarantined(None, None), quarantined(Some("bio"), Some(7))];
        scene.tell(Message::Quarantine(2, Ok(QuarantineList { total: 1203, records })));
        scene
    };
    asked("quarantine", listed, &["1,203 entries", "first 2 shown", "first run 3 (11-21 07:26), ", "export"]);
    let mut scene = listed(AT_80);
    let effects = scene.asks_by(KeyCode::Char('e'));
    let [Effect::ExportQuarantine { name, query }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(name, "greenroom-quarantine-talents-20251122T082640Z.jsonl");
    assert!(query.gone && query.limit > 1_000_000, "{query:?}");
    scene.tell(Message::Exported(Ok((name.clone(), 1203))));
    assert!(scene.picture().contains("1,203 records are written to"), "{}", scene.picture());
}

#[test]
fn a_run_says_what_it_was_about_and_what_can_be_done_with_it() {
    let report =
        |run| RunReport { run, entities: steps(), guards: findings(), attempts: Vec::new(), quarantine: Vec::new() };
    let shown = |run: RunSummary| {
        move |size| {
            let mut scene = live(Theme::DEFAULT, size);
            scene.tell(Message::Run(Ok(report(run.clone()))));
            scene
        }
    };
    let scope = Some(vec![Entity::Talents, Entity::Boards]);
    let held = RunSummary { dry_run: true, scope, replay: Some(Replay::Publish), replay_of: Some(8), ..held_run() };
    let needed =
        ["dry run", "replay of run 8", "only talents, boards", "! shrink guard, boards", "p publish", "d diff"];
    asked("run_held", shown(held.clone()), &needed);
    let mut scene = shown(held)(AT_80);
    assert_eq!(scene.asks_by(KeyCode::Char('b')), [], "nothing of it was live");
    assert_eq!(scene.asks_by(KeyCode::Char('p')), [Effect::PlanPublish(9)]);
    let partial = past_run(9, RunOutcome::Published, Some("boards: HTTP status 500"));
    let mut scene = shown(partial)(AT_80);
    let picture = scene.picture();
    assert!(picture.contains("published in part only: boards: HTTP status 500"), "{picture}");
    assert!(picture.contains("b go back") && !picture.contains("p publish"), "{picture}");
    assert!(matches!(scene.asks_by(KeyCode::Char('b')).as_slice(), [Effect::Replay(_)]));
}
