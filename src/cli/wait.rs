//! `--wait`: waiting for one's turn while another process has the right to run.

use std::{
    str::FromStr,
    time::{Duration, Instant},
};

use super::{
    exit::CliError,
    output::Output,
    signal::{Signal, Signals},
};
use crate::{
    green::GreenError,
    ops::{OperationError, Operations},
    report::OwnerReport,
    text,
};

/// How long one waits at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitLimit {
    /// For ever.
    Forever,
    /// So many seconds.
    Seconds(u64),
}

impl FromStr for WaitLimit {
    type Err = std::num::ParseIntError;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        if given == "forever" { Ok(Self::Forever) } else { given.parse().map(Self::Seconds) }
    }
}

/// One's turn to run, waited for as long as the operator wants to.
#[derive(Debug)]
pub(super) struct Turn {
    /// How much waiting is left, `None` for no end of it.
    left: Option<Duration>,
    /// Since when one waits.
    since: Option<Instant>,
    told: bool,
}

impl Turn {
    /// A turn for which one waits when the option was given.
    pub(super) fn new(wait: Option<WaitLimit>) -> Self {
        let left = match wait {
            None => Some(Duration::ZERO),
            Some(WaitLimit::Forever) => None,
            Some(WaitLimit::Seconds(seconds)) => Some(Duration::from_secs(seconds)),
        };
        Self { left, since: None, told: false }
    }

    /// Waits until nobody has the right to run, before something is planned by what is live then. That the limit passed is
    /// left to whoever then tries to take that right.
    ///
    /// # Errors
    /// [`CliError::Stopped`] by a signal.
    pub(super) async fn come(
        &mut self,
        output: &Output,
        operations: &Operations,
        signals: Option<&mut Signals>,
    ) -> Result<(), CliError> {
        if self.remaining().is_none_or(|left| !left.is_zero())
            && let Some(owner) = operations.lock_owner()
        {
            self.wait(output, operations, Some(&owner), signals).await?;
            self.taken();
        }
        Ok(())
    }

    /// Waits after `refusal`, if that was for another's turn and there is time left.
    ///
    /// # Errors
    /// The refusal itself when it is not to be waited for; [`CliError::Stopped`] by a signal.
    pub(super) async fn after(
        &mut self,
        refusal: OperationError,
        output: &Output,
        operations: &Operations,
        signals: Option<&mut Signals>,
    ) -> Result<(), CliError> {
        match &refusal {
            OperationError::Green(GreenError::Locked { owner })
                if self.remaining().is_none_or(|left| !left.is_zero()) =>
            {
                self.wait(output, operations, owner.as_deref(), signals).await
            }
            _ => Err(refusal.into()),
        }
    }

    /// The right to run is there, or one has gone on without it.
    pub(super) fn taken(&mut self) {
        self.left = self.remaining();
        self.since = None;
    }

    fn remaining(&self) -> Option<Duration> {
        let waited = self.since.map_or(Duration::ZERO, |since| since.elapsed());
        self.left.map(|left| left.saturating_sub(waited))
    }

    async fn wait(
        &mut self,
        output: &Output,
        operations: &Operations,
        owner: Option<&OwnerReport>,
        signals: Option<&mut Signals>,
    ) -> Result<(), CliError> {
        self.since.get_or_insert_with(Instant::now);
        if !self.told {
            output.note(&format!("greenroom: {}", told(owner)));
            self.told = true;
        }
        tokio::select! {
            _ = operations.wait_for_turn(self.remaining()) => Ok(()),
            signal = next(signals) => {
                if signal == Signal::Hangup {
                    output.abandon_terminal();
                }
                Err(CliError::Stopped(signal))
            }
        }
    }
}

/// The next of `signals`, an earlier one included; without any it is up to the system what signals do.
async fn next(signals: Option<&mut Signals>) -> Signal {
    match signals {
        Some(signals) => match signals.first() {
            Some(signal) => signal,
            None => signals.next().await,
        },
        None => std::future::pending().await,
    }
}

/// Who is waited for.
fn told(owner: Option<&OwnerReport>) -> String {
    let Some(owner) = owner else { return "waiting for another greenroom to end".to_owned() };
    let silent = if owner.answers == Some(false) {
        ", which does not answer; `greenroom cancel --force` ends it on its host"
    } else {
        ""
    };
    format!("waiting for {owner}, going on since {}{silent}", text::time(owner.since))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Operator, Work};

    #[test]
    fn limits_are_seconds_or_none() {
        assert_eq!("forever".parse(), Ok(WaitLimit::Forever));
        assert_eq!("90".parse(), Ok(WaitLimit::Seconds(90)));
        assert!(["", "-1", "1.5", "soon"].iter().all(|bad| bad.parse::<WaitLimit>().is_err()));
        assert_eq!(Turn::new(None).remaining(), Some(Duration::ZERO));
        assert_eq!(Turn::new(Some(WaitLimit::Forever)).remaining(), None);
        let mut turn = Turn::new(Some(WaitLimit::Seconds(60)));
        turn.since = Instant::now().checked_sub(Duration::from_secs(20));
        turn.taken();
        assert!(turn.remaining() <= Some(Duration::from_secs(40)) && turn.since.is_none());
    }

    #[test]
    fn says_who_is_waited_for() {
        let operator = Operator { user: "ben".into(), host: "box".into(), pid: 12 };
        let since = jiff::Timestamp::UNIX_EPOCH;
        let owner = OwnerReport { work: Work::Run, run: Some(7), operator, since, answers: None };
        assert_eq!(told(Some(&owner)), "waiting for run 7 of ben@box (pid 12), going on since 1970-01-01 00:00:00Z");
        let silent = OwnerReport { answers: Some(false), ..owner };
        assert!(told(Some(&silent)).contains("does not answer; `greenroom cancel --force`"));
    }
}
