//! One console at work for a long time, with a source that fails now and then: what it takes of the machine stays bounded.
//!
//! `GREENROOM_SOAK_MINUTES` makes it go on for so long, with a sync every two seconds, `GREENROOM_SOAK_RUNS` for so many
//! without a pause; `GREENROOM_DRILL_SEED` makes the faults others.

use std::{
    fmt, fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use greenroom::entity::Endpoint;
use tokio::runtime::Handle;

use super::{
    place::Place,
    state::{Look, number, reader},
};
use crate::{
    data::Data,
    fake_blue::{Fault, When},
    invariants,
    pty::Session,
    support::setting,
};

/// Runs, at least.
const RUNS: u64 = 25;

/// From one sync to the next.
const PAUSE: Duration = Duration::from_secs(2);

/// Requests of a hundred that fail.
const FAULTS: u8 = 5;

/// Publishes between two rollbacks.
const BETWEEN_ROLLBACKS: u32 = 7;

/// Attempts at an endpoint in a run.
const ATTEMPTS: u32 = 3;

/// What the process and its files take.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    memory_kib: u64,
    descriptors: u64,
    threads: u64,
    log_bytes: u64,
    file_bytes: u64,
}

/// What is never too much. A debug build of the console takes some 30 MiB, 20 descriptors and 10 threads on two cores; a slow
/// machine may have more of a run's threads at the same time, each with its arena of the allocator and a connection. Threads
/// of the runtime, one a core, come on top. Each run truncates the log; what it writes meanwhile is well under 4 MiB.
const MOST: Figures = Figures {
    memory_kib: 80 * 1024,
    descriptors: 48,
    threads: 40,
    log_bytes: 4 * 1024 * 1024,
    file_bytes: 24 * 1024 * 1024,
};

/// What may be added from the middle to the end: the difference between two moments, not a growth.
const MARGIN: Figures =
    Figures { memory_kib: 8 * 1024, descriptors: 12, threads: 12, log_bytes: 1024 * 1024, file_bytes: 256 * 1024 };

/// Bytes that the record of a run takes in the file. The newest 200 are kept, so that this ends.
const RECORD: u64 = 30 * 1024;
const RECORDS_KEPT: u64 = 200;

/// Bytes that a publication takes; all are kept, as ways back lead through them.
const PUBLICATION: u64 = 3 * 1024;

impl Figures {
    fn of(pid: rustix::process::Pid, database: &Path) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let figure = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
        };
        let bytes = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
        Self {
            memory_kib: figure("VmRSS:"),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64,
            threads: figure("Threads:"),
            log_bytes: bytes(&database.with_extension("db-wal")),
            file_bytes: bytes(database),
        }
    }

    fn each(self) -> [(&'static str, u64); 5] {
        [
            ("memory in KiB", self.memory_kib),
            ("descriptors", self.descriptors),
            ("threads", self.threads),
            ("bytes of the log", self.log_bytes),
            ("bytes of the file", self.file_bytes),
        ]
    }

    /// The highest of each.
    fn highest(figures: &[Self]) -> Self {
        let highest = |of: fn(&Self) -> u64| figures.iter().map(of).max().unwrap();
        Self {
            memory_kib: highest(|one| one.memory_kib),
            descriptors: highest(|one| one.descriptors),
            threads: highest(|one| one.threads),
            log_bytes: highest(|one| one.log_bytes),
            file_bytes: highest(|one| one.file_bytes),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory_kib, descriptors, threads, log_bytes, file_bytes } = self;
        write!(
            formatter,
            "{memory_kib} KiB, {descriptors} descriptors, {threads} threads, log {log_bytes} B, file {file_bytes} B"
        )
    }
}

/// The console, its source and what happened.
struct Soak {
    place: Place,
    session: Session,
    random: fastrand::Rng,
    run: i64,
    publishes: u32,
    failures: u32,
    rollbacks: u32,
    figures: Vec<Figures>,
}

impl Soak {
    fn begin(seed: u64, runtime: &Handle) -> Self {
        let place = Place::new(runtime);
        let (database, source) = (place.path.display().to_string(), place.blue.base().to_string());
        let session = Session::start(&[], &[("DATABASE_URL", &database), ("SOURCE_API_URL", &source)]);
        session.until_shows("starts one");
        let random = fastrand::Rng::with_seed(seed);
        Self { place, session, random, run: 0, publishes: 0, failures: 0, rollbacks: 0, figures: Vec::new() }
    }

    /// One more generation, of which some requests fail.
    fn sync(&mut self) {
        self.run += 1;
        self.place.blue.send(&Data::marked(self.run.unsigned_abs()));
        for endpoint in Endpoint::ALL {
            for attempt in 1..=ATTEMPTS {
                if self.random.u8(..100) < FAULTS {
                    let fault = self.fault();
                    self.place.blue.fault(endpoint, When::Attempt(attempt), fault);
                }
            }
        }
        self.session.press("s");
        let ends = ["published", "failed"].map(|outcome| format!("run {} {outcome}", self.run));
        self.session.until(&ends[0], |output| {
            let screen = output.screen.screen().contents();
            ends.iter().any(|end| screen.contains(end))
        });
        self.place.blue.behave();
        self.place.blue.forget();
        let outcome = format!("SELECT outcome = 'published' FROM sync_runs WHERE id = {}", self.run);
        match number(&reader(&self.place.path), &outcome) {
            Some(1) => self.publishes += 1,
            _ => self.failures += 1,
        }
        self.figures.push(Figures::of(self.session.pid(), &self.place.path));
    }

    /// Mostly what is worth another attempt.
    fn fault(&mut self) -> Fault {
        match self.random.u8(..8) {
            0 => Fault::status(404),
            1 => Fault::status(500),
            2 => Fault::status(503),
            3 => Fault::Refuse,
            4 => Fault::Reset,
            5 => Fault::ResetMidBody(100),
            6 => Fault::EarlyClose(100),
            _ => Fault::TruncatedChunk(100),
        }
    }

    /// Takes the newest publication back and lets runs publish again.
    fn roll_back(&mut self) {
        let before = Look::at(&self.place.path).state;
        self.session.press("r");
        self.session.until_shows("is taken back");
        self.session.press_until("Y", "restored");
        self.session.until_shows("H releases");
        self.session.press("H");
        self.session.until_shows("Y release it");
        self.session.press_until("Y", "the hold is released");
        let after = Look::at(&self.place.path).state;
        assert_eq!((after.live, after.backup, after.hold), (before.backup, before.live, false));
        self.rollbacks += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_that_syncs_for_long_takes_no_more_and_no_more() {
    let (minutes, runs) = (setting("GREENROOM_SOAK_MINUTES", 0), setting("GREENROOM_SOAK_RUNS", RUNS));
    // A seed of its own, with which there are faults.
    let seed = setting("GREENROOM_DRILL_SEED", 5);
    let (runtime, begun) = (Handle::current(), Instant::now());
    tokio::task::block_in_place(|| {
        let mut soak = Soak::begin(seed, &runtime);
        let (mut next, end) = (begun, begun + Duration::from_mins(minutes));
        while soak.run.unsigned_abs() < runs || Instant::now() < end {
            soak.sync();
            if soak.publishes / BETWEEN_ROLLBACKS > soak.rollbacks {
                soak.roll_back();
            }
            if minutes > 0 {
                next = Instant::now().max(next + PAUSE);
                thread::sleep(next - Instant::now());
            }
        }
        soak.session.press("q");
        assert_eq!(soak.session.end().exit_code(), 0);
        invariants::check(&reader(&soak.place.path));
        let figures = &soak.figures;
        let (warm, middle) = (figures.len() / 5, figures.len() * 3 / 5);
        println!("seed {seed}");
        for place in [0, warm, middle, figures.len() - 1] {
            println!("after run {:4}: {}", place + 1, figures[place]);
        }
        let injected = soak.place.blue.injected_in_all();
        println!(
            "{} runs, {} publishes, {} failures, {} rollbacks, {injected} faults injected, {:.1?}",
            soak.run,
            soak.publishes,
            soak.failures,
            soak.rollbacks,
            begun.elapsed()
        );
        assert!(injected > 0, "no fault was injected");
        assert!(soak.publishes > 10 && soak.rollbacks > 0);
        let (before, after) = (Figures::highest(&figures[warm..middle]), Figures::highest(&figures[middle..]));
        println!("highest before the middle: {before}\nhighest after it:          {after}");
        let more_runs = (figures.len() - middle) as u64;
        let records = RECORDS_KEPT.saturating_sub(middle as u64).min(more_runs) * RECORD + more_runs * PUBLICATION;
        let margins = Figures { file_bytes: MARGIN.file_bytes + records, ..MARGIN };
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
        let most = Figures { threads: MOST.threads + cores, ..MOST };
        let all = before.each().into_iter().zip(after.each()).zip(most.each()).zip(margins.each());
        for ((((name, before), (_, after)), (_, most)), (_, margin)) in all {
            assert!(before.max(after) <= most, "{name}: {before}, then {after}, at most {most}");
            assert!(after <= before + margin, "{name} grow: {before}, then {after}");
        }
    });
}
