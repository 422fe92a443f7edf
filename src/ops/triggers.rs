//! Triggers by other programs and by the schedule, as they are written down.

use super::{OperationError, Operations};
use crate::{
    green::{Database, NewTrigger, TaskQuery, Verdict},
    report::{TaskId, TaskReport, TriggerReport},
};

impl Operations {
    /// Answers a trigger and writes both down.
    ///
    /// # Errors
    /// When the database cannot be written; nothing was promised then.
    pub async fn record_trigger(&self, new: NewTrigger, verdict: Verdict) -> Result<TriggerReport, OperationError> {
        let report = self.blocking(move |database| database.record_trigger(&new, &verdict)).await?;
        tracing::info!("trigger: {report}");
        Ok(report)
    }

    /// Writes down that the run promised by `task` could not begin.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn give_up_task(&self, task: TaskId, error: String) -> Result<(), OperationError> {
        let now = self.clock.now();
        self.blocking(move |database| database.give_up_task(task, &error, now)).await
    }

    /// What was promised under this number; `None` when nothing was.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn task(&self, id: TaskId) -> Result<Option<TaskReport>, OperationError> {
        self.blocking(move |database| database.task(id)).await
    }

    /// The tasks that `query` asks for, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn tasks(&self, query: TaskQuery) -> Result<Vec<TaskReport>, OperationError> {
        self.blocking(move |database| database.tasks(&query)).await
    }

    /// The task whose run was promised and has yet to begin.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn waiting_task(&self) -> Result<Option<TaskReport>, OperationError> {
        self.blocking(Database::waiting_task).await
    }

    /// The newest `limit` triggers, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn triggers(&self, limit: u64) -> Result<Vec<TriggerReport>, OperationError> {
        self.blocking(move |database| database.triggers(limit)).await
    }
}
