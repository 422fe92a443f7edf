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
    wait::Turn,
};
use crate::{
    ops::{OperationError, Operations, ReplayOptions, SyncOptions},
    report::SyncReport,
    sync::{EventRecord, OnHangup},
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

/// Runs what is ordered with `operations` once it is the `turn` of it, and tells `progress` of it. Signals cancel it, but for
/// a line that drops: see [`Signals::for_run`].
pub(super) async fn perform(
    output: &Output,
    operations: &Operations,
    order: Order,
    mut progress: Progress,
    turn: &mut Turn,
    signals: &mut Signals,
) -> Result<Performed, CliError> {
    let report = loop {
        match attempt(output, operations, order.clone(), &mut progress, signals).await {
            Ok(report) => break report,
            Err(refusal) => {
                let waited = turn.after(refusal, output, operations, Some(signals)).await;
                if let Err(error) = waited {
                    drop(progress.end());
                    return Err(error);
                }
            }
        }
    };
    turn.taken();
    let is_stream = matches!(progress, Progress::JsonLines(_));
    let told = progress.end();
    Ok(Performed { report, streamed: is_stream.then_some(told) })
}

async fn attempt(
    output: &Output,
    operations: &Operations,
    order: Order,
    progress: &mut Progress,
    signals: &mut Signals,
) -> Result<SyncReport, OperationError> {
    let (sender, mut events) = mpsc::unbounded_channel();
    // A task of its own, so that a terminal or pipe that takes no more does not hold up the run.
    let mut run = tokio::spawn(order.execute(operations.clone(), sender, signals.token()));
    let mut draws = tokio::time::interval(DRAW_INTERVAL);
    draws.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let on_hangup = operations.line().on_hangup;
    let mut cancelled = signals.cancelled_by().is_some();
    let result = loop {
        tokio::select! {
            biased;
            Some(record) = events.recv() => progress.take(output, &record),
            signal = signals.next() => {
                if signal == Signal::Hangup {
                    output.abandon_terminal();
                    progress.abandon();
                }
                progress.note(output, &ending(signal, on_hangup, cancelled));
                cancelled = signals.cancelled_by().is_some();
            }
            result = &mut run => break result,
            _ = draws.tick(), if progress.is_drawn() => progress.draw(output, operations.clock().now()),
        }
    };
    while let Ok(record) = events.try_recv() {
        progress.take(output, &record);
    }
    result.unwrap_or(Err(OperationError::Panicked))
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

fn ending(signal: Signal, on_hangup: OnHangup, cancelled_before: bool) -> String {
    let name = signal.name();
    if cancelled_before {
        format!("greenroom: {name}: the run is ending already; it is brought to a safe end, please wait")
    } else if signal == Signal::Hangup && on_hangup == OnHangup::Finish {
        format!("greenroom: {name}: the terminal is gone; the run goes on to its end")
    } else {
        format!("greenroom: {name}: cancelling the run, which is brought to a safe end")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_say_what_becomes_of_the_run() {
        for (signal, on_hangup, cancelled_before, said) in [
            (Signal::Interrupt, OnHangup::Finish, false, "SIGINT: cancelling"),
            (Signal::Interrupt, OnHangup::Finish, true, "ending already"),
            (Signal::Hangup, OnHangup::Finish, false, "goes on to its end"),
            (Signal::Hangup, OnHangup::Cancel, false, "SIGHUP: cancelling"),
            (Signal::Hangup, OnHangup::Finish, true, "ending already"),
        ] {
            let text = ending(signal, on_hangup, cancelled_before);
            assert!(text.contains(said), "{text}");
        }
    }
}
