//! What a service asks beside the triggers: health, figures, how promised runs went.

use std::time::Duration;

use super::{OperationError, Operations};
use crate::{
    entity::Entity,
    green::{HealthLimits, Patience},
    report::{FiguresReport, HealthReport, RunId, StepReport},
};

/// How long the database may be locked before it counts as one that cannot be read; a monitor asks again.
const PATIENCE: Duration = Duration::from_secs(1);

impl Operations {
    /// The same for one who gives up on a locked database after a second.
    fn impatient(&self) -> Self {
        let patience = Patience { operator: PATIENCE, run: PATIENCE };
        Self { database: self.database.clone().with_patience(patience), ..self.clone() }
    }

    /// Whether what visitors see is all there and at most `longest_age` old: the time since it was published, or since a full
    /// run found that the source sends just that. An entity that the `empty` guard does not watch may become empty.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn health(&self, longest_age: Option<Duration>) -> Result<HealthReport, OperationError> {
        let may_become_empty = Entity::ALL.into_iter().filter(|entity| self.limits.may_become_empty(*entity)).collect();
        let (limits, now) = (HealthLimits { longest_age, may_become_empty }, self.clock.now());
        self.impatient().blocking(move |database| database.health(&limits, now)).await
    }

    /// Figures for a monitor.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn figures(&self) -> Result<FiguresReport, OperationError> {
        self.impatient().blocking(crate::green::Database::figures).await
    }

    /// The steps of each of `runs`, none for a run that is not kept any more.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn steps(&self, runs: Vec<RunId>) -> Result<Vec<Vec<StepReport>>, OperationError> {
        self.blocking(move |database| database.steps(&runs)).await
    }
}
