//! Which snapshots an earlier run can be replayed from: to publish what it prepared, or to go back to what it published.

use rusqlite::Connection;

use super::{
    database::Database,
    error::{Doing, GreenError},
    hold,
    journal::{self, GuardsOf},
    rollback, snapshot, status,
};
use crate::{
    entity::Entity,
    report::{PublishPlan, Replay, RunId, RunOutcome, RunSummary, SnapshotId, StepOutcome},
};

/// Runs looked at for those that can be replayed.
const CANDIDATES: u64 = 200;

/// The snapshot of each entity, or why there is none.
fn bodies(
    connection: &Connection,
    run: &RunSummary,
    replay: Replay,
) -> Result<Result<Vec<(Entity, SnapshotId)>, String>, GreenError> {
    let found = match replay {
        Replay::Publish => prepared(connection, run)?,
        Replay::Rollback => published(connection, run)?,
    };
    let Ok(found) = found else { return Ok(found) };
    for (entity, snapshot) in &found {
        if snapshot::find(connection, *snapshot)?.is_none() {
            return Ok(Err(format!("cannot be replayed: its snapshot {snapshot} of {entity} is not kept any more")));
        }
    }
    Ok(Ok(found))
}

/// What a run prepared and did not publish.
fn prepared(
    connection: &Connection,
    run: &RunSummary,
) -> Result<Result<Vec<(Entity, SnapshotId)>, String>, GreenError> {
    if !matches!(run.outcome, Some(RunOutcome::Held | RunOutcome::Prepared)) {
        let outcome = run.outcome.map_or("going on", RunOutcome::word);
        return Ok(Err(format!("has nothing to publish: it is {outcome}, neither held nor prepared")));
    }
    if let (Some(Replay::Rollback), Some(target)) = (run.replay, run.replay_of) {
        let why = format!("only showed what going back would change: do it with `greenroom rollback --to {target}`");
        return Ok(Err(why));
    }
    let steps = journal::steps(connection, run.id)?;
    let ready = steps.iter().filter(|step| matches!(step.outcome, Some(StepOutcome::Ready | StepOutcome::Unchanged)));
    Ok(Ok(ready.filter_map(|step| Some((step.entity, step.snapshot?))).collect()))
}

/// What was live once a run was over.
fn published(
    connection: &Connection,
    run: &RunSummary,
) -> Result<Result<Vec<(Entity, SnapshotId)>, String>, GreenError> {
    let publication = match run.outcome {
        Some(RunOutcome::Published) => run.publication,
        Some(RunOutcome::Unchanged) => journal::base(connection, run.id)?,
        outcome => {
            let outcome = outcome.map_or("going on", RunOutcome::word);
            return Ok(Err(format!("is nothing to go back to: it is {outcome}, nothing of it was live")));
        }
    };
    let Some(publication) = publication else {
        return Ok(Err("is nothing to go back to: nothing was live after it".to_owned()));
    };
    let mut known = Vec::new();
    for (entity, snapshot) in rollback::state_after(connection, publication)? {
        match snapshot {
            Some(snapshot) => known.push((entity, snapshot)),
            None => return Ok(Err(format!("cannot be replayed: it is not known what {entity} was made from then"))),
        }
    }
    Ok(Ok(known))
}

/// The snapshot of each entity.
fn bodies_or_refuse(
    connection: &Connection,
    run: &RunSummary,
    replay: Replay,
) -> Result<Vec<(Entity, SnapshotId)>, GreenError> {
    match bodies(connection, run, replay)? {
        Ok(found) => Ok(found),
        Err(why) => {
            let mut possible = Vec::new();
            for other in journal::runs(connection, CANDIDATES)? {
                if bodies(connection, &other, replay)?.is_ok() {
                    possible.push(other.id);
                }
            }
            Err(GreenError::NotReplayable { run: run.id, why, possible })
        }
    }
}

impl Database {
    /// What each entity of a replay of `run` is made from.
    ///
    /// # Errors
    /// [`GreenError::NotReplayable`] with the runs for which it can be done, when a snapshot is gone or the run is of the
    /// wrong kind.
    pub fn replay_bodies(&self, run: RunId, replay: Replay) -> Result<Vec<(Entity, SnapshotId)>, GreenError> {
        let mut connection = self.reader()?;
        let transaction = connection.transaction().doing("planning a replay")?;
        let summary = self.with_dead(journal::run(&transaction, run)?);
        bodies_or_refuse(&transaction, &summary, replay)
    }

    /// What publishing the held or prepared `run` would do.
    ///
    /// # Errors
    /// As [`Database::replay_bodies`].
    pub fn plan_publish(&self, run: RunId) -> Result<PublishPlan, GreenError> {
        let mut connection = self.reader()?;
        let transaction = connection.transaction().doing("planning a publish")?;
        let summary = self.with_dead(journal::run(&transaction, run)?);
        bodies_or_refuse(&transaction, &summary, Replay::Publish)?;
        let newest = status::newest_publication_id(&transaction)?;
        Ok(PublishPlan {
            entities: journal::steps(&transaction, run)?,
            guards: journal::guards(&transaction, GuardsOf::Run(run))?,
            hold: hold::in_force(&transaction)?,
            newest,
            outdated: newest != journal::base(&transaction, run)?,
            run: summary,
        })
    }
}
