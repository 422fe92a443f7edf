//! `adopt` and `release-database`: takes over the database of NowRepGreen's own migrations, and gives it back.

use clap::Args;

use super::{
    Context,
    exit::{CliError, ExitStatus},
    output::{Layout, push_line},
    settings,
    table::{Column, Table, left, right, version},
};
use crate::{
    clock::Clock,
    green::GreenError,
    ops,
    report::{AdoptedEntity, AdoptionReport, FindingKind, ReleaseReport},
    text,
};

/// Arguments of `adopt`.
#[derive(Args, Clone, Copy, Debug)]
#[command(after_help = "\
NowRepGreen's own migrations make tables such as SyncMetadata and BoardsJson; greenroom works on them once they are adopted,
and changes nothing before. It keeps what is there, puts right what the old system left half done, and says so line by line.
Visitors go on reading what they read. A second `adopt` has nothing to do.

Examples:
  greenroom adopt --dry-run
  greenroom adopt
  greenroom adopt --undo

Exit status: 0 adopted, or nothing to do; 1 something has to be put right by hand first; 2 not such a database; 4 a run goes \
on; 5 (--undo) not confirmed.")]
pub struct AdoptArguments {
    /// Only show what would be done
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Give the database back; the same as `release-database`
    #[arg(long)]
    pub undo: bool,
    /// With --undo: do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `release-database`.
#[derive(Args, Clone, Copy, Debug)]
#[command(after_help = "\
Views, rows, versions and the kept bodies stay as NowRepGreen and its old system know them. The journal, publications,
quarantine and the hold go for good, and with them `rollback`: it shows what goes and asks for the word `release`.
A database that was given back can be adopted again.

Exit status: 0 done, 1 failed, 2 it was not adopted, 4 a run goes on, 5 not confirmed.")]
pub struct ReleaseDatabaseArguments {
    /// Only show what would be done
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Adopts, or shows what that would do.
pub(super) async fn adopt(context: &Context, arguments: &AdoptArguments) -> Result<ExitStatus, CliError> {
    let AdoptArguments { dry_run, undo, yes } = *arguments;
    if undo {
        return release(context, &ReleaseDatabaseArguments { dry_run, yes }).await;
    }
    let (path, clock) = (context.settings.database_path()?, Clock::system());
    let planned = ops::plan_adoption(path.clone()).await?;
    let report = if dry_run || planned.adopted_at.is_some() || planned.is_refused() {
        planned
    } else {
        ops::adopt(path, settings::operator(), &clock).await?
    };
    let told = context.output.report(&report, clock.now(), |layout| render(&report, layout));
    told.map_err(|error| if report.dry_run { error } else { error.after("the database is adopted") })?;
    if report.is_refused() {
        context.output.note("greenroom: the database cannot be adopted as it is; nothing was changed");
        return Ok(ExitStatus::Failed);
    }
    Ok(ExitStatus::Done)
}

/// Offers to adopt the database to who wants to open the console on it.
///
/// # Errors
/// When the offer is declined or something is in the way of it; nothing was changed then.
pub(super) async fn offer(context: &Context) -> Result<(), CliError> {
    let (path, clock, output) = (context.settings.database_path()?, Clock::system(), &context.output);
    let planned = ops::plan_adoption(path.clone()).await?;
    if planned.is_refused() {
        output.report(&planned, clock.now(), |layout| render(&planned, layout))?;
        return Err(GreenError::NotAdopted { path }.into());
    }
    output.confirm("adopt", clock.now(), |layout| offered(&planned, layout), "Y")?;
    ops::adopt(path, settings::operator(), &clock).await?;
    Ok(())
}

fn offered(planned: &AdoptionReport, layout: &Layout) -> String {
    let mut offer = String::new();
    push_line(
        &mut offer,
        "NowRepGreen's own migrations made this database, and greenroom has not taken it over yet. Adopting it",
    );
    push_line(&mut offer, "keeps what visitors read; `greenroom release-database` gives it back. This would be done:");
    offer.push('\n');
    offer + &render(planned, layout)
}

/// Gives the database back after a confirmation.
pub(super) async fn release(context: &Context, arguments: &ReleaseDatabaseArguments) -> Result<ExitStatus, CliError> {
    let (operations, output) = (context.settings.open()?, &context.output);
    let mut report = operations.plan_release_database().await?;
    if !arguments.dry_run {
        if !arguments.yes {
            let now = operations.clock().now();
            output.confirm("release-database", now, |layout| render_release(&report, layout), "release")?;
        }
        report = operations.release_database().await?;
    }
    let told = output.report(&report, operations.clock().now(), |layout| render_release(&report, layout));
    told.map_err(|error| if report.dry_run { error } else { error.after("the database is given back") })?;
    Ok(ExitStatus::Done)
}

const COLUMNS: [Column; 5] = [
    left("entity"),
    left("active").or("act"),
    left("backup").or("bak"),
    right("rows"),
    right("backup rows").or("bak rows"),
];

fn entities(entities: &[AdoptedEntity], layout: &Layout) -> String {
    let mut table = Table::new(&COLUMNS);
    for one in entities {
        let backup_rows = if one.backup_version == 0 { "-".to_owned() } else { text::thousands(one.backup_rows) };
        table.row([
            one.entity.to_string(),
            version(one.active_version),
            version(one.backup_version),
            text::thousands(one.active_rows),
            backup_rows,
        ]);
    }
    table.render(layout)
}

fn render(report: &AdoptionReport, layout: &Layout) -> String {
    let mut answer = String::new();
    if let Some(since) = report.adopted_at {
        push_line(&mut answer, &format!("nothing to do: the database is adopted since {}", text::time(since)));
        return answer;
    }
    for finding in &report.findings {
        push_line(&mut answer, &format!("{:9} {}; {}", finding.kind, finding.found, finding.done));
    }
    if !report.findings.is_empty() {
        answer.push('\n');
    }
    if report.is_refused() {
        push_line(&mut answer, "it cannot be adopted before the obstacles are put right; nothing was changed");
        return answer;
    }
    answer.push_str(&entities(&report.entities, layout));
    answer.push('\n');
    let repairs = text::count(report.of(FindingKind::Repair).count() as u64, "repair", "repairs");
    let bodies = text::count(report.snapshots, "body of the source", "bodies of the source");
    let wal = if report.journal_mode.eq_ignore_ascii_case("wal") {
        String::new()
    } else {
        format!(", journal mode {} > wal", report.journal_mode)
    };
    let line = if report.dry_run {
        format!("would adopt the database: {repairs}, {bodies} listed as history{wal}; nothing was changed")
    } else {
        format!("the database is adopted: {repairs}, {bodies} listed as history{wal}")
    };
    push_line(&mut answer, &line);
    if !report.dry_run {
        push_line(&mut answer, "go on with `greenroom sync`; `greenroom release-database` gives it back");
    }
    answer
}

fn render_release(report: &ReleaseReport, layout: &Layout) -> String {
    let mut answer = entities(&report.entities, layout);
    answer.push('\n');
    let (leaves, gives, goes) =
        if report.dry_run { ("would leave", "would give", "would go") } else { ("left", "gave", "went") };
    let hold = report.hold.as_ref().map(|hold| format!(", the hold ({hold})")).unwrap_or_default();
    let forgotten = format!(
        "for good {goes}: the journal of {}, {}, {} in quarantine{hold}",
        text::count(report.runs, "run", "runs"),
        text::count(report.publications, "publication with its way back", "publications with their ways back"),
        text::count(report.quarantined, "record", "records"),
    );
    push_line(&mut answer, &forgotten);
    let bodies = format!(
        "{leaves} {} of the source, {} of them joined into one row; {} beyond the kept ones {goes}",
        text::count(report.snapshots, "body", "bodies"),
        report.joined,
        report.old_snapshots,
    );
    push_line(&mut answer, &bodies);
    let indexes = text::count(report.indexes, "index", "indexes");
    push_line(&mut answer, &format!("{gives} {indexes} the names that NowRepGreen's migrations know"));
    for note in &report.notes {
        push_line(&mut answer, note);
    }
    let mode = &report.journal_mode;
    let line = if report.dry_run {
        format!("would give the database back in journal mode {mode}; views and rows stay")
    } else {
        format!("the database is given back in journal mode {mode}; views and rows stay as they were")
    };
    push_line(&mut answer, &line);
    answer
}
