//! The real program in a real pseudo-terminal.

use std::{
    fs::File,
    io::{Read, Write},
    num::NonZeroU16,
    process::{Command, Stdio},
    sync::{Arc, Condvar, Mutex, mpsc},
    thread,
    time::Duration,
};

use greenroom::entity::Endpoint;
use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

use rustix::pty::OpenptFlags;

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
    child: Option<Box<dyn Child + Send + Sync>>,
    master: Box<dyn MasterPty + Send>,
    input: Box<dyn Write + Send>,
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
        Self { child: Some(child), master: pair.master, input, output }
    }

    fn press(&mut self, keys: &str) {
        self.input.write_all(keys.as_bytes()).unwrap();
        self.input.flush().unwrap();
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
        self.until("the end of the output", |output| output.ended);
        let mut child = self.child.take().unwrap();
        in_time("the end of the program", move || child.wait().unwrap())
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid =
            rustix::process::Pid::from_raw(self.child.as_ref().unwrap().process_id().unwrap().try_into().unwrap())
                .unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// The modes of the terminal, as text to compare.
    fn modes(&self) -> String {
        let modes = self.master.get_termios().unwrap();
        format!("{:?} {:?} {:?} {:?}", modes.input_flags, modes.output_flags, modes.control_flags, modes.local_flags)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Does `wait` on another thread and gives up on it after a time that only a defect needs.
fn in_time<T: Send + 'static>(what: &str, wait: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(wait()));
    receiver.recv_timeout(Duration::from_mins(1)).unwrap_or_else(|_| panic!("waited too long for {what}"))
}

fn contains(raw: &[u8], wanted: &str) -> bool {
    raw.windows(wanted.len()).any(|window| window == wanted.as_bytes())
}

fn assert_given_back(session: &Session, modes: &str) {
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
    // A terminal with one single handle on its controlling side, so that closing it is what a dropped line is.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags).unwrap();
    rustix::pty::grantpt(&master).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let name = rustix::pty::ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let size = rustix::termios::Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&master, size).unwrap();
    let slave = File::options().read(true).write(true).open(name).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_greenroom"))
        .args(["--database-url", database.to_str().unwrap(), "--source-url", &blue.address])
        .env_clear()
        .env("TERM", "xterm-256color")
        .stdin(slave.try_clone().unwrap())
        .stdout(slave)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut master = File::from(master);
    let mut shown = Vec::new();
    while !contains(&shown, "starts one") {
        let mut buffer = [0; 4096];
        let read = master.read(&mut buffer).unwrap();
        shown.extend_from_slice(&buffer[..read]);
    }
    blue.stall();
    master.write_all(b"s").unwrap();
    blue.until_stalled();
    drop(master);
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
