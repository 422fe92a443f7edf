//! Taking over a database of the application's own migrations, and giving it back.

use std::{path::PathBuf, sync::Arc};

use tokio::task::spawn_blocking;

use super::{OperationError, Operations};
use crate::{
    clock::Clock,
    green::{Database, GreenError},
    report::{AdoptionReport, FindingKind, Operator, ReleaseReport},
};

/// What [`adopt`] would do with the file at `path`. Writes nothing. It needs no [`Operations`], as those are refused on such
/// a file before it is adopted.
///
/// # Errors
/// When the application's own migrations did not make the file, or it cannot be read. What is in the way of an adoption is
/// in the report.
pub async fn plan_adoption(path: PathBuf) -> Result<AdoptionReport, OperationError> {
    blocking(move || Database::plan_adoption(path)).await
}

/// Takes over the file at `path`.
///
/// # Errors
/// When something has to be put right by hand first, something else goes on, or the file cannot be written.
pub async fn adopt(path: PathBuf, operator: Operator, clock: &Clock) -> Result<AdoptionReport, OperationError> {
    let now = clock.now();
    let (locked, by) = (path.clone(), operator.clone());
    let lock = blocking(move || Database::lock_for_adoption(locked, &by, now)).await.map(Arc::new)?;
    let held = lock.clone();
    let report = lock.beating_while(blocking(move || Database::adopt(path, &held, &operator, now))).await?;
    for repair in report.of(FindingKind::Repair) {
        tracing::info!("adoption: {}; {}", repair.found, repair.done);
    }
    Ok(report)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, GreenError> + Send + 'static,
) -> Result<T, OperationError> {
    match spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(OperationError::Panicked),
    }
}

impl Operations {
    /// What [`Operations::release_database`] would do.
    ///
    /// # Errors
    /// When the database was not adopted, or the application migrates.
    pub async fn plan_release_database(&self) -> Result<ReleaseReport, OperationError> {
        self.end_dead_app_migration().await?;
        let retention = self.retention;
        self.blocking(move |database| database.plan_release(retention)).await
    }

    /// Gives an adopted database back. Operations on it are refused from then on.
    ///
    /// # Errors
    /// When the database was not adopted, something else goes on, or it cannot be written.
    pub async fn release_database(&self) -> Result<ReleaseReport, OperationError> {
        let (retention, operator, now) = (self.retention, self.operator.clone(), self.clock.now());
        let lock = Arc::new(self.blocking(move |database| database.lock_for_release(&operator, now)).await?);
        let held = lock.clone();
        let work = self.blocking(move |database| database.release_database(retention, &held, now));
        let report = lock.beating_while(work).await?;
        tracing::info!(
            "the database is given back: {} runs and {} publications forgotten",
            report.runs,
            report.publications
        );
        Ok(report)
    }
}
