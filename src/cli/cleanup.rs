//! `cleanup`: removes what is no longer needed.

use clap::Args;

use super::{
    Context,
    exit::{CliError, ExitStatus},
    output::{Layout, push_line},
    table::{Column, Table, left, right},
    wait::{Turn, WaitLimit},
};
use crate::{report::CleanupReport, text};

/// Arguments of `cleanup`.
#[derive(Args, Clone, Copy, Debug)]
#[command(after_help = "\
It removes snapshots beyond the kept ones, tables left behind by runs that did not end, and the journal of old runs. What
the live and the backup versions were made from always stays. It cannot be undone: it shows what would go and asks for the
word `cleanup`.

Examples:
  greenroom cleanup --dry-run
  greenroom cleanup --yes --json

Exit status: 0 done or nothing to do, 1 failed, 4 a run goes on, 5 not confirmed.")]
pub struct CleanupArguments {
    /// Only show what would be removed
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// When another run goes on, wait for one's turn; with SECONDS no longer than that
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "forever", conflicts_with = "dry_run")]
    pub wait: Option<WaitLimit>,
}

/// Cleans up after a confirmation.
pub(super) async fn run(context: &Context, arguments: &CleanupArguments) -> Result<ExitStatus, CliError> {
    let (operations, output) = (context.settings.open()?, &context.output);
    let mut turn = Turn::new(arguments.wait);
    // What a run leaves is known at its end.
    turn.come(output, &operations, None).await?;
    let mut report = operations.plan_cleanup().await?;
    if report.is_empty() {
        report.dry_run = arguments.dry_run;
    } else if !arguments.dry_run {
        if !arguments.yes {
            output.confirm("cleanup", operations.clock().now(), |layout| render(&report, layout), "cleanup")?;
        }
        report = loop {
            match operations.cleanup().await {
                Ok(report) => break report,
                Err(refusal) => turn.after(refusal, output, &operations, None).await?,
            }
        };
    }
    output.report(&report, operations.clock().now(), |layout| render(&report, layout))?;
    Ok(ExitStatus::Done)
}

const COLUMNS: [Column; 5] = [left("endpoint"), right("snapshot"), left("fetched"), right("size"), right("records")];

fn render(report: &CleanupReport, layout: &Layout) -> String {
    if report.is_empty() && report.bytes_before == report.bytes_after {
        return "nothing to clean up\n".to_owned();
    }
    let mut answer = String::new();
    if !report.snapshots.is_empty() {
        let mut table = Table::new(&COLUMNS);
        for snapshot in &report.snapshots {
            table.row([
                snapshot.endpoint.to_string(),
                snapshot.id.to_string(),
                layout.when(snapshot.fetched_at),
                text::bytes(snapshot.bytes),
                text::thousands(snapshot.records),
            ]);
        }
        answer.push_str(&table.render(layout));
    }
    for leftover in &report.leftovers {
        push_line(&mut answer, &format!("leftover table {leftover}"));
    }
    let counts = [
        (report.snapshots.len() as u64, "snapshot", "snapshots"),
        (report.leftovers.len() as u64, "leftover table", "leftover tables"),
        (report.runs, "old run", "old runs"),
    ];
    let counts = counts.into_iter().filter(|(number, ..)| *number > 0);
    let counts: Vec<_> = counts.map(|(number, one, many)| text::count(number, one, many)).collect();
    let counts = if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") };
    let freed = text::bytes(report.bytes_before.saturating_sub(report.bytes_after));
    let (before, after) = (text::bytes(report.bytes_before), text::bytes(report.bytes_after));
    let line = if report.dry_run {
        // What the removals themselves free is only known afterwards.
        format!("would remove {counts} for good, and give back at least {freed} of {before}")
    } else {
        format!("removed {counts}; {freed} given back, the database is now {after}")
    };
    push_line(&mut answer, &line);
    answer
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{entity::Endpoint, report::SnapshotReport};

    fn report() -> CleanupReport {
        CleanupReport {
            dry_run: true,
            snapshots: vec![SnapshotReport {
                id: 12,
                endpoint: Endpoint::Boards,
                run: 7,
                fetched_at: Timestamp::UNIX_EPOCH,
                bytes: 885,
                records: 4,
                hash: String::new(),
                envelope: "data".into(),
                parts: 1,
                in_use: false,
            }],
            leftovers: vec!["talents_new".into()],
            runs: 1,
            bytes_before: 1_200_000,
            bytes_after: 1_000_000,
        }
    }

    #[test]
    fn says_what_would_go_and_what_went() {
        let layout = Layout::unlimited(Timestamp::UNIX_EPOCH);
        assert_eq!(
            render(&report(), &layout),
            "\
endpoint  snapshot  fetched                          size  records
boards          12  just now, 1970-01-01 00:00:00Z  885 B        4
leftover table talents_new
would remove 1 snapshot, 1 leftover table, 1 old run for good, and give back at least 200.0 kB of 1.2 MB
"
        );
        let done = CleanupReport { dry_run: false, ..report() };
        let text = render(&done, &layout);
        assert!(text.ends_with("old run; 200.0 kB given back, the database is now 1.0 MB\n"), "{text}");
    }

    #[test]
    fn says_that_there_is_nothing_to_do() {
        let report =
            CleanupReport { snapshots: Vec::new(), leftovers: Vec::new(), runs: 0, bytes_after: 1_200_000, ..report() };
        assert_eq!(render(&report, &Layout::unlimited(Timestamp::UNIX_EPOCH)), "nothing to clean up\n");
    }
}
