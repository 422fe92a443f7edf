//! `diff`: how rows differ between the backup and what is live, what is live and a run, or two snapshots.

use clap::{Args, value_parser};

use super::{
    Context,
    exit::{CliError, ExitStatus},
    output::{Layout, push_line},
    signal::Signals,
    table::{Column, Table, left, right},
};
use crate::{
    entity::Entity,
    green::{DiffSubject, GreenError, Page},
    ops::{OperationError, Operations},
    report::{DiffReport, EntityDiff, RowChange, RowDiff, RunId, SnapshotId},
    text,
};

/// Arguments of `diff`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Entities: talents, boards, mediatags, talentsportfolios, portfoliosmedia, talentsmeasurements, talentssocials, \
boardstalents, boardsportfolios, mediatags_junction.

Examples:
  greenroom diff
  greenroom diff talents boards --rows --limit 10
  greenroom diff --run 7 --rows
  greenroom diff --snapshots 12 15

Counting is fast; --rows may take longer, and so does a snapshot, whose rows have to be made first. Ctrl-C stops it.")]
pub struct DiffArguments {
    /// The entities to compare; without any all ten
    #[arg(value_name = "ENTITY")]
    pub entities: Vec<Entity>,
    /// Compare the live rows with what this run staged, such as a held run or a dry run
    #[arg(long, value_name = "RUN")]
    pub run: Option<RunId>,
    /// Compare what two snapshots of one endpoint make; see `greenroom history`
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"], conflicts_with_all = ["run", "entities"])]
    pub snapshots: Option<Vec<SnapshotId>>,
    /// List the rows that differ, with the old and the new value of each changed column
    #[arg(long)]
    pub rows: bool,
    /// How many rows are listed at most for each entity
    #[arg(long, value_name = "N", default_value_t = 50, requires = "rows",
        value_parser = value_parser!(u64).range(1..=i64::MAX as u64))]
    pub limit: u64,
    /// How many of the rows are left out first
    #[arg(long, value_name = "N", default_value_t = 0, requires = "rows",
        value_parser = value_parser!(u64).range(0..=i64::MAX as u64))]
    pub offset: u64,
}

/// Compares two states of entities.
pub(super) async fn run(context: &Context, arguments: DiffArguments) -> Result<ExitStatus, CliError> {
    let operations = context.settings.open()?;
    let (subject, entities) = wanted(&operations, &arguments).await?;
    let page = Page { offset: arguments.offset, limit: arguments.limit };
    let signals = Signals::listen()?;
    let compared = operations.diff(subject, entities, arguments.rows.then_some(page), signals.token()).await;
    let report = match (compared, signals.first()) {
        (Err(OperationError::Green(GreenError::Stopped)), Some(signal)) => return Err(CliError::Stopped(signal)),
        (compared, _) => compared?,
    };
    context.output.report(&report, operations.clock().now(), |layout| render(&report, page.offset, layout))?;
    Ok(ExitStatus::Done)
}

/// What is to be compared.
async fn wanted(operations: &Operations, arguments: &DiffArguments) -> Result<(DiffSubject, Vec<Entity>), CliError> {
    if let Some([old, new]) = arguments.snapshots.as_deref() {
        let kept = operations.history(None).await?;
        let endpoint = |id| {
            let found = kept.iter().find(|snapshot| snapshot.id == id);
            found.map(|snapshot| snapshot.endpoint).ok_or(CliError::UnknownSnapshot { id })
        };
        let (of_old, of_new) = (endpoint(*old)?, endpoint(*new)?);
        if of_old != of_new {
            return Err(CliError::OtherEndpoint { old: (*old, of_old), new: (*new, of_new) });
        }
        return Ok((DiffSubject::Snapshots(*old, *new), of_old.entities().to_vec()));
    }
    let entities = if arguments.entities.is_empty() { Entity::ALL.to_vec() } else { arguments.entities.clone() };
    Ok((arguments.run.map_or(DiffSubject::Backup, DiffSubject::Run), entities))
}

const COLUMNS: [Column; 6] =
    [left("entity"), left("from"), left("to"), right("added"), right("removed"), right("changed")];

fn render(report: &DiffReport, offset: u64, layout: &Layout) -> String {
    if report.entities.is_empty() {
        return "nothing to compare: the run staged none of these entities\n".to_owned();
    }
    let mut table = Table::new(&COLUMNS);
    for diff in &report.entities {
        let [added, removed, changed] = match diff.counts {
            Some(counts) => [counts.added, counts.removed, counts.changed].map(text::thousands),
            None => ["-", "-", "-"].map(str::to_owned),
        };
        table.row([diff.entity.to_string(), diff.from.to_string(), diff.to.to_string(), added, removed, changed]);
    }
    let mut answer = table.render(layout);
    for diff in &report.entities {
        rows(diff, offset, layout, &mut answer);
    }
    answer
}

fn rows(diff: &EntityDiff, offset: u64, layout: &Layout, answer: &mut String) {
    let (Some(rows), Some(counts)) = (&diff.rows, diff.counts) else { return };
    if rows.is_empty() {
        return;
    }
    let (all, listed) = (counts.added + counts.removed + counts.changed, rows.len() as u64);
    let shown = match offset {
        0 if all > listed => format!("first {} of {}", text::thousands(listed), text::count(all, "row", "rows")),
        0 => text::count(all, "row", "rows"),
        _ => {
            let (first, last) = (text::thousands(offset + 1), text::thousands(offset + listed));
            format!("{first} to {last} of {}", text::count(all, "row", "rows"))
        }
    };
    answer.push('\n');
    push_line(answer, &format!("{}, from {} to {}, {shown}", diff.entity, diff.from, diff.to));
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
            to: DiffSide::Snapshot(12),
            counts: None,
            rows: None,
        };
        let report = DiffReport { entities: vec![with_rows, without_backup] };
        let layout = Layout::unlimited(jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(
            render(&report, 0, &layout),
            "\
entity   from  to           added  removed  changed
boards   v1    v2               3        1        1
talents  -     snapshot 12      -        -        -

boards, from v1 to v2, first 2 of 5 rows
- b1
    title: \"Old\"
~ b2\\x1b
    title: \"a\\u{202e}\" > \"b\\n\"
"
        );
        assert!(render(&report, 3, &layout).contains("boards, from v1 to v2, 4 to 5 of 5 rows\n"));
        let none = DiffReport { entities: Vec::new() };
        assert!(render(&none, 0, &layout).starts_with("nothing to compare"));
    }
}
