//! What the console is told and what it asks for.

use std::time::Instant;

use jiff::Timestamp;
use ratatui::crossterm::event::Event;

use crate::{
    entity::Entity,
    report::{
        CleanupReport, EntityDetail, RollbackPlan, RollbackReport, RunId, RunReport, RunSummary, StatusReport,
        SyncReport,
    },
    sync::EventRecord,
};

/// When something happened: for measuring and for showing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// For measuring.
    pub instant: Instant,
    /// For showing.
    pub time: Timestamp,
}

/// An operation's answer, or the sentence that says why there is none.
pub type Answer<T> = Result<T, String>;

/// What the console is told.
#[derive(Debug)]
pub enum Message {
    /// The terminal sent something.
    Input(Event),
    /// Time went by that shows on screen.
    Tick,
    /// A line was logged.
    Logged,
    /// The state of the database.
    Status(Answer<Box<StatusReport>>),
    /// Past runs.
    Runs(Answer<Vec<RunSummary>>),
    /// Details of an entity.
    Detail(Entity, Answer<EntityDetail>),
    /// One run in full.
    Run(Answer<RunReport>),
    /// Our run goes on.
    Event(EventRecord),
    /// Our run ended, or could not begin.
    SyncEnded(Answer<SyncReport>),
    /// What a rollback would do.
    RollbackPlanned(Answer<RollbackPlan>),
    /// A rollback was done.
    RolledBack(Answer<RollbackReport>),
    /// What a cleanup would do.
    CleanupPlanned(Answer<CleanupReport>),
    /// A cleanup was done.
    CleanedUp(Answer<CleanupReport>),
}

/// What the console asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Read the state of the database.
    LoadStatus,
    /// Read the past runs.
    LoadRuns,
    /// Read details of an entity.
    LoadDetail(Entity),
    /// Read one run in full.
    LoadRun(RunId),
    /// Start a run.
    Sync,
    /// Cancel our run.
    Cancel,
    /// Find out what a rollback would do.
    PlanRollback,
    /// Take back what was planned.
    Rollback(Box<RollbackPlan>),
    /// Find out what a cleanup would do.
    PlanCleanup,
    /// Clean up.
    Cleanup,
    /// Draw everything anew.
    Redraw,
    /// Leave the console.
    Quit,
}
