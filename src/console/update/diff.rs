//! Rows that differ: which are asked for, and when that is given up.

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::{
    super::{
        message::{Answer, Effect},
        model::Model,
        overlay::{DiffView, Overlay, Subject},
        view,
    },
    close,
};
use crate::{
    entity::Entity,
    report::{DiffReport, RunOutcome, RunSummary},
};

/// Shows how the chosen entity differs: from its backup, from a run that waits, between its snapshots.
pub(super) fn open_chosen(model: &mut Model) -> Vec<Effect> {
    let mut subjects = vec![Subject::backup()];
    if let Some(run) = model.chosen_run() {
        subjects.insert(0, Subject::run(run.id, run.outcome));
    } else if let Some((run, outcome)) = model.publishable() {
        subjects.push(Subject::run(run, Some(outcome)));
    }
    let entity = model.selected;
    let effects = open(model, vec![entity], subjects);
    if let Some(Overlay::Diff(view)) = model.overlays.last_mut() {
        view.with_snapshots = true;
    }
    add_snapshots(model);
    effects
}

/// Shows what `run` staged against what is live, for all its entities.
pub(super) fn open_run(model: &mut Model, run: &RunSummary) -> Vec<Effect> {
    let entities = run.scope.clone().unwrap_or_else(|| Entity::ALL.to_vec());
    let subject = Subject::run(run.id, run.outcome.filter(|outcome| *outcome != RunOutcome::Published));
    open(model, entities, vec![subject])
}

/// Shows `entities`, each by `subjects`.
pub(super) fn open(model: &mut Model, entities: Vec<Entity>, subjects: Vec<Subject>) -> Vec<Effect> {
    model.overlays.push(Overlay::Diff(Box::new(DiffView::new(entities, subjects))));
    load(model)
}

/// Adds the snapshots of the entity, once they are known.
pub(super) fn add_snapshots(model: &mut Model) {
    let Some((entity, detail)) = &model.detail else { return };
    let Some(Overlay::Diff(view)) = model.overlays.last_mut() else { return };
    if view.with_snapshots && view.shown_entity() == *entity {
        for subject in Subject::snapshots(&detail.snapshots) {
            if !view.subjects.contains(&subject) {
                view.subjects.push(subject);
            }
        }
    }
}

/// Asks for the next rows.
fn load(model: &mut Model) -> Vec<Effect> {
    model.requests += 1;
    let request = model.requests;
    let Some(Overlay::Diff(view)) = model.overlays.last_mut() else { return Vec::new() };
    view.request = Some(request);
    let (subject, entity, page) = (view.shown_subject().compared, view.shown_entity(), view.next_page());
    vec![Effect::LoadDiff { request, subject, entity, page }]
}

/// Asks for the next rows when the last ones that were read come near.
pub(super) fn load_ahead(model: &mut Model) -> Vec<Effect> {
    let last = view::overlay::last_scroll(model, model.size);
    let screen = usize::from(model.size.height);
    match model.overlays.last() {
        Some(Overlay::Diff(view)) if view.request.is_none() && view.has_more() && view.scroll + screen >= last => {
            load(model)
        }
        _ => Vec::new(),
    }
}

/// Takes rows in, unless something else was asked for since.
pub(super) fn loaded(model: &mut Model, request: u64, answer: Answer<DiffReport>) {
    let wanted = model.overlays.iter_mut().find_map(|overlay| match overlay {
        Overlay::Diff(view) if view.request == Some(request) => Some(view),
        _ => None,
    });
    if let Some(view) = wanted {
        view.take(answer);
    }
}

/// Another entity or subject, or the end.
pub(super) fn key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let Some(Overlay::Diff(view)) = model.overlays.last_mut() else { return Vec::new() };
    let turned = |at: usize, count: usize, back: bool| (at + if back { count - 1 } else { 1 }) % count;
    match key.code {
        KeyCode::Left | KeyCode::Right | KeyCode::Char('h' | 'l') if view.subjects.len() > 1 => {
            let back = matches!(key.code, KeyCode::Left | KeyCode::Char('h'));
            view.subject = turned(view.subject, view.subjects.len(), back);
        }
        KeyCode::Tab | KeyCode::BackTab if view.entities.len() > 1 => {
            view.entity = turned(view.entity, view.entities.len(), key.code == KeyCode::BackTab);
        }
        KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | 'd' | 'c') => {
            close(model);
            return vec![Effect::StopDiff];
        }
        _ => return Vec::new(),
    }
    view.clear();
    load(model)
}
