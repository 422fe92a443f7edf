//! What becomes of the model when something happens, and what is asked for in turn. No I/O here.

use ratatui::{
    crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    layout::Size,
};
use tui_logger::TuiWidgetEvent;

use super::{
    action::{self, Action, ActionId},
    cell,
    message::{Answer, Effect, Message, Moment},
    model::{KEPT_EVENTS, Model, OwnRun, Pane, Tone},
    overlay::Overlay,
    view,
};
use crate::{
    entity::Entity,
    report::{CleanupReport, PublicationKind, RollbackPlan, RollbackReport, RunOutcome, SyncReport},
    sync::{EventRecord, RunState},
    text,
};

/// Lines that a page key moves.
const PAGE: usize = 8;

/// What is asked for when the console opens.
#[must_use]
pub fn opening(model: &Model) -> Vec<Effect> {
    vec![Effect::LoadStatus, Effect::LoadRuns, Effect::LoadDetail(model.selected)]
}

/// Takes one message in.
pub fn update(model: &mut Model, message: Message, now: Moment) -> Vec<Effect> {
    model.now = now;
    model.dirty = true;
    match message {
        Message::Input(event) => input(model, &event),
        Message::Logged => Vec::new(),
        // While nothing of ours goes on, someone else may have changed what is shown.
        Message::Tick if model.is_busy() => Vec::new(),
        Message::Tick => vec![Effect::LoadStatus, Effect::LoadRuns],
        Message::Status(answer) => {
            match answer {
                Ok(status) => {
                    model.status = Some(*status);
                    model.status_error = None;
                }
                Err(error) => model.status_error = Some(error),
            }
            Vec::new()
        }
        Message::Runs(answer) => {
            if let Some(runs) = or_say(model, answer) {
                // The choice stays with its run, unless it was the newest one.
                let chosen = model.runs.get(model.selected_run).filter(|_| model.selected_run > 0).map(|run| run.id);
                model.selected_run = chosen.and_then(|id| runs.iter().position(|run| run.id == id)).unwrap_or_default();
                model.runs = runs;
            }
            Vec::new()
        }
        // An answer that was overtaken by another choice must not displace the one that came before it.
        Message::Detail(entity, _) if entity != model.selected => Vec::new(),
        Message::Detail(entity, answer) => {
            if let Some(detail) = or_say(model, answer) {
                model.detail = Some((entity, detail));
            }
            Vec::new()
        }
        Message::Run(answer) => {
            if let Some(report) = or_say(model, answer)
                && model.overlays.is_empty()
            {
                model.overlays.push(Overlay::Run { report: Box::new(report), scroll: 0 });
            }
            Vec::new()
        }
        Message::Event(record) => event(model, record),
        Message::SyncEnded(answer) => sync_ended(model, answer),
        Message::RollbackPlanned(answer) => {
            if let Some(plan) = or_say(model, answer) {
                ask_rollback(model, plan);
            }
            Vec::new()
        }
        Message::RolledBack(answer) => rolled_back(model, answer),
        Message::CleanupPlanned(answer) => {
            if let Some(plan) = or_say(model, answer) {
                ask_cleanup(model, plan);
            }
            Vec::new()
        }
        Message::CleanedUp(answer) => cleaned_up(model, answer),
    }
}

fn or_say<T>(model: &mut Model, answer: Answer<T>) -> Option<T> {
    answer.map_err(|error| model.say(Tone::Bad, error)).ok()
}

fn event(model: &mut Model, record: EventRecord) -> Vec<Effect> {
    if let Some(begun) = RunState::begin(&record) {
        model.run = Some(begun);
        model.notice = None;
        model.events.clear();
        model.restored.clear();
    } else if let Some(run) = &mut model.run {
        run.apply(&record);
    }
    if !record.event.is_passing() {
        if model.events.len() == KEPT_EVENTS {
            model.events.remove(0);
        }
        model.events.push(record);
    }
    Vec::new()
}

fn reload(model: &Model) -> Vec<Effect> {
    vec![Effect::LoadStatus, Effect::LoadRuns, Effect::LoadDetail(model.selected)]
}

fn sync_ended(model: &mut Model, answer: Answer<SyncReport>) -> Vec<Effect> {
    model.own_run = OwnRun::None;
    model.overlays.retain(|overlay| !matches!(overlay, Overlay::Quit { .. }));
    match answer {
        Ok(report) => {
            let (tone, sentence) = describe_end(&report);
            model.say(tone, sentence);
        }
        Err(error) => {
            // What was told of it is not how it ended.
            model.run = None;
            model.say(Tone::Bad, error);
        }
    }
    if model.quit_after_run {
        return vec![Effect::Quit];
    }
    reload(model)
}

fn describe_end(report: &SyncReport) -> (Tone, String) {
    let run = &report.run;
    let took = run.duration_ms.map(text::duration).unwrap_or_default();
    match run.outcome {
        Some(RunOutcome::Published) => {
            let published =
                report.entities.iter().filter(|step| step.outcome == Some(crate::report::StepOutcome::Published));
            (Tone::Good, format!("run {} published {} entities in {took}", run.id, published.count()))
        }
        Some(RunOutcome::Unchanged) => {
            (Tone::Good, format!("run {}: the source sent what is live already; nothing was switched", run.id))
        }
        outcome => {
            let word = outcome.map_or("ended", RunOutcome::word);
            let error = run.error.as_deref().unwrap_or("nothing was switched");
            (Tone::Bad, format!("run {} {word}: {error}", run.id))
        }
    }
}

fn ask_rollback(model: &mut Model, plan: RollbackPlan) {
    // One question at a time: the answer to one must not be taken for that to another.
    if !model.overlays.is_empty() {
        return;
    }
    let asked = model.now.instant;
    model.overlays.push(Overlay::Rollback { plan: Box::new(plan), asked, scroll: 0 });
}

fn rolled_back(model: &mut Model, answer: Answer<RollbackReport>) -> Vec<Effect> {
    model.in_flight = None;
    if let Some(report) = or_say(model, answer) {
        if model.own_run == OwnRun::None {
            model.run = None;
        }
        model.restored = report.entities.iter().map(|switch| switch.entity).collect();
        let took = text::duration(report.duration_ms);
        let undone = report.publication.undoes.unwrap_or_default();
        let count = report.entities.len();
        let text =
            format!("publication {undone} is taken back: {count} entities switched in {took}; r again undoes this");
        model.say(Tone::Good, text);
    }
    reload(model)
}

fn ask_cleanup(model: &mut Model, plan: CleanupReport) {
    if !model.overlays.is_empty() {
        return;
    }
    if plan.is_empty() {
        model.say(Tone::Plain, "there is nothing to clean up and no space to give back");
        return;
    }
    let asked = model.now.instant;
    model.overlays.push(Overlay::Cleanup { plan: Box::new(plan), asked, typed: String::new() });
}

fn cleaned_up(model: &mut Model, answer: Answer<CleanupReport>) -> Vec<Effect> {
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
        return overlay_key(model, *key);
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
    match action.id {
        ActionId::Sync => {
            model.own_run = OwnRun::Going;
            model.say(Tone::Plain, "the run begins");
            return vec![Effect::Sync];
        }
        ActionId::Cancel => {
            model.own_run = OwnRun::Cancelling;
            model.say(Tone::Plain, "the run is being cancelled; everything stays as it was");
            return vec![Effect::Cancel];
        }
        ActionId::Rollback => return vec![Effect::PlanRollback],
        ActionId::Cleanup => return vec![Effect::PlanCleanup],
        ActionId::Up => return step(model, false, 1),
        ActionId::Down => return step(model, true, 1),
        ActionId::PageUp => return step(model, false, PAGE),
        ActionId::PageDown => return step(model, true, PAGE),
        ActionId::Top => return step(model, false, usize::MAX),
        ActionId::Bottom => return step(model, true, usize::MAX),
        ActionId::NextPane => turn(model, 1),
        ActionId::PreviousPane => turn(model, Pane::ALL.len() - 1),
        ActionId::Open => match model.focus {
            Pane::Runs => {
                return model.runs.get(model.selected_run).map(|run| Effect::LoadRun(run.id)).into_iter().collect();
            }
            Pane::Entities => focus(model, Pane::Detail),
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
    }
    Vec::new()
}

fn turn(model: &mut Model, by: usize) {
    let at = Pane::ALL.iter().position(|pane| *pane == model.focus).unwrap_or_default();
    focus(model, Pane::ALL[(at + by) % Pane::ALL.len()]);
}

fn focus(model: &mut Model, pane: Pane) {
    model.focus = pane;
    if pane != Pane::Entities {
        model.lower = pane;
    }
}

fn moved(at: usize, down: bool, by: usize, last: usize) -> usize {
    if down { at.saturating_add(by).min(last) } else { at.saturating_sub(by) }
}

fn step(model: &mut Model, down: bool, by: usize) -> Vec<Effect> {
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

fn overlay_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let now = model.now.instant;
    let last = view::overlay::last_scroll(model, model.size);
    let Some(top) = model.overlays.last_mut() else { return Vec::new() };
    // What was typed before the question could be read is no answer to it.
    if top.asked().is_some_and(|asked| now.saturating_duration_since(asked) < model.key_guard) {
        return Vec::new();
    }
    if let Some(scroll) = top.scroll_mut() {
        let target = match action::find(key).map(|action| action.id) {
            Some(ActionId::Up) => Some(moved(*scroll, false, 1, last)),
            Some(ActionId::Down) => Some(moved(*scroll, true, 1, last)),
            Some(ActionId::PageUp) => Some(moved(*scroll, false, PAGE, last)),
            Some(ActionId::PageDown) => Some(moved(*scroll, true, PAGE, last)),
            Some(ActionId::Top) => Some(0),
            Some(ActionId::Bottom) => Some(last),
            _ => None,
        };
        if let Some(target) = target {
            *scroll = target;
            return Vec::new();
        }
    }
    match top {
        Overlay::Rollback { plan, .. } => {
            let (confirmed, plan) = (key.code == KeyCode::Char('Y'), plan.clone());
            model.overlays.pop();
            if confirmed {
                model.in_flight = Some("rolling back");
                model.say(Tone::Plain, "rolling back");
                return vec![Effect::Rollback(plan)];
            }
            model.say(Tone::Plain, "nothing was switched");
        }
        Overlay::Cleanup { typed, .. } => match key.code {
            KeyCode::Enter if typed == Overlay::CLEANUP_WORD => {
                model.overlays.pop();
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
                model.overlays.pop();
                model.say(Tone::Plain, "nothing was removed");
            }
        },
        Overlay::Quit { .. } => {
            let answer = key.code;
            model.overlays.pop();
            match answer {
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
        }
        Overlay::Help { .. } | Overlay::Run { .. } => drop(model.overlays.pop()),
    }
    Vec::new()
}

/// What a rollback would do, in one sentence.
#[must_use]
pub fn describe_plan(plan: &RollbackPlan) -> String {
    let Some(publication) = &plan.publication else { return "The named entities go back.".to_owned() };
    let made = match (publication.kind, publication.run, publication.undoes) {
        (PublicationKind::Rollback, _, Some(undoes)) => format!("a rollback of publication {undoes}"),
        (_, Some(run), _) => format!("run {run}"),
        _ => "an unknown run".to_owned(),
    };
    format!("Publication {} ({made}, by {}) is taken back.", publication.id, publication.operator)
}
