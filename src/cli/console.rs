//! Opens the console.

use super::{
    Context,
    exit::{CliError, ExitStatus},
};

/// Runs the console until the operator leaves it.
#[expect(clippy::unused_async, reason = "the console is")]
pub(super) async fn run(_context: &Context) -> Result<ExitStatus, CliError> {
    Err(CliError::NoConsole)
}
