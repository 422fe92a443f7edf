//! The commands end to end: the binary as a caller sees it, with its output, its JSON and its exit status.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use greenroom::entity::{Endpoint, Entity};
use serde_json::Value as Json;

use crate::{
    data::Data,
    fake_blue::{Fault, When},
    support::Rig,
};

/// What a call of the binary gave.
pub(crate) struct Call {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Call {
    /// The one object on standard output.
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", self.stdout, self.stderr))
    }
}

/// The binary against a fake source and the rig's database.
pub(crate) struct Shell {
    pub(crate) rig: Rig,
    source: String,
}

impl Shell {
    async fn new() -> Self {
        Self::with(&Data::marked(1)).await
    }

    /// The same with a source that sends `data`.
    pub(crate) async fn with(data: &Data) -> Self {
        let rig = Rig::new(data).await;
        let source = rig.blue.base().to_string();
        Self { rig, source }
    }

    /// The binary, not yet started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_on(&self.rig.path, arguments)
    }

    pub(crate) fn command_on(&self, path: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_greenroom"));
        command.args(arguments).env_clear().stdin(Stdio::null());
        command.env("DATABASE_URL", format!("file:{}", path.display())).env("SOURCE_API_URL", &self.source);
        command
    }

    pub(crate) async fn call(&self, arguments: &[&str]) -> Call {
        Self::end(self.command(arguments)).await
    }

    pub(crate) async fn call_on(&self, path: &Path, arguments: &[&str]) -> Call {
        Self::end(self.command_on(path, arguments)).await
    }

    /// What `command` gives.
    pub(crate) async fn end(mut command: Command) -> Call {
        // The fake source works on this thread's runtime, which must not stand still meanwhile.
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let Output { status, stdout, stderr } = output;
        let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        Call { status: status.code().unwrap(), stdout, stderr }
    }
}

#[tokio::test]
async fn sync_reports_as_one_object() {
    let shell = Shell::new().await;
    let call = shell.call(&["sync", "--json"]).await;
    assert_eq!(call.status, 0, "{}", call.stderr);
    let report = call.json();
    assert_eq!(report["run"]["outcome"], "published");
    assert_eq!(report["run"]["trigger"], "cli");
    assert_eq!(report["run"]["error"], Json::Null);
    for time in ["startedAt", "finishedAt"] {
        let time = report["run"][time].as_str().unwrap();
        assert!(time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(), "{time}");
    }
    assert!(report["run"]["durationMs"].is_u64());
    let entities = report["entities"].as_array().unwrap();
    let names: Vec<_> = entities.iter().map(|entity| entity["entity"].as_str().unwrap()).collect();
    assert_eq!(names, Entity::ALL.map(Entity::name));
    for entity in entities {
        assert_eq!(entity["outcome"], "published", "{entity}");
        let number = |key: &str| entity[key].as_u64().unwrap_or_else(|| panic!("{key} of {entity}"));
        assert_eq!(number("records"), number("rows") + number("duplicates") + number("quarantined"), "{entity}");
        assert_eq!((number("activeVersion"), number("backupVersion"), number("attempts")), (1, 0, 1));
        assert!(number("bytes") > 0 && number("rows") > 0, "{entity}");
        assert_eq!(number("rowsBefore"), 0);
    }
    shell.rig.assert_views(&Data::marked(1));
    let again = shell.call(&["sync", "--json"]).await;
    assert_eq!((again.status, again.json()["run"]["outcome"].as_str()), (0, Some("unchanged")));
    for entity in again.json()["entities"].as_array().unwrap() {
        let number = |key: &str| entity[key].as_u64().unwrap();
        assert_eq!(number("records"), number("rows") + number("duplicates") + number("quarantined"), "{entity}");
    }
}

#[tokio::test]
async fn an_endpoint_that_always_fails_changes_nothing_and_is_named() {
    let shell = Shell::new().await;
    assert_eq!(shell.call(&["sync", "--json"]).await.status, 0);
    let before = shell.rig.picture();
    shell.rig.blue.send(&Data::marked(2));
    shell.rig.blue.fault(Endpoint::PortfoliosMedia, When::Always, Fault::status(500));
    let call = shell.call(&["sync", "--json"]).await;
    assert_eq!(call.status, 1);
    let report = call.json();
    let error = report["run"]["error"].as_str().unwrap();
    for part in ["portfoliosMedia", "/api/v1/public/portfolios/media", "500", "3 attempts"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(call.stderr.contains("portfoliosMedia"), "{}", call.stderr);
    assert_eq!(shell.rig.picture(), before);
    let text = shell.call(&["sync"]).await;
    assert_eq!(text.status, 1);
    assert!(text.stdout.contains("HTTP status 500"), "{}", text.stdout);
}

#[tokio::test]
async fn events_are_streamed_as_lines() {
    let shell = Shell::new().await;
    let call = shell.call(&["sync", "--json-lines"]).await;
    assert_eq!(call.status, 0, "{}", call.stderr);
    let events: Vec<Json> = call.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.first().unwrap()["event"], "started");
    assert_eq!(events.last().unwrap()["event"], "ended");
    assert_eq!(events.last().unwrap()["outcome"], "published");
    let numbers: Vec<_> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    assert_eq!(shell.call(&["sync", "--json", "--json-lines"]).await.status, 2);
}

#[tokio::test]
async fn status_runs_history_and_diff_tell_what_there_is() {
    let shell = Shell::new().await;
    shell.rig.publish().await;
    shell.rig.publish_data(&Data::marked(2)).await;
    let status = shell.call(&["status", "--json"]).await.json();
    assert_eq!(status["hold"], Json::Null);
    assert_eq!(status["running"], Json::Null);
    assert_eq!(status["lastRun"]["id"], 2);
    assert_eq!(status["source"], Json::String(shell.source.clone()));
    let talents = &status["entities"][0];
    assert_eq!((talents["activeVersion"].as_i64(), talents["backupVersion"].as_i64()), (Some(2), Some(1)));
    assert_eq!(talents["activeRows"].as_i64(), Some(shell.rig.number("SELECT count(*) FROM talents_current")));
    assert_eq!((talents["snapshots"].as_i64(), talents["runId"].as_i64()), (Some(2), Some(2)));
    assert!(shell.call(&["status"]).await.stdout.contains("mediatags_junction"));

    let runs = shell.call(&["runs", "--json"]).await.json();
    assert_eq!(
        runs["runs"].as_array().unwrap().iter().map(|run| run["id"].as_i64().unwrap()).collect::<Vec<_>>(),
        [2, 1]
    );
    let run = shell.call(&["runs", "2", "--json"]).await.json();
    assert_eq!(run["attempts"].as_array().unwrap().len(), 9);
    assert_eq!(shell.call(&["runs", "99"]).await.status, 1);

    let history = shell.call(&["history", "boards", "--json"]).await.json();
    let newest = history["snapshots"][0]["id"].as_i64().unwrap();
    let body = shell.call(&["history", "boards", &newest.to_string()]).await;
    let sent = Data::marked(2).body(Endpoint::Boards, greenroom::blue::Envelope::Data);
    assert_eq!(body.json(), serde_json::from_slice::<Json>(&sent).unwrap());
    let answer = shell.call(&["history", "boards", &newest.to_string(), "--json"]).await.json();
    assert_eq!((&answer["body"], &answer["snapshot"]), (&body.json(), &history["snapshots"][0]));
    assert_eq!(shell.call(&["history", "talents", &newest.to_string()]).await.status, 1);

    let diff = shell.call(&["diff", "boards", "--rows", "--json"]).await.json();
    let boards = &diff["entities"][0];
    let rows = boards["rows"].as_array().unwrap();
    let counted: u64 = ["added", "removed", "changed"].iter().map(|key| boards[*key].as_u64().unwrap()).sum();
    assert_eq!(rows.len() as u64, counted);
    assert!(counted > 0);
}

#[tokio::test]
async fn rollback_needs_a_yes_and_goes_back_and_forth() {
    let shell = Shell::new().await;
    assert_eq!(shell.call(&["rollback", "--yes"]).await.status, 1, "nothing was published yet");
    shell.rig.publish().await;
    assert_eq!(shell.call(&["rollback", "--yes"]).await.status, 1, "nothing to go back to");
    let first = shell.rig.picture();
    shell.rig.publish_data(&Data::marked(2)).await;
    let second = shell.rig.picture();
    for arguments in [&["rollback"][..], &["rollback", "--json"]] {
        let call = shell.call(arguments).await;
        assert_eq!(call.status, 5, "{arguments:?}");
        assert!(call.stderr.contains("--yes"), "{}", call.stderr);
        assert_eq!(shell.rig.picture(), second);
    }
    let report = shell.call(&["rollback", "--yes", "--json"]).await.json();
    assert_eq!(report["publication"]["kind"], "rollback");
    assert_eq!(report["publication"]["undoes"], 2);
    assert_eq!(report["entities"].as_array().unwrap().len(), 10);
    assert_eq!(shell.rig.picture().views, first.views);
    assert_eq!(shell.call(&["rollback", "--yes"]).await.status, 0);
    assert_eq!(shell.rig.picture().views, second.views);
    shell.rig.check();
}

#[tokio::test]
async fn cleanup_plans_asks_and_removes() {
    let shell = Shell::new().await;
    for generation in 1..=3 {
        shell.rig.publish_data(&Data::marked(generation)).await;
    }
    shell.rig.writer().execute_batch("CREATE TABLE boards_shadow_9 (a)").unwrap();
    let plan = shell.call(&["cleanup", "--dry-run", "--json"]).await.json();
    assert_eq!((plan["dryRun"].as_bool(), plan["leftovers"][0].as_str()), (Some(true), Some("boards_shadow_9")));
    assert_eq!(shell.call(&["cleanup"]).await.status, 5);
    assert_eq!(shell.rig.number("SELECT count(*) FROM sqlite_schema WHERE name = 'boards_shadow_9'"), 1);
    let report = shell.call(&["cleanup", "--yes", "--json"]).await.json();
    assert_eq!(report["leftovers"][0], "boards_shadow_9");
    shell.rig.check();
}

#[tokio::test]
async fn a_second_run_is_refused_with_the_owner() {
    let shell = Shell::new().await;
    shell.rig.blue.fault(Endpoint::Boards, When::Always, Fault::Stall(10));
    let running = shell.rig.start();
    shell.rig.blue.until_stalled(Endpoint::Boards).await;
    let call = shell.call(&["sync", "--json"]).await;
    assert_eq!(call.status, 4);
    let answer = call.json();
    assert_eq!(answer["error"]["exitStatus"], 4);
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("run 1") && message.contains("ana@box") && message.contains("4711"), "{message}");
    let status = shell.call(&["status", "--json"]).await.json();
    assert_eq!(status["running"]["id"], 1);
    shell.rig.blue.release();
    running.end().await.unwrap();
}

#[tokio::test]
async fn signals_cancel_the_run_and_tell_so() {
    for (signal, status) in [(rustix::process::Signal::INT, 130), (rustix::process::Signal::TERM, 143)] {
        let shell = Shell::new().await;
        shell.rig.publish().await;
        let before = shell.rig.picture();
        shell.rig.blue.send(&Data::marked(2));
        shell.rig.blue.fault(Endpoint::Boards, When::Always, Fault::Stall(10));
        let mut command = Command::new(env!("CARGO_BIN_EXE_greenroom"));
        command.args(["sync", "--json"]).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.env("DATABASE_URL", &shell.rig.path).env("SOURCE_API_URL", &shell.source);
        let child = command.spawn().unwrap();
        shell.rig.blue.until_stalled(Endpoint::Boards).await;
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
        assert_eq!(output.status.code(), Some(status));
        let report: Json = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["run"]["outcome"], "cancelled");
        assert_eq!(shell.rig.picture(), before);
        shell.rig.check();
    }
}

#[tokio::test]
async fn bad_settings_say_what_to_do() {
    let shell = Shell::new().await;
    let missing = shell.call_on(Path::new("/nonexistent/green.db"), &["status", "--json"]).await;
    assert_eq!(missing.status, 2);
    assert!(missing.json()["error"]["message"].as_str().unwrap().contains("/nonexistent/green.db"));
    for (arguments, message) in [
        (&["sync", "--source-url", "ftp://blue"][..], "ftp"),
        (&["sync", "--database-url", "postgres://x/y"], "not a database path"),
        (&["diff", "nothing"], "nothing"),
        (&["explode"], "explode"),
    ] {
        let call = shell.call(arguments).await;
        assert_eq!(call.status, 2, "{arguments:?}");
        assert!(call.stderr.contains(message), "{}", call.stderr);
        assert!(call.stdout.is_empty());
    }
}

#[tokio::test]
async fn the_demo_runs_once_without_a_terminal() {
    let shell = Shell::new().await;
    let before = shell.rig.picture();
    let call = shell.call(&["demo", "--json"]).await;
    assert_eq!(call.status, 0, "{}", call.stderr);
    let report = call.json();
    assert_eq!(report["run"]["outcome"], "published");
    let sum =
        |key: &str| report["entities"].as_array().unwrap().iter().map(|step| step[key].as_u64().unwrap()).sum::<u64>();
    assert!(sum("rows") >= 1000);
    assert!(sum("quarantined") > 0);
    assert_eq!(shell.rig.picture(), before, "the demo keeps its hands off the database that is set");
    assert_eq!(shell.call(&["demo"]).await.status, 0);
}
