//! What stands in a question, and what an answer to it asks for.

use std::time::Instant;

use jiff::Timestamp;

use crate::{
    entity::Entity,
    green::HoldRule,
    guard::Acceptance,
    ops::{ReplayOptions, SyncOptions},
    report::{
        GuardReport, HoldReport, Operator, PublicationId, PublishPlan, Replay, RollbackPlan, RunId, RunSummary,
        StepOutcome, StepReport, SyncReport, Trigger,
    },
    sync::Scope,
};

/// Whether to take something back.
#[derive(Debug)]
pub struct RollbackQuestion {
    /// What would change.
    pub plan: RollbackPlan,
    /// Whether the rollback may set the hold.
    pub set_hold: bool,
    /// Since when the question stands.
    pub asked: Instant,
    /// First line shown.
    pub scroll: usize,
}

/// Whether to publish a held or prepared run, or to go back to an older one. Either prepares the rows again from its
/// snapshots; the figures shown are those of a run that did so without publishing.
#[derive(Debug)]
pub struct ReplayQuestion {
    /// What for.
    pub replay: Replay,
    /// The run whose snapshots are taken.
    pub run: RunId,
    /// The run whose figures are shown.
    pub figures: RunSummary,
    /// Its steps.
    pub entities: Vec<StepReport>,
    /// What its guards found: this and nothing else is accepted.
    pub guards: Vec<GuardReport>,
    /// The hold in force.
    pub hold: Option<HoldReport>,
    /// The newest publication at that time; once there is another, the answer is refused.
    pub newest: Option<PublicationId>,
    /// Whether going back may set the hold.
    pub set_hold: bool,
    /// Since when the question stands.
    pub asked: Instant,
    /// First line shown.
    pub scroll: usize,
}

impl ReplayQuestion {
    /// Whether to publish what was planned.
    #[must_use]
    pub fn publish(plan: PublishPlan, asked: Instant) -> Self {
        let PublishPlan { run, entities, guards, hold, newest, outdated: _ } = plan;
        let replay = Replay::Publish;
        Self { replay, run: run.id, figures: run, entities, guards, hold, newest, set_hold: false, asked, scroll: 0 }
    }

    /// Whether to go back to `run`, by the figures of a dry run that was based on the publication `newest`.
    #[must_use]
    pub fn go_back(
        run: RunId,
        dry_run: SyncReport,
        hold: Option<HoldReport>,
        newest: Option<PublicationId>,
        asked: Instant,
    ) -> Self {
        let SyncReport { run: figures, entities, guards, .. } = dry_run;
        let replay = Replay::Rollback;
        Self { replay, run, figures, entities, guards, hold, newest, set_hold: true, asked, scroll: 0 }
    }

    /// Steps whose rows would become live.
    pub fn changing(&self) -> impl Iterator<Item = &StepReport> {
        self.entities.iter().filter(|step| step.outcome == Some(StepOutcome::Ready))
    }

    /// What `Y` asks for.
    #[must_use]
    pub fn options(&self) -> ReplayOptions {
        let hold = match self.replay {
            Replay::Rollback if self.set_hold => back_to(self.run),
            Replay::Rollback => HoldRule::Ignore,
            Replay::Publish => release(self.hold.as_ref()),
        };
        ReplayOptions {
            run: self.run,
            replay: self.replay,
            dry_run: false,
            accept: self.guards.iter().map(Acceptance::of).collect(),
            expected: Some(self.newest),
            hold,
        }
    }
}

/// The hold is set, as the next run would publish again what was gone back from.
fn back_to(run: RunId) -> HoldRule {
    HoldRule::Set(format!("went back to run {run}"))
}

/// Whether to end another process's run.
#[derive(Debug)]
pub struct CancelQuestion {
    /// The run.
    pub run: RunId,
    /// Whose process it is.
    pub operator: Operator,
    /// At whose word it goes.
    pub asker: String,
    /// Since when it goes on.
    pub since: Timestamp,
    /// Whether its process is to be ended, as it does not answer.
    pub force: bool,
    /// Since when the question stands.
    pub asked: Instant,
}

/// What a run that is about to be started is about.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "choices that do not depend on each other")]
pub struct SyncForm {
    /// The marked entities; none for all ten.
    pub marked: Vec<Entity>,
    /// Whether all that is related to them goes along.
    pub related: bool,
    /// Whether to load also what did not change.
    pub force: bool,
    /// Whether to publish what is healthy when an endpoint fails.
    pub partial: bool,
    /// Whether to stop before the publish.
    pub dry_run: bool,
    /// Whether to publish in spite of the hold, and release it.
    pub release: bool,
    /// The hold in force.
    pub hold: Option<HoldReport>,
    /// Since when the question stands.
    pub asked: Instant,
}

impl SyncForm {
    /// A run of `marked` with nothing else chosen.
    #[must_use]
    pub fn new(marked: Vec<Entity>, hold: Option<HoldReport>, asked: Instant) -> Self {
        Self { marked, related: false, force: false, partial: false, dry_run: false, release: false, hold, asked }
    }

    /// The entities of the run.
    #[must_use]
    pub fn scope(&self) -> Scope {
        let scope = Scope::of(&self.marked);
        if self.related { scope.with_related() } else { scope }
    }

    /// What Enter asks for.
    #[must_use]
    pub fn options(&self) -> SyncOptions {
        SyncOptions {
            scope: self.scope(),
            force: self.force,
            partial: self.partial,
            dry_run: self.dry_run,
            hold: release(self.hold.as_ref().filter(|_| self.release)),
            ..SyncOptions::full(Trigger::Console)
        }
    }
}

/// Releases the hold that is shown, when there is one.
pub(in crate::console) fn release(shown: Option<&HoldReport>) -> HoldRule {
    shown.map_or(HoldRule::Obey, |hold| HoldRule::Release(Box::new(hold.clone())))
}
