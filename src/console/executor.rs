//! Does what the console asks for, in tasks of their own, and sends the answers back as messages.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::message::{Effect, Message};
use crate::{
    green::RollbackOptions,
    ops::{Operations, SyncOptions},
    report::{RollbackTarget, Trigger},
};

/// Runs that are read for the list.
const RUNS: u64 = 100;

/// Starts tasks for effects.
#[derive(Debug)]
pub(super) struct Executor {
    operations: Operations,
    messages: mpsc::UnboundedSender<Message>,
    cancel: CancellationToken,
}

impl Executor {
    pub(super) fn new(operations: Operations, messages: mpsc::UnboundedSender<Message>) -> Self {
        Self { operations, messages, cancel: CancellationToken::new() }
    }

    /// Begins to do `effect`. What concerns the screen itself is not for here.
    pub(super) fn execute(&mut self, effect: &Effect) {
        let operations = self.operations.clone();
        match effect.clone() {
            Effect::LoadStatus => {
                self.spawn(async move { Message::Status(said(operations.status().await.map(Box::new))) });
            }
            Effect::LoadRuns => self.spawn(async move { Message::Runs(said(operations.runs(RUNS).await)) }),
            Effect::LoadDetail(entity) => {
                self.spawn(async move { Message::Detail(entity, said(operations.detail(entity).await)) });
            }
            Effect::LoadRun(run) => self.spawn(async move { Message::Run(said(operations.run(run).await)) }),
            Effect::Sync => self.sync(operations),
            Effect::Cancel => self.cancel.cancel(),
            Effect::PlanRollback => {
                self.spawn(async move {
                    Message::RollbackPlanned(said(operations.plan_rollback(RollbackTarget::Newest).await))
                });
            }
            Effect::Rollback(plan) => {
                let options = RollbackOptions { set_hold: true, reason: None };
                self.spawn(async move { Message::RolledBack(said(operations.rollback(*plan, options).await)) });
            }
            Effect::PlanCleanup => {
                self.spawn(async move { Message::CleanupPlanned(said(operations.plan_cleanup().await)) });
            }
            Effect::Cleanup => self.spawn(async move { Message::CleanedUp(said(operations.cleanup().await)) }),
            Effect::Redraw | Effect::Quit => {}
        }
    }

    fn spawn(&self, work: impl Future<Output = Message> + Send + 'static) {
        let messages = self.messages.clone();
        // A console that is gone needs no answer.
        tokio::spawn(async move { drop(messages.send(work.await)) });
    }

    fn sync(&mut self, operations: Operations) {
        self.cancel = CancellationToken::new();
        let cancel = self.cancel.clone();
        let messages = self.messages.clone();
        let (events, mut told) = mpsc::unbounded_channel();
        let forward = self.messages.clone();
        let forwarding = tokio::spawn(async move {
            while let Some(record) = told.recv().await {
                drop(forward.send(Message::Event(record)));
            }
        });
        tokio::spawn(async move {
            let run =
                tokio::spawn(async move { operations.sync(SyncOptions::full(Trigger::Console), events, cancel).await });
            let answer = match run.await {
                Ok(result) => said(result),
                Err(panic) => Err(format!("the run ended with a defect in greenroom: {panic}; nothing was switched")),
            };
            // All events of the run are told before its end is.
            let _ = forwarding.await;
            drop(messages.send(Message::SyncEnded(answer)));
        });
    }
}

fn said<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}
