//! Following what other processes do: the events of their runs as they happen, and that something else changed.

use std::time::Instant;

use super::event::{EventRecord, RunEvent};
use crate::{
    green::{Database, GreenError, Holder, Pulse, SILENCE, Watch, holder, server},
    report::{Operator, RunId, RunOutcome, RunSummary, ServerReport, Work},
};

/// What is seen of other processes.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all that is seen are events")]
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
    own: Option<Operator>,
    pulse: Option<Pulse>,
    server: Option<ServerReport>,
    followed: Option<Followed>,
    /// The newest run that is over and was told or is none of ours to tell.
    over: RunId,
}

impl Follower {
    /// Follows others than `own`; with `None` all there are.
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub fn open(database: &Database, own: Option<Operator>) -> Result<Self, GreenError> {
        let watch = Watch::open(database)?;
        Ok(Self {
            database: database.clone(),
            watch,
            own,
            pulse: None,
            server: server(database),
            followed: None,
            over: 0,
        })
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
        let seen = self.look_once();
        if seen.is_err() {
            self.watch.look_again();
        }
        seen
    }

    fn look_once(&mut self) -> Result<Vec<Observed>, GreenError> {
        let mut seen = Vec::new();
        if self.watch.has_changed()? {
            let pulse = self.watch.pulse()?;
            if let Some((newest, outcome)) = &pulse.newest_run {
                if self.pulse.is_none() {
                    // What is over by now is not told; one that was published goes on until it is cleared away.
                    let goes_on = outcome.is_none() || names(&self.database, *newest);
                    self.over = if goes_on { *newest - 1 } else { *newest };
                }
                self.follow(*newest, &mut seen)?;
            }
            if self.pulse.as_ref() != Some(&pulse) {
                self.pulse = Some(pulse);
                seen.push(Observed::Changed);
            }
        }
        // It begins and ends without a word in the database.
        let server = server(&self.database);
        if self.server != server {
            self.server = server;
            if !seen.contains(&Observed::Changed) {
                seen.push(Observed::Changed);
            }
        }
        self.listen(&mut seen)?;
        Ok(seen)
    }

    /// Reads the events of the run that is followed, and of those up to `newest` that began since, be they over or not.
    fn follow(&mut self, newest: RunId, seen: &mut Vec<Observed>) -> Result<(), GreenError> {
        loop {
            let mut followed = match self.followed.take() {
                Some(followed) => followed,
                None if self.over >= newest => return Ok(()),
                None => Followed::new(self.over + 1),
            };
            let run = followed.run;
            match self.read(&mut followed, seen) {
                // Of old runs nothing is kept.
                Ok(false) | Err(GreenError::NotFound { .. }) => self.over = run,
                goes_on => {
                    self.followed = Some(followed);
                    return goes_on.map(drop);
                }
            }
        }
    }

    /// Reads what came of a run, and answers whether it goes on.
    fn read(&self, followed: &mut Followed, seen: &mut Vec<Observed>) -> Result<bool, GreenError> {
        // The lock is looked at before the events: who gave it back has written all of them. A run that was published has
        // its outcome before its last events, and a dead one has none.
        let has_lock = beat_of(&self.database, followed).is_some();
        let run = self.watch.run(followed.run)?;
        if self.own.as_ref() == Some(&run.operator) || read_events(&self.watch, followed, seen)? {
            return Ok(false);
        }
        let goes_on = has_lock || run.outcome.is_none();
        if !goes_on {
            seen.push(Observed::Event(last_event(&run, followed)));
        }
        Ok(goes_on)
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
            self.over = run;
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

/// Whether the lock is taken for `run`.
fn names(database: &Database, run: RunId) -> bool {
    matches!(holder(database), Holder::Known(owner) if owner.run == Some(run))
}

/// The newest beat of the run's process; `None` when it has not the lock any more.
fn beat_of(database: &Database, followed: &Followed) -> Option<u64> {
    match holder(database) {
        Holder::Known(owner) if owner.work == Work::Run && owner.run.is_none_or(|named| named == followed.run) => {
            Some(owner.beat)
        }
        // It may not be silent: its words cannot be read.
        Holder::Unknown => Some(followed.beat + 1),
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
        // Something may still be told after it.
        ended |= matches!(record.event, RunEvent::Ended { .. });
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
