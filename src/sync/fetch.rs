//! Getting one endpoint's body into the database: attempts, delays, staging.

use std::time::Duration;

use tokio::{sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{emitter::Emitter, event::RunEvent};
use crate::{
    blue::{Answer, Attempt, BodySummary, Client, FetchError},
    entity::Endpoint,
    green::{GreenError, KnownBody, Staging, Validated},
    report::SnapshotId,
};

/// Size at which a part of a body is written, in bytes.
const PART_SIZE: usize = 1024 * 1024;

/// A body that is kept as a snapshot.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub(super) snapshot: SnapshotId,
    /// blake3 of the body.
    pub(super) hash: String,
}

/// Why there is no body.
#[derive(Debug)]
pub(super) enum Unfetched {
    /// The source failed for good; the sentence names endpoint, problem and attempts.
    Source(String),
    /// The database failed.
    Database(GreenError),
    /// The run was cancelled.
    Cancelled,
}

impl From<GreenError> for Unfetched {
    fn from(error: GreenError) -> Self {
        Self::Database(error)
    }
}

/// What fetching needs beside the endpoint.
pub(super) struct Fetch<'a> {
    pub(super) client: &'a Client,
    pub(super) emitter: &'a Emitter,
    /// Bounds the endpoints that are asked at the same time.
    pub(super) slots: &'a Semaphore,
    /// When the run has to be done with fetching.
    pub(super) deadline: Instant,
    pub(super) cancel: &'a CancellationToken,
    /// A number in 0..1 for each delay.
    pub(super) jitter: &'a (dyn Fn() -> f64 + Send + Sync),
    /// Whether the body is sent again although it is the one that is known.
    pub(super) anew: bool,
}

impl Fetch<'_> {
    /// Asks `endpoint` until a body is staged, attempts are used up or the run is cancelled.
    pub(super) async fn body(&self, endpoint: Endpoint) -> Result<Fetched, Unfetched> {
        let policy = self.client.config().retry;
        let mut attempt = 1;
        loop {
            let (error, bytes) = match self.attempt(endpoint, attempt).await? {
                Ok(fetched) => return Ok(fetched),
                Err(failure) => failure,
            };
            let wait = policy.delay(attempt, (self.jitter)(), error.retry_after());
            let in_time = Instant::now().checked_add(wait).is_some_and(|next| next < self.deadline);
            let again = error.is_transient() && attempt < policy.attempts && in_time;
            self.emitter.emit(RunEvent::AttemptFailed {
                endpoint,
                attempt,
                bytes,
                status: error.status(),
                error: error.to_string(),
                excerpt: error.excerpt().map(str::to_owned),
                retry_in_ms: again.then_some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            });
            if !again {
                let late = error.is_transient() && attempt < policy.attempts;
                return Err(Unfetched::Source(give_up(endpoint, &error, attempt, late.then_some(wait))));
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.cancel.cancelled() => return Err(Unfetched::Cancelled),
            }
            attempt += 1;
        }
    }

    async fn attempt(&self, endpoint: Endpoint, attempt: u32) -> Result<Result<Fetched, (FetchError, u64)>, Unfetched> {
        let _slot = tokio::select! {
            slot = self.slots.acquire() => slot,
            () = self.cancel.cancelled() => return Err(Unfetched::Cancelled),
        };
        self.emitter.emit(RunEvent::AttemptStarted { endpoint, attempt });
        tokio::select! {
            ended = self.transfer(endpoint, attempt) => Ok(ended?),
            // What was staged of the body is removed when the run ends.
            () = self.cancel.cancelled() => Err(Unfetched::Cancelled),
        }
    }

    /// Receives and stages one body. The inner error also tells how many bytes had come.
    async fn transfer(
        &self,
        endpoint: Endpoint,
        attempt: u32,
    ) -> Result<Result<Fetched, (FetchError, u64)>, GreenError> {
        let session = self.emitter.session();
        let source = self.client.config().shown();
        let known = if self.anew { None } else { session.newest_body(endpoint, source.clone()).await? };
        let validators = known.as_ref().map(|body| body.validators.clone()).unwrap_or_default();
        let mut download = match (self.client.begin(endpoint, session.run(), &validators, self.deadline).await, known) {
            (Ok(Answer::Body(download)), _) => download,
            (Ok(Answer::NotModified), Some(body)) => return self.not_modified(endpoint, attempt, body).await.map(Ok),
            (Ok(Answer::NotModified), None) => unreachable!("only asked for with validators"),
            (Err(error), _) => return Ok(Err((error, 0))),
        };
        let mut staging = Staging::new(endpoint, session.run());
        let mut part = Part::default();
        let received = loop {
            let records = match download.next().await {
                Ok(Some(records)) => records,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            for record in records {
                part.add(&record);
                if part.len() >= PART_SIZE {
                    staging = session.stage_part(staging, part.take(), self.emitter.now()).await?;
                }
            }
            let Attempt { bytes, announced, records: elements } = download.progress();
            self.emitter.progress(RunEvent::Receiving { endpoint, bytes, announced, elements });
        };
        let bytes = download.progress().bytes;
        let (summary, validators) = match received.and_then(|()| download.finish()) {
            Ok(ended) => ended,
            Err(error) => {
                session.stage_abandon(staging).await?;
                return Ok(Err((error, bytes)));
            }
        };
        let BodySummary { bytes, records: elements, hash, .. } = summary.clone();
        let validated = Validated { source, validators };
        let staged = session.stage_end(staging, part.take(), summary, validated, self.emitter.now()).await?;
        self.emitter.emit(RunEvent::Staged {
            endpoint,
            attempt,
            snapshot: staged.snapshot,
            bytes,
            elements,
            known: staged.known,
            not_modified: false,
        });
        Ok(Ok(Fetched { snapshot: staged.snapshot, hash }))
    }

    /// The server says that its body is the one of the newest snapshot.
    async fn not_modified(&self, endpoint: Endpoint, attempt: u32, body: KnownBody) -> Result<Fetched, GreenError> {
        let KnownBody { snapshot, hash, bytes, elements, .. } = body;
        self.emitter.session().still_the_same(snapshot, self.emitter.now()).await?;
        let (known, not_modified) = (true, true);
        self.emitter.emit(RunEvent::Staged { endpoint, attempt, snapshot, bytes, elements, known, not_modified });
        Ok(Fetched { snapshot, hash })
    }
}

fn give_up(endpoint: Endpoint, error: &FetchError, attempts: u32, too_late: Option<Duration>) -> String {
    let times = if attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") };
    let late = too_late.map(|wait| format!("; the next one in {} s would be past the run's deadline", wait.as_secs()));
    format!("{endpoint} ({}): {error} ({times}{})", endpoint.path(), late.unwrap_or_default())
}

/// A JSON array in the making.
#[derive(Debug, Default)]
struct Part(String);

impl Part {
    fn add(&mut self, element: &str) {
        self.0.push(if self.0.is_empty() { '[' } else { ',' });
        self.0.push_str(element);
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn take(&mut self) -> String {
        if self.0.is_empty() {
            return "[]".to_owned();
        }
        self.0.push(']');
        std::mem::take(&mut self.0)
    }
}
