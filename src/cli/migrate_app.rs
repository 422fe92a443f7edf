//! `migrate-app`: runs a migration of the application with tables in the place of the views.

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use clap::Args;
use rustix::process::{Pid, WaitId, WaitIdOptions};

use super::{
    Context, app_scripts,
    exit::{CliError, ExitStatus},
    output::{Layout, push_line},
    signal::{Signal, Signals},
};
use crate::{
    green::GreenError,
    ops::{AppMigration, OperationError, Operations},
    report::AppMigrationEnd,
    text,
};

/// Arguments of `migrate-app`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
NowRepGreen's migrations fail while `*_current` are views.

With --prisma greenroom applies what is pending of a folder of Prisma migrations itself, in one transaction in which tables
stand in the place of the views: nobody ever sees them, a migration that fails changes nothing, and visitors go on reading.
It is written down in `_prisma_migrations`, so that `prisma migrate deploy` finds nothing left to do.

With COMMAND it puts tables with the live rows in their place, runs COMMAND, and puts the views back whatever came of it;
visitors read the same rows all the time, as far as COMMAND lets them: `prisma migrate deploy` wants the file for itself and
fails while any other program has it open, be it idle. Until COMMAND ends nothing is synced or rolled back. It finds the
database as it always does: greenroom sets no variable for it.

What a migration changes in the rows of these tables is lost, as they are a copy; columns that it adds stay.

Examples:
  greenroom migrate-app --prisma prisma/migrations --dry-run
  greenroom migrate-app --prisma prisma/migrations
  greenroom migrate-app npx prisma migrate deploy
  greenroom --json migrate-app -- ./migrate.sh --verbose

Exit status: that of COMMAND, 128 and the number of the signal that ended it, or 1 when it could not be started or the views \
could not be put back; 4 a run goes on. With --json what COMMAND prints goes to standard error.")]
pub struct MigrateAppArguments {
    /// Apply the migrations in this folder, each in a folder of its own with a migration.sql
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub prisma: Option<PathBuf>,
    /// Do all of it and take it back
    #[arg(long, requires = "prisma")]
    pub dry_run: bool,
    /// The program, and its arguments
    #[arg(
        value_name = "COMMAND",
        required_unless_present = "prisma",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub command: Vec<OsString>,
}

/// Runs the migration.
pub(super) async fn run(context: &Context, arguments: &MigrateAppArguments) -> Result<ExitStatus, CliError> {
    if let Some(folder) = &arguments.prisma {
        return app_scripts::run(context, folder, arguments.dry_run).await;
    }
    let (operations, output) = (context.settings.open()?, &context.output);
    let mut signals = Signals::listen()?;
    let words: Vec<_> = arguments.command.iter().map(|word| word.to_string_lossy()).collect();
    let migration = match operations.open_app_migration(words.join(" "), signals.token()).await {
        Err(OperationError::Green(GreenError::Stopped)) => {
            return Err(CliError::Stopped(signals.first().unwrap_or(Signal::Terminate)));
        }
        opened => opened?,
    };
    // A signal that came when all was ready: the command is not begun.
    if let Some(signal) = signals.first() {
        operations.close_app_migration(migration, None).await?;
        return Err(CliError::Stopped(signal));
    }
    let child = migration.leave_to_command().and_then(|()| start(&arguments.command, output.is_json()));
    let child = match child {
        Ok(child) => child,
        Err(source) => {
            operations.close_app_migration(migration, None).await?;
            return Err(CliError::CannotRun { command: words.join(" "), source });
        }
    };
    let status = migration.beating_while(wait(child, &mut signals)).await;
    let code = status.as_ref().ok().copied();
    let report = close(&operations, migration, code, &words.join(" ")).await?;
    let status = ExitStatus::OfCommand(status.map_err(CliError::Start)?);
    let told = output.report(&report, operations.clock().now(), |layout| render(&report, layout));
    told.map_err(|error| error.after("the migration is over and the views are back"))?;
    Ok(status)
}

/// Puts the views back. How the command ended is told with what went wrong with that.
async fn close(
    operations: &Operations,
    migration: AppMigration,
    code: Option<u8>,
    command: &str,
) -> Result<AppMigrationEnd, CliError> {
    operations.close_app_migration(migration, code).await.map_err(|error| {
        let ended = code.map_or_else(|| "of which nothing is known".to_owned(), |code| format!("with status {code}"));
        CliError::AfterMigration { command: command.to_owned(), ended, source: Box::new(error) }
    })
}

fn start(words: &[OsString], is_json: bool) -> io::Result<Child> {
    let (program, rest) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(rest);
    if is_json {
        // Standard output is for the report.
        command.stdout(Stdio::from(io::stderr()));
    }
    command.spawn()
}

/// Waits for the end of `child`, passing signals on to it.
///
/// # Returns
/// Its exit status, or 128 and the number of the signal that ended it.
async fn wait(mut child: Child, signals: &mut Signals) -> io::Result<u8> {
    let pid = Pid::from_child(&child);
    // It is waited for without being taken off the system's list, so that its number stays its own as long as signals may be
    // passed on.
    let ended = tokio::task::spawn_blocking(move || {
        loop {
            match rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Err(rustix::io::Errno::INTR) => {}
                ended => return ended,
            }
        }
    });
    tokio::pin!(ended);
    loop {
        tokio::select! {
            ended = &mut ended => {
                ended.map_err(io::Error::other)??;
                break;
            }
            signal = signals.next() => pass_on(pid, signal),
        }
    }
    let status = child.wait()?;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

fn pass_on(pid: Pid, signal: Signal) {
    // The terminal has sent its Ctrl-C to both of us.
    if signal == Signal::Interrupt && io::stdin().is_terminal() {
        return;
    }
    let signal = match signal {
        Signal::Hangup => rustix::process::Signal::HUP,
        Signal::Interrupt => rustix::process::Signal::INT,
        Signal::Terminate => rustix::process::Signal::TERM,
    };
    let _ = rustix::process::kill_process(pid, signal);
}

fn render(report: &AppMigrationEnd, _layout: &Layout) -> String {
    let mut answer = String::new();
    for note in &report.notes {
        push_line(&mut answer, note);
    }
    let took = report.closed_at.as_millisecond() - report.opened_at.as_millisecond();
    let rows = text::count(report.rows, "row", "rows");
    let ended = report.exit_status.unwrap_or_default();
    let took = text::duration(took.max(0));
    push_line(
        &mut answer,
        &format!(
            "`{}` ended with status {ended}; tables with {rows} stood in the place of the views for {took}, which are back",
            report.command
        ),
    );
    answer
}
