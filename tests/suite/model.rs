//! Random sequences of all that can be done, compared after every step with a model that is simple enough to be right.
//!
//! `GREENROOM_MODEL_STEPS` makes each sequence longer, `GREENROOM_MODEL_SEED` begins it elsewhere.

mod oracle;
mod world;

use std::collections::BTreeMap;

use greenroom::{
    entity::{Endpoint, Entity},
    green::{HoldRule, RollbackOptions},
    guard::Acceptance,
    ops::{ReplayOptions, SyncOptions},
    report::{PublicationKind, Replay, RollbackTarget, RunId, RunOutcome, Trigger},
    sync::Scope,
};
use rusqlite::types::Value;

use self::{
    oracle::{Asked, Hold, Oracle, SetBy},
    world::Body,
};
use crate::{
    data::{Data, Row},
    fake_blue::{Fault, Knows, When},
    support::{Rig, query, setting},
};

/// Steps of each of the sequences that run beside each other.
const STEPS: usize = 500;

/// Steps between two looks at everything that must hold.
const BETWEEN_CHECKS: usize = 10;

/// Newest runs that a replay is tried of; all of them are kept.
const REPLAYED: usize = 40;

/// What a step does, told when it goes wrong.
#[derive(Debug)]
struct Told(Vec<String>);

impl Told {
    fn step(&mut self, text: String) {
        self.0.push(text);
    }
}

#[expect(clippy::print_stderr, reason = "how it came to a failure")]
impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let first = self.0.len().saturating_sub(12);
            for (place, step) in self.0.iter().enumerate().skip(first) {
                eprintln!("{place:5} {step}");
            }
        }
    }
}

struct Walk {
    rig: Rig,
    random: fastrand::Rng,
    source: BTreeMap<Endpoint, Body>,
    oracle: Oracle,
    told: Told,
    /// Outcomes and deeds met, so that a sequence that never reaches what it is for is found out.
    met: BTreeMap<String, usize>,
}

impl Walk {
    async fn begin(seed: u64) -> Self {
        let source: BTreeMap<_, _> = Endpoint::ALL.into_iter().map(|endpoint| (endpoint, Body::whole(0))).collect();
        let rig = Rig::new(&Data::small(0)).await;
        let random = fastrand::Rng::with_seed(seed);
        if seed.is_multiple_of(2) {
            rig.blue.know_by(Knows::Etag);
        }
        let told = Told(vec![format!("seed {seed}")]);
        Self { rig, random, source, oracle: Oracle::default(), told, met: BTreeMap::new() }
    }

    fn meet(&mut self, what: impl Into<String>) {
        *self.met.entry(what.into()).or_default() += 1;
    }

    async fn step(&mut self) {
        match self.random.u8(..100) {
            0..52 => self.sync().await,
            52..59 => self.roll_back_newest().await,
            59..63 => self.roll_back_publication().await,
            63..67 => self.roll_back_entities().await,
            67..81 => self.replay().await,
            81..86 => self.hold().await,
            86..93 => self.release().await,
            93..96 => self.cancelled().await,
            _ => self.clean_up().await,
        }
        self.compare();
    }

    /// The source changes in a few places, and a run of some kind goes over it.
    async fn sync(&mut self) {
        for _ in 0..self.random.u8(..3) {
            let endpoint = Endpoint::ALL[self.random.usize(..9)];
            let body = Body::random(&mut self.random, endpoint);
            self.source.insert(endpoint, body);
            self.rig.blue.send_body(endpoint, body.bytes(endpoint));
        }
        let scope =
            if self.random.u8(..4) == 0 { self.random.choose_multiple(Entity::ALL, 3) } else { Entity::ALL.to_vec() };
        let failing = (self.random.u8(..5) == 0).then(|| scope[self.random.usize(..scope.len())].endpoint());
        let asked = Asked {
            failing,
            force: self.random.u8(..15) == 0,
            partial: self.random.u8(..3) == 0,
            dry_run: self.random.u8(..8) == 0,
            accept_all: self.random.u8(..4) == 0,
            hold: if self.random.u8(..6) == 0 { Hold::Release } else { Hold::Obey },
            scope,
        };
        self.told.step(format!("sync of {:?}: {asked:?}", self.source));
        if let Some(endpoint) = failing {
            self.rig.blue.fault(endpoint, When::Always, Fault::status(404));
        }
        let injected = self.rig.blue.injected_in_all();
        let options = SyncOptions {
            requested: None,
            trigger: Trigger::Cli,
            scope: Scope::of(&asked.scope),
            force: asked.force,
            partial: asked.partial,
            dry_run: asked.dry_run,
            accept: accepted(asked.accept_all),
            hold: self.rule(asked.hold).await,
            expected: None,
        };
        let ran = self.rig.start_with(options).end().await.unwrap();
        self.rig.blue.behave();
        assert_eq!(self.rig.blue.injected_in_all() - injected, u32::from(failing.is_some()), "the fault happened");
        let expected = self.oracle.sync(&self.source, &asked);
        assert_eq!(ran.outcome(), expected, "{:?}", ran.report);
        self.check_run(ran.report.run.id);
        let partial = expected == RunOutcome::Published && failing.is_some();
        self.meet(if partial { "partial".to_owned() } else { format!("sync {expected}") });
    }

    /// Numbers of runs and publications only grow by one.
    fn check_run(&self, run: RunId) {
        assert_eq!(usize::try_from(run).unwrap(), self.oracle.runs.len());
    }

    async fn roll_back_newest(&mut self) {
        let newest = self.oracle.publications.len();
        let entities = self.oracle.entities_of(newest);
        let undoes_rollback =
            self.oracle.publications.last().is_some_and(|newest| newest.kind == PublicationKind::Rollback);
        if self.roll_back(RollbackTarget::Newest, Some(newest), entities).await && undoes_rollback {
            self.meet("undo");
        }
    }

    async fn roll_back_publication(&mut self) {
        let publication = self.random.usize(..=self.oracle.publications.len());
        let entities = self.oracle.entities_of(publication);
        let target = RollbackTarget::Publication(i64::try_from(publication).unwrap());
        self.roll_back(target, Some(publication), entities).await;
    }

    async fn roll_back_entities(&mut self) {
        let mut entities = self.random.choose_multiple(Entity::ALL, 2);
        entities.sort_unstable();
        self.roll_back(RollbackTarget::Entities(entities.clone()), None, Some(entities)).await;
    }

    /// Whether it could be done.
    async fn roll_back(
        &mut self,
        target: RollbackTarget,
        publication: Option<usize>,
        entities: Option<Vec<Entity>>,
    ) -> bool {
        let set_hold = self.random.bool();
        self.told.step(format!("rollback of {target:?}, hold {set_hold}"));
        let possible = entities.is_some_and(|entities| self.oracle.roll_back(publication, &entities, set_hold));
        let planned = self.rig.operations.plan_rollback(target).await;
        assert_eq!(planned.is_ok(), possible, "{planned:?}");
        if let Ok(plan) = planned {
            let options = RollbackOptions { set_hold, reason: None };
            let report = self.rig.operations.rollback(plan, options).await.unwrap();
            assert_eq!(usize::try_from(report.publication.id).unwrap(), self.oracle.publications.len());
        }
        self.meet(if possible { "rollback" } else { "rollback refused" });
        possible
    }

    async fn replay(&mut self) {
        let runs = self.oracle.runs.len();
        if runs == 0 {
            return;
        }
        let run = runs - 1 - self.random.usize(..runs.min(REPLAYED));
        let replay = match self.oracle.runs[run].outcome {
            RunOutcome::Held | RunOutcome::Prepared => Replay::Publish,
            _ => Replay::Rollback,
        };
        let hold = match replay {
            Replay::Publish if self.random.bool() => Hold::Release,
            Replay::Publish => Hold::Obey,
            Replay::Rollback if self.random.bool() => Hold::Set,
            Replay::Rollback => Hold::Ignore,
        };
        let asked = Asked {
            scope: Vec::new(),
            failing: None,
            force: false,
            partial: false,
            dry_run: self.random.u8(..3) == 0,
            accept_all: self.random.bool(),
            hold,
        };
        self.told.step(format!("{replay} of run {}: {asked:?}", run + 1));
        let options = ReplayOptions {
            run: i64::try_from(run + 1).unwrap(),
            replay,
            dry_run: asked.dry_run,
            accept: accepted(asked.accept_all),
            expected: None,
            hold: self.rule(hold).await,
        };
        match (self.oracle.replayed(run, replay), self.rig.start_replay(options).end().await) {
            (Some(bodies), Ok(ran)) => {
                let expected = self.oracle.replay(bodies, replay, &asked);
                assert_eq!(ran.outcome(), expected, "{:?}", ran.report);
                self.check_run(ran.report.run.id);
                self.meet(format!("{replay} {expected}"));
            }
            (None, Err(_)) => self.meet(format!("{replay} refused")),
            (None, Ok(ran)) => panic!("{:?}", ran.report),
            (Some(_), Err(error)) => panic!("{error}"),
        }
    }

    async fn rule(&self, hold: Hold) -> HoldRule {
        match hold {
            Hold::Obey => HoldRule::Obey,
            Hold::Release => {
                let shown = self.rig.operations.status().await.unwrap().hold;
                shown.map_or(HoldRule::Obey, |hold| HoldRule::Release(Box::new(hold)))
            }
            Hold::Set => HoldRule::Set("by the test".to_owned()),
            Hold::Ignore => HoldRule::Ignore,
        }
    }

    async fn hold(&mut self) {
        self.told.step("hold".to_owned());
        let changed = self.rig.operations.hold("by the test".to_owned()).await.unwrap().changed;
        assert_eq!(changed, self.oracle.set_hold());
        self.meet("hold");
    }

    async fn release(&mut self) {
        self.told.step("release".to_owned());
        let changed = self.rig.operations.release(None).await.unwrap().changed;
        assert_eq!(changed, self.oracle.hold.take().is_some());
        self.meet("release");
    }

    async fn cancelled(&mut self) {
        self.told.step("sync, cancelled".to_owned());
        let running = self.rig.start_cancelled();
        assert_eq!(running.end().await.unwrap().outcome(), RunOutcome::Cancelled);
        self.oracle.cancelled();
        self.meet("cancelled");
    }

    async fn clean_up(&mut self) {
        self.told.step("cleanup".to_owned());
        self.rig.operations.cleanup().await.unwrap();
        self.oracle.prune();
        self.meet("cleanup");
    }

    /// Views, backups, metadata, snapshots, publications and the hold are what the model says.
    fn compare(&self) {
        let mut connection = self.rig.reader();
        let transaction = connection.transaction().unwrap();
        for entity in Entity::ALL {
            let versions = self.oracle.of(entity);
            let rows = |table: &str| query(&transaction, &format!("SELECT * FROM {table}"));
            let live = rows(&format!("{entity}_current"));
            assert_eq!(live, Oracle::rows(versions.active, entity), "what visitors see of {entity}");
            if let Some(backup) = versions.backup {
                let kept = rows(&format!("{entity}_v{}", backup.version));
                assert_eq!(kept, Oracle::rows(Some(backup), entity), "backup of {entity}");
            }
            let metadata =
                format!("SELECT activeVersion, backupVersion FROM sync_metadata WHERE entityName = '{entity}'");
            let number = |made: Option<oracle::Made>| Value::Integer(made.map_or(0, |made| made.version));
            let expected: Vec<Row> =
                versions.active.iter().map(|_| vec![number(versions.active), number(versions.backup)]).collect();
            assert_eq!(query(&transaction, &metadata), expected, "versions of {entity}");
        }
        for endpoint in Endpoint::ALL {
            let sql = format!("SELECT hash FROM sync_snapshots WHERE endpoint = '{}' ORDER BY id", endpoint.key());
            let hash = |body: Body| {
                let hash = blake3::hash(&body.bytes(endpoint));
                vec![Value::Text(hash.to_hex().to_string())]
            };
            let expected: Vec<Row> = self.oracle.kept(endpoint).into_iter().map(hash).collect();
            assert_eq!(query(&transaction, &sql), expected, "snapshots of {endpoint}");
        }
        let newest = "SELECT id, kind, undoes FROM sync_publications ORDER BY id DESC LIMIT 1";
        let optional =
            |number: Option<usize>| number.map_or(Value::Null, |id| Value::Integer(i64::try_from(id).unwrap()));
        let expected = self.oracle.publications.last().map(|publication| {
            let id = optional(Some(self.oracle.publications.len()));
            vec![id, Value::Text(publication.kind.word().to_owned()), optional(publication.undoes)]
        });
        assert_eq!(query(&transaction, newest), expected.into_iter().collect::<Vec<_>>(), "newest publication");
        let hold = query(&transaction, "SELECT publication FROM sync_holds WHERE released_at IS NULL");
        let expected = self.oracle.hold.map(|set_by| match set_by {
            SetBy::Hand => vec![Value::Null],
            SetBy::Publication(id) => vec![optional(Some(id))],
        });
        assert_eq!(hold, expected.into_iter().collect::<Vec<_>>(), "hold");
    }
}

fn accepted(all: bool) -> Vec<Acceptance> {
    if all { vec![Acceptance::All] } else { Vec::new() }
}

/// All that a sequence is for.
const MUST_BE_MET: [&str; 17] = [
    "sync published",
    "sync unchanged",
    "sync held",
    "sync failed",
    "sync prepared",
    "partial",
    "rollback",
    "rollback refused",
    "undo",
    "publish published",
    "publish refused",
    "publish held",
    "rollback published",
    "hold",
    "release",
    "cancelled",
    "cleanup",
];

#[expect(clippy::print_stdout, reason = "the counts of a drill")]
async fn walk(number: u64) {
    let seed = setting("GREENROOM_MODEL_SEED", 1) * 100 + number;
    let steps = usize::try_from(setting("GREENROOM_MODEL_STEPS", STEPS as u64)).unwrap();
    let mut walk = Walk::begin(seed).await;
    for step in 1..=steps {
        walk.step().await;
        if step % BETWEEN_CHECKS == 0 {
            walk.rig.check();
        }
    }
    println!("seed {seed}, {steps} steps: {:?}", walk.met);
    if steps >= STEPS {
        let missed: Vec<_> = MUST_BE_MET.iter().filter(|what| !walk.met.contains_key(**what)).collect();
        assert!(missed.is_empty(), "never met: {missed:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_agrees_with_the_model_1() {
    walk(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_agrees_with_the_model_2() {
    walk(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_agrees_with_the_model_3() {
    walk(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_agrees_with_the_model_4() {
    walk(4).await;
}
