//! The `greenroom` program: parses its arguments, sets up logging and dispatches.

use std::process::ExitCode;

use greenroom::cli;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(cli) => {
            cli.set_up_logging();
            cli.dispatch().into()
        }
        Err(status) => status.into(),
    }
}
