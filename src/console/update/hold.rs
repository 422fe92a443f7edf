//! The hold, and what a run does with it.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    super::{
        message::{Answer, Effect},
        model::{Model, Tone},
        overlay::{Overlay, release},
    },
    close, reload, run,
};
use crate::{
    green::HoldRule,
    ops::SyncOptions,
    report::{HoldChange, Trigger},
    text,
};

/// Asks why the hold is to be set, or whether it is to be released.
pub(super) fn ask(model: &mut Model) {
    let asked = model.now.instant;
    let overlay = match model.hold().cloned() {
        Some(hold) => Overlay::Release { hold, asked },
        None => Overlay::HoldReason { typed: String::new() },
    };
    model.overlays.push(overlay);
}

/// Starts a run; under a hold it asks first what becomes of that.
pub(super) fn sync(model: &mut Model) -> Vec<Effect> {
    match model.hold().cloned() {
        Some(hold) => {
            model.overlays.push(Overlay::SyncHeld { hold, asked: model.now.instant });
            Vec::new()
        }
        None => run::start(model, SyncOptions::full(Trigger::Console)),
    }
}

/// The answer to what a run does with the hold.
pub(super) fn sync_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let shown = match model.overlays.last() {
        Some(Overlay::SyncHeld { hold, .. }) => Some(hold.clone()),
        _ => None,
    };
    close(model);
    let hold = match key.code {
        KeyCode::Char('k') => HoldRule::Obey,
        KeyCode::Char('u') => release(shown.as_ref()),
        _ => {
            model.say(Tone::Plain, "no run was started");
            return Vec::new();
        }
    };
    if let Some(reason) = model.in_the_way() {
        model.say(Tone::Bad, format!("no run was started: {reason}"));
        return Vec::new();
    }
    run::start(model, SyncOptions { hold, ..SyncOptions::full(Trigger::Console) })
}

/// A key for the line in which the reason is typed.
pub(super) fn reason_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let Some(Overlay::HoldReason { typed }) = model.overlays.last_mut() else { return Vec::new() };
    match key.code {
        KeyCode::Enter => {
            let reason = typed.trim();
            let reason = if reason.is_empty() { Overlay::DEFAULT_REASON } else { reason }.to_owned();
            close(model);
            model.in_flight = Some("setting the hold");
            return vec![Effect::Hold(reason)];
        }
        KeyCode::Backspace => drop(typed.pop()),
        KeyCode::Char(character) if key.modifiers.difference(KeyModifiers::SHIFT).is_empty() => {
            let fits = typed.len() + character.len_utf8() <= Overlay::LONGEST_REASON;
            typed.extend(Some(character).filter(|character| fits && !text::is_harmful(*character)));
        }
        KeyCode::Esc | KeyCode::Char('c') => {
            close(model);
            model.say(Tone::Plain, "the hold was not set");
        }
        _ => {}
    }
    Vec::new()
}

/// The answer to whether the hold is to be released.
pub(super) fn release_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let shown = match model.overlays.last() {
        Some(Overlay::Release { hold, .. }) => Some(Box::new(hold.clone())),
        _ => None,
    };
    close(model);
    if let (KeyCode::Char('Y'), Some(hold)) = (key.code, shown) {
        model.in_flight = Some("releasing the hold");
        return vec![Effect::Release(hold)];
    }
    model.say(Tone::Plain, "the hold stays");
    Vec::new()
}

/// The hold was set or released.
pub(super) fn changed(model: &mut Model, answer: Answer<HoldChange>) -> Vec<Effect> {
    model.in_flight = None;
    match answer {
        Ok(change) => {
            let sentence = match (change.changed, &change.hold) {
                (true, Some(_)) => {
                    "the hold is set: runs fetch and prepare, and publish nothing until H releases it".to_owned()
                }
                (false, Some(hold)) => format!("it was set already, {hold}"),
                (true, None) => "the hold is released; runs publish again".to_owned(),
                (false, None) => "no hold was set any more".to_owned(),
            };
            if let Some(status) = &mut model.status {
                status.hold = change.hold;
            }
            model.say(if change.changed { Tone::Good } else { Tone::Plain }, sentence);
        }
        Err(error) => model.say(Tone::Bad, error),
    }
    reload(model)
}
