//! Everything that the console shows, as plain values.

mod others;

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use ratatui::layout::Size;
use tui_logger::TuiWidgetState;

pub use self::others::{Freshness, OtherRun, Watched, name_of};
use super::{message::Moment, overlay::Overlay, theme::Theme};
use crate::{
    entity::Entity,
    report::{
        EntityDetail, HoldReport, Operator, PublicationId, Replay, RunId, RunOutcome, RunSummary, StatusReport,
        TriggerReport,
    },
    sync::{EventRecord, RunState},
};

/// How long the state of the database is believed while what others do is not seen.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Events of the current run that are kept for the detail pane.
pub(super) const KEPT_EVENTS: usize = 400;

/// A part of the screen that keys can go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    /// The table of entities.
    Entities,
    /// Details of the chosen entity.
    Detail,
    /// Past runs.
    Runs,
    /// The log.
    Log,
}

impl Pane {
    /// All panes, in the order of Tab.
    pub const ALL: [Self; 4] = [Self::Entities, Self::Detail, Self::Runs, Self::Log];
    /// The panes below the table.
    pub const LOWER: [Self; 3] = [Self::Detail, Self::Runs, Self::Log];

    /// Its title.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Entities => "Entities",
            Self::Detail => "Detail",
            Self::Runs => "Runs",
            Self::Log => "Log",
        }
    }
}

/// The run that this console started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnRun {
    /// There is none.
    None,
    /// It goes on.
    Going,
    /// It was asked to end.
    Cancelling,
}

/// What is asked once a dry run ended that was begun for the sake of its figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterRun {
    /// Whether to publish what it prepared.
    AskPublish,
    /// Whether to go back to this run.
    AskGoBack(RunId),
}

/// How a notice is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something went well.
    Good,
    /// Something could not be done.
    Bad,
    /// Something to know.
    Plain,
}

/// One sentence in answer to what was done, until the next key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The sentence.
    pub text: String,
    /// How it is meant.
    pub tone: Tone,
}

/// What is settled before the console starts.
#[derive(Clone, Debug)]
pub struct ModelOptions {
    /// How it is drawn.
    pub theme: Theme,
    /// Path of the database.
    pub database: String,
    /// Address of the source.
    pub source: Option<String>,
    /// Who sits at this console.
    pub operator: Operator,
    /// Whether source and database are the built-in ones.
    pub demo: bool,
    /// For how long keys are dropped after a question appeared.
    pub key_guard: Duration,
}

/// Everything that the console shows.
#[derive(Debug)]
pub struct Model {
    /// How it is drawn.
    pub theme: Theme,
    /// Path of the database.
    pub database: String,
    /// Address of the source.
    pub source: Option<String>,
    /// Who sits at this console.
    pub operator: Operator,
    /// Whether source and database are the built-in ones.
    pub demo: bool,
    /// For how long keys are dropped after a question appeared.
    pub key_guard: Duration,
    /// When the last message came.
    pub now: Moment,
    /// Columns and rows of the screen.
    pub size: Size,
    /// The state of the database, once it was read.
    pub status: Option<StatusReport>,
    /// Why it could not be read.
    pub status_error: Option<String>,
    /// When it was read, and whether it is to be read again.
    pub freshness: Freshness,
    /// Whether what other processes do is seen.
    pub watched: Watched,
    /// The run that is shown, ours or another process's, going on or ended; `None` once something else changed what is
    /// live.
    pub run: Option<RunState>,
    /// Whether a run of ours goes on.
    pub own_run: OwnRun,
    /// The run of another process that goes on.
    pub other: Option<OtherRun>,
    /// Its events, but for the passing ones.
    pub events: Vec<EventRecord>,
    /// The publication that our run is based on.
    pub based_on: Option<PublicationId>,
    /// What is asked once our run ended.
    pub after_run: Option<AfterRun>,
    /// Entities that are marked for the next run or rollback.
    pub marks: BTreeSet<Entity>,
    /// Entities that a rollback of this console switched last.
    pub restored: BTreeSet<Entity>,
    /// Past runs, newest first.
    pub runs: Vec<RunSummary>,
    /// Details of an entity.
    pub detail: Option<(Entity, EntityDetail)>,
    /// The chosen entity.
    pub selected: Entity,
    /// The chosen run, as a place in `runs`.
    pub selected_run: usize,
    /// First line shown of the detail.
    pub detail_scroll: usize,
    /// Where keys go.
    pub focus: Pane,
    /// The pane shown below the table where there is room for one only.
    pub lower: Pane,
    /// Questions and lists on top, the last one foremost.
    pub overlays: Vec<Overlay>,
    /// A question that comes as soon as nothing lies on top any more.
    pub waiting: Option<Overlay>,
    /// Number of the last request whose answer may be overtaken by another.
    pub requests: u64,
    /// The answer to the last key.
    pub notice: Option<Notice>,
    /// Scroll state of the log.
    pub log: LogState,
    /// Whether the screen is out of date.
    pub dirty: bool,
    /// Whether to leave as soon as our run ended.
    pub quit_after_run: bool,
    /// What is being done to the database besides a run, such as `rolling back`.
    pub in_flight: Option<&'static str>,
}

/// tui-logger's state, which has no `Debug`.
pub struct LogState(pub TuiWidgetState);

impl std::fmt::Debug for LogState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("LogState")
    }
}

impl Model {
    /// The model before anything was read.
    #[must_use]
    pub fn new(options: ModelOptions, now: Moment) -> Self {
        Self {
            theme: options.theme,
            database: options.database,
            source: options.source,
            operator: options.operator,
            demo: options.demo,
            key_guard: options.key_guard,
            now,
            size: Size::new(80, 24),
            status: None,
            status_error: None,
            freshness: Freshness::default(),
            watched: Watched::default(),
            run: None,
            own_run: OwnRun::None,
            other: None,
            events: Vec::new(),
            based_on: None,
            after_run: None,
            marks: BTreeSet::new(),
            restored: BTreeSet::new(),
            runs: Vec::new(),
            detail: None,
            selected: Entity::Talents,
            selected_run: 0,
            detail_scroll: 0,
            focus: Pane::Entities,
            lower: Pane::Log,
            overlays: Vec::new(),
            waiting: None,
            requests: 0,
            notice: None,
            log: LogState(TuiWidgetState::new()),
            dirty: true,
            quit_after_run: false,
            in_flight: None,
        }
    }

    /// When the screen may be out of date merely because time goes by: every second during a run, else when the next age
    /// changes; and when something that changed is to be read. While what others do is not seen, at least once a minute.
    #[must_use]
    pub fn next_tick(&self) -> Option<Duration> {
        let unseen = (self.watched != Watched::Yes).then_some(LONGEST_WAIT);
        let running = self.is_run_going().then_some(Duration::from_secs(1));
        let stale = self.freshness.wait(self.now.instant);
        [unseen, running, stale, self.next_age()].into_iter().flatten().min()
    }

    /// When the next age on the screen changes.
    fn next_age(&self) -> Option<Duration> {
        let status = self.status.as_ref()?;
        let published = status.entities.iter().filter_map(|entity| entity.published_at);
        let ended = status.last_run.as_ref().and_then(|run| run.finished_at);
        let held = status.hold.as_ref().map(|hold| hold.since);
        let refused = self.refused().map(|trigger| trigger.at);
        let until_next = published.chain(ended).chain(held).chain(refused).map(|at| {
            let age = self.now.time.duration_since(at).as_secs().max(0).unsigned_abs();
            let step: u64 = match age {
                ..3600 => 60,
                3600..86_400 => 3600,
                _ => 86_400,
            };
            Duration::from_secs(step - age % step)
        });
        until_next.min()
    }

    /// Whether an age on the screen changes up to `time`.
    pub(super) fn ages_before(&self, time: Timestamp) -> bool {
        let passed = Duration::try_from(time.duration_since(self.now.time)).unwrap_or_default();
        self.next_age().is_some_and(|next| next <= passed)
    }

    /// The hold in force.
    #[must_use]
    pub fn hold(&self) -> Option<&HoldReport> {
        self.status.as_ref()?.hold.as_ref()
    }

    /// The newest trigger, when the hold in force refused it.
    #[must_use]
    pub fn refused(&self) -> Option<&TriggerReport> {
        let hold = self.hold()?;
        self.status.as_ref()?.last_trigger.as_ref().filter(|trigger| trigger.is_refused_by(hold))
    }

    /// The run that the pane of runs has chosen, while keys go there.
    #[must_use]
    pub fn chosen_run(&self) -> Option<&RunSummary> {
        self.runs.get(self.selected_run).filter(|_| self.focus == Pane::Runs)
    }

    /// The run that can be published now: the chosen one, else the newest that ended.
    #[must_use]
    pub fn publishable(&self) -> Option<(RunId, RunOutcome)> {
        let of = |id: RunId, outcome: Option<RunOutcome>, replay| {
            outcome.filter(|_| is_publishable(outcome, replay)).map(|outcome| (id, outcome))
        };
        if let Some(run) = self.chosen_run().and_then(|run| of(run.id, run.outcome, run.replay)) {
            return Some(run);
        }
        // Our run is known to have ended before the state of the database was read again.
        let ours = self.run.as_ref().filter(|run| run.outcome.is_some()).map(|run| (run.run, run.outcome, run.replay));
        let last = self.status.as_ref().and_then(|status| status.last_run.as_ref());
        let last = last.map(|run| (run.id, run.outcome, run.replay));
        let (id, outcome, replay) = ours.into_iter().chain(last).max_by_key(|(id, ..)| *id)?;
        of(id, outcome, replay)
    }

    /// The marked entities in their order.
    #[must_use]
    pub fn marked(&self) -> Vec<Entity> {
        self.marks.iter().copied().collect()
    }

    /// Says something in answer to a key.
    pub(super) fn say(&mut self, tone: Tone, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), tone });
    }
}

/// Whether a run can be published: it is held or prepared, and not a mere look at what going back would change.
#[must_use]
pub fn is_publishable(outcome: Option<RunOutcome>, replay: Option<Replay>) -> bool {
    matches!(outcome, Some(RunOutcome::Held | RunOutcome::Prepared)) && replay != Some(Replay::Rollback)
}
