//! The command line: one file a command, each turning its arguments into an operation and showing the report.

mod adopt;
mod app_scripts;
mod cancel;
mod cleanup;
mod console;
mod demo;
mod diff;
pub mod exit;
mod follow;
mod history;
mod hold;
mod lasting;
mod logging;
mod migrate_app;
mod outcome;
pub mod output;
mod perform;
mod progress;
mod publish;
mod quarantine;
mod replay;
mod rollback;
mod rows;
mod runs;
mod secret;
mod serve;
pub mod settings;
pub mod signal;
mod status;
mod sync;
mod table;
mod triggers;
mod wait;

use std::{ffi::OsString, time::Duration};

use clap::{Parser, Subcommand, error::ErrorKind};

pub use self::{
    adopt::{AdoptArguments, ReleaseDatabaseArguments},
    cancel::CancelArguments,
    cleanup::CleanupArguments,
    diff::DiffArguments,
    exit::{CliError, ExitStatus},
    history::HistoryArguments,
    hold::HoldArguments,
    lasting::{BadLasting, Lasting},
    migrate_app::MigrateAppArguments,
    output::Output,
    publish::PublishArguments,
    quarantine::QuarantineArguments,
    rollback::RollbackArguments,
    rows::RowsArguments,
    runs::RunsArguments,
    secret::NoSecret,
    serve::ServeArguments,
    settings::Settings,
    sync::SyncArguments,
    triggers::TriggersArguments,
    wait::WaitLimit,
};

/// How long threads that nobody waits for, such as a name lookup, may hold up the end.
const LAST_WAIT: Duration = Duration::from_millis(500);

const AFTER_HELP: &str = "\
Examples:
  greenroom sync --source-url https://blue.example.com --database-url file:/data/sqlite.db
  greenroom status --json
  greenroom publish 7 --accept shrink
  greenroom rollback

Exit status:
  0    published or unchanged, or what was asked for was done
  1    failed and nothing was switched, or a partial publish left something behind
  2    the arguments or the configuration are at fault
  3    held by a guard or by the hold; nothing was switched
  4    another run has the lock, or another server takes the triggers
  5    the answer to a needed confirmation was no, or nobody could be asked
  129, 130, 143  ended by SIGHUP, SIGINT or SIGTERM; nothing was switched";

/// Keeps NowRepGreen's SQLite database a whole and current copy of NowRepBlue's data
///
/// Without a command it opens the console.
#[derive(Parser, Debug)]
#[command(name = "greenroom", version, after_help = AFTER_HELP)]
pub struct Cli {
    /// Options of all commands.
    #[command(flatten)]
    pub settings: Settings,
    /// What to do; `None` opens the console.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What can be done.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Fetch everything from the source, or some entities, and publish it, here and now
    Sync(SyncArguments),
    /// Make live what a held run or a dry run prepared
    Publish(PublishArguments),
    /// End the run that goes on, whoever owns it
    Cancel(CancelArguments),
    /// Show what is live: versions, rows, ages, the hold, the running and the last run
    Status,
    /// List past runs, show one with its steps, attempts and quarantine, or follow what goes on
    Runs(RunsArguments),
    /// List who triggered runs over HTTP or by the schedule, with what was answered and what came of it
    Triggers(TriggersArguments),
    /// List the kept bodies of the source, or print one
    History(HistoryArguments),
    /// List rows of the live version of an entity or of its backup
    Rows(RowsArguments),
    /// Compare the live rows with their backups or with a run, or two snapshots
    Diff(DiffArguments),
    /// List records that could not become rows, through the runs
    Quarantine(QuarantineArguments),
    /// Take a publication back, or some entities, or go back to an earlier run
    Rollback(RollbackArguments),
    /// Keep runs from publishing until `release`
    Hold(HoldArguments),
    /// Let runs publish again
    Release,
    /// Remove old snapshots, leftovers and old runs, and give their space back
    Cleanup(CleanupArguments),
    /// Take triggers over HTTP, run what they ask for, and tell of health and figures
    Serve(ServeArguments),
    /// Take over a database that NowRepGreen's own migrations made
    Adopt(AdoptArguments),
    /// Give an adopted database back to NowRepGreen's own migrations and the old system
    ReleaseDatabase(ReleaseDatabaseArguments),
    /// Run a migration of NowRepGreen, with tables in the place of the views
    MigrateApp(MigrateAppArguments),
    /// Open the console on a built-in source with data that changes
    Demo,
}

/// Reads the arguments of the process.
///
/// # Errors
/// When there is nothing more to do, as with `--help` or an argument that is not understood; that was told then.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, ExitStatus> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    Cli::try_parse_from(&arguments).map_err(|error| {
        if !error.use_stderr() {
            let _ = error.print();
            return ExitStatus::Done;
        }
        if arguments.iter().any(|argument| argument == "--json") && error.kind() != ErrorKind::DisplayHelp {
            let message = error.to_string();
            // What follows an empty line is the usage.
            let lines: Vec<_> = message.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            let said = lines.join(" ");
            Output::new(true).failure(said.strip_prefix("error: ").unwrap_or(&said), ExitStatus::Usage);
        } else {
            let _ = error.print();
        }
        ExitStatus::Usage
    })
}

/// What a command works with.
#[derive(Debug)]
struct Context {
    settings: Settings,
    output: Output,
}

impl Cli {
    /// Writes log lines for the commands without a screen of their own, when `-v` asks for them; those of a service always.
    pub fn set_up_logging(&self) {
        match self.command {
            None | Some(Command::Demo) => {}
            // A service whose log says nothing is none that anybody can run.
            Some(Command::Serve(_)) => logging::install(self.settings.verbose.saturating_add(1)),
            Some(_) => logging::install(self.settings.verbose),
        }
    }

    /// Does what was asked for and tells of errors.
    #[must_use]
    pub fn dispatch(self) -> ExitStatus {
        arm_failpoint();
        let context = Context { output: Output::new(self.settings.json), settings: self.settings };
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let error = CliError::Start(error);
                context.output.error(&error);
                return error.status();
            }
        };
        let result = runtime.block_on(execute(&context, self.command));
        runtime.shutdown_timeout(LAST_WAIT);
        result.unwrap_or_else(|error| {
            if error.is_broken_pipe() {
                return ExitStatus::Done;
            }
            context.output.error(&error);
            error.status()
        })
    }
}

/// Arms the failpoint that a drill names, in a program that was built for drills.
fn arm_failpoint() {
    #[cfg(feature = "failpoints")]
    if let Ok(given) = std::env::var(crate::failpoint::VARIABLE) {
        match given.parse() {
            Ok(armed) => crate::failpoint::arm(armed),
            // A drill that arms nothing must not pass for one that went well.
            Err(error) => {
                Output::new(false).error(&CliError::Start(std::io::Error::other(error)));
                std::process::exit(2);
            }
        }
    }
}

async fn execute(context: &Context, command: Option<Command>) -> Result<ExitStatus, CliError> {
    match command {
        None => console::run(context).await,
        Some(Command::Demo) => demo::run(context).await,
        Some(Command::Sync(arguments)) => sync::run(context, &arguments).await,
        Some(Command::Publish(arguments)) => publish::run(context, &arguments).await,
        Some(Command::Cancel(arguments)) => cancel::run(context, &arguments).await,
        Some(Command::Status) => status::run(context).await,
        Some(Command::Runs(arguments)) => runs::run(context, &arguments).await,
        Some(Command::Triggers(arguments)) => triggers::run(context, arguments).await,
        Some(Command::History(arguments)) => history::run(context, &arguments).await,
        Some(Command::Rows(arguments)) => rows::run(context, &arguments).await,
        Some(Command::Diff(arguments)) => diff::run(context, arguments).await,
        Some(Command::Quarantine(arguments)) => quarantine::run(context, &arguments).await,
        Some(Command::Hold(arguments)) => hold::hold(context, &arguments).await,
        Some(Command::Release) => hold::release(context).await,
        Some(Command::Rollback(arguments)) => rollback::run(context, &arguments).await,
        Some(Command::Serve(arguments)) => serve::run(context, &arguments).await,
        Some(Command::Cleanup(arguments)) => cleanup::run(context, &arguments).await,
        Some(Command::Adopt(arguments)) => adopt::adopt(context, &arguments).await,
        Some(Command::ReleaseDatabase(arguments)) => adopt::release(context, &arguments).await,
        Some(Command::MigrateApp(arguments)) => migrate_app::run(context, &arguments).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::entity::{Endpoint, Entity};

    fn parsed(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        for line in [
            "greenroom --json -vv --database-url x.db --source-url http://blue sync --force",
            "greenroom sync --force --json -vv --database-url x.db --source-url http://blue",
        ] {
            let cli = parsed(line).unwrap();
            assert!(cli.settings.json, "{line}");
            assert_eq!(cli.settings.verbose, 2);
            assert_eq!(cli.settings.database_url.as_deref(), Some("x.db"));
            assert_eq!(cli.settings.source_url.as_deref(), Some("http://blue"));
            assert!(matches!(cli.command, Some(Command::Sync(SyncArguments { force: true, json_lines: false, .. }))));
        }
        assert!(parsed("greenroom").unwrap().command.is_none());
    }

    #[test]
    fn arguments_are_checked() {
        let Some(Command::History(history)) = parsed("greenroom history mediaTags 4").unwrap().command else {
            panic!()
        };
        assert_eq!((history.endpoint, history.id), (Some(Endpoint::MediaTags), Some(4)));
        let Some(Command::Diff(diff)) = parsed("greenroom diff boards talents --rows").unwrap().command else {
            panic!()
        };
        assert_eq!((diff.entities, diff.rows, diff.limit), (vec![Entity::Boards, Entity::Talents], true, 50));
        let Some(Command::Runs(runs)) = parsed("greenroom runs").unwrap().command else { panic!() };
        assert_eq!((runs.run, runs.limit), (None, 20));
        let Some(Command::Sync(sync)) =
            parsed("greenroom sync boards --accept shrink,boards.empty --accept all").unwrap().command
        else {
            panic!()
        };
        assert_eq!(sync.accept.iter().map(ToString::to_string).collect::<Vec<_>>(), ["shrink", "boards.empty", "all"]);
        let wait = |line| match parsed(line).unwrap().command {
            Some(Command::Sync(SyncArguments { wait, entities, .. })) => (wait, entities),
            other => panic!("{other:?}"),
        };
        assert_eq!(wait("greenroom sync --wait boards"), (Some(WaitLimit::Forever), vec![Entity::Boards]));
        assert_eq!(wait("greenroom sync --wait=90"), (Some(WaitLimit::Seconds(90)), Vec::new()));
        let Some(Command::Diff(diff)) = parsed("greenroom diff --snapshots 3 5 --rows").unwrap().command else {
            panic!()
        };
        assert_eq!(diff.snapshots, Some(vec![3, 5]));
        for line in [
            "greenroom diff nothing",
            "greenroom diff --limit 3",
            "greenroom history 4",
            "greenroom runs x",
            "greenroom runs --limit 0",
            "greenroom triggers --limit 0",
            "greenroom cleanup --dry-run --yes",
            "greenroom adopt --dry-run --yes",
            "greenroom release-database --dry-run --yes",
            "greenroom migrate-app",
            "greenroom publish",
            "greenroom publish x",
            "greenroom sync --with-related",
            "greenroom sync --accept everything",
            "greenroom sync --guard shrink",
            "greenroom sync --wait=soon",
            "greenroom sync --on-hangup stay",
            "greenroom rollback --wait",
            "greenroom cleanup --dry-run --wait",
            "greenroom runs --json-lines",
            "greenroom runs --follow --limit 3",
            "greenroom diff boards --snapshots 3 5",
            "greenroom diff --run 3 --snapshots 3 5",
            "greenroom diff --snapshots 3",
            "greenroom diff --offset 3",
            "greenroom rollback boards --to 3",
            "greenroom rollback boards --publication 3",
            "greenroom rollback --publication 3 --to 3",
            "greenroom rollback --accept shrink",
            "greenroom rollback --no-hold --reason x",
            "greenroom quarantine nothing",
            "greenroom quarantine --gone --run 3",
        ] {
            assert_eq!(parsed(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
