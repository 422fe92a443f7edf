//! The one thread that owns a run's writing connection.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use rusqlite::{Connection, InterruptHandle};
use tokio::sync::oneshot;

use super::error::GreenError;
use crate::defect;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// Hands jobs to the writing thread, which does them one after the other. The thread ends with the last clone.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    interrupt: Arc<InterruptHandle>,
    /// Whether the job at work may be broken off.
    interruptible: Arc<Mutex<bool>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Writer")
    }
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(mut connection: Connection) -> Result<Self, GreenError> {
        let interrupt = Arc::new(connection.get_interrupt_handle());
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                for job in queue {
                    job(&mut connection);
                }
            })
            .map_err(|_| GreenError::WriterGone)?;
        Ok(Self { jobs, interrupt, interruptible: Arc::default() })
    }

    /// Queues `work` and returns a receiver for its result.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, GreenError> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, GreenError>> {
        let (reply, answer) = oneshot::channel();
        // A failed send drops the reply, which the receiver reads as the writer being gone.
        let _ = self.jobs.send(Box::new(move |connection| {
            // A panic ends its job and not the thread: what was open is rolled back on the way, and the end of the run is still
            // to be written.
            let result = panic::catch_unwind(AssertUnwindSafe(|| work(connection)));
            let result = result.unwrap_or_else(|panic| Err(GreenError::Defect { message: defect::message(&*panic) }));
            let _ = reply.send(result);
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

    /// Like [`Writer::call`], for long work that [`Writer::interrupt`] may break off.
    pub(super) async fn call_interruptible<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, GreenError> + Send + 'static,
    ) -> Result<T, GreenError> {
        let interruptible = self.interruptible.clone();
        self.call(move |connection| {
            let _interruptible = Interruptible::now(interruptible);
            work(connection)
        })
        .await
    }

    /// Breaks off the job at work if it may be; any other, such as a record in the journal, is left alone.
    pub(super) fn interrupt(&self) {
        // Held while interrupting, so that the job cannot give way to the next one meanwhile.
        let interruptible = self.interruptible.lock().unwrap_or_else(PoisonError::into_inner);
        if *interruptible {
            self.interrupt.interrupt();
        }
    }
}

/// The job at work may be broken off as long as this lives, however the job ends.
struct Interruptible(Arc<Mutex<bool>>);

impl Interruptible {
    fn now(flag: Arc<Mutex<bool>>) -> Self {
        *flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
        Self(flag)
    }
}

impl Drop for Interruptible {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

    #[tokio::test]
    async fn a_panic_ends_its_job_and_leaves_no_transaction_open() {
        let writer = Writer::start(Connection::open_in_memory().unwrap()).unwrap();
        let work = |connection: &mut Connection| -> Result<(), GreenError> {
            let transaction = connection.transaction().unwrap();
            transaction.execute_batch("CREATE TABLE t (a)").unwrap();
            panic!("seven is not {}", 8);
        };
        let error = writer.call(work).await.unwrap_err();
        assert!(matches!(&error, GreenError::Defect { message } if message == "seven is not 8"), "{error}");
        let count = |connection: &mut Connection| {
            assert!(connection.is_autocommit());
            connection
                .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
                .map_err(|error| GreenError::from_sqlite(error, "counting"))
        };
        assert_eq!(writer.call(count).await.unwrap(), 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn only_what_may_be_broken_off_is() {
        let writer = Writer::start(Connection::open_in_memory().unwrap()).unwrap();
        let (begun, waiting) = mpsc::channel();
        let long = writer.clone();
        let endless = tokio::spawn(async move {
            let work = move |connection: &mut Connection| {
                begun.send(()).unwrap();
                let counted = connection.query_row(ENDLESS, [], |row| row.get::<_, i64>(0));
                counted.map_err(|error| GreenError::from_sqlite(error, "counting"))
            };
            long.call_interruptible(work).await
        });
        waiting.recv().unwrap();
        // Until the statement runs there is nothing to break off.
        while !endless.is_finished() {
            writer.interrupt();
            tokio::task::yield_now().await;
        }
        assert!(endless.await.unwrap().is_err());
        let (sender, gate) = mpsc::channel::<()>();
        let protected = writer.submit(move |connection| {
            gate.recv().unwrap();
            let sql =
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10000) SELECT count(*) FROM n";
            connection
                .query_row(sql, [], |row| row.get::<_, i64>(0))
                .map_err(|error| GreenError::from_sqlite(error, "counting"))
        });
        let interrupting = writer.clone();
        sender.send(()).unwrap();
        for _ in 0..1000 {
            interrupting.interrupt();
        }
        assert_eq!(protected.await.unwrap().unwrap(), 10_000);
    }
}
