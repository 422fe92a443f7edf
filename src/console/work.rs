//! What the console has begun and must not be torn off: our run, a rollback, a change of the hold, a cleanup, an export.

use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// A hold on what the console has begun, which outlives its screen.
#[derive(Clone, Debug, Default)]
pub struct Work {
    begun: TaskTracker,
    end: CancellationToken,
}

impl Work {
    /// Counts something as going on until the token is dropped.
    pub(super) fn begin(&self) -> TaskTrackerToken {
        self.begun.token()
    }

    /// What cancels a run of ours.
    pub(super) fn run_token(&self) -> CancellationToken {
        self.end.child_token()
    }

    /// Cancels our run and every one that is still to begin. What else was begun comes to its end.
    pub fn cancel(&self) {
        self.end.cancel();
    }

    /// Whether nothing goes on.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.begun.is_empty()
    }

    /// Waits until nothing goes on.
    pub async fn done(&self) {
        self.begun.close();
        self.begun.wait().await;
    }
}
