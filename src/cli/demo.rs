//! Opens the console on a built-in source; without a terminal, runs one sync from it.

use super::{
    Context, console,
    exit::{CliError, ExitStatus},
    logging,
    outcome::{self, Doing},
    perform::{Order, perform, tell},
    progress::Progress,
    settings::operator,
    signal::Signals,
    wait::Turn,
};
use crate::{
    blue::SourceConfig,
    demo::{DemoBlue, Pace},
    green::Database,
    ops::{Operations, SyncOptions},
    report::Trigger,
};

/// Runs the demo until the operator leaves it.
///
/// Its database is a temporary one, whatever the settings say: a demo must never meet the real one.
pub(super) async fn run(context: &Context) -> Result<ExitStatus, CliError> {
    let headless = context.output.is_json() || console::check_terminal().is_err();
    let folder = tempfile::Builder::new().prefix("greenroom-demo-").tempdir().map_err(CliError::Start)?;
    let blue = DemoBlue::start(if headless { Pace::Instant } else { Pace::Lifelike }).await.map_err(CliError::Start)?;
    let database = Database::create_or_open(folder.path().join("demo.db"))?;
    let operations = Operations::new(database, Some(SourceConfig::new(blue.address())), operator())
        .with_limits(context.settings.limits()?)
        .with_line(context.settings.line());
    if headless {
        let output = &context.output;
        logging::install(context.settings.verbose);
        let progress = Progress::of(output, context.settings.verbose);
        let order = Order::Sync(SyncOptions::full(Trigger::Cli));
        let mut signals = Signals::for_run(operations.line())?;
        let mut turn = Turn::new(None);
        let performed = perform(output, &operations, order, progress, &mut turn, &mut signals).await?;
        return tell(output, operations.clock().now(), performed, signals.cancelled_by(), |report, layout| {
            outcome::render(report, Doing::Sync { under_hold: false }, layout)
        });
    }
    console::show(context, operations, true).await
}
