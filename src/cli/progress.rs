//! What is told of a run while it goes on.

use std::{
    io,
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{exit::CliError, output::Output};
use crate::{
    entity::Entity,
    sync::{EventRecord, RunState, Stage, StepState},
    text,
};

/// Most draws in a second.
const DRAWS: u8 = 10;

/// Time between two draws.
pub(super) const DRAW_INTERVAL: Duration = Duration::from_millis(1000 / DRAWS as u64);

/// Steps of a bar.
const SCALE: u64 = 1000;

/// How the events of a run are told.
#[derive(Debug)]
pub(super) enum Progress {
    /// Not at all: the answer or the log says everything.
    Quiet,
    /// Each as a JSON line on standard output, until it cannot be written.
    JsonLines(Option<io::Error>),
    /// Each that is not overtaken by later ones as a line on standard error.
    Lines,
    /// As bars on standard error.
    Bars(Box<Bars>),
}

impl Progress {
    /// Bars where they can be drawn, lines elsewhere.
    pub(super) fn for_people(output: &Output) -> Self {
        if output.can_animate() { Self::Bars(Box::new(Bars::new())) } else { Self::Lines }
    }

    /// Takes the next event in.
    pub(super) fn take(&mut self, output: &Output, record: &EventRecord) {
        match self {
            Self::Quiet | Self::JsonLines(Some(_)) => {}
            // A reader that left does not end the run.
            Self::JsonLines(failure) => *failure = output.json_line(record).err(),
            Self::Lines if record.event.is_passing() => {}
            Self::Lines => output.note(&format!("run {}: {}", record.run, record.event)),
            Self::Bars(bars) => bars.take(record),
        }
    }

    /// Whether [`Progress::draw`] has to be called.
    pub(super) const fn is_drawn(&self) -> bool {
        matches!(self, Self::Bars(_))
    }

    /// Shows what was taken in.
    pub(super) fn draw(&mut self) {
        if let Self::Bars(bars) = self {
            bars.draw();
        }
    }

    /// Writes a line to standard error without disturbing the picture.
    pub(super) fn note(&self, output: &Output, line: &str) {
        match self {
            Self::Bars(bars) => bars.all.suspend(|| output.note(line)),
            _ => output.note(line),
        }
    }

    /// Never touches the terminal again, as it is gone.
    pub(super) fn abandon(&mut self) {
        if let Self::Bars(bars) = self {
            bars.all.set_draw_target(ProgressDrawTarget::hidden());
            *self = Self::Quiet;
        }
    }

    /// Takes the picture away.
    pub(super) fn end(self) -> Result<(), CliError> {
        match self {
            Self::Bars(bars) => {
                // A terminal that is gone has no picture to take away.
                let _ = bars.all.clear();
                Ok(())
            }
            Self::JsonLines(Some(error)) => Err(CliError::Stream(error)),
            _ => Ok(()),
        }
    }
}

/// One bar an entity and one for the run.
#[derive(Debug)]
pub(super) struct Bars {
    all: MultiProgress,
    run: Option<(RunState, ProgressBar)>,
    steps: Vec<(Entity, ProgressBar)>,
    begun: Instant,
    is_stale: bool,
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(DRAWS));
        Self { all, run: None, steps: Vec::new(), begun: Instant::now(), is_stale: false }
    }

    fn take(&mut self, record: &EventRecord) {
        self.is_stale = true;
        if let Some((state, _)) = &mut self.run {
            return state.apply(record);
        }
        let Some(state) = RunState::begin(record) else { return };
        for step in &state.steps {
            let bar = self.bar(step.entity.name());
            self.steps.push((step.entity, bar));
        }
        let bar = self.bar(&format!("run {}", state.run));
        self.run = Some((state, bar));
    }

    fn bar(&self, name: &str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(SCALE), ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{prefix:20} [{bar:20}] {wide_msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(name.to_owned());
        self.all.add(bar)
    }

    fn draw(&mut self) {
        let Some((state, overall)) = &self.run else { return };
        if self.is_stale {
            for (step, (_, bar)) in state.steps.iter().zip(&self.steps) {
                set(bar, step.progress().unwrap_or(0.25), &describe(step));
            }
            self.is_stale = false;
        }
        // Changes once a second, which also brings what the limit of draws held back.
        let seconds = self.begun.elapsed().as_secs();
        set(overall, state.progress(), &format!("{seconds} s"));
    }
}

fn set(bar: &ProgressBar, progress: f64, message: &str) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "0 to 1000"
    )]
    let position = (progress.clamp(0.0, 1.0) * SCALE as f64) as u64;
    if bar.message() != message {
        bar.set_message(message.to_owned());
    }
    if bar.position() != position {
        bar.set_position(position);
    }
}

/// What is said of a step beside its bar.
fn describe(step: &StepState) -> String {
    let stage = step.stage;
    let error = step.error.as_deref().unwrap_or_default();
    match stage {
        Stage::Waiting | Stage::Skipped => stage.to_string(),
        Stage::Fetching if step.attempts > 1 => {
            format!("{stage} {}, attempt {}", text::bytes(step.bytes), step.attempts)
        }
        Stage::Fetching | Stage::Staged => format!("{stage} {}", text::bytes(step.bytes)),
        Stage::Retrying | Stage::Failed => format!("{stage}: {}", text::clean(error)),
        Stage::Loading => format!("{stage} {} records", text::thousands(step.records)),
        Stage::Ready | Stage::Unchanged | Stage::Published => {
            format!("{stage} {} rows", text::thousands(step.rows))
        }
    }
}
