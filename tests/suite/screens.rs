//! Pictures of the screens in their states, at the sizes and on the terminals that matter.

use std::time::{Duration, Instant};

use greenroom::{
    console::{Effect, Message, Model, ModelOptions, Moment, Theme, update::update, view},
    entity::{Endpoint, Entity, Position},
    report::{
        CleanupReport, DatabaseStatus, DiffCounts, EntityDetail, EntityStatus, HoldEffect, Layout, Operator, PastStep,
        PublicationKind, PublicationReport, QuarantineReport, RecordCounts, RollbackPlan, RollbackTarget, RunOutcome,
        RunSummary, SnapshotReport, StatusReport, StepOutcome, StepReport, SwitchReport, Trigger,
    },
    sync::{EventRecord, RunEvent, event::EntityBefore},
};
use jiff::Timestamp;
use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers},
    layout::Size,
    style::Color,
};

pub(crate) const AT_80: Size = Size::new(80, 24);
pub(crate) const AT_120: Size = Size::new(120, 40);
pub(crate) const MINIMUM: Size = Size::new(60, 16);

pub(crate) fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_763_800_000 + seconds).unwrap()
}

pub(crate) fn operator() -> Operator {
    Operator { user: "ana".into(), host: "gate".into(), pid: 4711 }
}

/// A model and the time at which it is looked at.
pub(crate) struct Scene {
    pub(crate) model: Model,
    pub(crate) begun: Instant,
    pub(crate) seconds: i64,
}

impl Scene {
    pub(crate) fn new(theme: Theme, size: Size) -> Self {
        let begun = Instant::now();
        let options = ModelOptions {
            theme,
            database: "/data/green.db".into(),
            source: Some("https://blue.example.com/".into()),
            operator: operator(),
            demo: false,
            key_guard: Duration::from_millis(300),
        };
        let mut model = Model::new(options, Moment { instant: begun, time: time(0) });
        model.size = size;
        Self { model, begun, seconds: 0 }
    }

    pub(crate) fn at(&mut self, seconds: i64) -> &mut Self {
        self.seconds = seconds;
        self
    }

    pub(crate) fn tell(&mut self, message: Message) -> &mut Self {
        self.asks(message);
        self
    }

    pub(crate) fn press(&mut self, code: KeyCode) -> &mut Self {
        self.asks_by(code);
        self
    }

    /// What `message` asks for.
    pub(crate) fn asks(&mut self, message: Message) -> Vec<Effect> {
        let instant = self.begun + Duration::from_secs(self.seconds.unsigned_abs());
        update(&mut self.model, message, Moment { instant, time: time(self.seconds) })
    }

    /// What the key of `code` asks for.
    pub(crate) fn asks_by(&mut self, code: KeyCode) -> Vec<Effect> {
        self.asks(Message::Input(Event::Key(KeyEvent::new(code, KeyModifiers::NONE))))
    }

    pub(crate) fn event(&mut self, event: RunEvent) -> &mut Self {
        let record = EventRecord { run: 7, seq: 1, at: time(self.seconds), event };
        self.tell(Message::Event(record))
    }

    pub(crate) fn draw(&self) -> Terminal<TestBackend> {
        let mut terminal = Terminal::new(TestBackend::new(self.model.size.width, self.model.size.height)).unwrap();
        terminal.draw(|frame| view::draw(&self.model, frame)).unwrap();
        terminal
    }

    pub(crate) fn picture(&self) -> String {
        self.draw().backend().to_string()
    }
}

/// Ten entities with figures that differ, live since an hour.
pub(crate) fn status(active: i64, backup: i64) -> StatusReport {
    let entities = (1..).zip(Entity::ALL).map(|(place, entity)| EntityStatus {
        entity,
        active_version: active,
        backup_version: backup,
        active_rows: if active == 0 { 0 } else { place * place * 10_007 },
        backup_rows: (backup != 0).then_some(place * 9_000),
        bytes: (active != 0).then_some(28_211),
        made_from: (active != 0).then(|| RecordCounts {
            records: place * 11_000,
            duplicates: 3,
            quarantined: place % 3,
            notes: 0,
        }),
        diff: (backup != 0).then_some(DiffCounts { added: place * 7, removed: place % 3, changed: place * 100 }),
        snapshots: 2,
        published_at: (active != 0).then(|| time(-3600)),
        checked_at: (active != 0).then(|| time(-60)),
        run_id: (active != 0).then_some(6),
    });
    StatusReport {
        waiting: None,
        server: None,
        last_trigger: None,
        database: DatabaseStatus {
            path: "/data/green.db".into(),
            layout: Layout::Standard,
            bytes: 888_856_576,
            free_bytes: 4096,
            wal_bytes: 0,
            wal_readers: Vec::new(),
        },
        source: Some("https://blue.example.com/".into()),
        hold: None,
        held_run: None,
        app_migration: None,
        running: None,
        owner: None,
        entities: entities.collect(),
        last_run: (active != 0).then(|| past_run(6, RunOutcome::Published, None)),
        publication: (active != 0).then(|| publication(5, PublicationKind::Sync)),
    }
}

pub(crate) fn past_run(id: i64, outcome: RunOutcome, error: Option<&str>) -> RunSummary {
    RunSummary {
        requested_by: None,
        id,
        trigger: Trigger::Console,
        outcome: Some(outcome),
        started_at: time(-3612),
        finished_at: Some(time(-3600)),
        duration_ms: Some(12_345),
        operator: operator(),
        source: "https://blue.example.com/".into(),
        publication: None,
        scope: None,
        dry_run: false,
        replay: None,
        replay_of: None,
        error: error.map(str::to_owned),
        cancel_asked_by: None,
        operator_gone_at: None,
    }
}

pub(crate) fn publication(id: i64, kind: PublicationKind) -> PublicationReport {
    PublicationReport {
        id,
        kind,
        run: Some(6),
        undoes: None,
        replay_of: None,
        accepted: Vec::new(),
        published_at: time(-3600),
        operator: operator(),
    }
}

pub(crate) fn step(outcome: StepOutcome, error: Option<&str>) -> StepReport {
    StepReport {
        entity: Entity::Talents,
        outcome: Some(outcome),
        attempts: 1,
        bytes: 28_211,
        records: 61,
        rows: 60,
        rows_before: 59,
        quarantined: 1,
        duplicates: 0,
        notes: 1,
        diff: Some(DiffCounts { added: 1, removed: 0, changed: 3 }),
        active_version: 1,
        backup_version: 2,
        snapshot: Some(12),
        error: error.map(str::to_owned),
    }
}

pub(crate) fn detail() -> EntityDetail {
    let snapshot = |id, in_use| SnapshotReport {
        id,
        endpoint: Endpoint::Talents,
        run: id,
        fetched_at: time(-3610),
        bytes: 28_211,
        records: 61,
        hash: "9fc63dde5b22a0".into(),
        envelope: "data".into(),
        parts: 1,
        in_use,
    };
    let kept = |column: Option<&str>, reason: &str| QuarantineReport {
        endpoint: Endpoint::Talents,
        entity: Entity::Talents,
        position: Position { record: 17, item: None },
        column: column.map(str::to_owned),
        reason: reason.into(),
        record: "{\"id\":\"c17\",\"firstName\":\"Zoë\u{1b}[31m\"}".into(),
    };
    EntityDetail {
        snapshots: vec![snapshot(12, true), snapshot(4, true), snapshot(3, false)],
        steps: vec![
            PastStep { run: past_run(6, RunOutcome::Published, None), step: step(StepOutcome::Published, None) },
            PastStep {
                run: past_run(5, RunOutcome::Failed, Some("x")),
                step: step(StepOutcome::Failed, Some("talents (/api/v1/public/talents): HTTP status 500 (3 attempts)")),
            },
        ],
        quarantine: vec![
            kept(None, "lastName: missing"),
            kept(Some("bio"), "expected a text, found the number 7; stored NULL"),
        ],
    }
}

pub(crate) fn started() -> RunEvent {
    started_as(Trigger::Console, operator(), None)
}

/// The same by another trigger, of somebody else.
pub(crate) fn started_as(trigger: Trigger, operator: Operator, requested_by: Option<&str>) -> RunEvent {
    let before = Entity::ALL.map(|entity| EntityBefore {
        entity,
        active_version: 1,
        backup_version: 2,
        rows: 1200,
        made_from: RecordCounts { records: 1203, duplicates: 3, ..RecordCounts::default() },
    });
    RunEvent::Started {
        requested_by: requested_by.map(str::to_owned),
        trigger,
        operator,
        source: "https://blue.example.com/".into(),
        based_on: Some(5),
        entities: before.to_vec(),
        left_alone: Vec::new(),
        dry_run: false,
        replay: None,
        replay_of: None,
    }
}

pub(crate) fn live(theme: Theme, size: Size) -> Scene {
    let mut scene = Scene::new(theme, size);
    scene.tell(Message::Status(Ok(Box::new(status(1, 2)))));
    scene.tell(Message::Runs(Ok(vec![
        past_run(6, RunOutcome::Published, None),
        past_run(5, RunOutcome::Failed, Some("talents (/api/v1/public/talents): HTTP status 500 (3 attempts)")),
        past_run(4, RunOutcome::Cancelled, Some("cancelled before its publish; nothing was switched")),
    ])));
    scene.tell(Message::Detail(Entity::Talents, Ok(detail())));
    scene
}

/// A run with an entity in every stage.
pub(crate) fn running(theme: Theme, size: Size) -> Scene {
    let mut scene = live(theme, size);
    scene.press(KeyCode::Char('s'));
    scene.event(started()).at(4);
    scene.event(RunEvent::AttemptStarted { endpoint: Endpoint::Talents, attempt: 1 });
    scene.event(RunEvent::Receiving {
        endpoint: Endpoint::Talents,
        bytes: 700_000,
        announced: Some(1_000_000),
        elements: 80,
    });
    scene.event(RunEvent::AttemptStarted { endpoint: Endpoint::Boards, attempt: 2 });
    scene.event(RunEvent::AttemptFailed {
        endpoint: Endpoint::Boards,
        attempt: 2,
        bytes: 0,
        status: Some(503),
        error: "HTTP status 503".into(),
        excerpt: None,
        retry_in_ms: Some(2000),
    });
    for endpoint in [Endpoint::MediaTags, Endpoint::TalentsPortfolios, Endpoint::PortfoliosMedia] {
        scene.event(RunEvent::AttemptStarted { endpoint, attempt: 1 });
        scene.event(RunEvent::Staged {
            endpoint,
            attempt: 1,
            snapshot: 20,
            bytes: 166_723_584,
            elements: 400,
            known: false,
            not_modified: false,
        });
    }
    scene.event(RunEvent::Loading { entity: Entity::MediaTags, elements: 100, records: 389_153 });
    scene.event(RunEvent::Ready {
        entity: Entity::TalentsPortfolios,
        records: 1240,
        rows: 1237,
        duplicates: 1,
        quarantined: 2,
        notes: 1,
        diff: Some(DiffCounts { added: 40, removed: 3, changed: 7 }),
        same: false,
    });
    scene.event(RunEvent::Unchanged { entity: Entity::TalentsMeasurements });
    scene.event(RunEvent::EndpointFailed {
        endpoint: Endpoint::TalentsSocials,
        error: "talentsSocials (/api/v1/public/talents/socials): HTTP status 500 (3 attempts)".into(),
    });
    scene
}

pub(crate) fn rollback_plan() -> RollbackPlan {
    let switch = |entity, diff| SwitchReport {
        entity,
        from_version: 1,
        to_version: 2,
        rows_before: 1_028_736,
        rows_after: 1_028_000,
        diff: Some(diff),
    };
    let entities = Entity::ALL.map(|entity| match entity {
        Entity::MediaTagsJunction => switch(entity, DiffCounts::default()),
        _ => switch(entity, DiffCounts { added: 1, removed: 737, changed: 12 }),
    });
    RollbackPlan {
        target: RollbackTarget::Newest,
        publication: Some(publication(5, PublicationKind::Sync)),
        newest: 5,
        crossing: Vec::new(),
        hold: HoldEffect::Set,
        leads_forward: false,
        entities: entities.to_vec(),
        backup_published_at: Some(time(-7200)),
    }
}

fn cleanup_plan() -> CleanupReport {
    CleanupReport {
        dry_run: true,
        snapshots: Vec::new(),
        leftovers: vec!["boards_trash_6".into()],
        runs: 12,
        bytes_before: 888_856_576,
        bytes_after: 444_000_000,
    }
}

#[test]
fn before_the_first_sync() {
    let mut scene = Scene::new(Theme::DEFAULT, AT_80);
    insta::assert_snapshot!("opening_80", scene.picture());
    scene.tell(Message::Status(Ok(Box::new(status(0, 0)))));
    insta::assert_snapshot!("empty_80", scene.picture());
}

#[test]
fn at_rest() {
    for (name, size) in [("live_80", AT_80), ("live_120", AT_120), ("live_60", MINIMUM)] {
        insta::assert_snapshot!(name, live(Theme::DEFAULT, size).picture());
    }
}

#[test]
fn during_a_run() {
    for (name, size) in [("running_80", AT_80), ("running_120", AT_120), ("running_60", MINIMUM)] {
        insta::assert_snapshot!(name, running(Theme::DEFAULT, size).picture());
    }
}

#[test]
fn without_colour_and_beyond_ascii() {
    let plain = Theme { color: false, ascii: true };
    let mut scene = running(plain, AT_80);
    insta::assert_snapshot!("running_80_ascii", scene.picture());
    scene.press(KeyCode::Tab);
    let terminal = scene.draw();
    for cell in &terminal.backend().buffer().content {
        assert!(cell.symbol().is_ascii(), "{:?}", cell.symbol());
        assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset));
    }
}

#[test]
fn states_are_told_in_colour_too() {
    let terminal = running(Theme::DEFAULT, AT_80).draw();
    let buffer = terminal.backend().buffer();
    let colour_of = |word: &str| {
        let place = (0..buffer.area.height).find_map(|y| {
            let line: String = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect();
            let at = line.split(word).next().filter(|before| before.len() < line.len())?;
            (y >= 3).then(|| (u16::try_from(at.chars().count()).unwrap(), y))
        });
        buffer[place.unwrap()].fg
    };
    assert_eq!(colour_of("failed"), Color::Red);
    assert_eq!(colour_of("retrying"), Color::Yellow);
    assert_eq!(colour_of("load "), Color::Cyan);
}

#[test]
fn the_lower_panes() {
    let mut scene = live(Theme::DEFAULT, AT_80);
    scene.press(KeyCode::Enter);
    insta::assert_snapshot!("detail_80", scene.picture());
    scene.press(KeyCode::Tab).press(KeyCode::Down);
    insta::assert_snapshot!("runs_80", scene.picture());
    let mut scene = live(Theme::DEFAULT, MINIMUM);
    scene.press(KeyCode::Enter);
    insta::assert_snapshot!("detail_60", scene.picture());
}

#[test]
fn questions_show_their_figures() {
    for (name, size) in [("rollback_80", AT_80), ("rollback_60", MINIMUM)] {
        let mut scene = live(Theme::DEFAULT, size);
        scene.tell(Message::RollbackPlanned(Ok(rollback_plan())));
        let picture = scene.picture();
        assert!(picture.contains("any other key: No"), "{picture}");
        insta::assert_snapshot!(name, picture);
        // The entities that do not fit can be reached without that being taken for an answer.
        scene.at(1);
        for _ in 0..10 {
            scene.press(KeyCode::Down);
        }
        let picture = scene.picture();
        assert!(picture.contains("mediatags_junction  v1>v2"), "{picture}");
        assert!(picture.contains("any other key: No"), "{picture}");
    }
    let mut scene = live(Theme::DEFAULT, AT_80);
    scene.tell(Message::CleanupPlanned(Ok(cleanup_plan()))).at(1);
    scene.press(KeyCode::Char('c')).press(KeyCode::Char('l'));
    insta::assert_snapshot!("cleanup_80", scene.picture());
    let mut scene = running(Theme::DEFAULT, AT_80);
    scene.press(KeyCode::Char('q'));
    insta::assert_snapshot!("quit_80", scene.picture());
}

#[test]
fn help_lists_every_action() {
    let mut scene = live(Theme::DEFAULT, Size::new(100, 45));
    scene.press(KeyCode::Char('?'));
    let picture = scene.picture();
    for action in greenroom::console::action::ACTIONS {
        let words = action.help.split_whitespace().next().unwrap();
        assert!(picture.contains(words), "{:?}\n{picture}", action.id);
        assert!(picture.contains(&action.keys[0].label()), "{:?}\n{picture}", action.id);
    }
    insta::assert_snapshot!("help_100", picture);
}

#[test]
fn keys_typed_before_the_question_are_no_answer() {
    let mut scene = live(Theme::DEFAULT, AT_80);
    scene.tell(Message::RollbackPlanned(Ok(rollback_plan())));
    scene.press(KeyCode::Char('Y'));
    assert!(scene.picture().contains("Roll back"), "dropped within the guard");
    let moment = Moment { instant: scene.begun + Duration::from_millis(301), time: time(0) };
    let key = Message::Input(Event::Key(KeyEvent::new(KeyCode::Char('Y'), KeyModifiers::NONE)));
    let effects = update(&mut scene.model, key, moment);
    assert_eq!(effects, [Effect::Rollback { plan: Box::new(rollback_plan()), set_hold: true }]);
}

#[test]
fn an_answer_overtaken_by_another_choice_displaces_nothing() {
    let mut scene = live(Theme::DEFAULT, AT_80);
    scene.press(KeyCode::Enter);
    let before = scene.picture();
    assert!(before.contains("snapshots of talents: 3"), "{before}");
    scene.tell(Message::Detail(Entity::Boards, Ok(detail())));
    assert_eq!(scene.picture(), before);
}

#[test]
fn one_question_stands_at_a_time() {
    let mut scene = live(Theme::DEFAULT, AT_80);
    scene.tell(Message::RollbackPlanned(Ok(rollback_plan())));
    scene.tell(Message::RollbackPlanned(Ok(rollback_plan())));
    scene.tell(Message::CleanupPlanned(Ok(cleanup_plan()))).at(1);
    scene.press(KeyCode::Esc);
    let picture = scene.picture();
    assert!(!picture.contains("Roll back") && !picture.contains("Clean up"), "{picture}");
}

#[test]
fn leaving_waits_for_a_rollback_that_was_begun() {
    let mut scene = live(Theme::DEFAULT, AT_80);
    scene.tell(Message::RollbackPlanned(Ok(rollback_plan()))).at(1);
    scene.press(KeyCode::Char('Y'));
    let quit = |scene: &mut Scene| {
        let key = Message::Input(Event::Key(KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE)));
        update(&mut scene.model, key, Moment { instant: scene.begun, time: time(1) })
    };
    assert_eq!(quit(&mut scene), []);
    assert!(scene.picture().contains("still rolling back"), "{}", scene.picture());
    scene.tell(Message::RolledBack(Err("the database was locked".into())));
    assert_eq!(quit(&mut scene), [Effect::Quit]);
}

#[test]
fn a_screen_too_small_says_what_it_needs() {
    let picture = live(Theme::DEFAULT, Size::new(59, 20)).picture();
    assert!(picture.contains("greenroom needs 60 x 16, this is 59 x 20"), "{picture}");
    for (width, height) in [(1, 1), (60, 15), (200, 3)] {
        live(Theme::DEFAULT, Size::new(width, height)).picture();
    }
}

#[test]
fn every_size_can_be_drawn() {
    for width in (60..=300).step_by(7) {
        for height in (16..=100).step_by(5) {
            let mut scene = running(Theme::DEFAULT, Size::new(width, height));
            scene.picture();
            scene.press(KeyCode::Tab).picture();
            scene.tell(Message::RollbackPlanned(Ok(rollback_plan()))).picture();
        }
    }
}
