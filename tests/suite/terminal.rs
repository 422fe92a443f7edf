//! The real program in a real pseudo-terminal.

use std::{
    io::{Read, Write},
    num::NonZeroU16,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use greenroom::entity::Endpoint;
use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

use crate::{
    data::Data,
    fake_blue::{FakeBlue, Fault, When},
};

const ROWS: u16 = 24;
const COLUMNS: u16 = 80;

/// A fake source with a runtime of its own.
struct Blue {
    runtime: tokio::runtime::Runtime,
    inner: FakeBlue,
    address: String,
}

impl Blue {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let inner = runtime.block_on(FakeBlue::start(&Data::marked(1)));
        let address = inner.base().to_string();
        Self { runtime, inner, address }
    }

    fn stall(&self) {
        self.inner.fault(Endpoint::Boards, When::Always, Fault::Stall(10));
    }

    fn until_stalled(&self) {
        self.runtime.block_on(self.inner.until_stalled(Endpoint::Boards));
    }

    fn release(&self) {
        self.inner.release();
    }
}

struct Output {
    screen: vt100::Parser,
    raw: Vec<u8>,
    ended: bool,
}

/// A program on a terminal of its own.
struct Session {
    child: Box<dyn Child + Send + Sync>,
    master: Option<Box<dyn MasterPty + Send>>,
    input: Option<Box<dyn Write + Send>>,
    output: Arc<(Mutex<Output>, Condvar)>,
}

impl Session {
    fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let size = PtySize { rows: ROWS, cols: COLUMNS, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_greenroom"));
        command.args(arguments);
        command.env_clear();
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        for (name, value) in variables {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let input = pair.master.take_writer().unwrap();
        let (rows, columns) = (NonZeroU16::new(ROWS).unwrap(), NonZeroU16::new(COLUMNS).unwrap());
        let output = Output { screen: vt100::Parser::new(rows, columns, 0), raw: Vec::new(), ended: false };
        let output = Arc::new((Mutex::new(output), Condvar::new()));
        let shared = output.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let read = reader.read(&mut buffer).unwrap_or(0);
                let mut output = shared.0.lock().unwrap();
                output.screen.process(&buffer[..read]);
                output.raw.extend_from_slice(&buffer[..read]);
                output.ended = read == 0;
                shared.1.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        Self { child, master: Some(pair.master), input: Some(input), output }
    }

    fn press(&mut self, keys: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(keys.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    /// Presses `keys` again and again until `text` is shown: a question takes no answer in its first moment.
    fn press_until(&mut self, keys: &str, text: &str) {
        for _ in 0..600 {
            self.press(keys);
            let (output, changed) = &*self.output;
            let shows = |output: &mut Output| !output.screen.screen().contents().contains(text);
            let wait = Duration::from_millis(100);
            if !changed.wait_timeout_while(output.lock().unwrap(), wait, shows).unwrap().1.timed_out() {
                return;
            }
        }
        panic!("{text} was never shown");
    }

    /// Waits until `wanted` holds for the output.
    fn until(&self, what: &str, wanted: impl Fn(&Output) -> bool) {
        let (output, changed) = &*self.output;
        let output = output.lock().unwrap();
        let (output, timeout) =
            changed.wait_timeout_while(output, Duration::from_mins(1), |output| !wanted(output)).unwrap();
        assert!(!timeout.timed_out(), "waited too long for {what}:\n{}", output.screen.screen().contents());
    }

    fn until_shows(&self, text: &str) {
        self.until(text, |output| output.screen.screen().contents().contains(text));
    }

    fn raw(&self) -> Vec<u8> {
        self.output.0.lock().unwrap().raw.clone()
    }

    /// Waits for the end of the program and of its output.
    fn end(&mut self) -> ExitStatus {
        let status = self.child.wait().unwrap();
        self.until("the end of the output", |output| output.ended);
        status
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.process_id().unwrap().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// The modes of the terminal, as text to compare.
    fn modes(&self) -> String {
        let modes = self.master.as_ref().unwrap().get_termios().unwrap();
        format!("{:?} {:?} {:?} {:?}", modes.input_flags, modes.output_flags, modes.control_flags, modes.local_flags)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn contains(raw: &[u8], wanted: &str) -> bool {
    raw.windows(wanted.len()).any(|window| window == wanted.as_bytes())
}

fn assert_given_back(session: &Session, modes: &str) {
    assert_eq!(session.modes(), modes, "the terminal's modes");
    let raw = session.raw();
    assert!(raw.ends_with(b"\x1b[?1049l\x1b[?25h"), "{:?}", String::from_utf8_lossy(&raw[raw.len().saturating_sub(80)..]));
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
    session.press_until("Y", "publication 2 is taken back");
    session.press("q");
    assert_eq!(session.end().exit_code(), 0);
    assert_given_back(&session, &modes);
}

#[test]
fn a_signal_gives_the_terminal_back() {
    for (signal, status) in [
        (rustix::process::Signal::TERM, 143),
        (rustix::process::Signal::HUP, 129),
        (rustix::process::Signal::INT, 130),
    ] {
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
    let source = blue.address.clone();
    let mut session = Session::start(
        &["--database-url", database.to_str().unwrap(), "--source-url", &source],
        &[("XDG_RUNTIME_DIR", "/nonexistent")],
    );
    session.until_shows("no run yet");
    blue.stall();
    session.press("s");
    blue.until_stalled();
    // Closing the controlling side is what a dropped line looks like to the program.
    drop(session.input.take());
    drop(session.master.take());
    session.until("the end of the output", |output| output.ended);
    blue.release();
    let status = session.child.wait().unwrap();
    assert_eq!(status.exit_code(), 129);
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
    assert!(contains(&coloured.raw(), "\x1b[38;5;2") || contains(&coloured.raw(), "\x1b[32"), "green is sent otherwise");
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
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_greenroom"))
        .args(["--database-url", "x.db", "--source-url", "http://127.0.0.1:9"])
        .env_clear()
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("the console needs a terminal"), "{error}");
}
