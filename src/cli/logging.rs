//! Log lines of headless commands: on standard error, only with `-v`, without anything that a terminal would act on.

use std::{
    env,
    io::{self, Write},
};

use tracing::Level;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
};

use crate::text;

/// Writes log lines from now on: 0 none, 1 info, 2 debug, more trace. The first call of a process counts.
pub(super) fn install(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => Level::INFO,
        2 => Level::DEBUG,
        _ => Level::TRACE,
    };
    let targets = Targets::new().with_target("greenroom", level).with_default(LevelFilter::WARN);
    let lines = fmt::layer().with_target(false).with_ansi(false).with_writer(|| CleanLines);
    let base = tracing_subscriber::registry().with(targets);
    // Err only says that logging was set up before.
    let _ = if is_journal() {
        tracing::subscriber::set_global_default(base.with(lines.without_time()))
    } else {
        tracing::subscriber::set_global_default(base.with(lines))
    };
}

/// Whether standard error is the journal of systemd, which has a time for each line itself. It says which file that is, as
/// the variable is also seen by what writes elsewhere.
fn is_journal() -> bool {
    let Ok(journal) = env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(io::stderr()).is_ok_and(|file| journal == format!("{}:{}", file.st_dev, file.st_ino))
}

/// Standard error for whole lines of which each is cleaned.
struct CleanLines;

impl Write for CleanLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Nobody may be there to read it, such as after the terminal is gone. A failure must not get to the subscriber: it
        // would tell of it on standard error, too, and panic as that fails.
        drop(io::stderr().lock().write_all(clean_line(line).as_bytes()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        drop(io::stderr().lock().flush());
        Ok(())
    }
}

fn clean_line(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let mut cleaned = text::clean(line.strip_suffix('\n').unwrap_or(&line)).into_owned();
    cleaned.push('\n');
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_is_one_harmless_line() {
        assert_eq!(clean_line(b"INFO boards: \x1b[2J\nfake line\n"), "INFO boards: \\x1b[2J\\nfake line\n");
    }
}
