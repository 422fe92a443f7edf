//! `status`: what is live, what runs and what ran last.

use super::{
    Context,
    exit::{CliError, ExitStatus},
    outcome::{described_hold, outcome, publish_command, started_by},
    output::{Layout, push_line},
    table::{Column, Table, change, left, right, version},
    triggers,
};
use crate::{
    guard::Acceptance,
    ops::{OperationError, Operations},
    report::{
        AppMigrationReport, DatabaseStatus, Layout as Names, PublicationKind, PublicationReport, RunSummary,
        StatusReport, TriggerReport,
    },
    text,
};

/// Shows the state of the database.
pub(super) async fn run(context: &Context) -> Result<ExitStatus, CliError> {
    let operations = context.settings.open_with_source()?;
    let report = state(&operations).await?;
    // Only the text tells how to go on; the JSON object is the report.
    let held = if context.output.is_json() { None } else { held_run(&operations, &report).await };
    let now = operations.clock().now();
    context.output.report(&report, now, |layout| render(&report, held.as_deref(), layout))?;
    Ok(ExitStatus::Done)
}

/// What there is, with whether the owner of the run lock answers.
async fn state(operations: &Operations) -> Result<StatusReport, OperationError> {
    let report = operations.status().await?;
    if report.owner.is_none() {
        return Ok(report);
    }
    match operations.owner().await {
        Some(owner) => Ok(StatusReport { owner: Some(owner), ..report }),
        // It ended meanwhile.
        None => operations.status().await,
    }
}

/// The held run and the command that publishes it, or why it cannot be published.
async fn held_run(operations: &Operations, report: &StatusReport) -> Option<String> {
    let held = report.held_run.as_ref()?;
    Some(match operations.plan_publish(held.id).await {
        Ok(plan) => {
            let command = publish_command(&plan.run, &plan.guards, report.hold.is_some());
            format!("run {}, publish it with: {command}", held.id)
        }
        Err(error) => error.to_string(),
    })
}

const COLUMNS: [Column; 8] = [
    left("entity"),
    left("active").or("act"),
    left("backup").or("bak"),
    right("rows"),
    right("backup rows").or("bak rows"),
    right("change"),
    right("snapshots").or("snap"),
    left("published").wrapped(),
];

fn render(report: &StatusReport, held_run: Option<&str>, layout: &Layout) -> String {
    let mut table = Table::new(&COLUMNS);
    for entity in &report.entities {
        table.row([
            entity.entity.to_string(),
            version(entity.active_version),
            version(entity.backup_version),
            text::thousands(entity.active_rows),
            entity.backup_rows.map_or_else(|| "-".to_owned(), text::thousands),
            change(entity.diff),
            text::thousands(entity.snapshots),
            match entity.published_at {
                Some(at) => layout.when(at),
                None if entity.active_version == 0 => "never".to_owned(),
                None => "before greenroom".to_owned(),
            },
        ]);
    }
    let lines = [
        ("database", database(report)),
        ("size", size(report)),
        ("source", report.source.clone().unwrap_or_else(|| "not set".to_owned())),
        (
            "publication",
            report.publication.as_ref().map_or_else(|| "none yet".to_owned(), |one| publication(one, layout)),
        ),
        ("hold", report.hold.as_ref().map_or_else(|| "none".to_owned(), |hold| described_hold(hold, layout))),
        ("held run", held_run.unwrap_or_default().to_owned()),
        ("application", app_migration(report, layout)),
        ("running", running(report, layout)),
        ("waiting", report.waiting.as_ref().map(|task| triggers::waiting(task, layout)).unwrap_or_default()),
        ("last run", report.last_run.as_ref().map_or_else(|| "none yet".to_owned(), |run| last_run(run, layout))),
        ("server", triggers::server(report.server.as_ref(), layout)),
        ("last trigger", report.last_trigger.as_ref().map(|last| last_trigger(last, layout)).unwrap_or_default()),
    ];
    let mut answer = table.render(layout);
    answer.push('\n');
    for (name, value) in lines.into_iter().filter(|(_, value)| !value.is_empty()) {
        push_line(&mut answer, &format!("{name:12} {value}"));
    }
    answer
}

/// Where the file is, and whose names it goes by.
fn database(report: &StatusReport) -> String {
    let adopted = if report.database.layout == Names::Prisma { ", adopted from NowRepGreen" } else { "" };
    format!("{}{adopted}", report.database.path)
}

/// The migration of the application that goes on, or that left its tables where views belong.
fn app_migration(report: &StatusReport, layout: &Layout) -> String {
    let Some(AppMigrationReport { command, operator, since }) = &report.app_migration else { return String::new() };
    let since = format!("since {}, {}", text::time(*since), text::age(*since, layout.now));
    // Whoever is at work has put the views back first, or is that migration.
    let died = match report.owner {
        None => "; its process died, the next sync or rollback puts the views back",
        Some(_) => "",
    };
    format!("migrates with `{command}` of {operator} {since}, tables stand in the place of the views{died}")
}

/// The sizes of the file and of its log, and who keeps that from being emptied.
fn size(report: &StatusReport) -> String {
    let DatabaseStatus { bytes, free_bytes, wal_bytes, wal_readers, .. } = &report.database;
    let owner = report.owner.as_ref().map(|owner| owner.operator.pid);
    // A run reads and writes the log itself; what it leaves is what others keep.
    let readers: Vec<_> =
        wal_readers.iter().filter(|reader| Some(reader.pid) != owner).map(ToString::to_string).collect();
    let kept = match (readers.is_empty(), owner) {
        (false, _) => format!(", kept by {}", readers.join(", ")),
        (true, None) if *wal_bytes >= DatabaseStatus::LARGE_LOG => {
            ", as a reader that cannot be named keeps or kept an old state open".to_owned()
        }
        (true, _) => String::new(),
    };
    let (bytes, free, log) = (text::bytes(*bytes), text::bytes(*free_bytes), text::bytes(*wal_bytes));
    format!("{bytes} ({free} free), write-ahead log {log}{kept}")
}

/// The run that goes on, or whatever else has the run lock.
fn running(report: &StatusReport, layout: &Layout) -> String {
    let since = |at| format!("since {}, {}", text::time(at), text::age(at, layout.now));
    let begun = match (&report.running, &report.owner) {
        (Some(run), _) => {
            format!("run {} by {} {}", run.id, started_by(run), since(run.started_at))
        }
        (None, Some(owner)) => format!("{owner} {}", since(owner.since)),
        (None, None) => return "nothing".to_owned(),
    };
    let asked = report.running.as_ref().and_then(|run| run.cancel_asked_by.as_ref());
    let asked = asked.map(|by| format!(", cancel asked by {by}")).unwrap_or_default();
    let is_alone = report.running.as_ref().is_some_and(|run| run.operator_gone_at.is_some());
    let alone = if is_alone { ", operator gone" } else { "" };
    let answers = match report.owner.as_ref().and_then(|owner| owner.answers) {
        Some(true) => ", answers",
        Some(false) => ", does not answer: `greenroom cancel --force` ends it on its host",
        None => "",
    };
    format!("{begun}{asked}{alone}{answers}")
}

fn last_run(run: &RunSummary, layout: &Layout) -> String {
    let at = run.finished_at.unwrap_or(run.started_at);
    let took = run.duration_ms.map(|took| format!(" after {}", text::duration(took))).unwrap_or_default();
    let error = run.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
    let alone = run.operator_gone_at.map_or("", |_| ", after its operator was gone");
    let by = run.requested_by.as_ref().map(|_| format!(" of {}", run.asker())).unwrap_or_default();
    let when = format!("{}, {}", text::age(at, layout.now), text::time(at));
    format!("run {}{by} {}{took}, {when}{alone}{error}", run.id, outcome(run))
}

fn last_trigger(trigger: &TriggerReport, layout: &Layout) -> String {
    let by = format!("{} {}", trigger.trigger, trigger.requested_by);
    let when = format!("{}, {}", text::age(trigger.at, layout.now), text::time(trigger.at));
    format!("{} by {by}, {when}: {}", trigger.kind, trigger.message)
}

/// A publication in a few words.
pub(super) fn publication(publication: &PublicationReport, layout: &Layout) -> String {
    let PublicationReport { kind, run, undoes, replay_of, .. } = *publication;
    let what = match (kind, undoes, replay_of) {
        (PublicationKind::Adoption, ..) => "what was live when the database was adopted".to_owned(),
        (PublicationKind::Rollback, Some(undone), _) => format!("a rollback of publication {undone}"),
        (PublicationKind::Rollback, None, Some(to)) => format!("a rollback to run {to}"),
        (PublicationKind::Rollback, None, None) => "a rollback of some entities".to_owned(),
        (PublicationKind::Sync, _, replay_of) => {
            let run = run.map_or_else(|| "a sync".to_owned(), |run| format!("run {run}"));
            let replay = replay_of.map(|of_run| format!(", a replay of run {of_run}")).unwrap_or_default();
            format!("made by {run}{replay}")
        }
    };
    let accepted: Vec<_> = publication.accepted.iter().map(|found| Acceptance::of(found).to_string()).collect();
    let accepted = if accepted.is_empty() { String::new() } else { format!(", accepting {}", accepted.join(" ")) };
    let at = publication.published_at;
    let (id, operator) = (publication.id, &publication.operator);
    format!("publication {id}, {what}{accepted}, by {operator}, {}, {}", text::age(at, layout.now), text::time(at))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        entity::Entity,
        report::{
            DiffCounts, EntityStatus, HoldReport, Operator, OwnerReport, RunOutcome, ServerReport, TaskReport, Trigger,
            TriggerAnswer, WalReader, Work,
        },
    };

    fn report() -> StatusReport {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let operator = Operator { user: "ana\u{202e}".into(), host: "box".into(), pid: 9 };
        let never = EntityStatus {
            entity: Entity::Boards,
            active_version: 0,
            backup_version: 0,
            active_rows: 0,
            backup_rows: None,
            diff: None,
            bytes: None,
            made_from: None,
            snapshots: 0,
            published_at: None,
            checked_at: None,
            run_id: None,
        };
        let live = EntityStatus {
            entity: Entity::Talents,
            active_version: 2,
            backup_version: 1,
            active_rows: 1240,
            backup_rows: Some(1200),
            diff: Some(DiffCounts { added: 40, removed: 0, changed: 3 }),
            snapshots: 3,
            published_at: Some(at),
            ..never.clone()
        };
        let last = RunSummary {
            requested_by: None,
            id: 7,
            trigger: Trigger::Cli,
            outcome: Some(RunOutcome::Failed),
            started_at: at,
            finished_at: Some(at),
            duration_ms: Some(812),
            operator: operator.clone(),
            source: "http://blue".into(),
            publication: None,
            scope: None,
            dry_run: false,
            replay: None,
            replay_of: None,
            error: Some("boards: HTTP status 500".into()),
            cancel_asked_by: None,
            operator_gone_at: None,
        };
        StatusReport {
            waiting: None,
            server: None,
            last_trigger: None,
            database: DatabaseStatus {
                path: "green.db".into(),
                layout: Names::Standard,
                bytes: 1_200_000,
                free_bytes: 4096,
                wal_bytes: 0,
                wal_readers: Vec::new(),
            },
            source: None,
            hold: None,
            held_run: None,
            app_migration: None,
            running: Some(RunSummary { id: 8, outcome: None, ..last.clone() }),
            owner: None,
            entities: vec![live, never],
            last_run: Some(last),
            publication: Some(PublicationReport {
                id: 4,
                kind: PublicationKind::Rollback,
                run: None,
                undoes: Some(3),
                replay_of: None,
                accepted: Vec::new(),
                published_at: at,
                operator,
            }),
        }
    }

    #[test]
    fn tells_all_of_it() {
        let layout = Layout::unlimited(Timestamp::from_second(1_700_000_300).unwrap());
        assert_eq!(
            render(&report(), None, &layout),
            "\
entity   active  backup   rows  backup rows     change  snapshots  published
talents  v2      v1      1,240        1,200  +40 -0 ~3          3  5 min ago, 2023-11-14 22:13:20Z
boards   -       -           0            -                     0  never

database     green.db
size         1.2 MB (4.1 kB free), write-ahead log 0 B
source       not set
publication  publication 4, a rollback of publication 3, by ana\\u{202e}@box, 5 min ago, 2023-11-14 22:13:20Z
hold         none
running      run 8 by ana\\u{202e}@box (pid 9, cli) since 2023-11-14 22:13:20Z, 5 min ago
last run     run 7 failed after 812 ms, 5 min ago, 2023-11-14 22:13:20Z: boards: HTTP status 500
server       none
"
        );
    }

    #[test]
    fn tells_who_is_at_work_and_whether_it_answers() {
        let layout = Layout::unlimited(Timestamp::from_second(1_700_000_300).unwrap());
        let plain = report();
        let run = plain.running.clone().unwrap();
        let (operator, since) = (run.operator.clone(), run.started_at);
        let owner = |work, answers| {
            Some(OwnerReport { work, run: None, operator: operator.clone(), since, answers: Some(answers) })
        };
        let asked = RunSummary { cancel_asked_by: Some(operator.clone()), operator_gone_at: Some(since), ..run };
        let silent = StatusReport { running: Some(asked.clone()), owner: owner(Work::Run, false), ..plain.clone() };
        assert!(
            running(&silent, &layout).ends_with(
                "5 min ago, cancel asked by ana\u{202e}@box, operator gone, does not answer: `greenroom cancel --force` ends it \
                 on its host"
            ),
            "{}",
            running(&silent, &layout)
        );
        let cleaning = StatusReport { running: None, owner: owner(Work::Cleanup, true), ..plain };
        assert!(running(&cleaning, &layout).starts_with("a cleanup of ana"), "{}", running(&cleaning, &layout));
        assert!(running(&cleaning, &layout).ends_with("5 min ago, answers"), "{}", running(&cleaning, &layout));
        let last = RunSummary { outcome: Some(RunOutcome::Published), error: None, ..asked };
        assert!(last_run(&last, &layout).ends_with(", after its operator was gone"));
    }

    #[test]
    fn tells_who_triggers_runs_and_what_waits() {
        let layout = Layout::unlimited(Timestamp::from_second(1_700_000_300).unwrap());
        let plain = report();
        let at = plain.entities[0].published_at.unwrap();
        let (trigger, requested_by, kind) =
            (Trigger::Http, "10.0.0.7\u{202e}".to_owned(), "orchestrate-sync".to_owned());
        let triggered = |run: RunSummary| RunSummary { trigger, requested_by: Some("10.0.0.7".into()), ..run };
        let text = render(
            &StatusReport {
                running: plain.running.clone().map(triggered),
                last_run: plain.last_run.clone().map(triggered),
                waiting: Some(TaskReport {
                    id: 4,
                    kind: kind.clone(),
                    trigger,
                    requested_by: requested_by.clone(),
                    created_at: at,
                    run: None,
                    started_at: None,
                    outcome: None,
                    finished_at: None,
                    error: None,
                }),
                server: Some(ServerReport {
                    address: "[::]:8080".into(),
                    operator: Operator { user: "green".into(), host: "box".into(), pid: 12 },
                    since: at,
                    every_ms: None,
                    read_only: true,
                }),
                last_trigger: Some(TriggerReport {
                    at,
                    kind,
                    trigger,
                    requested_by,
                    answer: TriggerAnswer::Waiting,
                    message: "waits behind run 8".into(),
                    task: Some(4),
                    run: Some(8),
                    idempotency_key: None,
                }),
                ..plain
            },
            None,
            &layout,
        );
        for line in [
            "running      run 8 by http 10.0.0.7 (in pid 9 of ana\\u{202e}@box) since 2023-11-14 22:13:20Z, 5 min ago",
            "waiting      orchestrate-sync for http 10.0.0.7\\u{202e} (task 4) since 2023-11-14 22:13:20Z, 5 min ago",
            "last run     run 7 of http 10.0.0.7 failed after 812 ms, 5 min ago, 2023-11-14 22:13:20Z: boards: HTTP status 500",
            "server       serve on [::]:8080, read-only by green@box (pid 12) since 2023-11-14 22:13:20Z, 5 min ago",
            "last trigger orchestrate-sync by http 10.0.0.7\\u{202e}, 5 min ago, 2023-11-14 22:13:20Z: waits behind run 8",
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line}\n{text}");
        }
    }

    #[test]
    fn tells_who_keeps_the_log() {
        let with = |wal_bytes, wal_readers| {
            let plain = report();
            size(&StatusReport { database: DatabaseStatus { wal_bytes, wal_readers, ..plain.database }, ..plain })
        };
        let node = WalReader { pid: 4711, name: Some("node".into()) };
        assert!(with(812_000_000, vec![node]).ends_with("write-ahead log 812.0 MB, kept by node (pid 4711)"));
        assert!(
            with(812_000_000, Vec::new())
                .ends_with("812.0 MB, as a reader that cannot be named keeps or kept an old state open")
        );
        assert!(with(4_000, Vec::new()).ends_with("write-ahead log 4.0 kB"));
    }

    #[test]
    fn tells_of_the_hold_and_the_held_run() {
        let plain = report();
        let (since, operator) =
            (plain.entities[0].published_at.unwrap(), plain.last_run.as_ref().unwrap().operator.clone());
        let hold = HoldReport { since, operator, reason: "bad".into(), publication: None };
        let stopped = StatusReport { hold: Some(hold), ..plain };
        let layout = Layout::unlimited(Timestamp::from_second(1_700_000_300).unwrap());
        let text = render(&stopped, Some("run 7, publish it with: greenroom publish 7"), &layout);
        assert!(
            text.contains("\nhold         held by ana\\u{202e}@box: bad (since 2023-11-14 22:13:20Z, 5 min ago)\n")
        );
        assert!(text.contains("\nheld run     run 7, publish it with: greenroom publish 7\n"), "{text}");
    }

    #[test]
    fn publications_say_what_made_them() {
        let layout = Layout::unlimited(Timestamp::from_second(1_700_000_300).unwrap());
        let plain = report().publication.unwrap();
        let said = |kind, undoes, replay_of, accepted| {
            let run = Some(8);
            publication(&PublicationReport { kind, run, undoes, replay_of, accepted, ..plain.clone() }, &layout)
        };
        let finding = crate::cli::outcome::tests::finding(true);
        for (text, wanted) in [
            (said(PublicationKind::Sync, None, None, Vec::new()), "made by run 8, by"),
            (
                said(PublicationKind::Sync, None, Some(5), vec![finding]),
                "made by run 8, a replay of run 5, accepting boards.shrink, by",
            ),
            (said(PublicationKind::Rollback, Some(3), None, Vec::new()), "a rollback of publication 3, by"),
            (said(PublicationKind::Rollback, None, Some(5), Vec::new()), "a rollback to run 5, by"),
            (said(PublicationKind::Rollback, None, None, Vec::new()), "a rollback of some entities, by"),
            (
                said(PublicationKind::Adoption, None, None, Vec::new()),
                "what was live when the database was adopted, by",
            ),
        ] {
            assert!(text.starts_with(&format!("publication 4, {wanted}")), "{text}");
        }
    }

    #[test]
    fn the_table_fits_a_small_terminal() {
        let layout = Layout { width: Some(80), now: Timestamp::from_second(1_700_000_300).unwrap() };
        let text = render(&report(), None, &layout);
        assert!(text.lines().take(3).all(|line| line.len() <= 80), "{text}");
    }
}
