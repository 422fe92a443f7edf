//! A source that fails at several endpoints, in passing and for good: nothing is switched, and what is said helps.
//!
//! What becomes of each single fault is told by `fault_matrix`.

use std::time::Duration;

use greenroom::{
    blue::Envelope,
    entity::{Endpoint, Entity},
    report::{RunOutcome, StepOutcome},
};
use reqwest::Url;

use crate::{
    data::Data,
    fake_blue::{FakeBlue, Fault, MOVED, When},
    support::{Ran, Rig},
};

/// A body that breaks off in the middle.
fn cut(data: &Data, endpoint: Endpoint) -> Vec<u8> {
    let mut body = data.body(endpoint, Envelope::Data);
    body.truncate(body.len() / 2);
    body
}

/// Asserts that the step of each entity of `endpoint` failed after so many attempts, each with an error that tells `what`.
fn assert_failed(ran: &Ran, endpoint: Endpoint, attempts: u32, what: &str) {
    assert_eq!(ran.outcome(), RunOutcome::Failed, "{endpoint}");
    let times = if attempts == 1 { "(1 attempt".to_owned() } else { format!("({attempts} attempts") };
    for word in [endpoint.key(), endpoint.path(), what, &times] {
        assert!(ran.error().contains(word), "{endpoint}: no {word:?} in {:?}", ran.error());
    }
    for entity in endpoint.entities() {
        let step = ran.step(*entity);
        assert_eq!((step.outcome, step.attempts), (Some(StepOutcome::Failed), attempts), "{entity}");
        assert!(step.error.as_ref().is_some_and(|error| error.contains(what)), "{entity}: {:?}", step.error);
    }
    let failed = ran.failed_attempts(endpoint);
    assert_eq!(failed.len(), attempts as usize, "{failed:?}");
    for (place, (error, wait)) in failed.iter().enumerate() {
        assert!(error.contains(what), "{endpoint}: {error}");
        assert_eq!(wait.is_some(), place + 1 < attempts as usize, "{endpoint}: attempt {}", place + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_fails_for_ever_leaves_every_view_as_it_was() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.publish_data(&Data::small(2)).await;
    let before = rig.picture();
    rig.blue.send(&Data::small(3));
    for endpoint in Endpoint::ALL {
        rig.blue.behave();
        rig.blue.fault(endpoint, When::Always, Fault::status(500));
        let ran = rig.sync().await;
        assert_failed(&ran, endpoint, 3, "HTTP status 500, body begins \"sorry, 500\"");
        assert_eq!(rig.blue.injected(endpoint), 3);
        assert_eq!(rig.picture(), before, "{endpoint}");
        for step in &ran.report.entities {
            assert_eq!((step.active_version, step.backup_version), (2, 1), "{endpoint}: {}", step.entity);
        }
        let told = rig.operations.run(ran.report.run.id).await.unwrap();
        let of_it: Vec<_> = told.attempts.iter().filter(|attempt| attempt.endpoint == endpoint).collect();
        assert_eq!(
            of_it.iter().map(|one| (one.attempt, one.status)).collect::<Vec<_>>(),
            [(1, Some(500)), (2, Some(500)), (3, Some(500))]
        );
    }
    rig.blue.behave();
    rig.publish().await;
    rig.assert_views(&Data::small(3));
    rig.assert_versions((1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sync_that_fails_publishes_nothing_and_names_all_that_failed() {
    let rig = Rig::new(&Data::small(1)).await;
    let before = rig.picture();
    for (endpoint, status) in Endpoint::ALL.into_iter().zip(500_u16..) {
        rig.blue.fault(endpoint, When::Always, Fault::status(status));
    }
    let ran = rig.sync().await;
    for (endpoint, status) in Endpoint::ALL.into_iter().zip(500_u16..) {
        assert_failed(&ran, endpoint, 3, &format!("HTTP status {status}"));
    }
    assert_eq!(rig.picture(), before);
    assert_eq!(rig.blue.injected_in_all(), 27);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_failures_are_forgiven_and_three_are_not() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.blue.fault(Endpoint::Boards, When::First(2), Fault::status(500));
    rig.blue.fault(Endpoint::Talents, When::Attempt(2), Fault::status(500));
    let ran = rig.publish().await;
    assert_eq!((ran.step(Entity::Boards).attempts, ran.step(Entity::Talents).attempts), (3, 1));
    rig.blue.behave();
    rig.blue.fault(Endpoint::Boards, When::First(3), Fault::status(500));
    assert_failed(&rig.sync().await, Endpoint::Boards, 3, "500");
    assert_eq!(rig.blue.injected_in_all(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_is_not_tried_again() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    let before = rig.picture();
    let statuses = [400, 401, 403, 404, 405, 410, 201, 304];
    for (endpoint, status) in Endpoint::ALL.into_iter().zip(statuses) {
        rig.blue.fault(endpoint, When::Always, Fault::status(status));
    }
    let last = Endpoint::ALL[8];
    rig.blue.fault(last, When::Always, Fault::NoContent204);
    let ran = rig.sync().await;
    for (endpoint, status) in Endpoint::ALL.into_iter().zip(statuses) {
        assert_failed(&ran, endpoint, 1, &format!("HTTP status {status}"));
    }
    assert_failed(&ran, last, 1, "HTTP status 204");
    assert_eq!(rig.blue.injected_in_all(), 9);
    assert_eq!(rig.picture(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_honoured_up_to_the_deadline() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.blue.fault(Endpoint::Talents, When::First(1), Fault::retry_after_seconds(503, 1));
    rig.blue.fault(Endpoint::Boards, When::First(1), Fault::retry_after_date(429, Duration::from_secs(1)));
    rig.blue.fault(Endpoint::MediaTags, When::First(1), Fault::retry_after_seconds(503, 0));
    let ran = rig.publish().await;
    for (endpoint, wait) in [(Endpoint::Talents, 1000), (Endpoint::Boards, 1000), (Endpoint::MediaTags, 1)] {
        assert_eq!(ran.failed_attempts(endpoint)[0].1, Some(wait), "{endpoint}");
    }
    rig.blue.behave();
    // More seconds than any clock can count are an answer like others.
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::retry_after_seconds(503, u64::MAX));
    assert_failed(&rig.sync().await, Endpoint::Boards, 1, "HTTP status 503");
    rig.blue.behave();
    rig.blue.fault(Endpoint::Talents, When::Always, Fault::retry_after_seconds(503, 3600));
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::retry_after_date(503, Duration::from_hours(2)));
    let ran = rig.sync().await;
    assert_failed(&ran, Endpoint::Talents, 1, "HTTP status 503");
    assert_failed(&ran, Endpoint::Boards, 1, "HTTP status 503");
    for wait in ["the next one in 3600 s would be past the run's deadline", "in 7200 s"] {
        assert!(ran.error().contains(wait), "{}", ran.error());
    }
    assert_eq!(rig.blue.injected_in_all(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_body_is_a_failure_that_says_what_was_found() {
    let data = Data::small(2);
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    let (before, snapshots) = (rig.picture(), rig.operations.history(None).await.unwrap());
    rig.blue.send(&data);
    let rounds: [[(Fault, &str); 9]; 3] = [
        [
            (Fault::Html200, "an HTML or XML page"),
            (Fault::Empty200, "an empty body"),
            (Fault::body("null"), "null"),
            (Fault::body("{}"), "an empty object"),
            (Fault::body("{\"error\":{\"code\":1}}"), "an object with the key `error`"),
            (Fault::body("\"ok\""), "a text"),
            (Fault::body("{\"data\":null}"), "an object whose `data` is not a list"),
            (Fault::body("{\"data\":{\"items\":[]}}"), "an object whose `data` is not a list"),
            (Fault::Body(cut(&data, Endpoint::BoardsPortfolios)), "a body that breaks off"),
        ],
        [
            (Fault::body("{\"data\":[],\"next\":2}"), "more keys beside its list"),
            (Fault::body("{\"talents\":[]}"), "an object with the key `talents`"),
            (Fault::body("[1,]"), "unexpected ']'"),
            (Fault::body("[{\"id\":1}{\"id\":2}]"), "unexpected '{'"),
            (Fault::body("[][]"), "more bytes after the end"),
            (Fault::body("[{\"id\":01}]"), "record 0 is not JSON"),
            (Fault::body(&b"[{\"id\":\"\xff\"}]"[..]), "not UTF-8"),
            (Fault::body("[{\"id\":\"a"), "a body that breaks off"),
            (Fault::body("OK"), "something that is not JSON"),
        ],
        [
            (Fault::body("   \n"), "an empty body"),
            (Fault::body("true"), "something that is not JSON"),
            (Fault::body("[{\"id\":\"a\"},{\"id\":NaN}]"), "record 1 is not JSON"),
            (Fault::body("["), "a body that breaks off"),
            (Fault::body("[{\"id\":\"a\u{1}\"}]"), "record 0 is not JSON"),
            (Fault::body("{\"data\":[]"), "a body that breaks off"),
            (Fault::body("{\"data\" [ ]}"), "unexpected '['"),
            (Fault::body("{\"Data\":[]}"), "an object with the key `Data`"),
            (Fault::body("<?xml version=\"1.0\"?>"), "an HTML or XML page"),
        ],
    ];
    for round in rounds {
        rig.blue.behave();
        for (endpoint, (fault, _)) in Endpoint::ALL.into_iter().zip(&round) {
            rig.blue.fault(endpoint, When::Always, fault.clone());
        }
        let ran = rig.sync().await;
        let told = rig.operations.run(ran.report.run.id).await.unwrap().attempts;
        for (endpoint, (fault, what)) in Endpoint::ALL.into_iter().zip(&round) {
            assert_failed(&ran, endpoint, 3, what);
            assert_failed(&ran, endpoint, 3, "expected a JSON list of records, found ");
            let Fault::Body(body) = fault else { continue };
            let start = String::from_utf8_lossy(&body[..body.len().min(4096)]).into_owned();
            let kept =
                told.iter().filter(|attempt| attempt.endpoint == endpoint && attempt.excerpt.as_ref() == Some(&start));
            assert_eq!(kept.count(), 3, "the start of an unreadable body is kept: {endpoint} {start:?}");
        }
    }
    assert_eq!(rig.blue.injected_in_all(), 81);
    assert_eq!(rig.picture(), before);
    assert_eq!(rig.operations.history(None).await.unwrap(), snapshots, "an unreadable body is no snapshot");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_body_that_goes_on_is_taken() {
    let data = Data::small(1);
    let rig = Rig::new(&data).await;
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::Stall(30));
    rig.blue.fault(Endpoint::Talents, When::Always, Fault::StallHead);
    let running = rig.start();
    rig.blue.until_stalled(Endpoint::Boards).await;
    rig.blue.until_stalled(Endpoint::Talents).await;
    rig.blue.release();
    assert_eq!(running.end().await.unwrap().outcome(), RunOutcome::Published);
    rig.check();
    rig.assert_views(&data);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_cap_is_not_taken_however_it_comes() {
    let rig = Rig::tuned(&Data::small(1), |source| source.body_cap = 64 * 1024).await;
    let before = rig.picture();
    let mut wide = vec![b' '; 100_000];
    (wide[0], wide[99_999]) = (b'[', b']');
    rig.blue.send_body(Endpoint::Boards, wide.clone());
    rig.blue.fault(Endpoint::Talents, When::Always, Fault::Body(wide));
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::Chunked(1000));
    rig.blue.fault(Endpoint::MediaTags, When::Always, Fault::GzipBomb(8 * 1024 * 1024));
    let ran = rig.sync().await;
    for endpoint in [Endpoint::Talents, Endpoint::Boards, Endpoint::MediaTags] {
        assert_failed(&ran, endpoint, 1, "larger than the cap of 65536 bytes");
        assert_eq!(rig.blue.injected(endpoint), 1);
    }
    assert_eq!(rig.picture(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_followed_on_the_same_host_only() {
    let data = Data::small(1);
    let rig = Rig::new(&data).await;
    let other = FakeBlue::start(&Data::small(2)).await;
    let moved = format!("{MOVED}{}", Endpoint::Boards.path());
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::RedirectTo(moved.clone()));
    rig.publish().await;
    rig.assert_views(&data);
    assert!(rig.blue.requests().iter().any(|request| request.path == moved));
    rig.blue.send(&Data::small(2));
    let elsewhere = other.base().join(Endpoint::Boards.path()).unwrap();
    let https = format!("https://{}{moved}", rig.blue.base().authority());
    for (target, what) in
        [(elsewhere.as_str(), elsewhere.as_str()), (&https, &https), (Endpoint::Boards.path(), "redirect")]
    {
        rig.blue.behave();
        rig.blue.fault(Endpoint::Boards, When::Always, Fault::RedirectTo(target.to_owned()));
        assert_failed(&rig.sync().await, Endpoint::Boards, 1, what);
    }
    assert!(other.requests().is_empty(), "another host was asked");
    rig.assert_views(&data);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_not_there_is_said_to_be_so() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = Url::parse(&format!("http://{}/base/", taken.local_addr().unwrap())).unwrap();
    drop(taken);
    let rig = Rig::tuned(&Data::small(1), |source| source.base = base).await;
    let ran = rig.sync().await;
    for endpoint in Endpoint::ALL {
        assert_failed(&ran, endpoint, 3, "onnection refused");
    }
    assert!(rig.blue.requests().is_empty());
}
