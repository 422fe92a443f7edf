//! Signals that ask a run to end, or tell that the line to its operator dropped.

use std::sync::{Arc, OnceLock};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use super::exit::CliError;
use crate::sync::{Line, OnHangup};

/// A signal that asks the program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The line dropped.
    Hangup,
    /// Ctrl-C.
    Interrupt,
    /// The system or a supervisor ends the program.
    Terminate,
}

impl Signal {
    /// The system's number of it.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Hangup => 1,
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }

    /// The signal with the system's `number`; what is unknown is taken for a request to end.
    #[must_use]
    pub const fn of_number(number: i32) -> Self {
        match number {
            1 => Self::Hangup,
            2 => Self::Interrupt,
            _ => Self::Terminate,
        }
    }

    /// The system's name of it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hangup => "SIGHUP",
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }

    const fn kind(self) -> SignalKind {
        match self {
            Self::Hangup => SignalKind::hangup(),
            Self::Interrupt => SignalKind::interrupt(),
            Self::Terminate => SignalKind::terminate(),
        }
    }
}

/// Turns signals into a cancel, in tasks of their own, so that a blocked terminal or pipe does not keep them from it.
#[derive(Debug)]
pub(super) struct Signals {
    cancel: CancellationToken,
    first: Arc<OnceLock<Signal>>,
    cancelled_by: Arc<OnceLock<Signal>>,
    arrived: mpsc::UnboundedReceiver<Signal>,
}

impl Signals {
    /// From now on signals cancel [`Signals::token`] instead of ending the process.
    pub(super) fn listen() -> Result<Self, CliError> {
        Self::begin(None)
    }

    /// The same for a run that is told when the line to its operator drops: what becomes of it then is its own matter, so
    /// SIGHUP drops `line` and leaves the token alone.
    pub(super) fn for_run(line: &Line) -> Result<Self, CliError> {
        Self::begin(Some(line))
    }

    fn begin(line: Option<&Line>) -> Result<Self, CliError> {
        let cancel = CancellationToken::new();
        let (first, cancelled_by) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::new()));
        let (sender, arrived) = mpsc::unbounded_channel();
        for which in [Signal::Hangup, Signal::Interrupt, Signal::Terminate] {
            if which == Signal::Hangup && hangup_is_ignored() {
                continue;
            }
            let mut signals = signal(which.kind()).map_err(CliError::Start)?;
            let line = line.filter(|_| which == Signal::Hangup);
            let cancels = line.is_none_or(|line| line.on_hangup == OnHangup::Cancel);
            let ended = line.map_or_else(|| cancel.clone(), |line| line.dropped.clone());
            let (first, cancelled_by, sender) = (first.clone(), cancelled_by.clone(), sender.clone());
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    let _ = first.set(which);
                    if cancels {
                        let _ = cancelled_by.set(which);
                    }
                    ended.cancel();
                    if sender.send(which).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Self { cancel, first, cancelled_by, arrived })
    }

    /// What the first signal cancels.
    pub(super) fn token(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// The first signal that came.
    pub(super) fn first(&self) -> Option<Signal> {
        self.first.get().copied()
    }

    /// The first signal that came and that cancels a run.
    pub(super) fn cancelled_by(&self) -> Option<Signal> {
        self.cancelled_by.get().copied()
    }

    /// The next signal; waits for ever while none comes.
    pub(super) async fn next(&mut self) -> Signal {
        match self.arrived.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }
}

/// Whether the program was started so that it outlives its terminal, as with `nohup`.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
