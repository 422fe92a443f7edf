//! Space that is set aside while a run goes on, so that its end can be written down on a disk that is full by then.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
};

use super::{database::Database, error::GreenError};

/// Bytes set aside: what the record of an end takes, many times over.
const SIZE: usize = 1024 * 1024;

/// Bytes written at once.
const CHUNK: usize = 64 * 1024;

/// The space of one run, a file beside the database; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
}

impl Reserve {
    /// Sets the space aside.
    ///
    /// # Errors
    /// [`GreenError::Full`] when there is none, [`GreenError::SideFile`] when the file cannot be written.
    pub(super) fn make(database: &Database) -> Result<Self, GreenError> {
        let reserve = Self { path: path(database) };
        reserve.fill().map_err(|source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                GreenError::Full { doing: "setting space aside for the run's record" }
            }
            _ => GreenError::SideFile { path: reserve.path.clone(), source },
        })?;
        Ok(reserve)
    }

    fn fill(&self) -> io::Result<()> {
        let mut file = File::create(&self.path)?;
        // Real bytes: a length alone takes no space. Not all zeros either, which some file systems do not store.
        let chunk: Vec<u8> = (0..=u8::MAX).cycle().take(CHUNK).collect();
        for _ in 0..SIZE / CHUNK {
            file.write_all(&chunk)?;
        }
        Ok(())
    }

    /// Gives the space back. May be called any number of times.
    pub(super) fn release(&self) {
        drop(fs::remove_file(&self.path));
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        self.release();
    }
}

/// Gives back what a dead run had set aside; to be called by the owner of the run lock only.
pub(super) fn release_left(database: &Database) {
    drop(fs::remove_file(path(database)));
}

fn path(database: &Database) -> PathBuf {
    database.beside("-run.reserve")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_space_is_there_until_it_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create_or_open(folder.path().join("green.db")).unwrap();
        let reserve = Reserve::make(&database).unwrap();
        assert_eq!(fs::metadata(path(&database)).unwrap().len(), SIZE as u64);
        reserve.release();
        assert!(!path(&database).exists());
        drop(reserve);
        std::mem::forget(Reserve::make(&database).unwrap());
        release_left(&database);
        assert!(!path(&database).exists());
    }
}
