//! `runs`: past runs, and one run with its steps, attempts and quarantine.

use clap::{Args, value_parser};
use serde::Serialize;

use super::{
    Context,
    exit::{CliError, ExitStatus},
    follow,
    outcome::{failures, findings, names, outcome, started_by, steps},
    output::{Layout, push_line},
    table::{Column, Table, left, right},
};
use crate::{
    report::{AttemptReport, QuarantineReport, RunId, RunOutcome, RunReport, RunSummary},
    text,
};

/// Arguments of `runs`.
#[derive(Args, Clone, Copy, Debug)]
#[command(after_help = "\
`runs RUN --follow` waits for the end of that run, prints it and exits with its status, as if it were one's own; a run that \
ended already is answered at once. Without RUN it goes on with later runs until a signal ends it.

Examples:
  greenroom runs --limit 5
  greenroom runs 7
  greenroom runs 7 --json | jq '.quarantine[].reason'
  greenroom runs --follow
  greenroom runs 7 --follow && echo published

Exit status: 0 shown; with RUN and --follow 0 published, unchanged or prepared, 1 failed, cancelled or interrupted, 3 held; \
130/143/129 by signal.")]
pub struct RunsArguments {
    /// Number of the run to show; without it the newest ones are listed
    #[arg(value_name = "RUN")]
    pub run: Option<RunId>,
    /// How many runs are listed at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u64).range(1..=i64::MAX as u64))]
    pub limit: u64,
    /// Show the run that goes on, whoever owns it, and those that come after it; with RUN, that one to its end
    #[arg(short, long, conflicts_with = "limit")]
    pub follow: bool,
    /// With --follow, print each event as a line of JSON on standard output, as it happens
    #[arg(long, requires = "follow")]
    pub json_lines: bool,
}

/// The answer without RUN.
#[derive(Serialize)]
struct RunList {
    runs: Vec<RunSummary>,
}

/// Lists runs, or shows one.
pub(super) async fn run(context: &Context, arguments: &RunsArguments) -> Result<ExitStatus, CliError> {
    if arguments.follow {
        return follow::follow(context, arguments).await;
    }
    let operations = context.settings.open()?;
    let now = operations.clock().now();
    if let Some(run) = arguments.run {
        let report = operations.run(run).await?;
        context.output.report(&report, now, |layout| one(&report, layout))?;
    } else {
        let list = RunList { runs: operations.runs(arguments.limit).await? };
        context.output.report(&list, now, |layout| render(&list.runs, layout))?;
    }
    Ok(ExitStatus::Done)
}

const RUNS: [Column; 7] = [
    right("run"),
    left("outcome"),
    left("trigger"),
    left("started"),
    right("took"),
    right("publication").or("publ."),
    left("by, error").wrapped(),
];

fn render(runs: &[RunSummary], layout: &Layout) -> String {
    if runs.is_empty() {
        return "no runs yet\n".to_owned();
    }
    let mut table = Table::new(&RUNS);
    for run in runs {
        let error = run.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
        // The trigger has a column of its own.
        let by = run.requested_by.clone().unwrap_or_else(|| run.operator.to_string());
        table.row([
            run.id.to_string(),
            outcome(run).to_owned(),
            run.trigger.to_string(),
            layout.when(run.started_at),
            run.duration_ms.map_or_else(|| "-".to_owned(), text::duration),
            run.publication.map_or_else(|| "-".to_owned(), |id| id.to_string()),
            layout.fit(&format!("{by}{}{error}", marks(run)), 100),
        ]);
    }
    table.render(layout)
}

/// What is special about a run, each mark after a comma.
fn marks(run: &RunSummary) -> String {
    let marks = [
        run.dry_run.then(|| "dry run".to_owned()),
        run.replay_of.map(|of_run| format!("replay of {of_run}")),
        run.scope.as_ref().map(|scope| format!("only {}", names(scope))),
        (run.outcome == Some(RunOutcome::Published) && run.error.is_some()).then(|| "partial".to_owned()),
        run.cancel_asked_by.as_ref().map(|by| format!("cancel asked by {by}")),
        run.operator_gone_at.map(|_| "operator gone".to_owned()),
    ];
    marks.into_iter().flatten().flat_map(|mark| [", ".to_owned(), mark]).collect()
}

const ATTEMPTS: [Column; 6] =
    [left("endpoint"), right("attempt"), left("ended"), right("status"), right("bytes"), left("error").wrapped()];

const QUARANTINE: [Column; 4] =
    [left("entity"), right("record"), left("reason").wrapped(), left("as received").wrapped()];

/// One run as text.
pub(super) fn one(report: &RunReport, layout: &Layout) -> String {
    let run = &report.run;
    let publication = run.publication.map(|id| format!(", publication {id}")).unwrap_or_default();
    let took = run.duration_ms.map(|took| format!(" after {}", text::duration(took))).unwrap_or_default();
    let begun = format!("{}, {}", text::time(run.started_at), text::age(run.started_at, layout.now));
    let head = [
        format!("run {} {}{took}{publication}{}", run.id, outcome(run), marks(run)),
        format!("started {begun} by {}", started_by(run)),
        format!("source {}", run.source),
    ];
    let mut answer = String::new();
    for line in &head {
        push_line(&mut answer, line);
    }
    let sentences = failures(&report.entities);
    let found = findings(&report.guards);
    // A run that guards held has their findings for its error.
    let is_told = !sentences.is_empty() || (run.outcome == Some(RunOutcome::Held) && !found.is_empty());
    if let Some(error) = run.error.as_deref().filter(|_| !is_told) {
        push_line(&mut answer, error);
    }
    answer.push_str(&sentences);
    answer.push_str(&found);
    answer.push('\n');
    answer.push_str(&steps(&report.entities, layout));
    if !report.attempts.is_empty() {
        answer.push_str("\nattempts\n");
        answer.push_str(&attempts(&report.attempts, layout));
    }
    if !report.quarantine.is_empty() {
        answer
            .push_str("\nquarantine and notes (records are counted from 0, `4.2` is item 2 in the list of record 4)\n");
        answer.push_str(&quarantine(&report.quarantine, layout));
    }
    answer
}

fn attempts(attempts: &[AttemptReport], layout: &Layout) -> String {
    let mut table = Table::new(&ATTEMPTS);
    for attempt in attempts {
        let mut error = attempt.error.clone().unwrap_or_default();
        // The message of a bad status quotes it already.
        if let Some(excerpt) = attempt.excerpt.as_ref().filter(|_| attempt.status.is_none()) {
            error = format!("{error}; it began with: {excerpt}");
        }
        table.row([
            attempt.endpoint.to_string(),
            attempt.attempt.to_string(),
            text::time(attempt.finished_at),
            attempt.status.map_or_else(|| "-".to_owned(), |status| status.to_string()),
            text::bytes(attempt.bytes),
            layout.fit(&error, 200),
        ]);
    }
    table.render(layout)
}

fn quarantine(records: &[QuarantineReport], layout: &Layout) -> String {
    let mut table = Table::new(&QUARANTINE);
    for record in records {
        let reason = match &record.column {
            Some(column) => format!("kept without {column}: {}", record.reason),
            None => record.reason.clone(),
        };
        table.row([
            record.entity.to_string(),
            record.position.to_string(),
            layout.fit(&reason, 200),
            layout.fit(&record.record, 200),
        ]);
    }
    table.render(layout)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        entity::{Endpoint, Entity, Position},
        report::{Operator, RunOutcome, Trigger},
    };

    fn summary() -> RunSummary {
        RunSummary {
            requested_by: None,
            id: 7,
            trigger: Trigger::Cli,
            outcome: Some(RunOutcome::Failed),
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: None,
            duration_ms: Some(812),
            operator: Operator { user: "ana".into(), host: "box".into(), pid: 1 },
            source: "http://blue".into(),
            publication: None,
            scope: None,
            dry_run: false,
            replay: None,
            replay_of: None,
            error: Some("boards: HTTP status 500".into()),
            cancel_asked_by: None,
            operator_gone_at: None,
        }
    }

    #[test]
    fn lists_runs() {
        let layout = Layout::unlimited(Timestamp::UNIX_EPOCH);
        assert_eq!(render(&[], &layout), "no runs yet\n");
        assert_eq!(
            render(&[summary()], &layout),
            "\
run  outcome  trigger  started                           took  publication  by, error
  7  failed   cli      just now, 1970-01-01 00:00:00Z  812 ms            -  ana@box: boards: HTTP status 500
"
        );
    }

    #[test]
    fn says_who_triggered_a_run() {
        let by = |requested_by: &str| RunSummary {
            trigger: Trigger::Http,
            requested_by: Some(requested_by.into()),
            error: None,
            ..summary()
        };
        let layout = Layout::unlimited(Timestamp::UNIX_EPOCH);
        let text = render(&[by("10.0.0.7\u{202e}")], &layout);
        assert!(
            text.ends_with(
                "  7  failed   http     just now, 1970-01-01 00:00:00Z  812 ms            -  10.0.0.7\\u{202e}\n"
            ),
            "{text}"
        );
        let report = RunReport {
            run: by("10.0.0.7"),
            entities: Vec::new(),
            guards: Vec::new(),
            attempts: Vec::new(),
            quarantine: Vec::new(),
        };
        let text = one(&report, &layout);
        assert!(text.contains("by http 10.0.0.7 (in pid 1 of ana@box)\n"), "{text}");
    }

    #[test]
    fn marks_what_is_special() {
        let marked = |run: RunSummary| marks(&run);
        assert_eq!(marked(summary()), "");
        assert_eq!(marked(RunSummary { dry_run: true, ..summary() }), ", dry run");
        let replay = RunSummary { replay_of: Some(5), scope: Some(vec![Entity::Talents, Entity::Boards]), ..summary() };
        assert_eq!(marked(replay), ", replay of 5, only talents, boards");
        assert_eq!(marked(RunSummary { outcome: Some(RunOutcome::Published), ..summary() }), ", partial");
        let (by, at) = (summary().operator, Timestamp::UNIX_EPOCH);
        let left = RunSummary { cancel_asked_by: Some(by), operator_gone_at: Some(at), ..summary() };
        assert_eq!(marked(left), ", cancel asked by ana@box, operator gone");
        assert_eq!(marked(RunSummary { outcome: Some(RunOutcome::Published), error: None, ..summary() }), "");
    }

    #[test]
    fn a_held_run_shows_its_findings_once() {
        let held = RunSummary { outcome: Some(RunOutcome::Held), ..summary() };
        let guards = vec![crate::cli::outcome::tests::finding(false)];
        let report =
            RunReport { run: held, entities: Vec::new(), guards, attempts: Vec::new(), quarantine: Vec::new() };
        let layout = Layout::unlimited(Timestamp::UNIX_EPOCH);
        let text = one(&report, &layout);
        assert!(text.contains("\nshrink guard, boards: 100 of 1,240 rows would be left\\x1b[2J\n"), "{text}");
        assert!(!text.contains("HTTP status 500"), "{text}");
        let by_hold = RunReport { guards: Vec::new(), ..report };
        assert!(one(&by_hold, &layout).contains("\nboards: HTTP status 500\n"));
    }

    #[test]
    fn shows_attempts_and_quarantine_without_harm() {
        let report = RunReport {
            run: summary(),
            entities: Vec::new(),
            guards: Vec::new(),
            attempts: vec![AttemptReport {
                endpoint: Endpoint::Boards,
                attempt: 3,
                finished_at: Timestamp::UNIX_EPOCH,
                status: None,
                bytes: 12,
                error: Some("expected a JSON list".into()),
                excerpt: Some("<html>\u{1b}[2J".into()),
            }],
            quarantine: vec![QuarantineReport {
                endpoint: Endpoint::BoardsTalents,
                entity: Entity::BoardsTalents,
                position: Position { record: 4, item: Some(2) },
                column: None,
                reason: "id is missing".into(),
                record: "{\"x\": \"\u{202e}\"}".into(),
            }],
        };
        let text = one(&report, &Layout::unlimited(Timestamp::UNIX_EPOCH));
        assert!(text.starts_with("run 7 failed after 812 ms\n"), "{text}");
        assert!(text.contains("-   12 B  expected a JSON list; it began with: <html>\\x1b[2J\n"), "{text}");
        assert!(text.contains("boardstalents     4.2  id is missing  {\"x\": \"\\u{202e}\"}\n"), "{text}");
    }
}
