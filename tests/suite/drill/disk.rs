//! A disk that fills up, for real: nothing is lost, and rollback and cleanup work on the full disk.
//!
//! It needs a small file system of its own, so it is not part of `cargo test`:
//!
//! ```sh
//! mkdir /tmp/small && mount -t tmpfs -o size=24m tmpfs /tmp/small
//! GREENROOM_DRILL_DISK=/tmp/small cargo test --test suite drill::disk -- --ignored --nocapture
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    place::{Ended, Place},
    state::Look,
};
use crate::{data::Data, support::setting};

/// Rounds of filling, syncing, rolling back and cleaning up.
const ROUNDS: u64 = 60;

/// Bytes that are left free at most; a run takes a good megabyte.
const LEFT: u64 = 3 * 1024 * 1024;

/// Fills the file system of `path` but for `left` bytes.
fn fill(path: &Path, left: u64) {
    let disk = rustix::fs::statvfs(path.parent().unwrap()).unwrap();
    let free = disk.f_bavail * disk.f_frsize;
    fs::write(path, vec![7; usize::try_from(free.saturating_sub(left)).unwrap()]).unwrap();
}

fn says_full(ended: &Ended) -> bool {
    ended.stderr.contains("the disk is full while")
}

#[test]
#[ignore = "needs a small file system"]
fn a_full_disk_loses_nothing_and_has_a_way_out() {
    let folder = PathBuf::from(std::env::var_os("GREENROOM_DRILL_DISK").expect("GREENROOM_DRILL_DISK is a small disk"));
    let seed = setting("GREENROOM_DRILL_SEED", fastrand::u64(..));
    println!("GREENROOM_DRILL_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let place = Place::new(runtime.handle());
    let home = tempfile::tempdir_in(&folder).unwrap();
    let (database, ballast) = (home.path().join("green.db"), home.path().join("ballast"));
    for generation in 1..=2 {
        place.blue.send(&Data::marked(generation));
        place.call_on(&database, &["sync"]);
    }
    let (mut full, mut published, mut rolled_back) = (0, 0, 0);
    for round in 0..ROUNDS {
        let generation = round + 3;
        place.blue.send(&Data::marked(generation));
        let before = Look::at(&database).state;
        fill(&ballast, random.u64(0..LEFT));
        let ended = place.start_on(&database, &["sync", "--accept", "all"], None).end();
        let after = Look::at(&database);
        match ended.status.code() {
            Some(0) => {
                published += 1;
                assert_eq!(after.state.live, Some(generation));
            }
            Some(1) => {
                assert!(says_full(&ended), "{ended:?}");
                assert_eq!(after.state, before, "{ended:?}");
                full += 1;
            }
            other => panic!("{other:?}: {ended:?}"),
        }
        assert!(after.unfinished.is_empty(), "its end is recorded: {ended:?}");
        let ended = place.start_on(&database, &["rollback", "--yes", "--no-hold"], None).end();
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        rolled_back += 1;
        assert_eq!(Look::at(&database).state.live, after.state.backup);
        let ended = place.start_on(&database, &["cleanup", "--yes"], None).end();
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        fs::remove_file(&ballast).unwrap();
    }
    place.blue.send(&Data::marked(ROUNDS + 3));
    place.call_on(&database, &["sync", "--accept", "all"]);
    assert_eq!(Look::at(&database).state.live, Some(ROUNDS + 3));
    println!(
        "{ROUNDS} rounds on a disk that is full: {full} syncs failed for it, {published} published, {rolled_back} rollbacks and cleanups"
    );
    assert!(full > 0, "the disk was never full");
}
