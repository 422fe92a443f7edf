//! The fault matrix: each fault, injected at each of three places, and all that must become of the run.
//!
//! `calls` has the faults of single calls: no connection, no answer, a bad answer, a body that cannot be read. The endpoints
//! are asked one after the other in their order, and the places are calls of a run:
//!
//! - **first**: the first call of the run, which is at `talents`.
//! - **middle**: the fifth call of the run, after four that went well, which is at `portfoliosMedia`.
//! - **always**: every attempt at that endpoint, while the eight others answer well. Where the source cannot be reached at all,
//!   every call of the run.
//!
//! `bodies` and `fields` have the faults of data, `data_faults` tries them on a `crowd` of good records. Their bodies can be
//! read, so there is no second attempt within a run, and the places are runs:
//!
//! - **first**: the first run of a new database, in which guards have nothing to compare with.
//! - **middle**: one run between two healthy ones.
//! - **always**: three runs one after the other, on top of a healthy one. What is published the first time is unchanged the
//!   other times, what is held is held again.
//!
//! A case tells the whole of what became of its run and of everything that visitors and operators can see, that its fault
//! was in fact injected, and that the next run with a healthy source does well.

mod bodies;
mod calls;
mod crowd;
mod data_faults;
mod fields;

use std::collections::BTreeMap;

use greenroom::entity::{Endpoint, Entity};
use rusqlite::types::Value;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    data::Row,
    support::{Picture, Rig, query},
};

/// The three places, in the order of the tables' columns.
const PLACES: [Place; 3] = [Place::First, Place::Middle, Place::Always];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    First,
    Middle,
    Always,
}

/// What a matrix did, to show that it did something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    faults: u32,
    cases: u32,
    injected: u32,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.faults += other.faults;
        self.cases += other.cases;
        self.injected += other.injected;
    }

    /// Prints the counts, and asserts that they are at least these.
    #[expect(clippy::print_stdout, reason = "the counts are for whoever runs the tests")]
    fn tell(self, what: &str, least: Self) {
        let Self { faults, cases, injected } = self;
        println!("fault matrix, {what}: {faults} faults, {cases} cases, {injected} injected");
        assert!(faults >= least.faults && cases >= least.cases && injected >= least.injected, "at least {least:?}");
    }
}

/// What must not change unless a run publishes: all that visitors see, and the backups beside it.
#[derive(Debug, PartialEq)]
struct Live {
    picture: Picture,
    backups: BTreeMap<Entity, Vec<Row>>,
}

impl Live {
    fn of(rig: &Rig) -> Self {
        let reader = rig.reader();
        let backup = |entity: Entity| {
            let sql = format!("SELECT backupVersion FROM sync_metadata WHERE entityName = '{entity}'");
            match query(&reader, &sql).concat().as_slice() {
                [Value::Integer(version @ (1 | 2))] => {
                    query(&reader, &format!("SELECT * FROM {entity}_v{version} ORDER BY rowid"))
                }
                _ => Vec::new(),
            }
        };
        let backups = Entity::ALL.into_iter().map(|entity| (entity, backup(entity))).collect();
        Self { picture: rig.picture(), backups }
    }

    /// The live rows of `entity`.
    fn rows(&self, entity: Entity) -> Vec<Row> {
        // The picture has the type after each value.
        self.picture.views[&entity].1.iter().map(|row| row.iter().step_by(2).cloned().collect()).collect()
    }
}

/// Numbers of the snapshots that are kept of each endpoint, and of the rows that hold them.
fn kept(rig: &Rig) -> [[Vec<Row>; 2]; Endpoint::ALL.len()] {
    let reader = rig.reader();
    Endpoint::ALL.map(|endpoint| {
        let rows = format!("SELECT id FROM {}_json ORDER BY id", endpoint.entities()[0]);
        let snapshots = format!("SELECT id FROM sync_snapshots WHERE endpoint = '{endpoint}' ORDER BY id");
        [snapshots, rows].map(|sql| query(&reader, &sql))
    })
}

/// Runs all of them, some at the same time.
async fn all<F: Future<Output = Tally> + Send + 'static>(chains: impl IntoIterator<Item = F>) -> Tally {
    let slots = std::sync::Arc::new(Semaphore::new(8));
    let mut running = JoinSet::new();
    for chain in chains {
        let slots = slots.clone();
        running.spawn(async move {
            let _slot = slots.acquire().await.unwrap();
            chain.await
        });
    }
    let (mut tally, mut broken) = (Tally::default(), 0);
    while let Some(ended) = running.join_next().await {
        // What broke has told so itself.
        ended.map_or_else(|_| broken += 1, |chain| tally.add(chain));
    }
    assert_eq!(broken, 0, "chains that ended early");
    tally
}
