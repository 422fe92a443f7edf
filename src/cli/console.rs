//! Opens the console.

use std::{env, time::Duration};

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
};

use super::{
    Context, Settings, adopt,
    exit::{CliError, ExitStatus},
    signal::Signal,
};
use crate::{
    console::{self, Farewell, LogBell, ModelOptions, Theme, terminal},
    green::GreenError,
    ops::{OperationError, Operations},
};

/// For how long keys are dropped after a question appeared: typed before it could be read, they are no answer.
const KEY_GUARD: Duration = Duration::from_millis(300);

/// Runs the console until the operator leaves it.
pub(super) async fn run(context: &Context) -> Result<ExitStatus, CliError> {
    check_terminal()?;
    let settings = &context.settings;
    let operations = match open(settings) {
        Err(CliError::Operation(OperationError::Green(GreenError::NotAdopted { .. }))) => {
            adopt::offer(context).await?;
            open(settings)?
        }
        opened => opened?,
    };
    let operations = operations.with_limits(settings.limits()?);
    show(context, operations, false).await
}

fn open(settings: &Settings) -> Result<Operations, CliError> {
    // Without a source there is nothing to fill a new database from.
    if settings.source()?.is_some() { settings.create() } else { settings.open_with_source() }
}

/// Refuses what is no terminal that can show the console.
pub(super) fn check_terminal() -> Result<(), CliError> {
    if !terminal::is_present() {
        return Err(CliError::NoTerminal("standard input and output are not a terminal".to_owned()));
    }
    match env::var("TERM") {
        Ok(kind) if kind == "dumb" => Err(CliError::NoTerminal("TERM is `dumb`, which has no cursor".to_owned())),
        _ => Ok(()),
    }
}

/// Shows the console on the process's terminal.
pub(super) async fn show(context: &Context, operations: Operations, demo: bool) -> Result<ExitStatus, CliError> {
    let bell = LogBell::default();
    record_log(context.settings.verbose, bell.clone());
    terminal::install_panic_hook();
    let options = ModelOptions {
        theme: theme(|name| env::var(name).ok()),
        database: operations.database_path().display().to_string(),
        source: operations.source(),
        operator: operations.operator().clone(),
        demo,
        key_guard: KEY_GUARD,
    };
    let panicked = |is_busy| {
        let rest = if is_busy { "; what it had begun is brought to its end first, Ctrl-C cancels a run" } else { "" };
        context.output.note(&format!("the console ended with a defect in greenroom{rest}"));
    };
    let farewell = console::run(operations, options, bell, panicked).await.map_err(CliError::Stream)?;
    Ok(match farewell {
        Farewell::Panicked => ExitStatus::Failed,
        Farewell::Quit => ExitStatus::Done,
        Farewell::HungUp => ExitStatus::Signalled(Signal::Hangup),
        Farewell::Signal(number) => ExitStatus::Signalled(Signal::of_number(number)),
    })
}

/// Sends log lines to the log pane from now on.
fn record_log(verbose: u8, bell: LogBell) {
    let level = match verbose {
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    tui_logger::set_default_level(log::LevelFilter::Trace);
    let targets = Targets::new().with_target("greenroom", level).with_default(LevelFilter::WARN);
    let registry = tracing_subscriber::registry().with(targets).with(tui_logger::TuiTracingSubscriberLayer).with(bell);
    // Err only says that logging was set up before.
    let _ = tracing::subscriber::set_global_default(registry);
}

/// What the terminal can show, by its environment.
fn theme(variable: impl Fn(&str) -> Option<String>) -> Theme {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default().to_ascii_lowercase();
    let unicode = locale.contains("utf-8") || locale.contains("utf8");
    let console_of_linux = set("TERM").is_some_and(|kind| kind == "linux");
    Theme { color: set("NO_COLOR").is_none(), ascii: !unicode || console_of_linux }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_theme_follows_the_environment() {
        let theme_of = |variables: &[(&str, &str)]| {
            theme(|name| variables.iter().find(|(one, _)| *one == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(theme_of(&[("LANG", "de_DE.UTF-8")]), Theme::DEFAULT);
        assert_eq!(theme_of(&[("LANG", "C.utf8"), ("NO_COLOR", "1")]), Theme { color: false, ascii: false });
        assert_eq!(theme_of(&[("LANG", "C.utf8"), ("NO_COLOR", "")]), Theme::DEFAULT);
        assert_eq!(theme_of(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]), Theme { color: true, ascii: true });
        assert_eq!(theme_of(&[("LANG", "C.UTF-8"), ("TERM", "linux")]), Theme { color: true, ascii: true });
        assert!(theme_of(&[]).ascii);
    }
}
