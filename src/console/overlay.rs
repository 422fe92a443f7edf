//! Questions and lists that lie on top of the screen.

mod diff;
mod quarantine;
mod question;
mod rows;
mod triggers;

use std::time::Instant;

pub(super) use self::{
    diff::{DiffLine, DiffView, Subject},
    quarantine::QuarantineView,
    question::{CancelQuestion, ReplayQuestion, RollbackQuestion, SyncForm, release},
    rows::{LONGEST_FILTER, RowsView},
    triggers::{LISTED as TRIGGERS_LISTED, TriggersView},
};
use crate::report::{CleanupReport, HoldReport, RunReport};

/// Something on top of the screen, which gets the keys while it is there.
#[derive(Debug)]
pub enum Overlay {
    /// All actions with their keys.
    Help {
        /// First line shown.
        scroll: usize,
    },
    /// A sentence that does not fit into one line, such as an error with what can be done.
    Text {
        /// What it is about.
        title: String,
        /// The sentence.
        text: String,
        /// First line shown.
        scroll: usize,
    },
    /// Whether to take something back. Reversible: a capital `Y`.
    Rollback(Box<RollbackQuestion>),
    /// Whether to publish a held run or to go back to an older one. Reversible: a capital `Y`.
    Replay(Box<ReplayQuestion>),
    /// What a run that is about to be started does with the hold.
    SyncHeld {
        /// The hold.
        hold: HoldReport,
        /// Since when the question stands.
        asked: Instant,
    },
    /// What a run that is about to be started is about.
    SyncWith(Box<SyncForm>),
    /// Why the hold is set.
    HoldReason {
        /// What was typed.
        typed: String,
    },
    /// Whether to release the hold. Reversible: a capital `Y`.
    Release {
        /// The hold.
        hold: HoldReport,
        /// Since when the question stands.
        asked: Instant,
    },
    /// Whether to clean up. Irreversible: the word is typed.
    Cleanup {
        /// What would go.
        plan: Box<CleanupReport>,
        /// Since when the question stands.
        asked: Instant,
        /// What was typed.
        typed: String,
    },
    /// Whether to end another process's run. A capital `Y`.
    Cancel(Box<CancelQuestion>),
    /// Whether to leave although a run goes on.
    Quit {
        /// Since when the question stands.
        asked: Instant,
    },
    /// One run in full.
    Run {
        /// The run.
        report: Box<RunReport>,
        /// First line shown.
        scroll: usize,
    },
    /// Rows that differ.
    Diff(Box<DiffView>),
    /// Records in quarantine.
    Quarantine(Box<QuarantineView>),
    /// The newest triggers.
    Triggers(Box<TriggersView>),
    /// Rows of a version.
    Rows(Box<RowsView>),
}

impl Overlay {
    /// The word to type before a cleanup.
    pub const CLEANUP_WORD: &'static str = "cleanup";
    /// Why the hold is set when nothing was typed.
    pub const DEFAULT_REASON: &'static str = "set by hand";
    /// Longest reason for the hold, in bytes.
    pub const LONGEST_REASON: usize = 200;

    fn asked_mut(&mut self) -> Option<&mut Instant> {
        match self {
            Self::Rollback(question) => Some(&mut question.asked),
            Self::Replay(question) => Some(&mut question.asked),
            Self::SyncWith(form) => Some(&mut form.asked),
            Self::Cancel(question) => Some(&mut question.asked),
            Self::SyncHeld { asked, .. }
            | Self::Release { asked, .. }
            | Self::Cleanup { asked, .. }
            | Self::Quit { asked } => Some(asked),
            Self::Help { .. }
            | Self::Text { .. }
            | Self::HoldReason { .. }
            | Self::Run { .. }
            | Self::Diff(_)
            | Self::Quarantine(_)
            | Self::Triggers(_)
            | Self::Rows(_) => None,
        }
    }

    /// Since when a question stands; `None` for what asks nothing.
    #[must_use]
    pub fn asked(&self) -> Option<Instant> {
        match self {
            Self::Rollback(question) => Some(question.asked),
            Self::Replay(question) => Some(question.asked),
            Self::SyncWith(form) => Some(form.asked),
            Self::Cancel(question) => Some(question.asked),
            Self::SyncHeld { asked, .. }
            | Self::Release { asked, .. }
            | Self::Cleanup { asked, .. }
            | Self::Quit { asked } => Some(*asked),
            _ => None,
        }
    }

    /// Takes note that the question came to the front again, so that keys meant for what lay on it are no answer to it.
    pub fn ask_again(&mut self, now: Instant) {
        if let Some(asked) = self.asked_mut() {
            *asked = now;
        }
    }

    /// First line or entity shown.
    #[must_use]
    pub fn scroll(&self) -> usize {
        match self {
            Self::Help { scroll } | Self::Text { scroll, .. } | Self::Run { scroll, .. } => *scroll,
            Self::Rollback(question) => question.scroll,
            Self::Replay(question) => question.scroll,
            Self::Diff(view) => view.scroll,
            Self::Quarantine(view) => view.scroll,
            Self::Rows(view) => view.scroll,
            _ => 0,
        }
    }

    /// Scroll position of what can be scrolled.
    pub fn scroll_mut(&mut self) -> Option<&mut usize> {
        match self {
            Self::Help { scroll } | Self::Text { scroll, .. } | Self::Run { scroll, .. } => Some(scroll),
            Self::Rollback(question) => Some(&mut question.scroll),
            Self::Replay(question) => Some(&mut question.scroll),
            Self::Diff(view) => Some(&mut view.scroll),
            Self::Quarantine(view) => Some(&mut view.scroll),
            _ => None,
        }
    }
}
