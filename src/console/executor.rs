//! Does what the console asks for, in tasks of their own, and sends the answers back as messages.

mod others;

use std::{
    fs::File,
    io::{self, BufWriter},
    path::{Path, PathBuf},
};

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    message::{Answer, Effect, Message},
    overlay::TRIGGERS_LISTED,
    work::Work,
};
use crate::{
    green::{QuarantineQuery, RollbackOptions},
    ops::{OperationError, Operations},
    report::SyncReport,
    sync::EventRecord,
};

/// Runs that are read for the list.
const RUNS: u64 = 100;

/// Starts tasks for effects.
#[derive(Debug)]
pub(super) struct Executor {
    operations: Operations,
    messages: mpsc::UnboundedSender<Message>,
    /// Where exported files go.
    folder: PathBuf,
    /// What must come to its end.
    work: Work,
    /// Ends our run.
    cancel: CancellationToken,
    /// Ends the reading of rows that differ when it is dropped.
    diff: Option<DropGuard>,
    /// Ends the reading of rows.
    rows: Option<DropGuard>,
}

impl Executor {
    pub(super) fn new(operations: Operations, messages: mpsc::UnboundedSender<Message>) -> Self {
        let (folder, work) = (PathBuf::from("."), Work::default());
        Self { operations, messages, folder, cancel: work.run_token(), work, diff: None, rows: None }
    }

    pub(super) fn work(&self) -> &Work {
        &self.work
    }

    pub(super) fn export_to(&mut self, folder: PathBuf) {
        self.folder = folder;
    }

    /// Begins to do `effect`. What concerns the screen itself is not for here.
    pub(super) fn execute(&mut self, effect: Effect) {
        let operations = self.operations.clone();
        match effect {
            Effect::LoadStatus => {
                self.spawn(async move { Message::Status(said(operations.status().await.map(Box::new))) });
            }
            Effect::LoadRuns => self.spawn(async move { Message::Runs(said(operations.runs(RUNS).await)) }),
            Effect::LoadDetail(entity) => {
                self.spawn(async move { Message::Detail(entity, said(operations.detail(entity).await)) });
            }
            Effect::LoadRun(run) => self.spawn(async move { Message::Run(said(operations.run(run).await)) }),
            Effect::Sync(options) => {
                self.run(async move |events, cancel| operations.sync(*options, events, cancel).await);
            }
            Effect::Replay(options) => {
                self.run(async move |events, cancel| operations.replay(*options, events, cancel).await);
            }
            Effect::Cancel => self.cancel.cancel(),
            Effect::Watch => drop(tokio::spawn(others::watch(operations, self.messages.clone()))),
            Effect::CatchUp => self.spawn(async move { Message::Untold(others::catch_up(&operations).await) }),
            Effect::Recover => drop(tokio::spawn(async move { others::recover(&operations).await })),
            Effect::CancelOther { run, force } => self.spawn_whole(async move {
                Message::CancelAnswered(run, said(operations.cancel_run(run, force).await.map(Box::new)))
            }),
            Effect::PlanPublish(run) => self
                .spawn(async move { Message::PublishPlanned(said(operations.plan_publish(run).await.map(Box::new))) }),
            Effect::PlanRollback(target) => {
                self.spawn(async move { Message::RollbackPlanned(said(operations.plan_rollback(target).await)) });
            }
            Effect::Rollback { plan, set_hold } => {
                let options = RollbackOptions { set_hold, reason: None };
                self.spawn_whole(async move { Message::RolledBack(said(operations.rollback(*plan, options).await)) });
            }
            Effect::Hold(reason) => {
                self.spawn_whole(async move { Message::HoldChanged(said(operations.hold(reason).await)) });
            }
            Effect::Release(hold) => {
                self.spawn_whole(async move { Message::HoldChanged(said(operations.release(Some(*hold)).await)) });
            }
            Effect::PlanCleanup => {
                self.spawn(async move { Message::CleanupPlanned(said(operations.plan_cleanup().await)) });
            }
            Effect::Cleanup => self.spawn_whole(async move { Message::CleanedUp(said(operations.cleanup().await)) }),
            Effect::LoadDiff { request, subject, entity, page } => {
                let stop = CancellationToken::new();
                // The guard of an earlier reading is dropped here, which ends that.
                self.diff = Some(stop.clone().drop_guard());
                self.spawn(async move {
                    Message::Diff(request, said(operations.diff(subject, vec![entity], Some(page), stop).await))
                });
            }
            Effect::StopDiff => self.diff = None,
            Effect::LoadRows { request, query } => {
                let stop = CancellationToken::new();
                self.rows = Some(stop.clone().drop_guard());
                self.spawn(async move { Message::Rows(request, said(operations.rows(query, stop).await)) });
            }
            Effect::StopRows => self.rows = None,
            Effect::LoadQuarantine { request, query } => {
                self.spawn(async move { Message::Quarantine(request, said(operations.quarantine(query).await)) });
            }
            Effect::LoadTriggers { request } => {
                self.spawn(
                    async move { Message::Triggers(request, said(operations.trigger_list(TRIGGERS_LISTED).await)) },
                );
            }
            Effect::ExportQuarantine { query, name } => {
                let path = self.folder.join(name);
                self.spawn_whole(async move {
                    let export = tokio::task::spawn_blocking(move || export(&operations, &query, &path));
                    Message::Exported(match export.await {
                        Ok(answer) => answer,
                        Err(panic) => Err(format!("the export ended with a defect in greenroom: {panic}")),
                    })
                });
            }
            Effect::Redraw | Effect::Quit => {}
        }
    }

    fn spawn(&self, work: impl Future<Output = Message> + Send + 'static) {
        let messages = self.messages.clone();
        // A console that is gone needs no answer.
        tokio::spawn(async move { drop(messages.send(work.await)) });
    }

    /// The same for what must come to its end, be there a screen to show its answer or not.
    fn spawn_whole(&self, work: impl Future<Output = Message> + Send + 'static) {
        let going_on = self.work.begin();
        self.spawn(async move {
            let answer = work.await;
            drop(going_on);
            answer
        });
    }

    /// Begins our run, of which there is one at a time; `x` cancels it, be it a sync or a replay.
    fn run<F>(&mut self, work: impl FnOnce(mpsc::UnboundedSender<EventRecord>, CancellationToken) -> F)
    where
        F: Future<Output = Result<SyncReport, OperationError>> + Send + 'static,
    {
        self.cancel = self.work.run_token();
        let (events, mut told) = mpsc::unbounded_channel();
        let forward = self.messages.clone();
        let forwarding = tokio::spawn(async move {
            while let Some(record) = told.recv().await {
                drop(forward.send(Message::Event(record)));
            }
        });
        let run = tokio::spawn(work(events, self.cancel.clone()));
        self.spawn_whole(async move {
            let answer = match run.await {
                Ok(result) => said(result),
                Err(panic) => {
                    Err(format!("the run ended with a defect in greenroom: {panic}; the table shows what is live"))
                }
            };
            // All events of the run are told before its end is.
            let _ = forwarding.await;
            Message::RunEnded(answer)
        });
    }
}

fn said<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

/// Writes what `query` asks for to a new file.
fn export(operations: &Operations, query: &QuarantineQuery, path: &Path) -> Answer<(String, u64)> {
    let shown = path.strip_prefix(".").unwrap_or(path).display().to_string();
    let failed = |error: io::Error| format!("cannot write {shown}: {error}; nothing was overwritten");
    let file = File::create_new(path).map_err(failed)?;
    let mut output = BufWriter::new(file);
    let written = said(operations.export_quarantine(query, &mut output))?;
    output.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)?;
    Ok((shown, written))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        blue::SourceConfig,
        demo::{DemoBlue, Pace},
        entity::{Endpoint, Entity},
        green::{Database, DiffSubject, Page},
        ops::SyncOptions,
        report::{Operator, Trigger},
    };

    #[tokio::test]
    async fn a_reading_ends_with_the_next_one_or_when_nobody_looks() {
        let folder = tempfile::tempdir().unwrap();
        let blue = DemoBlue::start(Pace::Instant).await.unwrap();
        let database = Database::create_or_open(folder.path().join("green.db")).unwrap();
        let operator = Operator { user: "ana".to_owned(), host: "box".to_owned(), pid: 1 };
        let operations = Operations::new(database, Some(SourceConfig::new(blue.address())), operator);
        let (events, _told) = mpsc::unbounded_channel();
        operations.sync(SyncOptions::full(Trigger::Cli), events, CancellationToken::new()).await.unwrap();
        let snapshot = operations.history(Some(Endpoint::Talents)).await.unwrap()[0].id;

        let (messages, mut answers) = mpsc::unbounded_channel();
        let mut executor = Executor::new(operations, messages);
        let page = Page { offset: 0, limit: 10 };
        let (subject, entity) = (DiffSubject::Snapshots(snapshot, snapshot), Entity::Talents);
        // On one thread, none of them begins before the last one was asked for.
        for request in 1..=3 {
            executor.execute(Effect::LoadDiff { request, subject, entity, page });
        }
        let mut ended = [None, None, None];
        for _ in 1..=3 {
            let Some(Message::Diff(request, answer)) = answers.recv().await else { panic!("no answer") };
            ended[usize::try_from(request).unwrap() - 1] = Some(answer.map(drop));
        }
        let stopped = || Some(Err("stopped before it was done".to_owned()));
        assert_eq!(ended, [stopped(), stopped(), Some(Ok(()))]);
        executor.execute(Effect::LoadDiff { request: 4, subject, entity, page });
        executor.execute(Effect::StopDiff);
        let Some(Message::Diff(4, answer)) = answers.recv().await else { panic!("no answer") };
        assert_eq!(Some(answer.map(drop)), stopped());
    }
}
