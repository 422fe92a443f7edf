//! Getting along with other processes on the same database: who is at work, waiting for one's turn, ending a run of
//! somebody else's, and what became of runs that nobody saw end.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::{OperationError, Operations};
use crate::{
    green::{GreenError, Holder, Owner, SILENCE, holder},
    report::{CancelReport, OwnerReport, RunId, RunSummary, Work},
};

/// How often the lock is looked at while something is waited for.
const LOOK: Duration = Duration::from_millis(100);

/// How long a process that was ended may take to be gone; one that hangs in the kernel never is.
const DEATH: Duration = Duration::from_secs(10);

/// The last beat of an owner, and since when it is known.
struct Pulse {
    beat: u64,
    since: Instant,
}

impl Pulse {
    fn of(owner: &Owner) -> Self {
        Self { beat: owner.beat, since: Instant::now() }
    }

    /// Whether `owner` has shown itself since the last call.
    fn moved(&mut self, owner: &Owner) -> bool {
        let moved = owner.beat != self.beat;
        if moved {
            *self = Self::of(owner);
        }
        moved
    }

    fn is_silent(&self) -> bool {
        self.since.elapsed() >= SILENCE
    }
}

impl Operations {
    /// Who has the right to run now, and whether it answers. Takes as long as that takes to be seen: mostly less than half
    /// a second, three when it does not.
    pub async fn owner(&self) -> Option<OwnerReport> {
        let Holder::Known(first) = self.holder() else { return None };
        let mut pulse = Pulse::of(&first);
        loop {
            match self.holder() {
                Holder::Nobody => return None,
                Holder::Known(owner) if pulse.moved(&owner) => return Some(owner.report(Some(true))),
                Holder::Known(owner) if pulse.is_silent() => return Some(owner.report(Some(false))),
                Holder::Known(_) | Holder::Unknown => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Who has the right to run now. Whether it answers is not looked at, so this is known at once.
    #[must_use]
    pub fn lock_owner(&self) -> Option<OwnerReport> {
        match self.holder() {
            Holder::Known(owner) => Some(owner.report(None)),
            Holder::Nobody | Holder::Unknown => None,
        }
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
    /// Whether that came before the limit and before `cancel`.
    pub async fn wait_for_turn(&self, limit: Option<Duration>, cancel: &CancellationToken) -> bool {
        let begun = Instant::now();
        while !matches!(self.holder(), Holder::Nobody) {
            if limit.is_some_and(|limit| begun.elapsed() >= limit) {
                return false;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = cancel.cancelled() => return false,
            }
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
        let mut known = match self.holder() {
            Holder::Known(owner) => Some((Pulse::of(&owner), owner)),
            Holder::Unknown => None,
            Holder::Nobody => {
                let dead = self.recover().await?;
                return self.cancelled(only.or_else(|| dead.into_iter().max()), false).await;
            }
        };
        let is_another = |owner: &Owner| only.is_some() && owner.run.is_some() && owner.run != only;
        if known.as_ref().is_some_and(|(_, owner)| is_another(owner)) {
            return self.cancelled(only, false).await;
        }
        if let Some((_, owner)) = &known
            && owner.work != Work::Run
            && !force
        {
            return Err(self.with_owner(GreenError::Locked { owner: Some(Box::new(owner.report(None))) }).await.into());
        }
        let asked = self.ask_to_end(only, force).await?;
        let mut run = only.or(asked).or_else(|| known.as_ref()?.1.run);
        loop {
            match self.holder() {
                Holder::Nobody => break,
                // It is over, and somebody else began.
                Holder::Known(owner) if run.is_some() && owner.run.is_some() && owner.run != run => break,
                Holder::Unknown => {}
                Holder::Known(owner) => {
                    if run.is_none() && owner.run.is_some() {
                        // It had the lock and had not been written down yet.
                        run = self.ask_to_end(only, force).await?.or(owner.run);
                    }
                    let (pulse, latest) = known.get_or_insert_with(|| (Pulse::of(&owner), owner.clone()));
                    *latest = owner;
                    if pulse.moved(latest) {
                        // A cleanup that answers ends by itself.
                        if latest.work != Work::Run {
                            return Err(GreenError::Locked { owner: Some(Box::new(latest.report(Some(true)))) }.into());
                        }
                    } else if pulse.is_silent() {
                        if force {
                            self.end_owner(pulse.beat).await?;
                            self.recover().await?;
                            return self.cancelled(run, true).await;
                        }
                        let silent = Some(latest.report(Some(false)));
                        return Ok(CancelReport { silent, ..self.cancelled(run, false).await? });
                    }
                }
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
            // Who stopped in the middle of a transaction is ended without being asked.
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

    /// Ends the process that has the lock and waits until it is gone.
    async fn end_owner(&self, beat: u64) -> Result<(), OperationError> {
        let operator = self.operator.clone();
        self.blocking(move |database| database.end_owner(beat, &operator)).await?;
        if self.wait_for_turn(Some(DEATH), &CancellationToken::new()).await {
            tracing::warn!("the process that had the run lock and did not answer is ended");
            return Ok(());
        }
        let owner =
            self.owner().await.map_or_else(|| "the owner of the run lock".to_owned(), |owner| owner.to_string());
        let why = "it hangs in the system, most likely on its disk".to_owned();
        Err(GreenError::CannotEnd { owner, why }.into())
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
