//! Publishing a held or prepared run, and going back to an older one.

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::{
    super::{
        message::{Answer, Effect},
        model::{Model, Tone},
        overlay::{Overlay, ReplayQuestion, Subject},
    },
    ask, close, diff, run, tell,
};
use crate::report::{PublishPlan, Replay};

/// Asks by the figures of the plan; when they are out of date, new ones are made first.
pub(super) fn planned(model: &mut Model, answer: Answer<Box<PublishPlan>>) -> Vec<Effect> {
    // Another run may have begun since the key.
    if let Some(reason) = model.in_the_way() {
        model.say(Tone::Plain, format!("publish: {reason}"));
        return Vec::new();
    }
    match answer {
        Err(error) => tell(model, "That run cannot be published", error),
        Ok(plan) if plan.outdated => return run::prepare_publish(model, plan.run.id, plan.hold.as_ref()),
        Ok(plan) => {
            let question = ReplayQuestion::publish(*plan, model.now.instant);
            ask(model, Overlay::Replay(Box::new(question)));
        }
    }
    Vec::new()
}

/// An answer to the question, or a key that shows more of it.
pub(super) fn key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let Some(Overlay::Replay(question)) = model.overlays.last_mut() else { return Vec::new() };
    match key.code {
        KeyCode::Char('n') if question.replay == Replay::Rollback && question.hold.is_none() => {
            question.set_hold = !question.set_hold;
        }
        KeyCode::Char('d') => {
            let entities: Vec<_> = question.changing().map(|step| step.entity).collect();
            let subject = Subject::run(question.figures.id, question.figures.outcome);
            if !entities.is_empty() {
                return diff::open(model, entities, vec![subject]);
            }
        }
        KeyCode::Char('Y') => {
            let options = question.options();
            close(model);
            // A run that began while the question stood has the place.
            if let Some(reason) = model.in_the_way() {
                model.say(Tone::Bad, format!("nothing was switched: {reason}"));
                return Vec::new();
            }
            let sentence = match options.replay {
                Replay::Publish => format!("run {} is being published", options.run),
                Replay::Rollback => format!("going back to run {}", options.run),
            };
            return run::start_replay(model, options, &sentence);
        }
        _ => {
            close(model);
            model.say(Tone::Plain, "nothing was switched");
        }
    }
    Vec::new()
}
