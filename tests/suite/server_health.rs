//! Health and figures: each reason, and that figures are those of the database.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use greenroom::{
    clock::Clock,
    dispatch::DispatchOptions,
    entity::{Endpoint, Entity},
    guard::{Acceptance, GuardLimits},
    ops::SyncOptions,
    report::{RunOutcome, Trigger},
    server::{ServerLimits, ServerOptions},
    sync::Scope,
};
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::{
    data::Data,
    fake_blue::{Fault, When},
    http::{Answer, Service, options, send, trigger, until_final},
    support::{NO_HOLD, Rig},
};

const HOUR: i64 = 3_600_000;

/// A rig with a clock that stands still until it is moved.
async fn timed() -> (Rig, Arc<AtomicI64>) {
    let rig = Rig::new(&Data::small(1)).await;
    let now = Arc::new(AtomicI64::new(1_700_000_000_000));
    let told = now.clone();
    let clock = Clock::from_fn(move || Timestamp::from_millisecond(told.load(Ordering::Relaxed)).unwrap());
    let operations = rig.operations.clone().with_seams(clock, Arc::new(|| 0.0));
    (rig.operated_by(operations), now)
}

async fn watched(rig: Rig, longest_age: Option<Duration>) -> Service {
    Service::tuned(rig, ServerOptions { longest_age, ..options() }, DispatchOptions::default()).await
}

/// Without the secret, as a monitor asks.
async fn health(service: &Service) -> Answer {
    send(service.address, "GET", "/healthz", &[]).await
}

async fn is_well(service: &Service) -> Json {
    let answer = health(service).await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("ok")), "{answer:?}");
    answer.json()
}

async fn fails(service: &Service, reason: &str) {
    let answer = health(service).await;
    let report = answer.json();
    assert_eq!((answer.status, &report["status"]), (503, &json!("failing")), "{answer:?}");
    assert_eq!(report["reasons"], json!([reason]));
    assert!(!answer.body.contains(&*service.rig.path.to_string_lossy()), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_may_not_be_too_old() {
    let (rig, now) = timed().await;
    let service = watched(rig, Some(Duration::from_hours(2))).await;
    fails(&service, "nothing was published yet").await;
    service.rig.publish().await;
    let report = is_well(&service).await;
    assert_eq!((&report["publication"], report["publishedAt"].as_str()), (&1.into(), Some("2023-11-14T22:13:20Z")));
    now.fetch_add(2 * HOUR, Ordering::Relaxed);
    is_well(&service).await;
    now.fetch_add(HOUR, Ordering::Relaxed);
    let reason = "the data was last published or found unchanged 3 h 00 min ago, which is longer than 2 h 00 min";
    fails(&service, reason).await;
    // A part of it says nothing of the rest, and a dry run nothing of what is live.
    let boards = Scope::of(&[Entity::Boards]);
    let part = service.rig.sync_as(SyncOptions { scope: boards, ..SyncOptions::full(Trigger::Cli) }).await;
    assert_eq!(part.outcome(), RunOutcome::Unchanged);
    fails(&service, reason).await;
    let whole = service.rig.sync().await;
    assert_eq!(whole.outcome(), RunOutcome::Unchanged);
    let report = is_well(&service).await;
    assert_eq!(report["publishedAt"], "2023-11-14T22:13:20Z");
    assert_eq!(report["confirmedAt"], "2023-11-15T01:13:20Z");
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_limit_any_age_is_good() {
    let (rig, now) = timed().await;
    let service = watched(rig, None).await;
    is_well(&service).await;
    service.rig.publish().await;
    now.fetch_add(9_000 * HOUR, Ordering::Relaxed);
    is_well(&service).await;
    service.rig.operations.hold("look first".to_owned()).await.unwrap();
    assert_eq!(is_well(&service).await["held"], true);
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_may_not_lose_its_rows() {
    let (rig, _) = timed().await;
    rig.publish().await;
    let service = watched(rig, None).await;
    is_well(&service).await;
    let rows = service.rig.number("SELECT count(*) FROM talentssocials_current");
    let writer = service.rig.writer();
    writer.execute_batch("BEGIN; DELETE FROM talentssocials_v1").unwrap();
    is_well(&service).await;
    writer.execute_batch("COMMIT").unwrap();
    let reason = format!("talentssocials is empty, although publication 1 gave it {rows} rows");
    fails(&service, &reason.replace(" 1 rows", " 1 row")).await;
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_may_be_empty_when_somebody_said_so() {
    let (rig, _) = timed().await;
    rig.publish().await;
    let mut rows = rig.number("SELECT count(*) FROM talentssocials_current").to_string();
    rows += if rows == "1" { " row" } else { " rows" };
    rig.blue.send_body(Endpoint::TalentsSocials, "[]");
    // By a limit of the run, of which a server without it knows nothing.
    let limits = ["talentssocials.empty=off", "shrink=off"].map(|one| one.parse().unwrap());
    let lenient = rig.operations.clone().with_limits(GuardLimits::with(&limits));
    let strict = rig.operations.clone();
    let rig = rig.operated_by(lenient);
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Published);
    let service = watched(rig, None).await;
    is_well(&service).await;
    let rig = service.end().await.operated_by(strict);
    let service = watched(rig, None).await;
    fails(&service, &format!("talentssocials is empty since publication 2, before which it had {rows}")).await;
    // From nothing to nothing makes it no better, a way back does.
    let plan = service.rig.operations.plan_rollback(greenroom::report::RollbackTarget::Newest).await.unwrap();
    service.rig.operations.rollback(plan, NO_HOLD).await.unwrap();
    is_well(&service).await;
    // And by an operator who accepted it.
    let accept = vec![Acceptance::All];
    let ran = service.rig.sync_as(SyncOptions { accept, ..SyncOptions::full(Trigger::Cli) }).await;
    assert_eq!(ran.outcome(), RunOutcome::Published);
    assert_eq!(service.rig.number("SELECT count(*) FROM talentssocials_current"), 0);
    is_well(&service).await;
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_read_is_told_without_its_path() {
    let (rig, _) = timed().await;
    rig.publish().await;
    let service = watched(rig, None).await;
    let writer = service.rig.writer();
    writer.execute_batch("DROP VIEW boards_current").unwrap();
    fails(&service, "boards_current is missing").await;
    writer.execute_batch("CREATE VIEW boards_current AS SELECT * FROM boards_v1").unwrap();
    is_well(&service).await;
    drop(writer);
    std::fs::rename(&service.rig.path, service.rig.path.with_extension("away")).unwrap();
    fails(&service, "the database cannot be opened").await;
    let metrics = send(service.address, "GET", "/metrics", &[]).await;
    assert_eq!((metrics.status, metrics.json()), (503, json!({"error": "the database cannot be opened"})));
    std::fs::rename(service.rig.path.with_extension("away"), &service.rig.path).unwrap();
    is_well(&service).await;
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_answer_is_not_waited_for() {
    let (rig, _) = timed().await;
    rig.publish().await;
    let limits = ServerLimits { look: Duration::from_millis(100), ..ServerLimits::default() };
    let service = Service::tuned(rig, ServerOptions { limits, ..options() }, DispatchOptions::default()).await;
    let writer = service.rig.writer();
    // Without shared memory nobody else can read.
    writer
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; DELETE FROM sync_triggers; COMMIT")
        .unwrap();
    // More of them than there are threads for it.
    for _ in 0..4 {
        fails(&service, "the database did not answer in time").await;
    }
    drop(writer);
    crate::support::in_time("health", async {
        while health(&service).await.status != 200 {
            tokio::time::sleep(crate::http::LOOK).await;
        }
    })
    .await;
    service.end().await;
}

/// The samples of a page, after a look at its form.
fn samples(page: &str) -> BTreeMap<String, String> {
    let (mut samples, mut helped, mut typed) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
    assert!(page.ends_with('\n'));
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(helped.insert(name) && help.ends_with('.'), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(helped.contains(name) && ["counter", "gauge"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(typed.insert(name, kind).is_none(), "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            assert!(name.starts_with("greenroom_") && typed.contains_key(name), "{line}");
            assert!(value.parse::<f64>().unwrap() >= 0.0, "{line}");
            assert!(samples.insert(series.to_owned(), value.to_owned()).is_none(), "{line}");
        }
    }
    samples
}

async fn figures(service: &Service) -> BTreeMap<String, String> {
    let answer = send(service.address, "GET", "/metrics", &[]).await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    samples(&answer.body)
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_those_of_the_database() {
    let (rig, now) = timed().await;
    let service = watched(rig, None).await;
    let none = figures(&service).await;
    assert_eq!(none["greenroom_rows{entity=\"boards\"}"], "0");
    assert_eq!(none.get("greenroom_publication_age_seconds"), None);
    let first = trigger(service.address).await.json();
    until_final(service.address, first["taskId"].as_str().unwrap()).await;
    service.rig.sync().await;
    service.rig.blue.fault(Endpoint::Boards, When::Always, Fault::status(404));
    service.rig.sync().await;
    service.rig.blue.behave();
    service.rig.operations.hold("look first".to_owned()).await.unwrap();
    assert_eq!(trigger(service.address).await.status, 409);
    assert_eq!(send(service.address, "POST", "/api/internal/orchestrate-sync", &[]).await.status, 401);
    now.fetch_add(90_500, Ordering::Relaxed);
    let found = figures(&service).await;
    for entity in Entity::ALL {
        let rows = service.rig.number(&format!("SELECT count(*) FROM {entity}_current"));
        assert_eq!(found[&format!("greenroom_rows{{entity=\"{entity}\"}}")], rows.to_string());
        assert_eq!(found[&format!("greenroom_entity_age_seconds{{entity=\"{entity}\"}}")], "90.500");
    }
    for (series, value) in [
        ("greenroom_runs_total{trigger=\"http\",outcome=\"published\"}", "1"),
        ("greenroom_runs_total{trigger=\"cli\",outcome=\"unchanged\"}", "1"),
        ("greenroom_runs_total{trigger=\"cli\",outcome=\"failed\"}", "1"),
        ("greenroom_publication_age_seconds", "90.500"),
        ("greenroom_publication_timestamp_seconds", "1700000000.000"),
        ("greenroom_last_run_duration_seconds", "0.000"),
        ("greenroom_held", "1"),
        ("greenroom_run_going", "0"),
        ("greenroom_trigger_waiting", "0"),
        ("greenroom_triggers_total{answer=\"started\"}", "1"),
        ("greenroom_triggers_total{answer=\"held\"}", "1"),
        ("greenroom_triggers_total{answer=\"joined\"}", "0"),
        ("greenroom_http_unauthorized_total", "1"),
        ("greenroom_http_rate_limited_total", "0"),
    ] {
        assert_eq!(found.get(series).map(String::as_str), Some(value), "{series} of {found:?}");
    }
    let totals = service.rig.number("SELECT sum(runs) FROM sync_run_totals");
    let runs = found
        .iter()
        .filter(|(series, _)| series.starts_with("greenroom_runs_total"))
        .map(|(_, runs)| runs.parse::<i64>().unwrap());
    assert_eq!(runs.sum::<i64>(), totals);
    assert!(found["greenroom_database_bytes"].parse::<u64>().unwrap() > 0);
    assert!(found.contains_key(&format!("greenroom_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))));
    service.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_tell_of_what_goes_on_and_waits() {
    let (rig, _) = timed().await;
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::StallHead);
    let service = watched(rig, None).await;
    assert_eq!(trigger(service.address).await.status, 200);
    service.rig.blue.until_stalled(Endpoint::Boards).await;
    assert_eq!(trigger(service.address).await.status, 200);
    let found = figures(&service).await;
    assert_eq!([&found["greenroom_run_going"], &found["greenroom_trigger_waiting"]], ["1", "1"]);
    service.rig.blue.behave();
    service.rig.blue.release();
    until_final(service.address, "task_2").await;
    let found = figures(&service).await;
    assert_eq!([&found["greenroom_run_going"], &found["greenroom_trigger_waiting"]], ["0", "0"]);
    service.end().await;
}
