//! `rollback`: takes the newest publication back.

use clap::Args;

use super::{
    Context,
    exit::{CliError, ExitStatus},
    output::{Layout, push_line},
    status::publication,
    table::{Column, Table, change, left, right, version},
};
use crate::{
    green::RollbackOptions,
    report::{PublicationKind, RollbackPlan, RollbackReport, RollbackTarget, SwitchReport},
    text,
};

/// Arguments of `rollback`.
#[derive(Args, Clone, Copy, Debug)]
#[command(after_help = "\
It shows what it would do and asks for a capital Y. It is itself a publication: a second rollback undoes the first.

Examples:
  greenroom rollback
  greenroom rollback --yes --json

Exit status: 0 done, 1 nothing to go back to or something else was published meanwhile, 5 not confirmed.")]
pub struct RollbackArguments {
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Undoes the newest publication after a confirmation.
pub(super) async fn run(context: &Context, arguments: &RollbackArguments) -> Result<ExitStatus, CliError> {
    let (operations, output) = (context.settings.open()?, &context.output);
    let plan = operations.plan_rollback(RollbackTarget::Newest).await?;
    if !arguments.yes {
        output.confirm("rollback", operations.clock().now(), |layout| render_plan(&plan, layout), "Y")?;
    }
    // Refused when something was published since the plan was shown.
    let options = RollbackOptions { set_hold: true, reason: None };
    let report = operations.rollback(plan, options).await?;
    output.report(&report, operations.clock().now(), |layout| render(&report, layout))?;
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

fn render_plan(plan: &RollbackPlan, layout: &Layout) -> String {
    let mut head = Vec::new();
    if let Some(undone) = &plan.publication {
        head.push(format!("would take back {}", publication(undone, layout)));
        if undone.kind == PublicationKind::Rollback {
            head.push("that was itself a rollback, so what it took away comes back".to_owned());
        }
    }
    if let Some(at) = plan.backup_published_at {
        head.push(format!("what comes back was published {}, {}", text::age(at, layout.now), text::time(at)));
    }
    let mut answer = String::new();
    for line in &head {
        push_line(&mut answer, line);
    }
    format!("{answer}\n{}\n", switches(&plan.entities, layout))
}

fn render(report: &RollbackReport, layout: &Layout) -> String {
    let undone = report.publication.undoes.map_or_else(String::new, |id| format!(" took back publication {id}"));
    let (id, count) = (report.publication.id, text::count(report.entities.len() as u64, "entity", "entities"));
    let took = text::duration(report.duration_ms);
    format!("{}publication {id}{undone}: {count} switched in {took}\n", switches(&report.entities, layout))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        entity::Entity,
        report::{DiffCounts, HoldEffect, Operator, PublicationReport},
    };

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

    #[test]
    fn the_plan_says_what_comes_back() {
        let layout = Layout::unlimited(Timestamp::from_second(300).unwrap());
        let plan = RollbackPlan {
            target: RollbackTarget::Newest,
            publication: Some(made(PublicationKind::Rollback, Some(3))),
            newest: 4,
            entities: switched(),
            backup_published_at: Some(Timestamp::UNIX_EPOCH),
            crossing: Vec::new(),
            hold: HoldEffect::Kept,
        };
        assert_eq!(
            render_plan(&plan, &layout),
            "\
would take back publication 4, a rollback of publication 3, by ana@box, 5 min ago, 1970-01-01 00:00:00Z
that was itself a rollback, so what it took away comes back
what comes back was published 5 min ago, 1970-01-01 00:00:00Z

entity   version  rows before  rows after     change
talents  v2 > v1        1,240       1,200  +0 -40 ~3

"
        );
        let of_run = RollbackPlan { publication: Some(made(PublicationKind::Sync, None)), ..plan };
        let text = render_plan(&of_run, &layout);
        assert!(text.starts_with("would take back publication 4, made by run 7, by ana@box"), "{text}");
        assert!(!text.contains("itself"), "{text}");
    }

    #[test]
    fn the_report_says_what_was_done() {
        let report = RollbackReport {
            publication: PublicationReport { id: 5, ..made(PublicationKind::Rollback, Some(4)) },
            entities: switched(),
            crossing: Vec::new(),
            hold_effect: HoldEffect::Set,
            hold: None,
            duration_ms: 4,
        };
        let text = render(&report, &Layout::unlimited(Timestamp::UNIX_EPOCH));
        assert!(text.ends_with("\npublication 5 took back publication 4: 1 entity switched in 4 ms\n"), "{text}");
    }
}
