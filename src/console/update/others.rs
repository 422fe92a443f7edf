//! What other processes do: their runs as they go on, and that something else changed.

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::{
    super::{
        message::{Answer, Effect},
        model::{Model, OtherRun, OwnRun, Tone, Watched, name_of},
        overlay::{CancelQuestion, Overlay},
        sentence,
    },
    close, drop_questions, reload, run, tell,
};
use crate::{
    green::SILENCE,
    report::{CancelReport, PublicationId, PublicationKind, RunId, RunOutcome, RunReport, StatusReport},
    sync::{EventRecord, Observed, RunEvent, RunState},
    text,
};

/// Something was seen of another process.
pub(super) fn observed(model: &mut Model, observed: Observed) -> Vec<Effect> {
    if model.watched != Watched::Yes {
        model.watched = Watched::Yes;
    }
    match observed {
        Observed::Event(record) => return event(model, record),
        Observed::Answers { run, answers } => {
            let silent_since = model.now.time.saturating_sub(SILENCE).ok().filter(|_| !answers);
            if let Some(other) = model.other.as_mut().filter(|other| other.run == run) {
                other.silent_since = silent_since;
            }
        }
        Observed::Died(run) => return died(model, run),
        Observed::Changed => return changed(model),
    }
    Vec::new()
}

/// What is shown is to be read again, though not at once when it was read a moment ago.
pub(super) fn changed(model: &mut Model) -> Vec<Effect> {
    if model.freshness.changed(model.now.instant) { reload(model) } else { Vec::new() }
}

/// What other processes do cannot be seen; told once.
pub(super) fn unseen(model: &mut Model, error: &str, over: bool) {
    if model.watched == Watched::Yes {
        let text = format!("what others do is seen within a minute only, Ctrl-L reads it now: {error}");
        model.say(Tone::Bad, text);
    }
    model.watched = if over { Watched::Ended } else { Watched::Failing };
}

/// Takes the state of the database in.
pub(super) fn take_status(model: &mut Model, status: Box<StatusReport>) {
    let newest = |status: &StatusReport| -> Option<PublicationId> { Some(status.publication.as_ref()?.id) };
    if let Some(before) = &model.status
        && newest(before) != newest(&status)
    {
        published(model, &status);
    }
    // What is known of a run from its events is newer than this.
    let from_events = model.watched == Watched::Yes && model.going().is_some_and(|run| !model.is_own(run));
    if !from_events {
        let shown = model.run.as_ref().map(|run| run.run);
        let running = status.running.as_ref().filter(|run| run.operator != model.operator);
        let running = running.filter(|run| model.watched != Watched::Yes || shown.is_none_or(|shown| shown < run.id));
        model.other = running.map(OtherRun::recorded);
    }
    model.status = Some(*status);
    model.status_error = None;
}

/// Something was published since the state was read before.
fn published(model: &mut Model, status: &StatusReport) {
    let Some(publication) = status.publication.as_ref().filter(|one| one.operator != model.operator) else { return };
    // What a rollback made names the run that it took back.
    let took_back = publication.kind == PublicationKind::Rollback && publication.replay_of.is_none();
    // Where a run that ended had brought things is not where they are now.
    if let Some(run) = &model.run
        && run.outcome.is_some()
        && (took_back || publication.run != Some(run.run))
    {
        model.run = None;
    }
    model.restored.clear();
    if took_back {
        let what = publication.undoes.map_or_else(|| "some entities".to_owned(), |id| format!("publication {id}"));
        let who = text::clean(&publication.operator.to_string()).into_owned();
        model.say(Tone::Plain, format!("{who} took {what} back"));
    }
}

fn event(model: &mut Model, record: EventRecord) -> Vec<Effect> {
    let ended = matches!(record.event, RunEvent::Ended { .. }).then_some(record.run);
    if let Some(begun) = RunState::begin(&record) {
        model.other = Some(OtherRun::begun(&begun));
    } else if let (RunEvent::CancelAsked { .. }, Some(other)) = (&record.event, &mut model.other) {
        other.asked |= other.run == record.run;
    }
    run::show(model, record);
    ended.map_or_else(Vec::new, |run| end(model, run))
}

fn goes_on(model: &Model, run: RunId) -> bool {
    model.other.as_ref().is_some_and(|other| other.run == run)
}

/// Settles the steps of a run whose last event did not come.
fn settle(model: &mut Model, run: RunId, outcome: RunOutcome) {
    if let Some(state) = model.run.as_mut().filter(|state| state.run == run) {
        let event = RunEvent::Ended { outcome, error: None };
        state.apply(&EventRecord { run, seq: u64::MAX, at: model.now.time, event });
    }
}

/// A run of another process ended.
fn end(model: &mut Model, run: RunId) -> Vec<Effect> {
    // What was told already, in answer to its cancel, is not told again.
    let Some(state) = model.run.as_ref().filter(|state| state.run == run && goes_on(model, run)) else {
        forget(model, run);
        return changed(model);
    };
    let name = name_of(run, &state.asker());
    let (tone, sentence) = if state.outcome == Some(RunOutcome::Interrupted) {
        (Tone::Bad, sentence::died(&name))
    } else {
        sentence::end(&name, &state.report())
    };
    forget(model, run);
    model.say(tone, sentence);
    changed(model)
}

/// The process of a run died.
fn died(model: &mut Model, run: RunId) -> Vec<Effect> {
    settle(model, run, RunOutcome::Interrupted);
    if let Some(other) = model.other.as_ref().filter(|other| other.run == run) {
        let sentence = sentence::died(&other.name());
        forget(model, run);
        model.say(Tone::Bad, sentence);
    }
    let mut effects = vec![Effect::Recover];
    effects.extend(changed(model));
    effects
}

/// The run does not go on any more.
fn forget(model: &mut Model, run: RunId) {
    if goes_on(model, run) {
        model.other = None;
    }
    if let Some(status) = &mut model.status {
        status.running = status.running.take().filter(|running| running.id != run);
    }
    drop_questions(model, |overlay| matches!(overlay, Overlay::Cancel(question) if question.run == run));
}

/// Tells what became of runs while nobody looked.
pub(super) fn untold(model: &mut Model, reports: &[RunReport]) {
    // Who began something already has its answer to read; the log has it all.
    if model.own_run == OwnRun::None
        && let Some((tone, sentence)) = sentence::untold_together(reports)
    {
        model.say(tone, sentence);
    }
}

/// Asks whether another process's run is to end.
pub(super) fn ask_cancel(model: &mut Model) {
    let Some(other) = model.other.clone() else { return };
    let force = other.silent_since.is_some() && model.is_here(&other.operator);
    let OtherRun { run, operator, asker, since, .. } = other;
    let question = CancelQuestion { run, operator, asker, since, force, asked: model.now.instant };
    model.overlays.push(Overlay::Cancel(Box::new(question)));
}

/// The answer to that.
pub(super) fn cancel_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let Some(Overlay::Cancel(question)) = model.overlays.last() else { return Vec::new() };
    let (run, force, name) = (question.run, question.force, name_of(question.run, &question.asker));
    close(model);
    if key.code != KeyCode::Char('Y') {
        model.say(Tone::Plain, format!("{name} was left alone"));
        return Vec::new();
    }
    let Some(other) = model.other.as_mut().filter(|other| other.run == run) else { return Vec::new() };
    other.asked = true;
    let sentence = if force { "its process is being ended" } else { "it is being cancelled" };
    model.say(Tone::Plain, format!("{name}: {sentence}; everything stays as it was"));
    vec![Effect::CancelOther { run, force }]
}

/// What became of that.
pub(super) fn cancel_answered(model: &mut Model, run: RunId, answer: Answer<Box<CancelReport>>) -> Vec<Effect> {
    let report = match answer {
        Ok(report) => report,
        Err(error) => {
            if let Some(other) = model.other.as_mut().filter(|other| other.run == run) {
                other.asked = false;
            }
            tell(model, "The run was not ended", error);
            return Vec::new();
        }
    };
    if let Some(owner) = report.silent {
        let rest = if model.is_here(&owner.operator) {
            "x ends it by force".to_owned()
        } else {
            format!("`greenroom cancel --force` on {} ends it", owner.operator.host)
        };
        let is_published = report.run.is_some_and(|run| run.outcome == Some(RunOutcome::Published));
        let state = if is_published { "was published before" } else { "it cannot publish" };
        model.say(Tone::Bad, format!("{owner} was asked to end and does not answer; {state}. {rest}"));
        return Vec::new();
    }
    let ended = report.run.filter(|_| goes_on(model, run));
    if let Some((ended, outcome)) = ended.and_then(|ended| ended.outcome.map(|outcome| (ended, outcome))) {
        let name = name_of(ended.id, &ended.asker());
        let (tone, sentence) = if report.forced && outcome == RunOutcome::Published {
            (Tone::Bad, format!("{name} was published before its process was ended; r takes that back"))
        } else if report.forced {
            (Tone::Good, format!("{name}: its process was ended by force; nothing of it was switched"))
        } else if outcome == RunOutcome::Interrupted {
            (Tone::Bad, sentence::died(&name))
        } else {
            let error = ended.error.as_deref().unwrap_or("it ended before that");
            (Tone::Bad, format!("{name} {outcome}: {error}"))
        };
        settle(model, run, outcome);
        forget(model, run);
        model.say(tone, sentence);
    }
    changed(model)
}
