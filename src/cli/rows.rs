//! `rows`: what stands in a version of an entity.

use clap::{Args, value_parser};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    Context,
    exit::{CliError, ExitStatus},
    output::push_line,
};
use crate::{
    entity::Entity,
    green::{Page, RowsQuery, Side},
    report::RowsReport,
    text,
};

/// Arguments of `rows`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
TEXT is looked for in all columns, whatever the case of ASCII letters; `column:TEXT` looks in that one only.

Examples:
  greenroom rows boards
  greenroom rows talents --filter lastName:keller
  greenroom rows talents --backup --filter t0017
  greenroom rows portfoliosmedia --offset 1000 --limit 100 --json | jq '.rows[]'")]
pub struct RowsArguments {
    /// The entity
    #[arg(value_name = "ENTITY")]
    pub entity: Entity,
    /// Rows of the backup instead of the live ones
    #[arg(long)]
    pub backup: bool,
    /// Only rows with this text
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// How many are listed at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u64).range(1..=i64::MAX as u64))]
    pub limit: u64,
    /// How many are left out first
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u64).range(0..=i64::MAX as u64))]
    pub offset: u64,
}

/// Lists rows.
pub(super) async fn run(context: &Context, arguments: &RowsArguments) -> Result<ExitStatus, CliError> {
    let operations = context.settings.open()?;
    let query = RowsQuery {
        entity: arguments.entity,
        side: if arguments.backup { Side::Backup } else { Side::Live },
        filter: arguments.filter.clone(),
        page: Page { offset: arguments.offset, limit: arguments.limit },
    };
    let report = operations.rows(query, CancellationToken::new()).await?;
    let now = operations.clock().now();
    context.output.report(&report, now, |_| render(&report))?;
    Ok(ExitStatus::Done)
}

fn render(report: &RowsReport) -> String {
    let mut answer = String::new();
    for row in &report.rows {
        for (place, (column, value)) in report.columns.iter().zip(row).enumerate() {
            let indent = if place == 0 { "" } else { "    " };
            let value = match value {
                Value::Null => "NULL".to_owned(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            push_line(&mut answer, &format!("{indent}{column}: {value}"));
        }
    }
    let count = report.rows.len() as u64;
    let what = if report.live { "live" } else { "in the backup" };
    let all = text::count(report.total, "row", "rows");
    let summary = if count == report.total {
        format!("{all} {what}")
    } else if count == 0 {
        format!("none of {all} {what} from {} on", text::thousands(report.offset + 1))
    } else {
        let (first, last) = (text::thousands(report.offset + 1), text::thousands(report.offset + count));
        format!("{first} to {last} of {all} {what}; --offset and --limit list others")
    };
    push_line(&mut answer, &summary);
    answer
}
