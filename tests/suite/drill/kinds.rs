//! The commands that are killed, what each needs beforehand, and what must have come of it if it was done.

use std::{fmt, path::Path};

use greenroom::entity::Endpoint;

use super::{
    place::Place,
    state::{Look, Phase, number, reader},
};
use crate::{
    data::Data,
    upgrade::{TO_VERSION_1, TO_VERSION_2, TO_VERSION_3, TO_VERSION_4},
};

/// A command that is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Sync,
    Rollback,
    /// `publish RUN`.
    Publish,
    /// `rollback --to RUN`.
    GoBack,
    Cleanup,
    /// A sync into a database that is not there yet.
    FirstStart,
    /// A command on a database whose bookkeeping is of an earlier version.
    Upgrade,
}

impl Kind {
    pub(super) const ALL: [Self; 7] =
        [Self::Sync, Self::Rollback, Self::Publish, Self::GoBack, Self::Cleanup, Self::FirstStart, Self::Upgrade];

    /// Whether each time begins with another database.
    pub(super) fn is_on_another(self) -> bool {
        matches!(self, Self::FirstStart | Self::Upgrade)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Sync => "sync",
            Self::Rollback => "rollback",
            Self::Publish => "publish RUN",
            Self::GoBack => "rollback --to RUN",
            Self::Cleanup => "cleanup",
            Self::FirstStart => "first start",
            Self::Upgrade => "upgrade",
        })
    }
}

/// What is about to be done.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) arguments: Vec<String>,
    /// The generations that are live and kept as the backup once it is done; `None` when it publishes nothing.
    pub(super) after: Option<(Option<u64>, Option<u64>)>,
}

/// The source's generation, and the dry run that is to be published.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) generation: u64,
    /// Whether a body is longer than what is staged at once.
    pub(super) is_long: bool,
    prepared: Option<(i64, u64)>,
}

impl Sent {
    /// Sends a generation that was never sent before.
    pub(super) fn renew(&mut self, place: &Place) -> u64 {
        self.generation += 1;
        let data = Data::marked(self.generation);
        // Talents in several parts.
        place.blue.send(&if self.is_long { data.padded(Endpoint::Talents, 600_000) } else { data });
        self.prepared = None;
        self.generation
    }

    /// Does what `kind` needs beforehand, given what there is.
    pub(super) fn prepare(&mut self, kind: Kind, place: &Place, random: &mut fastrand::Rng, found: &Look) -> Plan {
        let state = found.state;
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let swapped = Some((state.backup, state.live));
        match kind {
            Kind::Sync | Kind::Publish if state.hold => drop(place.call(&["release"])),
            _ => {}
        }
        match kind {
            Kind::Sync | Kind::FirstStart => {
                // What was fetched before it died may come again.
                if state.live == Some(self.generation) || random.bool() {
                    self.renew(place);
                }
                Plan { arguments: words(&["sync", "--json-lines"]), after: Some((Some(self.generation), state.live)) }
            }
            Kind::Rollback => {
                let mut arguments = words(&["rollback", "--yes", "--json"]);
                if random.bool() {
                    arguments.push("--no-hold".to_owned());
                }
                Plan { arguments, after: swapped }
            }
            Kind::Publish => {
                let (run, generation) = match self.prepared {
                    Some((run, generation)) if state.live != Some(generation) => (run, generation),
                    _ => {
                        let generation = self.renew(place);
                        let run = place.call(&["sync", "--dry-run", "--json"]).json()["run"]["id"].as_i64().unwrap();
                        self.prepared = Some((run, generation));
                        (run, generation)
                    }
                };
                let arguments = words(&["publish", &run.to_string(), "--yes", "--json"]);
                Plan { arguments, after: Some((Some(generation), state.live)) }
            }
            Kind::GoBack => {
                let run = found.backup_run.unwrap().to_string();
                Plan { arguments: words(&["rollback", "--to", &run, "--yes", "--no-hold", "--json"]), after: swapped }
            }
            Kind::Cleanup => {
                litter(place);
                Plan { arguments: words(&["cleanup", "--yes", "--json"]), after: None }
            }
            Kind::Upgrade => Plan { arguments: words(&["status", "--json"]), after: None },
        }
    }
}

/// Where it was when it died. What a run tells of itself is not enough for what is no run.
pub(super) fn phase(kind: Kind, path: &Path, before: &Look, after: &Look) -> Phase {
    match kind {
        Kind::Rollback if before.state.publication == after.state.publication => Phase::NotDone,
        Kind::Rollback => Phase::Done,
        Kind::Cleanup => {
            let connection = reader(path);
            let is = |sql: &str| number(&connection, sql).is_some_and(|count| count > 0);
            if is("SELECT count(*) FROM sqlite_schema WHERE name = 'boards_shadow_900000'") {
                Phase::NotDone
            } else if is("SELECT count(*) FROM sync_snapshots WHERE id < 0") {
                Phase::Cleared
            } else if is("PRAGMA freelist_count") {
                Phase::Pruned
            } else {
                Phase::Vacuumed
            }
        }
        Kind::Upgrade if after.version > before.version => Phase::NoRun,
        Kind::Upgrade => Phase::OldVersion,
        // What an earlier run told is nothing of this one.
        _ if after.run == before.run && after.phase != Phase::NoDatabase => Phase::NoRun,
        _ => after.phase,
    }
}

/// Makes a table without an owner, half a snapshot, snapshots beyond the kept ones, and with all that free pages.
fn litter(place: &Place) {
    let connection = place.writer();
    let litter = "
        CREATE TABLE IF NOT EXISTS boards_shadow_900000 (id INTEGER PRIMARY KEY, body BLOB);
        INSERT INTO boards_shadow_900000 (body) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200)
            SELECT zeroblob(3000) FROM n;
        INSERT INTO boards_json (data, createdAt, updatedAt) VALUES ('[{}]', 1, 1);
        INSERT INTO sync_snapshots (endpoint, run_id, complete, first_row, last_row)
            SELECT 'boards', 1, 0, max(id), max(id) FROM boards_json;
        INSERT INTO boards_json (data, createdAt, updatedAt) VALUES ('[{}]', 1, 1);
        INSERT INTO sync_snapshots (id, endpoint, run_id, complete, first_row, last_row, fetched_at, seen_at, bytes, records,
            hash, envelope) SELECT (SELECT min(min(id), 0) - 1 FROM sync_snapshots), 'boards', 1, 1, max(id), max(id), 1, 1, 4,
            1, 'old', 'data' FROM boards_json;";
    connection.execute_batch(&format!("BEGIN IMMEDIATE; {litter} COMMIT;")).unwrap();
}

/// Makes a database at `path` as an earlier version of greenroom left it, with two publications.
pub(super) fn age(place: &Place, path: &Path, version: usize) {
    place.writer().execute("VACUUM INTO ?1", [path.to_str().unwrap()]).unwrap();
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    for back in &[TO_VERSION_4, TO_VERSION_3, TO_VERSION_2, TO_VERSION_1][..5 - version] {
        connection.execute_batch(back).unwrap();
    }
}
