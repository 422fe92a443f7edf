//! `publish`: makes live what an earlier run prepared and did not publish.

use clap::Args;

use super::{
    Context,
    exit::{CliError, ExitStatus},
    outcome::{self, Doing, changes, described_hold, left_out, names, outcome},
    output::{Layout, push_line},
    perform::{Order, perform, tell},
    progress::Progress,
    replay::{Rehearsal, accepted_by, push_findings, rehearse},
    signal::Signals,
    wait::{Turn, WaitLimit},
};
use crate::{
    green::HoldRule,
    guard::Acceptance,
    ops::ReplayOptions,
    report::{GuardReport, HoldReport, PublishPlan, Replay, RunId, RunOutcome, StepOutcome, SyncReport},
    text,
};

/// Arguments of `publish`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
RUN is a run that was held, or a dry run. Its rows are prepared again from the snapshots that it staged, and checked by \
the same guards. It shows what would change and asks for a capital Y, which accepts exactly the findings shown.

Examples:
  greenroom publish 7
  greenroom publish 7 --accept shrink
  greenroom publish 7 --release --yes --json

Exit status: 0 published, or the same rows are live already; 1 failed, or a snapshot is gone; 3 held by a guard or the \
hold; 4 another run goes on; 5 not confirmed; 130/143/129 by signal.")]
pub struct PublishArguments {
    /// The run to publish
    #[arg(value_name = "RUN")]
    pub run: RunId,
    /// Let this guard trip and do not ask: GUARD, ENTITY.GUARD or `all`
    #[arg(long, value_name = "GUARD", value_delimiter = ',')]
    pub accept: Vec<Acceptance>,
    /// Publish although the hold is set, and release it
    #[arg(long)]
    pub release: bool,
    /// Do not ask; what guards find and --accept does not name still stops it
    #[arg(long)]
    pub yes: bool,
    /// When another run goes on, wait for one's turn; with SECONDS no longer than that
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "forever")]
    pub wait: Option<WaitLimit>,
}

/// Publishes a run after a confirmation.
pub(super) async fn run(context: &Context, arguments: &PublishArguments) -> Result<ExitStatus, CliError> {
    let (operations, output, run) =
        (context.settings.open()?.with_limits(context.settings.limits()?), &context.output, arguments.run);
    let (mut signals, mut turn) = (Signals::for_run(operations.line())?, Turn::new(arguments.wait));
    // What others publish meanwhile belongs into the plan.
    turn.come(output, &operations, Some(&mut signals)).await?;
    let plan = operations.plan_publish(run).await?;
    if let Some(hold) = plan.hold.as_ref().filter(|_| !arguments.release) {
        return Err(CliError::UnderHold { run, hold: Box::new(hold.clone()) });
    }
    let mut options = ReplayOptions {
        run,
        replay: Replay::Publish,
        dry_run: false,
        accept: arguments.accept.clone(),
        expected: Some(plan.newest),
        // Refused above unless it is to be released.
        hold: plan.hold.clone().map_or(HoldRule::Obey, |hold| HoldRule::Release(Box::new(hold))),
    };
    if plan.outdated && !arguments.yes && !output.can_ask() {
        // What is accepted was found against something that is not live any more.
        return Err(CliError::Outdated { run });
    }
    let hold = plan.hold.clone();
    let doing = Doing::Publish { under_hold: hold.is_some() };
    if !arguments.yes && (arguments.accept.is_empty() || plan.outdated) {
        let (shown, is_rehearsed) = if plan.outdated {
            match rehearse(context, &operations, &options, doing, &mut turn, &mut signals).await? {
                Rehearsal::Ready(report) => (*report, true),
                Rehearsal::Ended(status) => return Ok(status),
            }
        } else {
            (as_planned(plan.clone()), false)
        };
        let question = Question { plan: &plan, shown: &shown, is_rehearsed };
        let now = operations.clock().now();
        output.confirm_or_stop("publish", now, |layout| question.render(layout), "Y", &mut signals).await?;
        options.accept = accepted_by(&shown);
    }
    let progress = Progress::of(output, context.settings.verbose);
    let performed = perform(output, &operations, Order::Replay(options), progress, &mut turn, &mut signals).await?;
    tell(output, operations.clock().now(), performed, signals.cancelled_by(), |report, layout| {
        render(report, doing, hold.as_ref(), layout)
    })
}

/// The plan as the report of a run that was just held; nothing is accepted yet.
fn as_planned(plan: PublishPlan) -> SyncReport {
    let guards = plan.guards.into_iter().map(|finding| GuardReport { accepted: false, ..finding }).collect();
    SyncReport { run: plan.run, entities: plan.entities, guards, hold: plan.hold, left_alone: Vec::new() }
}

/// The report, and that `released` is no more.
fn render(report: &SyncReport, doing: Doing, released: Option<&HoldReport>, layout: &Layout) -> String {
    let mut answer = outcome::render(report, doing, layout);
    let is_done = matches!(report.run.outcome, Some(RunOutcome::Published | RunOutcome::Unchanged));
    if let Some(hold) = released.filter(|_| is_done) {
        push_line(&mut answer, &format!("the hold is released; it was {}", described_hold(hold, layout)));
    }
    answer
}

/// What is asked before a publish.
struct Question<'a> {
    plan: &'a PublishPlan,
    /// What it would do, from a dry run just now when `is_rehearsed`, otherwise as the run itself found it.
    shown: &'a SyncReport,
    is_rehearsed: bool,
}

impl Question<'_> {
    fn render(&self, layout: &Layout) -> String {
        let (run, shown) = (&self.plan.run, self.shown);
        let at = run.started_at;
        let dry = if run.dry_run { "dry run" } else { "run" };
        let mut answer = String::new();
        push_line(&mut answer, &format!("would publish {dry} {} ({}) by {}", run.id, outcome(run), run.operator));
        push_line(
            &mut answer,
            &format!("fetched {}, {}, from {}", text::age(at, layout.now), text::time(at), run.source),
        );
        if self.is_rehearsed {
            push_line(&mut answer, "something was published since; these are the figures of now");
        }
        if shown.run.outcome == Some(RunOutcome::Unchanged) {
            push_line(&mut answer, "the same rows are live already");
        }
        answer.push('\n');
        answer.push_str(&changes(&shown.entities, layout));
        let failed = shown.entities.iter().filter(|step| step.outcome == Some(StepOutcome::Failed));
        let failed: Vec<_> = failed.map(|step| step.entity).collect();
        if !failed.is_empty() {
            push_line(&mut answer, &format!("left behind, as their endpoint had failed: {}", names(&failed)));
        }
        answer.push('\n');
        if let Some(line) = left_out(run) {
            push_line(&mut answer, &line);
        }
        push_findings(&mut answer, shown);
        if let Some(hold) = &self.plan.hold {
            push_line(&mut answer, &format!("Y also releases the hold: {}", described_hold(hold, layout)));
        }
        push_line(&mut answer, &format!("to see its rows: greenroom diff --run {} --rows", run.id));
        answer
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

    fn plan() -> PublishPlan {
        let held = report(
            RunOutcome::Held,
            vec![
                step(Entity::Talents, StepOutcome::Ready),
                step(Entity::Boards, StepOutcome::Unchanged),
                step(Entity::MediaTags, StepOutcome::Failed),
            ],
        );
        PublishPlan {
            entities: held.entities,
            guards: vec![finding(true)],
            hold: None,
            newest: Some(3),
            outdated: false,
            run: held.run,
        }
    }

    fn hold() -> HoldReport {
        let (since, operator) = (Timestamp::UNIX_EPOCH, plan().run.operator);
        HoldReport { since, operator, reason: "bad\ndata".into(), publication: None }
    }

    fn question(plan: &PublishPlan, is_rehearsed: bool) -> String {
        let layout = Layout::unlimited(Timestamp::from_second(300).unwrap());
        Question { plan, shown: &as_planned(plan.clone()), is_rehearsed }.render(&layout)
    }

    #[test]
    fn the_question_shows_changes_and_findings() {
        assert_eq!(
            question(&plan(), false),
            "\
would publish run 7 (held) by ana@box
fetched 5 min ago, 1970-01-01 00:00:00Z, from http://blue

entity   live rows  rows then     change
talents      1,200      1,237  +40 -3 ~7
boards       1,200      1,237       none
left behind, as their endpoint had failed: mediatags

shrink guard, boards: 100 of 1,240 rows would be left\\x1b[2J
Y accepts the 1 finding above
to see its rows: greenroom diff --run 7 --rows
"
        );
    }

    #[test]
    fn the_question_says_of_when_its_figures_are_and_what_becomes_of_the_hold() {
        let outdated = PublishPlan { outdated: true, hold: Some(hold()), ..plan() };
        let text = question(&outdated, true);
        assert!(text.contains("Y also releases the hold: held by ana@box: bad\\ndata (since 1970"), "{text}");
        assert!(question(&outdated, true).contains("published since; these are the figures of now\n"));
    }

    #[test]
    fn the_answer_says_that_the_hold_is_released_when_it_is() {
        let layout = Layout::unlimited(Timestamp::UNIX_EPOCH);
        let doing = Doing::Publish { under_hold: true };
        let text = render(&report(RunOutcome::Published, Vec::new()), doing, Some(&hold()), &layout);
        assert!(text.contains("\nthe hold is released; it was held by ana@box: bad\\ndata (since"), "{text}");
        let text = render(&report(RunOutcome::Failed, Vec::new()), doing, Some(&hold()), &layout);
        assert!(!text.contains("released"), "{text}");
    }
}
