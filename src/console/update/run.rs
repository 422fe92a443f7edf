//! Our run: how it begins, goes on and ends.

use super::{
    super::{
        message::{Answer, Effect},
        model::{AfterRun, KEPT_EVENTS, Model, OwnRun, Tone},
        overlay::{Overlay, ReplayQuestion, release},
        sentence,
    },
    ask, ask_when_free, drop_questions, reload, tell,
};
use crate::{
    green::HoldRule,
    ops::{ReplayOptions, SyncOptions},
    report::{HoldReport, Replay, RunId, RunOutcome, RunReport, SyncReport},
    sync::{EventRecord, RunEvent, RunState},
};

/// Starts a run that fetches.
pub(super) fn start(model: &mut Model, options: SyncOptions) -> Vec<Effect> {
    begin(model, "the run begins", None);
    vec![Effect::Sync(Box::new(options))]
}

/// Starts a run from staged snapshots.
pub(super) fn start_replay(model: &mut Model, options: ReplayOptions, sentence: &str) -> Vec<Effect> {
    begin(model, sentence, None);
    vec![Effect::Replay(Box::new(options))]
}

/// Prepares the rows of a held run again, as something was published since, to ask by figures that hold now.
pub(super) fn prepare_publish(model: &mut Model, run: RunId, hold: Option<&HoldReport>) -> Vec<Effect> {
    let sentence = format!("something was published since run {run}: its rows are prepared again to see what changes");
    begin(model, &sentence, Some(AfterRun::AskPublish));
    vec![dry_run(run, Replay::Publish, release(hold))]
}

/// Prepares the rows of an older run again, to ask by its figures whether to go back to it.
pub(super) fn prepare_go_back(model: &mut Model, run: RunId) -> Vec<Effect> {
    let sentence = format!("the rows of run {run} are prepared again to see what going back to it changes");
    begin(model, &sentence, Some(AfterRun::AskGoBack(run)));
    vec![dry_run(run, Replay::Rollback, HoldRule::Ignore)]
}

fn dry_run(run: RunId, replay: Replay, hold: HoldRule) -> Effect {
    Effect::Replay(Box::new(ReplayOptions { run, replay, dry_run: true, accept: Vec::new(), expected: None, hold }))
}

fn begin(model: &mut Model, sentence: &str, after: Option<AfterRun>) {
    model.own_run = OwnRun::Going;
    model.after_run = after;
    model.waiting = None;
    model.say(Tone::Plain, sentence);
}

/// Our run goes on.
pub(super) fn event(model: &mut Model, record: EventRecord) {
    if let RunEvent::Started { based_on, .. } = &record.event {
        model.based_on = *based_on;
        // What a dry run is for stays to be read while it goes on.
        if model.after_run.is_none() {
            model.notice = None;
        }
    }
    show(model, record);
}

/// Shows a run as it is after an event of it, be it ours or another process's. The newest one is shown.
pub(super) fn show(model: &mut Model, record: EventRecord) {
    let shown = model.run.as_ref().map(|run| run.run);
    match RunState::begin(&record) {
        Some(begun) if shown.is_none_or(|shown| shown <= record.run) => {
            model.run = Some(begun);
            model.events.clear();
            model.restored.clear();
        }
        None if shown == Some(record.run) => {
            if let Some(run) = &mut model.run {
                run.apply(&record);
            }
        }
        _ => return,
    }
    if !record.event.is_passing() {
        if model.events.len() == KEPT_EVENTS {
            model.events.remove(0);
        }
        model.events.push(record);
    }
}

/// Shows one run in full; above the list of triggers, when it was opened from there.
pub(super) fn read(model: &mut Model, answer: Answer<RunReport>) {
    let is_from_list = matches!(model.overlays.last(), Some(Overlay::Triggers(_)));
    let overlay = match answer {
        Ok(report) => Overlay::Run { report: Box::new(report), scroll: 0 },
        // The line for notices may be covered by the list.
        Err(text) if is_from_list => Overlay::Text { title: "The run cannot be shown".to_owned(), text, scroll: 0 },
        Err(error) => {
            model.say(Tone::Bad, error);
            return;
        }
    };
    if is_from_list {
        model.overlays.push(overlay);
    } else {
        ask(model, overlay);
    }
}

/// Our run ended, or could not begin.
pub(super) fn ended(model: &mut Model, answer: Answer<SyncReport>) -> Vec<Effect> {
    model.own_run = OwnRun::None;
    drop_questions(model, |overlay| matches!(overlay, Overlay::Quit { .. }));
    let after = model.after_run.take();
    let mut effects = Vec::new();
    match answer {
        Ok(report) => {
            let (tone, sentence) = sentence::end(&format!("run {}", report.run.id), &report);
            if report.run.replay_of.is_some() && report.run.outcome == Some(RunOutcome::Failed) {
                tell(model, "The replay failed", sentence);
            } else {
                model.say(tone, sentence);
            }
            if let Some(after) = after.filter(|_| !model.quit_after_run) {
                effects.extend(follow(model, after, report));
            }
        }
        Err(error) => {
            // What was told of it is not how it ended.
            model.run = model.run.take().filter(|run| !model.is_own(run));
            tell(model, "The run could not begin", error);
        }
    }
    if model.quit_after_run {
        return vec![Effect::Quit];
    }
    effects.extend(reload(model));
    effects
}

/// Asks what the dry run was begun for.
fn follow(model: &mut Model, after: AfterRun, report: SyncReport) -> Option<Effect> {
    match (after, report.run.outcome) {
        (AfterRun::AskPublish, Some(RunOutcome::Prepared | RunOutcome::Held)) => {
            model.notice = None;
            return Some(Effect::PlanPublish(report.run.id));
        }
        (AfterRun::AskPublish, Some(RunOutcome::Unchanged)) => {
            model.say(Tone::Plain, "what that run prepared is live already; there is nothing to publish");
        }
        (AfterRun::AskGoBack(run), Some(RunOutcome::Prepared | RunOutcome::Held)) => {
            let (hold, newest, asked) = (model.hold().cloned(), model.based_on, model.now.instant);
            model.notice = None;
            let question = ReplayQuestion::go_back(run, report, hold, newest, asked);
            ask_when_free(model, Overlay::Replay(Box::new(question)));
        }
        (AfterRun::AskGoBack(run), Some(RunOutcome::Unchanged)) => {
            let text = format!("what was live after run {run} is live now; there is nothing to go back to");
            model.say(Tone::Plain, text);
        }
        _ => {}
    }
    None
}
