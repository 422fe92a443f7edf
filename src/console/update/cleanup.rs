//! Removing what is no longer needed.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    super::{
        cell,
        message::{Answer, Effect},
        model::{Model, Tone},
        overlay::Overlay,
    },
    ask, close, or_say, reload,
};
use crate::report::CleanupReport;

/// Asks by the figures of the plan.
pub(super) fn planned(model: &mut Model, answer: Answer<CleanupReport>) {
    let Some(plan) = or_say(model, answer) else { return };
    if plan.is_empty() {
        if model.overlays.is_empty() {
            model.say(Tone::Plain, "there is nothing to clean up and no space to give back");
        }
        return;
    }
    let asked = model.now.instant;
    ask(model, Overlay::Cleanup { plan: Box::new(plan), asked, typed: String::new() });
}

/// A key for the word, or no.
pub(super) fn key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let Some(Overlay::Cleanup { typed, .. }) = model.overlays.last_mut() else { return Vec::new() };
    match key.code {
        KeyCode::Enter if typed == Overlay::CLEANUP_WORD => {
            close(model);
            model.in_flight = Some("cleaning up");
            model.say(Tone::Plain, "cleaning up");
            return vec![Effect::Cleanup];
        }
        KeyCode::Char(character) if key.modifiers.difference(KeyModifiers::SHIFT).is_empty() => {
            if typed.len() < Overlay::CLEANUP_WORD.len() {
                typed.push(character);
            }
        }
        KeyCode::Backspace => drop(typed.pop()),
        _ => {
            close(model);
            model.say(Tone::Plain, "nothing was removed");
        }
    }
    Vec::new()
}

/// It was done, or refused.
pub(super) fn done(model: &mut Model, answer: Answer<CleanupReport>) -> Vec<Effect> {
    model.in_flight = None;
    if let Some(report) = or_say(model, answer) {
        let freed = cell::compact(report.bytes_before.saturating_sub(report.bytes_after));
        let (snapshots, leftovers, runs) = (report.snapshots.len(), report.leftovers.len(), report.runs);
        let text = format!(
            "cleaned up: {snapshots} snapshots, {leftovers} leftover tables and {runs} runs removed, {freed} bytes given back"
        );
        model.say(Tone::Good, text);
    }
    reload(model)
}
