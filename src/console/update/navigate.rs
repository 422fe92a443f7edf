//! Moving about.

use tui_logger::TuiWidgetEvent;

use super::super::{
    action::ActionId,
    message::Effect,
    model::{Model, Pane},
    view,
};
use crate::entity::Entity;

/// Lines that a page key moves.
const PAGE: usize = 8;

/// Whether it goes down, and how far.
pub(super) fn motion(action: ActionId) -> Option<(bool, usize)> {
    match action {
        ActionId::Up => Some((false, 1)),
        ActionId::Down => Some((true, 1)),
        ActionId::PageUp => Some((false, PAGE)),
        ActionId::PageDown => Some((true, PAGE)),
        ActionId::Top => Some((false, usize::MAX)),
        ActionId::Bottom => Some((true, usize::MAX)),
        _ => None,
    }
}

pub(super) fn moved(at: usize, down: bool, by: usize, last: usize) -> usize {
    if down { at.saturating_add(by).min(last) } else { at.saturating_sub(by) }
}

pub(super) fn turn(model: &mut Model, by: usize) {
    let at = Pane::ALL.iter().position(|pane| *pane == model.focus).unwrap_or_default();
    focus(model, Pane::ALL[(at + by) % Pane::ALL.len()]);
}

pub(super) fn focus(model: &mut Model, pane: Pane) {
    model.focus = pane;
    if pane != Pane::Entities {
        model.lower = pane;
    }
}

pub(super) fn step(model: &mut Model, down: bool, by: usize) -> Vec<Effect> {
    match model.focus {
        Pane::Entities => {
            let at = moved(model.selected.index(), down, by, Entity::ALL.len() - 1);
            if Entity::ALL[at] != model.selected {
                model.selected = Entity::ALL[at];
                model.detail_scroll = 0;
                return vec![Effect::LoadDetail(model.selected)];
            }
        }
        Pane::Detail => {
            let last = view::Areas::of(model, model.size).inside(Pane::Detail).map_or(0, |area| {
                view::detail::lines(model, area.width).len().saturating_sub(usize::from(area.height))
            });
            model.detail_scroll = moved(model.detail_scroll, down, by, last);
        }
        Pane::Runs => {
            model.selected_run = moved(model.selected_run, down, by, model.runs.len().saturating_sub(1));
        }
        Pane::Log => model.log.0.transition(match (down, by) {
            (true, usize::MAX) => TuiWidgetEvent::EscapeKey,
            (true, _) => TuiWidgetEvent::NextPageKey,
            (false, _) => TuiWidgetEvent::PrevPageKey,
        }),
    }
    Vec::new()
}

/// Marks the chosen entity or takes its mark away, and goes on to the next one.
pub(super) fn mark(model: &mut Model) -> Vec<Effect> {
    if !model.marks.remove(&model.selected) {
        model.marks.insert(model.selected);
    }
    step(model, true, 1)
}
