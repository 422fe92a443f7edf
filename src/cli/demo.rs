//! Opens the console on a built-in source; without a terminal, runs one sync from it.

use super::{
    Context, console,
    exit::{CliError, ExitStatus},
    logging,
    progress::Progress,
    settings::operator,
    sync,
};
use crate::{
    blue::SourceConfig,
    demo::{DemoBlue, Pace},
    green::Database,
    ops::Operations,
};

/// Runs the demo until the operator leaves it.
///
/// Its database is a temporary one, whatever the settings say: a demo must never meet the real one.
pub(super) async fn run(context: &Context) -> Result<ExitStatus, CliError> {
    let headless = context.output.is_json() || console::check_terminal().is_err();
    let folder = tempfile::Builder::new().prefix("greenroom-demo-").tempdir().map_err(CliError::Start)?;
    let blue = DemoBlue::start(if headless { Pace::Instant } else { Pace::Lifelike }).await.map_err(CliError::Start)?;
    let database = Database::create_or_open(folder.path().join("demo.db"))?;
    let operations = Operations::new(database, Some(SourceConfig::new(blue.address())), operator());
    if headless {
        let output = &context.output;
        logging::install(context.settings.verbose);
        let progress = if output.is_json() { Progress::Quiet } else { Progress::for_people(output) };
        return sync::perform(output, &operations, false, progress).await;
    }
    console::show(operations, context.settings.verbose, true).await
}
