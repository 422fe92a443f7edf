//! Triggers by other programs and by the schedule, as they are written down.

use std::collections::BTreeMap;

use super::{OperationError, Operations};
use crate::{
    green::{self, Database, NewTrigger, TaskQuery, Verdict},
    report::{ListedTrigger, TaskId, TaskReport, TriggerList, TriggerReport},
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

    /// The newest `limit` triggers with what became of them, and what waits.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn trigger_list(&self, limit: u64) -> Result<TriggerList, OperationError> {
        self.blocking(move |database| {
            let triggers = database.triggers(limit)?;
            // Mostly the newest triggers speak of the newest tasks; only one asked for again by its name may be older.
            let newest = database.tasks(&TaskQuery { limit, ..TaskQuery::default() })?;
            let mut tasks: BTreeMap<TaskId, TaskReport> = newest.into_iter().map(|task| (task.id, task)).collect();
            for id in triggers.iter().filter_map(|trigger| trigger.task) {
                if !tasks.contains_key(&id) {
                    tasks.extend(database.task(id)?.map(|task| (id, task)));
                }
            }
            let listed = triggers.into_iter().map(|trigger| {
                let promised = trigger.task.and_then(|id| tasks.get(&id)).cloned();
                ListedTrigger { trigger, promised }
            });
            let triggers = listed.collect();
            Ok(TriggerList { waiting: database.waiting_task()?, server: green::server(database), triggers })
        })
        .await
    }
}
