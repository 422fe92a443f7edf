//! The server as clients meet it.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{DemoBlue, Pace, pace::Timing};
use crate::{
    blue::{Answer, BodySummary, Client, FetchError, SourceConfig, Validators},
    clock::Clock,
    entity::Endpoint,
    green::Database,
    ops::{Operations, SyncOptions},
    report::{Operator, RunOutcome, StepOutcome, SyncReport, Trigger},
};

fn client(blue: &DemoBlue) -> Client {
    Client::new(SourceConfig::new(blue.address())).unwrap()
}

async fn fetch(client: &Client, endpoint: Endpoint, run: i64) -> Result<BodySummary, FetchError> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let answer = client.begin(endpoint, run, &Validators::default(), deadline).await?;
    let Answer::Body(mut download) = answer else { panic!("{answer:?}") };
    while download.next().await?.is_some() {}
    assert_eq!(download.progress().announced, Some(download.progress().bytes));
    Ok(download.finish()?.0)
}

async fn fetch_all(client: &Client, run: i64) -> Vec<String> {
    let bodies = join_all(Endpoint::ALL.map(|endpoint| fetch(client, endpoint, run))).await;
    bodies.into_iter().map(|body| body.unwrap().hash).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_requests_of_a_run_get_one_generation() {
    let blue = DemoBlue::start(Pace::Instant).await.unwrap();
    let client = client(&blue);
    let mut runs = Vec::new();
    for run in 1..=4 {
        let fetches = join_all((0..6).map(|_| fetch_all(&client, run))).await;
        let distinct: HashSet<_> = fetches.into_iter().collect();
        assert_eq!(distinct.len(), 1, "run {run}");
        runs.extend(distinct);
    }
    assert_eq!(runs.iter().collect::<HashSet<_>>().len(), 4);
    assert_eq!(fetch_all(&client, 2).await, runs[1], "a late request");
}

#[tokio::test]
async fn requests_without_a_run_get_the_current_generation() {
    let blue = DemoBlue::start(Pace::Instant).await.unwrap();
    let client = client(&blue);
    let plain = reqwest::Client::new();
    let address = client.config().address(Endpoint::Talents);
    let get = async || plain.get(address.clone()).send().await.unwrap().bytes().await.unwrap();
    let first = get().await;
    fetch_all(&client, 1).await;
    assert_eq!(get().await, first);
    let second = fetch(&client, Endpoint::Talents, 2).await.unwrap();
    let now = get().await;
    assert_eq!(blake3::hash(&now).to_hex().to_string(), second.hash);
    assert_ne!(now, first);
}

#[tokio::test]
async fn a_refusal_comes_once_a_run_and_asks_for_a_second() {
    let timing = Timing { duration: |_| Duration::ZERO, misbehaves: true };
    let blue = DemoBlue::start_with(timing).await.unwrap();
    let client = client(&blue);
    fetch_all(&client, 7).await;
    let mut refused = 0;
    for endpoint in Endpoint::ALL {
        if let Err(error) = fetch(&client, endpoint, 8).await {
            refused += 1;
            assert_eq!((error.status(), error.retry_after()), (Some(503), Some(Duration::from_secs(1))));
            assert!(error.is_transient());
        }
    }
    assert_eq!(refused, 1);
    fetch_all(&client, 8).await;
    fetch_all(&client, 9).await;
}

#[tokio::test]
async fn a_body_that_is_known_is_not_sent_again() {
    let blue = DemoBlue::start(Pace::Instant).await.unwrap();
    let client = client(&blue);
    let deadline = Instant::now() + Duration::from_secs(20);
    let begin = async |known: &Validators| client.begin(Endpoint::Boards, 1, known, deadline).await.unwrap();
    let Answer::Body(mut first) = begin(&Validators::default()).await else { panic!("nothing was known") };
    while first.next().await.unwrap().is_some() {}
    let (_, validators) = first.finish().unwrap();
    assert!(matches!(begin(&validators).await, Answer::NotModified));
    let other = Validators { etag: Some("\"other\"".to_owned()), last_modified: None };
    assert!(matches!(begin(&other).await, Answer::Body(_)));
}

#[tokio::test]
async fn other_paths_are_not_found() {
    let blue = DemoBlue::start(Pace::Instant).await.unwrap();
    let elsewhere = blue.address().join("elsewhere").unwrap();
    let client = Client::new(SourceConfig::new(elsewhere)).unwrap();
    let error = fetch(&client, Endpoint::Boards, 1).await.unwrap_err();
    assert_eq!(error.status(), Some(404));
    let excerpt = error.excerpt().unwrap();
    assert_eq!(excerpt, r#"{"error":"There is nothing at /elsewhere/api/v1/public/boards"}"#);
}

#[tokio::test]
async fn it_stops_when_dropped() {
    let blue = DemoBlue::start(Pace::Instant).await.unwrap();
    let client = client(&blue);
    fetch_all(&client, 1).await;
    drop(blue);
    let stopped = async { while fetch(&client, Endpoint::Boards, 1).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(10), stopped).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syncs_publish_and_leave_something_unchanged() {
    let blue = DemoBlue::start(Pace::Instant).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let database = Database::create_or_open(directory.path().join("demo.db")).unwrap();
    let operator = Operator { user: "tester".to_owned(), host: "here".to_owned(), pid: 1 };
    let operations = Operations::new(database, Some(SourceConfig::new(blue.address())), operator)
        .with_seams(Clock::system(), Arc::new(|| 0.5));
    let sync = async || {
        let (events, _told) = mpsc::unbounded_channel();
        operations.sync(SyncOptions::full(Trigger::Cli), events, CancellationToken::new()).await.unwrap()
    };
    let count =
        |report: &SyncReport, outcome| report.entities.iter().filter(|step| step.outcome == Some(outcome)).count();
    let first = sync().await;
    assert_eq!((first.run.outcome, count(&first, StepOutcome::Published)), (Some(RunOutcome::Published), 10));
    for entity in &first.entities {
        assert_eq!(entity.records, entity.rows + entity.duplicates + entity.quarantined, "{}", entity.entity);
    }
    let mut unchanged = 0;
    for _ in 0..4 {
        let report = sync().await;
        assert_eq!(report.run.outcome, Some(RunOutcome::Published));
        unchanged += count(&report, StepOutcome::Unchanged);
    }
    assert!(unchanged >= 4);
}
