//! The loop: messages first, then a frame when the screen is out of date, and nothing at all when nothing happens.

use std::{
    io,
    time::{Duration, Instant},
};

use futures_util::{Stream, StreamExt};
use ratatui::{
    Terminal,
    backend::{Backend, TestBackend},
    crossterm::event::Event,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    executor::Executor,
    log_pane::LogBell,
    message::{Effect, Message, Moment},
    model::{Model, ModelOptions},
    update, view,
    work::Work,
};
use crate::{
    failpoint::{self, Failpoint},
    ops::Operations,
    sync::Observed,
};

/// Shortest time between two frames that no key asked for.
const FRAME_INTERVAL: Duration = Duration::from_millis(250);

/// A backend on which a frame can be made to appear at once.
pub trait Surface: Backend {
    /// Comes after each frame.
    ///
    /// # Errors
    /// When the terminal is gone.
    fn end_frame(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Surface for TestBackend {}

/// Why the loop ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// The operator left.
    Quit,
    /// The line is gone: the terminal must not be touched any more.
    HungUp,
}

/// A console, its terminal aside.
#[derive(Debug)]
pub struct Console {
    model: Model,
    executor: Executor,
    messages: mpsc::UnboundedReceiver<Message>,
    operations: Operations,
}

impl Console {
    /// A console that works on `operations`.
    #[must_use]
    pub fn new(operations: Operations, options: ModelOptions) -> Self {
        let (sender, messages) = mpsc::unbounded_channel();
        let now = moment(&operations);
        let model = Model::new(options, now);
        let executor = Executor::new(operations.clone(), sender);
        Self { model, executor, messages, operations }
    }

    /// The same, with exported files going to `folder` in place of the current one.
    #[must_use]
    pub fn exporting_to(mut self, folder: std::path::PathBuf) -> Self {
        self.executor.export_to(folder);
        self
    }

    /// Shows the console on `terminal` and takes `input` until the operator leaves or `hang_up` is cancelled.
    ///
    /// A draw error means that the line is gone. A run may still go on then; see [`Console::bring_to_end`] and
    /// [`Console::work`].
    pub async fn run<B: Surface>(
        &mut self,
        terminal: &mut Terminal<B>,
        mut input: impl Stream<Item = io::Result<Event>> + Unpin,
        bell: LogBell,
        hang_up: CancellationToken,
    ) -> Ended {
        if let Ok(size) = terminal.size() {
            self.model.size = size;
        }
        let mut pending = update::opening(&mut self.model);
        let mut next_frame = Instant::now();
        let mut urgent = true;
        loop {
            for effect in std::mem::take(&mut pending) {
                match effect {
                    Effect::Quit => return Ended::Quit,
                    // Makes the next frame a whole one; asking the terminal to clear could wait for its answer.
                    Effect::Redraw => drop(terminal.size().map(|size| terminal.resize(size.into()))),
                    other => self.executor.execute(other),
                }
            }
            let now = Instant::now();
            if self.model.dirty && (urgent || now >= next_frame) {
                if draw(&self.model, terminal).is_err() {
                    return Ended::HungUp;
                }
                self.model.dirty = false;
                urgent = false;
                next_frame = Instant::now() + FRAME_INTERVAL;
            }
            let wake = if self.model.dirty { Some(next_frame) } else { self.model.next_tick().map(|tick| now + tick) };
            tokio::select! {
                biased;
                () = hang_up.cancelled() => return Ended::HungUp,
                event = input.next() => match event {
                    Some(Ok(event)) => {
                        urgent = true;
                        pending = self.take(Message::Input(event));
                        urgent &= self.model.dirty;
                    }
                    Some(Err(_)) | None => return Ended::HungUp,
                },
                Some(message) = self.messages.recv() => {
                    let mut next = Some(message);
                    while let Some(message) = next {
                        // Answers are shown at once; the progress of a run can wait for its frame.
                        let can_wait = matches!(message, Message::Event(_) | Message::Observed(Observed::Event(_)));
                        pending.extend(self.take(message));
                        urgent |= !can_wait && self.model.dirty;
                        next = self.messages.try_recv().ok();
                    }
                }
                () = bell.rung() => {
                    tui_logger::move_events();
                    pending = self.take(Message::Logged);
                }
                () = sleep_until(wake) => {
                    if !self.model.dirty {
                        pending = self.take(Message::Tick);
                    }
                }
            }
        }
    }

    fn take(&mut self, message: Message) -> Vec<Effect> {
        let now = moment(&self.operations);
        update::update(&mut self.model, message, now)
    }

    /// What it has begun.
    #[must_use]
    pub fn work(&self) -> Work {
        self.executor.work().clone()
    }

    /// Waits for the end of our run, or of a rollback or cleanup, without a screen.
    pub async fn bring_to_end(&mut self) {
        self.work().done().await;
    }
}

fn moment(operations: &Operations) -> Moment {
    Moment { instant: Instant::now(), time: operations.clock().now() }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}

fn draw<B: Surface>(model: &Model, terminal: &mut Terminal<B>) -> Result<(), ()> {
    // Any fault but a panic is a terminal that takes nothing any more.
    if failpoint::reach(Failpoint::ConsoleDraw).is_some() {
        return Err(());
    }
    terminal.draw(|frame| view::draw(model, frame)).map_err(drop)?;
    terminal.backend_mut().end_frame().map_err(drop)
}
