//! Keys while something lies on top.

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::{
    super::{
        action::{self, can_go_back_to},
        message::Effect,
        model::{Model, OwnRun, Tone, is_publishable},
        overlay::Overlay,
        view,
    },
    cleanup, close, diff, drop_questions, hold, navigate, others, quarantine, replay, rollback, rows, run, sync_form,
    triggers,
};

/// Gives `key` to the foremost overlay.
pub(super) fn key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let now = model.now.instant;
    let Some(top) = model.overlays.last() else { return Vec::new() };
    // What was typed before the question could be read is no answer to it.
    if top.asked().is_some_and(|asked| now.saturating_duration_since(asked) < model.key_guard) {
        return Vec::new();
    }
    if matches!(top, Overlay::Rows(_)) {
        return rows::key(model, key);
    }
    if matches!(top, Overlay::Quarantine(_))
        && let Some(effects) = quarantine::key(model, key)
    {
        return effects;
    }
    if scroll(model, key) {
        return diff::load_ahead(model);
    }
    match model.overlays.last() {
        None | Some(Overlay::Quarantine(_) | Overlay::Rows(_)) => {}
        Some(Overlay::Rollback(_)) => return rollback::key(model, key),
        Some(Overlay::Replay(_)) => return replay::key(model, key),
        Some(Overlay::SyncHeld { .. }) => return hold::sync_key(model, key),
        Some(Overlay::SyncWith(_)) => return sync_form::key(model, key),
        Some(Overlay::HoldReason { .. }) => return hold::reason_key(model, key),
        Some(Overlay::Release { .. }) => return hold::release_key(model, key),
        Some(Overlay::Cleanup { .. }) => return cleanup::key(model, key),
        Some(Overlay::Diff(_)) => return diff::key(model, key),
        Some(Overlay::Triggers(_)) => return triggers::key(model, key),
        Some(Overlay::Run { .. }) => return run_key(model, key),
        Some(Overlay::Cancel(_)) => return others::cancel_key(model, key),
        Some(Overlay::Quit { .. }) => return quit_key(model, key),
        Some(Overlay::Help { .. } | Overlay::Text { .. }) => close(model),
    }
    Vec::new()
}

/// Scrolls what can be scrolled.
fn scroll(model: &mut Model, key: KeyEvent) -> bool {
    let last = view::overlay::last_scroll(model, model.size);
    let Some((down, by)) = action::find(key).and_then(|action| navigate::motion(action.id)) else { return false };
    let Some(scroll) = model.overlays.last_mut().and_then(Overlay::scroll_mut) else { return false };
    *scroll = navigate::moved(*scroll, down, by, last);
    true
}

/// What can be done with the run that is shown.
fn run_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let Some(Overlay::Run { report, .. }) = model.overlays.last() else { return Vec::new() };
    let (summary, in_the_way) = (report.run.clone(), model.in_the_way());
    let free = in_the_way.is_none();
    match key.code {
        KeyCode::Char('d') => return diff::open_run(model, &summary),
        KeyCode::Char('p') if free && is_publishable(summary.outcome, summary.replay) => {
            leave_run(model);
            return vec![Effect::PlanPublish(summary.id)];
        }
        KeyCode::Char('b') if free && can_go_back_to(&summary) => {
            leave_run(model);
            return run::prepare_go_back(model, summary.id);
        }
        // One step beside a key that works here is no wish to leave.
        KeyCode::Char('p' | 'b') => {
            if let Some(reason) = in_the_way {
                model.say(Tone::Plain, reason);
            }
        }
        _ => close(model),
    }
    Vec::new()
}

/// Makes room for a question about the run that is shown, also where it was opened from a list.
fn leave_run(model: &mut Model) {
    close(model);
    drop_questions(model, |overlay| matches!(overlay, Overlay::Triggers(_)));
}

/// What becomes of the run when the operator leaves.
fn quit_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    close(model);
    match key.code {
        KeyCode::Char('w') => {
            model.quit_after_run = true;
            model.say(Tone::Plain, "the console closes when the run has ended");
        }
        KeyCode::Char('x') => {
            model.quit_after_run = true;
            model.own_run = OwnRun::Cancelling;
            return vec![Effect::Cancel];
        }
        _ => {}
    }
    Vec::new()
}
