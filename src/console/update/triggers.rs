//! The list of triggers: when it is read, and the run that one of them led to.

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::{
    super::{
        action,
        message::{Answer, Effect},
        model::Model,
        overlay::{Overlay, TriggersView},
    },
    close, navigate,
};
use crate::report::TriggerList;

/// Shows the newest triggers.
pub(super) fn open(model: &mut Model) -> Vec<Effect> {
    model.overlays.push(Overlay::Triggers(Box::default()));
    load(model).into_iter().collect()
}

/// The list, be it in front or below the run that was opened from it.
fn view(model: &Model) -> Option<&TriggersView> {
    model.overlays.iter().find_map(|overlay| match overlay {
        Overlay::Triggers(view) => Some(&**view),
        _ => None,
    })
}

fn view_mut(model: &mut Model) -> Option<&mut TriggersView> {
    model.overlays.iter_mut().find_map(|overlay| match overlay {
        Overlay::Triggers(view) => Some(&mut **view),
        _ => None,
    })
}

/// Asks for the triggers as they are now, while their list is open.
pub(super) fn load(model: &mut Model) -> Option<Effect> {
    view(model)?;
    model.requests += 1;
    let request = model.requests;
    view_mut(model)?.request = Some(request);
    Some(Effect::LoadTriggers { request })
}

/// Takes triggers in, unless they were asked for once more since.
pub(super) fn loaded(model: &mut Model, request: u64, answer: Answer<TriggerList>) {
    if let Some(view) = view_mut(model).filter(|view| view.request == Some(request)) {
        view.take(answer);
    }
}

/// Whether `answer` is another one than what is shown.
pub(super) fn is_news(model: &Model, answer: &Answer<TriggerList>) -> bool {
    view(model).is_some_and(|view| view.answer.as_ref() != Some(answer))
}

/// Another choice, its run, or the end.
pub(super) fn key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let Some(Overlay::Triggers(view)) = model.overlays.last_mut() else { return Vec::new() };
    if let Some((down, by)) = action::find(key).and_then(|action| navigate::motion(action.id)) {
        view.chosen = navigate::moved(view.chosen, down, by, view.triggers().len().saturating_sub(1));
        return Vec::new();
    }
    match key.code {
        KeyCode::Enter => return view.chosen_run().map(Effect::LoadRun).into_iter().collect(),
        KeyCode::Esc | KeyCode::Char('q' | 't' | 'c') => close(model),
        _ => {}
    }
    Vec::new()
}
