//! The run: fetch, stage, transform, check, publish, told as one stream of events.

mod emitter;
pub mod event;
mod fetch;
mod load;
mod run;
pub mod state;

pub use self::{
    event::{EventRecord, RunEvent},
    run::{SyncContext, SyncRequest, run},
    state::{RunState, Stage, StepState},
};
