//! Who keeps the write-ahead log from being emptied.

use std::{fs, os::unix::fs::MetadataExt};

use super::database::Database;
use crate::{process, report::WalReader};

/// Bytes of the index file that readers lock, each for a state of the database that it reads: `WAL_READ_LOCK(0..5)` in
/// `SQLite`'s `wal.c`. The first is for readers that need nothing of the log, and so must not find it written back.
const MARKS: std::ops::RangeInclusive<u64> = 123..=127;

impl Database {
    /// Other processes of this machine that read a state of the database out of its log, by what the system says of locks
    /// on its index (`/proc/locks`, see `proc(5)`); empty where that is not told.
    #[must_use]
    pub fn wal_readers(&self) -> Vec<WalReader> {
        let Ok(index) = fs::metadata(self.beside("-shm")) else { return Vec::new() };
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        let mut pids: Vec<u32> = locks.lines().filter_map(|line| reader(line, index.ino())).collect();
        pids.sort_unstable();
        pids.dedup();
        pids.retain(|pid| *pid != std::process::id());
        pids.into_iter().map(|pid| WalReader { pid, name: process::name(pid) }).collect()
    }
}

/// The process of a line such as `3: POSIX  ADVISORY  READ 4711 08:01:131 124 124`, when it is a reader's lock on `inode`.
fn reader(line: &str, inode: u64) -> Option<u32> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    if (fields.next()?, fields.nth(1)?) != ("POSIX", "READ") {
        return None;
    }
    let pid = fields.next()?.parse().ok()?;
    let (_, found) = fields.next()?.rsplit_once(':')?;
    let (first, last): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let is_mark = first <= *MARKS.end() && last >= *MARKS.start();
    (is_mark && found.parse() == Ok(inode)).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_locks_on_the_marks_of_the_index_count() {
        assert_eq!(reader("3: POSIX  ADVISORY  READ 4711 08:01:131 124 124", 131), Some(4711));
        for other in [
            "3: POSIX  ADVISORY  READ 4711 08:01:132 124 124",
            "3: POSIX  ADVISORY  WRITE 4711 08:01:131 124 124",
            "3: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF",
            "3: POSIX  ADVISORY  READ 4711 08:01:131 122 122",
            "3: POSIX  ADVISORY  READ 4711 08:01:131 128 128",
            "3: -> POSIX  ADVISORY  READ 4711 08:01:131 124 124",
            "",
        ] {
            assert_eq!(reader(other, 131), None, "{other}");
        }
    }
}
