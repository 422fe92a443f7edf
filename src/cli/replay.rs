//! Going back to an earlier run by its staged snapshots, and the dry run that a question about a replay needs.

use super::{
    Context,
    exit::{CliError, ExitStatus},
    outcome::{self, Doing, changes, described_hold, findings, left_out},
    output::{Layout, push_line},
    perform::{Order, perform, tell},
    progress::Progress,
    rollback::RollbackArguments,
    signal::Signals,
    wait::Turn,
};
use crate::{
    green::HoldRule,
    guard::Acceptance,
    ops::{Operations, ReplayOptions},
    report::{HoldReport, Replay, RunId, RunOutcome, RunSummary, SyncReport},
    text,
};

/// What a dry run of a replay showed.
#[derive(Debug)]
pub(super) enum Rehearsal {
    /// What the replay would do, to be asked about.
    Ready(Box<SyncReport>),
    /// It cannot be done; that was told.
    Ended(ExitStatus),
}

/// Does all of a replay but its publish.
pub(super) async fn rehearse(
    context: &Context,
    operations: &Operations,
    options: &ReplayOptions,
    doing: Doing,
    turn: &mut Turn,
    signals: &mut Signals,
) -> Result<Rehearsal, CliError> {
    let output = &context.output;
    let progress = Progress::of(output, context.settings.verbose);
    let order = Order::Replay(ReplayOptions { dry_run: true, ..options.clone() });
    let performed = perform(output, operations, order, progress, turn, signals).await?;
    let report = &performed.report;
    let can_go_on = matches!(report.run.outcome, Some(RunOutcome::Held | RunOutcome::Prepared | RunOutcome::Unchanged));
    if can_go_on && report.hold.is_none() {
        return Ok(Rehearsal::Ready(Box::new(performed.report)));
    }
    let now = operations.clock().now();
    tell(output, now, performed, signals.cancelled_by(), |report, layout| outcome::render(report, doing, layout))
        .map(Rehearsal::Ended)
}

/// What an answer to the question about `report` accepts: what it shows, and nothing else.
pub(super) fn accepted_by(report: &SyncReport) -> Vec<Acceptance> {
    report.guards.iter().map(Acceptance::of).collect()
}

/// Goes back to what was live after `run`.
pub(super) async fn go_back(
    context: &Context,
    arguments: &RollbackArguments,
    run: RunId,
) -> Result<ExitStatus, CliError> {
    const WHAT: &str = "rollback";
    let operations = context.settings.open()?.with_limits(context.settings.limits()?);
    let output = &context.output;
    if !arguments.yes && output.is_json() {
        return Err(CliError::JsonDoesNotAsk { what: WHAT });
    }
    if !arguments.yes && !output.can_ask() {
        return Err(CliError::CannotAsk { what: WHAT });
    }
    let (mut signals, mut turn) = (Signals::for_run(operations.line())?, Turn::new(arguments.wait));
    // What others publish meanwhile is what is left behind then.
    turn.come(output, &operations, Some(&mut signals)).await?;
    let status = operations.status().await?;
    let reason = arguments.reason.clone().unwrap_or_else(|| format!("went back to run {run}"));
    let mut options = ReplayOptions {
        run,
        replay: Replay::Rollback,
        dry_run: false,
        accept: arguments.accept.clone(),
        expected: Some(status.publication.map(|newest| newest.id)),
        hold: if arguments.no_hold { HoldRule::Ignore } else { HoldRule::Set(reason) },
    };
    let doing = Doing::GoBack(run);
    if !arguments.yes {
        let report = match rehearse(context, &operations, &options, doing, &mut turn, &mut signals).await? {
            Rehearsal::Ready(report) => report,
            Rehearsal::Ended(status) => return Ok(status),
        };
        let back = operations.run(run).await?.run;
        let question = Question { back: &back, report: &report, hold: status.hold.as_ref(), rule: &options.hold };
        let now = operations.clock().now();
        output.confirm_or_stop(WHAT, now, |layout| question.render(layout), "Y", &mut signals).await?;
        options.accept = accepted_by(&report);
    }
    let sets_hold = matches!(options.hold, HoldRule::Set(_));
    let progress = Progress::of(output, context.settings.verbose);
    let performed = perform(output, &operations, Order::Replay(options), progress, &mut turn, &mut signals).await?;
    let was_set = status.hold.is_some();
    let is_back = matches!(performed.report.run.outcome, Some(RunOutcome::Published | RunOutcome::Unchanged));
    // What was done is done, even if the hold cannot be read any more.
    let hold = if is_back && sets_hold { operations.status().await.ok().and_then(|status| status.hold) } else { None };
    tell(output, operations.clock().now(), performed, signals.cancelled_by(), |report, layout| {
        let mut answer = outcome::render(report, doing, layout);
        if let Some(hold) = &hold {
            let set = if was_set { "the hold stays" } else { "the hold is set" };
            push_line(&mut answer, &format!("{set}: {}", described_hold(hold, layout)));
            push_line(&mut answer, "nothing more is published until `greenroom release`");
        }
        answer
    })
}

/// What is asked before going back to a run.
struct Question<'a> {
    back: &'a RunSummary,
    report: &'a SyncReport,
    hold: Option<&'a HoldReport>,
    rule: &'a HoldRule,
}

impl Question<'_> {
    fn render(&self, layout: &Layout) -> String {
        let Self { back, report, .. } = *self;
        let at = back.finished_at.unwrap_or(back.started_at);
        let mut answer = String::new();
        let title = format!(
            "would go back to what was live after run {}, {}, {}",
            back.id,
            text::age(at, layout.now),
            text::time(at)
        );
        push_line(&mut answer, &title);
        if report.run.outcome == Some(RunOutcome::Unchanged) {
            push_line(&mut answer, "the same rows are live already");
        }
        answer.push('\n');
        answer.push_str(&changes(&report.entities, layout));
        answer.push('\n');
        if let Some(line) = left_out(&report.run) {
            push_line(&mut answer, &line);
        }
        push_findings(&mut answer, report);
        let hold = match (self.hold, self.rule) {
            (Some(hold), _) => format!("the hold stays: {}", described_hold(hold, layout)),
            (None, HoldRule::Set(reason)) => format!("sets the hold, so that no run publishes over it: {reason}"),
            (None, _) => "sets no hold: the next run may publish over it".to_owned(),
        };
        push_line(&mut answer, &hold);
        push_line(&mut answer, &format!("to see its rows: greenroom diff --run {} --rows", report.run.id));
        answer
    }
}

/// Adds what guards found, and that an answer accepts it.
pub(super) fn push_findings(answer: &mut String, report: &SyncReport) {
    answer.push_str(&findings(&report.guards));
    let open = report.guards.iter().filter(|finding| !finding.accepted).count();
    if open > 0 {
        let what = text::count(open as u64, "finding", "findings");
        push_line(answer, &format!("Y accepts the {what} above"));
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        cli::outcome::tests::{finding, report, step},
        entity::Entity,
        report::StepOutcome,
    };

    #[test]
    fn the_question_about_an_earlier_run_says_all_that_matters() {
        let layout = Layout::unlimited(Timestamp::from_second(300).unwrap());
        let mut prepared = report(RunOutcome::Held, vec![step(Entity::Talents, StepOutcome::Ready)]);
        prepared.run.replay_of = Some(3);
        prepared.run.scope = Some(vec![Entity::Talents]);
        prepared.guards = vec![finding(false)];
        let mut back = prepared.run.clone();
        (back.id, back.replay_of) = (3, None);
        let set = HoldRule::Set("went back to run 3".into());
        let question = Question { back: &back, report: &prepared, hold: None, rule: &set };
        assert_eq!(
            question.render(&layout),
            "\
would go back to what was live after run 3, 5 min ago, 1970-01-01 00:00:00Z

entity   live rows  rows then     change
talents      1,200      1,237  +40 -3 ~7

left alone, as run 3 has nothing of them: boards, mediatags, talentsportfolios, portfoliosmedia, talentsmeasurements, \
talentssocials, boardstalents, boardsportfolios, mediatags_junction
shrink guard, boards: 100 of 1,240 rows would be left\\x1b[2J
Y accepts the 1 finding above
sets the hold, so that no run publishes over it: went back to run 3
to see its rows: greenroom diff --run 7 --rows
"
        );
        let ignoring = Question { rule: &HoldRule::Ignore, ..question };
        assert!(ignoring.render(&layout).contains("sets no hold: the next run may publish over it\n"));
        let hold = HoldReport {
            since: Timestamp::UNIX_EPOCH,
            operator: back.operator.clone(),
            reason: "bad".into(),
            publication: None,
        };
        let kept = Question { hold: Some(&hold), ..ignoring };
        assert!(kept.render(&layout).contains("the hold stays: held by ana@box: bad (since 1970-01-01 00:00:00Z, 5"));
    }

    #[test]
    fn accepts_exactly_what_is_shown() {
        let mut shown = report(RunOutcome::Held, Vec::new());
        shown.guards = vec![finding(false)];
        assert_eq!(accepted_by(&shown), ["boards.shrink".parse().unwrap()]);
    }
}
