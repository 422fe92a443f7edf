//! What is told of publications, the ways back from them, and the hold.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    DiffCounts, GuardReport, HoldEffect, Operator, PublicationId, PublicationKind, RunId, RunSummary, StepReport,
    Version,
};
use crate::entity::Entity;

/// The switch that keeps runs from publishing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldReport {
    /// Since when it is set.
    pub since: Timestamp,
    /// Who set it.
    pub operator: Operator,
    /// Why.
    pub reason: String,
    /// The rollback that set it.
    pub publication: Option<PublicationId>,
}

/// One line without the time.
impl fmt::Display for HoldReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "held by {}: {}", self.operator, self.reason)
    }
}

/// The answer of `hold` and `release`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldChange {
    /// Whether anything changed; it was so already otherwise.
    pub changed: bool,
    /// The hold that is set now.
    pub hold: Option<HoldReport>,
    /// The hold that was released.
    pub released: Option<HoldReport>,
}

/// A publication.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicationReport {
    /// Its number.
    pub id: PublicationId,
    /// What made it.
    pub kind: PublicationKind,
    /// The run that made it; for a rollback that undid a run's publication, that run.
    pub run: Option<RunId>,
    /// The publication that it took back as a whole, for a rollback.
    pub undoes: Option<PublicationId>,
    /// The run whose staged snapshots it was made from, for a replay.
    pub replay_of: Option<RunId>,
    /// Guards that had tripped and that its operator accepted.
    pub accepted: Vec<GuardReport>,
    /// When it was made.
    pub published_at: Timestamp,
    /// By whom.
    pub operator: Operator,
}

/// What one entity goes through in a publication or would go through in a rollback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SwitchReport {
    /// The entity.
    pub entity: Entity,
    /// The version that was, or is, live before; 0 for none.
    pub from_version: Version,
    /// The version that is live after.
    pub to_version: Version,
    /// Rows live before.
    pub rows_before: u64,
    /// Rows live after.
    pub rows_after: u64,
    /// What changes for visitors.
    pub diff: Option<DiffCounts>,
}

impl SwitchReport {
    /// The way back.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self {
            from_version: self.to_version,
            to_version: self.from_version,
            rows_before: self.rows_after,
            rows_after: self.rows_before,
            diff: self.diff.map(DiffCounts::reversed),
            ..self
        }
    }
}

/// What is to be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RollbackTarget {
    /// The newest publication. When that is itself a rollback, what it took away comes back.
    Newest,
    /// This publication, as long as none of its entities was switched since.
    Publication(PublicationId),
    /// The newest switch of each of these entities.
    Entities(Vec<Entity>),
}

/// A relation of which a rollback would switch one end only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CrossingReport {
    /// The entity that refers.
    pub entity: Entity,
    /// Its column that refers.
    pub column: String,
    /// The entity referred to.
    pub target: Entity,
    /// References that lead nowhere now.
    pub dangling_before: u64,
    /// References that would lead nowhere.
    pub dangling_after: u64,
}

/// What a rollback would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RollbackPlan {
    /// What is to be taken back.
    pub target: RollbackTarget,
    /// The publication that it would take back as a whole; `None` when entities were named.
    pub publication: Option<PublicationReport>,
    /// The newest publication now; the rollback is refused once there is another.
    pub newest: PublicationId,
    /// The entities that it would switch.
    pub entities: Vec<SwitchReport>,
    /// Since when the versions that would come back had been live.
    pub backup_published_at: Option<Timestamp>,
    /// Relations that would then lead from one generation to another.
    pub crossing: Vec<CrossingReport>,
    /// What becomes of the hold.
    pub hold: HoldEffect,
    /// Whether every entity goes on to data that its source sent later, as when a rollback is undone.
    pub leads_forward: bool,
}

/// The answer of `rollback`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RollbackReport {
    /// The publication that the rollback is.
    pub publication: PublicationReport,
    /// What was switched.
    pub entities: Vec<SwitchReport>,
    /// Relations that lead from one generation to another now.
    pub crossing: Vec<CrossingReport>,
    /// What became of the hold.
    pub hold_effect: HoldEffect,
    /// The hold that is set now.
    pub hold: Option<HoldReport>,
    /// How long the switch took.
    pub duration_ms: i64,
}

/// What the replay of an earlier run would do, as far as it is known without preparing its rows again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishPlan {
    /// The run that would be published.
    pub run: RunSummary,
    /// Its steps, with the difference to what was live then.
    pub entities: Vec<StepReport>,
    /// Guards that tripped in it.
    pub guards: Vec<GuardReport>,
    /// The hold that is set.
    pub hold: Option<HoldReport>,
    /// The newest publication now; the publish is refused once there is another.
    pub newest: Option<PublicationId>,
    /// Whether something was published since the run began, so that differences and guards may be others by now.
    pub outdated: bool,
}
