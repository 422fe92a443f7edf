//! What the console is told and what it asks for.

use std::time::Instant;

use jiff::Timestamp;
use ratatui::crossterm::event::Event;

use crate::{
    entity::Entity,
    green::{DiffSubject, Page, QuarantineQuery, RowsQuery},
    ops::{ReplayOptions, SyncOptions},
    report::{
        CancelReport, CleanupReport, DiffReport, EntityDetail, HoldChange, HoldReport, PublishPlan, QuarantineList,
        RollbackPlan, RollbackReport, RollbackTarget, RowsReport, RunId, RunReport, RunSummary, StatusReport,
        SyncReport, TriggerList,
    },
    sync::{EventRecord, Observed},
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
    RunEnded(Answer<SyncReport>),
    /// What another process does.
    Observed(Observed),
    /// What other processes do cannot be seen, for the moment or, when it is `over`, until it is tried again.
    Unseen {
        /// Why.
        error: String,
        /// Whether the watching ended.
        over: bool,
    },
    /// Runs that ended while nobody was there to read how, newest first.
    Untold(Vec<RunReport>),
    /// Another process's run was asked to end.
    CancelAnswered(RunId, Answer<Box<CancelReport>>),
    /// What publishing a held run would do.
    PublishPlanned(Answer<Box<PublishPlan>>),
    /// The hold was set or released.
    HoldChanged(Answer<HoldChange>),
    /// What a rollback would do.
    RollbackPlanned(Answer<RollbackPlan>),
    /// A rollback was done.
    RolledBack(Answer<RollbackReport>),
    /// What a cleanup would do.
    CleanupPlanned(Answer<CleanupReport>),
    /// A cleanup was done.
    CleanedUp(Answer<CleanupReport>),
    /// Rows that differ, in answer to the request of this number.
    Diff(u64, Answer<DiffReport>),
    /// Rows of a version, in answer to the request of this number.
    Rows(u64, Answer<RowsReport>),
    /// Records in quarantine, in answer to the request of this number.
    Quarantine(u64, Answer<QuarantineList>),
    /// The newest triggers, in answer to the request of this number.
    Triggers(u64, Answer<TriggerList>),
    /// The quarantine was exported: where to, and how many records.
    Exported(Answer<(String, u64)>),
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
    /// Start a run that fetches.
    Sync(Box<SyncOptions>),
    /// Start a run from staged snapshots.
    Replay(Box<ReplayOptions>),
    /// Cancel our run.
    Cancel,
    /// Begin to watch what other processes do.
    Watch,
    /// Find out what became of runs whose end nobody saw.
    CatchUp,
    /// Clear away what runs of dead processes left.
    Recover,
    /// Ask another process's run to end, with force or without.
    CancelOther {
        /// The run.
        run: RunId,
        /// Whether its process is ended when it does not answer.
        force: bool,
    },
    /// Find out what publishing a held run would do.
    PlanPublish(RunId),
    /// Find out what a rollback would do.
    PlanRollback(RollbackTarget),
    /// Take back what was planned.
    Rollback {
        /// The plan.
        plan: Box<RollbackPlan>,
        /// Whether it may set the hold.
        set_hold: bool,
    },
    /// Set the hold for this reason.
    Hold(String),
    /// Release the hold.
    Release(Box<HoldReport>),
    /// Find out what a cleanup would do.
    PlanCleanup,
    /// Clean up.
    Cleanup,
    /// Read rows of a version; an earlier reading is given up.
    LoadRows {
        /// Number of the request.
        request: u64,
        /// Which rows.
        query: RowsQuery,
    },
    /// Give the reading of rows up.
    StopRows,
    /// Read rows that differ; an earlier reading is given up.
    LoadDiff {
        /// Number of the request.
        request: u64,
        /// What is compared.
        subject: DiffSubject,
        /// Of which entity.
        entity: Entity,
        /// Which rows.
        page: Page,
    },
    /// Give up reading rows that differ.
    StopDiff,
    /// Read records in quarantine.
    LoadQuarantine {
        /// Number of the request.
        request: u64,
        /// Which.
        query: QuarantineQuery,
    },
    /// Read the newest triggers.
    LoadTriggers {
        /// Number of the request.
        request: u64,
    },
    /// Write records in quarantine to a new file.
    ExportQuarantine {
        /// Which.
        query: QuarantineQuery,
        /// Name of the file.
        name: String,
    },
    /// Draw everything anew.
    Redraw,
    /// Leave the console.
    Quit,
}
