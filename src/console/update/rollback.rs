//! Taking back what was published.

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::{
    super::{
        message::{Answer, Effect},
        model::{Model, Tone},
        overlay::{Overlay, RollbackQuestion, Subject},
    },
    ask, close, diff, reload, tell,
};
use crate::{
    report::{HoldEffect, RollbackPlan, RollbackReport, RollbackTarget},
    text,
};

/// Finds out what taking back the marked entities, or else the newest publication, would do.
pub(super) fn plan(model: &Model) -> Vec<Effect> {
    let marked = model.marked();
    let target = if marked.is_empty() { RollbackTarget::Newest } else { RollbackTarget::Entities(marked) };
    vec![Effect::PlanRollback(target)]
}

/// Asks by the figures of the plan.
pub(super) fn planned(model: &mut Model, answer: Answer<RollbackPlan>) {
    match answer {
        Ok(plan) => {
            let question = RollbackQuestion { plan, set_hold: true, asked: model.now.instant, scroll: 0 };
            ask(model, Overlay::Rollback(Box::new(question)));
        }
        Err(error) => tell(model, "Nothing can be rolled back", error),
    }
}

/// An answer to the question, or a key that shows more of it.
pub(super) fn key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let Some(Overlay::Rollback(question)) = model.overlays.last_mut() else { return Vec::new() };
    match key.code {
        KeyCode::Char('n') if question.plan.hold == HoldEffect::Set => question.set_hold = !question.set_hold,
        KeyCode::Char('d') => {
            // What differs first; an entity without a difference is none to look at.
            let (mut entities, same): (Vec<_>, Vec<_>) =
                question.plan.entities.iter().partition(|switch| switch.diff.is_none_or(|diff| !diff.is_empty()));
            entities.extend(same);
            let entities = entities.iter().map(|switch| switch.entity).collect();
            return diff::open(model, entities, vec![Subject::rollback()]);
        }
        KeyCode::Char('Y') => {
            let (plan, set_hold) = (Box::new(question.plan.clone()), question.set_hold);
            close(model);
            if matches!(plan.target, RollbackTarget::Entities(_)) {
                model.marks.clear();
            }
            model.in_flight = Some("rolling back");
            model.say(Tone::Plain, "rolling back");
            return vec![Effect::Rollback { plan, set_hold }];
        }
        _ => {
            close(model);
            model.say(Tone::Plain, "nothing was switched");
        }
    }
    Vec::new()
}

/// It was done, or refused.
pub(super) fn done(model: &mut Model, answer: Answer<RollbackReport>) -> Vec<Effect> {
    model.in_flight = None;
    match answer {
        Ok(report) => {
            if !model.is_run_going() {
                model.run = None;
            }
            model.restored = report.entities.iter().map(|switch| switch.entity).collect();
            let took = text::duration(report.duration_ms);
            let count = u64::try_from(report.entities.len()).unwrap_or_default();
            let count = text::count(count, "entity", "entities");
            let hold = match report.hold_effect {
                HoldEffect::Set => "; hold set",
                HoldEffect::Released => "; hold released",
                HoldEffect::Kept => "",
            };
            let what = match report.publication.undoes {
                Some(undone) => format!("publication {undone} is taken back: {count}"),
                None => format!("taken back: {count}"),
            };
            let text = format!("{what} switched in {took}{hold}; r undoes this");
            model.say(Tone::Good, text);
        }
        Err(error) => tell(model, "Nothing was rolled back", error),
    }
    reload(model)
}
