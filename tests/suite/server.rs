//! What is answered over HTTP, to whom, and what clients cannot use up.

use std::time::Duration;

use greenroom::{
    dispatch::DispatchOptions,
    entity::Endpoint,
    server::{Secrets, ServerLimits, ServerOptions},
};
use secrecy::SecretString;
use serde_json::json;

use crate::{
    data::Data,
    fake_blue::{Fault, When},
    http::{Answer, Connection, KNOWS, PREVIOUS, SECRET, Service, options, request, send, task, trigger, until_final},
    support::{Rig, in_time},
};

const TRIGGER: &str = "/api/internal/orchestrate-sync";
const TRIGGERS: [&str; 2] = [TRIGGER, "/api/internal/orchestrate-sync-api"];
const TASK: &str = "/api/internal/task-status/task_1";
const TASKS: &str = "/api/internal/task-status/all";
const EVENTS: &str = "/api/internal/runs/1/events";

async fn service() -> Service {
    Service::start(Rig::new(&Data::small(1)).await).await
}

fn is_error(answer: &Answer, status: u16, message: &str) {
    assert_eq!((answer.status, answer.json()), (status, json!({"error": message})), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_addresses_and_both_headers_trigger() {
    let service = service().await;
    let bearer = format!("Bearer {SECRET}");
    let lower = format!("bearer   {PREVIOUS}");
    for path in TRIGGERS {
        for headers in [
            &[("authorization", bearer.as_str())][..],
            &[("Authorization", lower.as_str())],
            &[("x-sync-secret", SECRET)],
            &[("X-Sync-Secret", PREVIOUS)],
            &[("authorization", "Bearer wrong"), ("x-sync-secret", SECRET)],
            &[("x-sync-secret", "wrong"), ("x-sync-secret", SECRET)],
        ] {
            let answer = send(service.address, "POST", path, headers).await;
            assert_eq!(answer.status, 200, "{headers:?}");
            let reply = answer.json();
            assert_eq!((&reply["success"], reply["message"].is_string()), (&json!(true), true), "{reply}");
            let id = reply["taskId"].as_str().unwrap();
            let task = task(service.address, id).await;
            assert_eq!(task["id"], id);
            until_final(service.address, id).await;
        }
    }
    service.rig.assert_views(&Data::small(1));
    service.end().await.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_in_order() {
    let service = service().await;
    let address = service.address;
    // Method before secret.
    for (path, method, allowed) in [
        (TRIGGER, "GET", "POST"),
        (TRIGGER, "PUT", "POST"),
        (TASK, "POST", "GET,HEAD"),
        (TASKS, "DELETE", "GET,HEAD"),
        (EVENTS, "POST", "GET,HEAD"),
        ("/healthz", "POST", "GET,HEAD"),
        ("/metrics", "POST", "GET,HEAD"),
    ] {
        let answer = send(address, method, path, &[]).await;
        is_error(&answer, 405, "Method not allowed");
        assert_eq!(answer.header("allow"), Some(allowed), "{path}");
    }
    // Secret before anything that is to be found.
    for (method, path) in [("POST", TRIGGER), ("GET", TASK), ("GET", TASKS), ("GET", EVENTS), ("POST", TRIGGERS[1])] {
        let answer = send(address, method, path, &[]).await;
        is_error(&answer, 401, "Unauthorized");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    for path in ["/", "/api/internal", "/api/internal/other", "/api/internal/orchestrate-sync/", "/healthz/x"] {
        is_error(&send(address, "GET", path, KNOWS).await, 404, "Not found");
    }
    for name in ["task_1", "1", "task_x", "task_01", "%ff"] {
        let answer = service.get(&format!("/api/internal/task-status/{name}")).await;
        assert_eq!(answer.status, if name == "%ff" { 400 } else { 404 }, "{name}");
        assert!(answer.json()["error"].is_string());
    }
    is_error(&service.get(TASK).await, 404, "Task not found");
    is_error(&service.get(EVENTS).await, 404, "Run not found");
    is_error(&service.get("/api/internal/runs/x/events").await, 404, "Run not found");
    is_error(&service.get(&format!("{TASKS}?limit=0")).await, 400, "limit must be a number from 1 on");
    let words = "status must be one of QUEUED, EXECUTING, COMPLETED, FAILED, CANCELED, CRASHED";
    is_error(&service.get(&format!("{TASKS}?status=queued")).await, 400, words);
    let empty = json!({"tasks": [], "count": 0, "filters": {"type": null, "status": null, "limit": 10}});
    assert_eq!(service.get(TASKS).await.json(), empty);
    for key in ["", "a b", "żółw", &"k".repeat(256)] {
        let answer = send(address, "POST", TRIGGER, &[KNOWS[0], ("idempotency-key", key)]).await;
        assert_eq!(answer.status, 400, "{key}: {answer:?}");
    }
    let rig = service.end().await;
    assert_eq!(rig.number("SELECT count(*) FROM sync_triggers"), 0, "none of it triggered");
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_answered_like_gets() {
    let service = service().await;
    for path in ["/healthz", "/metrics", TASKS, TASK] {
        let got = service.get(path).await;
        let mut connection = Connection::open(service.address).await;
        connection.write(&request("HEAD", path, &[KNOWS[0], ("connection", "close")], b"")).await;
        let head = connection.until_closed().await;
        let status = format!("HTTP/1.1 {}", got.status);
        assert!(head.starts_with(&status) && head.ends_with("\r\n\r\n"), "{path}: {head}");
    }
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_say_nothing_and_are_bounded() {
    let service = service().await;
    let mut connection = Connection::open(service.address).await;
    let largest = vec![b'x'; 64 * 1024];
    let answer = connection.send("POST", TRIGGER, KNOWS, &largest).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = connection.send("POST", TRIGGER, KNOWS, b"{\"anything\": [1, 2").await;
    assert_eq!(answer.status, 200, "the connection is good for another one: {answer:?}");
    let larger = vec![b'x'; 64 * 1024 + 1];
    let mut connection = Connection::open(service.address).await;
    let answer = connection.send("POST", TRIGGER, KNOWS, &larger).await;
    is_error(&answer, 413, "The body is larger than 65536 bytes");
    // Of a length that is not told beforehand.
    let mut connection = Connection::open(service.address).await;
    connection.write(&request("POST", TRIGGER, &[KNOWS[0], ("transfer-encoding", "chunked")], b"")).await;
    connection.write(format!("{:x}\r\n", larger.len()).as_bytes()).await;
    connection.write(&larger).await;
    is_error(&connection.answer().await.unwrap(), 413, "The body is larger than 65536 bytes");
    let rig = service.end().await;
    assert_eq!(rig.number("SELECT count(*) FROM sync_triggers"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_stands_for_one_run() {
    let service = service().await;
    let named = [KNOWS[0], ("idempotency-key", "deploy-7")];
    let first = send(service.address, "POST", TRIGGER, &named).await.json();
    until_final(service.address, first["taskId"].as_str().unwrap()).await;
    let again = send(service.address, "POST", TRIGGERS[1], &named).await.json();
    assert_eq!((&again["taskId"], again["answer"].as_str()), (&first["taskId"], Some("joined")));
    let rig = service.end().await;
    assert_eq!(rig.number("SELECT count(*) FROM sync_runs"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_and_a_read_only_server_refuse() {
    let service = service().await;
    service.rig.operations.hold("the boards are wrong".to_owned()).await.unwrap();
    let held = trigger(service.address).await;
    assert_eq!(held.status, 409);
    let reply = held.json();
    assert_eq!((&reply["success"], &reply["taskId"], &reply["answer"]), (&json!(false), &json!(null), &json!("held")));
    assert!(reply["error"].as_str().unwrap().contains("the boards are wrong"), "{reply}");
    assert_eq!(reply["error"], reply["message"]);
    let rig = service.end().await;
    let read_only = DispatchOptions { read_only: true, ..DispatchOptions::default() };
    let service = Service::tuned(rig, options(), read_only).await;
    let refused = trigger(service.address).await;
    assert_eq!((refused.status, refused.json()["answer"].as_str()), (409, Some("read-only")));
    let metrics = service.get("/metrics").await.body;
    assert!(metrics.contains("greenroom_triggers_total{answer=\"read-only\"} 1\n"), "{metrics}");
    let rig = service.end().await;
    assert_eq!(rig.number("SELECT count(*) FROM sync_runs"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_narrowed() {
    let service = service().await;
    for path in [TRIGGERS[0], TRIGGERS[1], TRIGGERS[0]] {
        let reply = send(service.address, "POST", path, KNOWS).await.json();
        until_final(service.address, reply["taskId"].as_str().unwrap()).await;
    }
    service.rig.blue.fault(Endpoint::Boards, When::Always, Fault::status(404));
    let failed = trigger(service.address).await.json();
    let failed = until_final(service.address, failed["taskId"].as_str().unwrap()).await;
    assert_eq!((failed["status"].as_str(), failed["output"]["outcome"].as_str()), (Some("FAILED"), Some("failed")));
    assert!(failed["error"].as_str().unwrap().contains("HTTP status 404"), "{failed}");
    let ids = async |query: &str| -> Vec<String> {
        let list = service.get(&format!("{TASKS}?{query}")).await.json();
        let tasks = list["tasks"].as_array().unwrap();
        assert_eq!(list["count"], tasks.len());
        tasks.iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("").await, ["task_4", "task_3", "task_2", "task_1"]);
    assert_eq!(ids("limit=2").await, ["task_4", "task_3"]);
    assert_eq!(ids("status=COMPLETED&limit=1").await, ["task_3"]);
    assert_eq!(ids("status=FAILED").await, ["task_4"]);
    assert_eq!(ids("type=orchestrate-sync-api").await, ["task_2"]);
    assert_eq!(ids("type=orchestrate-sync-api&status=QUEUED").await, [""; 0]);
    assert_eq!(ids("type=%27%20OR%201").await, [""; 0]);
    let done = task(service.address, "task_1").await;
    let entities = done["output"]["entities"].as_array().unwrap();
    assert_eq!((done["output"]["outcome"].as_str(), entities.len()), (Some("published"), 10), "{done}");
    for entity in entities {
        assert!(entity["rows"].as_u64() > Some(0) && entity["rowsBefore"] == 0 && entity["outcome"] == "published");
    }
    for time in ["startedAt", "finishedAt"] {
        let time = done[time].as_str().unwrap();
        assert_eq!((time.len(), &time[19..20], &time[23..]), (24, ".", "Z"), "{time}");
    }
    service.end().await;
}

/// Wrong secrets made from the right ones: all that is near them, and noise.
fn mutants(count: usize) -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(20_240_607);
    let right = [SECRET.as_bytes(), PREVIOUS.as_bytes()];
    let mut mutants = vec![Vec::new()];
    while mutants.len() < count {
        let secret = right[random.usize(..2)];
        let mut mutant = secret.to_vec();
        match random.u32(..10) {
            0 => mutant[random.usize(..secret.len())] ^= 1 << random.u32(..7),
            1 => mutant.truncate(random.usize(..secret.len())),
            2 => drop(mutant.drain(..random.usize(1..secret.len()))),
            3 => mutant.insert(random.usize(..=secret.len()), random.u8(0x21..0x7f)),
            4 => drop(mutant.remove(random.usize(..secret.len()))),
            5 => {
                let place = random.usize(..secret.len());
                mutant[place] = if random.bool() { mutant[place].to_ascii_uppercase() } else { mutant[place] | 0x80 };
            }
            6 => mutant.extend_from_slice(right[random.usize(..2)]),
            7 => {
                let other = if secret == right[0] { right[1] } else { right[0] };
                let place = random.usize(1..secret.len());
                mutant[place..].copy_from_slice(&other.repeat(2)[place..secret.len()]);
            }
            8 => mutant.swap(random.usize(..secret.len()), random.usize(..secret.len())),
            _ => mutant = (0..random.usize(1..80)).map(|_| random.u8(0x21..0x7f)).collect(),
        }
        // HTTP takes white space away around a value, and carries no control characters.
        let sendable = mutant.iter().all(|byte| *byte >= 0x20 && *byte != 0x7f);
        if sendable && !right.contains(&mutant.trim_ascii()) {
            mutants.push(mutant);
        }
    }
    mutants
}

#[test]
fn no_secret_but_the_right_ones_matches() {
    let secrets = Secrets::new(&[SecretString::from(SECRET), SecretString::from(PREVIOUS)], [3; 32]).unwrap();
    for mutant in mutants(10_000) {
        assert!(!secrets.match_any([mutant.as_slice()]), "{}", String::from_utf8_lossy(&mutant));
    }
    let wrong = mutants(100);
    let mut all: Vec<&[u8]> = wrong.iter().map(Vec::as_slice).collect();
    assert!(!secrets.match_any(all.iter().copied()));
    all.insert(50, PREVIOUS.as_bytes());
    assert!(secrets.match_any(all));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_mutated_credentials_are_refused() {
    let name = "x-real-ip".parse().unwrap();
    let options = ServerOptions { client_address_header: Some(name), ..options() };
    let service = Service::tuned(Rig::new(&Data::small(1)).await, options, DispatchOptions::default()).await;
    let mut connection = Connection::open(service.address).await;
    let mutants = mutants(10_000);
    for (number, mutant) in mutants.iter().enumerate() {
        // Each address has some tries, so that all are looked at.
        let mut sent = request("POST", TRIGGERS[number % 2], &[("x-real-ip", &format!("10.0.{}.1", number / 50))], b"");
        sent.truncate(sent.len() - 2);
        let header: &[u8] = match number % 4 {
            0 => b"authorization: Bearer ",
            1 => b"x-sync-secret: ",
            2 => b"authorization: bearer ",
            // The right one is none without the name of its scheme, or with another.
            _ if number % 8 == 3 => b"authorization: ",
            _ => b"authorization: Basic ",
        };
        let value = if number % 4 == 3 { SECRET.as_bytes() } else { mutant.as_slice() };
        connection.write(&[&sent, header, value, b"\r\n\r\n"].concat()).await;
        let answer = connection.answer().await.unwrap_or_else(|| panic!("{number}"));
        assert_eq!(answer.status, 401, "{number}: {}", String::from_utf8_lossy(mutant));
    }
    let metrics = service.get("/metrics").await.body;
    assert!(metrics.contains("\ngreenroom_http_unauthorized_total 10000\n"), "{metrics}");
    assert_eq!(service.rig.number("SELECT count(*) FROM sync_triggers"), 0);
    assert_eq!(trigger(service.address).await.status, 200, "the right one is as good as before");
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_fails_too_often_has_to_wait() {
    let service = service().await;
    let mut connection = Connection::open(service.address).await;
    let mut failed = 0;
    let limited = loop {
        let answer = connection.send("POST", TRIGGER, &[("x-sync-secret", "a guess of some length")], b"").await;
        if answer.status != 401 {
            break answer;
        }
        failed += 1;
    };
    assert!(failed >= 50, "{failed}");
    is_error(&limited, 429, "Too many failed attempts");
    assert_eq!(limited.header("retry-after"), Some("1"));
    // Even the right one, until a try has come back. What needs no secret is not affected.
    let begun = std::time::Instant::now();
    in_time("a try that comes back", async {
        let mut answer = trigger(service.address).await;
        while answer.status == 429 {
            tokio::task::yield_now().await;
            answer = trigger(service.address).await;
        }
        assert_eq!(answer.status, 200);
    })
    .await;
    let metrics = service.get("/metrics").await.body;
    let limited = metrics.lines().find_map(|line| line.strip_prefix("greenroom_http_rate_limited_total ")).unwrap();
    assert!(limited.parse::<u64>().unwrap() >= 1, "{limited} in {:?}", begun.elapsed());
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_is_cut_off_and_does_not_shut_others_out() {
    let limits = ServerLimits { head: Duration::from_millis(500), connections: 2, ..ServerLimits::default() };
    let rig = Rig::new(&Data::small(1)).await;
    let service = Service::tuned(rig, ServerOptions { limits, ..options() }, DispatchOptions::default()).await;
    let mut slow = Vec::new();
    for sent in ["", "GET /healthz HTTP/1.1\r\nhost: ", "GET /healthz HTTP/1.1\r\nhost: green\r\n\r\n"] {
        let mut connection = Connection::open(service.address).await;
        connection.write(sent.as_bytes()).await;
        slow.push(connection);
    }
    // There is room for two; the others had their turn once these were cut off.
    assert_eq!(service.get("/healthz").await.status, 200);
    for connection in &mut slow {
        connection.until_closed().await;
    }
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded() {
    let limits = ServerLimits { connections: 2, ..ServerLimits::default() };
    let rig = Rig::new(&Data::small(1)).await;
    let service = Service::tuned(rig, ServerOptions { limits, ..options() }, DispatchOptions::default()).await;
    let mut first = Connection::open(service.address).await;
    let mut second = Connection::open(service.address).await;
    for connection in [&mut first, &mut second] {
        assert_eq!(connection.send("GET", "/healthz", &[], b"").await.status, 200);
    }
    let mut third = Connection::open(service.address).await;
    third.write(&request("GET", "/healthz", &[], b"")).await;
    // As long as both are used it has to wait.
    for _ in 0..30 {
        assert_eq!(first.send("GET", "/healthz", &[], b"").await.status, 200);
        assert!(!third.has_more());
    }
    drop(second);
    assert_eq!(in_time("a place", third.answer()).await.unwrap().status, 200);
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let limits = ServerLimits { request: Duration::from_millis(50), ..ServerLimits::default() };
    let rig = Rig::new(&Data::small(1)).await;
    let service = Service::tuned(rig, ServerOptions { limits, ..options() }, DispatchOptions::default()).await;
    let mut connection = Connection::open(service.address).await;
    let head = request("POST", TRIGGER, &[KNOWS[0], ("content-length", "10")], b"");
    connection.write(&head).await;
    let answer = connection.answer().await.unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("10")));
    let told = answer.json();
    assert_eq!((&told["success"], &told["taskId"]), (&json!(false), &json!(null)));
    assert_eq!(told["error"], "the request took too long; nothing was started");
    let rig = service.end().await;
    assert_eq!(rig.number("SELECT count(*) FROM sync_triggers"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_bounded_and_garbage_is_refused() {
    let service = service().await;
    let large = request("GET", "/healthz", &[("big", &"x".repeat(40_000))], b"");
    let many: Vec<_> = (0..100).map(|_| ("a", "b")).collect();
    for (sent, status) in [
        (large, "431"),
        (request("GET", "/healthz", &many, b""), "431"),
        (b"garbage\r\n\r\n".to_vec(), "400"),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n".to_vec(), "400"),
        (b"GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n".to_vec(), "400"),
    ] {
        let mut connection = Connection::open(service.address).await;
        connection.write(&sent).await;
        let answer = connection.until_closed().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    assert_eq!(service.get("/healthz").await.status, 200);
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_written_refuses_triggers_for_now() {
    let service = service().await;
    let writer = service.rig.writer();
    writer.execute_batch("ALTER TABLE sync_triggers RENAME TO elsewhere").unwrap();
    let answer = trigger(service.address).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("10")), "{answer:?}");
    let reply = answer.json();
    assert_eq!((&reply["success"], &reply["taskId"]), (&json!(false), &json!(null)));
    let error = reply["error"].as_str().unwrap();
    assert!(error.contains("sync_triggers is missing; nothing was started"), "{error}");
    assert!(!error.contains('/'), "no path is told: {error}");
    service.end().await;
}
