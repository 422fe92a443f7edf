//! Rows of a version: which are asked for, the filter, and one row alone.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    super::{
        action,
        message::{Answer, Effect},
        model::Model,
        overlay::{LONGEST_FILTER, Overlay, RowsView},
        view,
    },
    close, navigate,
};
use crate::{green::Side, report::RowsReport};

/// Shows the live rows of the chosen entity.
pub(super) fn open(model: &mut Model) -> Vec<Effect> {
    model.overlays.push(Overlay::Rows(Box::new(RowsView::new(model.selected))));
    load(model)
}

fn shown(model: &mut Model) -> Option<&mut RowsView> {
    match model.overlays.last_mut() {
        Some(Overlay::Rows(view)) => Some(view),
        _ => None,
    }
}

/// Asks for the rows around those that are shown.
fn load(model: &mut Model) -> Vec<Effect> {
    model.requests += 1;
    let (request, room) = (model.requests, view::overlay::room(model, model.size));
    let Some(view) = shown(model) else { return Vec::new() };
    view.request = Some(request);
    vec![Effect::LoadRows { request, query: view.query(room) }]
}

/// Asks for rows that are shown and were not read, when nothing is on its way.
pub(super) fn load_missing(model: &mut Model) -> Vec<Effect> {
    let room = view::overlay::room(model, model.size);
    match shown(model) {
        Some(view) if view.request.is_none() && view.error.is_none() && view.alone.is_none() && view.lacks(room) => {
            load(model)
        }
        _ => Vec::new(),
    }
}

/// Takes rows in, unless something else was asked for since.
pub(super) fn loaded(model: &mut Model, request: u64, answer: Answer<RowsReport>) -> Vec<Effect> {
    let wanted = model.overlays.iter_mut().find_map(|overlay| match overlay {
        Overlay::Rows(view) if view.request == Some(request) => Some(view),
        _ => None,
    });
    if let Some(view) = wanted {
        view.take(answer);
    }
    // One may have gone on meanwhile.
    load_missing(model)
}

/// A motion, a filter, another version, or the end.
pub(super) fn key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let room = view::overlay::room(model, model.size);
    let last_line = view::overlay::last_scroll(model, model.size);
    let Some(view) = shown(model) else { return Vec::new() };
    if view.typed.is_some() {
        return type_filter(model, key);
    }
    if let Some((down, by)) = action::find(key).and_then(|action| navigate::motion(action.id)) {
        if view.alone.is_some() {
            view.scroll = navigate::moved(view.scroll, down, by, last_line);
            return Vec::new();
        }
        view.chosen = navigate::moved(view.chosen, down, by, view.total().saturating_sub(1));
        view.show_chosen(room);
        return load_missing(model);
    }
    let columns = view.page.as_ref().map_or(0, |page| page.columns.len());
    match key.code {
        KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q') if view.alone.is_some() => {
            view.scroll = view.alone.take().unwrap_or_default();
        }
        _ if view.alone.is_some() => {}
        KeyCode::Enter if view.row(view.chosen).is_some() => {
            view.alone = Some(std::mem::take(&mut view.scroll));
        }
        KeyCode::Right | KeyCode::Char('l') => view.column = (view.column + 1).min(columns.saturating_sub(2)),
        KeyCode::Left | KeyCode::Char('h') => view.column = view.column.saturating_sub(1),
        KeyCode::Char('/') => view.typed = Some(view.filter.clone()),
        KeyCode::Char('o') => {
            view.side = if view.side == Side::Live { Side::Backup } else { Side::Live };
            view.clear();
            return load(model);
        }
        KeyCode::Esc if !view.filter.is_empty() => {
            view.filter.clear();
            view.clear();
            return load(model);
        }
        KeyCode::Esc | KeyCode::Char('q' | 'v') => {
            close(model);
            return vec![Effect::StopRows];
        }
        _ => {}
    }
    Vec::new()
}

fn type_filter(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let Some(view) = shown(model) else { return Vec::new() };
    let Some(typed) = &mut view.typed else { return Vec::new() };
    match key.code {
        KeyCode::Enter => {
            view.filter = view.typed.take().unwrap_or_default();
            view.clear();
            return load(model);
        }
        KeyCode::Esc => view.typed = None,
        KeyCode::Backspace => drop(typed.pop()),
        KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => typed.clear(),
        KeyCode::Char(character)
            if !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT)
                && typed.chars().count() < LONGEST_FILTER =>
        {
            typed.push(character);
        }
        _ => {}
    }
    Vec::new()
}
