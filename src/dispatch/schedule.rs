//! The schedule: a run every so often, so that no other scheduler is needed.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::{Inner, milliseconds};
use crate::{report::Trigger, text};

/// Part of the interval by which a run comes later at random, so that many servers do not ask a source at once.
const JITTER: f64 = 0.1;

/// Runs that are looked at for the newest one that synced everything.
const LOOKED_AT: u64 = 20;

/// How long to wait when the last run was at `last`, with a random number in 0..1.
fn wait(every: Duration, last: Option<Timestamp>, now: Timestamp, random: f64) -> Duration {
    let passed = last.map_or(SignedDuration::MAX, |last| now.duration_since(last));
    // A run in the future is one that another clock wrote down.
    let passed = Duration::try_from(passed).unwrap_or_default();
    (every + jitter(every, random)).saturating_sub(passed)
}

/// By how much a run comes later.
fn jitter(every: Duration, random: f64) -> Duration {
    every.mul_f64(JITTER * random.clamp(0.0, 1.0))
}

impl Inner {
    /// Starts a run every so often until `stop`. None while the hold is set, as it could not publish, and none while one goes
    /// on or waits.
    pub(super) async fn keep_schedule(&self, stop: &CancellationToken) {
        let Some(every) = self.options.every.filter(|_| !self.options.read_only) else { return };
        let mut last = self.last_full_run().await;
        let mut random = self.operations.random();
        let mut is_first = true;
        let mut told_of_hold = false;
        loop {
            let due = wait(every, last, self.operations.clock().now(), random);
            // Servers that start together do not ask together.
            let due = if std::mem::take(&mut is_first) { due.max(jitter(every, random)) } else { due };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(due) => {}
            }
            let newest = self.last_full_run().await;
            if newest > last {
                // Somebody has started one meanwhile, or ours began a moment after it was asked for.
                last = newest;
                continue;
            }
            random = self.operations.random();
            last = Some(self.operations.clock().now());
            match self.operations.hold_in_force().await {
                Ok(None) => told_of_hold = false,
                Ok(Some(hold)) => {
                    if !std::mem::replace(&mut told_of_hold, true) {
                        tracing::warn!("no scheduled sync: {hold}");
                    }
                    continue;
                }
                Err(error) => {
                    tracing::warn!("no scheduled sync: {error}");
                    continue;
                }
            }
            if self.is_busy().await || self.operations.lock_owner().is_some() {
                tracing::debug!("no scheduled sync: one is going on");
                continue;
            }
            let by = format!("every {}", text::period(milliseconds(every)));
            if let Err(error) = self.answer("schedule".to_owned(), Trigger::Schedule, by, None).await {
                tracing::warn!("no scheduled sync: {error}");
            }
        }
    }

    /// When the newest run of everything from the source began.
    async fn last_full_run(&self) -> Option<Timestamp> {
        let runs = self.operations.runs(LOOKED_AT).await.unwrap_or_default();
        runs.iter().find(|run| run.scope.is_none() && run.replay.is_none() && !run.dry_run).map(|run| run.started_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_from_the_last_run_and_adds_a_tenth_at_most() {
        let (every, now) = (Duration::from_mins(10), Timestamp::from_second(1_700_000_000).unwrap());
        let ago = |minutes: i64| Some(now - SignedDuration::from_mins(minutes));
        for (last, random, seconds) in [
            (ago(4), 0.0, 6 * 60),
            (ago(4), 0.5, 6 * 60 + 30),
            (ago(0), 1.0, 11 * 60),
            (ago(10), 0.0, 0),
            (ago(500), 1.0, 0),
            (None, 0.0, 0),
            (ago(-300), 0.0, 10 * 60),
        ] {
            assert_eq!(wait(every, last, now, random), Duration::from_secs(seconds), "{last:?} {random}");
        }
    }
}
