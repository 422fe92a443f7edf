//! A run with options.

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::{
    super::{
        message::Effect,
        model::{Model, Tone},
        overlay::{Overlay, SyncForm},
    },
    close, run,
};

/// Asks what the run is about.
pub(super) fn open(model: &mut Model) {
    let form = SyncForm::new(model.marked(), model.hold().cloned(), model.now.instant);
    model.overlays.push(Overlay::SyncWith(Box::new(form)));
}

/// A choice, the start, or no.
pub(super) fn key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let Some(Overlay::SyncWith(form)) = model.overlays.last_mut() else { return Vec::new() };
    match key.code {
        KeyCode::Char('w') if !form.marked.is_empty() => form.related = !form.related,
        KeyCode::Char('f') => form.force = !form.force,
        KeyCode::Char('p') => form.partial = !form.partial,
        KeyCode::Char('d') => form.dry_run = !form.dry_run,
        KeyCode::Char('u') if form.hold.is_some() => form.release = !form.release,
        KeyCode::Enter => {
            let options = form.options();
            close(model);
            if let Some(reason) = model.in_the_way() {
                model.say(Tone::Bad, format!("no run was started: {reason}"));
                return Vec::new();
            }
            model.marks.clear();
            return run::start(model, options);
        }
        KeyCode::Esc | KeyCode::Char('q' | 'n' | 'c') => {
            close(model);
            model.say(Tone::Plain, "no run was started");
        }
        _ => {}
    }
    Vec::new()
}
