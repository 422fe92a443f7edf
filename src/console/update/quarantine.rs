//! The quarantine: what is asked for, and its export.

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::{
    super::{
        message::{Answer, Effect},
        model::Model,
        overlay::{Overlay, QuarantineView},
    },
    close,
};
use crate::report::QuarantineList;

/// Shows what is in quarantine of the chosen entity.
pub(super) fn open(model: &mut Model) -> Vec<Effect> {
    let view = QuarantineView::new(model.selected);
    model.overlays.push(Overlay::Quarantine(Box::new(view)));
    load(model)
}

fn load(model: &mut Model) -> Vec<Effect> {
    model.requests += 1;
    let request = model.requests;
    let Some(Overlay::Quarantine(view)) = model.overlays.last_mut() else { return Vec::new() };
    (view.request, view.answer, view.exported, view.scroll) = (Some(request), None, None, 0);
    vec![Effect::LoadQuarantine { request, query: view.query() }]
}

/// Takes records in, unless something else was asked for since.
pub(super) fn loaded(model: &mut Model, request: u64, answer: Answer<QuarantineList>) {
    if let Some(Overlay::Quarantine(view)) = model.overlays.last_mut()
        && view.request == Some(request)
    {
        view.request = None;
        view.answer = Some(answer);
    }
}

/// They were exported, or not.
pub(super) fn exported(model: &mut Model, answer: Answer<(String, u64)>) {
    model.in_flight = None;
    let answer = answer
        .map(|(path, count)| format!("{} written to {path}", crate::text::count(count, "record is", "records are")));
    if let Some(Overlay::Quarantine(view)) = model.overlays.last_mut() {
        view.exported = Some(answer);
        return;
    }
    match answer {
        Ok(text) => model.say(super::Tone::Good, text),
        Err(error) => model.say(super::Tone::Bad, error),
    }
}

/// Another choice, the export, or the end. `None` for a key that scrolls.
pub(super) fn key(model: &mut Model, key: KeyEvent) -> Option<Vec<Effect>> {
    let now = model.now.time;
    let Some(Overlay::Quarantine(view)) = model.overlays.last_mut() else { return None };
    match key.code {
        KeyCode::Char('a') => view.all = !view.all,
        KeyCode::Char('g') => view.gone = !view.gone,
        KeyCode::Char('e') => {
            if model.in_flight.is_some() {
                return Some(Vec::new());
            }
            let name = format!("greenroom-quarantine-{}-{}.jsonl", view.scope_name(), now.strftime("%Y%m%dT%H%M%SZ"));
            let query = view.whole_query();
            view.exported = None;
            model.in_flight = Some("exporting the quarantine");
            return Some(vec![Effect::ExportQuarantine { query, name }]);
        }
        KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | 'u' | 'c') => {
            close(model);
            return Some(Vec::new());
        }
        _ => return None,
    }
    Some(load(model))
}
