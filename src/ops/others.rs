//! Getting along with other processes on the same database: who is at work, waiting for one's turn, ending a run of
//! somebody else's, and what became of runs that nobody saw end.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{OperationError, Operations};
use crate::{
    green::{GreenError, Holder, Owner, SILENCE, holder},
    report::{CancelReport, OwnerReport, RunId, RunSummary, Work},
};

/// How often the lock is looked at while something is waited for.
const LOOK: Duration = Duration::from_millis(100);

/// How long a process that was ended may take to be gone; one that hangs in the kernel never is.
const DEATH: Duration = Duration::from_secs(10);

/// Looks without a beat before an owner counts as silent, beside the time: who looks may have been stopped as well.
const SILENT_LOOKS: u32 = 20;

/// What was last heard of the lock's holder, and since when; `None` for one whose words cannot be read.
struct Heartbeat {
    owner: Option<Owner>,
    since: Instant,
    looks: u32,
}

impl Heartbeat {
    fn of(owner: Option<Owner>) -> Self {
        Self { owner, since: Instant::now(), looks: 0 }
    }

    /// Whether the holder has shown itself since the last call, or is another one by now.
    fn moved(&mut self, owner: Option<Owner>) -> bool {
        self.looks += 1;
        // All its words: another process may have come to the same beat.
        let moved = owner != self.owner;
        if moved {
            *self = Self::of(owner);
        }
        moved
    }

    fn is_silent(&self) -> bool {
        self.since.elapsed() >= SILENCE && self.looks >= SILENT_LOOKS
    }
}

fn cannot_end(owner: Option<&Owner>, why: &str, asked: bool) -> GreenError {
    let owner = owner.map_or_else(|| "the owner of the run lock".to_owned(), |owner| owner.report(None).to_string());
    GreenError::CannotEnd { owner, why: why.to_owned(), asked }
}

impl Operations {
    /// Who has the right to run now, and whether it answers. Takes as long as that takes to be seen: mostly less than half
    /// a second, three when it does not.
    pub async fn owner(&self) -> Option<OwnerReport> {
        let mut heartbeat = Heartbeat::of(self.holder().known());
        loop {
            match self.holder() {
                Holder::Nobody => return None,
                Holder::Unknown if !heartbeat.moved(None) && heartbeat.is_silent() => return None,
                Holder::Known(owner) if heartbeat.moved(Some(owner.clone())) => return Some(owner.report(Some(true))),
                Holder::Known(owner) if heartbeat.is_silent() => return Some(owner.report(Some(false))),
                Holder::Known(_) | Holder::Unknown => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Who has the right to run now. Whether it answers is not looked at, so this is known at once.
    #[must_use]
    pub fn lock_owner(&self) -> Option<OwnerReport> {
        self.holder().known().map(|owner| owner.report(None))
    }

    /// Adds to an error that names an owner whether that answers.
    pub(super) async fn with_owner(&self, error: GreenError) -> GreenError {
        match error {
            GreenError::Locked { owner: Some(named) } => {
                let owner = self.owner().await.map_or(named, Box::new);
                GreenError::Locked { owner: Some(owner) }
            }
            // Most likely it is a run that stopped in the middle of a transaction; that one can be ended.
            GreenError::Busy { doing } => match self.owner().await {
                Some(owner) if owner.answers == Some(false) => GreenError::BusyOwner { doing, owner: Box::new(owner) },
                _ => GreenError::Busy { doing },
            },
            other => other,
        }
    }

    /// Waits until nobody has the right to run, at most for `limit`.
    ///
    /// # Returns
    /// Whether that came before the limit.
    pub async fn wait_for_turn(&self, limit: Option<Duration>) -> bool {
        let begun = Instant::now();
        while !matches!(self.holder(), Holder::Nobody) {
            if limit.is_some_and(|limit| begun.elapsed() >= limit) {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }

    /// Ends the run that goes on, whoever owns it, and waits until it is over. From the moment on that it is asked it cannot
    /// publish. With `force`, a process of this host that does not answer is ended.
    ///
    /// # Errors
    /// [`GreenError::Locked`] when a cleanup is at work, which ends by itself; [`GreenError::CannotEnd`] when force does not
    /// reach the owner; when the database cannot be written.
    pub async fn cancel(&self, force: bool) -> Result<CancelReport, OperationError> {
        self.end_run(None, force).await
    }

    /// The same for the run `run` and no other: once that has ended, nothing is done.
    ///
    /// # Errors
    /// As [`Operations::cancel`], and when there is no such run.
    pub async fn cancel_run(&self, run: RunId, force: bool) -> Result<CancelReport, OperationError> {
        self.end_run(Some(run), force).await
    }

    async fn end_run(&self, only: Option<RunId>, force: bool) -> Result<CancelReport, OperationError> {
        let first = self.holder();
        if first == Holder::Nobody {
            let dead = self.recover().await?;
            return self.cancelled(only.or_else(|| dead.into_iter().max()), false).await;
        }
        let mut heartbeat = Heartbeat::of(first.known());
        let is_another = |owner: &Owner| only.is_some() && owner.run.is_some() && owner.run != only;
        if heartbeat.owner.as_ref().is_some_and(is_another) {
            return self.cancelled(only, false).await;
        }
        if let Some(owner) = heartbeat.owner.as_ref().filter(|owner| owner.work != Work::Run && !force) {
            return Err(self.with_owner(GreenError::Locked { owner: Some(Box::new(owner.report(None))) }).await.into());
        }
        let mut asked = self.ask_to_end(only, force).await?;
        let mut run = only.or(asked).or_else(|| heartbeat.owner.as_ref()?.run);
        loop {
            let owner = match self.holder() {
                Holder::Nobody => break,
                // It is over, and somebody else began.
                Holder::Known(owner) if run.is_some() && owner.run.is_some() && owner.run != run => break,
                holder => holder.known(),
            };
            if heartbeat.moved(owner) {
                match &heartbeat.owner {
                    // A cleanup that answers ends by itself.
                    Some(owner) if owner.work != Work::Run => {
                        return Err(GreenError::Locked { owner: Some(Box::new(owner.report(Some(true)))) }.into());
                    }
                    // It had the lock and had not been written down yet, or was in the middle of a transaction.
                    Some(owner) if asked.is_none() => {
                        run = run.or(owner.run);
                        asked = self.ask_to_end(only, force).await?;
                    }
                    _ => {}
                }
            } else if heartbeat.is_silent() {
                if force {
                    self.end_owner(heartbeat.owner.as_ref(), asked.is_some()).await?;
                    self.recover().await?;
                    return self.cancelled(run, true).await;
                }
                let silent = heartbeat.owner.as_ref().map(|owner| owner.report(Some(false)));
                let silent = silent.ok_or_else(|| cannot_end(None, "it does not say who it is", asked.is_some()))?;
                return Ok(CancelReport { silent: Some(silent), ..self.cancelled(run, false).await? });
            }
            tokio::time::sleep(LOOK).await;
        }
        // Its process may have died over it.
        self.recover().await?;
        self.cancelled(run, false).await
    }

    /// Writes down that the run that goes on is to end, or `only` this one.
    async fn ask_to_end(&self, only: Option<RunId>, force: bool) -> Result<Option<RunId>, OperationError> {
        let (operator, now) = (self.operator.clone(), self.clock.now());
        match self.blocking(move |database| database.ask_to_end(only, &operator, now)).await {
            // Who stopped in the middle of a transaction is ended without being asked; who goes on is asked again.
            Err(OperationError::Green(GreenError::Busy { .. } | GreenError::BusyOwner { .. })) if force => Ok(None),
            asked => asked,
        }
    }

    async fn cancelled(&self, run: Option<RunId>, forced: bool) -> Result<CancelReport, OperationError> {
        let run = match run {
            Some(run) => Some(self.blocking(move |database| database.run_summary(run)).await?),
            None => None,
        };
        Ok(CancelReport { run, forced, silent: None })
    }

    /// Ends the process `silent`, if it has the lock still and has not shown itself since, and waits until it is gone.
    async fn end_owner(&self, silent: Option<&Owner>, asked: bool) -> Result<(), OperationError> {
        let Some(silent) = silent.cloned() else {
            return Err(cannot_end(None, "it does not say who it is", asked).into());
        };
        let (operator, owner) = (self.operator.clone(), silent.clone());
        self.blocking(move |database| database.end_owner(&owner, &operator, asked)).await?;
        let begun = Instant::now();
        // Somebody else may take the lock the moment it is free.
        while matches!(self.holder(), Holder::Known(owner) if owner == silent) {
            if begun.elapsed() >= DEATH {
                let why = match silent.work {
                    Work::Migration => "it is dead, and the command that it ran goes on",
                    _ => "it hangs in the system, most likely on its disk",
                };
                return Err(cannot_end(Some(&silent), why, asked).into());
            }
            tokio::time::sleep(LOOK).await;
        }
        tracing::warn!("the process that had the run lock and did not answer is ended");
        Ok(())
    }

    /// Marks runs whose process died as interrupted and clears away what they left.
    ///
    /// # Returns
    /// Those runs; none while another process is at work.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub async fn recover(&self) -> Result<Vec<RunId>, OperationError> {
        let (operator, now) = (self.operator.clone(), self.clock.now());
        let lock = self.blocking(move |database| database.lock_for_recovery(&operator, now)).await?;
        let Some(lock) = lock.map(Arc::new) else { return Ok(Vec::new()) };
        let held = lock.clone();
        let dead = lock.beating_while(self.blocking(move |database| database.recover(&held, now))).await?;
        for run in &dead {
            tracing::warn!("run {run} was interrupted: its process ended before it was done; nothing was switched");
        }
        Ok(dead)
    }

    /// Runs that ended while nobody was there to read how, newest first: their operator was cut off or their process died.
    /// Each is answered once.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub async fn take_untold(&self) -> Result<Vec<RunSummary>, OperationError> {
        self.blocking(crate::green::Database::take_untold).await
    }

    fn holder(&self) -> Holder {
        holder(&self.database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Operator;

    #[test]
    fn another_owner_with_the_same_beat_is_not_the_silent_one() {
        let operator = Operator { user: "ana".to_owned(), host: "box".to_owned(), pid: 7 };
        let since = jiff::Timestamp::UNIX_EPOCH;
        let stopped = Owner { work: Work::Run, run: None, operator, process_began: Some(5), since, beat: 1 };
        let mut heartbeat = Heartbeat::of(Some(stopped.clone()));
        heartbeat.since -= SILENCE;
        for _ in 0..SILENT_LOOKS {
            assert!(!heartbeat.is_silent(), "who was asleep itself looks again");
            assert!(!heartbeat.moved(Some(stopped.clone())));
        }
        assert!(heartbeat.is_silent());
        assert!(heartbeat.moved(Some(Owner { process_began: Some(6), ..stopped })));
        assert!(!heartbeat.is_silent());
        assert!(heartbeat.moved(None), "words that cannot be read are silent only after their time");
    }
}
