//! Space that is set aside beside the database, so that on a full disk a run's end can be written down, what it loaded can be
//! dropped, and a rollback, the hold and a cleanup still work.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{
    cleanup,
    database::Database,
    error::{Doing, GreenError},
};

/// Bytes set aside at least. The log holds about 4 MB before it is written back, and may hold one more transaction of rows:
/// with this much it can be written back, which gives its own space back for all the rest.
const LEAST: u64 = 8 * 1024 * 1024;

/// Bytes of the database for one more: dropping a table of any size and cutting the file writes about 0.5 % of it.
const PER_BYTE: u64 = 64;

/// Bytes set aside at most.
const MOST: u64 = 32 * 1024 * 1024;

/// Bytes written at once.
const CHUNK: usize = 64 * 1024;

/// Sets the space aside, as far as it is not yet.
///
/// # Errors
/// [`GreenError::Full`] when there is none, [`GreenError::SideFile`] when the file cannot be written.
pub(super) fn make(database: &Database) -> Result<(), GreenError> {
    let path = path(database);
    let size = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    let wanted = (LEAST + size(database.path()) / PER_BYTE).min(MOST);
    // One that is about as large as it should be stays, so that not every run writes it again.
    if size(&path) >= wanted - wanted / 4 {
        return Ok(());
    }
    fill(&path, wanted).inspect(|()| database.share(&path)).map_err(|source| {
        release(database);
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                GreenError::Full { doing: "setting space aside for the run's record" }
            }
            _ => GreenError::SideFile { path, source },
        }
    })
}

fn fill(path: &Path, size: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    // Real bytes: a length alone takes no space. Not all zeros either, which some file systems do not store.
    let chunk: Vec<u8> = (0..=u8::MAX).cycle().take(CHUNK).collect();
    for _ in 0..size.div_ceil(CHUNK as u64) {
        file.write_all(&chunk)?;
    }
    Ok(())
}

/// Gives the space back and, as far as that is enough for it, uses it to write the log back, which mostly takes more.
///
/// # Returns
/// Whether there was some.
pub(super) fn release(database: &Database) -> bool {
    let path = path(database);
    let Ok(size) = fs::metadata(&path).map(|file| file.len()) else { return false };
    // The file grows by what the log holds of new pages. More than there is room for would take it all and gain nothing.
    let is_enough = growth(database).is_ok_and(|growth| growth < size);
    if fs::remove_file(&path).is_err() {
        return false;
    }
    if is_enough {
        let written = database.writer().and_then(|connection| cleanup::checkpoint(&connection));
        tracing::debug!("the space set aside is used to write the log back: {written:?}");
    }
    true
}

/// Bytes by which the database file has to grow to take its log in.
fn growth(database: &Database) -> Result<u64, GreenError> {
    let connection = database.reader()?;
    let size = connection
        .query_row("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", [], |row| row.get(0))
        .doing("reading the size of the database")?;
    Ok(u64::saturating_sub(size, fs::metadata(database.path()).map_or(0, |file| file.len())))
}

/// Does `work`, and once more with the space that was set aside when the disk is full.
pub(super) fn with_room<T>(
    database: &Database,
    mut work: impl FnMut() -> Result<T, GreenError>,
) -> Result<T, GreenError> {
    match work() {
        Err(error) if error.is_lack_of_space() && release(database) => {
            tracing::warn!("{error}; the space set aside for this is used now");
            let done = work();
            let _ = make(database).inspect_err(|error| tracing::warn!("{error}"));
            done
        }
        result => result,
    }
}

fn path(database: &Database) -> PathBuf {
    database.beside("-reserve")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_space_is_used_once_when_the_disk_is_full() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create_or_open(folder.path().join("green.db")).unwrap();
        make(&database).unwrap();
        assert!(fs::metadata(path(&database)).unwrap().len() >= LEAST);
        let mut tries = 0;
        let mut full = |until| {
            with_room(&database, || {
                tries += 1;
                if tries < until { Err(GreenError::Full { doing: "testing" }) } else { Ok(tries) }
            })
        };
        assert_eq!(full(2).unwrap(), 2);
        assert!(path(&database).exists(), "it is set aside again for the next time");
        assert!(full(9).is_err());
        assert_eq!(tries, 4, "each time once more");
        assert!(release(&database) && !release(&database));
    }
}
