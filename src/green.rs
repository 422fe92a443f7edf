//! The target, NowRepGreen's SQLite file, as an interface without a word of DDL: stage bodies, load prepared entities,
//! publish them, undo that publication, clean up, and tell what there is.

mod cleanup;
pub mod database;
mod detail;
mod diff;
pub mod error;
mod journal;
mod load;
pub mod lock;
mod migrate;
mod publish;
mod quarantine;
mod rollback;
mod schema;
mod session;
mod snapshot;
mod sql;
mod status;
mod writer;

pub use self::{
    cleanup::Retention,
    database::{Database, path_from_url},
    error::GreenError,
    journal::{JournalEntry, RunEnd, RunStart},
    lock::RunLock,
    publish::{Prepared, Publication},
    quarantine::KEPT as QUARANTINE_KEPT,
    session::{Begun, LoadedRows, Session},
    snapshot::{SnapshotParts, Staged, Staging},
    status::{LiveVersion, Origin},
};
