//! Who takes triggers for a database: a lock on a file beside it, in which the server says who it is and where it listens.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    thread,
    time::Duration,
};

use super::{database::Database, error::GreenError};
use crate::report::ServerReport;

/// The file's name after the database's.
const SUFFIX: &str = "-serve.lock";

/// Tries, 20 ms apart, before the lock counts as taken; a look at it takes it for an instant.
const TRIES: u32 = 10;

/// Longest text read from the file, in bytes.
const LONGEST: u64 = 4096;

/// The right to take triggers for a database. The system takes it back when the process ends, however it ends.
#[derive(Debug)]
pub struct Presence {
    file: File,
}

impl Presence {
    /// Takes that right and says who has it from now on.
    ///
    /// # Errors
    /// [`GreenError::Served`] when another process has it; [`GreenError::SideFile`] when the file cannot be used.
    pub fn announce(database: &Database, server: &ServerReport) -> Result<Self, GreenError> {
        let path = database.beside(SUFFIX);
        let side_file = |source| GreenError::SideFile { path: path.clone(), source };
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).read(true).write(true).open(&path).map_err(side_file)?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => {
                    file.set_len(0).map_err(side_file)?;
                    database.share(&path);
                    let words = serde_json::to_vec(server).map_err(io::Error::from).map_err(side_file)?;
                    (&file).write_all(&words).map_err(side_file)?;
                    return Ok(Self { file });
                }
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(20)),
                Err(TryLockError::Error(source)) => return Err(side_file(source)),
            }
        }
        Err(GreenError::Served { server: self::server(database).map(Box::new) })
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        drop(self.file.set_len(0));
    }
}

/// Who takes triggers for `database` now, if that can be read.
#[must_use]
pub fn server(database: &Database) -> Option<ServerReport> {
    let file = File::open(database.beside(SUFFIX)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            let mut words = Vec::new();
            file.take(LONGEST).read_to_end(&mut words).ok()?;
            serde_json::from_slice(&words).ok()
        }
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Operator;

    #[test]
    fn one_server_at_a_time_says_who_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create_or_open(folder.path().join("green.db")).unwrap();
        let operator = Operator { user: "ana".to_owned(), host: "box".to_owned(), pid: 7 };
        let since = jiff::Timestamp::UNIX_EPOCH;
        let address = "127.0.0.1:8080".to_owned();
        let report = ServerReport { address, operator, since, every_ms: Some(900_000), read_only: false };
        assert_eq!(server(&database), None);
        let presence = Presence::announce(&database, &report).unwrap();
        assert_eq!(server(&database).as_ref(), Some(&report));
        let Err(GreenError::Served { server: Some(other) }) = Presence::announce(&database, &report) else { panic!() };
        assert_eq!(*other, report);
        drop(presence);
        assert_eq!(server(&database), None);
        drop(Presence::announce(&database, &report).unwrap());
    }
}
