//! `quarantine`: records that could not become rows, through the runs, also for those who can mend them.

use std::str::FromStr;

use clap::{Args, value_parser};
use jiff::Timestamp;

use super::{
    Context,
    exit::{CliError, ExitStatus},
    output::{Layout, push_line},
    table::{Column, Table, left, right},
};
use crate::{
    entity::{Endpoint, Entity, UnknownName},
    green::QuarantineQuery,
    report::{QuarantineList, QuarantineRecord, RunId},
    text,
};

/// Records listed unless another number is asked for.
const LISTED: u64 = 50;

/// Arguments of `quarantine`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
NAME is an entity such as boardstalents, or an endpoint such as mediaTags, which stands for all of its entities.

It lists what the source still sends; with --gone also what it does not send any more, with --run what one run met. A \
record that became a row without one of its values is listed, too.

Examples:
  greenroom quarantine
  greenroom quarantine talents --run 7
  greenroom quarantine --json-lines > for-the-owners.jsonl
  greenroom quarantine --json | jq '.records[] | {entity, reason, firstRun}'")]
pub struct QuarantineArguments {
    /// Only records of these entities or endpoints
    #[arg(value_name = "NAME")]
    pub names: Vec<Name>,
    /// What this run met, with its place in the body
    #[arg(long, value_name = "RUN")]
    pub run: Option<RunId>,
    /// Also what the source does not send any more
    #[arg(long, conflicts_with = "run")]
    pub gone: bool,
    /// How many are listed at most; 50 unless --json-lines is given
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=i64::MAX as u64))]
    pub limit: Option<u64>,
    /// Print each record as a line of JSON on standard output, with the record as it came
    #[arg(long)]
    pub json_lines: bool,
}

/// An entity, or an endpoint as the entities that it feeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(Vec<Entity>);

impl FromStr for Name {
    type Err = UnknownName;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        // The endpoint `mediaTags` feeds the entity `mediatags` and one more: here upper and lower case do matter.
        if let Some(endpoint) = Endpoint::ALL.into_iter().find(|endpoint| endpoint.key() == given) {
            return Ok(Self(endpoint.entities().to_vec()));
        }
        given.parse().map(|entity| Self(vec![entity]))
    }
}

/// Lists what is in quarantine.
pub(super) async fn run(context: &Context, arguments: &QuarantineArguments) -> Result<ExitStatus, CliError> {
    let output = &context.output;
    if output.is_json() && arguments.json_lines {
        return Err(CliError::JsonTwice);
    }
    let operations = context.settings.open()?;
    let limit = arguments.limit.unwrap_or(if arguments.json_lines { i64::MAX.unsigned_abs() } else { LISTED });
    let query = QuarantineQuery {
        entities: arguments.names.iter().flat_map(|Name(entities)| entities).copied().collect(),
        run: arguments.run,
        gone: arguments.gone,
        limit,
        excerpt: None,
    };
    if arguments.json_lines {
        operations.export_quarantine(&query, &mut output.body())?;
        return Ok(ExitStatus::Done);
    }
    let list = operations.quarantine(query).await?;
    let now = operations.clock().now();
    output.report(&list, now, |layout| render(&list, arguments.run.is_some(), layout))?;
    Ok(ExitStatus::Done)
}

const COLUMNS: [Column; 6] = [
    left("entity"),
    left("reason").wrapped(),
    left("first seen").wrapped(),
    left("last seen").wrapped(),
    left("gone since").or("gone"),
    left("record").wrapped(),
];

const OF_RUN: [Column; 7] = [
    left("entity"),
    right("position").or("pos."),
    left("reason").wrapped(),
    left("first seen").wrapped(),
    left("last seen").wrapped(),
    left("gone since").or("gone"),
    left("record").wrapped(),
];

fn render(list: &QuarantineList, is_of_run: bool, layout: &Layout) -> String {
    if list.records.is_empty() {
        return "nothing is in quarantine\n".to_owned();
    }
    let mut table = Table::new(if is_of_run { &OF_RUN } else { &COLUMNS });
    for record in &list.records {
        let [entity, reason, first_seen, last_seen, gone, received] = cells(record, layout);
        if is_of_run {
            let position = record.position.map_or_else(|| "-".to_owned(), |position| position.to_string());
            table.row([entity, position, reason, first_seen, last_seen, gone, received]);
        } else {
            table.row([entity, reason, first_seen, last_seen, gone, received]);
        }
    }
    let mut answer = table.render(layout);
    let listed = list.records.len() as u64;
    if list.total > listed {
        let all = text::count(list.total, "record", "records");
        push_line(&mut answer, &format!("first {} of {all}; --limit lists more", text::thousands(listed)));
    } else {
        push_line(&mut answer, &text::count(listed, "record", "records"));
    }
    if is_of_run {
        push_line(&mut answer, "positions are counted from 0; `4.2` is item 2 in the list of record 4");
    }
    answer
}

fn cells(record: &QuarantineRecord, layout: &Layout) -> [String; 6] {
    let reason = match &record.column {
        Some(column) => format!("kept without {column}: {}", record.reason),
        None => record.reason.clone(),
    };
    let seen = |run: RunId, at: Timestamp| format!("run {run}, {}", text::age(at, layout.now));
    [
        record.entity.to_string(),
        layout.fit(&reason, 200),
        seen(record.first_run, record.first_seen_at),
        seen(record.last_run, record.last_seen_at),
        record.gone_since_run.map_or_else(|| "-".to_owned(), |run| format!("run {run}")),
        layout.fit(&record.record, 100),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::Position;

    fn record(body: &str) -> QuarantineRecord {
        QuarantineRecord {
            endpoint: Endpoint::MediaTags,
            entity: Entity::MediaTagsJunction,
            column: None,
            reason: "id is missing".into(),
            first_run: 3,
            first_seen_at: Timestamp::UNIX_EPOCH,
            last_run: 7,
            last_seen_at: Timestamp::from_second(240).unwrap(),
            gone_since_run: None,
            position: None,
            record: body.into(),
        }
    }

    #[test]
    fn names_are_entities_or_endpoints() {
        let named = |given: &str| given.parse::<Name>().unwrap().0;
        assert_eq!(named("mediaTags"), [Entity::MediaTags, Entity::MediaTagsJunction]);
        assert_eq!(named("mediatags"), [Entity::MediaTags]);
        assert_eq!(named("boardsTalents"), [Entity::BoardsTalents]);
        assert_eq!(named("Talents"), [Entity::Talents]);
        assert!("tags".parse::<Name>().is_err());
    }

    #[test]
    fn lists_records_without_harm() {
        let layout = Layout::unlimited(Timestamp::from_second(300).unwrap());
        let gone = QuarantineRecord {
            column: Some("size".into()),
            gone_since_run: Some(8),
            position: Some(Position { record: 4, item: Some(2) }),
            ..record("{}")
        };
        let list = QuarantineList { total: 3, records: vec![record("{\"x\": \"\u{202e}\"}"), gone] };
        assert_eq!(
            render(&list, false, &layout),
            "\
entity              reason                            first seen        last seen        gone since  record
mediatags_junction  id is missing                     run 3, 5 min ago  run 7, 60 s ago  -           {\"x\": \"\\u{202e}\"}
mediatags_junction  kept without size: id is missing  run 3, 5 min ago  run 7, 60 s ago  run 8       {}
first 2 of 3 records; --limit lists more
"
        );
        let text = render(&list, true, &layout);
        assert!(text.contains("mediatags_junction       4.2  kept without size"), "{text}");
        let none = QuarantineList { total: 0, records: Vec::new() };
        assert_eq!(render(&none, false, &layout), "nothing is in quarantine\n");
    }
}
