//! `history`: the kept bodies of the source.

use std::io::Write as _;

use clap::Args;
use serde::Serialize;

use super::{
    Context,
    exit::{CliError, ExitStatus},
    output::Layout,
    table::{Column, Table, left, right},
};
use crate::{
    entity::Endpoint,
    report::{SnapshotId, SnapshotReport},
    text,
};

/// Arguments of `history`.
#[derive(Args, Clone, Copy, Debug)]
#[command(after_help = "\
A body that was there before greenroom, in an adopted database, has `before` in place of a run (0 in the JSON).

Endpoints: talents, boards, mediaTags, talentsPortfolios, portfoliosMedia, talentsMeasurements, talentsSocials,
boardsTalents, boardsPortfolios; upper and lower case do not matter.

Examples:
  greenroom history
  greenroom history boards
  greenroom history boards 12 | jq '.data[].title'")]
pub struct HistoryArguments {
    /// Only the snapshots of this endpoint
    pub endpoint: Option<Endpoint>,
    /// Print the body of this snapshot, its records as they were received
    pub id: Option<SnapshotId>,
}

/// The answer without ID.
#[derive(Serialize)]
struct SnapshotList {
    snapshots: Vec<SnapshotReport>,
}

/// Lists snapshots, or prints one.
pub(super) async fn run(context: &Context, arguments: &HistoryArguments) -> Result<ExitStatus, CliError> {
    let operations = context.settings.open()?;
    let list = SnapshotList { snapshots: operations.history(arguments.endpoint).await? };
    let (Some(endpoint), Some(id)) = (arguments.endpoint, arguments.id) else {
        context.output.report(&list, operations.clock().now(), |layout| render(&list.snapshots, layout))?;
        return Ok(ExitStatus::Done);
    };
    let Some(snapshot) = list.snapshots.iter().find(|snapshot| snapshot.id == id) else {
        return Err(CliError::NoSuchSnapshot { endpoint, id });
    };
    let mut body = context.output.body();
    if context.output.is_json() {
        // The body may be a bare list; the answer is one object, and not held in memory.
        let snapshot = serde_json::to_string(snapshot).map_err(|error| CliError::Stream(error.into()))?;
        write!(body, "{{\"snapshot\":{snapshot},\"body\":").map_err(CliError::Stream)?;
        operations.body(id, &mut body)?;
        writeln!(body, "}}").map_err(CliError::Stream)?;
        body.flush().map_err(CliError::Stream)?;
        return Ok(ExitStatus::Done);
    }
    operations.body(id, &mut body)?;
    context.output.end_body(body)?;
    Ok(ExitStatus::Done)
}

const COLUMNS: [Column; 8] = [
    left("endpoint"),
    right("id"),
    right("run"),
    left("fetched"),
    right("size"),
    right("records"),
    left("in use").or("use"),
    left("hash"),
];

fn render(snapshots: &[SnapshotReport], layout: &Layout) -> String {
    if snapshots.is_empty() {
        return "no snapshots are kept\n".to_owned();
    }
    let mut table = Table::new(&COLUMNS);
    for snapshot in snapshots {
        // Its beginning tells two bodies apart; the whole is in the JSON.
        let hash = snapshot.hash.chars().take(8).collect();
        table.row([
            snapshot.endpoint.to_string(),
            snapshot.id.to_string(),
            if snapshot.run == 0 { "before".to_owned() } else { snapshot.run.to_string() },
            layout.when(snapshot.fetched_at),
            text::bytes(snapshot.bytes),
            text::thousands(snapshot.records),
            if snapshot.in_use { "yes" } else { "no" }.to_owned(),
            hash,
        ]);
    }
    table.render(layout)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn lists_snapshots() {
        let snapshot = SnapshotReport {
            id: 12,
            endpoint: Endpoint::TalentsMeasurements,
            run: 7,
            fetched_at: Timestamp::UNIX_EPOCH,
            bytes: 18_211,
            records: 40,
            hash: "0123456789abcdef".into(),
            envelope: "data".into(),
            parts: 1,
            in_use: true,
        };
        let now = Timestamp::from_second(90).unwrap();
        assert_eq!(
            render(std::slice::from_ref(&snapshot), &Layout::unlimited(now)),
            "\
endpoint             id  run  fetched                            size  records  in use  hash
talentsMeasurements  12    7  90 s ago, 1970-01-01 00:00:00Z  18.2 kB       40  yes     01234567
"
        );
        let narrow = render(&[snapshot], &Layout { width: Some(80), now });
        assert!(narrow.lines().all(|line| line.len() <= 80), "{narrow}");
        assert_eq!(render(&[], &Layout::unlimited(now)), "no snapshots are kept\n");
    }
}
