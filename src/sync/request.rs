//! What is asked of a run, and what it needs from outside.

use std::{fmt, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::scope::Scope;
use crate::{
    blue::Client,
    clock::Clock,
    entity::Entity,
    green::{Database, HoldRule, Requested, Retention},
    guard::{Acceptance, GuardLimits},
    report::{Operator, PublicationId, PublicationKind, Replay, RunId, SnapshotId, Trigger},
};

/// What a run needs from outside.
#[derive(Clone)]
pub struct SyncContext {
    /// The target.
    pub database: Database,
    /// Where bodies come from.
    pub bodies: Bodies,
    /// Who starts the run.
    pub operator: Operator,
    /// What the prepared rows are checked against.
    pub limits: GuardLimits,
    /// The clock.
    pub clock: Clock,
    /// A number in 0..1 for each delay between attempts.
    pub jitter: Arc<dyn Fn() -> f64 + Send + Sync>,
    /// How many snapshots and runs are kept.
    pub retention: Retention,
    /// The line to the operator.
    pub line: Line,
}

/// What becomes of a run when the line to its operator drops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnHangup {
    /// It goes on to its end.
    #[default]
    Finish,
    /// It is cancelled.
    Cancel,
}

/// The line to the operator of a run, such as a terminal.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// Cancelled when the line drops.
    pub dropped: CancellationToken,
    /// What the run does then.
    pub on_hangup: OnHangup,
}

impl fmt::Debug for SyncContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SyncContext").field("database", &self.database).finish_non_exhaustive()
    }
}

/// Where the bodies of a run come from.
#[derive(Clone, Debug)]
pub enum Bodies {
    /// They are fetched.
    Source(Client),
    /// They were staged by an earlier run.
    Staged(StagedBodies),
}

/// Bodies that were staged by an earlier run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedBodies {
    /// The run.
    pub run: RunId,
    /// What they are taken for.
    pub replay: Replay,
    /// The snapshot that each entity is made from.
    pub snapshots: Vec<(Entity, SnapshotId)>,
}

impl Bodies {
    /// Where they come from, in words that may be shown and stored.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Source(client) => client.config().shown(),
            Self::Staged(staged) => format!("snapshots of run {}", staged.run),
        }
    }

    /// For a replay, what it is for and the run whose snapshots it takes.
    #[must_use]
    pub fn replay(&self) -> Option<(Replay, RunId)> {
        match self {
            Self::Source(_) => None,
            Self::Staged(staged) => Some((staged.replay, staged.run)),
        }
    }

    /// What a publication made from them is.
    #[must_use]
    pub fn publication_kind(&self) -> PublicationKind {
        match self {
            Self::Staged(StagedBodies { replay: Replay::Rollback, .. }) => PublicationKind::Rollback,
            Self::Source(_) | Self::Staged(_) => PublicationKind::Sync,
        }
    }
}

/// What is asked of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncOptions {
    /// What starts it.
    pub trigger: Trigger,
    /// Who asked for it and what was promised, when that was no person at this host.
    pub requested: Option<Requested>,
    /// The entities that it is about.
    pub scope: Scope,
    /// Fetch and load also what did not change, and switch to rows that are the same.
    pub force: bool,
    /// Publish what is healthy when an endpoint fails.
    pub partial: bool,
    /// Stop before the publish.
    pub dry_run: bool,
    /// Guards that may trip.
    pub accept: Vec<Acceptance>,
    /// What becomes of the hold.
    pub hold: HoldRule,
    /// The newest publication that the operator knows of; the run fails when it finds another. `None` does not look.
    pub expected: Option<Option<PublicationId>>,
}

impl SyncOptions {
    /// A run of everything that publishes unless a guard or the hold stops it.
    #[must_use]
    pub fn full(trigger: Trigger) -> Self {
        Self {
            trigger,
            requested: None,
            scope: Scope::default(),
            force: false,
            partial: false,
            dry_run: false,
            accept: Vec::new(),
            hold: HoldRule::Obey,
            expected: None,
        }
    }
}
