//! The run: fetch, stage, transform, check, publish, told as one stream of events.

mod emitter;
pub mod event;
mod fetch;
mod load;
mod prepare;
mod request;
mod run;
mod scope;
pub mod state;
mod step;

pub use self::{
    event::{EventRecord, RunEvent},
    request::{Bodies, StagedBodies, SyncContext, SyncOptions},
    run::run,
    scope::Scope,
    state::RunState,
    step::{Stage, StepState},
};
