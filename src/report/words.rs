//! Fixed sets of words: shown, stored and serialized alike.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_meta])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// The word shown, stored and serialized.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The value that `word` stands for.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(self.word())
            }
        }
    };
}

words! {
    /// What started a run.
    Trigger {
        /// A key in the console.
        Console = "console",
        /// The command line.
        Cli = "cli",
        /// The staged snapshots of an earlier run, at an operator's word.
        Replay = "replay",
        /// Another program, over HTTP.
        Http = "http",
        /// The schedule of `serve`.
        Schedule = "schedule",
    }
}

words! {
    /// What is answered to a trigger.
    TriggerAnswer {
        /// A run begins for it.
        Started = "started",
        /// A run that was promised before and has not begun yet, or that goes by the same name, is the one for it.
        Joined = "joined",
        /// A run begins for it after the one that goes on, or after a moment without more triggers.
        Waiting = "waiting",
        /// No run: the hold is set.
        Held = "held",
        /// No run: nothing may be written.
        ReadOnly = "read-only",
    }
}

words! {
    /// How a run ended.
    RunOutcome {
        /// All prepared entities are live.
        Published = "published",
        /// The source sent what is live already; nothing was switched.
        Unchanged = "unchanged",
        /// All is prepared, and it was asked to stop there; nothing was switched.
        Prepared = "prepared",
        /// A guard or the hold stopped the publish; nothing was switched.
        Held = "held",
        /// Something failed; nothing was switched.
        Failed = "failed",
        /// An operator or a signal ended it; nothing was switched.
        Cancelled = "cancelled",
        /// Its process died; nothing was switched.
        Interrupted = "interrupted",
    }
}

impl RunOutcome {
    /// Whether what was asked for was done.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Published | Self::Unchanged | Self::Prepared)
    }
}

words! {
    /// How an entity's part of a run ended.
    StepOutcome {
        /// Its new rows are live.
        Published = "published",
        /// Its live rows were made from the same body already.
        Unchanged = "unchanged",
        /// Prepared, but not published.
        Ready = "ready",
        /// Its endpoint or its load failed.
        Failed = "failed",
        /// Not begun, or given up because another step failed.
        Skipped = "skipped",
    }
}

words! {
    /// What the right to run is used for.
    Work {
        /// A sync or a replay.
        Run = "run",
        /// A cleanup.
        Cleanup = "cleanup",
        /// Clearing away what dead runs left.
        Recovery = "recovery",
        /// Taking over the database of the application's own migrations.
        Adoption = "adoption",
        /// Giving such a database back.
        Release = "release",
        /// A migration of the application, for which its tables stand in the place of the views.
        Migration = "migration",
    }
}

words! {
    /// What made a publication.
    PublicationKind {
        /// A run.
        Sync = "sync",
        /// The undoing of an earlier publication.
        Rollback = "rollback",
        /// Nothing was switched: what an adopted database had live and kept as its backup.
        Adoption = "adoption",
    }
}

words! {
    /// A check of prepared rows before they are published.
    Guard {
        /// An entity that had rows has none.
        Empty = "empty",
        /// An entity has lost too large a share of its rows.
        Shrink = "shrink",
        /// Too large a share of an entity's records could not become rows.
        Quarantine = "quarantine",
        /// More references lead nowhere than do now.
        Dangling = "dangling",
    }
}

words! {
    /// What becomes of the hold in a rollback.
    HoldEffect {
        /// It is set, as the next run would publish again what was taken back.
        Set = "set",
        /// It is released, as the rollback that set it is itself taken back.
        Released = "released",
        /// It stays as it is.
        Kept = "kept",
    }
}

words! {
    /// What the staged snapshots of an earlier run are for.
    Replay {
        /// To publish what that run prepared.
        Publish = "publish",
        /// To go back to what that run had published.
        Rollback = "rollback",
    }
}

words! {
    /// How a row differs between two versions.
    RowChange {
        /// Only in the live version.
        Added = "added",
        /// Only in the backup.
        Removed = "removed",
        /// In both, with other values.
        Changed = "changed",
    }
}

words! {
    /// By which names the bookkeeping that the application reads goes.
    Layout {
        /// `sync_metadata`, `boards_json`: a database that greenroom made.
        Standard = "standard",
        /// `SyncMetadata`, `BoardsJson`: one that the application's own migrations made.
        Prisma = "prisma",
    }
}

words! {
    /// What is done about something that was found in a database that is to be adopted.
    FindingKind {
        /// It is put right.
        Repair = "repair",
        /// It is left as it is.
        Note = "note",
        /// It has to be put right by hand before the database can be adopted.
        Obstacle = "obstacle",
    }
}
