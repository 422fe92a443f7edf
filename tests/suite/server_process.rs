//! `greenroom serve` as a process: a client that does as Blue does, bursts, ends, and the secret that is nowhere to be found.

use std::{net::SocketAddr, path::Path};

use futures_util::future::join_all;
use greenroom::entity::Endpoint;
use rustix::process::Signal;
use serde_json::Value as Json;

use crate::{
    commands::Shell,
    data::Data,
    fake_blue::{Fault, When},
    http::{Connection, KNOWS, LOOK, PREVIOUS, SECRET, request, send, task, trigger, until_final},
    process::Process,
    support::in_time,
};

/// A server in a process of its own.
struct Served {
    process: Process,
    address: SocketAddr,
}

impl Served {
    async fn start(shell: &Shell, arguments: &[&str]) -> Self {
        let mut command = shell.command(&[&["serve", "--json", "--listen", "127.0.0.1:0"], arguments].concat());
        command.env("SYNC_SECRET_KEY", SECRET).env("SYNC_SECRET_KEY_PREVIOUS", PREVIOUS);
        let mut process = Process::start(command);
        let line = process.until_prints("where it listens", |line| line.starts_with('{')).await;
        let serving: Json = serde_json::from_str(&line).unwrap();
        assert_eq!(serving["pid"], process.pid());
        let address = serving["listening"].as_str().unwrap().parse().unwrap();
        Self { process, address }
    }

    /// Lets the next run stall, and begins it.
    async fn stall(&self, shell: &Shell) -> String {
        shell.rig.blue.fault(Endpoint::Boards, When::Always, Fault::StallHead);
        let id = name(&trigger(self.address).await.json());
        shell.rig.blue.until_stalled(Endpoint::Boards).await;
        id
    }
}

fn let_go(shell: &Shell) {
    shell.rig.blue.behave();
    shell.rig.blue.release();
}

/// The name of the task in an answer to a trigger.
fn name(reply: &Json) -> String {
    assert_eq!(reply["success"], true, "{reply}");
    reply["taskId"].as_str().unwrap().to_owned()
}

async fn shell() -> Shell {
    Shell::with(&Data::small(1)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_as_blue_does_sees_every_end() {
    let shell = shell().await;
    let served = Served::start(&shell, &[]).await;
    let bearer = format!("Bearer {PREVIOUS}");
    for (path, header) in [
        ("/api/internal/orchestrate-sync", ("authorization", bearer.as_str())),
        ("/api/internal/orchestrate-sync-api", ("x-sync-secret", SECRET)),
    ] {
        let answer = send(served.address, "POST", path, &[header]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let id = name(&answer.json());
        let ended = until_final(served.address, &id).await;
        assert_eq!((ended["status"].as_str(), &ended["error"]), (Some("COMPLETED"), &Json::Null), "{ended}");
        let keys: Vec<_> = ended.as_object().unwrap().keys().map(String::as_str).collect();
        for key in ["id", "status", "durationMs", "startedAt", "finishedAt", "output", "error"] {
            assert!(keys.contains(&key), "{key} of {keys:?}");
        }
    }
    shell.rig.assert_views(&Data::small(1));
    shell.rig.blue.fault(Endpoint::Talents, When::Always, Fault::status(404));
    let failed = name(&trigger(served.address).await.json());
    let failed = until_final(served.address, &failed).await;
    assert_eq!(failed["status"], "FAILED");
    assert!(failed["error"].as_str().unwrap().contains("HTTP status 404"), "{failed}");
    shell.rig.blue.behave();
    let cancelled = served.stall(&shell).await;
    assert_eq!(task(served.address, &cancelled).await["status"], "EXECUTING");
    assert_eq!(shell.call(&["cancel"]).await.status, 0);
    assert_eq!(until_final(served.address, &cancelled).await["status"], "CANCELED");
    let crashed = served.stall(&shell).await;
    served.process.signal(Signal::KILL);
    assert_eq!(served.process.end().await.status, 137);
    let_go(&shell);
    let served = Served::start(&shell, &[]).await;
    let crashed = task(served.address, &crashed).await;
    assert_eq!((crashed["status"].as_str(), &crashed["output"]), (Some("CRASHED"), &Json::Null), "{crashed}");
    assert!(crashed["finishedAt"].is_string() && crashed["error"].is_string());
    let again = name(&trigger(served.address).await.json());
    assert_eq!(until_final(served.address, &again).await["status"], "COMPLETED");
    served.process.signal(Signal::TERM);
    let ended = served.process.end().await;
    assert_eq!((ended.status, ended.stdout.lines().count()), (0, 1), "one object on stdout: {}", ended.stdout);
    shell.rig.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_triggers_at_once_are_at_most_two_runs() {
    for stalls in [true, false] {
        let shell = shell().await;
        let served = Served::start(&shell, &[]).await;
        if stalls {
            shell.rig.blue.fault(Endpoint::Boards, When::Always, Fault::StallHead);
        }
        let answers = join_all((0..64).map(|_| trigger(served.address))).await;
        let mut ids = Vec::new();
        for answer in &answers {
            assert_eq!(answer.status, 200, "{answer:?}");
            ids.push(name(&answer.json()));
        }
        if stalls {
            shell.rig.blue.until_stalled(Endpoint::Boards).await;
            let list = send(served.address, "GET", "/api/internal/task-status/all", KNOWS).await.json();
            let with =
                |word: &str| list["tasks"].as_array().unwrap().iter().filter(|task| task["status"] == word).count();
            assert!(with("EXECUTING") == 1 && with("QUEUED") <= 1, "{list}");
            let_go(&shell);
        }
        for id in &ids {
            assert_eq!(until_final(served.address, id).await["status"], "COMPLETED", "{id}");
        }
        ids.sort();
        ids.dedup();
        let runs = shell.rig.number("SELECT count(*) FROM sync_runs");
        if stalls {
            assert!((1..=2).contains(&runs), "{runs}");
        }
        assert_eq!(
            (ids.len().to_string(), 64),
            (runs.to_string(), shell.rig.number("SELECT count(*) FROM sync_triggers"))
        );
        served.process.signal(Signal::TERM);
        assert_eq!(served.process.end().await.status, 0);
        shell.rig.check();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_lets_the_run_reach_its_end_and_takes_no_more() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let shell = shell().await;
        let mut served = Served::start(&shell, &[]).await;
        let id = served.stall(&shell).await;
        let waiting = name(&trigger(served.address).await.json());
        assert_ne!(waiting, id);
        // Neither holds the end up: a connection that is kept, one that says nothing, one that watches.
        let mut kept = Connection::open(served.address).await;
        assert_eq!(kept.send("GET", "/healthz", &[], b"").await.status, 200);
        let mut silent = Connection::open(served.address).await;
        let mut watching = Connection::open(served.address).await;
        watching.write(&request("GET", "/api/internal/runs/1/events", KNOWS, b"")).await;
        assert_eq!(watching.answer().await.unwrap().status, 200);
        served.process.signal(signal);
        served.process.until_says("a run that goes on is waited for").await;
        for connection in [&mut kept, &mut silent, &mut watching] {
            connection.until_closed().await;
        }
        in_time("a closed port", async {
            while tokio::net::TcpStream::connect(served.address).await.is_ok() {
                tokio::time::sleep(LOOK).await;
            }
        })
        .await;
        assert_eq!(shell.rig.number("SELECT count(*) FROM sync_runs WHERE outcome IS NULL"), 1, "it goes on");
        let_go(&shell);
        let ended = served.process.end().await;
        assert_eq!(ended.status, 0, "{}", ended.stderr);
        assert_eq!(shell.rig.number("SELECT count(*) FROM sync_runs"), 1);
        assert_eq!(shell.rig.number("SELECT count(*) FROM sync_runs WHERE outcome = 'published'"), 1);
        // What was promised is kept by the next one.
        let served = Served::start(&shell, &[]).await;
        assert_eq!(until_final(served.address, &waiting).await["status"], "COMPLETED");
        served.process.signal(Signal::TERM);
        assert_eq!(served.process.end().await.status, 0);
        shell.rig.check();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_or_the_end_of_the_grace_cancels_the_run() {
    for (arguments, says) in [(&[][..], "SIGINT"), (&["--grace", "10ms"], "it is cancelled")] {
        let shell = shell().await;
        let mut served = Served::start(&shell, arguments).await;
        served.stall(&shell).await;
        served.process.signal(Signal::TERM);
        served.process.until_says("a run that goes on is waited for").await;
        if arguments.is_empty() {
            served.process.signal(Signal::INT);
        }
        served.process.until_says(says).await;
        let ended = served.process.end().await;
        assert_eq!(ended.status, 0, "{}", ended.stderr);
        assert_eq!(shell.rig.number("SELECT count(*) FROM sync_runs WHERE outcome = 'cancelled'"), 1);
        assert_eq!(shell.rig.number("SELECT count(*) FROM sync_publications"), 0);
        shell.rig.check();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_a_database_and_one_a_port() {
    let shell = shell().await;
    let served = Served::start(&shell, &[]).await;
    let start = async |path: &Path, listen: &str| {
        let mut command = shell.command_on(path, &["serve", "--json", "--listen", listen]);
        command.env("SYNC_SECRET_KEY", SECRET);
        Shell::end(command).await
    };
    let second = start(&shell.rig.path, "127.0.0.1:0").await;
    assert_eq!((second.status, &second.json()["error"]["exitStatus"]), (4, &4.into()));
    let error = second.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(error.contains("takes triggers for this database already") && error.contains(&served.address.to_string()));
    let same_address = start(&shell.rig.path, &served.address.to_string()).await;
    assert_eq!(same_address.status, 4, "{}", same_address.stderr);
    let other = start(&shell.rig.path.with_extension("other"), &served.address.to_string()).await;
    assert_eq!(other.status, 1);
    let error = other.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(error.contains(&format!("cannot listen on {}", served.address)), "{error}");
    let status = shell.call(&["status", "--json"]).await.json();
    assert_eq!(status["server"]["address"], served.address.to_string());
    assert_eq!(status["server"]["readOnly"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_start_without_a_secret_that_is_one() {
    let shell = shell().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |text: &str| {
        let path = folder.path().join("secret");
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let three = format!("{SECRET}\n{PREVIOUS}\nthe third of three secrets\n");
    for (variables, text, said) in [
        (&[][..], None, "no secret is set"),
        (&[("SYNC_SECRET_KEY", "")], None, "no secret is set"),
        (&[("SYNC_SECRET_KEY", "hunter2hunter2.")], None, "it has 15 bytes"),
        (&[("SYNC_SECRET_KEY", " hunter2hunter2hunter2")], None, "begins or ends with white space"),
        (&[("SYNC_SECRET_KEY", "hunter2hunter2\u{1}hunter2")], None, "a control character"),
        (&[("SYNC_SECRET_KEY", SECRET), ("SYNC_SECRET_KEY_PREVIOUS", SECRET)], None, "is the same"),
        (&[("SYNC_SECRET_KEY", SECRET), ("SYNC_SECRET_KEY_PREVIOUS", "hunter2")], None, "it has 7 bytes"),
        (&[("SYNC_SECRET_KEY_PREVIOUS", PREVIOUS)], None, "without SYNC_SECRET_KEY"),
        (&[("SYNC_SECRET_KEY", SECRET)], Some(SECRET), "a file of secrets are given"),
        (&[], Some("hunter2\n"), "it has 7 bytes"),
        (&[], Some("\n"), "there is none"),
        (&[], Some(three.as_str()), "there are 3 of them"),
    ] {
        let mut arguments =
            vec!["serve".to_owned(), "--json".to_owned(), "--listen".to_owned(), "127.0.0.1:0".to_owned()];
        arguments.extend(text.map(|text| format!("--secret-file={}", file(text))));
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let mut command = shell.command(&arguments);
        command.envs(variables.iter().copied());
        let call = Shell::end(command).await;
        assert_eq!((call.status, &call.json()["error"]["exitStatus"]), (2, &2.into()), "{said}: {}", call.stderr);
        assert!(call.stderr.contains(said), "{said}: {}", call.stderr);
        for secret in ["hunter2", SECRET, PREVIOUS, "third of three"] {
            assert!(!call.stderr.contains(secret) && !call.stdout.contains(secret), "{}", call.stderr);
        }
    }
    let missing = Shell::end(shell.command(&["serve", "--secret-file", "/nothing/here"])).await;
    assert_eq!(missing.status, 2);
    assert!(missing.stderr.contains("cannot read the secret from /nothing/here"), "{}", missing.stderr);
    let argument = Shell::end(shell.command(&["serve", "--secret", SECRET])).await;
    assert_eq!(argument.status, 2, "there is no option for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_secret_from_a_file_is_warned_of() {
    let shell = shell().await;
    let file = shell.rig.path.with_extension("secret");
    std::fs::write(&file, "sixteen bytes...\n").unwrap();
    let path = file.display().to_string();
    let mut process = Process::start(shell.command(&["serve", "--listen", "127.0.0.1:0", "--secret-file", &path]));
    process.until_says("fewer than 32 bytes").await;
    process.until_says("listening on http://127.0.0.1:").await;
    process.signal(Signal::TERM);
    let ended = process.end().await;
    assert_eq!((ended.status, ended.stdout.as_str()), (0, ""));
    assert!(!ended.stderr.contains("sixteen"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_variables_are_missing_ones() {
    let shell = shell().await;
    let mut command = shell.command(&["serve", "--json", "--listen", "127.0.0.1:0"]);
    for name in ["EVERY", "DEBOUNCE", "DEBOUNCE_LONGEST", "MAX_AGE", "GRACE", "CLIENT_ADDRESS_HEADER", "READ_ONLY"] {
        command.env(format!("GREENROOM_{name}"), "");
    }
    command.env("SYNC_SECRET_KEY", SECRET).env("SYNC_SECRET_KEY_PREVIOUS", "").env("SYNC_SECRET_KEY_FILE", "");
    let mut process = Process::start(command);
    let line = process.until_prints("where it listens", |line| line.starts_with('{')).await;
    let serving: Json = serde_json::from_str(&line).unwrap();
    assert_eq!((&serving["readOnly"], &serving["everyMs"]), (&false.into(), &Json::Null));
}

/// What of the secrets must be nowhere.
const CANARIES: [&str; 2] = ["canary-5f0c2d7e91a84b36", "canary-0a1b2c3d4e5f"];

fn is_clean(what: &str, bytes: &[u8]) {
    for canary in CANARIES {
        let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
        assert!(!found, "{what} holds {canary}: {}", String::from_utf8_lossy(bytes));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_is_nowhere_to_be_found() {
    assert!(SECRET.contains(CANARIES[0]) && PREVIOUS.contains(CANARIES[1]));
    let shell = shell().await;
    let served = Served::start(&shell, &["-vvv", "--client-address-header", "x-real-ip"]).await;
    let address = served.address;
    let good = name(&trigger(address).await.json());
    until_final(address, &good).await;
    shell.rig.blue.fault(Endpoint::Talents, When::Always, Fault::status(401));
    let failed = name(&trigger(address).await.json());
    until_final(address, &failed).await;
    let (basic, near) = (format!("Basic {SECRET}"), format!("Bearer {SECRET}x"));
    let mut answers = Vec::new();
    for (method, path, headers) in [
        ("POST", "/api/internal/orchestrate-sync".to_owned(), &[("authorization", basic.as_str())][..]),
        ("POST", "/api/internal/orchestrate-sync".to_owned(), &[("authorization", near.as_str())]),
        ("POST", "/api/internal/orchestrate-sync".to_owned(), &[("x-real-ip", SECRET)]),
        ("POST", format!("/api/internal/orchestrate-sync?secret={SECRET}"), &[]),
        ("POST", format!("/api/internal/{SECRET}"), KNOWS),
        ("GET", format!("/api/internal/task-status/{SECRET}"), KNOWS),
        ("GET", format!("/api/internal/runs/{SECRET}/events"), KNOWS),
        ("GET", format!("/api/internal/task-status/all?limit={SECRET}"), KNOWS),
        ("GET", format!("/api/internal/task-status/all?status={PREVIOUS}"), KNOWS),
        ("GET", "/api/internal/task-status/all".to_owned(), KNOWS),
        ("GET", format!("/healthz?{SECRET}"), KNOWS),
        ("GET", "/metrics".to_owned(), KNOWS),
        ("PUT", "/metrics".to_owned(), KNOWS),
        (SECRET, "/metrics".to_owned(), KNOWS),
    ] {
        let answer = send(address, method, &path, headers).await;
        answers.push((format!("{method} {path}"), format!("{answer:?}")));
    }
    for sent in [format!("{SECRET}\r\n\r\n"), format!("GET / HTTP/1.1\r\n{SECRET}\r\n\r\n")] {
        let mut connection = Connection::open(address).await;
        connection.write(sent.as_bytes()).await;
        answers.push((sent, connection.until_closed().await));
    }
    for (asked, answer) in &answers {
        is_clean(asked, answer.as_bytes());
    }
    let arguments = std::fs::read(format!("/proc/{}/cmdline", served.process.pid())).unwrap();
    assert!(!arguments.is_empty());
    is_clean("the process list", &arguments);
    let status = shell.call(&["status", "--json"]).await;
    let runs = shell.call(&["runs", "1", "--json"]).await;
    is_clean("status", status.stdout.as_bytes());
    is_clean("runs", runs.stdout.as_bytes());
    // While the log of the database is there, and after its end.
    let mut files = 0;
    let mut look = || {
        for file in std::fs::read_dir(shell.rig.path.parent().unwrap()).unwrap() {
            let path = file.unwrap().path();
            is_clean(&path.display().to_string(), &std::fs::read(&path).unwrap_or_default());
            files += 1;
        }
    };
    look();
    served.process.signal(Signal::TERM);
    let ended = served.process.end().await;
    look();
    assert!(files >= 4, "{files}");
    assert!(ended.stderr.contains("did not bring the secret") && ended.stderr.contains("DEBUG"), "{}", ended.stderr);
    is_clean("stdout", ended.stdout.as_bytes());
    is_clean("stderr", ended.stderr.as_bytes());
    is_clean("the options", format!("{:?}", crate::http::options()).as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_is_spared_the_time() {
    use std::os::unix::fs::MetadataExt;
    let shell = shell().await;
    let path = shell.rig.path.with_extension("log");
    let log = std::fs::File::create(&path).unwrap();
    let file = log.metadata().unwrap();
    for (named, begins) in [(format!("{}:{}", file.dev(), file.ino()), " INFO"), ("1:2".to_owned(), "20")] {
        let mut command = shell.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("SYNC_SECRET_KEY", SECRET).env("JOURNAL_STREAM", named).stderr(log.try_clone().unwrap());
        let before = std::fs::read_to_string(&path).unwrap().len();
        let mut child = command.spawn().unwrap();
        let line = in_time("a line of the log", async {
            loop {
                let text = std::fs::read_to_string(&path).unwrap();
                if let Some(line) = text[before..].lines().find(|line| line.contains("listening on")) {
                    return line.to_owned();
                }
                tokio::time::sleep(LOOK).await;
            }
        })
        .await;
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(line.starts_with(begins), "{line}");
    }
}
