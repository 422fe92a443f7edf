//! A database with a source of its own, and the program on both, as a process that can die.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use greenroom::failpoint;
use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::runtime::Handle;

use crate::{data::Data, fake_blue::FakeBlue};

/// How long anything may take; only a defect needs that long.
const LIMIT: Duration = Duration::from_mins(2);

/// A source and a folder with a database in it.
pub(super) struct Place {
    pub(super) blue: FakeBlue,
    pub(super) path: PathBuf,
    source: String,
    folder: TempDir,
}

impl Place {
    /// A source that sends generation 1, served by `runtime`, and a database that is not there yet.
    pub(super) fn new(runtime: &Handle) -> Self {
        let blue = runtime.block_on(FakeBlue::start(&Data::marked(1)));
        let source = blue.base().to_string();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("green.db");
        Self { blue, path, source, folder }
    }

    /// Where another database of this place would be.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A connection of somebody else's that can write.
    pub(super) fn writer(&self) -> Connection {
        let connection = Connection::open(&self.path).unwrap();
        connection.busy_timeout(Duration::from_mins(1)).unwrap();
        connection
    }

    /// Starts the program.
    pub(super) fn start(&self, arguments: &[&str]) -> Started {
        self.start_on(&self.path, arguments, None)
    }

    /// Starts the program with something that goes wrong, such as `load.rows=abort@3`.
    pub(super) fn start_with(&self, fault: &str, arguments: &[&str]) -> Started {
        self.start_on(&self.path, arguments, Some(fault))
    }

    /// Starts the program on the database at `path`.
    pub(super) fn start_on(&self, path: &Path, arguments: &[&str], fault: Option<&str>) -> Started {
        let mut command = Command::new(env!("CARGO_BIN_EXE_greenroom"));
        command.args(arguments).env_clear().env("DATABASE_URL", path).env("SOURCE_API_URL", &self.source);
        if let Some(fault) = fault {
            command.env(failpoint::VARIABLE, fault);
        }
        Started::new(command)
    }

    /// The program to its end, which must be with status 0.
    pub(super) fn call(&self, arguments: &[&str]) -> Ended {
        self.call_on(&self.path, arguments)
    }

    /// The same on the database at `path`.
    pub(super) fn call_on(&self, path: &Path, arguments: &[&str]) -> Ended {
        let ended = self.start_on(path, arguments, None).end();
        assert_eq!(ended.status.code(), Some(0), "{arguments:?}: {ended:?}");
        ended
    }
}

/// The program at work.
pub(super) struct Started {
    child: Child,
    lines: mpsc::Receiver<String>,
    errors: JoinHandle<String>,
    stdout: Vec<String>,
    since: Instant,
}

/// What the program left when it ended, however it did.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<String>,
    pub(super) stderr: String,
    /// From its start to its end.
    pub(super) took: Duration,
}

impl Started {
    fn new(mut command: Command) -> Self {
        let since = Instant::now();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut stderr = child.stderr.take().unwrap();
        let errors = thread::spawn(move || {
            let mut text = Vec::new();
            stderr.read_to_end(&mut text).unwrap();
            String::from_utf8_lossy(&text).into_owned()
        });
        Self { child, lines, errors, stdout: Vec::new(), since }
    }

    /// Its number.
    pub(super) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for its next line, at most until `deadline`. An error says whether that came or its output ended.
    pub(super) fn line(&mut self, deadline: Instant) -> Result<&str, RecvTimeoutError> {
        let line = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now()))?;
        self.stdout.push(line);
        Ok(self.stdout.last().unwrap())
    }

    /// Lines that it was heard to print.
    pub(super) fn lines_so_far(&self) -> usize {
        self.stdout.len()
    }

    /// Waits until `moment` or the end of its output, whichever comes first.
    pub(super) fn until(&mut self, moment: Instant) {
        while self.line(moment).is_ok() {}
    }

    /// Waits until a signal has stopped it.
    pub(super) fn until_stopped(&self) {
        let stat = format!("/proc/{}/stat", self.pid());
        let begun = Instant::now();
        // The state is the first word after the name, which is in parentheses.
        while !std::fs::read_to_string(&stat).is_ok_and(|stat| stat.rsplit(") ").next().unwrap().starts_with('T')) {
            assert!(begun.elapsed() < LIMIT, "it was never stopped");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sends it a signal, if it is still there.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = kill_process(self.pid(), signal);
    }

    /// Waits for its end, for a time that only a defect needs.
    pub(super) fn end(mut self) -> Ended {
        let deadline = Instant::now() + LIMIT;
        let late = loop {
            match self.line(deadline) {
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => break true,
                Err(RecvTimeoutError::Disconnected) => break false,
            }
        };
        if late {
            self.signal(Signal::KILL);
        }
        let status = self.child.wait().unwrap();
        let took = self.since.elapsed();
        let ended = Ended { status, stdout: self.stdout, stderr: self.errors.join().unwrap(), took };
        assert!(!late, "it did not end by itself: {ended:?}");
        ended
    }
}

impl Ended {
    /// Whether this signal ended it, not it itself.
    pub(super) fn died_by(&self, signal: Signal) -> bool {
        self.status.signal() == Some(signal.as_raw())
    }

    /// The one object on standard output.
    pub(super) fn json(&self) -> Json {
        self.try_json().unwrap_or_else(|| panic!("no object: {self:?}"))
    }

    fn try_json(&self) -> Option<Json> {
        serde_json::from_str(&self.stdout.join("\n")).ok()
    }

    /// Whether it told that it published, by a whole object or a whole line of them.
    pub(super) fn acknowledged(&self) -> bool {
        let is_published = |told: &Json| {
            told["run"]["outcome"] == "published" || told["event"] == "published" || told["publication"]["id"].is_i64()
        };
        let lines = self.stdout.iter().filter_map(|line| serde_json::from_str::<Json>(line).ok());
        lines.chain(self.try_json()).any(|told| is_published(&told))
    }
}
