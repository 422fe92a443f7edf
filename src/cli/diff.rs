//! `diff`: how the live rows differ from their backups.

use clap::{Args, value_parser};

use super::{
    Context,
    exit::{CliError, ExitStatus},
    output::{Layout, push_line},
    table::{Column, Table, left, right, version},
};
use crate::{
    entity::Entity,
    report::{DiffReport, EntityDiff, RowChange, RowDiff},
    text,
};

/// Arguments of `diff`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Entities: talents, boards, mediatags, talentsportfolios, portfoliosmedia, talentsmeasurements, talentssocials,
boardstalents, boardsportfolios, mediatags_junction.

Examples:
  greenroom diff
  greenroom diff talents boards --rows --limit 10")]
pub struct DiffArguments {
    /// The entities to compare; without any all ten
    #[arg(value_name = "ENTITY")]
    pub entities: Vec<Entity>,
    /// List the rows that differ, with the old and the new value of each changed column
    #[arg(long)]
    pub rows: bool,
    /// How many rows are listed at most for each entity
    #[arg(long, value_name = "N", default_value_t = 50, requires = "rows",
        value_parser = value_parser!(u64).range(1..=i64::MAX as u64))]
    pub limit: u64,
}

/// Compares the live with the backup versions.
pub(super) async fn run(context: &Context, arguments: DiffArguments) -> Result<ExitStatus, CliError> {
    let operations = context.settings.open()?;
    let entities = if arguments.entities.is_empty() { Entity::ALL.to_vec() } else { arguments.entities };
    let report = operations
        .diff(
            crate::green::DiffSubject::Backup,
            entities,
            arguments.rows.then_some(crate::green::Page { offset: 0, limit: arguments.limit }),
            tokio_util::sync::CancellationToken::new(),
        )
        .await?;
    context.output.report(&report, operations.clock().now(), |layout| render(&report, layout))?;
    Ok(ExitStatus::Done)
}

const COLUMNS: [Column; 6] =
    [left("entity"), left("backup"), left("active"), right("added"), right("removed"), right("changed")];

fn render(report: &DiffReport, layout: &Layout) -> String {
    let mut table = Table::new(&COLUMNS);
    for diff in &report.entities {
        let [added, removed, changed] = match diff.counts {
            Some(counts) => [counts.added, counts.removed, counts.changed].map(text::thousands),
            None => ["-", "-", "-"].map(str::to_owned),
        };
        let (backup, active) = (version(diff.backup_version), version(diff.active_version));
        table.row([diff.entity.to_string(), backup, active, added, removed, changed]);
    }
    let mut answer = table.render(layout);
    for diff in &report.entities {
        rows(diff, layout, &mut answer);
    }
    answer
}

fn rows(diff: &EntityDiff, layout: &Layout, answer: &mut String) {
    let (Some(rows), Some(counts)) = (&diff.rows, diff.counts) else { return };
    if rows.is_empty() {
        return;
    }
    let all = counts.added + counts.removed + counts.changed;
    let shown = if all > rows.len() as u64 {
        format!("first {} of {}", text::thousands(rows.len() as u64), text::count(all, "row", "rows"))
    } else {
        text::count(all, "row", "rows")
    };
    let (backup, active) = (version(diff.backup_version), version(diff.active_version));
    answer.push('\n');
    push_line(answer, &format!("{}, from {backup} to {active}, {shown}", diff.entity));
    for one in rows {
        row(one, layout, answer);
    }
}

fn row(row: &RowDiff, layout: &Layout, answer: &mut String) {
    let sign = match row.change {
        RowChange::Added => '+',
        RowChange::Removed => '-',
        RowChange::Changed => '~',
    };
    push_line(answer, &format!("{sign} {}", row.id));
    // Values are written as JSON, which tells text from numbers and NULL.
    let value = |value: &serde_json::Value| layout.fit(&value.to_string(), 200);
    for column in &row.columns {
        let values = match row.change {
            RowChange::Added => value(&column.after),
            RowChange::Removed => value(&column.before),
            RowChange::Changed => format!("{} > {}", value(&column.before), value(&column.after)),
        };
        push_line(answer, &format!("    {}: {values}", column.column));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::report::{ColumnDiff, DiffCounts, DiffSide};

    #[test]
    fn lists_old_and_new_values() {
        let column = |before: Value, after: Value| ColumnDiff { column: "title".into(), before, after };
        let rows = vec![
            RowDiff { id: "b1".into(), change: RowChange::Removed, columns: vec![column(json!("Old"), Value::Null)] },
            RowDiff {
                id: "b2\u{1b}".into(),
                change: RowChange::Changed,
                columns: vec![column(json!("a\u{202e}"), json!("b\n"))],
            },
        ];
        let counts = DiffCounts { added: 3, removed: 1, changed: 1 };
        let with_rows = EntityDiff {
            entity: Entity::Boards,
            active_version: 2,
            backup_version: 1,
            from: DiffSide::Version(1),
            to: DiffSide::Version(2),
            counts: Some(counts),
            rows: Some(rows),
        };
        let without_backup = EntityDiff {
            entity: Entity::Talents,
            active_version: 1,
            backup_version: 0,
            from: DiffSide::Version(0),
            to: DiffSide::Version(1),
            counts: None,
            rows: None,
        };
        let report = DiffReport { entities: vec![with_rows, without_backup] };
        assert_eq!(
            render(&report, &Layout::unlimited(jiff::Timestamp::UNIX_EPOCH)),
            "\
entity   backup  active  added  removed  changed
boards   v1      v2          3        1        1
talents  -       v1          -        -        -

boards, from v1 to v2, first 2 of 5 rows
- b1
    title: \"Old\"
~ b2\\x1b
    title: \"a\\u{202e}\" > \"b\\n\"
"
        );
    }
}
