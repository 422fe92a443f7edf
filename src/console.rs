//! The terminal console: a model, an update without I/O, a view without side effects, and an executor for what is asked.

pub mod action;
mod cell;
pub mod event_loop;
mod executor;
mod log_pane;
pub mod message;
pub mod model;
mod overlay;
mod sentence;
pub mod terminal;
pub mod theme;
pub mod update;
pub mod view;

use std::io;

use ratatui::crossterm::event::EventStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub use self::{
    event_loop::{Console, Ended, Surface},
    log_pane::LogBell,
    message::{Effect, Message, Moment},
    model::{Model, ModelOptions},
    theme::Theme,
};

use crate::ops::Operations;

/// How a console on the process's terminal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// The operator left.
    Quit,
    /// The line dropped.
    HungUp,
    /// A signal ended it; its number.
    Signal(i32),
}

/// Runs the console on the process's terminal, up to and including the end of a run that goes on when it ends.
///
/// The terminal is given back on every way out, except when it is gone.
///
/// # Errors
/// When the terminal cannot be taken or signals cannot be waited for.
pub async fn run(operations: Operations, options: ModelOptions, bell: LogBell) -> io::Result<Farewell> {
    let hang_up = CancellationToken::new();
    let mut terminated = signal(SignalKind::terminate())?;
    let mut line_dropped = signal(SignalKind::hangup())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut console = Console::new(operations, options);
    let (mut screen, guard) = terminal::enter()?;
    terminal::watch_hang_up(hang_up.clone());
    let received = tokio::select! {
        biased;
        _ = terminated.recv() => Some(SignalKind::terminate()),
        _ = line_dropped.recv() => Some(SignalKind::hangup()),
        _ = interrupted.recv() => Some(SignalKind::interrupt()),
        ended = console.run(&mut screen, EventStream::new(), bell, hang_up) => match ended {
            Ended::Quit => return Ok(Farewell::Quit),
            Ended::HungUp => None,
        },
    };
    // Dropping the screen would still write to it.
    std::mem::forget(screen);
    match received {
        // The terminal may well be there still; when it is not, this fails at once.
        Some(_) => drop(guard),
        None => guard.forget(),
    }
    console.bring_to_end().await;
    Ok(received.map_or(Farewell::HungUp, |kind| Farewell::Signal(kind.as_raw_value())))
}
