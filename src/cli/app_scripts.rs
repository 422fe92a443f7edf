//! `migrate-app --prisma`: applies the application's migrations from their folder.

use std::{fs, io, path::Path};

use super::{
    Context,
    exit::{CliError, ExitStatus},
    output::push_line,
};
use crate::{green::AppScript, report::AppScriptsReport, text};

/// The file in the folder of each migration.
const SCRIPT: &str = "migration.sql";
/// The file beside these folders that says for which database they are.
const LOCK: &str = "migration_lock.toml";

/// The migrations in `folder`, in their order.
fn read(folder: &Path) -> Result<Vec<AppScript>, CliError> {
    let unusable = |why: String| CliError::NoScripts { folder: folder.to_owned(), why };
    let cannot = |path: &Path, error: &io::Error| unusable(format!("{}: {error}", path.display()));
    let lock = folder.join(LOCK);
    match fs::read_to_string(&lock) {
        Ok(lock) if lock.lines().any(|line| line.trim_start().starts_with("provider") && !line.contains("sqlite")) => {
            return Err(unusable(format!("by {LOCK} they are for another database than SQLite")));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(&lock, &error)),
        _ => {}
    }
    let mut scripts = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| cannot(folder, &error))? {
        let path = entry.map_err(|error| cannot(folder, &error))?.path();
        let (file, name) = (path.join(SCRIPT), path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        if path.is_dir() {
            let sql = fs::read_to_string(&file).map_err(|error| cannot(&file, &error))?;
            scripts.push(AppScript { name, sql });
        }
    }
    if scripts.is_empty() {
        return Err(unusable(format!("there is no folder with a {SCRIPT} in it")));
    }
    scripts.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(scripts)
}

/// Applies what is not applied yet.
pub(super) async fn run(context: &Context, folder: &Path, dry_run: bool) -> Result<ExitStatus, CliError> {
    let (scripts, operations) = (read(folder)?, context.settings.open()?);
    let report = operations.apply_app_scripts(scripts, dry_run).await?;
    context.output.report(&report, operations.clock().now(), |_| render(&report))?;
    Ok(ExitStatus::Done)
}

fn render(report: &AppScriptsReport) -> String {
    let mut answer = String::new();
    let verb = if report.dry_run { "would be applied" } else { "applied" };
    for name in &report.applied {
        push_line(&mut answer, &format!("{verb}: {name}"));
    }
    for note in &report.notes {
        push_line(&mut answer, note);
    }
    let before = text::count(report.already, "migration was", "migrations were");
    let end = match (report.applied.len(), report.dry_run) {
        (0, _) => format!("nothing to apply: {before} applied before"),
        (_, true) => "all of it was done and taken back; nothing was changed".to_owned(),
        (count, false) => {
            format!(
                "{} applied; visitors have read views all the time",
                text::count(count as u64, "migration", "migrations")
            )
        }
    };
    push_line(&mut answer, &end);
    answer
}
