//! The real program in a real pseudo-terminal.

use std::process::{Command, Stdio};

use greenroom::entity::Endpoint;

use crate::{
    data::Data,
    fake_blue::{FakeBlue, Fault, When},
    pty::{Line, Session, contains, in_time},
};

/// A fake source with a runtime of its own.
pub(crate) struct Blue {
    runtime: tokio::runtime::Runtime,
    pub(crate) inner: FakeBlue,
    pub(crate) address: String,
}

impl Blue {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let inner = runtime.block_on(FakeBlue::start(&Data::marked(1)));
        let address = inner.base().to_string();
        Self { runtime, inner, address }
    }

    pub(crate) fn stall(&self) {
        self.inner.fault(Endpoint::Boards, When::Always, Fault::Stall(10));
    }

    pub(crate) fn until_stalled(&self) {
        self.runtime.block_on(self.inner.until_stalled(Endpoint::Boards));
    }

    pub(crate) fn release(&self) {
        self.inner.release();
    }
}

pub(crate) fn assert_given_back(session: &Session, modes: &str) {
    assert_eq!(session.modes(), modes, "the terminal's modes");
    let raw = String::from_utf8(session.raw()).unwrap();
    let (_, after) = raw.rsplit_once("\x1b[?1049l").unwrap();
    assert!(!after.is_empty() && after.replace("\x1b[?25h", "").is_empty(), "{after:?}");
}

#[test]
fn the_demo_syncs_rolls_back_and_leaves_a_clean_terminal() {
    let mut session = Session::start(&["demo"], &[("DATABASE_URL", "/nonexistent/live.db")]);
    let modes = session.modes();
    session.until_shows("no run yet");
    assert_ne!(session.modes(), modes, "raw mode");
    session.press("s");
    session.until_shows("run 1 published 10 entities");
    session.until("ten published rows", |output| {
        let screen = output.screen.screen().contents();
        screen.lines().filter(|line| line.contains(" published ") && line.contains(" 1/- ")).count() == 10
    });
    session.press("s");
    session.until("the second run's end", |output| {
        output.screen.screen().contents().lines().last().is_some_and(|line| line.contains("run 2 published"))
    });
    session.press("r");
    session.until_shows("Publication 2 (run 2");
    session.press_until("Y", "restored");
    session.press("q");
    assert_eq!(session.end().exit_code(), 0);
    assert_given_back(&session, &modes);
}

#[test]
fn a_signal_gives_the_terminal_back() {
    for (signal, status) in
        [(rustix::process::Signal::TERM, 143), (rustix::process::Signal::HUP, 129), (rustix::process::Signal::INT, 130)]
    {
        let mut session = Session::start(&["demo"], &[]);
        let modes = session.modes();
        session.until_shows("no run yet");
        session.signal(signal);
        assert_eq!(session.end().exit_code(), status);
        assert_given_back(&session, &modes);
    }
}

#[test]
fn a_run_goes_on_to_its_end_when_the_terminal_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("green.db");
    let blue = Blue::start();
    let mut line = Line::open(&["--database-url", database.to_str().unwrap(), "--source-url", &blue.address], &[]);
    line.until("starts one");
    blue.stall();
    line.press("s");
    blue.until_stalled();
    let mut child = line.drop_line();
    blue.release();
    let status = in_time("the end of the program", move || child.wait().unwrap());
    assert_eq!(status.code(), Some(129));
    let connection = rusqlite::Connection::open(&database).unwrap();
    let outcome: String = connection.query_row("SELECT outcome FROM sync_runs", [], |row| row.get(0)).unwrap();
    assert_eq!(outcome, "published");
}

#[test]
fn without_colours_no_colour_code_is_sent() {
    let mut session = Session::start(&["demo"], &[("NO_COLOR", "1")]);
    session.until_shows("no run yet");
    session.press("s");
    session.until_shows("run 1 published 10 entities");
    session.press("q");
    session.end();
    let raw = String::from_utf8(session.raw()).unwrap();
    for sequence in raw.split("\x1b[").skip(1) {
        let Some(end) = sequence.find(|character: char| character.is_ascii_alphabetic()) else { continue };
        if &sequence[end..=end] == "m" {
            for code in sequence[..end].split(';') {
                let number: u16 = code.parse().unwrap_or_default();
                assert!(!matches!(number, 30..=38 | 40..=48 | 58 | 90..=107), "colour {number}");
                assert!(!code.is_empty(), "an empty code resets what the cell has");
            }
        }
    }
    let mut coloured = Session::start(&["demo"], &[]);
    coloured.until_shows("no run yet");
    coloured.press("s");
    coloured.until_shows("run 1 published 10 entities");
    assert!(
        contains(&coloured.raw(), "\x1b[38;5;2") || contains(&coloured.raw(), "\x1b[32"),
        "green is sent otherwise"
    );
}

#[test]
fn frames_are_synchronized() {
    let mut session = Session::start(&["demo"], &[]);
    session.until_shows("no run yet");
    session.press("q");
    session.end();
    let raw = String::from_utf8(session.raw()).unwrap();
    let (begins, ends) = (raw.matches("\x1b[?2026h").count(), raw.matches("\x1b[?2026l").count());
    assert!(begins > 0);
    assert_eq!(begins, ends);
}

#[test]
fn what_is_no_terminal_is_refused_before_anything_is_touched() {
    let output = Command::new(env!("CARGO_BIN_EXE_greenroom"))
        .args(["--database-url", "x.db", "--source-url", "http://127.0.0.1:9"])
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("the console needs a terminal"), "{error}");
}
