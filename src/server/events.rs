//! `GET /api/internal/runs/{id}/events`: a run as it happens, as server-sent events.

use std::{collections::VecDeque, convert::Infallible, sync::Arc};

use axum::{
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;

use super::{Shared, answer, task};
use crate::{
    green::GreenError,
    ops::{OperationError, Watching},
    report::{RunId, TaskId},
    sync::{EventRecord, Observed, RunEvent},
    text,
};

/// The header with the number of the last event that a client has seen.
const LAST_SEEN: &str = "last-event-id";

/// Tells nginx to hand events on at once.
const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// What is watched.
#[derive(Clone, Copy, Debug)]
enum Subject {
    Run(RunId),
    /// The run of a task, which may have yet to begin.
    Task(TaskId),
}

impl Subject {
    fn named(name: &str) -> Option<Self> {
        let run = || name.parse().ok().filter(|run| *run > 0 && !name.starts_with(['+', '0'])).map(Self::Run);
        task::number(name).map(Self::Task).or_else(run)
    }
}

pub(super) async fn answer(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let not_found = || answer::error(StatusCode::NOT_FOUND, "Run not found");
    let Some(subject) = Subject::named(&name) else { return not_found() };
    let Ok(place) = shared.streams.clone().try_acquire_owned() else {
        let busy = answer::error(StatusCode::SERVICE_UNAVAILABLE, "Too many runs are watched; ask again later");
        return answer::retry_after(busy, answer::RETRY_SECONDS);
    };
    let after = headers.get(LAST_SEEN).and_then(|seen| seen.to_str().ok()?.parse().ok()).unwrap_or(0);
    match Feed::open(shared.clone(), subject, after, place).await {
        Ok(Some(feed)) => {
            let events = stream::unfold(feed, async |mut feed| {
                let record = feed.next().await?;
                Some((Ok::<_, Infallible>(event(&record)), feed))
            });
            let alive = KeepAlive::new().interval(shared.options.limits.keep_alive);
            ([UNBUFFERED], Sse::new(events).keep_alive(alive)).into_response()
        }
        Ok(None) => not_found(),
        Err(problem) => answer::unavailable("reading a run", &problem),
    }
}

fn event(record: &EventRecord) -> Event {
    // Neither has a line feed in it: the one is one of a fixed set of words, the other JSON.
    let name = serde_json::to_value(&record.event).unwrap_or_default();
    let name = name["event"].as_str().unwrap_or_default();
    let json = serde_json::to_string(record).unwrap_or_default();
    Event::default().id(record.seq.to_string()).event(name).data(text::clean_json(&json))
}

/// The events of a run in their order, those that are kept first, until it is over or the server ends.
struct Feed {
    shared: Arc<Shared>,
    subject: Subject,
    /// `None` until the run began.
    run: Option<RunId>,
    watching: Watching,
    /// Read and not told yet.
    ready: VecDeque<EventRecord>,
    /// The number of the last event that the client has.
    after: u64,
    is_over: bool,
    _place: OwnedSemaphorePermit,
}

impl Feed {
    /// `None` when there is no such run or task.
    async fn open(
        shared: Arc<Shared>,
        subject: Subject,
        after: u64,
        place: OwnedSemaphorePermit,
    ) -> Result<Option<Self>, OperationError> {
        // Before anything is read: what happens from now on is seen.
        let watching = shared.operations().watch_all().await?;
        let run = match subject {
            Subject::Run(run) => Some(run),
            Subject::Task(_) => None,
        };
        let ready = VecDeque::new();
        let mut feed = Self { shared, subject, run, watching, ready, after, is_over: false, _place: place };
        Ok(feed.catch_up().await?.then_some(feed))
    }

    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<EventRecord> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                if record.seq > self.after {
                    self.after = record.seq;
                    return Some(record);
                }
                continue;
            }
            if self.is_over {
                return None;
            }
            let seen = tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => return None,
                seen = self.watching.next() => seen?,
            };
            let read = match seen {
                Ok(seen) => self.see(seen).await,
                // It passes, or the client comes again.
                Err(why) => {
                    tracing::debug!("a watched run cannot be seen for the moment: {why}");
                    Ok(())
                }
            };
            if let Err(problem) = read {
                tracing::warn!("a watched run cannot be read: {problem}");
                return None;
            }
        }
    }

    async fn see(&mut self, seen: Observed) -> Result<(), OperationError> {
        match seen {
            Observed::Event(record) => {
                if self.run.is_none() {
                    self.catch_up().await?;
                }
                if self.run == Some(record.run) {
                    self.is_over |= matches!(record.event, RunEvent::Ended { .. });
                    self.ready.push_back(record);
                }
            }
            Observed::Died(_) | Observed::Changed => drop(self.catch_up().await?),
            Observed::Answers { .. } => {}
        }
        Ok(())
    }

    /// Looks whether the run has begun and whether it is over, and reads all of it then.
    ///
    /// # Returns
    /// Whether there is such a run or task.
    async fn catch_up(&mut self) -> Result<bool, OperationError> {
        let operations = self.shared.operations().clone();
        if let (None, Subject::Task(task)) = (self.run, self.subject) {
            let Some(task) = operations.task(task).await? else { return Ok(false) };
            self.run = task.run;
            // Its run could not begin.
            self.is_over = task.run.is_none() && task.outcome.is_some();
        }
        let Some(run) = self.run else { return Ok(true) };
        // Looked at before the run: who gave it back has written all there is.
        let goes_on = operations.lock_owner().is_some_and(|owner| owner.run == Some(run));
        match operations.run_summary(run).await {
            Ok(summary) if summary.outcome.is_some() && !goes_on => {
                self.ready.extend(operations.run_events(run).await?);
                self.is_over = true;
                Ok(true)
            }
            Ok(_) => Ok(true),
            Err(OperationError::Green(GreenError::NotFound { .. })) => {
                self.is_over = true;
                // What became of the run of a task is known still.
                Ok(matches!(self.subject, Subject::Task(_)))
            }
            Err(problem) => Err(problem),
        }
    }
}
