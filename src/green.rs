//! The target, NowRepGreen's SQLite file, as an interface without a word of DDL: stage bodies, load prepared entities,
//! publish them, undo that publication, clean up, and tell what there is.

mod adoption;
mod app_migration;
mod app_scripts;
mod browse;
mod cleanup;
mod columns;
mod current_table;
pub mod database;
mod detail;
mod diff;
pub mod error;
mod fail;
mod figures;
mod health;
mod hold;
mod index_names;
mod journal;
mod layout;
mod load;
pub mod lock;
mod migrate;
mod presence;
mod publish;
mod quarantine;
mod records;
mod recovery;
mod references;
mod release;
mod replay;
mod reserve;
mod rollback;
mod schema;
mod session;
mod snapshot;
mod sql;
mod status;
mod tasks;
mod wal;
mod watch;
mod writer;

pub use self::{
    app_scripts::AppScript,
    browse::{RowsQuery, Side},
    cleanup::Retention,
    database::{Database, Patience, path_from_url},
    diff::{Comparison, DiffSubject, Page},
    error::GreenError,
    health::HealthLimits,
    journal::{JournalEntry, Requested, RunEnd, RunStart},
    lock::{BEAT, Holder, Owner, RunLock, SILENCE, holder},
    presence::{Presence, server},
    publish::{HoldRule, Prepared, Publication, PublishOrder},
    quarantine::{KEPT as QUARANTINE_KEPT, QuarantineQuery},
    rollback::RollbackOptions,
    session::{Begun, LoadedRows, Session},
    snapshot::{KnownBody, SnapshotParts, Staged, Staging, Validated},
    status::{LiveVersion, Origin},
    tasks::{KEY_LIFETIME, NewTrigger, TaskQuery, TaskState, Verdict},
    watch::{Pulse, Watch},
};
