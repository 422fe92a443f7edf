//! Named points of a run, a rollback, a cleanup, a migration, an adoption and the console at which a drill makes something go wrong.
//!
//! Only with the feature `failpoints`, which the tests turn on; without it a point is nothing at all. One point can be armed
//! for a process, by the variable [`VARIABLE`]: `publish.renamed=abort`, or `load.rows=full@3` for the third time.

use std::{
    fmt,
    str::FromStr,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// The environment variable that arms a point.
pub const VARIABLE: &str = "GREENROOM_FAILPOINT";

macro_rules! points {
    ($($(#[$meta:meta])* $variant:ident = $name:literal,)+) => {
        /// A point that a drill can pick.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Failpoint {
            $($(#[$meta])* $variant,)+
        }

        impl Failpoint {
            /// All points, in the order in which they come.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

points! {
    /// A migration was applied, not yet committed.
    MigrateApplied = "migrate.applied",
    /// The tables are there and the version is written, not yet committed.
    MigrateVersioned = "migrate.versioned",
    /// The bookkeeping is up to date.
    MigrateCommitted = "migrate.committed",
    /// Dead runs are marked as interrupted, what they left is still there.
    RecoverMarked = "recover.marked",
    /// The lock is taken and what dead runs left is gone.
    BeginCleared = "begin.cleared",
    /// The run is written down, not yet committed.
    BeginRecorded = "begin.recorded",
    /// The run is written down.
    BeginCommitted = "begin.committed",
    /// A part of a body is written, not yet committed.
    StagePart = "stage.part",
    /// A part of a body is committed, the body is not whole.
    StagePartCommitted = "stage.part-committed",
    /// A whole body is written, not yet committed.
    StageBody = "stage.body",
    /// A snapshot is committed.
    StageCommitted = "stage.committed",
    /// Shadow tables are made.
    LoadOpened = "load.opened",
    /// Rows are inserted, not yet committed.
    LoadRows = "load.rows",
    /// Rows are committed.
    LoadRowsCommitted = "load.rows-committed",
    /// An index is about to be built.
    LoadIndex = "load.index",
    /// All indexes are built.
    LoadSealed = "load.sealed",
    /// The publish has the write lock.
    PublishLocked = "publish.locked",
    /// The publish may go on: no hold, no cancel, nothing newer.
    PublishChecked = "publish.checked",
    /// The publication is written.
    PublishRecorded = "publish.recorded",
    /// The inactive version is renamed away.
    PublishPutAside = "publish.put-aside",
    /// The shadow is in its place.
    PublishRenamed = "publish.renamed",
    /// The view reads the new version.
    PublishViewed = "publish.viewed",
    /// `sync_metadata` names the new version.
    PublishMetadata = "publish.metadata",
    /// One entity is switched.
    PublishSwitched = "publish.switched",
    /// All is written, not yet committed.
    PublishWritten = "publish.written",
    /// The publish is committed, the run not yet ended.
    PublishCommitted = "publish.committed",
    /// Shadows and replaced tables are dropped.
    EndCleared = "end.cleared",
    /// Old snapshots are removed.
    EndPruned = "end.pruned",
    /// The end is written, not yet committed.
    EndWritten = "end.written",
    /// The end is committed.
    EndCommitted = "end.committed",
    /// The write-ahead log is truncated.
    EndCheckpointed = "end.checkpointed",
    /// The rollback has the write lock and may go on.
    RollbackChecked = "rollback.checked",
    /// One entity is switched back.
    RollbackSwitched = "rollback.switched",
    /// All is written, not yet committed.
    RollbackWritten = "rollback.written",
    /// The rollback is committed, not yet told.
    RollbackCommitted = "rollback.committed",
    /// Leftovers are dropped.
    CleanupCleared = "cleanup.cleared",
    /// Old snapshots are removed.
    CleanupPruned = "cleanup.pruned",
    /// Free pages are given back.
    CleanupVacuumed = "cleanup.vacuumed",
    /// The database is in WAL mode, and its adoption not begun.
    AdoptLogged = "adopt.logged",
    /// The bookkeeping is there and names the adoption, not yet committed.
    AdoptRecorded = "adopt.recorded",
    /// What was found is put right, not yet committed.
    AdoptRepaired = "adopt.repaired",
    /// All of the adoption is written, not yet committed.
    AdoptWritten = "adopt.written",
    /// The adoption is committed, not yet told.
    AdoptCommitted = "adopt.committed",
    /// The indexes of one table have the names that the application's migrations know.
    ReleaseNamed = "release.named",
    /// Bodies are in one row each.
    ReleaseJoined = "release.joined",
    /// The bookkeeping is dropped, not yet committed.
    ReleaseWritten = "release.written",
    /// The database is given back, its journal mode and the files beside it are not.
    ReleaseCommitted = "release.committed",
    /// A migration of the application is announced.
    AppAnnounced = "app.announced",
    /// Some rows are copied.
    AppCopied = "app.copied",
    /// Tables stand in the place of the views, not yet committed.
    AppSwitched = "app.switched",
    /// Tables stand in the place of the views.
    AppOpened = "app.opened",
    /// The views are back, not yet committed.
    AppClosing = "app.closing",
    /// The views are back.
    AppClosed = "app.closed",
    /// A migration of the application was applied, not yet committed.
    AppScript = "app.script",
    /// All of them are, and the views are back.
    AppScriptsCommitted = "app.scripts-committed",
    /// The console is about to draw a frame. No command comes here.
    ConsoleDraw = "console.draw",
}

impl fmt::Display for Failpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// What goes wrong at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process ends there and then, as with `kill -9`.
    Abort,
    /// The process stops, until it gets SIGCONT.
    Stop,
    /// The thread panics.
    Panic,
    /// The database file cannot grow any more.
    Full,
    /// The connection cannot write any more.
    ReadOnly,
}

impl Fault {
    const ALL: [(&'static str, Self); 5] = [
        ("abort", Self::Abort),
        ("stop", Self::Stop),
        ("panic", Self::Panic),
        ("full", Self::Full),
        ("readonly", Self::ReadOnly),
    ];
}

/// A point with what goes wrong there.
#[derive(Debug)]
pub struct Armed {
    point: Failpoint,
    fault: Fault,
    /// How often the point is still passed unharmed, plus one; 0 once it was met.
    countdown: AtomicU32,
}

/// A setting that names no point or no fault.
#[derive(Debug, thiserror::Error)]
#[error("`{given}` arms no failpoint; give POINT=FAULT or POINT=FAULT@N, such as publish.renamed=abort@5")]
pub struct BadFailpoint {
    given: String,
}

impl FromStr for Armed {
    type Err = BadFailpoint;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (point, rest) = given.split_once('=')?;
            let (fault, times) = rest.split_once('@').unwrap_or((rest, "1"));
            let point = Failpoint::ALL.iter().copied().find(|one| one.name() == point)?;
            let (_, fault) = Fault::ALL.into_iter().find(|(name, _)| *name == fault)?;
            let times: u32 = times.parse().ok().filter(|times| *times > 0)?;
            Some(Self { point, fault, countdown: AtomicU32::new(times) })
        };
        parse().ok_or_else(|| BadFailpoint { given: given.to_owned() })
    }
}

impl Armed {
    /// What goes wrong now that `point` is reached.
    fn meet(&self, point: Failpoint) -> Option<Fault> {
        if point != self.point {
            return None;
        }
        let count_down = |left: u32| left.checked_sub(1);
        let left = self.countdown.try_update(Ordering::SeqCst, Ordering::SeqCst, count_down);
        (left == Ok(1)).then_some(self.fault)
    }
}

static ARMED: OnceLock<Armed> = OnceLock::new();

/// Arms a point for the rest of the process. Only the first call counts.
pub fn arm(armed: Armed) {
    let _ = ARMED.set(armed);
}

/// Says that `point` is reached: ends or stops the process if that is armed, and answers any other fault.
///
/// # Panics
/// When that is armed.
#[must_use]
pub fn reach(point: Failpoint) -> Option<Fault> {
    if !cfg!(feature = "failpoints") {
        return None;
    }
    match ARMED.get()?.meet(point)? {
        Fault::Abort => std::process::abort(),
        Fault::Stop => {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
            // Another thread may take the signal, and this one would go on until that has stopped them all.
            std::thread::sleep(std::time::Duration::from_secs(1));
            None
        }
        #[expect(clippy::panic, reason = "that is the fault")]
        Fault::Panic => panic!("failpoint {point}"),
        fault => Some(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_met_once_at_its_time() {
        let armed: Armed = "publish.renamed=full@2".parse().unwrap();
        let met: Vec<_> = (0..4).map(|_| armed.meet(Failpoint::PublishRenamed)).collect();
        assert_eq!(met, [None, Some(Fault::Full), None, None]);
        assert_eq!(armed.meet(Failpoint::PublishViewed), None);
        for bad in ["", "publish.renamed", "publish.renamed=slow", "nowhere=abort", "load.rows=abort@0"] {
            assert!(bad.parse::<Armed>().unwrap_err().to_string().contains(bad));
        }
    }
}
