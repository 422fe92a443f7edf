//! Carries out one run, be it a sync or a replay, tells of it while it goes on, and prints its report.

use jiff::Timestamp;
use tokio::{
    sync::mpsc::{self, UnboundedSender},
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

use super::{
    exit::{CliError, ExitStatus},
    outcome::summary,
    output::{Layout, Output},
    progress::{DRAW_INTERVAL, Progress},
    signal::{Signal, Signals},
};
use crate::{
    ops::{OperationError, Operations, ReplayOptions, SyncOptions},
    report::SyncReport,
    sync::EventRecord,
};

/// The run that is wanted.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// From the source.
    Sync(SyncOptions),
    /// From the staged snapshots of an earlier run.
    Replay(ReplayOptions),
}

impl Order {
    async fn execute(
        self,
        operations: Operations,
        events: UnboundedSender<EventRecord>,
        cancel: CancellationToken,
    ) -> Result<SyncReport, OperationError> {
        match self {
            Self::Sync(options) => operations.sync(options, events, cancel).await,
            Self::Replay(options) => operations.replay(options, events, cancel).await,
        }
    }
}

/// A run that ended.
#[derive(Debug)]
pub(super) struct Performed {
    /// Its report.
    pub(super) report: SyncReport,
    /// Whether its events were the answer already, and whether all of them could be printed.
    streamed: Option<Result<(), CliError>>,
}

/// Runs what is ordered with `operations` and tells `progress` of it; `signals` cancel it.
pub(super) async fn perform(
    output: &Output,
    operations: &Operations,
    order: Order,
    mut progress: Progress,
    signals: &mut Signals,
) -> Result<Performed, CliError> {
    let (sender, mut events) = mpsc::unbounded_channel();
    // A task of its own, so that a terminal or pipe that takes no more does not hold up the run.
    let mut run = tokio::spawn(order.execute(operations.clone(), sender, signals.token()));
    let mut draws = tokio::time::interval(DRAW_INTERVAL);
    draws.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told_of_signal = false;
    let result = loop {
        tokio::select! {
            biased;
            Some(record) = events.recv() => progress.take(output, &record),
            signal = signals.next() => {
                if signal == Signal::Hangup {
                    progress.abandon();
                }
                progress.note(output, &ending(signal, told_of_signal));
                told_of_signal = true;
            }
            result = &mut run => break result,
            _ = draws.tick(), if progress.is_drawn() => progress.draw(output),
        }
    };
    while let Ok(record) = events.try_recv() {
        progress.take(output, &record);
    }
    let is_stream = matches!(progress, Progress::JsonLines(_));
    let told = progress.end();
    let report = result.map_err(|_| OperationError::Panicked)??;
    Ok(Performed { report, streamed: is_stream.then_some(told) })
}

/// Prints the report of a run that ended, as the text that `render` makes of it, after the first of any signals was `signal`.
pub(super) fn tell(
    output: &Output,
    now: Timestamp,
    performed: Performed,
    signal: Option<Signal>,
    render: impl FnOnce(&SyncReport, &Layout) -> String,
) -> Result<ExitStatus, CliError> {
    let Performed { report, streamed } = performed;
    let status = ExitStatus::of_run(&report.run, signal);
    if (output.is_json() || streamed.is_some()) && status != ExitStatus::Done {
        output.note(&format!("greenroom: {}", summary(&report)));
    }
    match streamed.unwrap_or_else(|| output.report(&report, now, |layout| render(&report, layout))) {
        // The run is what was asked for; that its report found no reader is not worth another status.
        Err(error) if status == ExitStatus::Done && !error.is_broken_pipe() => Err(error.after(summary(&report))),
        _ => Ok(status),
    }
}

fn ending(signal: Signal, told_before: bool) -> String {
    let name = signal.name();
    if told_before {
        format!("greenroom: {name}: the run is ending already; it is brought to a safe end, please wait")
    } else {
        format!("greenroom: {name}: cancelling the run, which is brought to a safe end")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_signals_say_that_it_ends_already() {
        assert!(ending(Signal::Interrupt, false).contains("SIGINT: cancelling"));
        assert!(ending(Signal::Interrupt, true).contains("ending already"));
    }
}
