//! A run that is stopped and woken while others go on: it must not publish over what they did.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::runtime::Handle;

use super::{
    place::{Ended, Started},
    site::Site,
    state::{Look, Phase, State},
};
use crate::invariants;

/// A sync of a new generation that was stopped at `point`.
fn asleep(site: &mut Site, point: &str) -> Started {
    site.sent.renew(&site.place);
    let started = site.place.start_with(&format!("{point}=stop"), &["sync", "--json"]);
    started.until_stopped();
    started
}

/// What others do meanwhile, and how the run ends then.
struct Meanwhile {
    arguments: &'static [&'static str],
    status: i32,
    outcome: &'static str,
    words: &'static str,
}

/// What stops a run that is only just before its publish.
const MEANWHILE: [Meanwhile; 4] = [
    Meanwhile { arguments: &["rollback", "--yes", "--json"], status: 3, outcome: "held", words: "held by" },
    Meanwhile { arguments: &["hold", "--json"], status: 3, outcome: "held", words: "held by" },
    // The hold is gone again when it is looked for, the publication is not.
    Meanwhile {
        arguments: &["rollback", "--yes", "--no-hold", "--json"],
        status: 1,
        outcome: "failed",
        words: "the live version changed meanwhile",
    },
    Meanwhile {
        arguments: &["rollback", "boards", "boardstalents", "boardsportfolios", "--yes", "--no-hold", "--json"],
        status: 1,
        outcome: "failed",
        words: "the live version changed meanwhile",
    },
];

fn wake(started: Started) -> Ended {
    started.signal(Signal::CONT);
    started.end()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_asleep_publishes_nothing_over_what_others_did() {
    let runtime = Handle::current();
    tokio::task::block_in_place(|| {
        let mut slept = 0;
        let mut site = Site::new(1, &runtime);
        for point in ["begin.committed", "stage.committed", "load.sealed"] {
            for Meanwhile { arguments, status, outcome, words } in &MEANWHILE {
                let is_part = arguments.contains(&"boards");
                // Views of two publications are no state of one.
                site.place.call(&["release"]);
                let before = Look::at(&site.place.path);
                let started = asleep(&mut site, point);
                let seen = Look::at(&site.place.path);
                assert_eq!(seen.state, before.state, "{point}");
                assert!(seen.phase <= Phase::Loading && seen.unfinished == [seen.run], "{seen:?}");
                if arguments[0] == "hold" {
                    second_sync_is_refused(&site, &started);
                }
                site.place.call(arguments);
                let views = views(&site);
                let done = (!is_part).then(|| Look::at(&site.place.path).state);
                if let Some(done) = done.filter(|_| arguments[0] == "rollback") {
                    let State { live, backup, publication, .. } = before.state;
                    let expected = (backup, live, publication.map(|newest| newest + 1));
                    assert_eq!((done.live, done.backup, done.publication), expected, "{arguments:?}");
                }
                let ended = wake(started);
                assert_eq!(ended.status.code(), Some(*status), "{point} {arguments:?}: {ended:?}");
                let report = ended.json();
                assert_eq!(report["run"]["outcome"], *outcome, "{ended:?}");
                assert!(report["run"]["error"].as_str().unwrap().contains(words), "{ended:?}");
                assert_eq!(self::views(&site), views, "{point} {arguments:?}");
                if let Some(done) = done {
                    assert_eq!(Look::at(&site.place.path).state, done, "{point} {arguments:?}");
                }
                if is_part {
                    // Forward again, and from here on all is of one publication.
                    site.place.call(arguments);
                    site.sent.renew(&site.place);
                    site.place.call(&["sync"]);
                }
                slept += 1;
                invariants::check(&super::state::reader(&site.place.path));
            }
            site.recover(&site.place.path.clone(), &[]);
        }
        println!("{slept} runs were asleep");
    });
}

/// All that visitors see.
fn views(site: &Site) -> Vec<Vec<crate::data::Row>> {
    let connection = super::state::reader(&site.place.path);
    let select = |entity| crate::support::query(&connection, &format!("SELECT * FROM {entity}_current"));
    greenroom::entity::Entity::ALL.into_iter().map(select).collect()
}

fn second_sync_is_refused(site: &Site, started: &Started) {
    let asked = site.place.blue.requests().len();
    let refused = site.place.start(&["sync", "--json"]).end();
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    assert!(refused.stderr.contains(&format!("pid {}", started.pid())), "the owner is named: {refused:?}");
    assert_eq!(site.place.blue.requests().len(), asked, "the source was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_writer_that_is_asleep_is_told_so_and_changes_nothing() {
    let runtime = Handle::current();
    tokio::task::block_in_place(|| {
        let mut site = Site::new(2, &runtime);
        for point in ["load.rows", "publish.locked"] {
            let before = Look::at(&site.place.path);
            let started = asleep(&mut site, point);
            let begun = Instant::now();
            // Both at once, as each waits for as long as it is patient.
            let waiting =
                [&["rollback", "--yes", "--json"][..], &["hold", "--json"]].map(|words| site.place.start(words));
            for waiting in waiting {
                let refused = waiting.end();
                assert_eq!(refused.status.code(), Some(1), "{refused:?}");
                for words in
                    ["keeps the database locked", &format!("pid {}", started.pid()), "greenroom cancel --force"]
                {
                    assert!(refused.stderr.contains(words), "no `{words}` in {refused:?}");
                }
            }
            assert!(begun.elapsed() < Duration::from_mins(1), "it waited for {:?}", begun.elapsed());
            assert_eq!(Look::at(&site.place.path).state, before.state);
            let ended = wake(started);
            assert_eq!(ended.status.code(), Some(0), "{point}: {ended:?}");
            let after = Look::at(&site.place.path).state;
            let expected = (Some(site.sent.generation), before.state.live, false);
            assert_eq!((after.live, after.backup, after.hold), expected, "{point}");
            invariants::check(&super::state::reader(&site.place.path));
        }
    });
}
