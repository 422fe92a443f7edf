//! Who takes triggers for a database: a lock on a file beside it, in which the server says who it is and where it listens.

use std::{
    fs::{File, TryLockError},
    io::{self, Read, Write},
};

use super::{database::Database, error::GreenError, lock};
use crate::report::ServerReport;

/// The file's name after the database's.
const SUFFIX: &str = "-serve.lock";

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
        let Some(file) = lock::take(database, SUFFIX)? else {
            return Err(GreenError::Served { server: self::server(database).map(Box::new) });
        };
        let written = serde_json::to_vec(server).map_err(io::Error::from).and_then(|words| (&file).write_all(&words));
        written.map_err(|source| GreenError::SideFile { path: database.beside(SUFFIX), source })?;
        Ok(Self { file })
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
