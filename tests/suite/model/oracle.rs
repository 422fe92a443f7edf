//! What must be, computed in the simplest way that could be right.

use std::collections::BTreeMap;

use greenroom::{
    entity::{Endpoint, Entity},
    report::{PublicationKind, Replay, RunOutcome},
};

use super::world::{Body, dangling};
use crate::data::Row;

/// Snapshots of each endpoint that are kept in any case.
const KEPT: usize = 3;

/// A snapshot: its number among all that the oracle knows, and its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    number: usize,
    body: Body,
}

/// A version of an entity: 1 or 2, and what it was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) version: i64,
    pub(super) from: Snapshot,
}

/// The state of one entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Versions {
    pub(super) active: Option<Made>,
    pub(super) backup: Option<Made>,
}

#[derive(Clone, Debug)]
pub(super) struct Publication {
    pub(super) kind: PublicationKind,
    pub(super) undoes: Option<usize>,
    /// What each switched entity was before and is after.
    switched: BTreeMap<Entity, (Versions, Versions)>,
}

/// A run, as far as a replay needs to know of it.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) outcome: RunOutcome,
    /// Publications when it was over.
    publications: usize,
    /// What a publish of it would be made from.
    prepared: BTreeMap<Entity, Snapshot>,
    /// What its publication would have been.
    kind: PublicationKind,
}

/// What a run is asked for.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "the switches of a command")]
pub(super) struct Asked {
    pub(super) scope: Vec<Entity>,
    pub(super) failing: Option<Endpoint>,
    pub(super) force: bool,
    pub(super) partial: bool,
    pub(super) dry_run: bool,
    pub(super) accept_all: bool,
    pub(super) hold: Hold,
}

/// What a run does with the hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    Obey,
    Release,
    Set,
    Ignore,
}

/// What set the hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SetBy {
    /// An operator by hand, or a way back that had nothing to switch.
    Hand,
    /// This publication, a rollback.
    Publication(usize),
}

/// Everything that there is to know.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    pub(super) versions: BTreeMap<Entity, Versions>,
    pub(super) snapshots: BTreeMap<Endpoint, Vec<Snapshot>>,
    pub(super) publications: Vec<Publication>,
    pub(super) runs: Vec<Run>,
    /// The hold in force.
    pub(super) hold: Option<SetBy>,
    staged: usize,
}

impl Oracle {
    pub(super) fn of(&self, entity: Entity) -> Versions {
        self.versions.get(&entity).copied().unwrap_or_default()
    }

    /// The rows of a version.
    pub(super) fn rows(made: Option<Made>, entity: Entity) -> Vec<Row> {
        made.map_or_else(Vec::new, |made| made.from.body.rows(entity))
    }

    fn stage(&mut self, endpoint: Endpoint, body: Body) -> Snapshot {
        let kept = self.snapshots.entry(endpoint).or_default();
        if let Some(newest) = kept.last().filter(|newest| newest.body == body) {
            return *newest;
        }
        self.staged += 1;
        let snapshot = Snapshot { number: self.staged, body };
        kept.push(snapshot);
        snapshot
    }

    /// Keeps the newest snapshots, and those behind a version.
    pub(super) fn prune(&mut self) {
        let used: Vec<usize> = self
            .versions
            .values()
            .flat_map(|versions| [versions.active, versions.backup])
            .flatten()
            .map(|made| made.from.number)
            .collect();
        for kept in self.snapshots.values_mut() {
            let newest = kept.len().saturating_sub(KEPT);
            let mut place = 0;
            kept.retain(|snapshot| {
                place += 1;
                place > newest || used.contains(&snapshot.number)
            });
        }
    }

    /// A sync of what `source` sends.
    pub(super) fn sync(&mut self, source: &BTreeMap<Endpoint, Body>, asked: &Asked) -> RunOutcome {
        let mut bodies = BTreeMap::new();
        let mut failed = Vec::new();
        for endpoint in Endpoint::ALL {
            let entities: Vec<_> = asked.scope.iter().filter(|entity| entity.endpoint() == endpoint).collect();
            if entities.is_empty() {
                continue;
            }
            if asked.failing == Some(endpoint) {
                failed.push(endpoint);
                continue;
            }
            let snapshot = self.stage(endpoint, source[&endpoint]);
            bodies.extend(entities.into_iter().map(|entity| (*entity, snapshot)));
        }
        self.run(bodies, !failed.is_empty(), asked, PublicationKind::Sync)
    }

    /// The end of a run that got these bodies.
    fn run(
        &mut self,
        bodies: BTreeMap<Entity, Snapshot>,
        something_failed: bool,
        asked: &Asked,
        kind: PublicationKind,
    ) -> RunOutcome {
        let changed: BTreeMap<Entity, Snapshot> = bodies
            .iter()
            .filter(|(entity, snapshot)| {
                let live = self.of(**entity).active;
                asked.force || live.is_none_or(|live| live.from.body.rows(**entity) != snapshot.body.rows(**entity))
            })
            .map(|(entity, snapshot)| (*entity, *snapshot))
            .collect();
        let outcome = self.verdict(&changed, something_failed, asked);
        match outcome {
            RunOutcome::Published => self.publish(&changed, asked.hold, kind),
            RunOutcome::Unchanged if !asked.dry_run => match asked.hold {
                Hold::Release => self.hold = None,
                Hold::Set if self.hold.is_none() => self.hold = Some(SetBy::Hand),
                Hold::Set | Hold::Obey | Hold::Ignore => {}
            },
            _ => {}
        }
        self.prune();
        self.runs.push(Run { outcome, publications: self.publications.len(), prepared: bodies, kind });
        outcome
    }

    fn verdict(&self, changed: &BTreeMap<Entity, Snapshot>, something_failed: bool, asked: &Asked) -> RunOutcome {
        if something_failed && (!asked.partial || changed.is_empty()) {
            return RunOutcome::Failed;
        }
        if changed.is_empty() {
            return RunOutcome::Unchanged;
        }
        let first = self.publications.is_empty() && asked.scope.len() == Entity::ALL.len() && !something_failed;
        if !first && !asked.accept_all && self.trips(changed) {
            return RunOutcome::Held;
        }
        if self.hold.is_some() && asked.hold == Hold::Obey {
            return RunOutcome::Held;
        }
        if asked.dry_run { RunOutcome::Prepared } else { RunOutcome::Published }
    }

    /// Whether any guard trips.
    fn trips(&self, changed: &BTreeMap<Entity, Snapshot>) -> bool {
        let live = |entity: Entity| Self::rows(self.of(entity).active, entity);
        let new = |entity: Entity| match changed.get(&entity) {
            Some(snapshot) => snapshot.body.rows(entity),
            None => live(entity),
        };
        let shrunk = changed.keys().any(|entity| {
            let (before, after) = (live(*entity).len(), new(*entity).len());
            before > 0 && after * 2 < before
        });
        shrunk || dangling(new).iter().zip(dangling(live)).any(|(after, before)| *after > before)
    }

    fn publish(&mut self, changed: &BTreeMap<Entity, Snapshot>, hold: Hold, kind: PublicationKind) {
        let mut switched = BTreeMap::new();
        for (entity, from) in changed {
            let before = self.of(*entity);
            let version = if before.active.is_some_and(|active| active.version == 1) { 2 } else { 1 };
            let after = Versions { active: Some(Made { version, from: *from }), backup: before.active };
            self.versions.insert(*entity, after);
            switched.insert(*entity, (before, after));
        }
        self.publications.push(Publication { kind, undoes: None, switched });
        match hold {
            Hold::Release => self.hold = None,
            Hold::Set if self.hold.is_none() => self.hold = Some(SetBy::Publication(self.publications.len())),
            Hold::Set | Hold::Obey | Hold::Ignore => {}
        }
    }

    /// The newest publication that switched `entity`, counted from 1.
    fn newest_switch(&self, entity: Entity) -> Option<usize> {
        let switched = |publication: &Publication| publication.switched.contains_key(&entity);
        self.publications.iter().rposition(switched).map(|place| place + 1)
    }

    /// The entities that taking `publication` back would switch; `None` when it cannot be taken back.
    pub(super) fn entities_of(&self, publication: usize) -> Option<Vec<Entity>> {
        let entities: Vec<_> = self.publications.get(publication.checked_sub(1)?)?.switched.keys().copied().collect();
        let newest = entities.iter().all(|entity| self.newest_switch(*entity) == Some(publication));
        newest.then_some(entities)
    }

    /// Takes the newest switch of each of `entities` back, which are all that `publication` switched, if one is meant.
    ///
    /// # Returns
    /// Whether it could be done.
    pub(super) fn roll_back(&mut self, publication: Option<usize>, entities: &[Entity], set_hold: bool) -> bool {
        if entities.is_empty() || entities.iter().any(|entity| self.of(*entity).backup.is_none()) {
            return false;
        }
        let number = |made: Option<Made>| made.map(|made| made.from.number);
        let leads_forward =
            entities.iter().map(|entity| self.of(*entity)).all(|of| number(of.backup) > number(of.active));
        let mut switched = BTreeMap::new();
        for entity in entities {
            let before = self.of(*entity);
            let after = Versions { active: before.backup, backup: before.active };
            self.versions.insert(*entity, after);
            switched.insert(*entity, (before, after));
        }
        self.publications.push(Publication { kind: PublicationKind::Rollback, undoes: publication, switched });
        if publication.is_some() && self.hold == publication.map(SetBy::Publication) {
            self.hold = None;
        } else if self.hold.is_none() && !leads_forward && set_hold {
            self.hold = Some(SetBy::Publication(self.publications.len()));
        }
        true
    }

    /// What a replay of `run`, a place in the list, is made from; `None` when it cannot be done.
    pub(super) fn replayed(&self, run: usize, replay: Replay) -> Option<BTreeMap<Entity, Snapshot>> {
        let run = &self.runs[run];
        let bodies = match (replay, run.outcome) {
            // A way back that was not gone is nothing to publish.
            (Replay::Publish, RunOutcome::Held | RunOutcome::Prepared) if run.kind == PublicationKind::Sync => {
                run.prepared.clone()
            }
            (Replay::Rollback, RunOutcome::Published | RunOutcome::Unchanged) if run.publications > 0 => {
                let mut state = BTreeMap::new();
                for publication in &self.publications[..run.publications] {
                    let after = publication.switched.iter().map(|(entity, (_, after))| (*entity, after.active));
                    state.extend(after.filter_map(|(entity, made)| Some((entity, made?.from))));
                }
                state
            }
            _ => return None,
        };
        let kept = |entity: &Entity, snapshot: &Snapshot| {
            self.snapshots.get(&entity.endpoint()).is_some_and(|kept| kept.contains(snapshot))
        };
        bodies.iter().all(|(entity, snapshot)| kept(entity, snapshot)).then_some(bodies)
    }

    /// Sets the hold by hand.
    ///
    /// # Returns
    /// Whether that changed anything.
    pub(super) fn set_hold(&mut self) -> bool {
        self.hold.replace(SetBy::Hand) != Some(SetBy::Hand)
    }

    /// A replay made from `bodies`.
    pub(super) fn replay(&mut self, bodies: BTreeMap<Entity, Snapshot>, replay: Replay, asked: &Asked) -> RunOutcome {
        let kind = match replay {
            Replay::Publish => PublicationKind::Sync,
            Replay::Rollback => PublicationKind::Rollback,
        };
        let scope = bodies.keys().copied().collect();
        self.run(bodies, false, &Asked { scope, ..asked.clone() }, kind)
    }

    /// A run that was cancelled before it did anything.
    pub(super) fn cancelled(&mut self) {
        self.prune();
        let publications = self.publications.len();
        self.runs.push(Run {
            outcome: RunOutcome::Cancelled,
            publications,
            prepared: BTreeMap::new(),
            kind: PublicationKind::Sync,
        });
    }

    /// The bodies kept of `endpoint`, oldest first.
    pub(super) fn kept(&self, endpoint: Endpoint) -> Vec<Body> {
        self.snapshots.get(&endpoint).into_iter().flatten().map(|snapshot| snapshot.body).collect()
    }
}
