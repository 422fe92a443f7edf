//! A process of the binary that goes on while the test does something else.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::{commands::Call, support::in_time};

/// What a process prints on one stream, line by line.
struct Lines {
    arriving: UnboundedReceiver<String>,
    seen: String,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let (sender, arriving) = mpsc::unbounded_channel();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        Self { arriving, seen: String::new() }
    }

    /// The next line; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        let line = self.arriving.recv().await?;
        self.seen.push_str(&line);
        self.seen.push('\n');
        Some(line)
    }
}

/// A process that goes on. It is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    out: Lines,
    err: Lines,
}

impl Process {
    /// Starts `command`.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (Lines::of(child.stdout.take().unwrap()), Lines::of(child.stderr.take().unwrap()));
        Self { child, out, err }
    }

    /// Waits until it says `text` on standard error.
    pub(crate) async fn until_says(&mut self, text: &str) {
        let says = async {
            while let Some(line) = self.err.next().await {
                if line.contains(text) {
                    return;
                }
            }
            panic!("it ended without a word of `{text}`: {}", self.err.seen);
        };
        in_time(text, says).await;
    }

    /// Waits until it prints a line on standard output that is `wanted`.
    pub(crate) async fn until_prints(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let prints = async {
            while let Some(line) = self.out.next().await {
                if wanted(&line) {
                    return line;
                }
            }
            panic!("it ended without {what}: {}", self.out.seen);
        };
        in_time(what, prints).await
    }

    /// All that it has printed as far as it was waited for.
    pub(crate) fn printed(&self) -> &str {
        &self.out.seen
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end. One that a signal ended has the status that a shell shows.
    pub(crate) async fn end(mut self) -> Call {
        in_time("the end of a process", async {
            while self.out.next().await.is_some() {}
            while self.err.next().await.is_some() {}
        })
        .await;
        // It has closed what it writes to.
        let status = self.child.wait().unwrap();
        let status = status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
        let (stdout, stderr) = (std::mem::take(&mut self.out.seen), std::mem::take(&mut self.err.seen));
        Call { status, stdout, stderr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
