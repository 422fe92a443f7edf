//! One run at a time: an exclusive lock on a file beside the database, in which its owner says who it is.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{database::Database, error::GreenError};
use crate::{
    process,
    report::{Operator, OwnerReport, RunId, Work},
};

/// The file's name after the database's.
const SUFFIX: &str = "-run.lock";

/// Tries, 20 ms apart, before the lock counts as taken; a look at it takes it for an instant.
const TRIES: u32 = 10;

/// Bytes of the file; the owner's words are padded to them, so that they are always written over as a whole.
const SIZE: usize = 1024;

/// Longest part kept of a user's or host's name, in characters, so that all fits.
const NAME: usize = 100;

/// How often an owner shows that it is at work; see [`RunLock::beat`].
pub const BEAT: Duration = Duration::from_millis(400);

/// An owner that has not shown itself for so long does not answer.
pub const SILENCE: Duration = Duration::from_secs(3);

/// Who has the lock, as the file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// What it is at.
    pub work: Work,
    /// The run, once it has a number.
    pub run: Option<RunId>,
    /// Who.
    pub operator: Operator,
    /// When its process began; see [`process::began`].
    pub process_began: Option<u64>,
    /// Since when.
    pub since: Timestamp,
    /// Grows while its process answers.
    pub beat: u64,
}

/// Takes the lock on the file beside `database` that ends in `suffix`, and empties it: what stands there is of an earlier owner,
/// who may well be alive. `None` when another process has it.
pub(super) fn take(database: &Database, suffix: &str) -> Result<Option<File>, GreenError> {
    let path = database.beside(suffix);
    let side_file = |source| GreenError::SideFile { path: path.clone(), source };
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).read(true).write(true).open(&path).map_err(side_file)?;
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0).map_err(side_file)?;
                database.share(&path);
                return Ok(Some(file));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(20)),
            Err(TryLockError::Error(source)) => return Err(side_file(source)),
        }
    }
    Ok(None)
}

impl Owner {
    /// The owner as it is reported.
    #[must_use]
    pub fn report(&self, answers: Option<bool>) -> OwnerReport {
        let Self { work, run, operator, since, .. } = self.clone();
        OwnerReport { work, run, operator, since, answers }
    }
}

/// Whether the lock is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// No living process has it.
    Nobody,
    /// One that is just taking it, or whose words cannot or may not be read.
    Unknown,
    /// This one.
    Known(Owner),
}

impl Holder {
    /// The owner, when it says who it is.
    #[must_use]
    pub fn known(self) -> Option<Owner> {
        match self {
            Self::Known(owner) => Some(owner),
            Self::Nobody | Self::Unknown => None,
        }
    }
}

/// The right to run. The system takes it back when the process ends, however it ends.
#[derive(Debug)]
pub struct RunLock {
    file: File,
    owner: Mutex<Owner>,
}

impl RunLock {
    /// Takes the lock for `work`, or says who has it.
    ///
    /// # Errors
    /// [`GreenError::Locked`] when it is taken; [`GreenError::SideFile`] when the lock file cannot be used.
    pub fn acquire(database: &Database, work: Work, operator: &Operator, at: Timestamp) -> Result<Self, GreenError> {
        let Some(file) = take(database, SUFFIX)? else {
            let owner = holder(database).known();
            return Err(GreenError::Locked { owner: owner.map(|owner| Box::new(owner.report(None))) });
        };
        let shortened = |name: &str| name.chars().take(NAME).collect();
        let Operator { user, host, pid } = operator;
        let operator = Operator { user: shortened(user), host: shortened(host), pid: *pid };
        let process_began = process::began(std::process::id());
        let owner = Owner { work, run: None, operator, process_began, since: at, beat: 0 };
        let lock = Self { file, owner: Mutex::new(owner) };
        lock.beat();
        Ok(lock)
    }

    /// Says which run it is taken for.
    pub fn name_run(&self, run: RunId) {
        self.tell(|owner| owner.run = Some(run));
    }

    /// Shows that the owner still answers. To be called at least every [`BEAT`] by what would also see a cancel.
    pub fn beat(&self) {
        self.tell(|_| {});
    }

    /// Beats until `work` is done.
    pub async fn beating_while<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(BEAT) => self.beat(),
            }
        }
    }

    /// Lets processes that are started from now on keep the lock as long as they live, should this one die before it gives it
    /// back.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn leave_to_children(&self) -> io::Result<()> {
        rustix::io::fcntl_setfd(&self.file, rustix::io::FdFlags::empty()).map_err(Into::into)
    }

    fn tell(&self, change: impl FnOnce(&mut Owner)) {
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut owner);
        owner.beat += 1;
        // The lock holds without words, too; on a full disk there may be no room for them.
        drop(write(&self.file, &owner));
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        drop(self.file.set_len(0));
        // Closing the file is not enough when a process has it that was started with it.
        drop(self.file.unlock());
    }
}

/// Removes what only greenroom keeps beside the database; to be called by the owner of the lock, for a database that is no
/// longer greenroom's.
///
/// # Returns
/// The files that could not be removed, as another process uses them.
pub(super) fn remove_side_files(database: &Database) -> Vec<String> {
    let mut left = Vec::new();
    for suffix in ["-reserve", "-serve.lock", "-run.lock"] {
        let path = database.beside(suffix);
        let is_used = suffix == "-serve.lock"
            && File::open(&path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)));
        let is_there = path.try_exists().unwrap_or(true);
        if is_there && (is_used || std::fs::remove_file(&path).is_err()) {
            left.push(path.display().to_string());
        }
    }
    left
}

fn write(file: &File, owner: &Owner) -> io::Result<()> {
    let mut words = serde_json::to_vec(owner)?;
    words.resize(SIZE.max(words.len()), b' ');
    file.write_all_at(&words, 0)
}

fn read(file: &File) -> Option<Owner> {
    let mut words = [0; SIZE];
    let length = file.read_at(&mut words, 0).ok()?;
    serde_json::from_slice(&words[..length]).ok()
}

/// Who has the lock of `database` now.
#[must_use]
pub fn holder(database: &Database) -> Holder {
    let file = match File::open(database.beside(SUFFIX)) {
        Ok(file) => file,
        // Somebody may have it whom we are not to see.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Holder::Unknown,
        Err(_) => return Holder::Nobody,
    };
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => read(&file).map_or(Holder::Unknown, Holder::Known),
        Ok(()) | Err(TryLockError::Error(_)) => Holder::Nobody,
    }
}

/// Refuses a lock file that may not be read: nothing can be told of who has it.
pub(super) fn check_readable(database: &Database) -> Result<(), GreenError> {
    let path = database.beside(SUFFIX);
    match File::open(&path) {
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => Err(GreenError::SideFile { path, source }),
        _ => Ok(()),
    }
}

/// Whether the run without an outcome `run` goes on: a living process has the lock, for it or for it as far as can be told.
pub(super) fn is_alive(database: &Database, run: RunId) -> bool {
    match holder(database) {
        Holder::Nobody => false,
        Holder::Unknown => true,
        Holder::Known(owner) => match owner.run {
            Some(named) => named == run,
            // It may be about to write the number down.
            None => owner.work == Work::Run,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_has_the_lock_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create_or_open(folder.path().join("green.db")).unwrap();
        let operator = Operator { user: "ana".repeat(1000), host: "box".to_owned(), pid: std::process::id() };
        let acquire = || RunLock::acquire(&database, Work::Run, &operator, Timestamp::UNIX_EPOCH);
        assert_eq!(holder(&database), Holder::Nobody);
        let lock = acquire().unwrap();
        assert!(is_alive(&database, 7), "it may be about to get its number");
        lock.name_run(7);
        let Err(GreenError::Locked { owner: Some(owner) }) = acquire() else { panic!() };
        assert_eq!((owner.run, owner.operator.pid), (Some(7), operator.pid));
        let beat = |holder| match holder {
            Holder::Known(owner) => owner.beat,
            other => panic!("{other:?}"),
        };
        let before = beat(holder(&database));
        lock.beat();
        assert_eq!(beat(holder(&database)), before + 1);
        assert!(is_alive(&database, 7) && !is_alive(&database, 6));
        let file = database.beside(SUFFIX);
        assert!(std::fs::metadata(&file).unwrap().len() > 0);
        drop(lock);
        assert_eq!(std::fs::metadata(&file).unwrap().len(), 0, "who comes next is not taken for us");
        assert_eq!(holder(&database), Holder::Nobody);
        assert!(!is_alive(&database, 7));
        drop(acquire().unwrap());
    }

    #[test]
    fn who_may_write_the_database_may_take_its_lock() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create_or_open(folder.path().join("green.db")).unwrap();
        std::fs::set_permissions(database.path(), PermissionsExt::from_mode(0o664)).unwrap();
        let operator = Operator { user: "ana".to_owned(), host: "box".to_owned(), pid: 1 };
        drop(RunLock::acquire(&database, Work::Run, &operator, Timestamp::UNIX_EPOCH).unwrap());
        super::super::reserve::make(&database).unwrap();
        for suffix in ["-run.lock", "-reserve"] {
            let rights = std::fs::metadata(database.beside(suffix)).unwrap().permissions();
            assert_eq!(rights.mode() & 0o777, 0o664, "{suffix}");
        }
    }

    #[test]
    fn words_that_cannot_be_read_are_no_words() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create_or_open(folder.path().join("green.db")).unwrap();
        let file = File::create(database.beside(SUFFIX)).unwrap();
        file.try_lock().unwrap();
        std::fs::write(database.beside(SUFFIX), "{\"work\":").unwrap();
        assert_eq!(holder(&database), Holder::Unknown);
        assert!(is_alive(&database, 7));
    }
}
