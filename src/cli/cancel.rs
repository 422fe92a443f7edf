//! `cancel`: ends the run that goes on, whoever owns it.

use clap::Args;

use super::{
    Context,
    exit::{CliError, ExitStatus},
    outcome::outcome,
    output::push_line,
    signal::{Signal, Signals},
};
use crate::{
    ops::Operations,
    report::{CancelReport, OwnerReport, RunId, RunOutcome, RunSummary, Work},
    text,
};

/// Arguments of `cancel`.
#[derive(Args, Clone, Copy, Debug)]
#[command(after_help = "\
The run may be anybody's, of another terminal or host. From the moment on that it is asked to end it cannot publish any more; \
the command waits until it is over. A signal ends the waiting only, the run stays asked to end.

A run whose process does not answer, as it is stopped or stuck, is left alone and reported; --force ends such a process, on \
its own host only. It never ends one that answers: that one ends by itself.

Examples:
  greenroom cancel
  greenroom cancel --force --json | jq .run.outcome

Exit status: 0 nothing goes on any more and nothing of the run was published; 1 it was published before it could be stopped, \
or its process does not answer; 4 a cleanup is at work; 130/143/129 by signal.")]
pub struct CancelArguments {
    /// End the run's process when it does not answer (SIGKILL), if it runs on this host
    #[arg(long)]
    pub force: bool,
}

/// Cancels the run and waits until it is over.
pub(super) async fn run(context: &Context, arguments: &CancelArguments) -> Result<ExitStatus, CliError> {
    let (operations, output) = (context.settings.open()?, &context.output);
    let mut signals = Signals::listen()?;
    let owner = operations.lock_owner();
    if let Some(owner) = owner.as_ref().filter(|owner| owner.work == Work::Run) {
        output.note(&format!("greenroom: asking {owner} to end, and waiting until it is over"));
    }
    let report = tokio::select! {
        report = operations.cancel(arguments.force) => report?,
        signal = signals.next() => {
            if signal == Signal::Hangup {
                output.abandon_terminal();
            }
            let asked = asked(&operations, owner.as_ref()).await;
            return Err(CliError::StoppedWaiting { signal, asked });
        }
    };
    let status = status_of(&report);
    let answer = render(&report, owner.as_ref());
    if output.is_json() && status != ExitStatus::Done {
        output.note(&format!("greenroom: {}", answer.trim_end()));
    }
    let told = output.report(&report, operations.clock().now(), |_| answer.clone());
    told.map_err(|error| error.after(answer.trim_end()))?;
    Ok(status)
}

/// The run of `owner`, if it is written down that it is to end.
async fn asked(operations: &Operations, owner: Option<&OwnerReport>) -> Option<RunId> {
    let run = operations.run_summary(owner?.run?).await.ok()?;
    run.cancel_asked_by.is_some().then_some(run.id)
}

fn status_of(report: &CancelReport) -> ExitStatus {
    let outcome = report.run.as_ref().map(|run| run.outcome);
    match outcome {
        Some(None | Some(RunOutcome::Published)) => ExitStatus::Failed,
        _ if report.silent.is_some() => ExitStatus::Failed,
        _ => ExitStatus::Done,
    }
}

fn render(report: &CancelReport, owner: Option<&OwnerReport>) -> String {
    let mut answer = String::new();
    if report.forced {
        let what =
            owner.map_or_else(|| "the process that had the lock".to_owned(), |owner| format!("the process of {owner}"));
        push_line(&mut answer, &format!("{what} did not answer and was ended"));
    }
    match (&report.run, &report.silent) {
        (Some(run), _) if run.outcome == Some(RunOutcome::Published) => {
            push_line(&mut answer, &published(run));
        }
        (_, Some(silent)) => {
            let line = format!(
                "{silent} does not answer; it is asked to end and stays unable to publish. `greenroom cancel --force` ends it \
                 on its host, {}",
                silent.operator.host
            );
            push_line(&mut answer, &line);
        }
        (Some(run), None) => push_line(&mut answer, &ended(run)),
        (None, None) if report.forced => {}
        (None, None) => push_line(&mut answer, "nothing is going on, there is nothing to cancel"),
    }
    answer
}

fn published(run: &RunSummary) -> String {
    let publication = run.publication.map(|id| format!(" as publication {id}")).unwrap_or_default();
    format!("run {} was published{publication} before it could be stopped; `greenroom rollback` takes it back", run.id)
}

/// How a run ended that was not published.
fn ended(run: &RunSummary) -> String {
    let (id, outcome) = (run.id, outcome(run));
    let took = run.duration_ms.map(|took| format!(" after {}", text::duration(took))).unwrap_or_default();
    if run.outcome == Some(RunOutcome::Cancelled) {
        return format!("run {id} is cancelled{took}; nothing was switched");
    }
    let error = run.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
    let nothing = if error.contains("nothing was switched") { "" } else { "; nothing was switched" };
    let by_itself = if run.outcome == Some(RunOutcome::Interrupted) { "" } else { " by itself" };
    format!("run {id} ended{by_itself}, {outcome}{took}{error}{nothing}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::outcome::tests::report as run_of, report::Operator};

    fn run(outcome: RunOutcome, error: Option<&str>) -> RunSummary {
        RunSummary { error: error.map(str::to_owned), ..run_of(outcome, Vec::new()).run }
    }

    fn owner() -> OwnerReport {
        let operator = Operator { user: "ben\u{1b}[2J".into(), host: "box".into(), pid: 12 };
        OwnerReport {
            work: Work::Run,
            run: Some(7),
            operator,
            since: jiff::Timestamp::UNIX_EPOCH,
            answers: Some(false),
        }
    }

    #[test]
    fn says_what_became_of_the_run() {
        let plain = CancelReport { run: None, forced: false, silent: None };
        for (report, status, said) in [
            (plain.clone(), 0, "nothing is going on, there is nothing to cancel\n"),
            (
                CancelReport { run: Some(run(RunOutcome::Cancelled, Some("cancelled by x"))), ..plain.clone() },
                0,
                "run 7 is cancelled after 812 ms; nothing was switched\n",
            ),
            (
                CancelReport { run: Some(run(RunOutcome::Failed, Some("boards: HTTP status 500"))), ..plain.clone() },
                0,
                "run 7 ended by itself, failed after 812 ms: boards: HTTP status 500; nothing was switched\n",
            ),
            (
                CancelReport { run: Some(run(RunOutcome::Unchanged, None)), ..plain.clone() },
                0,
                "run 7 ended by itself, unchanged after 812 ms; nothing was switched\n",
            ),
            (
                CancelReport { run: Some(run(RunOutcome::Published, None)), ..plain.clone() },
                1,
                "run 7 was published as publication 3 before it could be stopped; `greenroom rollback` takes it back\n",
            ),
            (
                CancelReport { run: Some(run(RunOutcome::Interrupted, Some("it died"))), forced: true, silent: None },
                0,
                "the process of run 7 of ben\\x1b[2J@box (pid 12) did not answer and was ended\n\
                 run 7 ended, interrupted after 812 ms: it died; nothing was switched\n",
            ),
        ] {
            assert_eq!(render(&report, Some(&owner())), said);
            assert_eq!(status_of(&report).code(), status, "{said}");
        }
        let unended = RunSummary { outcome: None, ..run(RunOutcome::Failed, None) };
        let silent = CancelReport { run: Some(unended), silent: Some(owner()), ..plain };
        let text = render(&silent, None);
        assert!(
            text.contains("stays unable to publish. `greenroom cancel --force` ends it on its host, box\n"),
            "{text}"
        );
        assert_eq!(status_of(&silent).code(), 1);
    }
}
