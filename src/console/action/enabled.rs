//! Whether an action can be done now, or why not.

use super::{
    super::model::{Model, OwnRun, Pane},
    Possible,
};
use crate::{
    report::{RunOutcome, RunSummary},
    text,
};

#[expect(clippy::unnecessary_wraps, reason = "the signature of all conditions")]
pub(super) fn always(_: &Model) -> Possible {
    Ok(())
}

pub(super) fn is_known(model: &Model) -> Possible {
    if model.status.is_some() { Ok(()) } else { Err("the state of the database is not known yet".into()) }
}

fn no_run(model: &Model) -> Possible {
    model.in_the_way().map_or(Ok(()), |reason| Err(reason.into()))
}

pub(super) fn can_sync(model: &Model) -> Possible {
    if model.source.is_none() {
        return Err("no source is set: start with --source-url or SOURCE_API_URL".into());
    }
    no_run(model)
}

pub(super) fn can_cancel(model: &Model) -> Possible {
    match (model.own_run, &model.other) {
        (OwnRun::Going, _) => Ok(()),
        (OwnRun::Cancelling, _) => Err("the run is being cancelled".into()),
        (OwnRun::None, None) => Err("no run is going on".into()),
        (OwnRun::None, Some(other)) if !other.asked => Ok(()),
        (OwnRun::None, Some(other)) => match other.silent_since {
            None => Err(format!("{} is being cancelled", other.name()).into()),
            Some(_) if model.is_here(&other.operator) => Ok(()),
            Some(_) => Err(format!(
                "{} does not answer; `greenroom cancel --force` on {} ends it",
                other.name(),
                text::clean(&other.operator.host)
            )
            .into()),
        },
    }
}

pub(super) fn can_publish(model: &Model) -> Possible {
    no_run(model)?;
    match (model.publishable(), model.chosen_run()) {
        (Some(_), _) => Ok(()),
        (None, Some(_)) => Err("that run is neither held nor prepared".into()),
        (None, None) => {
            Err("the newest run is neither held nor prepared; an older one can be chosen among the runs".into())
        }
    }
}

pub(super) fn can_roll_back(model: &Model) -> Possible {
    match &model.status {
        None => Err("the state of the database is not known yet".into()),
        Some(status) if status.publication.is_none() => Err("nothing was published yet".into()),
        Some(_) => Ok(()),
    }
}

/// Whether something of `run` was live.
#[must_use]
pub fn can_go_back_to(run: &RunSummary) -> bool {
    matches!(run.outcome, Some(RunOutcome::Published | RunOutcome::Unchanged))
}

pub(super) fn can_go_back(model: &Model) -> Possible {
    no_run(model)?;
    match model.chosen_run() {
        Some(run) if can_go_back_to(run) => Ok(()),
        Some(_) => Err("nothing of that run was live; choose one that is published or unchanged".into()),
        None => Err("choose a run among the runs first; Tab leads there".into()),
    }
}

pub(super) fn can_mark(model: &Model) -> Possible {
    if model.focus == Pane::Entities { Ok(()) } else { Err("entities are marked in the table; Tab leads there".into()) }
}

pub(super) fn can_clean_up(model: &Model) -> Possible {
    match &model.other {
        Some(_) => no_run(model),
        None if model.own_run == OwnRun::None => Ok(()),
        None => Err("not while a run is going on".into()),
    }
}
