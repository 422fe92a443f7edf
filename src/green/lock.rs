//! One run at a time: an exclusive lock on a file beside the database.

use std::{
    fs::{File, OpenOptions, TryLockError},
    thread,
    time::Duration,
};

use super::{database::Database, error::GreenError};

/// Tries, 20 ms apart, before the lock counts as taken; [`is_held`] takes it for an instant.
const TRIES: u32 = 10;

/// The right to run. The system takes it back when the process ends, however it ends.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the lock, or says that someone else has it.
    ///
    /// # Errors
    /// [`GreenError::Locked`] without an owner; [`GreenError::SideFile`] when the lock file cannot be used.
    pub fn acquire(database: &Database) -> Result<Self, GreenError> {
        let path = database.beside("-run.lock");
        let side_file = |source| GreenError::SideFile { path: path.clone(), source };
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(side_file)?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(20)),
                Err(TryLockError::Error(source)) => return Err(side_file(source)),
            }
        }
        Err(GreenError::Locked { owner: None })
    }
}

/// Whether a living process has the lock.
#[must_use]
pub fn is_held(database: &Database) -> bool {
    match File::open(database.beside("-run.lock")) {
        Ok(file) => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_has_the_lock_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create_or_open(folder.path().join("green.db")).unwrap();
        assert!(!is_held(&database));
        let lock = RunLock::acquire(&database).unwrap();
        assert!(is_held(&database));
        assert!(matches!(RunLock::acquire(&database), Err(GreenError::Locked { .. })));
        drop(lock);
        assert!(!is_held(&database));
        RunLock::acquire(&database).unwrap();
    }
}
