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
mod work;

use std::{io, mem::ManuallyDrop, thread, time::Duration};

use ratatui::crossterm::event::EventStream;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{oneshot, watch},
};
use tokio_util::sync::CancellationToken;

pub use self::{
    event_loop::{Console, Ended, Surface},
    log_pane::LogBell,
    message::{Effect, Message, Moment},
    model::{Model, ModelOptions},
    theme::Theme,
    work::Work,
};

use crate::ops::Operations;

/// How long a screen may take to stop drawing; one on a line that is stuck does not.
const LAST_FRAME: Duration = Duration::from_millis(500);

/// How a console on the process's terminal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// The operator left.
    Quit,
    /// The line dropped.
    HungUp,
    /// A signal ended it; its number.
    Signal(i32),
    /// Its screen ended with a defect.
    Panicked,
}

/// Runs the console on the process's terminal, up to and including the end of what goes on when it ends.
///
/// The screen has a thread of its own, so that neither a line that is stuck nor a defect in drawing reaches a run:
///
/// - When the line drops (SIGHUP, a closed terminal, a draw error) the run is told so, and does what it does then.
/// - SIGTERM and SIGINT cancel the run, which ends at once, also after the line dropped.
/// - A panic of the screen is a line that drops, but for the terminal, which is given back; `panicked` is called then.
///
/// The terminal is given back on every way out, except when it is gone.
///
/// # Errors
/// When the terminal cannot be taken or signals cannot be waited for.
pub async fn run(
    operations: Operations,
    options: ModelOptions,
    bell: LogBell,
    panicked: impl FnOnce(bool),
) -> io::Result<Farewell> {
    let (hang_up, line) = (CancellationToken::new(), operations.line().dropped.clone());
    let mut console = Console::new(operations, options);
    let work = console.work();
    let mut signals = Signals::listen(&work, &line)?;
    let (screen, guard) = terminal::enter()?;
    // Dropping the screen would write to it, and it may be gone by then, or given back.
    let mut screen = ManuallyDrop::new(screen);
    terminal::watch_hang_up(hang_up.clone());
    let (sender, mut ended) = oneshot::channel();
    let (runtime, stop) = (tokio::runtime::Handle::current(), hang_up.clone());
    thread::Builder::new().name("screen".to_owned()).spawn(move || {
        terminal::this_thread_draws();
        let ended = runtime.block_on(console.run(&mut screen, EventStream::new(), bell, stop));
        // A panic drops the sender.
        let _ = sender.send(ended);
    })?;
    let (farewell, draws) = tokio::select! {
        biased;
        signal = signals.first() => (Farewell::Signal(signal.as_raw_value()), true),
        ended = &mut ended => match ended {
            Ok(Ended::Quit) => (Farewell::Quit, false),
            Ok(Ended::HungUp) => (Farewell::HungUp, false),
            Err(_) => (Farewell::Panicked, false),
        },
    };
    if matches!(farewell, Farewell::HungUp | Farewell::Panicked) {
        line.cancel();
    }
    let stopped = if draws {
        hang_up.cancel();
        tokio::time::timeout(LAST_FRAME, ended).await.is_ok()
    } else {
        true
    };
    if farewell == Farewell::HungUp || !stopped {
        guard.forget();
    } else {
        // After SIGHUP the terminal may well be there still; when it is not, this fails at once.
        drop(guard);
    }
    if farewell == Farewell::Panicked {
        panicked(!work.is_done());
    }
    if !work.is_done() {
        tracing::warn!("the console is gone; what was begun goes on to its end");
    }
    work.done().await;
    Ok(farewell)
}

/// The signals that end a console. They are heard in tasks of their own: the screen may be stuck.
struct Signals {
    first: watch::Receiver<Option<SignalKind>>,
}

impl Signals {
    fn listen(work: &Work, line: &CancellationToken) -> io::Result<Self> {
        let (sender, first) = watch::channel(None);
        for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()] {
            let mut arriving: Signal = signal(kind)?;
            let (sender, work, line) = (sender.clone(), work.clone(), line.clone());
            tokio::spawn(async move {
                while arriving.recv().await.is_some() {
                    if kind == SignalKind::hangup() {
                        line.cancel();
                    } else {
                        work.cancel();
                    }
                    sender.send_if_modified(|first| {
                        let is_first = first.is_none();
                        first.get_or_insert(kind);
                        is_first
                    });
                }
            });
        }
        Ok(Self { first })
    }

    /// The first one that came.
    async fn first(&mut self) -> SignalKind {
        match self.first.wait_for(Option::is_some).await.map(|first| *first) {
            Ok(Some(kind)) => kind,
            _ => std::future::pending().await,
        }
    }
}
