//! Following what other processes do: the events of their runs as they happen, and that something else changed.

use std::time::Instant;

use super::event::{EventRecord, RunEvent};
use crate::{
    green::{Database, GreenError, Holder, Pulse, SILENCE, Watch, holder},
    report::{Operator, RunId, RunOutcome, RunSummary, Work},
};

/// What is seen of other processes.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// An event of another process's run. All events of a run come in their order, the first one first.
    Event(EventRecord),
    /// Whether the process of that run answers; told when it changes.
    Answers {
        /// The run.
        run: RunId,
        /// Whether it does.
        answers: bool,
    },
    /// The process of that run is gone, and the run did not end.
    Died(RunId),
    /// Something that is worth reading again has changed: a run, a publication, the hold, snapshots, tables.
    Changed,
}

/// A run of another process that goes on.
#[derive(Debug)]
struct Followed {
    run: RunId,
    /// The last event that was seen.
    seq: u64,
    at: jiff::Timestamp,
    /// The last beat of its process, and when it was seen.
    beat: u64,
    beat_seen: Instant,
    answers: bool,
}

impl Followed {
    fn new(run: RunId) -> Self {
        let at = jiff::Timestamp::UNIX_EPOCH;
        Self { run, seq: 0, at, beat: 0, beat_seen: Instant::now(), answers: true }
    }
}

/// Sees what other processes do.
#[derive(Debug)]
pub struct Follower {
    database: Database,
    watch: Watch,
    own: Operator,
    pulse: Option<Pulse>,
    followed: Option<Followed>,
    /// The newest run that is known to be over, so that its end is told once.
    over: Option<RunId>,
}

impl Follower {
    /// Follows others than `own`.
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub fn open(database: &Database, own: Operator) -> Result<Self, GreenError> {
        let watch = Watch::open(database)?;
        Ok(Self { database: database.clone(), watch, own, pulse: None, followed: None, over: None })
    }

    /// Whether another process's run goes on, so that its silence or its end must be looked for.
    #[must_use]
    pub fn is_following(&self) -> bool {
        self.followed.is_some()
    }

    /// What happened since the last look. Reads no table when no one has written.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn look(&mut self) -> Result<Vec<Observed>, GreenError> {
        let mut seen = Vec::new();
        if self.watch.has_changed()? {
            let pulse = self.watch.pulse()?;
            let unfinished =
                pulse.unfinished.as_ref().filter(|(_, operator, _)| *operator != self.own).map(|(run, ..)| *run);
            self.follow(unfinished, &mut seen)?;
            if self.pulse.as_ref() != Some(&pulse) {
                self.pulse = Some(pulse);
                seen.push(Observed::Changed);
            }
        }
        self.listen(&mut seen)?;
        Ok(seen)
    }

    /// Reads the events of the run that was followed, and begins to follow the one that goes on now.
    fn follow(&mut self, unfinished: Option<RunId>, seen: &mut Vec<Observed>) -> Result<(), GreenError> {
        if let Some(followed) = &mut self.followed {
            // A run that was published has its outcome before its last events. Its lock is looked at first: who gave it
            // back has written all of them.
            let goes_on = unfinished == Some(followed.run) || beat_of(&self.database, followed).is_some();
            let ended = read_events(&self.watch, followed, seen)?;
            if !ended && goes_on {
                return Ok(());
            }
            if !ended {
                let run = self.watch.run(followed.run)?;
                seen.push(Observed::Event(last_event(&run, followed)));
            }
            self.over = Some(followed.run);
            self.followed = None;
        }
        let Some(run) = unfinished.filter(|run| self.over < Some(*run)) else { return Ok(()) };
        let mut followed = Followed::new(run);
        if read_events(&self.watch, &mut followed, seen)? {
            self.over = Some(run);
        } else {
            // Its first event may not be written yet.
            self.followed = Some(followed);
        }
        Ok(())
    }

    /// Finds out whether the process of the followed run is alive and answers.
    fn listen(&mut self, seen: &mut Vec<Observed>) -> Result<(), GreenError> {
        let Some(followed) = &mut self.followed else { return Ok(()) };
        let run = followed.run;
        let Some(beat) = beat_of(&self.database, followed) else {
            // Its end may have been written since it was looked for.
            let ended = self.watch.run(run)?;
            if ended.outcome.is_none() {
                seen.push(Observed::Died(run));
            } else if !read_events(&self.watch, followed, seen)? {
                seen.push(Observed::Event(last_event(&ended, followed)));
            }
            self.over = Some(run);
            self.followed = None;
            return Ok(());
        };
        if beat != followed.beat {
            followed.beat = beat;
            followed.beat_seen = Instant::now();
        }
        let answers = followed.beat_seen.elapsed() < SILENCE;
        if answers != followed.answers {
            followed.answers = answers;
            seen.push(Observed::Answers { run, answers });
        }
        Ok(())
    }
}

/// The newest beat of the run's process; `None` when it has not the lock any more.
fn beat_of(database: &Database, followed: &Followed) -> Option<u64> {
    match holder(database) {
        Holder::Known(owner) if owner.work == Work::Run && owner.run.is_none_or(|named| named == followed.run) => {
            Some(owner.beat)
        }
        Holder::Unknown => Some(followed.beat),
        Holder::Known(_) | Holder::Nobody => None,
    }
}

/// Whether the last event of the run is among those that were read now.
fn read_events(watch: &Watch, followed: &mut Followed, seen: &mut Vec<Observed>) -> Result<bool, GreenError> {
    let mut ended = false;
    for event in watch.events(followed.run, followed.seq)? {
        // What a later greenroom tells is none of ours.
        let Ok(record) = serde_json::from_str::<EventRecord>(&event) else { continue };
        followed.seq = record.seq;
        followed.at = record.at;
        ended = matches!(record.event, RunEvent::Ended { .. });
        seen.push(Observed::Event(record));
    }
    Ok(ended)
}

/// The last event of a run that did not write it itself, as somebody else ended it.
fn last_event(run: &RunSummary, followed: &Followed) -> EventRecord {
    let outcome = run.outcome.unwrap_or(RunOutcome::Interrupted);
    let event = RunEvent::Ended { outcome, error: run.error.clone() };
    let (seq, at) = (followed.seq + 1, run.finished_at.unwrap_or(followed.at));
    EventRecord { run: run.id, seq, at, event }
}

/// The kept events of `run`, which is over, in their order and with an end in any case.
///
/// # Errors
/// When the database cannot be read or there is no such run.
pub fn kept_events(database: &Database, run: RunId) -> Result<Vec<EventRecord>, GreenError> {
    let summary = database.run_summary(run)?;
    let (mut followed, mut seen) = (Followed::new(run), Vec::new());
    if !read_events(&Watch::open(database)?, &mut followed, &mut seen)? {
        seen.push(Observed::Event(last_event(&summary, &followed)));
    }
    let events = seen.into_iter().filter_map(|one| match one {
        Observed::Event(record) => Some(record),
        _ => None,
    });
    Ok(events.collect())
}
