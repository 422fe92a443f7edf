//! `runs --follow`: other processes' runs as they happen.

use tokio::time::{Interval, MissedTickBehavior};

use super::{
    Context,
    exit::{CliError, ExitStatus},
    outcome::{self, Doing},
    output::Output,
    progress::{DRAW_INTERVAL, Progress},
    runs::{self, RunsArguments},
    signal::{Signal, Signals},
};
use crate::{
    ops::{OperationError, Operations, Watching},
    report::{Replay, RunId, RunOutcome, SyncReport},
    sync::{EventRecord, Observed, RunEvent, RunState},
};

/// Follows one run to its end, or all that come.
pub(super) async fn follow(context: &Context, arguments: &RunsArguments) -> Result<ExitStatus, CliError> {
    let (output, json_lines) = (&context.output, arguments.json_lines);
    match (output.is_json(), arguments.run) {
        (true, _) if json_lines => return Err(CliError::JsonTwice),
        (true, None) => return Err(CliError::FollowAsJson),
        _ => {}
    }
    let operations = context.settings.open()?;
    let signals = Signals::listen()?;
    // Before anything is read: what ends from now on is seen.
    let watching = operations.watch().await?;
    let mut draws = tokio::time::interval(DRAW_INTERVAL);
    draws.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut following = Following { output, operations, watching, signals, draws, json_lines, shown: None };
    match arguments.run {
        Some(run) => following.one(run).await,
        None => following.all().await,
    }
}

/// A run that is shown.
struct Shown {
    run: RunId,
    progress: Progress,
    /// The number of its last event.
    seq: u64,
    state: Option<RunState>,
}

struct Following<'a> {
    output: &'a Output,
    operations: Operations,
    watching: Watching,
    signals: Signals,
    draws: Interval,
    json_lines: bool,
    shown: Option<Shown>,
}

impl Following<'_> {
    async fn one(&mut self, run: RunId) -> Result<ExitStatus, CliError> {
        let is_over = async |operations: &Operations| -> Result<bool, CliError> {
            Ok(operations.run_summary(run).await?.outcome.is_some())
        };
        if is_over(&self.operations).await? {
            if self.json_lines {
                for record in self.operations.run_events(run).await? {
                    self.output.json_line(&record).map_err(CliError::Stream)?;
                }
            }
            return self.report(run).await;
        }
        loop {
            let ended = match self.next().await? {
                Observed::Changed if self.shown.is_none() => is_over(&self.operations).await?,
                seen => self.see(seen, |seen| seen == run).await?,
            };
            if ended {
                self.end_picture()?;
                return self.report(run).await;
            }
        }
    }

    /// Prints the report of `run`, which is over.
    async fn report(&self, run: RunId) -> Result<ExitStatus, CliError> {
        let report = self.operations.run(run).await?;
        if !self.json_lines {
            let now = self.operations.clock().now();
            self.output.report(&report, now, |layout| runs::one(&report, layout))?;
        }
        Ok(ExitStatus::of_run(&report.run, None))
    }

    async fn all(&mut self) -> Result<ExitStatus, CliError> {
        let status = self.operations.status().await?;
        // A run that died before one looked is not told as if it went on.
        let dead = status.last_run.filter(|run| run.outcome == Some(RunOutcome::Interrupted)).map(|run| run.id);
        if status.running.is_none() {
            self.say_waiting();
        }
        loop {
            let seen = match self.next().await {
                // How one leaves what has no end.
                Err(CliError::Stopped(signal)) => return Ok(ExitStatus::Signalled(signal)),
                seen => seen?,
            };
            if self.see(seen, |run| Some(run) != dead).await? {
                let ended = self.end_picture()?.filter(|_| !self.json_lines);
                if let Some(report) = ended.map(|state| state.report()) {
                    let (doing, now) = (self.doing(&report).await, self.operations.clock().now());
                    self.output.report(&report, now, |layout| outcome::render(&report, doing, layout))?;
                }
                self.say_waiting();
            }
        }
    }

    fn say_waiting(&self) {
        self.output.note("greenroom: nothing is running; waiting for the next run, Ctrl-C ends this");
    }

    /// The command that `report` is of, as far as that matters for what can be done next.
    async fn doing(&self, report: &SyncReport) -> Doing {
        let run = &report.run;
        if let (Some(Replay::Rollback), Some(to)) = (run.replay, run.replay_of) {
            return Doing::GoBack(to);
        }
        let stopped = matches!(run.outcome, Some(RunOutcome::Held | RunOutcome::Prepared));
        let under_hold = stopped && self.operations.status().await.is_ok_and(|status| status.hold.is_some());
        if run.replay.is_some() { Doing::Publish { under_hold } } else { Doing::Sync { under_hold } }
    }

    /// The next thing that is seen. The picture is kept up to date meanwhile.
    async fn next(&mut self) -> Result<Observed, CliError> {
        loop {
            let drawn = self.shown.as_ref().map(|shown| &shown.progress).filter(|progress| progress.is_drawn());
            tokio::select! {
                biased;
                signal = self.signals.next() => {
                    self.leave(signal)?;
                    return Err(CliError::Stopped(signal));
                }
                seen = self.watching.next() => match seen {
                    Some(Ok(seen)) => return Ok(seen),
                    Some(Err(why)) => self.note(&format!("greenroom: nothing can be seen for the moment: {why}")),
                    None => return Err(OperationError::Panicked.into()),
                },
                _ = self.draws.tick(), if drawn.is_some() => {
                    if let Some(progress) = drawn {
                        progress.draw(self.output, self.operations.clock().now());
                    }
                }
            }
        }
    }

    /// Shows what was seen of a run that is `wanted`.
    ///
    /// # Returns
    /// Whether it is over now.
    async fn see(&mut self, seen: Observed, wanted: impl Fn(RunId) -> bool) -> Result<bool, CliError> {
        match seen {
            Observed::Event(record) if wanted(record.run) => self.take(&record),
            Observed::Died(run) if wanted(run) => {
                let ended = self.operations.run_summary(run).await?;
                let outcome = ended.outcome.unwrap_or(RunOutcome::Interrupted);
                let at = ended.finished_at.unwrap_or_else(|| self.operations.clock().now());
                let seq = self.shown.as_ref().map_or(1, |shown| shown.seq + 1);
                let event = RunEvent::Ended { outcome, error: ended.error };
                self.take(&EventRecord { run, seq, at, event })
            }
            Observed::Answers { run, answers } if wanted(run) => {
                let whose =
                    self.operations.lock_owner().map_or_else(|| format!("run {run}"), |owner| owner.to_string());
                self.note(&if answers {
                    format!("greenroom: {whose} answers again")
                } else {
                    format!(
                        "greenroom: {whose} does not answer, its process may be stopped or stuck; `greenroom cancel --force` \
                         ends it on its host"
                    )
                });
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    fn take(&mut self, record: &EventRecord) -> Result<bool, CliError> {
        if self.shown.as_ref().is_some_and(|shown| shown.run != record.run) {
            self.end_picture()?;
        }
        let shown = self.shown.get_or_insert_with(|| {
            let progress = Progress::following(self.output, self.json_lines);
            Shown { run: record.run, progress, seq: 0, state: None }
        });
        shown.progress.take(self.output, record);
        shown.seq = record.seq;
        match &mut shown.state {
            Some(state) => state.apply(record),
            None => shown.state = RunState::begin(record),
        }
        if matches!(shown.progress, Progress::JsonLines(Some(_))) {
            // Nobody reads them any more.
            self.end_picture()?;
        }
        Ok(matches!(record.event, RunEvent::Ended { .. }))
    }

    fn note(&self, line: &str) {
        match &self.shown {
            Some(shown) => shown.progress.note(self.output, line),
            None => self.output.note(line),
        }
    }

    /// Takes the picture away, and answers what it showed.
    fn end_picture(&mut self) -> Result<Option<RunState>, CliError> {
        let Some(shown) = self.shown.take() else { return Ok(None) };
        shown.progress.end()?;
        Ok(shown.state)
    }

    fn leave(&mut self, signal: Signal) -> Result<(), CliError> {
        if signal == Signal::Hangup {
            self.output.abandon_terminal();
            if let Some(shown) = &mut self.shown {
                shown.progress.abandon();
            }
        }
        self.end_picture().map(drop)
    }
}
