//! `sync`: a run from the source, here and now.

use clap::Args;

use super::{
    Context,
    exit::{CliError, ExitStatus},
    outcome::{self, Doing},
    perform::{Order, perform, tell},
    progress::Progress,
    signal::Signals,
    wait::{Turn, WaitLimit},
};
use crate::{
    entity::Entity,
    guard::Acceptance,
    ops::SyncOptions,
    report::{RunOutcome, Trigger},
    sync::Scope,
};

/// Arguments of `sync`.
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "one a flag")]
#[command(after_help = "\
Entities: talents, boards, mediatags, talentsportfolios, portfoliosmedia, talentsmeasurements, talentssocials, \
boardstalents, boardsportfolios, mediatags_junction.
Guards: empty, shrink, quarantine, dangling; --guard sets their limits.

Examples:
  greenroom sync --source-url https://blue.example.com --database-url green.db
  greenroom sync boards --with-related --dry-run
  greenroom sync --guard talents.shrink=0.8 --accept boards.empty
  greenroom sync --json | jq .run.outcome

What a run is about is published together or not at all. SIGINT and SIGTERM cancel it; what is live then stays. When its \
terminal is gone (SIGHUP) it goes on to its end, unless --on-hangup says otherwise; `greenroom runs` tells how it ended.

Exit status: 0 published, unchanged or, in a dry run, ready to be published; 1 failed, or a partial publish left something \
behind; 2 configuration; 3 held by a guard or the hold; 4 another run goes \
on, with --wait still so after SECONDS; 130/143/129 by signal.")]
pub struct SyncArguments {
    /// Sync only these entities; without any all ten
    #[arg(value_name = "ENTITY")]
    pub entities: Vec<Entity>,
    /// Also sync what refers to them, and what they all refer to
    #[arg(long, requires = "entities")]
    pub with_related: bool,
    /// Fetch, load and check everything, show what would change, and stop before the publish
    #[arg(long)]
    pub dry_run: bool,
    /// Load and publish also what the source sends unchanged
    #[arg(long)]
    pub force: bool,
    /// Publish what is healthy when an endpoint fails, as long as no more references would lead nowhere
    #[arg(long)]
    pub partial: bool,
    /// Let this guard trip: GUARD, ENTITY.GUARD or `all`
    #[arg(long, value_name = "GUARD", value_delimiter = ',')]
    pub accept: Vec<Acceptance>,
    /// When another run goes on, wait for one's turn; with SECONDS no longer than that
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "forever")]
    pub wait: Option<WaitLimit>,
    /// Print each event as a line of JSON on standard output, as it happens
    #[arg(long)]
    pub json_lines: bool,
}

impl SyncArguments {
    fn options(&self) -> SyncOptions {
        let scope = Scope::of(&self.entities);
        SyncOptions {
            scope: if self.with_related { scope.with_related() } else { scope },
            force: self.force,
            partial: self.partial,
            dry_run: self.dry_run,
            accept: self.accept.clone(),
            ..SyncOptions::full(Trigger::Cli)
        }
    }
}

/// Runs a sync from the source that is set.
pub(super) async fn run(context: &Context, arguments: &SyncArguments) -> Result<ExitStatus, CliError> {
    let output = &context.output;
    if output.is_json() && arguments.json_lines {
        return Err(CliError::JsonTwice);
    }
    let operations = context.settings.create()?;
    let progress =
        if arguments.json_lines { Progress::JsonLines(None) } else { Progress::of(output, context.settings.verbose) };
    let mut signals = Signals::for_run(operations.line())?;
    let (order, mut turn) = (Order::Sync(arguments.options()), Turn::new(arguments.wait));
    let performed = perform(output, &operations, order, progress, &mut turn, &mut signals).await?;
    // Guards may have stopped it before the hold could.
    let stopped = matches!(performed.report.run.outcome, Some(RunOutcome::Held | RunOutcome::Prepared));
    let under_hold = stopped && operations.status().await.is_ok_and(|status| status.hold.is_some());
    tell(output, operations.clock().now(), performed, signals.cancelled_by(), |report, layout| {
        outcome::render(report, Doing::Sync { under_hold }, layout)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_become_options() {
        let arguments = SyncArguments {
            entities: vec![Entity::BoardsTalents],
            with_related: false,
            dry_run: true,
            force: false,
            partial: true,
            accept: vec![Acceptance::All],
            wait: None,
            json_lines: false,
        };
        let options = arguments.options();
        assert_eq!(options.scope, Scope::of(&[Entity::BoardsTalents]));
        assert_eq!((options.dry_run, options.force, options.partial), (true, false, true));
        assert_eq!(options.accept, [Acceptance::All]);
        let related = SyncArguments { with_related: true, ..arguments }.options();
        assert_eq!(related.scope, Scope::of(&[Entity::Talents, Entity::Boards, Entity::BoardsTalents]));
    }
}
