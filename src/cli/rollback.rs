//! `rollback`: takes a publication back, or entities, or goes back to an earlier run.

use clap::Args;

use super::{
    Context,
    exit::{CliError, ExitStatus},
    outcome::{described_hold, names},
    output::{Layout, push_line},
    replay,
    status::publication,
    table::{Column, Table, change, left, right, version},
    wait::WaitLimit,
};
use crate::{
    entity::Entity,
    green::RollbackOptions,
    guard::Acceptance,
    report::{
        CrossingReport, HoldEffect, PublicationId, PublicationKind, RollbackPlan, RollbackReport, RollbackTarget,
        RunId, SwitchReport,
    },
    text,
};

/// Arguments of `rollback`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
It shows what it would do and asks for a capital Y. It is itself a publication: a second rollback undoes the first. \
Without ENTITY, --publication or --to it takes the newest publication back. It sets the hold, as the next run would \
publish the same data again; a rollback of that rollback releases it.

--to goes to what was live after a run, from the snapshots that are kept of it, with the same guards as a sync.

Examples:
  greenroom rollback
  greenroom rollback boards boardstalents --reason 'boards are empty'
  greenroom rollback --to 3
  greenroom rollback --yes --json

Exit status: 0 done; 1 nothing to go back to, something else was published meanwhile, or a snapshot is gone; 3 (--to) \
held by a guard; 4 (--to) a run goes on; 5 not confirmed; 130/143/129 by signal.")]
pub struct RollbackArguments {
    /// Switch only these entities, each to what was live before it
    #[arg(value_name = "ENTITY", conflicts_with_all = ["publication", "to"])]
    pub entities: Vec<Entity>,
    /// Take this publication back, as long as none of its entities was switched since
    #[arg(long, value_name = "N", conflicts_with = "to")]
    pub publication: Option<PublicationId>,
    /// Go back to what was live after this run
    #[arg(long, value_name = "RUN")]
    pub to: Option<RunId>,
    /// Let this guard trip: GUARD, ENTITY.GUARD or `all`
    #[arg(long, value_name = "GUARD", value_delimiter = ',', requires = "to")]
    pub accept: Vec<Acceptance>,
    /// Do not set the hold
    #[arg(long, conflicts_with = "reason")]
    pub no_hold: bool,
    /// Why, for whoever meets the hold
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// When another run goes on, wait for one's turn; with SECONDS no longer than that
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "forever", requires = "to")]
    pub wait: Option<WaitLimit>,
}

impl RollbackArguments {
    fn target(&self) -> RollbackTarget {
        match self.publication {
            Some(publication) => RollbackTarget::Publication(publication),
            None if self.entities.is_empty() => RollbackTarget::Newest,
            None => RollbackTarget::Entities(self.entities.clone()),
        }
    }
}

/// Rolls back after a confirmation.
pub(super) async fn run(context: &Context, arguments: &RollbackArguments) -> Result<ExitStatus, CliError> {
    if let Some(run) = arguments.to {
        return replay::go_back(context, arguments, run).await;
    }
    let (operations, output) = (context.settings.open()?, &context.output);
    let plan = operations.plan_rollback(arguments.target()).await?;
    if !arguments.yes {
        let now = operations.clock().now();
        output.confirm("rollback", now, |layout| render_plan(&plan, arguments.no_hold, layout), "Y")?;
    }
    // Refused when something was published since the plan was shown.
    let options = RollbackOptions { set_hold: !arguments.no_hold, reason: arguments.reason.clone() };
    let report = operations.rollback(plan, options).await?;
    let told = output.report(&report, operations.clock().now(), |layout| render(&report, layout));
    told.map_err(|error| error.after(format!("publication {} is made, the rollback is done", report.publication.id)))?;
    Ok(ExitStatus::Done)
}

const COLUMNS: [Column; 5] =
    [left("entity"), left("version"), right("rows before"), right("rows after"), right("change")];

fn switches(entities: &[SwitchReport], layout: &Layout) -> String {
    let mut table = Table::new(&COLUMNS);
    for switch in entities {
        table.row([
            switch.entity.to_string(),
            format!("{} > {}", version(switch.from_version), version(switch.to_version)),
            text::thousands(switch.rows_before),
            text::thousands(switch.rows_after),
            change(switch.diff),
        ]);
    }
    table.render(layout)
}

fn render_plan(plan: &RollbackPlan, no_hold: bool, layout: &Layout) -> String {
    let mut answer = String::new();
    for line in title(plan, layout) {
        push_line(&mut answer, &line);
    }
    if let Some(at) = plan.backup_published_at {
        let at = format!("{}, {}", text::age(at, layout.now), text::time(at));
        push_line(&mut answer, &format!("what comes back was published {at}"));
    }
    answer.push('\n');
    answer.push_str(&switches(&plan.entities, layout));
    answer.push('\n');
    if !plan.crossing.is_empty() {
        push_line(&mut answer, "relations that would lead from one generation to another:");
        answer.push_str(&crossing(&plan.crossing, layout));
        answer.push('\n');
    }
    let hold = match plan.hold {
        HoldEffect::Set if no_hold => "sets no hold: the next run may publish again what is taken back",
        HoldEffect::Set => "sets the hold, so that the next run does not publish it again",
        HoldEffect::Released => "releases the hold, which the rollback had set that is taken back",
        HoldEffect::Kept => "the hold stays as it is",
    };
    push_line(&mut answer, hold);
    push_line(&mut answer, "to see its rows, the other way round: greenroom diff --rows");
    answer
}

/// What is taken back.
fn title(plan: &RollbackPlan, layout: &Layout) -> Vec<String> {
    let Some(undone) = &plan.publication else {
        let entities: Vec<_> = plan.entities.iter().map(|switch| switch.entity).collect();
        return vec![format!("would take back only {}, each to what was live before it", names(&entities))];
    };
    let mut lines = Vec::new();
    if undone.kind == PublicationKind::Rollback && plan.leads_forward {
        let what = undone.undoes.map_or_else(|| "it took away".into(), |id| format!("publication {id} had made live"));
        lines.push(format!("would undo a rollback: what {what} comes back live"));
    }
    lines.push(format!("would take back {}", publication(undone, layout)));
    lines
}

const CROSSING: [Column; 4] =
    [left("relation"), left("refers to"), right("to nothing now").or("now"), right("to nothing then").or("then")];

fn crossing(relations: &[CrossingReport], layout: &Layout) -> String {
    let mut table = Table::new(&CROSSING);
    for relation in relations {
        table.row([
            format!("{}.{}", relation.entity, relation.column),
            relation.target.to_string(),
            text::thousands(relation.dangling_before),
            text::thousands(relation.dangling_after),
        ]);
    }
    table.render(layout)
}

fn render(report: &RollbackReport, layout: &Layout) -> String {
    let mut answer = switches(&report.entities, layout);
    if !report.crossing.is_empty() {
        push_line(&mut answer, "relations that lead from one generation to another:");
        answer.push_str(&crossing(&report.crossing, layout));
    }
    let undone = report.publication.undoes.map_or_else(String::new, |id| format!(" took back publication {id}"));
    let (id, count) = (report.publication.id, text::count(report.entities.len() as u64, "entity", "entities"));
    let took = text::duration(report.duration_ms);
    push_line(&mut answer, &format!("publication {id}{undone}: {count} switched in {took}"));
    match (report.hold_effect, &report.hold) {
        (HoldEffect::Released, _) => push_line(&mut answer, "the hold is released"),
        (effect, Some(hold)) => {
            let set = if effect == HoldEffect::Set { "the hold is set" } else { "the hold stays" };
            push_line(&mut answer, &format!("{set}: {}", described_hold(hold, layout)));
            push_line(&mut answer, "nothing more is published until `greenroom release`");
        }
        (_, None) => {}
    }
    answer
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::report::{DiffCounts, HoldReport, Operator, PublicationReport};

    fn made(kind: PublicationKind, undoes: Option<i64>) -> PublicationReport {
        let operator = Operator { user: "ana".into(), host: "box".into(), pid: 1 };
        PublicationReport {
            id: 4,
            kind,
            run: Some(7),
            undoes,
            replay_of: None,
            accepted: Vec::new(),
            published_at: Timestamp::UNIX_EPOCH,
            operator,
        }
    }

    fn switched() -> Vec<SwitchReport> {
        vec![SwitchReport {
            entity: Entity::Talents,
            from_version: 2,
            to_version: 1,
            rows_before: 1240,
            rows_after: 1200,
            diff: Some(DiffCounts { added: 0, removed: 40, changed: 3 }),
        }]
    }

    fn plan() -> RollbackPlan {
        RollbackPlan {
            target: RollbackTarget::Newest,
            publication: Some(made(PublicationKind::Sync, None)),
            newest: 4,
            entities: switched(),
            backup_published_at: Some(Timestamp::UNIX_EPOCH),
            crossing: Vec::new(),
            hold: HoldEffect::Set,
            leads_forward: false,
        }
    }

    fn crosses() -> Vec<CrossingReport> {
        vec![CrossingReport {
            entity: Entity::BoardsTalents,
            column: "talentId".into(),
            target: Entity::Talents,
            dangling_before: 0,
            dangling_after: 1200,
        }]
    }

    fn text_of(plan: &RollbackPlan, no_hold: bool) -> String {
        render_plan(plan, no_hold, &Layout::unlimited(Timestamp::from_second(300).unwrap()))
    }

    #[test]
    fn the_plan_says_what_comes_back() {
        assert_eq!(
            text_of(&plan(), false),
            "\
would take back publication 4, made by run 7, by ana@box, 5 min ago, 1970-01-01 00:00:00Z
what comes back was published 5 min ago, 1970-01-01 00:00:00Z

entity   version  rows before  rows after     change
talents  v2 > v1        1,240       1,200  +0 -40 ~3

sets the hold, so that the next run does not publish it again
to see its rows, the other way round: greenroom diff --rows
"
        );
    }

    #[test]
    fn undoing_a_rollback_has_a_title_of_its_own() {
        let forward = || RollbackPlan { leads_forward: true, ..plan() };
        let of_rollback = RollbackPlan { publication: Some(made(PublicationKind::Rollback, Some(3))), ..forward() };
        let text = text_of(&of_rollback, false);
        assert!(
            text.starts_with("would undo a rollback: what publication 3 had made live comes back live\n"),
            "{text}"
        );
        assert!(text.contains("would take back publication 4, a rollback of publication 3, by ana@box"), "{text}");
        let of_entities = RollbackPlan { publication: Some(made(PublicationKind::Rollback, None)), ..forward() };
        let text = text_of(&of_entities, false);
        assert!(text.starts_with("would undo a rollback: what it took away comes back live\n"), "{text}");
        assert!(!text_of(&plan(), false).contains("undo a rollback"));
        let back_again = RollbackPlan { leads_forward: false, ..of_rollback };
        assert!(!text_of(&back_again, false).contains("undo a rollback"), "what was brought back goes once more");
    }

    #[test]
    fn named_entities_come_with_the_relations_that_cross() {
        let named = RollbackPlan { publication: None, crossing: crosses(), ..plan() };
        let text = text_of(&named, false);
        assert!(text.starts_with("would take back only talents, each to what was live before it\n"), "{text}");
        assert!(
            text.contains(
                "\
relations that would lead from one generation to another:
relation                refers to  to nothing now  to nothing then
boardstalents.talentId  talents                 0            1,200
"
            ),
            "{text}"
        );
    }

    #[test]
    fn the_plan_says_what_becomes_of_the_hold() {
        for (hold, no_hold, said) in [
            (HoldEffect::Set, false, "\nsets the hold, so"),
            (HoldEffect::Set, true, "\nsets no hold: the next run may publish again"),
            (HoldEffect::Released, true, "\nreleases the hold, which"),
            (HoldEffect::Kept, false, "\nthe hold stays as it is\n"),
        ] {
            let text = text_of(&RollbackPlan { hold, ..plan() }, no_hold);
            assert!(text.contains(said), "{text}");
        }
    }

    #[test]
    fn the_report_says_what_was_done() {
        let operator = made(PublicationKind::Sync, None).operator;
        let hold = HoldReport {
            since: Timestamp::UNIX_EPOCH,
            operator,
            reason: "rolled back\u{202e}".into(),
            publication: Some(5),
        };
        let report = RollbackReport {
            publication: PublicationReport { id: 5, ..made(PublicationKind::Rollback, Some(4)) },
            entities: switched(),
            crossing: crosses(),
            hold_effect: HoldEffect::Set,
            hold: Some(hold),
            duration_ms: 4,
        };
        let layout = Layout::unlimited(Timestamp::UNIX_EPOCH);
        let text = render(&report, &layout);
        assert!(text.contains("\nboardstalents.talentId  talents"), "{text}");
        assert!(
            text.ends_with(
                "\
publication 5 took back publication 4: 1 entity switched in 4 ms
the hold is set: held by ana@box: rolled back\\u{202e} (since 1970-01-01 00:00:00Z, just now)
nothing more is published until `greenroom release`
"
            ),
            "{text}"
        );
        let kept = RollbackReport { hold_effect: HoldEffect::Kept, ..report.clone() };
        assert!(render(&kept, &layout).contains("\nthe hold stays: held by ana@box"));
        let released = RollbackReport { hold_effect: HoldEffect::Released, hold: None, ..report };
        assert!(render(&released, &layout).ends_with("\nthe hold is released\n"));
    }

    #[test]
    fn arguments_name_one_target() {
        let plain = RollbackArguments {
            entities: Vec::new(),
            publication: None,
            to: None,
            accept: Vec::new(),
            no_hold: false,
            reason: None,
            yes: false,
            wait: None,
        };
        assert_eq!(plain.target(), RollbackTarget::Newest);
        let one = RollbackArguments { publication: Some(4), ..plain.clone() };
        assert_eq!(one.target(), RollbackTarget::Publication(4));
        let some = RollbackArguments { entities: vec![Entity::Boards], ..plain };
        assert_eq!(some.target(), RollbackTarget::Entities(vec![Entity::Boards]));
    }
}
