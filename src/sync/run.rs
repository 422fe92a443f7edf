//! One run from its lock to its record.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    attend::attend,
    emitter::Emitter,
    event::{EventRecord, RunEvent},
    request::{SyncContext, SyncOptions},
};
use crate::{
    defect,
    entity::Entity,
    green::{Begun, GreenError, HoldRule, LiveVersion, Prepared, PublishOrder, RunStart, Session},
    guard::GuardLimits,
    report::{GuardReport, HoldReport, Operator, RunOutcome, SyncReport},
};

/// Runs a sync or a replay and reports how it ended; every step of it is also sent to `events`.
///
/// `cancel` ends it at any moment before the publish, leaving everything as it was.
///
/// # Errors
/// When the run could not begin, such as [`GreenError::Locked`] while another one goes on. Once it began, whatever happens
/// is an outcome in the report.
pub async fn run(
    context: &SyncContext,
    request: SyncOptions,
    events: mpsc::UnboundedSender<EventRecord>,
    cancel: CancellationToken,
) -> Result<SyncReport, GreenError> {
    let at = context.clock.now();
    let start = RunStart {
        trigger: request.trigger,
        source: context.bodies.shown(),
        operator: context.operator.clone(),
        requested: request.requested.clone(),
        scope: request.scope.named(),
        dry_run: request.dry_run,
        replay: context.bodies.replay(),
        at,
    };
    let (session, Begun { live, dead }) = Session::begin(&context.database, start).await?;
    let emitter = Emitter::begin(session, context, &request, at, &live, events);
    if !dead.is_empty() {
        emitter.emit(RunEvent::FoundInterrupted { runs: dead });
    }
    let live = live.into_iter().map(|(version, _)| version).collect();
    let emitter = Arc::new(emitter);
    let run = Run { context: context.clone(), request, emitter, live: Arc::new(live), cancel };
    let attending = attend(&run.emitter, &context.line, &run.cancel);
    let end = match &attending {
        Ok(_) => AssertUnwindSafe(run.execute()).catch_unwind().await.unwrap_or_else(|panic| {
            // Whatever else was begun for the run is given up by it.
            run.cancel.cancel();
            failed(&GreenError::Defect { message: defect::message(&*panic) })
        }),
        Err(error) => failed(error),
    };
    let (outcome, error) = run.as_recorded(end).await;
    let report = run.emitter.finish(outcome, error, context.retention).await;
    if let Ok(attending) = attending {
        attending.abort();
        // What it still looks at keeps neither the lock nor the writer.
        let _ = attending.await;
    }
    Ok(report)
}

/// A run that began.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) context: SyncContext,
    pub(super) request: SyncOptions,
    pub(super) emitter: Arc<Emitter>,
    pub(super) live: Arc<Vec<LiveVersion>>,
    pub(super) cancel: CancellationToken,
}

/// How a run ended, and what there is to say about it.
type End = (RunOutcome, Option<String>);

impl Run {
    async fn execute(&self) -> End {
        let base = self.emitter.session().base();
        if let Some(expected) = self.request.expected
            && expected != base
        {
            return failed(&GreenError::Moved { newest: base, expected });
        }
        let (prepared, failures) = self.prepare().await;
        let cancelled = || cancelled(self.emitter.cancel_asked_by());
        if self.cancel.is_cancelled() {
            return cancelled();
        }
        let left_behind = (!failures.is_empty()).then(|| failures.join("; "));
        if left_behind.is_some() && (prepared.is_empty() || !self.request.partial) {
            return (RunOutcome::Failed, left_behind);
        }
        if prepared.is_empty() {
            return match self.settle_hold().await {
                Ok(()) => (RunOutcome::Unchanged, None),
                Err(GreenError::Held { hold }) => self.held(*hold),
                Err(GreenError::Cancelled { by }) => {
                    (RunOutcome::Cancelled, Some(GreenError::Cancelled { by }.to_string()))
                }
                Err(error) => failed(&error),
            };
        }
        let checked = tokio::select! {
            checked = self.check(&prepared, left_behind.is_some()) => checked,
            () = self.cancel.cancelled() => return cancelled(),
        };
        let findings = match checked {
            Ok(findings) => findings,
            Err(error) => return failed(&error),
        };
        match self.verdict(findings, left_behind.as_ref()).await {
            Ok(Ok(accepted)) => self.publish(prepared, accepted, left_behind).await,
            Ok(Err(end)) => end,
            Err(error) => failed(&error),
        }
    }

    /// The findings of the guards, each told and marked when it is accepted.
    async fn check(&self, prepared: &[Prepared], is_partial: bool) -> Result<Vec<GuardReport>, GreenError> {
        // A first sync has nothing to compare with and publishes what it gets.
        let first = self.live.iter().all(|live| live.active == 0);
        if first && self.request.scope.named().is_none() && !is_partial {
            return Ok(Vec::new());
        }
        let limits = &self.context.limits;
        // What failed must not leave references behind that lead nowhere, whatever is allowed otherwise.
        let strict = GuardLimits::default();
        let relation_limits = if is_partial { &strict } else { limits };
        let mut findings = Vec::new();
        for new in prepared {
            findings.extend(limits.check_rows(&self.emitter.step(new.entity)));
        }
        let entities: Vec<Entity> = prepared.iter().map(|new| new.entity).collect();
        let session = self.emitter.session();
        for entity in Entity::ALL {
            for relation in entity.table().relations {
                if !entities.contains(&entity) && !entities.contains(&relation.target) {
                    continue;
                }
                let after = session.dangling(entity, relation, entities.clone()).await?;
                // Most of the time there is nothing to compare.
                if relation_limits.dangling_limit(entity, 0).is_some_and(|limit| after > limit) {
                    let before = session.dangling(entity, relation, Vec::new()).await?;
                    findings.extend(relation_limits.check_relation(entity, relation, before, after));
                }
            }
        }
        for finding in &mut findings {
            finding.accepted = self.request.accept.iter().any(|acceptance| acceptance.covers(finding));
            self.emitter.emit(RunEvent::Tripped { finding: finding.clone() });
        }
        Ok(findings)
    }

    /// The accepted findings when the run may go on to its publish, else how it ends.
    async fn verdict(
        &self,
        findings: Vec<GuardReport>,
        left_behind: Option<&String>,
    ) -> Result<Result<Vec<GuardReport>, End>, GreenError> {
        let stopping: Vec<String> =
            findings.iter().filter(|finding| !finding.accepted).map(ToString::to_string).collect();
        if !stopping.is_empty() {
            let reasons = stopping.into_iter().chain(left_behind.cloned()).collect::<Vec<_>>();
            return Ok(Err((RunOutcome::Held, Some(reasons.join("; ")))));
        }
        let session = self.emitter.session();
        if let Some(hold) = self.request.hold.stopped_by(session.hold().await?, session.hold_at_begin()) {
            return Ok(Err(self.held(hold)));
        }
        if self.request.dry_run {
            return Ok(Err((RunOutcome::Prepared, left_behind.cloned())));
        }
        Ok(Ok(findings))
    }

    fn held(&self, hold: HoldReport) -> End {
        let reason = hold.to_string();
        self.emitter.emit(RunEvent::HoldMet { hold });
        (RunOutcome::Held, Some(reason))
    }

    /// Does with the hold what a publish would have done, for a run that finds nothing to publish.
    async fn settle_hold(&self) -> Result<(), GreenError> {
        // A run that would have obeyed has nothing to do with the hold.
        if self.request.dry_run || matches!(self.request.hold, HoldRule::Obey | HoldRule::Ignore) {
            return Ok(());
        }
        let (rule, operator) = (self.request.hold.clone(), self.context.operator.clone());
        self.emitter.session().settle_hold(rule, operator, self.emitter.now()).await
    }

    async fn publish(&self, prepared: Vec<Prepared>, accepted: Vec<GuardReport>, left_behind: Option<String>) -> End {
        let begun = Instant::now();
        let order = PublishOrder {
            prepared,
            steps: self.emitter.steps(),
            accepted,
            kind: self.context.bodies.publication_kind(),
            replay_of: self.context.bodies.replay().map(|(_, run)| run),
            hold: self.request.hold.clone(),
            left_behind: left_behind.clone(),
            operator: self.context.operator.clone(),
            at: self.emitter.now(),
        };
        let cancel = self.cancel.clone();
        match self.emitter.session().publish(order, move || cancel.is_cancelled()).await {
            Ok(publication) => {
                self.emitter.emit(RunEvent::Published {
                    publication: publication.report.id,
                    switches: publication.switches,
                    duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
                    hold_released: publication.hold_released,
                });
                (RunOutcome::Published, left_behind)
            }
            Err(GreenError::Held { hold }) => self.held(*hold),
            Err(GreenError::Cancelled { by }) => cancelled(by.or_else(|| self.emitter.cancel_asked_by())),
            Err(error) => failed(&error),
        }
    }

    /// How the run ended by the word of the database: a publish that was made and could not be told of is one.
    async fn as_recorded(&self, end: End) -> End {
        if !matches!(end.0, RunOutcome::Failed) {
            return end;
        }
        match self.emitter.session().published().await {
            Ok(Some(publication)) => {
                let (switches, hold_released) = (publication.switches, publication.hold_released);
                let publication = publication.report.id;
                self.emitter.emit(RunEvent::Published { publication, switches, duration_ms: 0, hold_released });
                (RunOutcome::Published, end.1.map(|error| format!("published, but then: {error}")))
            }
            _ => end,
        }
    }
}

fn cancelled(by: Option<Operator>) -> End {
    (RunOutcome::Cancelled, Some(GreenError::Cancelled { by }.to_string()))
}

fn failed(error: &GreenError) -> End {
    (RunOutcome::Failed, Some(error.to_string()))
}
