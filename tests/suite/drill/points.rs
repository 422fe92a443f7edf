//! Every named point of a run, a rollback, a cleanup and a migration, at which the process dies or something goes wrong.
//!
//! What must be live then is stated for each: [`side`].

use std::{collections::BTreeMap, path::PathBuf, thread, time::Instant};

use greenroom::failpoint::Failpoint;
use rustix::process::Signal;
use tokio::runtime::Handle;

use super::{
    kinds::{self, Kind},
    place::Ended,
    site::{Outcome, Site},
    state::{Look, Phase},
};

/// Sites that are worked at at the same time.
const WORKERS: usize = 2;

/// What is live once a point was reached and no further: what was live before, or what was to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Before,
    After,
}

/// What a point is reached by, at which of its times it is tried, and what is live then.
fn side(point: Failpoint) -> (Kind, &'static [u32], Side) {
    use Failpoint as P;
    use Side::{After, Before};
    match point {
        // One migration after the other.
        P::MigrateApplied => (Kind::FirstStart, &[1, 3], Before),
        P::MigrateVersioned | P::MigrateCommitted => (Kind::FirstStart, &[1], Before),
        // A long body has more than one part.
        P::StagePart | P::StagePartCommitted => (Kind::Sync, &[1, 2], Before),
        // Nine bodies.
        P::StageBody | P::StageCommitted => (Kind::Sync, &[5, 9], Before),
        // Ten entities, of nine endpoints.
        P::LoadOpened | P::LoadSealed => (Kind::Sync, &[5, 10], Before),
        P::LoadRows | P::LoadRowsCommitted => (Kind::Sync, &[3, 9], Before),
        P::LoadIndex => (Kind::Sync, &[1, 9], Before),
        P::RecoverMarked
        | P::BeginCleared
        | P::BeginRecorded
        | P::BeginCommitted
        | P::PublishLocked
        | P::PublishChecked
        | P::PublishRecorded
        | P::PublishWritten => (Kind::Sync, &[1], Before),
        P::PublishPutAside | P::PublishRenamed | P::PublishViewed | P::PublishMetadata | P::PublishSwitched => {
            (Kind::Sync, &[1, 5, 10], Before)
        }
        P::PublishCommitted | P::EndCleared | P::EndPruned | P::EndWritten | P::EndCommitted | P::EndCheckpointed => {
            (Kind::Sync, &[1], After)
        }
        P::RollbackChecked | P::RollbackWritten => (Kind::Rollback, &[1], Before),
        P::RollbackSwitched => (Kind::Rollback, &[1, 5, 10], Before),
        P::RollbackCommitted => (Kind::Rollback, &[1], After),
        // A cleanup switches nothing.
        P::CleanupCleared | P::CleanupPruned | P::CleanupVacuumed => (Kind::Cleanup, &[1], Before),
        // No command of a drill comes here: `terminal_others` does, and `adoption`, `release` and `app_migration`, which let the
        // process die there, as they need a database of another layout.
        P::ConsoleDraw
        | P::AdoptLogged
        | P::AdoptRecorded
        | P::AdoptRepaired
        | P::AdoptWritten
        | P::AdoptCommitted
        | P::ReleaseNamed
        | P::ReleaseJoined
        | P::ReleaseWritten
        | P::ReleaseCommitted
        | P::AppAnnounced
        | P::AppCopied
        | P::AppSwitched
        | P::AppOpened
        | P::AppClosing
        | P::AppClosed
        | P::AppScript
        | P::AppScriptsCommitted => (Kind::Sync, &[], Before),
    }
}

/// A point that is reached by a command for the so-and-so-many-th time, and what is live then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) point: Failpoint,
    pub(super) time: u32,
    pub(super) kind: Kind,
    pub(super) side: Side,
    /// Whether it is the one time that is neither the first nor the last, as far as there is one.
    pub(super) is_midway: bool,
}

/// All points at their times, and some of them reached in other ways, too.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for point in Failpoint::ALL.iter().copied() {
        let (kind, times, side) = side(point);
        let midway = times.get(times.len().saturating_sub(1) / 2);
        let case = |time: &u32| Case { point, time: *time, kind, side, is_midway: Some(time) == midway };
        cases.extend(times.iter().map(case));
    }
    for case in cases.clone() {
        let kinds: &[Kind] = match (case.point, case.time) {
            (Failpoint::PublishRenamed, 5) | (Failpoint::PublishCommitted | Failpoint::PublishWritten, _) => {
                &[Kind::Publish, Kind::GoBack]
            }
            (Failpoint::MigrateApplied, 1) | (Failpoint::MigrateVersioned | Failpoint::MigrateCommitted, _) => {
                &[Kind::Upgrade]
            }
            _ => &[],
        };
        cases.extend(kinds.iter().map(|kind| Case { kind: *kind, ..case }));
    }
    cases
}

/// Does `work` with each of `cases`, some at the same time.
pub(super) fn share<C: Sync, T: Send>(cases: &[C], work: impl Fn(&mut Site, &C) -> T + Sync) -> Vec<T> {
    let (runtime, work) = (Handle::current(), &work);
    let share = |number: usize, runtime: &Handle| {
        let mut site = Site::new(number as u64, runtime);
        cases.iter().skip(number).step_by(WORKERS).map(|case| work(&mut site, case)).collect::<Vec<_>>()
    };
    let (share, runtime) = (&share, &runtime);
    tokio::task::block_in_place(|| {
        thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS).map(|number| scope.spawn(move || share(number, runtime))).collect();
            workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
        })
    })
}

/// Lets `fault` happen to `case`, and looks at what it left. What the process told is judged by the caller.
pub(super) fn happen(site: &mut Site, case: Case, fault: &str) -> (PathBuf, Look, Ended, Outcome) {
    let Case { point, time, kind, .. } = case;
    let is_long = matches!(point, Failpoint::StagePart | Failpoint::StagePartCommitted);
    if is_long || kind == Kind::Sync {
        site.sent.is_long = is_long;
        site.sent.renew(&site.place);
    }
    let path = site.path(kind);
    let (before, plan) = site.prepare(kind, &path);
    let mut arguments: Vec<_> = plan.arguments.iter().map(String::as_str).collect();
    if let Some(last) = arguments.iter_mut().find(|argument| **argument == "--json-lines") {
        *last = "--json";
    }
    if fault == "full" {
        site.tighten();
    }
    let ended = site.place.start_on(&path, &arguments, Some(&format!("{point}={fault}@{time}"))).end();
    let outcome = Site::check(kind, &path, &before, &plan, &ended);
    if kind == Kind::Upgrade {
        let is_new = outcome.after.version > before.version;
        assert_eq!(is_new, point == Failpoint::MigrateCommitted, "{case:?}");
    }
    (path, before, ended, outcome)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_at_any_named_point_leaves_what_was_or_what_was_to_be() {
    let begun = Instant::now();
    let cases = cases();
    let phases = share(&cases, |site, case| {
        let (path, before, ended, outcome) = happen(site, *case, "abort");
        assert!(ended.died_by(Signal::ABORT), "{case:?} was not reached: {ended:?}");
        assert_eq!(outcome.is_done, case.side == Side::After, "{case:?}: {ended:?}");
        let phase = kinds::phase(case.kind, &path, &before, &outcome.after);
        site.sent.is_long = false;
        site.recover(&path, std::slice::from_ref(&outcome.after));
        phase
    });
    let mut counts: BTreeMap<Phase, usize> = BTreeMap::new();
    for phase in phases {
        *counts.entry(phase).or_default() += 1;
    }
    for (phase, count) in &counts {
        println!("{phase:20} {count:4}");
    }
    let points: std::collections::BTreeSet<_> = cases.iter().map(|case| case.point.name()).collect();
    println!("{} aborts at {} named points, {:.1?}", cases.len(), points.len(), begun.elapsed());
    assert!(Failpoint::ALL.len() >= 38 && cases.len() > Failpoint::ALL.len());
}
