//! `kill -9` at any moment of anything that writes.
//!
//! `GREENROOM_DRILL_KILLS` sets how many there are at least, `GREENROOM_DRILL_SEED` makes the moments others.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tokio::runtime::Handle;

use super::{
    kinds::{self, Kind},
    place::{Ended, Started},
    site::{Outcome, Site},
    state::{Look, Phase},
};
use crate::support::setting;

/// Kills of a process that had not ended by itself, at least.
const KILLS: u64 = 300;

/// Databases that are worked on at the same time.
const WORKERS: u64 = 3;

/// Kills between two syncs that must put everything right.
const BURST: usize = 5;

/// What is done by turns; half of it are syncs and replays, which have most phases.
const TURNS: [Kind; 8] = [
    Kind::Sync,
    Kind::Rollback,
    Kind::Publish,
    Kind::FirstStart,
    Kind::Sync,
    Kind::Cleanup,
    Kind::GoBack,
    Kind::Upgrade,
];

/// What was done, counted.
#[derive(Debug, Default)]
struct Tally {
    kills: BTreeMap<(Kind, Phase), u64>,
    /// Processes that had ended before they were killed.
    too_late: u64,
    /// Publishes and rollbacks that were told of before the kill, and are there.
    acknowledged: u64,
    recovered: u64,
}

/// Kills one process after another at a site of its own.
struct Worker {
    site: Site,
    /// How long each takes when it is left alone.
    durations: BTreeMap<Kind, Duration>,
    /// Lines that a sync prints.
    lines: usize,
    tally: Tally,
}

impl Worker {
    fn new(seed: u64, runtime: &Handle) -> Self {
        Self { site: Site::new(seed, runtime), durations: BTreeMap::new(), lines: 0, tally: Tally::default() }
    }

    /// Kills `kind` a few times, and lets a sync put things right.
    fn burst(&mut self, kind: Kind, killed: &AtomicU64) {
        let mut path = self.site.path(kind);
        let mut looks = Vec::new();
        let mut kills = 0;
        for _ in 0..BURST * 3 {
            looks.push(self.strike(kind, &path, killed, &mut kills));
            if kills >= BURST {
                break;
            }
            // What was begun once may be gone on with, or not.
            if kind.is_on_another() && self.site.random.bool() {
                self.recover(&path, &looks);
                looks.clear();
                path = self.site.path(kind);
            }
        }
        self.recover(&path, &looks);
    }

    fn recover(&mut self, path: &Path, looks: &[Look]) {
        self.site.recover(path, looks);
        self.tally.recovered += 1;
    }

    /// Does `kind` once and kills it, unless nobody knows yet how long it takes.
    fn strike(&mut self, kind: Kind, path: &Path, killed: &AtomicU64, kills: &mut usize) -> Look {
        let (before, plan) = self.site.prepare(kind, path);
        let arguments: Vec<_> = plan.arguments.iter().map(String::as_str).collect();
        let started = self.site.place.start_on(path, &arguments, None);
        let ended = match self.durations.get(&kind).copied() {
            None => self.measure(kind, started),
            Some(took) => self.kill(kind, started, took),
        };
        let Outcome { after, is_done } = Site::check(kind, path, &before, &plan, &ended);
        if ended.died_by(Signal::KILL) {
            *kills += 1;
            killed.fetch_add(1, Ordering::Relaxed);
            *self.tally.kills.entry((kind, kinds::phase(kind, path, &before, &after))).or_default() += 1;
            self.tally.acknowledged += u64::from(is_done && ended.acknowledged());
        } else {
            assert_eq!(ended.status.code(), Some(0), "{kind}: {ended:?}");
            assert!(is_done || plan.after.is_none(), "{kind} did nothing: {ended:?}");
            self.tally.too_late += 1;
        }
        after
    }

    fn measure(&mut self, kind: Kind, mut started: Started) -> Ended {
        let mut first_line = None;
        let begun = Instant::now();
        while started.line(begun + Duration::from_mins(2)).is_ok() {
            first_line.get_or_insert_with(|| begun.elapsed());
        }
        let ended = started.end();
        // All that is new in a first start is over when its run begins.
        let took = if kind == Kind::FirstStart { first_line.unwrap() } else { ended.took };
        self.durations.insert(kind, took);
        if kind == Kind::Sync {
            self.lines = ended.stdout.len();
        }
        ended
    }

    /// Kills what was started, at some moment or shortly after something it told.
    fn kill(&mut self, kind: Kind, mut started: Started, took: Duration) -> Ended {
        let moment = if kind == Kind::Sync && self.site.random.bool() {
            let deadline = Instant::now() + Duration::from_mins(2);
            if self.site.random.bool() {
                // The end is short and worth more visits than its time would give it.
                while started.line(deadline).is_ok_and(|line| !line.contains("\"event\":\"published\"")) {}
                Instant::now() + Duration::from_micros(self.site.random.u64(..3_000))
            } else {
                let wanted = self.site.random.usize(..self.lines);
                while started.line(deadline).is_ok() && started.lines_so_far() < wanted {}
                Instant::now() + Duration::from_micros(self.site.random.u64(..5_000))
            }
        } else {
            let part = match kind {
                Kind::FirstStart => self.site.random.f64() * 1.3,
                // What is committed is so near the end.
                _ if self.site.random.bool() => self.site.random.f64().mul_add(0.45, 0.6),
                _ => self.site.random.f64() * 1.05,
            };
            if part > 1.0 && kind != Kind::FirstStart {
                // Whether this kill is in time says whether it takes as long as was thought.
                self.durations.insert(kind, took.mul_f64(1.05));
            }
            Instant::now() + took.mul_f64(part)
        };
        started.until(moment);
        started.signal(Signal::KILL);
        let ended = started.end();
        if !ended.died_by(Signal::KILL) && kind != Kind::FirstStart {
            self.durations.insert(kind, (took + ended.took) / 2);
        }
        ended
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_leaves_one_whole_publication() {
    let (wanted, seed) = (setting("GREENROOM_DRILL_KILLS", KILLS), setting("GREENROOM_DRILL_SEED", fastrand::u64(..)));
    println!("seed {seed}");
    let (runtime, begun) = (Handle::current(), Instant::now());
    let tallies = tokio::task::block_in_place(|| {
        let killed = AtomicU64::new(0);
        let work = |number: u64| {
            let mut worker = Worker::new(seed.wrapping_add(number), &runtime);
            let first = usize::try_from(number).unwrap() * 3;
            for kind in TURNS.iter().cycle().skip(first) {
                if killed.load(Ordering::Relaxed) >= wanted {
                    break;
                }
                worker.burst(*kind, &killed);
            }
            worker.tally
        };
        let work = &work;
        thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS).map(|number| scope.spawn(move || work(number))).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
        })
    });
    let mut kills: BTreeMap<(Kind, Phase), u64> = BTreeMap::new();
    for (place, count) in tallies.iter().flat_map(|tally| &tally.kills) {
        *kills.entry(*place).or_default() += count;
    }
    let sum = |figure: fn(&Tally) -> u64| tallies.iter().map(figure).sum::<u64>();
    let total: u64 = kills.values().sum();
    for ((kind, phase), count) in &kills {
        println!("{kind:18} {phase:20} {count:6}");
    }
    println!(
        "{total} kills, {} processes that had ended before, {} publications acknowledged before the kill, {} recoveries, {:.1?}",
        sum(|tally| tally.too_late),
        sum(|tally| tally.acknowledged),
        sum(|tally| tally.recovered),
        begun.elapsed()
    );
    assert!(total >= wanted, "not enough processes were killed");
    for kind in Kind::ALL {
        let of_kind: u64 = kills.iter().filter(|((one, _), _)| *one == kind).map(|(_, count)| count).sum();
        assert!(of_kind >= wanted / 30, "{kind} was killed {of_kind} times");
    }
    for phase in [Phase::NoRun, Phase::Begun, Phase::Staged, Phase::Loading, Phase::Published] {
        assert!(kills.keys().any(|(_, one)| *one == phase), "nothing was killed when {phase}");
    }
}
