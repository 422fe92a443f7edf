//! Two operators at once on the command line, and lines that drop: several processes of the binary on one database.

use std::{fs::File, process::Command, time::Duration};

use greenroom::{
    entity::Endpoint,
    report::SyncReport,
    sync::{EventRecord, RunState},
};
use rustix::{process::Signal, pty::OpenptFlags};
use serde_json::{Value as Json, json};

use crate::{
    commands::{Call, Shell},
    commands_guards::held,
    data::Data,
    fake_blue::{Fault, When},
    process::Process,
    pty::Session,
    support::in_time,
};

/// A database with one publication and a source that sends something else, with one endpoint that stalls.
async fn stalling() -> Shell {
    let shell = Shell::with(&Data::small(1)).await;
    shell.rig.publish().await;
    shell.rig.blue.send(&Data::small(2));
    shell.rig.blue.fault(Endpoint::Boards, When::Always, Fault::Stall(20));
    shell
}

/// A sync in a process of its own that waits for the source.
async fn stalled(shell: &Shell, arguments: &[&str]) -> Process {
    let process = Process::start(shell.command(arguments));
    shell.rig.blue.until_stalled(Endpoint::Boards).await;
    process
}

/// Waits until a query answers with something else than 0.
async fn until(shell: &Shell, sql: &str) {
    let wait = async {
        while shell.rig.number(sql) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    in_time(sql, wait).await;
}

/// Stops `process` while it writes nothing, so that others can.
async fn stop(shell: &Shell, process: &Process) {
    let writer = shell.rig.writer();
    writer.busy_timeout(Duration::ZERO).unwrap();
    let stopped = async {
        loop {
            process.signal(Signal::STOP);
            let path = format!("/proc/{}/stat", process.pid());
            while !std::fs::read_to_string(&path).unwrap().contains(") T ") {
                tokio::task::yield_now().await;
            }
            if writer.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok() {
                return;
            }
            process.signal(Signal::CONT);
            tokio::task::yield_now().await;
        }
    };
    in_time("a moment without a transaction", stopped).await;
}

fn events(lines: &str) -> Vec<EventRecord> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the events of a run make of it.
fn folded(events: &[EventRecord]) -> SyncReport {
    let mut state = RunState::begin(&events[0]).unwrap();
    events[1..].iter().for_each(|record| state.apply(record));
    state.report()
}

fn report(call: &Call) -> SyncReport {
    serde_json::from_str(&call.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", call.stdout, call.stderr))
}

#[tokio::test]
async fn cancel_ends_the_run_of_another_process() {
    let shell = stalling().await;
    let before = shell.rig.picture();
    let nothing = shell.call(&["cancel"]).await;
    assert_eq!((nothing.status, nothing.stdout.as_str()), (0, "nothing is going on, there is nothing to cancel\n"));
    let nothing = shell.call(&["cancel", "--force", "--json"]).await;
    assert_eq!((nothing.status, nothing.json()), (0, json!({"run": null, "forced": false, "silent": null})));

    let run = stalled(&shell, &["sync", "--json"]).await;
    let call = shell.call(&["cancel", "--json"]).await;
    assert_eq!(call.status, 0, "{}", call.stderr);
    assert!(call.stderr.starts_with("greenroom: asking run 2 of "), "{}", call.stderr);
    assert_eq!(call.json()["run"]["outcome"], "cancelled");
    let ended = run.end().await;
    assert_eq!((ended.status, ended.json()["run"]["outcome"].as_str()), (1, Some("cancelled")));
    let error = ended.json()["run"]["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("cancelled by ") && error.contains("before its publish"), "{error}");
    assert_eq!(shell.rig.picture(), before);
    for arguments in [&["runs"][..], &["runs", "2"]] {
        let told = shell.call(arguments).await.stdout;
        assert!(told.contains(", cancel asked by "), "{told}");
    }
    shell.rig.check();
}

#[tokio::test]
async fn a_signal_ends_the_waiting_and_not_the_wish() {
    let shell = stalling().await;
    let run = stalled(&shell, &["sync", "--json"]).await;
    stop(&shell, &run).await;
    let mut cancel = Process::start(shell.command(&["cancel"]));
    cancel.until_says("asking run 2 of ").await;
    until(&shell, "SELECT count(*) FROM sync_runs WHERE cancel_at IS NOT NULL").await;
    cancel.signal(Signal::TERM);
    let call = cancel.end().await;
    // It may have noticed first that the run does not answer.
    if call.status == 143 {
        assert!(call.stderr.contains("stopped waiting by SIGTERM; run 2 stays asked to end"), "{}", call.stderr);
    } else {
        assert_eq!(call.status, 1, "{}", call.stderr);
    }
    run.signal(Signal::CONT);
    let ended = run.end().await;
    assert_eq!((ended.status, ended.json()["run"]["outcome"].as_str()), (1, Some("cancelled")));
}

#[tokio::test]
async fn a_run_that_does_not_answer_is_told_and_can_be_ended() {
    let shell = stalling().await;
    let before = shell.rig.picture();
    let run = stalled(&shell, &["sync", "--json"]).await;
    let answering = shell.call(&["status", "--json"]).await.json();
    assert_eq!((&answering["owner"]["run"], &answering["owner"]["answers"]), (&json!(2), &json!(true)));
    stop(&shell, &run).await;
    let call = shell.call(&["cancel", "--json"]).await;
    assert_eq!(call.status, 1, "{}", call.stderr);
    assert_eq!(call.json()["silent"]["operator"]["pid"], run.pid());
    assert!(call.stderr.contains("does not answer; it is asked to end and stays unable to publish"), "{}", call.stderr);
    assert!(call.stderr.contains("`greenroom cancel --force` ends it on its host"), "{}", call.stderr);

    assert_eq!(shell.call(&["status", "--json"]).await.json()["owner"]["answers"], false);
    let status = shell.call(&["status"]).await.stdout;
    let running = status.lines().find(|line| line.starts_with("running")).unwrap();
    assert!(running.contains(", cancel asked by ") && running.contains(", does not answer: "), "{running}");
    let refused = shell.call(&["sync"]).await;
    assert_eq!(refused.status, 4);
    assert!(refused.stderr.contains("does not answer; `greenroom cancel --force` ends it"), "{}", refused.stderr);

    let forced = shell.call(&["cancel", "--force"]).await;
    assert_eq!(forced.status, 0, "{}", forced.stderr);
    assert!(
        forced.stdout.contains(" did not answer and was ended\nrun 2 ended, interrupted after "),
        "{}",
        forced.stdout
    );
    assert_eq!(run.end().await.status, 137);
    assert_eq!(shell.rig.picture().views, before.views);
    shell.rig.blue.behave();
    shell.rig.blue.release();
    let next = shell.call(&["sync"]).await;
    assert_eq!(next.status, 0, "{}", next.stderr);
    shell.rig.assert_views(&Data::small(2));
    shell.rig.check();
}

#[tokio::test]
async fn a_cleanup_is_not_cancelled() {
    let shell = Shell::with(&Data::small(1)).await;
    shell.rig.publish().await;
    let database = greenroom::green::Database::open(&shell.rig.path).unwrap();
    let ben = greenroom::report::Operator { user: "ben".to_owned(), host: "box".to_owned(), pid: 12 };
    let work = greenroom::report::Work::Cleanup;
    let lock = greenroom::green::RunLock::acquire(&database, work, &ben, jiff::Timestamp::UNIX_EPOCH).unwrap();
    let call = shell.call(&["cancel"]).await;
    assert_eq!(call.status, 4);
    assert!(call.stderr.contains("a cleanup of ben@box (pid 12)"), "{}", call.stderr);
    let status = shell.call(&["status"]).await.stdout;
    assert!(status.contains("\nrunning      a cleanup of ben@box (pid 12) since 1970"), "{status}");
    drop(lock);
}

#[tokio::test]
async fn runs_of_others_are_followed_as_they_happen() {
    let shell = stalling().await;
    let mut follower = Process::start(shell.command(&["runs", "--follow", "--json-lines"]));
    follower.until_says("nothing is running; waiting for the next run").await;
    let run = stalled(&shell, &["sync", "--json"]).await;
    follower.until_prints("a step while another waits", |line| line.contains("\"event\":\"ready\"")).await;
    let mut one = Process::start(shell.command(&["runs", "2", "--follow", "--json"]));
    let mut people = Process::start(shell.command(&["runs", "2", "--follow"]));
    people.until_says("run 2: talents: ").await;
    shell.rig.blue.release();
    let owner = run.end().await;
    assert_eq!(owner.status, 0, "{}", owner.stderr);

    follower.until_prints("the end", |line| line.contains("\"event\":\"ended\"")).await;
    assert_eq!(folded(&events(follower.printed())), report(&owner));
    let printed = one.until_prints("the report", |_| true).await;
    let one = one.end().await;
    assert_eq!((one.status, one.stderr.as_str()), (0, ""));
    let recorded = shell.call(&["runs", "2", "--json"]).await.json();
    assert_eq!(serde_json::from_str::<Json>(&printed).unwrap(), recorded);
    let people = people.end().await;
    assert!(people.stderr.contains("run 2: publication 2: 10 entities switched"), "{}", people.stderr);
    assert!(people.stdout.starts_with("run 2 published after "), "{}", people.stdout);

    follower.until_says("waiting for the next run").await;
    shell.rig.blue.behave();
    shell.rig.blue.fault(Endpoint::Talents, When::Always, Fault::status(404));
    assert_eq!(shell.call(&["sync"]).await.status, 1);
    follower.until_prints("the end of the next run", |line| line.contains("\"outcome\":\"failed\"")).await;
    follower.signal(Signal::INT);
    let ended = follower.end().await;
    assert_eq!(ended.status, 130, "{}", ended.stderr);
    assert!(events(&ended.stdout).iter().all(|record| record.run == 2 || record.run == 3));
}

#[tokio::test]
async fn a_followed_run_has_the_status_of_its_outcome() {
    let shell = held().await;
    for (run, status) in [("1", 0), ("2", 3), ("9", 1)] {
        let call = shell.call(&["runs", run, "--follow"]).await;
        assert_eq!(call.status, status, "{}", call.stderr);
    }
    let lines = shell.call(&["runs", "2", "--follow", "--json-lines"]).await;
    assert_eq!(lines.status, 3);
    assert_eq!(folded(&events(&lines.stdout)).run.outcome, Some(greenroom::report::RunOutcome::Held));
    let refused = shell.call(&["runs", "--follow", "--json"]).await;
    assert_eq!(refused.status, 2);
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("--json-lines"));
    assert_eq!(shell.call(&["runs", "2", "--follow", "--json", "--json-lines"]).await.status, 2);

    shell.rig.blue.send(&Data::small(2));
    shell.rig.blue.fault(Endpoint::Boards, When::Always, Fault::Stall(20));
    let run = stalled(&shell, &["sync"]).await;
    let mut follower = Process::start(shell.command(&["runs", "3", "--follow"]));
    let mut all = Process::start(shell.command(&["runs", "--follow"]));
    follower.until_says("run 3: boards: ").await;
    run.signal(Signal::STOP);
    follower.until_says("does not answer, its process may be stopped or stuck").await;
    all.until_says("does not answer").await;
    run.signal(Signal::CONT);
    follower.until_says("answers again").await;
    all.until_says("answers again").await;
    run.signal(Signal::KILL);
    let call = follower.end().await;
    assert_eq!(call.status, 1, "{}", call.stderr);
    assert!(call.stderr.contains("\nrun 3: interrupted: its process ended"), "{}", call.stderr);
    assert!(call.stdout.starts_with("run 3 interrupted"), "{}", call.stdout);
    all.until_says("waiting for the next run").await;
    all.signal(Signal::TERM);
    let call = all.end().await;
    assert_eq!(call.status, 143);
    assert!(call.stdout.contains("run 3 interrupted"), "{}", call.stdout);
    assert_eq!(shell.rig.number("SELECT count(*) FROM sync_runs WHERE outcome IS NULL"), 1, "nothing was written");
    // Who comes later hears nothing of it.
    let mut late = Process::start(shell.command(&["runs", "--follow"]));
    late.until_says("nothing is running").await;
    late.signal(Signal::INT);
    let call = late.end().await;
    assert_eq!((call.status, call.stdout.as_str(), call.stderr.lines().count()), (130, "", 1), "{}", call.stderr);
}

#[tokio::test]
async fn a_run_waits_for_its_turn() {
    let shell = stalling().await;
    let run = stalled(&shell, &["sync", "--json"]).await;
    let refused = shell.call(&["sync", "--wait=1", "--json"]).await;
    assert_eq!(refused.status, 4);
    assert!(refused.stderr.starts_with("greenroom: waiting for run 2 of "), "{}", refused.stderr);
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("run 2 of "), "{}", refused.stdout);

    let mut waiting = Process::start(shell.command(&["sync", "--wait", "--json"]));
    waiting.until_says("waiting for run 2 of ").await;
    let mut other = Process::start(shell.command(&["sync", "--wait=600"]));
    other.until_says("waiting for run 2 of ").await;
    let mut cleanup = Process::start(shell.command(&["cleanup", "--yes", "--wait"]));
    cleanup.until_says("waiting for run 2 of ").await;
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut stopped = Process::start(shell.command(&["sync", "--wait", "--json"]));
        stopped.until_says("waiting for run 2 of ").await;
        stopped.signal(signal);
        let call = stopped.end().await;
        assert_eq!((call.status, call.json()["error"]["exitStatus"].as_i64()), (status, Some(i64::from(status))));
    }
    shell.rig.blue.behave();
    shell.rig.blue.release();
    for (process, outcome) in [(run, Some("published")), (waiting, Some("unchanged")), (other, None), (cleanup, None)] {
        let call = process.end().await;
        assert_eq!(call.status, 0, "{}", call.stderr);
        if outcome.is_some() {
            assert_eq!(call.json()["run"]["outcome"].as_str(), outcome);
        }
    }
    assert_eq!(shell.rig.number("SELECT count(*) FROM sync_runs"), 4, "who was stopped began nothing");
    shell.rig.check();
}

#[tokio::test]
async fn a_publish_that_waited_is_planned_by_what_is_live_then() {
    let shell = held().await;
    shell.rig.blue.send(&Data::small(3));
    shell.rig.blue.fault(Endpoint::Boards, When::Always, Fault::Stall(20));
    let run = stalled(&shell, &["sync", "--accept", "all"]).await;
    let arguments = ["publish", "2", "--accept", "all", "--yes", "--wait", "--json"];
    let mut publish = Process::start(shell.command(&arguments));
    publish.until_says("waiting for run 3 of ").await;
    let mut back = Process::start(shell.command(&["rollback", "--to", "1", "--yes", "--wait", "--json"]));
    back.until_says("waiting for run 3 of ").await;
    back.signal(Signal::INT);
    assert_eq!(back.end().await.status, 130);
    shell.rig.blue.release();
    assert_eq!(run.end().await.status, 0);
    let call = publish.end().await;
    assert_eq!(call.status, 0, "{} {}", call.stdout, call.stderr);
    assert_eq!(call.json()["run"]["outcome"], "published");
    assert_eq!(shell.rig.number("SELECT count(*) FROM talentssocials_current"), 0);
    shell.rig.check();
}

/// Sends `signals` to a stalled sync, each once the one before it was recorded, and releases it.
async fn hung_up(shell: &Shell, command: Command, signals: &[Signal]) -> Call {
    let process = Process::start(command);
    shell.rig.blue.until_stalled(Endpoint::Boards).await;
    for signal in signals {
        process.signal(*signal);
        if *signal == Signal::HUP {
            until(shell, "SELECT count(*) FROM sync_runs WHERE operator_gone_at IS NOT NULL").await;
        }
    }
    if !signals.contains(&Signal::INT) {
        shell.rig.blue.release();
    }
    process.end().await
}

#[tokio::test]
async fn a_run_outlives_the_line_unless_told_otherwise() {
    for (arguments, signals, status, outcome) in [
        (&["sync", "--json"][..], &[Signal::HUP][..], 0, "published"),
        (&["sync", "--json", "--on-hangup", "finish"], &[Signal::HUP], 0, "published"),
        (&["sync", "--json", "--on-hangup", "cancel"], &[Signal::HUP], 129, "cancelled"),
        (&["sync", "--json"], &[Signal::HUP, Signal::INT], 130, "cancelled"),
    ] {
        let shell = stalling().await;
        let call = hung_up(&shell, shell.command(arguments), signals).await;
        assert_eq!(call.status, status, "{arguments:?} {}", call.stderr);
        assert_eq!(call.json()["run"]["outcome"], outcome);
        // Standard error is no terminal that could be gone.
        let said =
            if arguments.contains(&"cancel") { "SIGHUP: cancelling the run" } else { "the run goes on to its end" };
        assert!(call.stderr.contains(said), "{}", call.stderr);
        for arguments in [&["runs"][..], &["runs", "2"]] {
            let told = shell.call(arguments).await.stdout;
            assert!(told.contains(", operator gone"), "{told}");
        }
        assert!(shell.call(&["status"]).await.stdout.contains(", after its operator was gone"));
        shell.rig.check();
    }
    let shell = stalling().await;
    let mut command = shell.command(&["sync", "--json"]);
    command.env("GREENROOM_ON_HANGUP", "cancel");
    assert_eq!(hung_up(&shell, command, &[Signal::HUP]).await.status, 129);
}

#[tokio::test]
async fn a_hangup_that_is_ignored_stays_ignored() {
    let shell = stalling().await;
    let mut nohup = Command::new("sh");
    let plain = shell.command(&[]);
    nohup.arg("-c").arg("trap '' HUP; exec \"$0\" sync --json --on-hangup cancel").arg(plain.get_program());
    nohup.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let process = Process::start(nohup);
    shell.rig.blue.until_stalled(Endpoint::Boards).await;
    process.signal(Signal::HUP);
    shell.rig.blue.release();
    let call = process.end().await;
    assert_eq!((call.status, call.json()["run"]["outcome"].as_str()), (0, Some("published")), "{}", call.stderr);
    assert_eq!(shell.rig.number("SELECT count(*) FROM sync_runs WHERE operator_gone_at IS NOT NULL"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_at_a_question_ends_the_command() {
    let shell = held().await;
    let path = shell.rig.path.display().to_string();
    let mut session = Session::sized(&["publish", "2"], &[("DATABASE_URL", &path)], 80, 60);
    session.until_shows("anything else changes nothing:");
    let before = session.raw().len();
    session.signal(Signal::HUP);
    assert_eq!(session.end().exit_code(), 129);
    assert_eq!(session.raw().len(), before, "a terminal that is gone is left alone");
    assert_eq!(shell.rig.number("SELECT count(*) FROM sync_publications"), 1);
}

#[tokio::test]
async fn a_run_outlives_a_terminal_that_is_gone() {
    for arguments in [&["sync"][..], &["sync", "-v"], &["sync", "--json-lines"]] {
        let shell = stalling().await;
        // A terminal with one single handle on its controlling side, so that closing it is what a dropped line is.
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let name = rustix::pty::ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = File::options().read(true).write(true).open(name).unwrap();
        let mut command = shell.command(arguments);
        command.env("TERM", "xterm-256color").stdin(slave.try_clone().unwrap());
        let mut child = command.stdout(slave.try_clone().unwrap()).stderr(slave).spawn().unwrap();
        // Nothing of the command keeps the terminal open on this side.
        drop(command);
        shell.rig.blue.until_stalled(Endpoint::Boards).await;
        drop(master);
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::HUP).unwrap();
        until(&shell, "SELECT count(*) FROM sync_runs WHERE operator_gone_at IS NOT NULL").await;
        shell.rig.blue.release();
        let ended = tokio::task::spawn_blocking(move || child.wait().unwrap());
        let status = in_time("the end of the run", ended).await.unwrap();
        assert_eq!(status.code(), Some(0), "{arguments:?}");
        assert_eq!(shell.rig.number("SELECT count(*) FROM sync_runs WHERE id = 2 AND outcome = 'published'"), 1);
        shell.rig.check();
    }
}
