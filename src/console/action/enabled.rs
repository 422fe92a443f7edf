//! Whether an action can be done now, or why not.

use super::super::model::{Model, OwnRun, Pane};
use crate::report::{RunOutcome, RunSummary};

#[expect(clippy::unnecessary_wraps, reason = "the signature of all conditions")]
pub(super) fn always(_: &Model) -> Result<(), &'static str> {
    Ok(())
}

pub(super) fn is_known(model: &Model) -> Result<(), &'static str> {
    if model.status.is_some() { Ok(()) } else { Err("the state of the database is not known yet") }
}

fn no_run(model: &Model) -> Result<(), &'static str> {
    if model.own_run == OwnRun::None { Ok(()) } else { Err("a run is going on; x cancels it") }
}

pub(super) fn can_sync(model: &Model) -> Result<(), &'static str> {
    if model.source.is_none() {
        return Err("no source is set: start with --source-url or SOURCE_API_URL");
    }
    no_run(model)
}

pub(super) fn can_cancel(model: &Model) -> Result<(), &'static str> {
    match model.own_run {
        OwnRun::Going => Ok(()),
        OwnRun::Cancelling => Err("the run is being cancelled"),
        OwnRun::None => Err("no run of this console is going on"),
    }
}

pub(super) fn can_publish(model: &Model) -> Result<(), &'static str> {
    no_run(model)?;
    match (model.publishable(), model.chosen_run()) {
        (Some(_), _) => Ok(()),
        (None, Some(_)) => Err("that run is neither held nor prepared"),
        (None, None) => Err("the newest run is neither held nor prepared; an older one can be chosen among the runs"),
    }
}

pub(super) fn can_roll_back(model: &Model) -> Result<(), &'static str> {
    match &model.status {
        None => Err("the state of the database is not known yet"),
        Some(status) if status.publication.is_none() => Err("nothing was published yet"),
        Some(_) => Ok(()),
    }
}

/// Whether something of `run` was live.
#[must_use]
pub fn can_go_back_to(run: &RunSummary) -> bool {
    matches!(run.outcome, Some(RunOutcome::Published | RunOutcome::Unchanged))
}

pub(super) fn can_go_back(model: &Model) -> Result<(), &'static str> {
    no_run(model)?;
    match model.chosen_run() {
        Some(run) if can_go_back_to(run) => Ok(()),
        Some(_) => Err("nothing of that run was live; choose one that is published or unchanged"),
        None => Err("choose a run among the runs first; Tab leads there"),
    }
}

pub(super) fn can_mark(model: &Model) -> Result<(), &'static str> {
    if model.focus == Pane::Entities { Ok(()) } else { Err("entities are marked in the table; Tab leads there") }
}

pub(super) fn can_clean_up(model: &Model) -> Result<(), &'static str> {
    if model.own_run == OwnRun::None { Ok(()) } else { Err("not while a run is going on") }
}
