//! How a run ended, as text: its steps, what its guards found, and what can be typed next.

use super::{
    output::{Layout, push_line},
    table::{Column, Table, change, left, right, version},
};
use crate::{
    entity::Entity,
    guard::Acceptance,
    report::{GuardReport, HoldReport, Operator, RunId, RunOutcome, RunSummary, StepOutcome, StepReport, SyncReport},
    text,
};

/// What has to be said of every run that did not publish.
const NOTHING_SWITCHED: &str = "nothing was switched";

/// The command to which a run belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// `sync`
    Sync {
        /// Whether the hold stands in the way of publishing it later.
        under_hold: bool,
    },
    /// `publish`
    Publish {
        /// The same.
        under_hold: bool,
    },
    /// `rollback --to` this run.
    GoBack(RunId),
}

/// The report as text.
pub(super) fn render(report: &SyncReport, doing: Doing, layout: &Layout) -> String {
    let mut answer = steps(&report.entities, layout);
    let sentences = failures(&report.entities);
    answer.push_str(&sentences);
    answer.push_str(&findings(&report.guards));
    if let Some(hold) = &report.hold {
        push_line(&mut answer, &described_hold(hold, layout));
    }
    if let Some(line) = left_alone(report, doing) {
        push_line(&mut answer, &line);
    }
    let is_told = !sentences.is_empty() || (report.run.outcome == Some(RunOutcome::Held) && is_explained(report));
    if is_told && !matches!(report.run.outcome, Some(RunOutcome::Published | RunOutcome::Prepared)) {
        push_line(&mut answer, &format!("{}; {NOTHING_SWITCHED}", ended(&report.run)));
    } else {
        push_line(&mut answer, &summary(report));
    }
    for line in next(report, doing) {
        push_line(&mut answer, &line);
    }
    answer
}

/// Whether a held run's lines say why it is held.
fn is_explained(report: &SyncReport) -> bool {
    report.hold.is_some() || report.guards.iter().any(|finding| !finding.accepted)
}

const COLUMNS: [Column; 9] = [
    left("entity"),
    left("outcome"),
    right("records"),
    right("rows"),
    right("change"),
    right("quarantined").or("quar."),
    right("duplicates").or("dup."),
    right("attempts").or("try"),
    left("active/backup").or("a/b"),
];

/// Steps as a table.
pub(super) fn steps(steps: &[StepReport], layout: &Layout) -> String {
    let mut table = Table::new(&COLUMNS);
    for step in steps {
        table.row([
            step.entity.to_string(),
            step.outcome.map_or_else(|| "-".to_owned(), |outcome| outcome.to_string()),
            text::thousands(step.records),
            text::thousands(step.rows),
            change(step.diff),
            text::thousands(step.quarantined),
            text::thousands(step.duplicates),
            step.attempts.to_string(),
            format!("{}/{}", version(step.active_version), version(step.backup_version)),
        ]);
    }
    table.render(layout)
}

const CHANGES: [Column; 4] = [left("entity"), right("live rows"), right("rows then"), right("change")];

/// What a publish of prepared steps would change, as a table.
pub(super) fn changes(steps: &[StepReport], layout: &Layout) -> String {
    let mut table = Table::new(&CHANGES);
    for step in steps.iter().filter(|step| matches!(step.outcome, Some(StepOutcome::Ready | StepOutcome::Unchanged))) {
        let diff = if step.outcome == Some(StepOutcome::Unchanged) { Some(<_>::default()) } else { step.diff };
        table.row([
            step.entity.to_string(),
            text::thousands(step.rows_before),
            text::thousands(step.rows),
            change(diff),
        ]);
    }
    table.render(layout)
}

/// A line for each step that failed.
pub(super) fn failures(steps: &[StepReport]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for step in steps.iter().filter(|step| step.outcome == Some(StepOutcome::Failed)) {
        let error = text::clean(step.error.as_deref().unwrap_or("no reason given"));
        // Failures of an endpoint name it, once for all of its entities.
        let endpoint = step.entity.endpoint();
        let names_it = error.strip_prefix(endpoint.key()).is_some_and(|rest| rest.starts_with([':', ' ']));
        let line = if names_it { format!("{error}\n") } else { format!("{}: {error}\n", step.entity) };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.concat()
}

/// A line for each finding of a guard.
pub(super) fn findings(findings: &[GuardReport]) -> String {
    let mut lines = String::new();
    for finding in findings {
        push_line(&mut lines, &finding.to_string());
    }
    lines
}

/// The hold with the time since when it is set.
pub(super) fn described_hold(hold: &HoldReport, layout: &Layout) -> String {
    format!("{hold} (since {}, {})", text::time(hold.since), text::age(hold.since, layout.now))
}

/// Names in a row: `talents, boards`.
pub(super) fn names(entities: &[Entity]) -> String {
    entities.iter().map(|entity| entity.name()).collect::<Vec<_>>().join(", ")
}

/// What a run of some entities says of the others.
fn left_alone(report: &SyncReport, doing: Doing) -> Option<String> {
    match doing {
        Doing::Sync { .. } if report.left_alone.is_empty() => None,
        Doing::Sync { .. } => {
            let related = names(&report.left_alone);
            Some(format!("left alone though related: {related} (--with-related takes such along)"))
        }
        Doing::Publish { .. } | Doing::GoBack(_) => left_out(&report.run),
    }
}

/// What a replay of some entities says of the others.
pub(super) fn left_out(run: &RunSummary) -> Option<String> {
    let scope = run.scope.as_ref()?;
    let others: Vec<_> = Entity::ALL.into_iter().filter(|entity| !scope.contains(entity)).collect();
    let of_run = run.replay_of.unwrap_or(run.id);
    Some(format!("left alone, as run {of_run} has nothing of them: {}", names(&others)))
}

/// The run in one line.
pub(super) fn summary(report: &SyncReport) -> String {
    let run = &report.run;
    let error = run.error.as_deref().unwrap_or("no reason given");
    let line = match run.outcome {
        Some(RunOutcome::Published) => {
            let switched = report.entities.iter().filter(|step| step.outcome == Some(StepOutcome::Published)).count();
            let switched = text::count(switched as u64, "entity", "entities");
            let publication = run.publication.map(|id| format!(", publication {id}")).unwrap_or_default();
            format!("{}: {switched} switched{publication}{}", ended(run), left_behind(report))
        }
        Some(RunOutcome::Prepared) => format!("{}; {NOTHING_SWITCHED}{}", ended(run), left_behind(report)),
        Some(RunOutcome::Unchanged) if run.replay_of.is_some() => {
            format!("{}: the same rows are live already", ended(run))
        }
        Some(RunOutcome::Unchanged) => format!("{}: the source sent what is live already", ended(run)),
        _ => {
            let nothing =
                if error.contains(NOTHING_SWITCHED) { String::new() } else { format!("; {NOTHING_SWITCHED}") };
            format!("{}: {error}{nothing}", ended(run))
        }
    };
    text::clean(&line).into_owned()
}

/// What a partial publish did not take along.
fn left_behind(report: &SyncReport) -> String {
    let Some(error) = &report.run.error else { return String::new() };
    let behind = report.entities.iter().filter(|step| {
        let outcome = step.outcome;
        outcome == Some(StepOutcome::Failed) || outcome == Some(StepOutcome::Skipped)
    });
    let behind: Vec<_> = behind.map(|step| step.entity).collect();
    if behind.is_empty() { format!("; {error}") } else { format!("; left behind: {}", names(&behind)) }
}

/// How a run ended and after what time.
fn ended(run: &RunSummary) -> String {
    let took = run.duration_ms.map(|took| format!(" after {}", text::duration(took))).unwrap_or_default();
    let dry = if run.dry_run { " (dry run)" } else { "" };
    let by = run.requested_by.as_ref().map(|_| format!(" of {}", run.asker())).unwrap_or_default();
    format!("run {}{by}{dry} {}{took}", run.id, outcome(run))
}

/// Who started a run, in which process: `ana@box (pid 12, cli)`, `http 10.0.0.7 (in pid 12 of green@box)`.
pub(super) fn started_by(run: &RunSummary) -> String {
    let Operator { pid, .. } = run.operator;
    match run.requested_by {
        Some(_) => format!("{} (in pid {pid} of {})", run.asker(), run.operator),
        None => format!("{} (pid {pid}, {})", run.operator, run.trigger),
    }
}

/// How a run ended, or that it did not.
pub(super) fn outcome(run: &RunSummary) -> &'static str {
    run.outcome.map_or("not ended", RunOutcome::word)
}

/// The option that accepts all of `findings`, with a blank before it.
fn accepting(findings: &[GuardReport]) -> String {
    // No more than what was found: another entity's guard is another matter.
    let mut guards: Vec<_> = findings.iter().map(|finding| Acceptance::of(finding).to_string()).collect();
    guards.sort_unstable();
    guards.dedup();
    if guards.is_empty() { String::new() } else { format!(" --accept {}", guards.join(",")) }
}

/// The command that publishes a held or prepared run.
pub(super) fn publish_command(run: &RunSummary, findings: &[GuardReport], is_under_hold: bool) -> String {
    let release = if is_under_hold { " --release" } else { "" };
    format!("greenroom publish {}{}{release}", run.id, accepting(findings))
}

/// What can be typed after a run that was held or only prepared.
fn next(report: &SyncReport, doing: Doing) -> Vec<String> {
    let run = &report.run;
    if !matches!(run.outcome, Some(RunOutcome::Held | RunOutcome::Prepared)) {
        return Vec::new();
    }
    let command = match doing {
        Doing::GoBack(to) => format!("greenroom rollback --to {to}{}", accepting(&report.guards)),
        Doing::Sync { under_hold } | Doing::Publish { under_hold } => {
            publish_command(run, &report.guards, under_hold || report.hold.is_some())
        }
    };
    vec![format!("to publish it: {command}"), format!("to see its rows: greenroom diff --run {} --rows", run.id)]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::report::{DiffCounts, Guard, Trigger};

    pub(in crate::cli) fn step(entity: Entity, outcome: StepOutcome) -> StepReport {
        StepReport {
            entity,
            outcome: Some(outcome),
            attempts: 1,
            bytes: 18_211,
            records: 1240,
            rows: 1237,
            rows_before: 1200,
            quarantined: 2,
            duplicates: 1,
            notes: 0,
            diff: Some(DiffCounts { added: 40, removed: 3, changed: 7 }),
            active_version: 2,
            backup_version: 1,
            snapshot: Some(3),
            error: None,
        }
    }

    pub(in crate::cli) fn report(outcome: RunOutcome, entities: Vec<StepReport>) -> SyncReport {
        let run = RunSummary {
            requested_by: None,
            id: 7,
            trigger: Trigger::Cli,
            outcome: Some(outcome),
            started_at: jiff::Timestamp::UNIX_EPOCH,
            finished_at: None,
            duration_ms: Some(812),
            operator: Operator { user: "ana".into(), host: "box".into(), pid: 1 },
            source: "http://blue".into(),
            publication: (outcome == RunOutcome::Published).then_some(3),
            scope: None,
            dry_run: false,
            replay: None,
            replay_of: None,
            error: (outcome == RunOutcome::Failed).then(|| "boards: HTTP status 500 after 3 attempts\u{1b}[2J".into()),
            cancel_asked_by: None,
            operator_gone_at: None,
        };
        SyncReport { run, entities, guards: Vec::new(), hold: None, left_alone: Vec::new() }
    }

    pub(in crate::cli) fn finding(accepted: bool) -> GuardReport {
        GuardReport {
            guard: Guard::Shrink,
            entity: Entity::Boards,
            column: None,
            limit: 0.5,
            value: 0.919,
            message: "100 of 1,240 rows would be left\u{1b}[2J".into(),
            accepted,
        }
    }

    const SYNC: Doing = Doing::Sync { under_hold: false };

    fn text_of(report: &SyncReport, doing: Doing) -> String {
        render(report, doing, &Layout::unlimited(jiff::Timestamp::UNIX_EPOCH))
    }

    #[test]
    fn a_held_run_says_why_and_how_to_publish_it() {
        let mut held = report(RunOutcome::Held, Vec::new());
        held.run.error = Some("shrink guard and so on".into());
        let dangling = GuardReport { guard: Guard::Dangling, ..finding(false) };
        held.guards = vec![finding(false), dangling, GuardReport { entity: Entity::Talents, ..finding(true) }];
        held.left_alone = vec![Entity::BoardsTalents, Entity::BoardsPortfolios];
        let text = text_of(&held, SYNC);
        let (_, lines) = text.split_once('\n').unwrap();
        assert_eq!(
            lines,
            "\
shrink guard, boards: 100 of 1,240 rows would be left\\x1b[2J
dangling guard, boards: 100 of 1,240 rows would be left\\x1b[2J
shrink guard, talents: 100 of 1,240 rows would be left\\x1b[2J (accepted)
left alone though related: boardstalents, boardsportfolios (--with-related takes such along)
run 7 held after 812 ms; nothing was switched
to publish it: greenroom publish 7 --accept boards.dangling,boards.shrink,talents.shrink
to see its rows: greenroom diff --run 7 --rows
"
        );
        held.run.replay_of = Some(5);
        assert!(
            text_of(&held, Doing::Publish { under_hold: true })
                .contains("publish 7 --accept boards.dangling,boards.shrink,talents.shrink --release\n")
        );
        assert!(
            text_of(&held, Doing::GoBack(5))
                .contains("greenroom rollback --to 5 --accept boards.dangling,boards.shrink,talents.shrink\n")
        );
    }

    #[test]
    fn the_hold_is_named_with_the_way_past_it() {
        let mut held = report(RunOutcome::Held, Vec::new());
        let operator = held.run.operator.clone();
        let since = jiff::Timestamp::UNIX_EPOCH;
        held.hold = Some(HoldReport { since, operator, reason: "bad".into(), publication: None });
        let text = text_of(&held, SYNC);
        assert!(text.contains("\nheld by ana@box: bad (since 1970-01-01 00:00:00Z, just now)\nrun 7 held"), "{text}");
        assert!(text.contains("greenroom publish 7 --release\n"), "{text}");
    }

    #[test]
    fn a_dry_run_says_that_it_is_one() {
        let mut dry = report(RunOutcome::Prepared, vec![step(Entity::Talents, StepOutcome::Ready)]);
        dry.run.dry_run = true;
        let text = text_of(&dry, SYNC);
        assert!(text.contains("run 7 (dry run) prepared after 812 ms; nothing was switched\n"), "{text}");
        assert!(text.contains("to publish it: greenroom publish 7\n"), "{text}");
    }

    #[test]
    fn a_partial_publish_names_what_stayed_behind() {
        let failed = StepReport { error: Some("HTTP status 500".into()), ..step(Entity::Boards, StepOutcome::Failed) };
        let mut partial = report(RunOutcome::Published, vec![step(Entity::Talents, StepOutcome::Published), failed]);
        partial.run.error = Some("boards: HTTP status 500".into());
        let text = text_of(&partial, SYNC);
        assert!(text.contains("\nboards: HTTP status 500\nrun 7 published after 812 ms: 1 entity"), "{text}");
        assert!(text.ends_with("publication 3; left behind: boards\n"), "{text}");
    }

    #[test]
    fn a_replay_says_what_it_left_alone() {
        let mut back = report(RunOutcome::Unchanged, Vec::new());
        back.run.replay_of = Some(3);
        back.run.scope = Some(Entity::ALL[..9].to_vec());
        let text = text_of(&back, Doing::GoBack(3));
        assert!(text.contains("left alone, as run 3 has nothing of them: mediatags_junction\n"), "{text}");
        assert!(text.ends_with("unchanged after 812 ms: the same rows are live already\n"), "{text}");
    }

    #[test]
    fn a_published_run_is_a_table_and_a_line() {
        let unchanged =
            StepReport { diff: Some(DiffCounts::default()), ..step(Entity::Boards, StepOutcome::Unchanged) };
        let report = report(RunOutcome::Published, vec![step(Entity::Talents, StepOutcome::Published), unchanged]);
        assert_eq!(
            text_of(&report, SYNC),
            "\
entity   outcome    records   rows     change  quarantined  duplicates  attempts  active/backup
talents  published    1,240  1,237  +40 -3 ~7            2           1         1  v2/v1
boards   unchanged    1,240  1,237       none            2           1         1  v2/v1
run 7 published after 812 ms: 1 entity switched, publication 3
"
        );
    }

    #[test]
    fn a_failed_run_says_why_and_fits_a_terminal() {
        let error = Some("HTTP status 500\nafter 3 attempts".to_owned());
        let mut failed = step(Entity::MediaTagsJunction, StepOutcome::Failed);
        failed.error.clone_from(&error);
        let report = report(RunOutcome::Failed, vec![step(Entity::Talents, StepOutcome::Skipped), failed]);
        let layout = Layout { width: Some(80), ..Layout::unlimited(jiff::Timestamp::UNIX_EPOCH) };
        let text = render(&report, SYNC, &layout);
        assert!(text.contains("mediatags_junction: HTTP status 500\\nafter 3 attempts\n"), "{text}");
        assert!(text.ends_with("\nrun 7 failed after 812 ms; nothing was switched\n"), "{text}");
        assert!(
            summary(&report)
                .ends_with("812 ms: boards: HTTP status 500 after 3 attempts\\x1b[2J; nothing was switched")
        );
        assert!(text.lines().take(3).all(|line| line.len() <= 80), "{text}");
    }
}
