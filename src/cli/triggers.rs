//! `triggers`: who asked for runs over HTTP or by the schedule, what was answered, and what came of it.

use clap::{Args, value_parser};

use super::{
    Context,
    exit::{CliError, ExitStatus},
    output::{Layout, push_line},
    table::{Column, Table, left},
};
use crate::{
    report::{ListedTrigger, ServerReport, TaskReport, TriggerList},
    text,
};

/// Arguments of `triggers`.
#[derive(Args, Clone, Copy, Debug)]
#[command(after_help = "\
What came of a trigger is the run that was promised for it: several triggers may share one, and one that was refused has none.

Examples:
  greenroom triggers --limit 5
  greenroom triggers --json | jq '.triggers[] | select(.answer == \"held\")'")]
pub struct TriggersArguments {
    /// How many are listed at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u64).range(1..=i64::MAX as u64))]
    pub limit: u64,
}

/// Lists triggers.
pub(super) async fn run(context: &Context, arguments: TriggersArguments) -> Result<ExitStatus, CliError> {
    let operations = context.settings.open()?;
    let list = operations.trigger_list(arguments.limit).await?;
    let now = operations.clock().now();
    context.output.report(&list, now, |layout| render(&list, layout))?;
    Ok(ExitStatus::Done)
}

const COLUMNS: [Column; 6] = [
    left("when"),
    left("by").wrapped(),
    left("kind").wrapped(),
    left("answer"),
    left("run").wrapped(),
    left("message").wrapped(),
];

fn render(list: &TriggerList, layout: &Layout) -> String {
    let mut answer = if list.triggers.is_empty() { "no triggers yet\n".to_owned() } else { table(list, layout) };
    answer.push('\n');
    push_line(&mut answer, &format!("server       {}", server(list.server.as_ref(), layout)));
    if let Some(task) = &list.waiting {
        push_line(&mut answer, &format!("waiting      {}", waiting(task, layout)));
    }
    answer
}

fn table(list: &TriggerList, layout: &Layout) -> String {
    let mut table = Table::new(&COLUMNS);
    for ListedTrigger { trigger, promised } in &list.triggers {
        let key = trigger.idempotency_key.as_ref().map(|key| format!(" (key {key})")).unwrap_or_default();
        table.row([
            layout.when(trigger.at),
            layout.fit(&format!("{} {}", trigger.trigger, trigger.requested_by), 60),
            layout.fit(&trigger.kind, 40),
            trigger.answer.to_string(),
            promised.as_ref().map_or_else(|| "-".to_owned(), became),
            layout.fit(&format!("{}{key}", trigger.message), 200),
        ]);
    }
    table.render(layout)
}

/// What came of what was promised.
fn became(task: &TaskReport) -> String {
    match (task.run, task.outcome) {
        (Some(run), Some(outcome)) => format!("{run} {outcome}"),
        (Some(run), None) => format!("{run} going on"),
        (None, Some(outcome)) => format!("none, {outcome}"),
        (None, None) => "not begun".to_owned(),
    }
}

/// Who takes triggers.
pub(super) fn server(server: Option<&ServerReport>, layout: &Layout) -> String {
    let Some(ServerReport { address, operator, since, every_ms, read_only }) = server else { return "none".to_owned() };
    let every = every_ms.map(|every| format!(", every {}", text::period(every))).unwrap_or_default();
    let read_only = if *read_only { ", read-only" } else { "" };
    let since = format!("since {}, {}", text::time(*since), text::age(*since, layout.now));
    format!("serve on {address}{every}{read_only} by {operator} (pid {}) {since}", operator.pid)
}

/// The run that was promised and has not begun yet.
pub(super) fn waiting(task: &TaskReport, layout: &Layout) -> String {
    let since = format!("since {}, {}", text::time(task.created_at), text::age(task.created_at, layout.now));
    format!("{} for {} {} (task {}) {since}", task.kind, task.trigger, task.requested_by, task.id)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::report::{Operator, RunOutcome, Trigger, TriggerAnswer, TriggerReport};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn task(id: i64) -> TaskReport {
        TaskReport {
            id,
            kind: "orchestrate-sync".into(),
            trigger: Trigger::Http,
            requested_by: "10.0.0.7\u{1b}[2J".into(),
            created_at: at(240),
            run: None,
            started_at: None,
            outcome: None,
            finished_at: None,
            error: None,
        }
    }

    fn listed(answer: TriggerAnswer, message: &str, promised: Option<TaskReport>) -> ListedTrigger {
        let trigger = TriggerReport {
            at: at(240),
            kind: "orchestrate-sync".into(),
            trigger: Trigger::Http,
            requested_by: "10.0.0.7".into(),
            answer,
            message: message.into(),
            task: promised.as_ref().map(|task| task.id),
            run: None,
            idempotency_key: promised.as_ref().map(|_| "deploy-12".to_owned()),
        };
        ListedTrigger { trigger, promised }
    }

    #[test]
    fn lists_triggers_with_what_came_of_them() {
        let layout = Layout::unlimited(at(300));
        let ended = TaskReport { run: Some(7), outcome: Some(RunOutcome::Published), ..task(3) };
        let list = TriggerList {
            waiting: Some(task(4)),
            server: Some(ServerReport {
                address: "127.0.0.1:8080".into(),
                operator: Operator { user: "green".into(), host: "box".into(), pid: 9 },
                since: at(0),
                every_ms: Some(900_000),
                read_only: false,
            }),
            triggers: vec![
                listed(TriggerAnswer::Held, "refused: held by ana@box", None),
                listed(TriggerAnswer::Started, "begins now", Some(ended)),
            ],
        };
        assert_eq!(
            render(&list, &layout),
            "\
when                            by             kind              answer   run          message
60 s ago, 1970-01-01 00:04:00Z  http 10.0.0.7  orchestrate-sync  held     -            refused: held by ana@box
60 s ago, 1970-01-01 00:04:00Z  http 10.0.0.7  orchestrate-sync  started  7 published  begins now (key deploy-12)

server       serve on 127.0.0.1:8080, every 15m by green@box (pid 9) since 1970-01-01 00:00:00Z, 5 min ago
waiting      orchestrate-sync for http 10.0.0.7\\x1b[2J (task 4) since 1970-01-01 00:04:00Z, 60 s ago
"
        );
        let none = TriggerList { waiting: None, server: None, triggers: Vec::new() };
        assert_eq!(render(&none, &layout), "no triggers yet\n\nserver       none\n");
    }

    #[test]
    fn says_what_became_of_a_promise() {
        let of = |run, outcome| became(&TaskReport { run, outcome, ..task(1) });
        assert_eq!(of(None, None), "not begun");
        assert_eq!(of(Some(7), None), "7 going on");
        assert_eq!(of(Some(7), Some(RunOutcome::Held)), "7 held");
        assert_eq!(of(None, Some(RunOutcome::Failed)), "none, failed");
    }
}
