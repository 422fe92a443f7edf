//! Watching other processes, and what is to be told of runs that nobody saw end.

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::{
    console::{
        message::Message,
        model::{Tone, name_of},
        sentence,
    },
    ops::Operations,
    report::{RunReport, asker},
    sync::{EventRecord, Observed, RunEvent},
};

/// Runs that are told of in full; of more than so many the newest ones.
const TOLD: usize = 20;

/// Passes on what other processes do, until the console is gone or nothing can be seen any more.
pub(super) async fn watch(operations: Operations, messages: mpsc::UnboundedSender<Message>) {
    let mut log = Log { since: operations.clock().now(), name: String::new() };
    let unseen = |error: String, over| Message::Unseen { error, over };
    let mut watching = match operations.watch().await {
        Ok(watching) => watching,
        Err(error) => {
            tracing::warn!("what others do cannot be watched: {error}");
            drop(messages.send(unseen(error.to_string(), true)));
            return;
        }
    };
    while let Some(seen) = watching.next().await {
        let message = match seen {
            Ok(observed) => {
                log.observed(&observed);
                Message::Observed(observed)
            }
            Err(error) => {
                tracing::warn!("what others do is not seen for the moment: {error}");
                unseen(error, false)
            }
        };
        if messages.send(message).is_err() {
            return;
        }
    }
    drop(messages.send(unseen("the watching ended".to_owned(), true)));
}

/// Writes to the log what others do, as their own consoles do.
struct Log {
    /// Since when it is watched: what was before is no news.
    since: Timestamp,
    /// The run that goes on.
    name: String,
}

impl Log {
    fn observed(&mut self, observed: &Observed) {
        match observed {
            Observed::Event(record) => self.event(record),
            Observed::Answers { run, answers: true } => tracing::info!("run {run}: its process answers again"),
            Observed::Answers { run, answers: false } => tracing::warn!("run {run}: its process does not answer"),
            Observed::Died(run) => tracing::warn!("run {run}: its process died"),
            Observed::Changed => {}
        }
    }

    fn event(&mut self, record: &EventRecord) {
        let EventRecord { run, at, event, .. } = record;
        if let RunEvent::Started { trigger, requested_by, operator, .. } = event {
            self.name = name_of(*run, &asker(*trigger, requested_by.as_deref(), operator));
        }
        if *at >= self.since && !event.is_passing() {
            event.log(&self.name);
        }
    }
}

/// Clears away what runs of dead processes left.
pub(super) async fn recover(operations: &Operations) {
    if let Err(error) = operations.recover().await {
        tracing::warn!("what a dead run left could not be cleared away: {error}");
    }
}

/// Runs that ended while nobody was there to read how, newest first. All are logged; why they cannot be read is, too.
pub(super) async fn catch_up(operations: &Operations) -> Vec<RunReport> {
    recover(operations).await;
    let untold = match operations.take_untold().await {
        Ok(untold) => untold,
        Err(error) => {
            tracing::warn!("how runs ended meanwhile could not be read: {error}");
            return Vec::new();
        }
    };
    let mut reports = Vec::new();
    for run in untold.iter().take(TOLD) {
        match operations.run(run.id).await {
            Ok(report) => reports.push(report),
            Err(error) => tracing::warn!("run {}: {error}", run.id),
        }
    }
    for report in reports.iter().rev() {
        match sentence::untold(report) {
            (Tone::Bad, sentence) => tracing::warn!("{sentence}"),
            (_, sentence) => tracing::info!("{sentence}"),
        }
    }
    reports
}
