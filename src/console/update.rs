//! What becomes of the model when something happens, and what is asked for in turn. No I/O here.

mod cleanup;
mod diff;
mod hold;
mod navigate;
mod others;
mod overlay;
mod quarantine;
mod replay;
mod rollback;
mod rows;
mod run;
mod sync_form;
mod triggers;

use ratatui::{
    crossterm::event::{Event, KeyCode, KeyEventKind},
    layout::Size,
};
use unicode_width::UnicodeWidthStr;

use super::{
    action::{self, Action, ActionId},
    message::{Answer, Effect, Message, Moment},
    model::{Model, OwnRun, Pane, Tone, Watched},
    overlay::Overlay,
};
use crate::{report::RunSummary, sync::Observed};

/// What is asked for when the console opens.
#[must_use]
pub fn opening(model: &mut Model) -> Vec<Effect> {
    let mut effects = reload(model);
    effects.extend([Effect::Watch, Effect::CatchUp]);
    effects
}

fn reload(model: &mut Model) -> Vec<Effect> {
    model.freshness.begin(model.now.instant);
    let mut effects = vec![Effect::LoadStatus, Effect::LoadRuns, Effect::LoadDetail(model.selected)];
    effects.extend(triggers::load(model));
    effects
}

/// Takes one message in.
pub fn update(model: &mut Model, message: Message, now: Moment) -> Vec<Effect> {
    model.dirty |= model.ages_before(now.time) || is_news(model, &message);
    model.now = now;
    match message {
        Message::Input(event) => return input(model, &event),
        Message::Logged => {}
        Message::Tick => return tick(model),
        Message::Status(answer) => {
            model.freshness.answered();
            match answer {
                Ok(status) => others::take_status(model, status),
                Err(error) => model.status_error = Some(error),
            }
            if model.freshness.is_due(now.instant) {
                return reload(model);
            }
        }
        Message::Runs(answer) => {
            if let Some(runs) = or_say(model, answer) {
                take_runs(model, runs);
            }
        }
        // An answer that was overtaken by another choice must not displace the one that came before it.
        Message::Detail(entity, _) if entity != model.selected => {}
        Message::Detail(entity, answer) => {
            if let Some(detail) = or_say(model, answer) {
                model.detail = Some((entity, detail));
                diff::add_snapshots(model);
            }
        }
        Message::Run(answer) => run::read(model, answer),
        Message::Event(record) => run::event(model, record),
        Message::RunEnded(answer) => return run::ended(model, answer),
        Message::Observed(observed) => return others::observed(model, observed),
        Message::Unseen { error, over } => others::unseen(model, &error, over),
        Message::Untold(reports) => others::untold(model, &reports),
        Message::CancelAnswered(run, answer) => return others::cancel_answered(model, run, answer),
        Message::PublishPlanned(answer) => return replay::planned(model, answer),
        Message::HoldChanged(answer) => return hold::changed(model, answer),
        Message::RollbackPlanned(answer) => rollback::planned(model, answer),
        Message::RolledBack(answer) => return rollback::done(model, answer),
        Message::CleanupPlanned(answer) => cleanup::planned(model, answer),
        Message::CleanedUp(answer) => return cleanup::done(model, answer),
        Message::Diff(request, answer) => diff::loaded(model, request, answer),
        Message::Rows(request, answer) => return rows::loaded(model, request, answer),
        Message::Quarantine(request, answer) => quarantine::loaded(model, request, answer),
        Message::Triggers(request, answer) => triggers::loaded(model, request, answer),
        Message::Exported(answer) => quarantine::exported(model, answer),
    }
    Vec::new()
}

/// Whether `message` may change what is shown. That something changed is no news before it is read, and what was read
/// again is mostly the same.
fn is_news(model: &Model, message: &Message) -> bool {
    match message {
        Message::Observed(Observed::Changed) => false,
        // How long it takes is shown to the second.
        Message::Tick => model.is_run_going(),
        Message::Untold(reports) => !reports.is_empty(),
        Message::Status(Ok(status)) => model.status.as_ref() != Some(&**status) || model.status_error.is_some(),
        Message::Status(Err(error)) => model.status_error.as_ref() != Some(error),
        Message::Runs(Ok(runs)) => model.runs != *runs,
        Message::Detail(entity, Ok(detail)) => {
            model.detail.as_ref().is_none_or(|(of, shown)| of != entity || shown != detail)
        }
        Message::Triggers(_, answer) => triggers::is_news(model, answer),
        _ => true,
    }
}

/// Time went by.
fn tick(model: &mut Model) -> Vec<Effect> {
    if model.freshness.is_due(model.now.instant) {
        return reload(model);
    }
    // While nothing of ours goes on, someone else may have changed what is shown.
    let unseen = model.own_run == OwnRun::None && model.in_flight.is_none();
    match model.watched {
        Watched::Yes => Vec::new(),
        _ if !unseen => Vec::new(),
        Watched::Failing => reload(model),
        Watched::Ended => {
            let mut effects = reload(model);
            effects.push(Effect::Watch);
            effects
        }
    }
}

fn take_runs(model: &mut Model, runs: Vec<RunSummary>) {
    // The choice stays with its run, unless it was the newest one.
    let chosen = model.runs.get(model.selected_run).filter(|_| model.selected_run > 0).map(|run| run.id);
    model.selected_run = chosen.and_then(|id| runs.iter().position(|run| run.id == id)).unwrap_or_default();
    model.runs = runs;
}

fn or_say<T>(model: &mut Model, answer: Answer<T>) -> Option<T> {
    answer.map_err(|error| model.say(Tone::Bad, error)).ok()
}

/// Says what went wrong; in full, when that takes more than the line for it.
fn tell(model: &mut Model, title: &str, error: String) {
    if error.width() >= usize::from(model.size.width) && model.overlays.is_empty() {
        model.overlays.push(Overlay::Text { title: title.to_owned(), text: error.clone(), scroll: 0 });
    }
    model.say(Tone::Bad, error);
}

/// Puts up a question, unless something lies on top already: the answer to one must not be taken for that to another.
fn ask(model: &mut Model, overlay: Overlay) {
    if model.overlays.is_empty() {
        model.overlays.push(overlay);
    }
}

/// The same, but the question waits until nothing lies on top any more.
fn ask_when_free(model: &mut Model, overlay: Overlay) {
    if model.overlays.is_empty() {
        model.overlays.push(overlay);
    } else {
        model.waiting = Some(overlay);
    }
}

/// Takes questions away whose subject is gone.
fn drop_questions(model: &mut Model, is_gone: impl Fn(&Overlay) -> bool) {
    let count = model.overlays.len();
    model.overlays.retain(|overlay| !is_gone(overlay));
    if model.overlays.len() < count {
        come_to_front(model);
    }
}

/// Takes the foremost overlay away. A question that comes to the front is asked anew.
fn close(model: &mut Model) {
    model.overlays.pop();
    come_to_front(model);
}

fn come_to_front(model: &mut Model) {
    if model.overlays.is_empty() {
        model.overlays.extend(model.waiting.take());
    }
    if let Some(top) = model.overlays.last_mut() {
        top.ask_again(model.now.instant);
    }
}

fn input(model: &mut Model, event: &Event) -> Vec<Effect> {
    if let Event::Resize(width, height) = event {
        model.size = Size::new(*width, *height);
    }
    let Event::Key(key) = event else { return Vec::new() };
    if key.kind == KeyEventKind::Release {
        model.dirty = false;
        return Vec::new();
    }
    if !model.overlays.is_empty() {
        return overlay::key(model, *key);
    }
    model.notice = None;
    if let Some(action) = action::find(*key) {
        return perform(model, action);
    }
    if !matches!(key.code, KeyCode::Modifier(_) | KeyCode::Esc) {
        model.say(Tone::Plain, "that key does nothing; ? lists the keys");
    }
    Vec::new()
}

/// Does `action`, or says why it cannot be done.
pub fn perform(model: &mut Model, action: &Action) -> Vec<Effect> {
    if let Err(reason) = (action.enabled)(model) {
        model.say(Tone::Plain, format!("{}: {reason}", action.label));
        return Vec::new();
    }
    if let Some((down, by)) = navigate::motion(action.id) {
        return navigate::step(model, down, by);
    }
    match action.id {
        ActionId::Sync => return hold::sync(model),
        ActionId::Cancel if model.own_run == OwnRun::None => others::ask_cancel(model),
        ActionId::Cancel => {
            model.own_run = OwnRun::Cancelling;
            model.say(Tone::Plain, "the run is being cancelled; everything stays as it was");
            return vec![Effect::Cancel];
        }
        ActionId::SyncWith => sync_form::open(model),
        ActionId::Publish => return model.publishable().map(|(run, _)| Effect::PlanPublish(run)).into_iter().collect(),
        ActionId::Rollback => return rollback::plan(model),
        ActionId::GoBack => {
            let chosen = model.chosen_run().map(|run| run.id);
            return chosen.map_or_else(Vec::new, |run| run::prepare_go_back(model, run));
        }
        ActionId::Hold => hold::ask(model),
        ActionId::Diff => return diff::open_chosen(model),
        ActionId::Rows => return rows::open(model),
        ActionId::Quarantine => return quarantine::open(model),
        ActionId::Triggers => return triggers::open(model),
        ActionId::Mark => return navigate::mark(model),
        ActionId::Cleanup => return vec![Effect::PlanCleanup],
        ActionId::NextPane => navigate::turn(model, 1),
        ActionId::PreviousPane => navigate::turn(model, Pane::ALL.len() - 1),
        ActionId::Open => match model.focus {
            Pane::Runs => {
                return model.runs.get(model.selected_run).map(|run| Effect::LoadRun(run.id)).into_iter().collect();
            }
            Pane::Entities => navigate::focus(model, Pane::Detail),
            Pane::Detail | Pane::Log => {}
        },
        ActionId::Refresh => {
            let mut effects = reload(model);
            effects.push(Effect::Redraw);
            return effects;
        }
        ActionId::Help => model.overlays.push(Overlay::Help { scroll: 0 }),
        ActionId::Quit => {
            if let Some(doing) = model.in_flight {
                model.say(Tone::Plain, format!("still {doing}; q leaves when that is done"));
                return Vec::new();
            }
            if model.own_run == OwnRun::None {
                return vec![Effect::Quit];
            }
            model.overlays.push(Overlay::Quit { asked: model.now.instant });
        }
        // Motions were made above.
        ActionId::Up | ActionId::Down | ActionId::PageUp | ActionId::PageDown | ActionId::Top | ActionId::Bottom => {}
    }
    Vec::new()
}
