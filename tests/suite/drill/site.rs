//! A place at which one command after another goes wrong, and what must hold after each.

use std::path::{Path, PathBuf};

use tokio::runtime::Handle;

use super::{
    kinds::{self, Kind, Plan, Sent},
    place::{Ended, Place},
    state::{Look, Phase, number, reader},
};
use crate::invariants;

/// A database with a source, three generations old.
pub(super) struct Site {
    pub(super) place: Place,
    pub(super) random: fastrand::Rng,
    pub(super) sent: Sent,
    /// Databases that earlier versions left.
    old: [PathBuf; 2],
    others: u32,
    /// Runs whose process died between their publish and their end.
    died: Vec<i64>,
}

/// What came of a command.
pub(super) struct Outcome {
    pub(super) after: Look,
    /// Whether it published.
    pub(super) is_done: bool,
}

impl Site {
    pub(super) fn new(seed: u64, runtime: &Handle) -> Self {
        let place = Place::new(runtime);
        let old = [1, 2].map(|version| place.beside(&format!("version{version}.db")));
        let mut sent = Sent::default();
        for _ in 0..3 {
            sent.renew(&place);
            place.call(&["sync"]);
        }
        for (version, old) in (1..).zip(&old) {
            kinds::age(&place, old, version);
        }
        Self { place, random: fastrand::Rng::with_seed(seed), sent, old, others: 0, died: Vec::new() }
    }

    /// The database that `kind` is about.
    pub(super) fn path(&mut self, kind: Kind) -> PathBuf {
        if !kind.is_on_another() {
            return self.place.path.clone();
        }
        self.others += 1;
        let path = self.place.beside(&format!("other{}.db", self.others));
        if kind == Kind::Upgrade {
            std::fs::copy(&self.old[usize::from(self.random.bool())], &path).unwrap();
        }
        path
    }

    /// Does what `kind` needs beforehand; what there is then, and what is to be done.
    pub(super) fn prepare(&mut self, kind: Kind, path: &Path) -> (Look, Plan) {
        let found = Look::at(path);
        let plan = self.sent.prepare(kind, &self.place, &mut self.random, &found);
        (Look::at(path), plan)
    }

    /// Looks at what a command left, before anything else does, and checks that it is what was there before or what was
    /// planned, that it is the latter if that was told, and that nothing that is to be kept is gone.
    pub(super) fn check(kind: Kind, path: &Path, before: &Look, plan: &Plan, ended: &Ended) -> Outcome {
        let after = Look::at(path);
        let is_done = after.state.publication != before.state.publication;
        if let Some((live, backup)) = plan.after.filter(|_| is_done) {
            let publication = before.state.publication.map_or(1, |newest| newest + 1);
            let state = (after.state.publication, after.state.live, after.state.backup);
            assert_eq!(state, (Some(publication), live, backup), "{kind} of {before:?}: {ended:?}");
        } else {
            assert_eq!(after.state, before.state, "{kind}: {ended:?}");
        }
        if ended.acknowledged() && plan.after.is_some() {
            assert!(is_done, "{kind} told of a publication that is not there: {ended:?}");
        }
        after.keeps_snapshots_of(before);
        Outcome { after, is_done }
    }

    /// The next sync publishes, and makes all of what dead runs left whole or nothing.
    pub(super) fn recover(&mut self, path: &Path, looks: &[Look]) {
        if Look::at(path).state.hold {
            self.place.call_on(path, &["release"]);
        }
        let before = Look::at(path);
        let generation = self.sent.renew(&self.place);
        let ended = self.place.call_on(path, &["sync", "--json"]);
        assert_eq!(ended.json()["run"]["outcome"], "published");
        let after = Look::at(path);
        let publication = before.state.publication.map_or(1, |newest| newest + 1);
        let state = (after.state.publication, after.state.live, after.state.backup);
        assert_eq!(state, (Some(publication), Some(generation), before.state.live), "{before:?}");
        after.keeps_snapshots_of(&before);
        let connection = reader(path);
        for run in looks.iter().flat_map(|look| &look.unfinished) {
            let interrupted =
                format!("SELECT outcome = 'interrupted' AND publication IS NULL FROM sync_runs WHERE id = {run}");
            assert_eq!(number(&connection, &interrupted), Some(1), "run {run}, which was killed");
        }
        let mut died = if path == self.place.path { std::mem::take(&mut self.died) } else { Vec::new() };
        for look in looks.iter().filter(|look| look.phase == Phase::Published || look.is_troubled) {
            let outcome = format!("SELECT outcome = 'published' FROM sync_runs WHERE id = {}", look.run);
            assert_eq!(number(&connection, &outcome), Some(1), "run {}, which had published", look.run);
            died.push(look.run);
        }
        invariants::check_but_for(&connection, &died);
        if path == self.place.path {
            self.died = died;
        }
        self.place.blue.forget();
    }

    /// Leaves no free pages in the file, and makes each switch of an entity need some.
    pub(super) fn tighten(&self) {
        let connection = self.place.writer();
        connection
            .execute_batch(
                "CREATE TABLE IF NOT EXISTS drill_room (body BLOB);
                 CREATE TRIGGER IF NOT EXISTS drill_room AFTER INSERT ON sync_publication_entities
                 BEGIN INSERT INTO drill_room VALUES (zeroblob(100000)); END;",
            )
            .unwrap();
        let mut statement = connection.prepare("PRAGMA incremental_vacuum").unwrap();
        let mut steps = statement.query([]).unwrap();
        while steps.next().unwrap().is_some() {}
        assert_eq!(number(&connection, "PRAGMA freelist_count"), Some(0));
    }

    /// Takes back what [`Site::tighten`] did.
    pub(super) fn loosen(&mut self) {
        self.sent.is_long = false;
        let loosen = "DROP TRIGGER IF EXISTS drill_room; DROP TABLE IF EXISTS drill_room";
        self.place.writer().execute_batch(loosen).unwrap();
    }
}
