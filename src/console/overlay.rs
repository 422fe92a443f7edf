//! Questions and lists that lie on top of the screen.

use std::time::Instant;

use crate::report::{CleanupReport, RollbackPlan, RunReport};

/// Something on top of the screen, which gets the keys while it is there.
#[derive(Debug)]
pub enum Overlay {
    /// All actions with their keys.
    Help {
        /// First line shown.
        scroll: usize,
    },
    /// Whether to take the newest publication back. Reversible: a capital `Y`.
    Rollback {
        /// What would change.
        plan: Box<RollbackPlan>,
        /// Since when the question stands.
        asked: Instant,
        /// First entity shown.
        scroll: usize,
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
}

impl Overlay {
    /// The word to type before a cleanup.
    pub const CLEANUP_WORD: &'static str = "cleanup";

    /// Since when a question stands; `None` for what asks nothing.
    #[must_use]
    pub fn asked(&self) -> Option<Instant> {
        match self {
            Self::Rollback { asked, .. } | Self::Cleanup { asked, .. } | Self::Quit { asked } => Some(*asked),
            Self::Help { .. } | Self::Run { .. } => None,
        }
    }

    /// First line or entity shown.
    #[must_use]
    pub fn scroll(&self) -> usize {
        match self {
            Self::Help { scroll } | Self::Run { scroll, .. } | Self::Rollback { scroll, .. } => *scroll,
            Self::Cleanup { .. } | Self::Quit { .. } => 0,
        }
    }

    /// Scroll position of what can be scrolled.
    pub fn scroll_mut(&mut self) -> Option<&mut usize> {
        match self {
            Self::Help { scroll } | Self::Run { scroll, .. } | Self::Rollback { scroll, .. } => Some(scroll),
            _ => None,
        }
    }
}
