//! What the model knows of other processes: their run, and how fresh what is shown is.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Model, OwnRun};
use crate::{
    console::cell,
    report::{Operator, RunId, RunSummary},
    sync::RunState,
    text,
};

/// Shortest time between two readings of the database that nobody asked for.
const REFRESH_INTERVAL: Duration = Duration::from_millis(250);

/// A run of another process that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherRun {
    /// Its number.
    pub run: RunId,
    /// Whose process it is.
    pub operator: Operator,
    /// At whose word it goes.
    pub asker: String,
    /// The same in fewer words.
    pub short_asker: String,
    /// Since when it goes on.
    pub since: Timestamp,
    /// Since when its process does not answer.
    pub silent_since: Option<Timestamp>,
    /// Whether somebody asked it to end, as far as this console knows.
    pub asked: bool,
}

impl OtherRun {
    /// The run as it is after its first event.
    #[must_use]
    pub fn begun(run: &RunState) -> Self {
        Self::recorded(&run.report().run)
    }

    /// The run as it is recorded.
    #[must_use]
    pub fn recorded(run: &RunSummary) -> Self {
        Self {
            run: run.id,
            operator: run.operator.clone(),
            asker: run.asker(),
            short_asker: run.short_asker(),
            since: run.started_at,
            silent_since: None,
            asked: run.cancel_asked_by.is_some(),
        }
    }

    /// `run 7 of ben@box`, safe to be shown.
    #[must_use]
    pub fn name(&self) -> String {
        name_of(self.run, &self.asker)
    }
}

/// `run 7 of ben@box` or `run 7 of http 10.0.0.7`, safe to be shown.
#[must_use]
pub fn name_of(run: RunId, asker: &str) -> String {
    format!("run {run} of {}", text::clean(asker))
}

/// Whether what other processes do is seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Watched {
    /// It is.
    #[default]
    Yes,
    /// Not for the moment; the watching goes on.
    Failing,
    /// The watching ended or could not begin.
    Ended,
}

/// When the state of the database was last read, and whether it is to be read again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// When the last reading began.
    begun: Option<Instant>,
    /// Whether its answer is still to come.
    pending: bool,
    /// Whether something changed since.
    stale: bool,
}

impl Freshness {
    /// Something changed: whether to read now. Otherwise it is time once [`Freshness::wait`] has gone by.
    pub fn changed(&mut self, now: Instant) -> bool {
        self.stale = true;
        self.is_due(now)
    }

    /// Whether something is to be read by now, which then counts as begun.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = self.wait(now) == Some(Duration::ZERO);
        if due {
            self.begin(now);
        }
        due
    }

    /// A reading begins.
    pub fn begin(&mut self, now: Instant) {
        *self = Self { begun: Some(now), pending: true, stale: false };
    }

    /// The answer came.
    pub fn answered(&mut self) {
        self.pending = false;
    }

    /// How long to wait with the next reading; `None` when there is no need for one, or an answer is still to come.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        let begun_for = self.begun.map_or(REFRESH_INTERVAL, |begun| now.saturating_duration_since(begun));
        (self.stale && !self.pending).then(|| REFRESH_INTERVAL.saturating_sub(begun_for))
    }
}

impl Model {
    /// Whether any run goes on, ours or another process's.
    #[must_use]
    pub fn is_run_going(&self) -> bool {
        self.own_run != OwnRun::None || self.other.is_some()
    }

    /// Whether this console started `run`.
    #[must_use]
    pub fn is_own(&self, run: &RunState) -> bool {
        run.operator == self.operator
    }

    /// The run that is shown, while it goes on.
    #[must_use]
    pub fn going(&self) -> Option<&RunState> {
        let run = self.run.as_ref().filter(|run| run.outcome.is_none())?;
        let is_ours = self.own_run != OwnRun::None && self.is_own(run);
        (is_ours || self.other.as_ref().is_some_and(|other| other.run == run.run)).then_some(run)
    }

    /// Why no run can begin now: one goes on.
    #[must_use]
    pub fn in_the_way(&self) -> Option<String> {
        if self.own_run != OwnRun::None {
            return Some("a run is going on; x cancels it".to_owned());
        }
        let other = self.other.as_ref()?;
        Some(format!("{} is going on since {} UTC; x cancels it", other.name(), cell::clock(other.since)))
    }

    /// The run that goes on and that a rollback or the hold would keep from publishing.
    #[must_use]
    pub fn would_not_publish(&self) -> Option<String> {
        match (&self.other, self.own_run) {
            (Some(other), _) => Some(other.name()),
            (None, OwnRun::None) => None,
            (None, _) => Some(self.going().map_or_else(|| "our run".to_owned(), |run| format!("run {}", run.run))),
        }
    }

    /// Whether the process of `operator` is on this host.
    #[must_use]
    pub fn is_here(&self, operator: &Operator) -> bool {
        operator.host == self.operator.host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_changes_is_read_at_its_beginning_and_at_its_end() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut freshness = Freshness::default();
        assert_eq!(freshness.wait(start), None);
        assert!(freshness.changed(start));
        assert!(!freshness.changed(at(10)));
        assert_eq!(freshness.wait(at(20)), None, "an answer is still to come");
        freshness.answered();
        assert_eq!(freshness.wait(at(50)), Some(Duration::from_millis(200)));
        assert!(!freshness.is_due(at(249)));
        assert!(freshness.is_due(at(250)));
        freshness.answered();
        assert!(!freshness.is_due(at(1000)), "nothing changed");
        assert!(freshness.changed(at(1000)));
    }
}
