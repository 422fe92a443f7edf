//! Turns triggers into runs: one goes on, at most one waits behind it, all others are answered with that one.
//!
//! A trigger that comes while a run goes on is promised a run of its own, as what changed at the source since the run began
//! would be missed otherwise. A promise is written down before it is answered and outlives the process.

mod schedule;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Mutex, Notify, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    green::{GreenError, NewTrigger, Requested, Verdict},
    ops::{OperationError, Operations, SyncOptions},
    report::{OwnerReport, RunId, TaskId, TaskReport, Trigger, TriggerAnswer, TriggerReport},
    text,
};

/// How long a trigger waits for those before it to be written down.
const QUEUE_WAIT: Duration = Duration::from_secs(5);

/// Shortest and longest pause before a run that could not begin is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(1));

/// For how long a run that cannot begin for something that passes, such as a lock, is tried again.
const LONGEST_TRYING: Duration = Duration::from_mins(10);

/// When promises of earlier processes are looked for again after they could not be read.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// How triggers become runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DispatchOptions {
    /// For how long no other trigger may come before a run begins; each one that comes starts it anew.
    pub debounce: Duration,
    /// How long the first trigger of a burst waits at most. At least `debounce`.
    pub longest_debounce: Duration,
    /// How often a run is started without any trigger, counted from the beginning of the one before; `None` for never.
    pub every: Option<Duration>,
    /// Whether all triggers are refused and nothing is written.
    pub read_only: bool,
}

/// Why a trigger got no answer.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// The process is about to end.
    #[error("greenroom is shutting down")]
    Closing,
    /// Others that came before it are still being written down.
    #[error("the database is slow, other triggers are still being written down")]
    Busy,
    /// It could not be written down, so nothing was promised.
    #[error(transparent)]
    Operation(#[from] OperationError),
}

/// The one place where triggers become runs.
#[derive(Clone, Debug)]
pub struct Dispatcher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    operations: Operations,
    options: DispatchOptions,
    queue: Mutex<Queue>,
    /// Rings when something was promised.
    promised: Notify,
    closing: AtomicBool,
}

#[derive(Debug, Default)]
struct Queue {
    /// The run that has yet to begin.
    promise: Option<Promise>,
    /// The task whose run is about to begin.
    beginning: Option<TaskId>,
    /// Our run that goes on.
    going: Option<RunId>,
}

#[derive(Clone, Debug)]
struct Promise {
    task: TaskId,
    trigger: Trigger,
    requested_by: String,
    /// When it may begin.
    due: Instant,
    /// When it begins although triggers still come.
    latest: Instant,
    /// Since when it was tried and could not begin, and the pause before the next time.
    failing: Option<(Instant, Duration)>,
}

impl Promise {
    fn new(task: TaskId, trigger: Trigger, requested_by: String, options: &DispatchOptions) -> Self {
        let now = Instant::now();
        let (due, latest) = (now + options.debounce, now + options.longest_debounce);
        Self { task, trigger, requested_by, due, latest, failing: None }
    }

    /// The same for the next try, after a pause that grows.
    fn later(self) -> Self {
        let now = Instant::now();
        let (since, pause) = self.failing.unwrap_or((now, PAUSES.0));
        let failing = Some((since, (pause * 2).min(PAUSES.1)));
        Self { due: now + pause, latest: now + pause, failing, ..self }
    }

    fn is_tried_long(&self) -> bool {
        self.failing.is_some_and(|(since, _)| since.elapsed() >= LONGEST_TRYING)
    }
}

impl Dispatcher {
    /// Nothing is run before [`Dispatcher::work`].
    #[must_use]
    pub fn new(operations: Operations, options: DispatchOptions) -> Self {
        let (queue, promised, closing) = (Mutex::default(), Notify::new(), AtomicBool::new(false));
        Self { inner: Arc::new(Inner { operations, options, queue, promised, closing }) }
    }

    /// What it works on.
    #[must_use]
    pub fn operations(&self) -> &Operations {
        &self.inner.operations
    }

    /// Answers a trigger that came over HTTP under the name `kind`, and keeps what was promised. What is begun here is brought
    /// to its end also when nobody waits for the answer any more.
    ///
    /// # Errors
    /// [`DispatchError::Closing`] during a shutdown; when the answer cannot be written down. Nothing was promised then.
    pub async fn trigger(
        &self,
        kind: &str,
        requested_by: String,
        idempotency_key: Option<String>,
    ) -> Result<TriggerReport, DispatchError> {
        let (inner, kind) = (self.inner.clone(), kind.to_owned());
        let answering = async move { inner.answer(kind, Trigger::Http, requested_by, idempotency_key).await };
        tokio::spawn(answering).await.unwrap_or(Err(DispatchError::Operation(OperationError::Panicked)))
    }

    /// Runs what was promised, by this process or an earlier one, and keeps the schedule, until `stop`. A run that goes on then
    /// is waited for; `cancel` ends it before its publish. What waits stays promised for the next start.
    pub async fn work(&self, stop: CancellationToken, cancel: CancellationToken) {
        let inner = &self.inner;
        tokio::join!(inner.run_promises(&stop, &cancel), inner.keep_schedule(&stop), async {
            stop.cancelled().await;
            inner.closing.store(true, Ordering::SeqCst);
        });
    }
}

impl Inner {
    /// Whether a run of ours goes on or is about to begin.
    async fn is_busy(&self) -> bool {
        let queue = self.queue.lock().await;
        queue.promise.is_some() || queue.beginning.is_some() || queue.going.is_some()
    }

    async fn answer(
        &self,
        kind: String,
        trigger: Trigger,
        requested_by: String,
        idempotency_key: Option<String>,
    ) -> Result<TriggerReport, DispatchError> {
        // Who gives up while waiting was promised nothing, so the wait has an end of its own.
        let waited = tokio::time::timeout(QUEUE_WAIT, self.queue.lock()).await;
        let mut queue = waited.map_err(|_| DispatchError::Busy)?;
        if self.closing.load(Ordering::SeqCst) {
            return Err(DispatchError::Closing);
        }
        let at = self.operations.clock().now();
        let new = NewTrigger { kind, trigger, requested_by, idempotency_key, at };
        if self.options.read_only {
            return Ok(refused(new));
        }
        let verdict = match queue.promise.as_ref().map(|promise| promise.task).or(queue.beginning) {
            Some(task) => Verdict::Join { task, behind: self.goes_on(queue.going).0 },
            None => self.promise(queue.going),
        };
        let report = self.operations.record_trigger(new, verdict).await?;
        match (&mut queue.promise, report.task) {
            (Some(promise), Some(task)) if promise.task == task => {
                let quiet = Instant::now() + self.options.debounce;
                promise.due = promise.due.max(quiet.min(promise.latest));
            }
            (promise @ None, Some(task)) if report.answer != TriggerAnswer::Joined => {
                *promise = Some(Promise::new(task, trigger, report.requested_by.clone(), &self.options));
            }
            _ => {}
        }
        self.promised.notify_one();
        Ok(report)
    }

    /// The run that goes on, ours or another's, and who is at work.
    fn goes_on(&self, going: Option<RunId>) -> (Option<RunId>, Option<OwnerReport>) {
        let owner = self.operations.lock_owner();
        (going.or_else(|| owner.as_ref().and_then(|owner| owner.run)), owner)
    }

    /// What is promised while nothing else is.
    fn promise(&self, going: Option<RunId>) -> Verdict {
        let (behind, owner) = self.goes_on(going);
        let (answer, message) = match (behind, owner) {
            (Some(run), _) => (TriggerAnswer::Waiting, format!("a sync waits behind run {run}")),
            (None, Some(owner)) => (TriggerAnswer::Waiting, format!("a sync waits behind {owner}")),
            (None, None) if !self.options.debounce.is_zero() => {
                let quiet = text::period(milliseconds(self.options.debounce));
                let message = format!("a sync begins once no trigger has come for {quiet}");
                (TriggerAnswer::Waiting, message)
            }
            (None, None) => (TriggerAnswer::Started, "a sync is started".to_owned()),
        };
        Verdict::Promise { answer, behind, message }
    }

    async fn run_promises(&self, stop: &CancellationToken, cancel: &CancellationToken) {
        let mut has_looked = self.take_up().await;
        while !stop.is_cancelled() {
            let due = self.queue.lock().await.promise.as_ref().map(|promise| promise.due);
            let turn = async {
                match due {
                    Some(due) => {
                        tokio::time::sleep_until(due).await;
                        self.operations.wait_for_turn(None).await
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                // It may be due later now, or there is one of an earlier process that was not seen.
                () = self.promised.notified() => {}
                () = tokio::time::sleep(LOOK_AGAIN), if !has_looked => {}
                _ = turn => self.run_promise(stop, cancel).await,
            }
            has_looked = self.take_up().await;
        }
    }

    /// Takes up what an earlier process promised and did not begin; whether it could be looked for.
    async fn take_up(&self) -> bool {
        let mut queue = self.queue.lock().await;
        if queue.promise.is_some() || self.options.read_only {
            return true;
        }
        match self.operations.waiting_task().await {
            Ok(Some(TaskReport { id, trigger, requested_by, .. })) => {
                queue.promise = Some(Promise::new(id, trigger, requested_by, &DispatchOptions::default()));
                true
            }
            Ok(None) => true,
            Err(error) => {
                tracing::warn!("looking for promised runs: {error}");
                false
            }
        }
    }

    /// Begins the promised run, if it is still due, and waits for its end.
    async fn run_promise(&self, stop: &CancellationToken, cancel: &CancellationToken) {
        let promise = {
            let mut queue = self.queue.lock().await;
            let Some(promise) = queue.promise.take_if(|promise| promise.due <= Instant::now()) else { return };
            queue.beginning = Some(promise.task);
            promise
        };
        let requested = Some(Requested { by: promise.requested_by.clone(), task: promise.task });
        let options = SyncOptions { requested, ..SyncOptions::full(promise.trigger) };
        let (sender, mut events) = mpsc::unbounded_channel();
        // Of its own: a run that somebody else cancels cancels what it was given, which must not reach the runs after it.
        let (operations, token) = (self.operations.clone(), cancel.child_token());
        let run = tokio::spawn(async move { operations.sync(options, sender, token).await });
        let first = tokio::select! {
            biased;
            first = events.recv() => first,
            // It is promised still, and begun by the next start.
            () = cancel.cancelled() => return,
        };
        if let Some(first) = first {
            {
                let mut queue = self.queue.lock().await;
                (queue.beginning, queue.going) = (None, Some(first.run));
            }
            // The run tells the journal and the log of itself.
            drop(events);
            let _ = run.await;
            self.queue.lock().await.going = None;
            return;
        }
        let error = match run.await {
            Ok(Err(error)) => error,
            Ok(Ok(_)) | Err(_) => OperationError::Panicked,
        };
        let promised = self.after_refusal(promise, &error, stop).await;
        let mut queue = self.queue.lock().await;
        queue.beginning = None;
        // One that came after the task was given up stays.
        queue.promise = queue.promise.take().or(promised);
    }

    /// What is promised still after a run could not begin.
    async fn after_refusal(
        &self,
        promise: Promise,
        error: &OperationError,
        stop: &CancellationToken,
    ) -> Option<Promise> {
        match error {
            // Somebody was faster.
            OperationError::Green(GreenError::Locked { .. }) => return Some(promise),
            OperationError::Green(green) if green.may_pass() && !promise.is_tried_long() => {
                tracing::warn!("a promised run cannot begin yet, it is tried again: {error}");
                return Some(promise.later());
            }
            _ => tracing::warn!("a promised run could not begin: {error}"),
        }
        // The next start has more luck, or says so.
        if stop.is_cancelled() {
            return None;
        }
        let unwritten = self.operations.give_up_task(promise.task, error.to_string()).await.err()?;
        tracing::warn!("that it could not begin is not written down: {unwritten}");
        Some(promise.later())
    }
}

/// The answer where nothing may be written down.
fn refused(new: NewTrigger) -> TriggerReport {
    let report = TriggerReport {
        at: new.at,
        kind: new.kind,
        trigger: new.trigger,
        requested_by: new.requested_by,
        answer: TriggerAnswer::ReadOnly,
        message: "refused: this greenroom is read-only".to_owned(),
        task: None,
        run: None,
        idempotency_key: new.idempotency_key,
    };
    tracing::warn!("trigger: {report}");
    report
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
