//! What is shown of the triggers.

use crate::report::{ListedTrigger, RunId, TriggerList};

/// Triggers that are read for the list.
pub(in crate::console) const LISTED: u64 = 100;

/// The newest triggers, one of which is chosen.
#[derive(Debug, Default)]
pub struct TriggersView {
    /// Number of the answer that is waited for.
    pub request: Option<u64>,
    /// The triggers, once they were read, or why they could not be.
    pub answer: Option<Result<TriggerList, String>>,
    /// The chosen one, as a place in the list.
    pub chosen: usize,
}

impl TriggersView {
    /// The triggers that were read.
    #[must_use]
    pub fn triggers(&self) -> &[ListedTrigger] {
        match &self.answer {
            Some(Ok(list)) => &list.triggers,
            _ => &[],
        }
    }

    /// The chosen trigger.
    #[must_use]
    pub fn chosen(&self) -> Option<&ListedTrigger> {
        self.triggers().get(self.chosen)
    }

    /// The run that came of the chosen trigger.
    #[must_use]
    pub fn chosen_run(&self) -> Option<RunId> {
        self.chosen()?.promised.as_ref()?.run
    }

    /// Takes the answer in. The choice stays with its trigger, unless it was the newest one.
    pub fn take(&mut self, answer: Result<TriggerList, String>) {
        let chosen = self.chosen().filter(|_| self.chosen > 0).map(|listed| listed.trigger.clone());
        self.request = None;
        self.answer = Some(answer);
        self.chosen = chosen
            .and_then(|chosen| self.triggers().iter().position(|listed| listed.trigger == chosen))
            .unwrap_or_default();
    }
}
