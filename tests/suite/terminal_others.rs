//! The real program in real pseudo-terminals: two consoles at once, lines that drop, signals, panics and kills in mid run.

use std::{
    path::{Path, PathBuf},
    process::Child,
};

use greenroom::failpoint;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    data::Data,
    pty::{Line, Session, contains, in_time},
    terminal::{Blue, assert_given_back},
};

/// A source, and the folder of a database that mirrors it.
struct Place {
    blue: Blue,
    database: PathBuf,
    _folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { blue: Blue::start(), database: folder.path().join("green.db"), _folder: folder }
    }

    fn arguments(&self) -> [&str; 4] {
        ["--database-url", path(&self.database), "--source-url", &self.blue.address]
    }

    /// A console of `user`.
    fn console(&self, user: &str) -> Session {
        self.console_with(user, &[])
    }

    fn console_with(&self, user: &str, variables: &[(&str, &str)]) -> Session {
        let variables: Vec<_> = [("USER", user)].into_iter().chain(variables.iter().copied()).collect();
        Session::start(&self.arguments(), &variables)
    }

    /// A console of `user` with a run that stalls.
    fn console_amid_a_run(&self, user: &str, variables: &[(&str, &str)]) -> Session {
        let mut session = self.console_with(user, variables);
        session.until_shows("live");
        self.blue.stall();
        session.press("s");
        self.blue.until_stalled();
        session
    }

    /// A console of ana's without a terminal any more, with a second run that stalls and knows of it.
    fn cut_off_amid_a_run(&self) -> Child {
        self.publish(1);
        self.blue.inner.send(&Data::marked(2));
        let mut line = Line::open(&self.arguments(), &[("USER", "ana")]);
        line.until("publication");
        self.blue.stall();
        line.press("s");
        self.blue.until_stalled();
        let child = line.drop_line();
        until_gone_is_recorded(self);
        child
    }

    fn outcomes(&self) -> Vec<String> {
        let connection = rusqlite::Connection::open(&self.database).unwrap();
        let mut runs = connection.prepare("SELECT coalesce(outcome, 'none') FROM sync_runs ORDER BY id").unwrap();
        runs.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// A run that is published, by a console that is closed then.
    fn publish(&self, generation: u64) {
        self.blue.inner.send(&Data::marked(generation));
        let mut session = self.console("zoe");
        session.until_shows("on disk");
        session.press("s");
        session.until_shows("published 10 entities");
        session.press("q");
        assert_eq!(session.end().exit_code(), 0);
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What is on the screen, without its breaks.
fn until_says(session: &Session, words: &str) {
    session.until(words, |output| output.screen.screen().contents().contains(words));
}

#[test]
fn one_console_shows_and_cancels_the_run_of_the_other() {
    let place = Place::new();
    place.publish(1);
    let mut ben = place.console("ben");
    until_says(&ben, "on disk");
    place.blue.inner.send(&Data::marked(2));
    let mut ana = place.console_amid_a_run("ana", &[]);
    until_says(&ben, "run 2 of ana@");
    until_says(&ben, "1 fetching");
    ben.press("x");
    until_says(&ben, "Cancel run 2 of ana@");
    ben.press_until("Y", "cancelled: cancelled by");
    until_says(&ana, "run 2 cancelled: cancelled by ben@");
    ben.until("its end", |output| {
        let screen = output.screen.screen().contents();
        screen.contains("cancelled: cancelled by") && !screen.contains("Cancel run 2")
    });
    for session in [&mut ana, &mut ben] {
        session.press("q");
        assert_eq!(session.end().exit_code(), 0);
    }
    assert_eq!(place.outcomes(), ["published", "cancelled"]);
}

#[test]
fn a_rollback_by_one_console_ends_the_run_of_the_other() {
    let place = Place::new();
    place.publish(1);
    place.publish(2);
    place.blue.inner.send(&Data::marked(3));
    let ana = place.console_amid_a_run("ana", &[]);
    let mut ben = place.console("ben");
    ben.until("the run and what is live", |output| {
        let screen = output.screen.screen().contents();
        screen.contains("run 3 of ana@") && screen.contains("publication 2 at")
    });
    ben.press("r");
    until_says(&ben, "will then not publish");
    ben.press_until("Y", "taken back: 10 entities");
    until_says(&ana, "HELD since");
    place.blue.release();
    ana.until("its end", |output| {
        let screen = output.screen.screen().contents();
        screen.contains("run 3 failed: ") || screen.contains("run 3 is held")
    });
    assert_ne!(place.outcomes()[2], "published");
}

#[test]
fn a_line_that_dropped_in_mid_run_is_told_at_the_next_start() {
    let place = Place::new();
    let mut child = place.cut_off_amid_a_run();
    #[cfg(target_os = "linux")]
    until_input_is_replaced(child.id());
    place.blue.release();
    let status = in_time("the end of the program", move || child.wait().unwrap());
    assert_eq!(status.code(), Some(129));
    assert_eq!(place.outcomes(), ["published", "published"]);
    let ben = place.console("ben");
    until_says(&ben, "run 2 published 10 entities in");
    until_says(&ben, "after the line of ana@");
}

/// Waits until nothing reads the terminal that is gone, which would be done again and again without an end.
#[cfg(target_os = "linux")]
fn until_input_is_replaced(pid: u32) {
    in_time("another input", move || {
        let input = format!("/proc/{pid}/fd/0");
        while !std::fs::read_link(&input).unwrap().to_string_lossy().starts_with("pipe:") {
            std::thread::yield_now();
        }
    });
}

/// Waits until the run says that its operator is gone.
fn until_gone_is_recorded(place: &Place) {
    let database = place.database.clone();
    in_time("the record of the line that dropped", move || {
        let connection = rusqlite::Connection::open(&database).unwrap();
        let sql = "SELECT count(*) FROM sync_runs WHERE operator_gone_at IS NOT NULL";
        while connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() == 0 {
            std::thread::yield_now();
        }
    });
}

#[test]
fn a_run_without_a_terminal_is_cancelled_by_a_signal_only() {
    let place = Place::new();
    let mut child = place.cut_off_amid_a_run();
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::HUP).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let status = in_time("the end of the program", move || child.wait().unwrap());
    assert_eq!(status.code(), Some(129));
    assert_eq!(place.outcomes(), ["published", "cancelled"]);
    let ben = place.console("ben");
    until_says(&ben, "run 2 cancelled after the line of ana@");
}

#[test]
fn a_signal_in_mid_run_cancels_it_and_gives_the_terminal_back() {
    for (signal, status) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let place = Place::new();
        place.publish(1);
        place.blue.inner.send(&Data::marked(2));
        place.blue.stall();
        let mut ana = place.console("ana");
        until_says(&ana, "on disk");
        ana.press("s");
        place.blue.until_stalled();
        ana.signal(signal);
        assert_eq!(ana.end().exit_code(), status);
        assert_eq!(place.outcomes(), ["published", "cancelled"]);
        let raw = String::from_utf8(ana.raw()).unwrap();
        assert!(raw.contains("\x1b[?1049l"));
    }
}

#[test]
fn a_console_that_is_killed_in_mid_run_is_told_by_the_other_one() {
    let place = Place::new();
    place.publish(1);
    let mut ben = place.console("ben");
    until_says(&ben, "on disk");
    place.blue.inner.send(&Data::marked(2));
    let ana = place.console_amid_a_run("ana", &[]);
    until_says(&ben, "run 2 of ana@");
    ana.signal(Signal::KILL);
    until_says(&ben, "died; nothing of it was switched");
    place.blue.inner.behave();
    place.blue.release();
    ben.press("s");
    until_says(&ben, "run 3 published 10 entities");
    assert_eq!(place.outcomes(), ["published", "interrupted", "published"]);
    // Whoever comes next is told, too.
    let cleo = place.console("cleo");
    until_says(&cleo, "run 2 of ana@");
    until_says(&cleo, "was interrupted");
}

#[test]
fn a_panic_in_a_run_is_a_failed_run() {
    let place = Place::new();
    let mut ana = place.console_with("ana", &[(failpoint::VARIABLE, "load.sealed=panic")]);
    until_says(&ana, "no run yet");
    ana.press("s");
    until_says(&ana, "run 1 failed");
    assert_eq!(place.outcomes(), ["failed"]);
    // The screen is still there, and so is all that can be done.
    ana.press("s");
    until_says(&ana, "run 2 published 10 entities");
    ana.press("q");
    assert_eq!(ana.end().exit_code(), 0);
    assert!(!contains(&ana.raw(), "panicked at"));
}

#[test]
fn a_panic_in_drawing_gives_the_terminal_back_and_lets_the_run_reach_its_end() {
    let place = Place::new();
    place.publish(1);
    place.blue.inner.send(&Data::marked(2));
    let mut ana = place.console_amid_a_run("ana", &[(failpoint::VARIABLE, "console.draw=panic@80")]);
    ana.press_until("j", "the console ended with a defect in greenroom");
    until_says(&ana, "failpoint console.draw");
    let raw = String::from_utf8(ana.raw()).unwrap();
    let (_, after) = raw.rsplit_once("\x1b[?1049l").unwrap();
    assert!(after.contains("panicked at") && after.contains("Ctrl-C cancels a run"), "{after:?}");
    assert!(!after.replace("\x1b[?25h", "").contains('\x1b'), "{after:?}");
    assert_eq!(place.outcomes(), ["published", "none"]);
    place.blue.release();
    assert_eq!(ana.end().exit_code(), 1);
    assert_eq!(place.outcomes(), ["published", "published"]);
    let ben = place.console("ben");
    until_says(&ben, "run 2 published 10 entities in");
}

#[test]
fn a_terminal_that_takes_no_frame_is_a_line_that_dropped() {
    let place = Place::new();
    place.publish(1);
    place.blue.inner.send(&Data::marked(2));
    let mut ana = place.console_amid_a_run("ana", &[(failpoint::VARIABLE, "console.draw=full@60")]);
    for _ in 0..100 {
        ana.press("j");
    }
    until_gone_is_recorded(&place);
    place.blue.release();
    assert_eq!(ana.end().exit_code(), 129);
    assert_eq!(place.outcomes(), ["published", "published"]);
    assert!(!contains(&ana.raw(), "\x1b[?1049l"), "it is not touched again");
}

#[test]
fn a_hang_up_of_a_terminal_that_is_still_there_gives_it_back_and_the_run_goes_on() {
    let place = Place::new();
    place.publish(1);
    place.blue.inner.send(&Data::marked(2));
    let mut ana = place.console_amid_a_run("ana", &[]);
    ana.signal(Signal::HUP);
    until_gone_is_recorded(&place);
    place.blue.release();
    assert_eq!(ana.end().exit_code(), 129);
    assert_eq!(place.outcomes(), ["published", "published"]);
    assert!(contains(&ana.raw(), "\x1b[?1049l"));
}

#[test]
fn terminal_modes_are_restored_after_a_signal_in_mid_run() {
    let mut session = Session::start(&["demo"], &[]);
    let modes = session.modes();
    session.until_shows("no run yet");
    session.press("s");
    session.until_shows("fetching");
    session.signal(Signal::TERM);
    assert_eq!(session.end().exit_code(), 143);
    assert_given_back(&session, &modes);
}
