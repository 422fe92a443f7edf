//! The whole console without a terminal: keys in, frames out, real runs against a fake source in between.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use greenroom::{
    console::{Console, Ended, LogBell, ModelOptions, Surface, Theme},
    entity::{Endpoint, Entity},
};
use ratatui::{
    Terminal,
    backend::{Backend, ClearType, TestBackend, WindowSize},
    buffer::Cell,
    crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers},
    layout::{Position, Size},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    data::Data,
    fake_blue::{Fault, When},
    support::{Rig, in_time},
};

/// What was on the screen after a frame, and which frame it was.
#[derive(Clone, Debug, Default)]
struct Shown {
    frame: u64,
    text: String,
}

/// A screen that shows each whole frame to the test.
struct Glass {
    inner: TestBackend,
    shown: watch::Sender<Shown>,
}

impl Surface for Glass {
    fn end_frame(&mut self) -> io::Result<()> {
        let text = self.inner.to_string();
        self.shown.send_modify(|shown| *shown = Shown { frame: shown.frame + 1, text });
        Ok(())
    }
}

impl Backend for Glass {
    type Error = <TestBackend as Backend>::Error;

    fn draw<'a, I: Iterator<Item = (u16, u16, &'a Cell)>>(&mut self, content: I) -> Result<(), Self::Error> {
        self.inner.draw(content)
    }

    fn hide_cursor(&mut self) -> Result<(), Self::Error> {
        self.inner.hide_cursor()
    }

    fn show_cursor(&mut self) -> Result<(), Self::Error> {
        self.inner.show_cursor()
    }

    fn get_cursor_position(&mut self) -> Result<Position, Self::Error> {
        self.inner.get_cursor_position()
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> Result<(), Self::Error> {
        self.inner.set_cursor_position(position)
    }

    fn clear(&mut self) -> Result<(), Self::Error> {
        self.inner.clear()
    }

    fn clear_region(&mut self, clear_type: ClearType) -> Result<(), Self::Error> {
        self.inner.clear_region(clear_type)
    }

    fn size(&self) -> Result<Size, Self::Error> {
        self.inner.size()
    }

    fn window_size(&mut self) -> Result<WindowSize, Self::Error> {
        self.inner.window_size()
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        self.inner.flush()
    }
}

/// A console at work.
struct Desk {
    keys: mpsc::UnboundedSender<Event>,
    shown: watch::Receiver<Shown>,
    /// Every text that was ever on the screen.
    seen: Arc<Mutex<String>>,
    ended: JoinHandle<(Ended, Console)>,
    hang_up: CancellationToken,
}

impl Desk {
    /// Opens a console on the operations of `rig`.
    fn open(rig: &Rig) -> Self {
        let (keys, mut received) = mpsc::unbounded_channel();
        let (shown, watching) = watch::channel(Shown::default());
        let hang_up = CancellationToken::new();
        let options = ModelOptions {
            theme: Theme::DEFAULT,
            database: rig.path.display().to_string(),
            source: rig.operations.source(),
            demo: false,
            key_guard: Duration::ZERO,
        };
        let mut console = Console::new(rig.operations.clone(), options);
        let mut terminal = Terminal::new(Glass { inner: TestBackend::new(100, 30), shown }).unwrap();
        let dropped = hang_up.clone();
        let ended = tokio::spawn(async move {
            let input =
                futures_util::stream::poll_fn(move |context| received.poll_recv(context).map(|key| key.map(Ok)));
            let ended = console.run(&mut terminal, input, LogBell::default(), dropped).await;
            (ended, console)
        });
        let seen = Arc::new(Mutex::new(String::new()));
        let (kept, mut frames) = (seen.clone(), watching.clone());
        tokio::spawn(async move {
            while frames.changed().await.is_ok() {
                kept.lock().unwrap().push_str(&frames.borrow_and_update().text);
            }
        });
        Self { keys, shown: watching, seen, ended, hang_up }
    }

    /// Opens a console and starts a first run that stalls until it is released.
    async fn amid_a_run(rig: &Rig) -> Self {
        rig.blue.fault(Endpoint::Boards, When::Always, Fault::Stall(10));
        let mut desk = Self::open(rig);
        desk.until_shows("no run yet").await;
        desk.press(KeyCode::Char('s'));
        rig.blue.until_stalled(Endpoint::Boards).await;
        desk
    }

    fn press(&self, code: KeyCode) {
        self.keys.send(Event::Key(KeyEvent::new(code, KeyModifiers::NONE))).unwrap();
    }

    fn types(&self, text: &str) {
        text.chars().for_each(|character| self.press(KeyCode::Char(character)));
    }

    /// Waits until the screen is as `wanted` says and returns it.
    async fn until(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let last = self.shown.clone();
        let waiting = self.shown.wait_for(|shown| wanted(&shown.text));
        let shown = tokio::time::timeout(Duration::from_mins(1), waiting).await;
        let shown = shown.unwrap_or_else(|_| panic!("waited too long for {what}:\n{}", last.borrow().text));
        shown.unwrap().text.clone()
    }

    async fn until_shows(&mut self, text: &str) -> String {
        self.until(text, |screen| screen.contains(text)).await
    }

    /// Waits for the end of the console's loop.
    async fn end(self) -> (Ended, Console) {
        in_time("the end of the console", self.ended).await.unwrap()
    }
}

/// Lines of the table whose stage is `stage`.
fn staged(screen: &str, stage: &str) -> usize {
    Entity::ALL
        .into_iter()
        .filter(|entity| {
            screen.lines().any(|line| {
                let mut words = line.split_whitespace().map(|word| word.trim_matches(['"', '▸']));
                words.find(|word| !word.is_empty()) == Some(entity.name()) && words.next() == Some(stage)
            })
        })
        .count()
}

#[tokio::test]
async fn sync_change_roll_back_and_undo() {
    let rig = Rig::new(&Data::marked(1)).await;
    let mut desk = Desk::open(&rig);
    let screen = desk.until_shows("no run yet").await;
    assert_eq!(staged(&screen, "empty"), 10, "{screen}");
    desk.press(KeyCode::Char('s'));
    desk.until("ten published rows", |screen| staged(screen, "published") == 10).await;
    desk.until_shows("run 1 published 10 entities").await;
    let first = rig.picture();

    rig.blue.send(&Data::marked(2));
    desk.press(KeyCode::Char('s'));
    desk.until_shows("run 2 published 10 entities").await;
    let screen = desk.until("both versions", |screen| screen.matches(" 2/1 ").count() == 10).await;
    assert!(screen.contains("publication 2 at"), "{screen}");
    let second = rig.picture();
    assert_ne!(first.views, second.views);

    // No is the answer of every key but the capital Y.
    for no in [KeyCode::Enter, KeyCode::Esc, KeyCode::Char('y'), KeyCode::Char('q')] {
        desk.press(KeyCode::Char('r'));
        let screen = desk.until_shows("Roll back").await;
        assert!(screen.contains("Publication 2 (run 2"), "{screen}");
        assert!(screen.contains("v2>v1"), "{screen}");
        desk.press(no);
        desk.until("the question to go", |screen| {
            screen.contains("nothing was switched") && !screen.contains("Roll back")
        })
        .await;
        assert_eq!(rig.picture(), second);
    }
    desk.press(KeyCode::Char('r'));
    desk.until_shows("Roll back").await;
    desk.press(KeyCode::Char('Y'));
    desk.until("ten restored rows", |screen| {
        staged(screen, "restored") == 10 && screen.contains("publication 2 is taken back")
    })
    .await;
    assert_eq!(rig.picture().views, first.views);
    rig.check();

    desk.press(KeyCode::Char('r'));
    desk.until_shows("Publication 3 (a rollback of publication 2").await;
    desk.press(KeyCode::Char('Y'));
    desk.until_shows("publication 3 is taken back").await;
    assert_eq!(rig.picture().views, second.views);
    desk.press(KeyCode::Char('q'));
    assert_eq!(desk.end().await.0, Ended::Quit);
}

#[tokio::test]
async fn cancel_leaves_everything_and_keys_answer_meanwhile() {
    let rig = Rig::new(&Data::marked(1)).await;
    rig.publish().await;
    let before = rig.picture();
    rig.blue.send(&Data::marked(2));
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::Stall(10));
    let mut desk = Desk::open(&rig);
    desk.until_shows("run 1 published").await;
    desk.press(KeyCode::Char('s'));
    rig.blue.until_stalled(Endpoint::Boards).await;
    desk.until("the fetching board", |screen| staged(screen, "fetch") == 1).await;
    desk.press(KeyCode::Char('?'));
    desk.until_shows("Cancel the run").await;
    desk.press(KeyCode::Esc);
    desk.press(KeyCode::Char('c'));
    desk.until_shows("cleanup: not while a run is going on").await;
    desk.press(KeyCode::Char('s'));
    desk.until_shows("sync: a run is going on").await;
    desk.press(KeyCode::Char('x'));
    desk.until_shows("run 2 cancelled").await;
    assert_eq!(rig.picture(), before);
    rig.check();
    desk.press(KeyCode::Char('q'));
    assert_eq!(desk.end().await.0, Ended::Quit);
}

#[tokio::test]
async fn a_failure_is_shown_where_it_happened_and_in_full() {
    let rig = Rig::new(&Data::marked(1)).await;
    rig.blue.fault(Endpoint::TalentsSocials, When::Always, Fault::status(500));
    let mut desk = Desk::open(&rig);
    desk.until_shows("no run yet").await;
    desk.press(KeyCode::Char('s'));
    let screen = desk.until_shows("run 1 failed").await;
    assert_eq!(staged(&screen, "failed"), 1, "{screen}");
    // The seventh line is the entity that failed; Enter leads to its detail.
    for _ in 0..6 {
        desk.press(KeyCode::Down);
    }
    desk.press(KeyCode::Enter);
    let screen = desk.until_shows("Detail: talentssocials").await;
    assert!(screen.contains("HTTP status 500"), "{screen}");
    desk.press(KeyCode::Tab);
    desk.until_shows("console ana@box").await;
    desk.press(KeyCode::Enter);
    let screen = desk.until_shows("Run 1").await;
    assert!(screen.contains("/api/v1/public/talents/socials"), "{screen}");
    assert!(screen.contains("(3 attempts)"), "{screen}");
    desk.press(KeyCode::Char('G'));
    let screen = desk.until_shows("requests").await;
    assert_eq!(screen.matches(" 500 ").count(), 3, "{screen}");
}

#[tokio::test]
async fn cleanup_wants_its_word() {
    let rig = Rig::new(&Data::marked(1)).await;
    for generation in 1..=3 {
        rig.publish_data(&Data::marked(generation)).await;
    }
    rig.writer().execute_batch("CREATE TABLE boards_trash_1 (a)").unwrap();
    let mut desk = Desk::open(&rig);
    desk.until_shows("run 3 published").await;
    desk.press(KeyCode::Char('c'));
    desk.until_shows("1 tables left behind").await;
    desk.types("cleanip");
    desk.press(KeyCode::Enter);
    desk.until_shows("nothing was removed").await;
    assert_eq!(rig.number("SELECT count(*) FROM sqlite_schema WHERE name = 'boards_trash_1'"), 1);
    desk.press(KeyCode::Char('c'));
    desk.until_shows("1 tables left behind").await;
    desk.types("cleanup");
    desk.press(KeyCode::Enter);
    desk.until_shows("cleaned up: 0 snapshots, 1 leftover tables").await;
    rig.check();
}

#[tokio::test]
async fn leaving_during_a_run_asks_and_can_wait_for_its_end() {
    let rig = Rig::new(&Data::marked(1)).await;
    let mut desk = Desk::amid_a_run(&rig).await;
    desk.press(KeyCode::Char('q'));
    desk.until_shows("wait for its end, then quit").await;
    desk.press(KeyCode::Esc);
    desk.until("the question to go", |screen| !screen.contains("wait for its end")).await;
    desk.press(KeyCode::Char('q'));
    desk.until_shows("wait for its end, then quit").await;
    desk.press(KeyCode::Char('w'));
    desk.until_shows("closes when the run has ended").await;
    rig.blue.release();
    assert_eq!(desk.end().await.0, Ended::Quit);
    rig.assert_versions((1, 0));
    rig.check();
}

#[tokio::test]
async fn a_run_outlives_the_line() {
    let rig = Rig::new(&Data::marked(1)).await;
    let desk = Desk::amid_a_run(&rig).await;
    desk.hang_up.cancel();
    let (ended, mut console) = desk.end().await;
    assert_eq!(ended, Ended::HungUp);
    rig.blue.release();
    in_time("the run's end", console.bring_to_end()).await;
    rig.assert_versions((1, 0));
    rig.check();
}

#[tokio::test]
async fn nothing_is_drawn_while_nothing_changes() {
    let rig = Rig::new(&Data::marked(1)).await;
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::status(404));
    rig.sync().await;
    let mut desk = Desk::open(&rig);
    // State, detail and runs, the three things that are read at the start.
    desk.until_shows("run 1 failed").await;
    desk.press(KeyCode::Tab);
    desk.until("the detail", |screen| screen.contains("run 1  ") && screen.contains("quarantine")).await;
    desk.press(KeyCode::Tab);
    desk.until_shows("cli ana@box").await;
    let frame = desk.shown.borrow().frame;
    tokio::time::pause();
    // Up to the moment at which the age of the last run changes.
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(desk.shown.borrow().frame, frame);
}

#[tokio::test]
async fn text_from_the_source_never_reaches_the_screen_raw() {
    let rig = Rig::new(&Data::marked(1)).await;
    // As characters, not as escapes: U+202E turns text around, U+009B begins a command to the terminal.
    let record = "{\"id\":\"a\u{202e}b\u{9b}2J\",\"title\":7}";
    rig.blue.send_body(Endpoint::Boards, format!("[{record}]"));
    let mut desk = Desk::open(&rig);
    desk.until_shows("no run yet").await;
    desk.press(KeyCode::Char('s'));
    desk.until_shows("run 1 published").await;
    desk.press(KeyCode::Down);
    desk.press(KeyCode::Enter);
    desk.until_shows("a\\u{202e}b").await;
    desk.press(KeyCode::Tab);
    desk.until_shows("console ana@box").await;
    desk.press(KeyCode::Enter);
    desk.until_shows("Run 1").await;
    desk.press(KeyCode::Char('G'));
    desk.until("the record in the run", |screen| screen.contains("Run 1") && screen.contains("a\\u{202e}b")).await;
    let seen = desk.seen.lock().unwrap().clone();
    assert!(!seen.chars().any(|character| character != '\n' && greenroom::text::is_harmful(character)));
}
