//! How the program ends: its exit statuses and the errors behind them.

use std::{io, process::ExitCode};

use super::signal::Signal;
use crate::{
    entity::Endpoint,
    green::GreenError,
    ops::OperationError,
    report::{RunOutcome, SnapshotId},
};

/// What the caller learns from the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// 0: what was asked for was done; a run was published, or found what is live already.
    Done,
    /// 1: it failed; nothing was switched.
    Failed,
    /// 2: the arguments or the configuration are at fault.
    Usage,
    /// 4: another run has the lock.
    Locked,
    /// 5: the answer to a needed confirmation was no, or nobody could be asked.
    NotConfirmed,
    /// 128 and the signal's number: a signal ended the run, and nothing was switched.
    Signalled(Signal),
}

impl ExitStatus {
    /// The number that the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Locked => 4,
            Self::NotConfirmed => 5,
            Self::Signalled(signal) => 128 + signal.number(),
        }
    }

    /// The status of a run that ended with `outcome` after the first of any signals was `signal`.
    ///
    /// A run that was published before the signal could stop it counts as published.
    #[must_use]
    pub const fn of_run(outcome: Option<RunOutcome>, signal: Option<Signal>) -> Self {
        match (outcome, signal) {
            (Some(RunOutcome::Published | RunOutcome::Unchanged), _) => Self::Done,
            (Some(RunOutcome::Cancelled), Some(signal)) => Self::Signalled(signal),
            _ => Self::Failed,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The operation refused.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// No database is set.
    #[error("no database is set; give --database-url or DATABASE_URL, a path or `file:/data/sqlite.db`")]
    NoDatabase,
    /// The address of the source cannot be used.
    #[error(
        "`{given}` is not the address of a source: {why}; give --source-url or SOURCE_API_URL, such as https://blue.example.com"
    )]
    BadSource {
        /// What was given.
        given: String,
        /// What is wrong with it.
        why: String,
    },
    /// Two options that exclude each other.
    #[error(
        "--json and --json-lines exclude each other: the one prints a single object, the other a line for each event"
    )]
    JsonTwice,
    /// The operator said no.
    #[error("not confirmed; nothing was changed")]
    Declined,
    /// There is no one to ask.
    #[error(
        "{what} needs a confirmation and there is no terminal to ask on; nothing was changed, pass --yes to confirm"
    )]
    CannotAsk {
        /// What needs it.
        what: &'static str,
    },
    /// JSON was asked for, which leaves no room for a question.
    #[error("{what} needs a confirmation and --json does not ask; nothing was changed, pass --yes to confirm")]
    JsonDoesNotAsk {
        /// What needs it.
        what: &'static str,
    },
    /// No such snapshot of that endpoint.
    #[error("there is no snapshot {id} of {endpoint}; see `greenroom history {endpoint}`")]
    NoSuchSnapshot {
        /// The endpoint.
        endpoint: Endpoint,
        /// The number that was asked for.
        id: SnapshotId,
    },
    /// Standard output or input cannot be used.
    #[error("cannot use the terminal or pipe: {0}")]
    Stream(#[source] io::Error),
    /// The system refused what the program needs to run at all.
    #[error("cannot start: {0}")]
    Start(#[source] io::Error),
    /// The console or the demo was asked for.
    #[error("the console is not part of this build")]
    NoConsole,
}

impl From<GreenError> for CliError {
    fn from(error: GreenError) -> Self {
        Self::Operation(error.into())
    }
}

impl CliError {
    /// The exit status that tells of it.
    #[must_use]
    pub fn status(&self) -> ExitStatus {
        match self {
            Self::Operation(OperationError::Green(GreenError::Locked { .. })) => ExitStatus::Locked,
            Self::Operation(OperationError::Green(error)) if error.is_configuration() => ExitStatus::Usage,
            Self::Operation(OperationError::NoSource) | Self::NoDatabase | Self::BadSource { .. } | Self::JsonTwice => {
                ExitStatus::Usage
            }
            Self::Declined | Self::CannotAsk { .. } | Self::JsonDoesNotAsk { .. } => ExitStatus::NotConfirmed,
            Self::Operation(_) | Self::NoSuchSnapshot { .. } | Self::Stream(_) | Self::Start(_) | Self::NoConsole => {
                ExitStatus::Failed
            }
        }
    }

    /// Whether the reader of our output is gone, as with `| head`, which is no fault.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        match self {
            Self::Operation(OperationError::Output(error)) | Self::Stream(error) => {
                error.kind() == io::ErrorKind::BrokenPipe
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_promised_statuses() {
        let locked = GreenError::Locked { owner: None };
        let missing = GreenError::Missing { path: "green.db".into() };
        let nothing = GreenError::NothingToRollBack { why: "nothing was published yet".to_owned() };
        for (error, code) in [
            (CliError::from(locked), 4),
            (missing.into(), 2),
            (nothing.into(), 1),
            (OperationError::NoSource.into(), 2),
            (OperationError::Panicked.into(), 1),
            (CliError::NoDatabase, 2),
            (CliError::Declined, 5),
            (CliError::CannotAsk { what: "rollback" }, 5),
            (CliError::JsonDoesNotAsk { what: "cleanup" }, 5),
            (CliError::NoSuchSnapshot { endpoint: Endpoint::Boards, id: 3 }, 1),
        ] {
            assert_eq!(error.status().code(), code, "{error}");
        }
    }

    #[test]
    fn only_a_cancelled_run_ends_by_its_signal() {
        let of_run = |outcome, signal| ExitStatus::of_run(Some(outcome), signal).code();
        assert_eq!(of_run(RunOutcome::Published, None), 0);
        assert_eq!(of_run(RunOutcome::Published, Some(Signal::Interrupt)), 0);
        assert_eq!(of_run(RunOutcome::Unchanged, None), 0);
        assert_eq!(of_run(RunOutcome::Failed, Some(Signal::Terminate)), 1);
        assert_eq!(of_run(RunOutcome::Cancelled, Some(Signal::Interrupt)), 130);
        assert_eq!(of_run(RunOutcome::Cancelled, Some(Signal::Terminate)), 143);
        assert_eq!(of_run(RunOutcome::Cancelled, Some(Signal::Hangup)), 129);
    }

    #[test]
    fn a_reader_that_left_is_no_fault() {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(CliError::Stream(gone()).is_broken_pipe());
        assert!(CliError::from(OperationError::Output(gone())).is_broken_pipe());
        assert!(!CliError::Start(gone()).is_broken_pipe());
    }
}
