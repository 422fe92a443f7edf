//! Tables in the place of the views for the time of a migration of the application.

use std::{io, sync::Arc};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{OperationError, Operations};
use crate::{
    green::{AppScript, GreenError, RunLock},
    report::{AppMigrationEnd, AppScriptsReport},
};

/// A migration of the application for which tables stand in the place of the views. Nothing else has the right to run until
/// it is closed or dropped; when it is dropped, the next run or rollback puts the views back.
#[derive(Debug)]
pub struct AppMigration {
    lock: Arc<RunLock>,
    command: String,
    opened_at: Timestamp,
    rows: u64,
}

impl AppMigration {
    /// Lets the command, which is to be started next, keep others from putting the views back under it should this process die.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn leave_to_command(&self) -> io::Result<()> {
        self.lock.leave_to_children()
    }

    /// Shows others that somebody is at work until `work`, the migration itself, is done.
    pub async fn beating_while<T>(&self, work: impl Future<Output = T>) -> T {
        self.lock.beating_while(work).await
    }
}

impl Operations {
    /// Puts tables with the live rows in the place of the views, for a migration by `command`. Readers go on reading the same
    /// rows. `stop` ends it while the rows are copied.
    ///
    /// # Errors
    /// When something else goes on, the database cannot be written, or it was stopped. The views are as they were then.
    pub async fn open_app_migration(
        &self,
        command: String,
        stop: CancellationToken,
    ) -> Result<AppMigration, OperationError> {
        let (operator, now) = (self.operator.clone(), self.clock.now());
        let by = operator.clone();
        let lock = Arc::new(self.blocking(move |database| database.lock_for_app_migration(&by, now)).await?);
        let (held, named) = (lock.clone(), command.clone());
        let work = self.blocking(move |database| database.open_app_migration(&held, &named, &operator, now, &stop));
        let rows = lock.beating_while(work).await?;
        tracing::info!("tables with {rows} rows stand in the place of the views, for `{command}`");
        Ok(AppMigration { lock, command, opened_at: self.clock.now(), rows })
    }

    /// Puts the views back after the migration ended with `exit_status`, or was never begun.
    ///
    /// # Errors
    /// When it left nothing that a view could read; the error says how that is put right. When the database cannot be written.
    pub async fn close_app_migration(
        &self,
        migration: AppMigration,
        exit_status: Option<u8>,
    ) -> Result<AppMigrationEnd, OperationError> {
        let held = migration.lock.clone();
        let work = self.blocking(move |database| database.close_app_migration(&held));
        let notes = migration.lock.beating_while(work).await?;
        let AppMigration { command, opened_at, rows, .. } = migration;
        tracing::info!("the views are back after `{command}`");
        Ok(AppMigrationEnd { command, exit_status, opened_at, closed_at: self.clock.now(), rows, notes })
    }

    /// Applies those of `scripts` that are not applied yet, in one transaction; with `dry_run` takes it back.
    ///
    /// # Errors
    /// When something else goes on, one of them fails, or the database cannot be written. Nothing was changed then.
    pub async fn apply_app_scripts(
        &self,
        scripts: Vec<AppScript>,
        dry_run: bool,
    ) -> Result<AppScriptsReport, OperationError> {
        let (operator, now) = (self.operator.clone(), self.clock.now());
        let lock = Arc::new(self.blocking(move |database| database.lock_for_app_migration(&operator, now)).await?);
        let held = lock.clone();
        let work = self.blocking(move |database| database.apply_app_scripts(&held, &scripts, dry_run, now));
        let report = lock.beating_while(work).await?;
        if !dry_run && !report.applied.is_empty() {
            tracing::info!("migrations of the application were applied: {}", report.applied.join(", "));
        }
        Ok(report)
    }

    /// Puts the views back if a migration of the application died before it did.
    ///
    /// # Errors
    /// [`GreenError::Locked`] with the owner while such a migration goes on; as [`Operations::close_app_migration`].
    pub(super) async fn end_dead_app_migration(&self) -> Result<(), OperationError> {
        if self.blocking(crate::green::Database::app_migration).await?.is_none() {
            return Ok(());
        }
        self.recover().await?;
        match self.lock_owner() {
            Some(owner) if self.blocking(crate::green::Database::app_migration).await?.is_some() => {
                Err(self.with_owner(GreenError::Locked { owner: Some(Box::new(owner)) }).await.into())
            }
            _ => Ok(()),
        }
    }
}
