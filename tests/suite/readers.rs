//! Visitors that read without pause and without patience while versions are switched under them.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use greenroom::{
    entity::Entity,
    report::{RollbackTarget, RunOutcome},
};
use rusqlite::{CachedStatement, Connection, OpenFlags};

use crate::{
    data::{Data, generations},
    support::{NO_HOLD, Rig, setting},
};

/// Publishes and rollbacks, at least; `GREENROOM_DRILL_SWITCHES` makes them more.
const SWITCHES: u64 = 200;

/// Readers at the same time.
const READERS: usize = 16;

/// What a reader leaves of the processor between two looks, so that there is something to see on a small machine.
const BREATH: Duration = Duration::from_millis(30);

/// How a reader reads.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Statements that were prepared once.
    Prepared,
    /// A statement prepared for each query.
    Preparing,
    /// One statement over all views, outside of a transaction.
    OneStatement,
}

/// What a reader came to.
#[derive(Clone, Debug, Default)]
struct Tally {
    transactions: u64,
    /// Generations in the order in which they were seen, each change once.
    seen: Vec<u64>,
}

/// Where readers and the writer meet: the newest generation that each reader has seen.
#[derive(Default)]
struct Board {
    seen: Mutex<Vec<(u64, u64)>>,
    changed: Condvar,
    done: AtomicBool,
    /// A reader saw what it must not see.
    failed: AtomicBool,
}

/// Tells of a reader that panics, so that nobody waits for it.
struct Alarm(Arc<Board>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.failed.store(true, Ordering::Release);
            drop(self.0.seen.lock());
            self.0.changed.notify_all();
        }
    }
}

fn select(entity: Entity) -> String {
    generations(entity, &format!("{entity}_current"))
}

fn read(statement: &mut rusqlite::Statement<'_>) -> (u64, u64, u64) {
    statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap()
}

/// Reads all views at one moment; the generation that all of them are of.
fn look(connection: &mut Connection, kind: Kind, rows: &[u64]) -> u64 {
    let mut found = Vec::new();
    if kind == Kind::OneStatement {
        let all: Vec<_> = Entity::ALL.into_iter().map(select).collect();
        let mut statement = connection.prepare_cached(&all.join(" UNION ALL ")).unwrap();
        let answers = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        found.extend(answers.map(Result::unwrap));
    } else {
        let transaction = connection.transaction().unwrap();
        for entity in Entity::ALL {
            let mut cached: CachedStatement<'_> = transaction.prepare_cached(&select(entity)).unwrap();
            if kind == Kind::Preparing {
                cached.discard();
                found.push(read(&mut transaction.prepare(&select(entity)).unwrap()));
            } else {
                found.push(read(&mut cached));
            }
        }
        let versions = "SELECT min(activeVersion), max(activeVersion) FROM sync_metadata";
        let active: (u64, u64) = transaction.query_row(versions, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(active.0, active.1, "versions of two publications at one moment");
    }
    let generation = found[0].1;
    for ((entity, (count, least, greatest)), rows) in Entity::ALL.into_iter().zip(found).zip(rows) {
        assert_eq!((count, least, greatest), (*rows, generation, generation), "{kind:?} of {entity}");
    }
    generation
}

fn reader(rig: &Rig, board: &Arc<Board>, place: usize, kind: Kind, rows: Vec<u64>) -> thread::JoinHandle<Tally> {
    let (path, board) = (rig.path.clone(), board.clone());
    thread::spawn(move || {
        let _alarm = Alarm(board.clone());
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).unwrap();
        connection.busy_timeout(Duration::ZERO).unwrap();
        let mut tally = Tally::default();
        while !board.done.load(Ordering::Acquire) {
            let generation = look(&mut connection, kind, &rows);
            tally.transactions += 1;
            if tally.seen.last() != Some(&generation) {
                tally.seen.push(generation);
            }
            let mut seen = board.seen.lock().unwrap();
            seen[place] = (generation, tally.transactions);
            board.changed.notify_all();
            drop(seen);
            thread::sleep(BREATH);
        }
        tally
    })
}

/// Waits until each reader has seen `generation`.
fn until_all_saw(board: &Board, generation: u64) {
    let seen = board.seen.lock().unwrap();
    let limit = Duration::from_mins(2);
    let failed = || board.failed.load(Ordering::Acquire);
    let behind = |seen: &mut Vec<(u64, u64)>| !failed() && seen.iter().any(|(newest, _)| *newest != generation);
    let (seen, waited) = board.changed.wait_timeout_while(seen, limit, behind).unwrap();
    assert!(!failed(), "a reader failed, see above");
    assert!(!waited.timed_out(), "not every reader saw generation {generation}: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn see_one_generation_at_a_time_while_versions_are_switched() {
    let rig = Rig::new(&Data::marked(1)).await;
    rig.publish().await;
    let rows: Vec<_> = Entity::ALL.into_iter().map(|entity| Data::marked(1).rows(entity).len() as u64).collect();
    assert!(rows.iter().all(|rows| *rows > 0));
    let switches = usize::try_from(setting("GREENROOM_DRILL_SWITCHES", SWITCHES)).unwrap();
    let begun = Instant::now();
    let kinds = [Kind::Prepared, Kind::Preparing, Kind::OneStatement, Kind::Prepared];
    let kinds: Vec<_> = kinds.into_iter().cycle().take(READERS).collect();
    let board = Arc::new(Board { seen: Mutex::new(vec![(0, 0); kinds.len()]), ..Board::default() });
    let readers: Vec<_> =
        kinds.iter().enumerate().map(|(place, kind)| reader(&rig, &board, place, *kind, rows.clone())).collect();
    let (mut publishes, mut rollbacks, mut newest) = (1, 0, 1);
    while publishes + rollbacks < switches {
        if publishes % 2 == 0 {
            // There and back again, and once more.
            for expected in [newest - 1, newest, newest - 1, newest] {
                let plan = rig.operations.plan_rollback(RollbackTarget::Newest).await.unwrap();
                rig.operations.rollback(plan, NO_HOLD).await.unwrap();
                rollbacks += 1;
                tokio::task::block_in_place(|| until_all_saw(&board, expected));
            }
        }
        newest += 1;
        rig.blue.send(&Data::marked(newest));
        rig.blue.forget();
        let ran = rig.start().end().await.unwrap();
        assert_eq!(ran.outcome(), RunOutcome::Published, "{:?}", ran.report.run.error);
        publishes += 1;
        tokio::task::block_in_place(|| until_all_saw(&board, newest));
    }
    board.done.store(true, Ordering::Release);
    let tallies: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
    rig.check();
    rig.assert_views(&Data::marked(newest));
    for (kind, tally) in kinds.iter().zip(&tallies) {
        // Each waited for, so each was seen by each: every publish and every rollback.
        assert!(tally.seen.len() >= switches, "{kind:?} saw {:?}", tally.seen);
        assert!(tally.transactions >= switches as u64, "{kind:?}");
    }
    let transactions: u64 = tallies.iter().map(|tally| tally.transactions).sum();
    println!(
        "{publishes} publishes, {rollbacks} rollbacks, {transactions} reads by {} readers, {:.1?}",
        tallies.len(),
        begun.elapsed()
    );
}
