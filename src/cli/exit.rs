//! How the program ends: its exit statuses and the errors behind them.

use std::{io, net::SocketAddr, path::PathBuf, process::ExitCode};

use super::{secret::NoSecret, signal::Signal};
use crate::{
    entity::Endpoint,
    green::GreenError,
    guard::BadGuard,
    ops::OperationError,
    report::{HoldReport, RunId, RunOutcome, RunSummary, SnapshotId},
};

/// What the caller learns from the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// 0: what was asked for was done; a run was published, or found what is live already.
    Done,
    /// 1: it failed and nothing was switched, or a partial publish left something behind.
    Failed,
    /// 2: the arguments or the configuration are at fault.
    Usage,
    /// 3: a guard or the hold stopped the publish; nothing was switched.
    Held,
    /// 4: another run has the lock, or another server takes the triggers.
    Locked,
    /// 5: the answer to a needed confirmation was no, or nobody could be asked.
    NotConfirmed,
    /// 128 and the signal's number: a signal ended the run before its publish, or the console, whose run goes on or is
    /// cancelled as it was told to.
    Signalled(Signal),
    /// That of a command which greenroom ran, whatever it means.
    OfCommand(u8),
}

impl ExitStatus {
    /// The number that the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Held => 3,
            Self::Locked => 4,
            Self::NotConfirmed => 5,
            Self::Signalled(signal) => 128 + signal.number(),
            Self::OfCommand(code) => code,
        }
    }

    /// The status of a `run` that ended after the first of any signals was `signal`.
    ///
    /// A run that was published before the signal could stop it counts as published; one that published or prepared only
    /// part of what it should has an error.
    #[must_use]
    pub const fn of_run(run: &RunSummary, signal: Option<Signal>) -> Self {
        match (run.outcome, signal) {
            (Some(RunOutcome::Published | RunOutcome::Unchanged | RunOutcome::Prepared), _) if run.error.is_none() => {
                Self::Done
            }
            (Some(RunOutcome::Held), _) => Self::Held,
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
    /// The limits of a deployment cannot be understood.
    #[error("GREENROOM_GUARDS: {0}")]
    BadGuards(#[source] BadGuard),
    /// Two options that exclude each other.
    #[error(
        "--json and --json-lines exclude each other: the one prints a single object, the other a line for each event"
    )]
    JsonTwice,
    /// One object of what has no end.
    #[error(
        "--json prints a single object, and runs that are followed have no end; use --json-lines, which prints a line for each event, or name a RUN"
    )]
    FollowAsJson,
    /// A publish of an earlier run while the hold is set.
    #[error(
        "{hold} (since {}); nothing was switched. `greenroom publish {run} --release` publishes run {run} and releases the hold", crate::text::time(.hold.since)
    )]
    UnderHold {
        /// The run that was to be published.
        run: RunId,
        /// The hold.
        hold: Box<HoldReport>,
    },
    /// A signal came before the work was done or the question answered.
    #[error("stopped by {}; nothing was changed", .0.name())]
    Stopped(Signal),
    /// A signal came while the end of a run was waited for.
    #[error("stopped waiting by {}; {}", .signal.name(), asked_to_end(*.asked))]
    StoppedWaiting {
        /// The signal.
        signal: Signal,
        /// The run that is asked to end.
        asked: Option<RunId>,
    },
    /// The operator said no.
    #[error("not confirmed; nothing was changed")]
    Declined,
    /// A run that was prepared against something that is not live any more.
    #[error(
        "something was published since run {run} was prepared, so what it found may be out of date; nothing was switched. Look with `greenroom diff --run {run}`, then publish it on a terminal, which asks by the figures of now, or add --yes"
    )]
    Outdated {
        /// The run.
        run: RunId,
    },
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
    /// A folder without migrations that could be applied.
    #[error("{} holds no migrations to apply: {why}; give the folder in which Prisma keeps them, such as prisma/migrations", .folder.display())]
    NoScripts {
        /// The folder.
        folder: PathBuf,
        /// What is in the way.
        why: String,
    },
    /// No such snapshot of that endpoint.
    #[error("there is no snapshot {id} of {endpoint}; see `greenroom history {endpoint}`")]
    NoSuchSnapshot {
        /// The endpoint.
        endpoint: Endpoint,
        /// The number that was asked for.
        id: SnapshotId,
    },
    /// No such snapshot of any endpoint.
    #[error("there is no snapshot {id}; see `greenroom history`")]
    UnknownSnapshot {
        /// The number that was asked for.
        id: SnapshotId,
    },
    /// Two snapshots that have nothing to do with each other.
    #[error(
        "snapshot {} is one of {}, snapshot {} one of {}; only snapshots of one endpoint can be compared, see `greenroom history`",
        .old.0, .old.1, .new.0, .new.1
    )]
    OtherEndpoint {
        /// The one snapshot and its endpoint.
        old: (SnapshotId, Endpoint),
        /// The other.
        new: (SnapshotId, Endpoint),
    },
    /// Standard output or input cannot be used.
    #[error("cannot use the terminal or pipe: {0}")]
    Stream(#[source] io::Error),
    /// It was done, but nobody could be told.
    #[error("{done}, but its report could not be written: {source}")]
    Untold {
        /// What was done.
        done: String,
        /// Why it could not be told.
        source: Box<CliError>,
    },
    /// The system refused what the program needs to run at all.
    #[error("cannot start: {0}")]
    Start(#[source] io::Error),
    /// What triggers have to know is not set, or cannot be used.
    #[error(transparent)]
    NoSecret(#[from] NoSecret),
    /// Two spans of time that contradict each other.
    #[error(
        "--debounce-longest has to be at least --debounce; a burst of triggers would otherwise never be waited for"
    )]
    Debounce,
    /// No name of a header.
    #[error("`{given}` is not the name of an HTTP header; give --client-address-header one such as X-Real-IP")]
    BadHeader {
        /// What was given.
        given: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; give another --listen, or end what listens there")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// A migration of the application that could not be started.
    #[error("cannot run `{command}`: {source}; the views are as they were")]
    CannotRun {
        /// What was to be run.
        command: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The views could not be put back after a migration of the application.
    #[error("`{command}` ended {ended}. {source}")]
    AfterMigration {
        /// What was run.
        command: String,
        /// How it ended.
        ended: String,
        /// Why the views are not back.
        source: Box<OperationError>,
    },
    /// The console has nothing to be shown on.
    #[error("the console needs a terminal: {0}; the commands need none, see `greenroom --help`")]
    NoTerminal(String),
}

fn asked_to_end(run: Option<RunId>) -> String {
    run.map_or_else(
        || "no run was asked to end yet".to_owned(),
        |run| format!("run {run} stays asked to end and cannot publish, see `greenroom runs {run}`"),
    )
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
            Self::Operation(OperationError::Green(GreenError::Locked { .. } | GreenError::Served { .. })) => {
                ExitStatus::Locked
            }
            Self::Operation(OperationError::Green(GreenError::Held { .. })) | Self::UnderHold { .. } => {
                ExitStatus::Held
            }
            Self::Stopped(signal) | Self::StoppedWaiting { signal, .. } => ExitStatus::Signalled(*signal),
            Self::Operation(OperationError::Green(error)) if error.is_configuration() => ExitStatus::Usage,
            Self::Operation(OperationError::NoSource)
            | Self::NoDatabase
            | Self::BadSource { .. }
            | Self::JsonTwice
            | Self::FollowAsJson
            | Self::BadGuards(_)
            | Self::NoSecret(_)
            | Self::Debounce
            | Self::BadHeader { .. }
            | Self::OtherEndpoint { .. }
            | Self::NoScripts { .. }
            | Self::NoTerminal(_) => ExitStatus::Usage,
            Self::Declined | Self::CannotAsk { .. } | Self::JsonDoesNotAsk { .. } => ExitStatus::NotConfirmed,
            Self::Operation(_)
            | Self::Outdated { .. }
            | Self::NoSuchSnapshot { .. }
            | Self::UnknownSnapshot { .. }
            | Self::Stream(_)
            | Self::Untold { .. }
            | Self::Listen { .. }
            | Self::CannotRun { .. }
            | Self::AfterMigration { .. }
            | Self::Start(_) => ExitStatus::Failed,
        }
    }

    /// Whether the reader of our output is gone, as with `| head`, which is no fault.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        match self {
            Self::Operation(OperationError::Output(error)) | Self::Stream(error) => {
                error.kind() == io::ErrorKind::BrokenPipe
            }
            Self::Untold { source, .. } => source.is_broken_pipe(),
            _ => false,
        }
    }

    /// The same error, met while telling of what was `done`.
    #[must_use]
    pub fn after(self, done: impl Into<String>) -> Self {
        Self::Untold { done: done.into(), source: Box::new(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Operator, Trigger};

    fn run(outcome: RunOutcome, error: Option<&str>) -> RunSummary {
        RunSummary {
            requested_by: None,
            id: 7,
            trigger: Trigger::Cli,
            outcome: Some(outcome),
            started_at: jiff::Timestamp::UNIX_EPOCH,
            finished_at: None,
            duration_ms: None,
            operator: Operator { user: "ana".into(), host: "box".into(), pid: 1 },
            source: "http://blue".into(),
            publication: None,
            scope: None,
            dry_run: false,
            replay: None,
            replay_of: None,
            error: error.map(str::to_owned),
            cancel_asked_by: None,
            operator_gone_at: None,
        }
    }

    #[test]
    fn errors_have_the_promised_statuses() {
        let locked = GreenError::Locked { owner: None };
        let missing = GreenError::Missing { path: "green.db".into() };
        let nothing = GreenError::NothingToRollBack { why: "nothing was published yet".to_owned() };
        let hold = Box::new(HoldReport {
            since: jiff::Timestamp::UNIX_EPOCH,
            operator: run(RunOutcome::Held, None).operator,
            reason: "bad data".into(),
            publication: None,
        });
        let stopped = GreenError::Held { hold: hold.clone() };
        let gone = GreenError::NotReplayable { run: 3, why: "is gone".into(), possible: vec![5, 4] };
        let (old, new) = ((3, Endpoint::Boards), (4, Endpoint::Talents));
        for (error, code) in [
            (CliError::from(locked), 4),
            (stopped.into(), 3),
            (CliError::UnderHold { run: 7, hold }, 3),
            (gone.into(), 1),
            (CliError::Stopped(Signal::Interrupt), 130),
            (CliError::StoppedWaiting { signal: Signal::Terminate, asked: Some(7) }, 143),
            (CliError::FollowAsJson, 2),
            (CliError::UnknownSnapshot { id: 9 }, 1),
            (CliError::OtherEndpoint { old, new }, 2),
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
    fn a_run_has_the_status_of_its_outcome() {
        let of_run = |outcome, error, signal| ExitStatus::of_run(&run(outcome, error), signal).code();
        for (outcome, error, signal, code) in [
            (RunOutcome::Published, None, None, 0),
            (RunOutcome::Published, Some("boards: HTTP status 500"), None, 1),
            (RunOutcome::Published, None, Some(Signal::Interrupt), 0),
            (RunOutcome::Unchanged, None, None, 0),
            (RunOutcome::Prepared, None, None, 0),
            (RunOutcome::Prepared, Some("boards: HTTP status 500"), None, 1),
            (RunOutcome::Held, Some("shrink guard"), None, 3),
            (RunOutcome::Failed, Some("full"), Some(Signal::Terminate), 1),
            (RunOutcome::Cancelled, None, Some(Signal::Interrupt), 130),
            (RunOutcome::Cancelled, None, Some(Signal::Terminate), 143),
            (RunOutcome::Cancelled, None, Some(Signal::Hangup), 129),
        ] {
            assert_eq!(of_run(outcome, error, signal), code, "{outcome} {error:?} {signal:?}");
        }
    }

    #[test]
    fn a_reader_that_left_is_no_fault() {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(CliError::Stream(gone()).is_broken_pipe());
        assert!(CliError::from(OperationError::Output(gone())).is_broken_pipe());
        assert!(CliError::Stream(gone()).after("done").is_broken_pipe());
        assert!(!CliError::Start(gone()).is_broken_pipe());
    }
}
