//! Runs watched over HTTP: as they happen, afterwards, from where one was cut off.

use std::{net::SocketAddr, time::Duration};

use greenroom::{
    dispatch::DispatchOptions,
    entity::Endpoint,
    server::{ServerLimits, ServerOptions},
};
use serde_json::Value as Json;

use crate::{
    data::Data,
    fake_blue::{Fault, When},
    http::{Connection, KNOWS, LOOK, Service, options, request, trigger, until_final},
    support::{Rig, in_time},
};

/// An event as it came.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    id: u64,
    name: String,
    data: Json,
}

/// A stream of events.
struct Stream {
    connection: Connection,
    text: String,
}

impl Stream {
    async fn open(address: SocketAddr, subject: &str, after: Option<u64>) -> Self {
        let mut connection = Connection::open(address).await;
        let after = after.map(|after| after.to_string());
        let mut headers = KNOWS.to_vec();
        headers.extend(after.as_deref().map(|after| ("last-event-id", after)));
        connection.write(&request("GET", &format!("/api/internal/runs/{subject}/events"), &headers, b"")).await;
        let answer = connection.answer().await.unwrap();
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")), "{answer:?}");
        Self { connection, text: String::new() }
    }

    /// The next block; `None` at the end of the stream.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                return Some(block.trim_end().to_owned());
            }
            self.text += &self.connection.piece().await?;
        }
    }

    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Seen> {
        loop {
            let block = self.block().await?;
            if block.starts_with(':') {
                continue;
            }
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
            let data = serde_json::from_str(&field("data: ")).unwrap();
            return Some(Seen { id: field("id: ").parse().unwrap(), name: field("event: "), data });
        }
    }

    async fn rest(mut self) -> Vec<Seen> {
        let mut all = Vec::new();
        while let Some(seen) = self.next().await {
            all.push(seen);
        }
        all
    }
}

/// A server whose next run stalls.
async fn stalling() -> Service {
    let limits = ServerLimits { streams: 2, keep_alive: Duration::from_millis(20), ..ServerLimits::default() };
    let rig = Rig::new(&Data::small(1)).await;
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::StallHead);
    Service::tuned(rig, ServerOptions { limits, ..options() }, DispatchOptions::default()).await
}

async fn stalled(service: &Service) {
    assert_eq!(trigger(service.address).await.status, 200);
    service.rig.blue.until_stalled(Endpoint::Boards).await;
}

fn let_go(service: &Service) {
    service.rig.blue.behave();
    service.rig.blue.release();
}

fn check(events: &[Seen]) {
    assert!(events.windows(2).all(|pair| pair[0].id < pair[1].id), "{events:?}");
    for seen in events {
        assert_eq!((seen.data["seq"].as_u64(), seen.data["event"].as_str()), (Some(seen.id), Some(&*seen.name)));
    }
    assert_eq!(events.last().unwrap().name, "ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_the_server_itself_is_seen_as_it_happens() {
    let service = stalling().await;
    stalled(&service).await;
    let mut stream = Stream::open(service.address, "task_1", None).await;
    let first = stream.next().await.unwrap();
    assert_eq!((first.id, &*first.name), (1, "started"));
    assert_eq!(first.data["trigger"], "http");
    let_go(&service);
    let rest = stream.rest().await;
    check(&rest);
    assert_eq!(rest.last().unwrap().data["outcome"], "published");
    assert!(rest.iter().any(|seen| seen.name == "published"));
    let all = service.rig.operations.run_events(1).await.unwrap();
    let kept: Vec<_> = all.iter().map(|record| serde_json::to_value(record).unwrap()).collect();
    let live: Vec<_> = [vec![first], rest].concat();
    let is_kept = |seen: &&Seen| !["loading", "receiving"].contains(&seen.name.as_str());
    assert_eq!(live.iter().filter(is_kept).map(|seen| seen.data.clone()).collect::<Vec<_>>(), kept);
    // And afterwards, by its number or by its task, from the beginning or from the middle.
    until_final(service.address, "task_1").await;
    for subject in ["1", "task_1"] {
        let past = Stream::open(service.address, subject, None).await.rest().await;
        assert_eq!(past.iter().map(|seen| seen.data.clone()).collect::<Vec<_>>(), kept);
        let middle = past[past.len() / 2].id;
        let later = Stream::open(service.address, subject, Some(middle)).await.rest().await;
        assert_eq!(later, past[past.len() / 2 + 1..]);
    }
    let last = live.last().unwrap().id;
    assert_eq!(Stream::open(service.address, "1", Some(last)).await.rest().await, []);
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_cut_off_goes_on_where_that_was() {
    let service = stalling().await;
    stalled(&service).await;
    let mut stream = Stream::open(service.address, "1", None).await;
    let mut before = Vec::new();
    while !before.iter().any(|seen: &Seen| seen.name == "staged") {
        before.push(stream.next().await.unwrap());
    }
    drop(stream);
    let after = before.last().unwrap().id;
    let stream = Stream::open(service.address, "1", Some(after)).await;
    let_go(&service);
    let rest = stream.rest().await;
    assert!(rest[0].id > after);
    let all = [before, rest].concat();
    check(&all);
    let kept = service.rig.operations.run_events(1).await.unwrap();
    for record in kept {
        assert!(all.iter().any(|seen| seen.id == record.seq), "{record:?}");
    }
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_promised_is_waited_for() {
    let service = stalling().await;
    stalled(&service).await;
    let second = trigger(service.address).await.json();
    assert_eq!((second["answer"].as_str(), second["taskId"].as_str()), (Some("waiting"), Some("task_2")), "{second}");
    let mut stream = Stream::open(service.address, "task_2", None).await;
    assert!(stream.block().await.unwrap().starts_with(':'), "a word while nothing happens");
    let_go(&service);
    let events = stream.rest().await;
    check(&events);
    assert_eq!((events[0].id, &events[0].data["run"]), (1, &2.into()));
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promised_run_that_cannot_begin_ends_its_stream() {
    let service = stalling().await;
    stalled(&service).await;
    trigger(service.address).await;
    let stream = Stream::open(service.address, "task_2", None).await;
    service.rig.operations.give_up_task(2, "no source".to_owned()).await.unwrap();
    assert_eq!(stream.rest().await, []);
    let_go(&service);
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded_and_end_with_the_server() {
    let service = stalling().await;
    stalled(&service).await;
    let first = Stream::open(service.address, "1", None).await;
    let second = Stream::open(service.address, "1", None).await;
    let third = service.get("/api/internal/runs/1/events").await;
    assert_eq!((third.status, third.header("retry-after")), (503, Some("10")), "{third:?}");
    drop(second);
    in_time("a place", async {
        loop {
            let mut connection = Connection::open(service.address).await;
            connection.write(&request("GET", "/api/internal/runs/1/events", KNOWS, b"")).await;
            if connection.until("\r\n\r\n").await.unwrap().starts_with("HTTP/1.1 200") {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;
    service.stop.cancel();
    let seen = first.rest().await;
    assert!(seen.iter().all(|seen| seen.name != "ended"), "the run goes on: {seen:?}");
    let_go(&service);
    let rig = service.end().await;
    assert_eq!(rig.number("SELECT count(*) FROM sync_runs WHERE outcome = 'published'"), 1);
}
