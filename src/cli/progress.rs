//! What is told of a run while it goes on.

use std::{io, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;

use super::{exit::CliError, output::Output};
use crate::{
    sync::{EventRecord, RunState, Stage, StepState},
    text,
};

/// Most draws in a second.
const DRAWS: u8 = 10;

/// Time between two draws; progress is told about as often.
pub(super) const DRAW_INTERVAL: Duration = Duration::from_millis(200);

/// Columns of a bar.
const BAR_COLUMNS: usize = 20;

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
    fn for_people(output: &Output) -> Self {
        if output.can_animate() { Self::Bars(Box::new(Bars::new())) } else { Self::Lines }
    }

    /// What suits a command that prints its report afterwards: nothing beside JSON or a log of the same events.
    pub(super) fn of(output: &Output, verbose: u8) -> Self {
        if output.is_json() || verbose > 0 { Self::Quiet } else { Self::for_people(output) }
    }

    /// What suits a command that follows another process's run: the log tells nothing of that.
    pub(super) fn following(output: &Output, json_lines: bool) -> Self {
        match json_lines {
            true => Self::JsonLines(None),
            false if output.is_json() => Self::Quiet,
            false => Self::for_people(output),
        }
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

    /// Shows what was taken in, as it is at the time `now`.
    pub(super) fn draw(&self, output: &Output, now: Timestamp) {
        if let Self::Bars(bars) = self {
            bars.draw(output, now);
        }
    }

    /// Writes a line to standard error without disturbing the picture.
    pub(super) fn note(&self, output: &Output, line: &str) {
        match self {
            Self::Bars(bars) => bars.bar.suspend(|| output.note(line)),
            _ => output.note(line),
        }
    }

    /// Never touches the terminal again, as it is gone.
    pub(super) fn abandon(&mut self) {
        if let Self::Bars(bars) = self {
            bars.bar.set_draw_target(ProgressDrawTarget::hidden());
            *self = Self::Quiet;
        }
    }

    /// Takes the picture away.
    pub(super) fn end(self) -> Result<(), CliError> {
        match self {
            Self::Bars(bars) => {
                bars.bar.finish_and_clear();
                Ok(())
            }
            Self::JsonLines(Some(error)) => Err(CliError::Stream(error)),
            _ => Ok(()),
        }
    }
}

/// One line an entity and one for the run.
///
/// All lines are the message of a single bar: that is one draw for each picture, where a bar of its own for each entity
/// would draw all of them again whenever one changes.
#[derive(Debug)]
pub(super) struct Bars {
    bar: ProgressBar,
    state: Option<RunState>,
}

impl Bars {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(DRAWS));
        Self { bar, state: None }
    }

    fn take(&mut self, record: &EventRecord) {
        match &mut self.state {
            Some(state) => state.apply(record),
            None => self.state = RunState::begin(record),
        }
    }

    fn draw(&self, output: &Output, now: Timestamp) {
        let Some(state) = &self.state else { return };
        let picture = picture(state, now, output.stderr_width());
        if self.bar.message() != picture {
            self.bar.set_message(picture);
        }
    }
}

/// The run as lines of at most `width` columns, without a line feed at the end.
fn picture(state: &RunState, now: Timestamp, width: u16) -> String {
    let line = |name: &str, progress: f64, said: &str| {
        // One column stays free, as some terminals wrap after the last one.
        let width = usize::from(width.saturating_sub(1));
        text::fit_columns(&format!("{name:20} {} {}", bar(progress), text::clean(said)), width).into_owned()
    };
    // A body of unknown size counts as half there.
    let steps = state.steps.iter().map(|step| {
        let progress = step.progress().unwrap_or(0.25);
        line(step.entity.name(), progress, &describe(step))
    });
    let seconds = (now.as_second() - state.started_at.as_second()).max(0);
    let by = state.requested_by.as_ref().map(|_| format!(", {}", state.asker())).unwrap_or_default();
    let run = line(&format!("run {}", state.run), state.progress(), &format!("{seconds} s{by}"));
    steps.chain([run]).collect::<Vec<_>>().join("\n")
}

/// A bar for a share of 0 to 1.
fn bar(progress: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "0 to 1 of a few columns"
    )]
    let done = (progress.clamp(0.0, 1.0) * BAR_COLUMNS as f64) as usize;
    let head = if done < BAR_COLUMNS && progress > 0.0 { ">" } else { "" };
    let bar = format!("{}{head}", "=".repeat(done));
    format!("[{bar:BAR_COLUMNS$}]")
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
        Stage::Retrying | Stage::Failed => format!("{stage}: {error}"),
        Stage::Loading => format!("{stage} {}", text::count(step.records, "record", "records")),
        Stage::Ready | Stage::Unchanged | Stage::Published => {
            format!("{stage} {}", text::count(step.rows, "row", "rows"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        entity::{Endpoint, Entity},
        report::{Operator, RecordCounts, Trigger},
        sync::{RunEvent, event::EntityBefore},
    };

    #[test]
    fn bars_fill_up() {
        assert_eq!(bar(0.0), "[                    ]");
        assert_eq!(bar(0.01), "[>                   ]");
        assert_eq!(bar(0.5), "[==========>         ]");
        assert_eq!(bar(1.0), "[====================]");
    }

    #[test]
    fn the_picture_keeps_to_the_width_and_shows_no_control_characters() {
        let record = |event| EventRecord { run: 7, seq: 1, at: jiff::Timestamp::UNIX_EPOCH, event };
        let made_from = RecordCounts::default();
        let before = |entity| EntityBefore { entity, active_version: 1, backup_version: 0, rows: 5, made_from };
        let mut state = RunState::begin(&record(RunEvent::Started {
            requested_by: Some("10.0.0.7".into()),
            trigger: Trigger::Http,
            operator: Operator { user: "ana".into(), host: "box".into(), pid: 1 },
            source: "http://blue".into(),
            based_on: None,
            entities: [Entity::Talents, Entity::Boards].map(before).to_vec(),
            left_alone: Vec::new(),
            dry_run: false,
            replay: None,
            replay_of: None,
        }))
        .unwrap();
        state.apply(&record(RunEvent::Unchanged { entity: Entity::Talents }));
        state.apply(&record(RunEvent::AttemptFailed {
            endpoint: Endpoint::Boards,
            attempt: 1,
            bytes: 0,
            status: None,
            error: "\u{1b}[2J a long story".into(),
            excerpt: None,
            retry_in_ms: Some(900),
        }));
        assert_eq!(
            picture(&state, Timestamp::from_millisecond(2900).unwrap(), 68),
            "\
talents              [====================] unchanged 5 rows
boards               [                    ] retrying: \\x1b[2J a lo…
run 7                [==========>         ] 2 s, http 10.0.0.7"
        );
    }
}
