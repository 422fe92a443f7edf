//! `GET /api/internal/task-status/{id}` and `/all`: what became of what was promised, in the words of the job service that
//! NowRepBlue knows.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::Response,
};
use jiff::Timestamp;
use serde::Serialize;

use super::{Shared, answer};
use crate::{
    entity::Entity,
    green::{TaskQuery, TaskState},
    ops::{OperationError, Operations},
    report::{RunId, RunOutcome, StepOutcome, StepReport, TaskId, TaskReport},
};

/// What stands before the number in the name of a task.
const PREFIX: &str = "task_";

/// Tasks in a list that asks for no number of them, and most of them.
const LIMITS: (u64, u64) = (10, 100);

/// Each word with the states that it stands for.
const STATES: [(&str, &[TaskState]); 6] = {
    use RunOutcome::{Cancelled, Failed, Held, Interrupted, Prepared, Published, Unchanged};
    use TaskState::{Ended, Going, Waiting};
    [
        ("QUEUED", &[Waiting]),
        ("EXECUTING", &[Going]),
        ("COMPLETED", &[Ended(Published), Ended(Unchanged), Ended(Prepared)]),
        ("FAILED", &[Ended(Failed), Ended(Held)]),
        ("CANCELED", &[Ended(Cancelled)]),
        ("CRASHED", &[Ended(Interrupted)]),
    ]
};

/// The name of a task for clients.
pub(super) fn name(id: TaskId) -> String {
    format!("{PREFIX}{id}")
}

/// The number of the task with this name.
pub(super) fn number(name: &str) -> Option<TaskId> {
    let digits = name.strip_prefix(PREFIX)?;
    let is_number = digits.bytes().all(|digit| digit.is_ascii_digit()) && !digits.starts_with('0');
    is_number.then(|| digits.parse().ok()).flatten()
}

fn word(state: TaskState) -> &'static str {
    // All states are among them, which a test sees to.
    STATES.into_iter().find(|(_, states)| states.contains(&state)).map_or("FAILED", |(word, _)| word)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    id: String,
    status: &'static str,
    duration_ms: i64,
    started_at: Option<String>,
    finished_at: Option<String>,
    output: Option<Output>,
    error: Option<&'a str>,
    r#type: &'a str,
    run: Option<RunId>,
}

#[derive(Serialize)]
struct Output {
    run: RunId,
    outcome: RunOutcome,
    entities: Vec<EntityOutcome>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EntityOutcome {
    entity: Entity,
    outcome: Option<StepOutcome>,
    rows: u64,
    rows_before: u64,
}

#[derive(Serialize)]
struct ListAnswer<'a> {
    tasks: Vec<Answer<'a>>,
    count: usize,
    filters: &'a Filters,
}

/// What a list is narrowed to.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Filters {
    r#type: Option<String>,
    status: Option<&'static str>,
    limit: u64,
}

/// One task.
pub(super) async fn one(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Response {
    let not_found = || answer::error(StatusCode::NOT_FOUND, "Task not found");
    let Some(id) = number(&name) else { return not_found() };
    let operations = shared.operations();
    let read = async {
        let Some(task) = operations.task(id).await? else { return Ok(not_found()) };
        let mut outputs = outputs(operations, std::slice::from_ref(&task)).await?;
        let output = outputs.pop().flatten();
        Ok(answer::json(StatusCode::OK, &describe(&task, output, operations.clock().now())))
    };
    read.await.unwrap_or_else(|problem| answer::unavailable("reading a task", &problem))
}

/// The newest tasks.
pub(super) async fn list(State(shared): State<Arc<Shared>>, Query(query): Query<Vec<(String, String)>>) -> Response {
    let filters = match Filters::read(&query) {
        Ok(filters) => filters,
        Err(problem) => return answer::error(StatusCode::BAD_REQUEST, &problem),
    };
    let operations = shared.operations();
    let read = async {
        let states = filters.status.map(|word| states(word).to_vec());
        let tasks = operations.tasks(TaskQuery { kind: filters.r#type.clone(), states, limit: filters.limit }).await?;
        let outputs = outputs(operations, &tasks).await?;
        let now = operations.clock().now();
        let tasks: Vec<_> = tasks.iter().zip(outputs).map(|(task, output)| describe(task, output, now)).collect();
        Ok(answer::json(StatusCode::OK, &ListAnswer { count: tasks.len(), tasks, filters: &filters }))
    };
    read.await.unwrap_or_else(|problem: OperationError| answer::unavailable("reading the tasks", &problem))
}

fn states(word: &str) -> &'static [TaskState] {
    STATES.into_iter().find(|(one, _)| *one == word).map_or(&[], |(_, states)| states)
}

impl Filters {
    fn read(query: &[(String, String)]) -> Result<Self, String> {
        let given = |name| query.iter().find(|(one, value)| one == name && !value.is_empty()).map(|(_, value)| value);
        let (default, most) = LIMITS;
        let limit = match given("limit") {
            Some(limit) => limit.parse().ok().filter(|limit| *limit > 0).map(|limit: u64| limit.min(most)),
            None => Some(default),
        };
        let limit = limit.ok_or_else(|| "limit must be a number from 1 on".to_owned())?;
        let status = match given("status") {
            Some(status) => {
                let words = STATES.map(|(word, _)| word);
                let known = words.into_iter().find(|word| word == status);
                Some(known.ok_or_else(|| format!("status must be one of {}", words.join(", ")))?)
            }
            None => None,
        };
        Ok(Self { r#type: given("type").cloned(), status, limit })
    }
}

/// What came of the run of each task, where it is over and kept still.
async fn outputs(operations: &Operations, tasks: &[TaskReport]) -> Result<Vec<Option<Output>>, OperationError> {
    let over: Vec<_> = tasks.iter().map(|task| task.run.zip(task.outcome)).collect();
    let steps = operations.steps(over.iter().flatten().map(|(run, _)| *run).collect()).await?;
    let mut steps = steps.into_iter();
    let outputs = over.into_iter().map(|over| {
        let ((run, outcome), steps) = (over?, steps.next()?);
        let entities: Vec<_> = steps.iter().map(EntityOutcome::of).collect();
        (!entities.is_empty()).then_some(Output { run, outcome, entities })
    });
    Ok(outputs.collect())
}

impl EntityOutcome {
    fn of(step: &StepReport) -> Self {
        Self { entity: step.entity, outcome: step.outcome, rows: step.rows, rows_before: step.rows_before }
    }
}

fn describe(task: &TaskReport, output: Option<Output>, now: Timestamp) -> Answer<'_> {
    // A run that died may have an end only once somebody writes it down.
    let last_known = if task.outcome.is_some() { task.started_at.unwrap_or(now) } else { now };
    let ended_at = task.finished_at.unwrap_or(last_known);
    let took = |started: Timestamp| (ended_at.as_millisecond() - started.as_millisecond()).max(0);
    Answer {
        id: name(task.id),
        status: word(TaskState::of(task)),
        duration_ms: task.started_at.map_or(0, took),
        started_at: task.started_at.map(as_javascript_writes),
        finished_at: task.finished_at.map(as_javascript_writes),
        output,
        error: task.error.as_deref(),
        r#type: &task.kind,
        run: task.run,
    }
}

/// RFC 3339 in UTC with exactly three decimals.
fn as_javascript_writes(at: Timestamp) -> String {
    format!("{at:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Trigger;

    #[test]
    fn names_are_exact() {
        assert_eq!(number(&name(12)), Some(12));
        for wrong in [
            "",
            "12",
            "task_",
            "task_0",
            "task_012",
            "task_-1",
            "task_+1",
            "task_1 ",
            "Task_1",
            "task_99999999999999999999",
        ] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn each_state_has_one_word() {
        use RunOutcome::{Cancelled, Failed, Held, Interrupted, Prepared, Published, Unchanged};
        let ended = [Published, Unchanged, Prepared, Held, Failed, Cancelled, Interrupted].map(TaskState::Ended);
        for state in ended.into_iter().chain([TaskState::Waiting, TaskState::Going]) {
            assert_eq!(STATES.iter().filter(|(_, states)| states.contains(&state)).count(), 1, "{state:?}");
        }
        assert_eq!(word(TaskState::Ended(Held)), "FAILED");
        assert_eq!(word(TaskState::Ended(Interrupted)), "CRASHED");
    }

    #[test]
    fn all_keys_are_there_at_any_time() {
        let at = |second: i64| Timestamp::from_second(1_700_000_000 + second).unwrap();
        let mut task = TaskReport {
            id: 12,
            kind: "orchestrate-sync".to_owned(),
            trigger: Trigger::Http,
            requested_by: "192.0.2.1".to_owned(),
            created_at: at(0),
            run: None,
            started_at: None,
            outcome: None,
            finished_at: None,
            error: None,
        };
        let shown = |task: &TaskReport| serde_json::to_value(describe(task, None, at(5))).unwrap();
        let mut expected = serde_json::json!({
            "id": "task_12", "status": "QUEUED", "durationMs": 0, "startedAt": null, "finishedAt": null, "output": null,
            "error": null, "type": "orchestrate-sync", "run": null,
        });
        assert_eq!(shown(&task), expected);
        (task.run, task.started_at) = (Some(7), Some(at(1)));
        expected["status"] = "EXECUTING".into();
        expected["run"] = 7.into();
        expected["startedAt"] = "2023-11-14T22:13:21.000Z".into();
        expected["durationMs"] = 4000.into();
        assert_eq!(shown(&task), expected);
        (task.outcome, task.finished_at, task.error) = (Some(RunOutcome::Held), Some(at(3)), Some("shrink".to_owned()));
        expected["status"] = "FAILED".into();
        expected["finishedAt"] = "2023-11-14T22:13:23.000Z".into();
        expected["durationMs"] = 2000.into();
        expected["error"] = "shrink".into();
        assert_eq!(shown(&task), expected);
    }

    #[test]
    fn filters_say_what_is_allowed() {
        let read = |query: &[(&str, &str)]| {
            Filters::read(
                &query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>(),
            )
        };
        assert_eq!(read(&[]), Ok(Filters { r#type: None, status: None, limit: 10 }));
        let given = [("type", "orchestrate-sync"), ("status", "QUEUED"), ("limit", "100"), ("other", "x")];
        let filters = Filters { r#type: Some("orchestrate-sync".to_owned()), status: Some("QUEUED"), limit: 100 };
        assert_eq!(read(&given), Ok(filters));
        assert_eq!(read(&[("type", ""), ("status", ""), ("limit", "")]), read(&[]));
        assert_eq!(read(&[("limit", "101")]).map(|filters| filters.limit), Ok(100), "more than can be had");
        for limit in ["0", "-1", "x", "1.5"] {
            assert!(read(&[("limit", limit)]).unwrap_err().contains("from 1 on"), "{limit}");
        }
        for status in ["queued", "RUNNING"] {
            assert!(
                read(&[("status", status)]).unwrap_err().contains("QUEUED, EXECUTING, COMPLETED, FAILED"),
                "{status}"
            );
        }
    }
}
