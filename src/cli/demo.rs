//! Opens the console on a built-in source.

use super::{
    Context,
    exit::{CliError, ExitStatus},
};

/// Runs the demo until the operator leaves it.
#[expect(clippy::unused_async, reason = "the demo is")]
pub(super) async fn run(_context: &Context) -> Result<ExitStatus, CliError> {
    Err(CliError::NoConsole)
}
