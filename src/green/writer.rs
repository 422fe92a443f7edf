//! The one thread that owns a run's writing connection.

use std::{sync::mpsc, thread};

use rusqlite::{Connection, InterruptHandle};
use tokio::sync::oneshot;

use super::error::GreenError;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// Hands jobs to the writing thread, which does them one after the other. The thread ends with the last clone.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    interrupt: std::sync::Arc<InterruptHandle>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Writer")
    }
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(mut connection: Connection) -> Result<Self, GreenError> {
        let interrupt = std::sync::Arc::new(connection.get_interrupt_handle());
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                for job in queue {
                    job(&mut connection);
                }
            })
            .map_err(|_| GreenError::WriterGone)?;
        Ok(Self { jobs, interrupt })
    }

    /// Queues `work` and returns a receiver for its result.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, GreenError> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, GreenError>> {
        let (reply, answer) = oneshot::channel();
        // A failed send drops the reply, which the receiver reads as the writer being gone; so does a panic in the job.
        let _ = self.jobs.send(Box::new(move |connection| {
            let _ = reply.send(work(connection));
        }));
        answer
    }

    /// Does `work` on the thread and waits for its result.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, GreenError> + Send + 'static,
    ) -> Result<T, GreenError> {
        self.submit(work).await.unwrap_or(Err(GreenError::WriterGone))
    }

    /// Breaks off the statement that the thread executes, if any.
    pub(super) fn interrupt(&self) {
        self.interrupt.interrupt();
    }
}
