//! `hold` and `release`: keeps runs from publishing, and lets them again.

use clap::Args;

use super::{
    Context,
    exit::{CliError, ExitStatus},
    outcome::described_hold,
    output::{Layout, push_line},
};
use crate::report::HoldChange;

/// Arguments of `hold`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Runs go on fetching, staging and checking, and end as `held`; `greenroom publish RUN --release` publishes one of them.
A hold that is set already stays as it is.

Examples:
  greenroom hold --reason 'prices are wrong, asked the source'
  greenroom release

Exit status: 0 it is set, 1 failed.")]
pub struct HoldArguments {
    /// Why, for whoever meets it
    #[arg(long, value_name = "TEXT", default_value = "set by hand")]
    pub reason: String,
}

/// Sets the hold.
pub(super) async fn hold(context: &Context, arguments: &HoldArguments) -> Result<ExitStatus, CliError> {
    let operations = context.settings.open()?;
    let change = operations.hold(arguments.reason.clone()).await?;
    let told = context.output.report(&change, operations.clock().now(), |layout| render_hold(&change, layout));
    told.map_err(|error| error.after("the hold is set"))?;
    Ok(ExitStatus::Done)
}

/// Releases the hold.
pub(super) async fn release(context: &Context) -> Result<ExitStatus, CliError> {
    let operations = context.settings.open()?;
    let change = operations.release(None).await?;
    let told = context.output.report(&change, operations.clock().now(), |layout| render_release(&change, layout));
    told.map_err(|error| error.after("the hold is released"))?;
    Ok(ExitStatus::Done)
}

fn render_hold(change: &HoldChange, layout: &Layout) -> String {
    let mut answer = String::new();
    if let Some(hold) = &change.hold {
        let set = if change.changed { "the hold is set" } else { "the hold was set already and stays as it was" };
        push_line(&mut answer, &format!("{set}: {}", described_hold(hold, layout)));
        push_line(&mut answer, "nothing is published until `greenroom release`; runs still fetch and check");
    }
    answer
}

fn render_release(change: &HoldChange, layout: &Layout) -> String {
    let mut answer = String::new();
    let line = match &change.released {
        Some(hold) => format!("the hold is released; it was {}", described_hold(hold, layout)),
        None => "there was no hold; runs publish".to_owned(),
    };
    push_line(&mut answer, &line);
    answer
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::report::{HoldReport, Operator};

    #[test]
    fn says_what_changed_and_what_was_so_already() {
        let layout = Layout::unlimited(Timestamp::from_second(300).unwrap());
        let operator = Operator { user: "ana".into(), host: "box".into(), pid: 1 };
        let hold =
            HoldReport { since: Timestamp::UNIX_EPOCH, operator, reason: "bad \u{1b}[2J".into(), publication: None };
        let described = "held by ana@box: bad \\x1b[2J (since 1970-01-01 00:00:00Z, 5 min ago)";
        let set = HoldChange { changed: true, hold: Some(hold.clone()), released: None };
        let next = "nothing is published until `greenroom release`; runs still fetch and check\n";
        assert_eq!(render_hold(&set, &layout), format!("the hold is set: {described}\n{next}"));
        let again = HoldChange { changed: false, ..set };
        let text = render_hold(&again, &layout);
        assert_eq!(text, format!("the hold was set already and stays as it was: {described}\n{next}"));
        let released = HoldChange { changed: true, hold: None, released: Some(hold) };
        assert_eq!(render_release(&released, &layout), format!("the hold is released; it was {described}\n"));
        let none = HoldChange { changed: false, hold: None, released: None };
        assert_eq!(render_release(&none, &layout), "there was no hold; runs publish\n");
    }
}
