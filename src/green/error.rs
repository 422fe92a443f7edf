//! What can go wrong with the database, each with what to do about it.

mod words;

use std::path::PathBuf;

use rusqlite::ErrorCode;

use self::words::{by_operator, describe_migration, describe_owner, how_to_mend, listed, number};
use crate::report::{AppMigrationReport, HoldReport, Operator, OwnerReport, PublicationId, ServerReport};

/// An error of the target.
#[derive(Debug, thiserror::Error)]
pub enum GreenError {
    /// The address of the database is not a path.
    #[error("`{url}` is not a database path; give a path or `file:/data/sqlite.db`")]
    BadUrl {
        /// What was given.
        url: String,
    },
    /// There is no such file.
    #[error("there is no database at {}; run `greenroom sync` to make one, or check --database-url", .path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file cannot be opened.
    #[error("cannot open the database {}: {why}; check --database-url and who may read and write the file, those beside it and its folder", .path.display())]
    Open {
        /// Where it is.
        path: PathBuf,
        /// What is in the way, as far as that can be told.
        why: String,
    },
    /// The file is something else.
    #[error("{} is not an SQLite database, or its first page is damaged; check --database-url, or restore a copy", .path.display())]
    NotADatabase {
        /// Where it is.
        path: PathBuf,
    },
    /// The file was written by a later greenroom.
    #[error("{} has bookkeeping of version {found}, this greenroom knows up to {known}; use a newer greenroom", .path.display())]
    Newer {
        /// Where it is.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The file has no bookkeeping and must not be changed.
    #[error("{} has no bookkeeping of greenroom; run `greenroom sync` first, or check --database-url", .path.display())]
    NotMigrated {
        /// Where it is.
        path: PathBuf,
    },
    /// The file was made by the application's own migrations and is not taken over yet.
    #[error(
        "{} was made by NowRepGreen's own migrations and is not taken over; nothing was changed. `greenroom adopt --dry-run` shows what taking it over would do, `greenroom adopt` does it", .path.display()
    )]
    NotAdopted {
        /// Where it is.
        path: PathBuf,
    },
    /// The file was not made by the application's own migrations.
    #[error("{} has no table of NowRepGreen's own migrations, such as SyncMetadata or BoardsJson, and needs no adoption; check --database-url", .path.display())]
    NothingToAdopt {
        /// Where it is.
        path: PathBuf,
    },
    /// Something in the file has to be put right by hand first.
    #[error("the database cannot be adopted: {}; nothing was changed", .obstacles.join("; "))]
    CannotAdopt {
        /// What is in the way, each with what to do.
        obstacles: Vec<String>,
    },
    /// The file was never adopted.
    #[error("{} was not adopted, so there is nothing to give back: greenroom made it", .path.display())]
    NotReleasable {
        /// Where it is.
        path: PathBuf,
    },
    /// A table with rows stands in the place of a view.
    #[error(
        "{name} is a table with rows where the view belongs, and greenroom has not put it there; nothing was switched. Rename it or empty it, then try again"
    )]
    TableInPlace {
        /// Its name.
        name: String,
    },
    /// A column of the application without which no row can be.
    #[error(
        "column {column} of {table} is the application's own, is NOT NULL and has no default, so no row can be loaded; nothing was switched. Give it a default or let it be NULL, in both versions of the table"
    )]
    NeedsValue {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// Tables stand in the place of views while the application migrates.
    #[error("{}", describe_migration(.migration))]
    AppMigrating {
        /// The migration.
        migration: Box<AppMigrationReport>,
    },
    /// A migration of the application could not be applied.
    #[error(
        "the migration {name} failed: {why}; all of it was taken back and nothing was changed. Mend it and apply it again"
    )]
    Script {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// Prisma has begun a migration and not finished it.
    #[error(
        "the migration {name} was begun before and failed in the middle, by the word of _prisma_migrations; nothing was changed. Put the database right, say so with `prisma migrate resolve`, and repeat"
    )]
    ScriptFailedBefore {
        /// Its name.
        name: String,
    },
    /// A migration of the application left no table that the view could read.
    #[error(
        "{view} cannot be a view again after the application's migration: {why}. Visitors go on with the table that stands in its place, and nothing is synced or rolled back until it is put right: {remedy}, then run `greenroom migrate-app true`"
    )]
    NoView {
        /// The view.
        view: String,
        /// What is in the way.
        why: String,
        /// What to do.
        remedy: String,
    },
    /// The linked `SQLite` is known to lose pages.
    #[error("SQLite {found} can lose committed pages; greenroom needs {needed} or newer")]
    OldSqlite {
        /// The linked version.
        found: &'static str,
        /// The oldest safe one.
        needed: &'static str,
    },
    /// WAL mode was refused.
    #[error("cannot switch {} to WAL mode (it stays in `{answer}`), without which readers fail during a load; close the programs that have it open and try again", .path.display())]
    NotWal {
        /// Where it is.
        path: PathBuf,
        /// The mode that it is in.
        answer: String,
    },
    /// Another connection kept the write lock for too long.
    #[error("the database was locked by another program while {doing}; find the writer that holds it and try again")]
    Busy {
        /// What was tried.
        doing: &'static str,
    },
    /// The run lock's owner kept the write lock for too long and does not answer.
    #[error(
        "{owner} keeps the database locked and does not answer, while {doing}; nothing was changed. `greenroom cancel --force` ends it on its host"
    )]
    BusyOwner {
        /// What was tried.
        doing: &'static str,
        /// Who has it.
        owner: Box<OwnerReport>,
    },
    /// No space is left.
    #[error(
        "the disk is full while {doing}, which was taken back. Free some space (`greenroom cleanup` may help) and try again"
    )]
    Full {
        /// What was tried.
        doing: &'static str,
    },
    /// Writing is not allowed.
    #[error("the database is read-only while {doing}; check the permissions of the file, its folder and the mount")]
    ReadOnly {
        /// What was tried.
        doing: &'static str,
    },
    /// The file is damaged.
    #[error(
        "the database is damaged, found while {doing}; restore a copy, or move it away with what is beside it and let `greenroom sync` make a new one. `PRAGMA integrity_check` tells how far it goes"
    )]
    Corrupt {
        /// What was tried.
        doing: &'static str,
    },
    /// A table or view is gone.
    #[error("{name} is missing, found while {doing}: something else has dropped it. {}", how_to_mend(.name))]
    MissingTable {
        /// Its name.
        name: String,
        /// What was tried.
        doing: &'static str,
    },
    /// Any other error of `SQLite`.
    #[error("{doing}: {source}")]
    Sql {
        /// What was tried.
        doing: &'static str,
        /// `SQLite`'s reason.
        source: rusqlite::Error,
    },
    /// The disk failed to read or write.
    #[error(
        "the disk failed while {doing} ({source}), which was taken back. Look at the system's log (`dmesg`), free space and limits (`ulimit -f`), then try again"
    )]
    Disk {
        /// What was tried.
        doing: &'static str,
        /// `SQLite`'s reason.
        source: rusqlite::Error,
    },
    /// A file beside the database cannot be used.
    #[error(
        "cannot use {}: {source}; greenroom keeps it beside the database, check who owns it and whether the folder may be written", .path.display()
    )]
    SideFile {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Another run has the lock.
    #[error("{}", describe_owner(.owner.as_deref()))]
    Locked {
        /// Who has it, as far as that could be read.
        owner: Option<Box<OwnerReport>>,
    },
    /// Another process takes triggers for the database.
    #[error(
        "{} takes triggers for this database already; end that one first, or let this one serve another database",
        .server.as_deref().map_or_else(|| "another greenroom".to_owned(), ToString::to_string)
    )]
    Served {
        /// Who does, as far as that could be read.
        server: Option<Box<ServerReport>>,
    },
    /// The process that has the lock is not ours to end.
    #[error(
        "{owner} cannot be ended from here: {why}; end it where it runs. It {}",
        if *.asked { "was asked to end and cannot publish" } else { "could not be asked to end and may still publish" }
    )]
    CannotEnd {
        /// Who has it.
        owner: String,
        /// Why not.
        why: String,
        /// Whether the wish that it ends is written down.
        asked: bool,
    },
    /// What was live changed since the run began or the question was asked.
    #[error(
        "the live version changed meanwhile: publication {} is the newest, not {}; nothing was switched, look again and repeat",
        number(*.newest), number(*.expected)
    )]
    Moved {
        /// The publication that is the newest now.
        newest: Option<PublicationId>,
        /// The one that was expected.
        expected: Option<PublicationId>,
    },
    /// The run that wants to publish is not running any more.
    #[error("run {run} was ended by someone else before it could publish; nothing was switched")]
    TakenOver {
        /// Its number.
        run: i64,
    },
    /// The run was cancelled before its publish.
    #[error("cancelled{} before its publish; nothing was switched", by_operator(.by.as_ref()))]
    Cancelled {
        /// Who cancelled it from another process.
        by: Option<Operator>,
    },
    /// The hold keeps runs from publishing.
    #[error("{hold} (since {}); nothing was switched. `greenroom publish RUN --release` publishes it and releases the hold", .hold.since)]
    Held {
        /// The hold.
        hold: Box<HoldReport>,
    },
    /// The hold that was to be released gave way to another one.
    #[error("the hold is another one by now: {hold} (since {}); nothing was changed, look again and repeat", .hold.since)]
    OtherHold {
        /// The hold in force.
        hold: Box<HoldReport>,
    },
    /// A publication of which some entities were switched again.
    #[error(
        "publication {publication} cannot be taken back as a whole, {entity} was switched by publication {since} after it; take that one back first, name the entities to roll back, or go back with `greenroom rollback --to RUN`"
    )]
    SwitchedSince {
        /// The publication.
        publication: PublicationId,
        /// One of its entities.
        entity: &'static str,
        /// What switched it.
        since: PublicationId,
    },
    /// A run whose snapshots cannot be published.
    #[error("run {run} {why}; {}", listed(.possible))]
    NotReplayable {
        /// The run.
        run: i64,
        /// Why not.
        why: String,
        /// The runs for which it can be done, newest first.
        possible: Vec<i64>,
    },
    /// A comparison that was told to stop.
    #[error("stopped before it was done")]
    Stopped,
    /// Nothing was ever published, or only once.
    #[error("there is nothing to go back to: {why}")]
    NothingToRollBack {
        /// Why not.
        why: String,
    },
    /// A number that names nothing.
    #[error("there is no {what} {id}; see `greenroom {command}`")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Its number.
        id: i64,
        /// The command that lists what there is.
        command: &'static str,
    },
    /// Records did not balance, which is a defect of greenroom.
    #[error(
        "{entity}: {records} records became {rows} rows, {duplicates} duplicates and {quarantined} quarantined, which does not add up; nothing was switched"
    )]
    Unbalanced {
        /// The entity.
        entity: &'static str,
        /// Records read.
        records: u64,
        /// Rows counted in the table.
        rows: u64,
        /// Duplicates counted.
        duplicates: u64,
        /// Records in quarantine.
        quarantined: u64,
    },
    /// Metadata and views disagree.
    #[error("{entity}: {found}; nothing was switched. Something else writes here; a sync with --force puts it right")]
    Inconsistent {
        /// The entity.
        entity: &'static str,
        /// What says what.
        found: String,
    },
    /// Something panicked.
    #[error("defect in greenroom: {message}; `greenroom status` shows what is live")]
    Defect {
        /// What the panic said.
        message: String,
    },
    /// The writing thread is gone, which follows another error.
    #[error("the database writer ended unexpectedly; `greenroom status` shows what is live")]
    WriterGone,
}

/// The table or view that a statement did not find.
fn missing_table(error: &rusqlite::Error) -> Option<String> {
    use rusqlite::Error::{SqlInputError, SqliteFailure};
    let (SqlInputError { msg, .. } | SqliteFailure(_, Some(msg))) = error else { return None };
    let name = msg.strip_prefix("no such table: ")?;
    Some(name.strip_prefix("main.").unwrap_or(name).to_owned())
}

impl GreenError {
    /// The error for `source`, met while `doing` something.
    #[must_use]
    pub fn from_sqlite(source: rusqlite::Error, doing: &'static str) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { doing },
            Some(ErrorCode::DiskFull) => Self::Full { doing },
            Some(ErrorCode::ReadOnly) => Self::ReadOnly { doing },
            Some(ErrorCode::OperationInterrupted) => Self::Stopped,
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt { doing },
            Some(ErrorCode::SystemIoFailure) => Self::Disk { doing, source },
            _ => match missing_table(&source) {
                Some(name) => Self::MissingTable { name, doing },
                None => Self::Sql { doing, source },
            },
        }
    }

    /// Whether there may be too little space: some file systems only tell at the second write, others say that they failed.
    #[must_use]
    pub fn is_lack_of_space(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Disk { .. })
    }

    /// Whether it may pass by itself, so that another try is worth it.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.is_lack_of_space() || matches!(self, Self::Busy { .. } | Self::BusyOwner { .. })
    }

    /// Whether the caller's settings are at fault rather than the work.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::BadUrl { .. }
                | Self::Missing { .. }
                | Self::Open { .. }
                | Self::NotADatabase { .. }
                | Self::Newer { .. }
                | Self::NotMigrated { .. }
                | Self::NotAdopted { .. }
                | Self::NothingToAdopt { .. }
                | Self::NotReleasable { .. }
                | Self::OldSqlite { .. }
        )
    }
}

/// Adds to a result of `SQLite` what was being done.
pub(super) trait Doing<T> {
    /// Names what was being done.
    fn doing(self, what: &'static str) -> Result<T, GreenError>;
}

impl<T> Doing<T> for rusqlite::Result<T> {
    fn doing(self, what: &'static str) -> Result<T, GreenError> {
        self.map_err(|error| GreenError::from_sqlite(error, what))
    }
}
