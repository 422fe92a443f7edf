//! The run: fetch, stage, transform, check, publish, told as one stream of events.

mod attend;
mod emitter;
pub mod event;
mod fetch;
mod follow;
mod load;
mod prepare;
mod request;
mod run;
mod scope;
pub mod state;
mod step;

pub use self::{
    event::{EventRecord, RunEvent},
    follow::{Follower, Observed, kept_events},
    request::{Bodies, Line, OnHangup, StagedBodies, SyncContext, SyncOptions},
    run::run,
    scope::Scope,
    state::RunState,
    step::{Stage, StepState},
};
