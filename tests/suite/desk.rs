//! A console at work without a terminal: keys in, frames out.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use greenroom::{
    console::{Console, Ended, LogBell, ModelOptions, Surface, Theme},
    entity::{Endpoint, Entity},
    ops::Operations,
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
    fake_blue::{Fault, When},
    support::{Rig, in_time},
};

/// What was on the screen after a frame, and which frame it was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    pub(crate) frame: u64,
    pub(crate) text: String,
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
pub(crate) struct Desk {
    keys: mpsc::UnboundedSender<Event>,
    pub(crate) shown: watch::Receiver<Shown>,
    /// Every text that was ever on the screen.
    pub(crate) seen: Arc<Mutex<String>>,
    ended: JoinHandle<(Ended, Console)>,
    pub(crate) hang_up: CancellationToken,
}

impl Desk {
    /// Opens a console on the operations of `rig`.
    pub(crate) fn open(rig: &Rig) -> Self {
        Self::open_for(rig, rig.operations.clone())
    }

    /// Opens a console on other operations on the database of `rig`.
    pub(crate) fn open_for(rig: &Rig, operations: Operations) -> Self {
        let (keys, mut received) = mpsc::unbounded_channel();
        let (shown, watching) = watch::channel(Shown::default());
        let hang_up = CancellationToken::new();
        let options = ModelOptions {
            theme: Theme::DEFAULT,
            database: rig.path.display().to_string(),
            source: operations.source(),
            operator: operations.operator().clone(),
            demo: false,
            key_guard: Duration::ZERO,
        };
        let mut console = Console::new(operations, options).exporting_to(rig.path.parent().unwrap().to_owned());
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
    pub(crate) async fn amid_a_run(rig: &Rig) -> Self {
        rig.blue.fault(Endpoint::Boards, When::Always, Fault::Stall(10));
        let mut desk = Self::open(rig);
        desk.until_shows("no run yet").await;
        desk.press(KeyCode::Char('s'));
        rig.blue.until_stalled(Endpoint::Boards).await;
        desk
    }

    pub(crate) fn press(&self, code: KeyCode) {
        self.keys.send(Event::Key(KeyEvent::new(code, KeyModifiers::NONE))).unwrap();
    }

    /// Presses the key of one character.
    pub(crate) fn key(&self, character: char) {
        self.press(KeyCode::Char(character));
    }

    /// Presses the key of one character again and again until `text` is shown, as other sentences may come in between.
    pub(crate) async fn key_until(&mut self, character: char, text: &str) {
        for _ in 0..600 {
            self.key(character);
            let waiting = self.shown.wait_for(|shown| shown.text.contains(text));
            if tokio::time::timeout(Duration::from_millis(100), waiting).await.is_ok() {
                return;
            }
        }
        panic!("{text} was never shown:\n{}", self.shown.borrow().text);
    }

    pub(crate) fn types(&self, text: &str) {
        text.chars().for_each(|character| self.press(KeyCode::Char(character)));
    }

    /// Waits until the screen is as `wanted` says and returns it.
    pub(crate) async fn until(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let last = self.shown.clone();
        let waiting = self.shown.wait_for(|shown| wanted(&shown.text));
        let shown = tokio::time::timeout(Duration::from_mins(1), waiting).await;
        let shown = shown.unwrap_or_else(|_| panic!("waited too long for {what}:\n{}", last.borrow().text));
        shown.unwrap().text.clone()
    }

    pub(crate) async fn until_shows(&mut self, text: &str) -> String {
        self.until(text, |screen| screen.contains(text)).await
    }

    /// Waits for the end of the console's loop.
    pub(crate) async fn end(self) -> (Ended, Console) {
        in_time("the end of the console", self.ended).await.unwrap()
    }
}

/// Lines of the table whose stage is `stage`.
pub(crate) fn staged(screen: &str, stage: &str) -> usize {
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
