//! The only place of the command line that prints and asks.

use std::{
    env,
    io::{self, BufRead, IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    termios::{self, QueueSelector},
};
use serde::Serialize;

use super::{
    exit::{CliError, ExitStatus},
    signal::{Signal, Signals},
};
use crate::text;

/// Columns assumed of a terminal that does not tell.
const DEFAULT_WIDTH: u16 = 80;

/// How long the signal that comes with the loss of a terminal may take to arrive.
const SIGNAL_DELAY: Duration = Duration::from_secs(1);

/// How text is laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Columns of the terminal; `None` for a pipe or file, where lines may have any length.
    pub(super) width: Option<u16>,
    /// The time that ages are counted to.
    pub(super) now: Timestamp,
}

impl Layout {
    /// For a pipe or file.
    #[cfg(test)]
    pub(super) const fn unlimited(now: Timestamp) -> Self {
        Self { width: None, now }
    }

    /// When something was, for a table: how long ago, and where there is room also the time.
    pub(super) fn when(&self, at: Timestamp) -> String {
        match self.width {
            Some(width) if width < 110 => text::age(at, self.now),
            _ => format!("{}, {}", text::age(at, self.now), text::time(at)),
        }
    }

    /// Outside text for a table or list: at most `longest` characters of it for a terminal, all of it elsewhere.
    pub(super) fn fit(&self, text: &str, longest: usize) -> String {
        if self.width.is_some() { text::shorten(text, longest).into_owned() } else { text.to_owned() }
    }
}

/// Adds `line` to `answer`, harmful text in it made harmless.
pub(super) fn push_line(answer: &mut String, line: &str) {
    answer.push_str(&text::clean(line));
    answer.push('\n');
}

/// Where a command's answer, notes and questions go.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "one a stream")]
pub struct Output {
    json: bool,
    stdin_is_terminal: bool,
    stdout_is_terminal: bool,
    stderr_is_terminal: bool,
    can_animate: bool,
    /// Whether the terminal is gone; shared by all copies.
    abandoned: Arc<AtomicBool>,
}

impl Output {
    /// Output to this process's streams; answers are JSON objects with `json`.
    #[must_use]
    pub fn new(json: bool) -> Self {
        let stderr_is_terminal = io::stderr().is_terminal();
        let dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        Self {
            json,
            stdin_is_terminal: io::stdin().is_terminal(),
            stdout_is_terminal: io::stdout().is_terminal(),
            stderr_is_terminal,
            can_animate: stderr_is_terminal && !dumb,
            abandoned: Arc::default(),
        }
    }

    /// Never touches the terminal again, as it is gone; pipes and files are still written to.
    pub(super) fn abandon_terminal(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    fn print(&self, text: &str) -> io::Result<()> {
        if self.stdout_is_terminal && self.is_abandoned() {
            return Ok(());
        }
        match write_whole(&mut io::stdout().lock(), text) {
            // So does a terminal answer that is gone, be it before or without a signal.
            Err(error) if self.stdout_is_terminal && error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
                self.abandon_terminal();
                Ok(())
            }
            written => written,
        }
    }

    /// Whether answers are JSON objects.
    pub(super) const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a moving picture may be drawn on standard error.
    pub(super) const fn can_animate(&self) -> bool {
        self.can_animate
    }

    /// Whether there is somebody who can answer a question.
    pub(super) const fn can_ask(&self) -> bool {
        !self.json && self.stdin_is_terminal && self.stderr_is_terminal
    }

    /// Columns of the terminal behind standard error.
    #[expect(clippy::unused_self, reason = "whoever draws has an output")]
    pub(super) fn stderr_width(&self) -> u16 {
        width_of(&io::stderr())
    }

    /// Prints a report: as JSON, or as the text that `render` makes of it.
    pub(super) fn report<T: Serialize>(
        &self,
        report: &T,
        now: Timestamp,
        render: impl FnOnce(&Layout) -> String,
    ) -> Result<(), CliError> {
        if self.json {
            return self.json(report);
        }
        let width = self.stdout_is_terminal.then(|| width_of(&io::stdout()));
        self.print(&render(&Layout { width, now })).map_err(CliError::Stream)
    }

    /// Prints one JSON object, spread over lines on a terminal.
    fn json<T: Serialize>(&self, value: &T) -> Result<(), CliError> {
        let json =
            if self.stdout_is_terminal { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
        let json = json.map_err(|error| CliError::Stream(error.into()))?;
        self.print(&format!("{}\n", text::clean_json(&json))).map_err(CliError::Stream)
    }

    /// Prints one JSON object on a line of its own.
    pub(super) fn json_line<T: Serialize>(&self, value: &T) -> io::Result<()> {
        let json = serde_json::to_string(value)?;
        self.print(&format!("{}\n", text::clean_json(&json)))
    }

    /// Standard output for a JSON body as it is; on a terminal with its harmful characters escaped.
    pub(super) fn body(&self) -> Box<dyn Write> {
        let stdout = io::BufWriter::with_capacity(64 * 1024, io::stdout().lock());
        if self.stdout_is_terminal { Box::new(CleanJson { inner: stdout, rest: Vec::new() }) } else { Box::new(stdout) }
    }

    /// Ends a body, with a line feed on a terminal.
    pub(super) fn end_body(&self, mut body: Box<dyn Write>) -> Result<(), CliError> {
        let end = if self.stdout_is_terminal { "\n" } else { "" };
        body.write_all(end.as_bytes()).and_then(|()| body.flush()).map_err(CliError::Stream)
    }

    /// Writes a line to standard error. Nobody may be there to read it, which is no fault.
    pub(super) fn note(&self, line: &str) {
        if self.stderr_is_terminal && self.is_abandoned() {
            return;
        }
        let _ = write_whole(&mut io::stderr().lock(), &format!("{}\n", text::clean(line)));
    }

    /// Tells of an error, and with JSON answers also in an object that is the answer.
    pub(super) fn error(&self, error: &CliError) {
        self.failure(&error.to_string(), error.status());
    }

    /// As [`Output::error`], for a message without one.
    pub(super) fn failure(&self, message: &str, status: ExitStatus) {
        self.note(&format!("greenroom: {message}"));
        if self.json {
            // Who does not read the answer has the exit status.
            let _ = self.json(&ErrorAnswer { error: ErrorReport { message, exit_status: status.code() } });
        }
    }

    /// Shows what would be done and asks for `wanted`, which must be typed exactly; anything else is no.
    ///
    /// # Errors
    /// [`CliError::Declined`], or that there is nobody to ask about `what`.
    pub(super) fn confirm(
        &self,
        what: &'static str,
        now: Timestamp,
        plan: impl FnOnce(&Layout) -> String,
        wanted: &str,
    ) -> Result<(), CliError> {
        if self.json {
            return Err(CliError::JsonDoesNotAsk { what });
        }
        let mut stderr = io::stderr().lock();
        write_whole(&mut stderr, &plan(&self.question_layout(now))).map_err(CliError::Stream)?;
        if !self.can_ask() {
            return Err(CliError::CannotAsk { what });
        }
        // What was typed before the question is no answer to it.
        let _ = termios::tcflush(io::stdin(), QueueSelector::IFlush);
        let question = format!("Type {wanted} to go on; Enter or anything else changes nothing: ");
        write_whole(&mut stderr, &question).map_err(CliError::Stream)?;
        drop(stderr);
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).map_err(CliError::Stream)?;
        if answer.trim() == wanted { Ok(()) } else { Err(CliError::Declined) }
    }

    fn question_layout(&self, now: Timestamp) -> Layout {
        Layout { width: self.stderr_is_terminal.then(|| self.stderr_width()), now }
    }

    /// As [`Output::confirm`], for a process whose `signals` do not end it any more.
    ///
    /// # Errors
    /// Also [`CliError::Stopped`], by a signal that came before the answer.
    pub(super) async fn confirm_or_stop(
        &self,
        what: &'static str,
        now: Timestamp,
        plan: impl FnOnce(&Layout) -> String,
        wanted: &'static str,
        signals: &mut Signals,
    ) -> Result<(), CliError> {
        if let Some(signal) = signals.first() {
            return Err(CliError::Stopped(signal));
        }
        let (output, plan) = (self.clone(), plan(&self.question_layout(now)));
        // The thread may wait for an answer for ever; nobody waits for it then.
        let asked = tokio::task::spawn_blocking(move || output.confirm(what, now, |_| plan, wanted));
        let stopped = |signal| {
            if signal == Signal::Hangup {
                self.abandon_terminal();
            } else {
                // The question left the cursor behind it.
                let _ = write_whole(&mut io::stderr().lock(), "\n");
            }
            Err(CliError::Stopped(signal))
        };
        let asked = tokio::select! {
            biased;
            signal = signals.next() => return stopped(signal),
            asked = asked => asked.unwrap_or(Err(CliError::Declined)),
        };
        // A terminal that is gone ends the answer before its signal is heard.
        if asked.is_err()
            && is_hung_up(&io::stdin())
            && let Ok(signal) = tokio::time::timeout(SIGNAL_DELAY, signals.next()).await
        {
            return stopped(signal);
        }
        asked
    }
}

#[derive(Serialize)]
struct ErrorAnswer<'a> {
    error: ErrorReport<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorReport<'a> {
    message: &'a str,
    exit_status: u8,
}

/// Whether the other side of `stream` is gone.
fn is_hung_up(stream: &impl std::os::fd::AsFd) -> bool {
    let mut polled = [PollFd::new(stream, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&now)).is_ok() && polled[0].revents().contains(PollFlags::HUP)
}

fn width_of(stream: &impl std::os::fd::AsFd) -> u16 {
    match termios::tcgetwinsize(stream) {
        Ok(size) if size.ws_col > 0 => size.ws_col,
        _ => DEFAULT_WIDTH,
    }
}

fn write_whole(stream: &mut impl Write, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

/// Escapes what is harmful in a JSON document on its way to a terminal.
struct CleanJson<W> {
    inner: W,
    rest: Vec<u8>,
}

impl<W: Write> Write for CleanJson<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rest.extend_from_slice(bytes);
        // A character may be split between two writes; its beginning waits for its end.
        let whole = match std::str::from_utf8(&self.rest) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.rest.len(),
        };
        let rest = self.rest.split_off(whole);
        let text = String::from_utf8_lossy(&self.rest).into_owned();
        self.rest = rest;
        self.inner.write_all(text::clean_json(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_cleaned_across_writes() {
        let mut body = CleanJson { inner: Vec::new(), rest: Vec::new() };
        let json = "[\"a\u{202e}b\u{9b}\", \"ż\"]".as_bytes();
        for byte in json {
            body.write_all(&[*byte]).unwrap();
        }
        body.flush().unwrap();
        assert_eq!(String::from_utf8(body.inner).unwrap(), "[\"a\\u202eb\\u009b\", \"ż\"]");
    }

    #[test]
    fn an_error_is_one_object() {
        let answer = ErrorAnswer { error: ErrorReport { message: "no", exit_status: 5 } };
        assert_eq!(serde_json::to_string(&answer).unwrap(), r#"{"error":{"message":"no","exitStatus":5}}"#);
    }
}
