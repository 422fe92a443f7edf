//! Faults of single calls.

use std::time::Duration;

use greenroom::{
    entity::Endpoint,
    report::{AttemptReport, RunOutcome, StepOutcome},
};

use super::{Live, PLACES, Place, Tally, all, kept};
use crate::{
    data::Data,
    fake_blue::{Directory, FakeBlue, Fault, Unreachable, When},
    support::{Ran, Rig},
};

/// What becomes of a run, and after how many attempts at the endpoint that the fault is at.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The body is good enough and live.
    Published(u32),
    /// Nothing was touched.
    Failed(u32),
}

/// As if nothing had happened.
const TAKEN: End = End::Published(1);
/// The second attempt goes well.
const AGAIN: End = End::Published(2);
/// Three attempts are all there are.
const GIVEN_UP: End = End::Failed(3);
/// Another attempt would bring the same.
const AT_ONCE: End = End::Failed(1);

#[derive(Clone, Debug)]
enum Ill {
    Call(Fault),
    Way(Unreachable),
}

/// A fault, how a run ends with it at the first call, in the middle and always, and what is said of it.
struct Row {
    name: &'static str,
    ill: Ill,
    ends: [End; 3],
    says: &'static str,
    /// The wait that the server asks for, in milliseconds.
    asks: Option<u64>,
    /// Whether there must be little patience, as only its end ends the call.
    hurried: bool,
}

impl From<Fault> for Ill {
    fn from(fault: Fault) -> Self {
        Self::Call(fault)
    }
}

impl From<Unreachable> for Ill {
    fn from(way: Unreachable) -> Self {
        Self::Way(way)
    }
}

fn row(name: &'static str, ill: impl Into<Ill>, ends: [End; 3], says: &'static str) -> Row {
    Row { name, ill: ill.into(), ends, says, asks: None, hurried: false }
}

impl Row {
    /// The same with little patience.
    fn hurried(self) -> Self {
        Self { hurried: true, ..self }
    }

    /// The same, where the server asks for a wait.
    fn asking(self, milliseconds: u64) -> Self {
        Self { asks: Some(milliseconds), ..self }
    }
}

/// Where the call does not come to an answer.
fn broken_calls() -> Vec<Row> {
    let pause = Duration::from_millis(10);
    let slow = |name, fault: Fault, says| row(name, fault, [AGAIN, AGAIN, GIVEN_UP], says).hurried();
    vec![
        row("connection refused", Unreachable::Refused, [AGAIN, AGAIN, GIVEN_UP], "onnection refused"),
        row("name unknown", Unreachable::NoName, [AGAIN, AGAIN, GIVEN_UP], "dns error"),
        row("connection not answered", Unreachable::BlackHole, [AGAIN, AGAIN, GIVEN_UP], "0.2 s while connecting")
            .hurried(),
        row("closed before the head", Fault::Refuse, [AGAIN, AGAIN, GIVEN_UP], "error sending request"),
        row("reset before the head", Fault::Reset, [AGAIN, AGAIN, GIVEN_UP], "error sending request"),
        row("reset in the body", Fault::ResetMidBody(200), [AGAIN, AGAIN, GIVEN_UP], "body"),
        row("closed before Content-Length", Fault::EarlyClose(200), [AGAIN, AGAIN, GIVEN_UP], "body"),
        row("chunk cut off", Fault::TruncatedChunk(200), [AGAIN, AGAIN, GIVEN_UP], "body"),
        slow("head byte by byte", Fault::SlowHead(pause), "1.0 s while waiting for the answer's head"),
        slow("no head", Fault::StallHead, "1.0 s while waiting for the answer's head"),
        slow("body byte by byte", Fault::SlowBytes(pause), "1.5 s while the attempt as a whole"),
        slow("body stops", Fault::Stall(200), "1.0 s while receiving the body"),
        row("broken gzip", Fault::BrokenGzip, [AGAIN, AGAIN, GIVEN_UP], "gzip"),
        row("gzip bomb", Fault::GzipBomb(8 << 20), [AT_ONCE, AT_ONCE, AT_ONCE], "larger than the cap of 65536 bytes"),
        row("body over the cap", Fault::Altered(padded), [AT_ONCE, AT_ONCE, AT_ONCE], "larger than the cap"),
    ]
}

/// Where the answer is not 200. `other` is a source somewhere else.
fn statuses(other: &FakeBlue) -> Vec<Row> {
    let html = vec![("content-type", "text/html".to_owned())];
    let gateway = Fault::Status(502, html, "<html><h1>Bad Gateway</h1>".to_owned());
    let elsewhere = other.base().join(Endpoint::Boards.path()).unwrap();
    let second = Duration::from_secs(1);
    vec![
        row("500", Fault::status(500), [AGAIN, AGAIN, GIVEN_UP], "HTTP status 500, body begins \"sorry, 500\""),
        row("502 with a page", gateway, [AGAIN, AGAIN, GIVEN_UP], "HTTP status 502, body begins \"<html>"),
        row("503", Fault::status(503), [AGAIN, AGAIN, GIVEN_UP], "HTTP status 503"),
        row("503, come again in 1 s", Fault::retry_after_seconds(503, 1), [AGAIN, AGAIN, GIVEN_UP], "HTTP status 503")
            .asking(1000),
        row("503, come again at", Fault::retry_after_date(503, second), [AGAIN, AGAIN, GIVEN_UP], "HTTP status 503")
            .asking(1000),
        row("503, come in an hour", Fault::retry_after_seconds(503, 3600), [AT_ONCE, AT_ONCE, AT_ONCE], "status 503"),
        row("503, at a late date", Fault::retry_after_date(503, second * 7200), [AT_ONCE, AT_ONCE, AT_ONCE], "503"),
        row("429", Fault::status(429), [AGAIN, AGAIN, GIVEN_UP], "HTTP status 429"),
        row("429, come again in 1 s", Fault::retry_after_seconds(429, 1), [AGAIN, AGAIN, GIVEN_UP], "HTTP status 429")
            .asking(1000),
        row("408", Fault::status(408), [AGAIN, AGAIN, GIVEN_UP], "HTTP status 408"),
        row("425", Fault::status(425), [AGAIN, AGAIN, GIVEN_UP], "HTTP status 425"),
        row("401", Fault::status(401), [AT_ONCE, AT_ONCE, AT_ONCE], "HTTP status 401"),
        row("403", Fault::status(403), [AT_ONCE, AT_ONCE, AT_ONCE], "HTTP status 403"),
        row("404", Fault::status(404), [AT_ONCE, AT_ONCE, AT_ONCE], "HTTP status 404"),
        row("204", Fault::NoContent204, [AT_ONCE, AT_ONCE, AT_ONCE], "HTTP status 204"),
        row(
            "redirect to another host",
            Fault::RedirectTo(elsewhere.into()),
            [AT_ONCE, AT_ONCE, AT_ONCE],
            "HTTP status 302, a redirect to http://127.0.0.1:",
        ),
        row("redirect in a circle", Fault::RedirectLoop, [AT_ONCE, AT_ONCE, AT_ONCE], "too many redirects"),
    ]
}

/// Where the answer is 200 and its body is not what it should be, or looks as if it were not.
fn bodies() -> Vec<Row> {
    let all_over = [AGAIN, AGAIN, GIVEN_UP];
    vec![
        row("200, empty", Fault::Empty200, all_over, "found an empty body"),
        row("200, a page", Fault::Html200, all_over, "found an HTML or XML page"),
        row("200, an error object", Fault::body(r#"{"error":{"code":7}}"#), all_over, "an object with the key `error`"),
        row("null", Fault::body("null"), all_over, "found null"),
        row("{}", Fault::body("{}"), all_over, "found an empty object"),
        row("unknown envelope", Fault::Altered(rewrapped), all_over, "found an object with the key `items`"),
        row("list within data", Fault::Altered(wrapped_twice), all_over, "an object whose `data` is not a list"),
        row("more than a list", Fault::Altered(paged), all_over, "an object with more keys beside its list"),
        row("JSON cut off", Fault::Altered(cut), all_over, "a body that breaks off"),
        row("no UTF-8", Fault::Altered(no_utf8), all_over, "record 0 is not UTF-8 at its byte 3"),
        row("UTF-16", Fault::Altered(utf16), all_over, "something that is not JSON"),
        row("one byte of a BOM", Fault::body(&b"\xEF[]"[..]), all_over, "something that is not JSON"),
        row("BOM", Fault::Altered(marked), [TAKEN, TAKEN, TAKEN], ""),
        row("wrong content type", Fault::ContentType("text/html"), [TAKEN, TAKEN, TAKEN], ""),
        row("compressed", Fault::Gzip, [TAKEN, TAKEN, TAKEN], ""),
        row("in small chunks", Fault::Chunked(7), [TAKEN, TAKEN, TAKEN], ""),
    ]
}

fn padded(body: &[u8]) -> Vec<u8> {
    [body, &vec![b' '; 64 * 1024]].concat()
}

fn rewrapped(body: &[u8]) -> Vec<u8> {
    [br#"{"items""#, &body[br#"{"data""#.len()..]].concat()
}

fn wrapped_twice(body: &[u8]) -> Vec<u8> {
    [br#"{"data":"#, body, b"}"].concat()
}

fn paged(body: &[u8]) -> Vec<u8> {
    [&body[..body.len() - 1], br#","next":2}"#].concat()
}

fn cut(body: &[u8]) -> Vec<u8> {
    body[..body.len() / 2].to_vec()
}

fn no_utf8(body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body[br#"{"data":[{"a"#.len()] = 0xFF;
    body
}

fn utf16(body: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(body).unwrap();
    [0xFEFF].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

fn marked(body: &[u8]) -> Vec<u8> {
    ["\u{feff}".as_bytes(), body].concat()
}

/// The endpoints whose data is new in each case: the first, and the one in the middle.
const NEW: [Endpoint; 2] = [Endpoint::Talents, Endpoint::PortfoliosMedia];

/// What the source sends in a case.
fn data(seed: u64) -> Data {
    let new = Data::small(seed);
    NEW.into_iter().fold(Data::small(1), |data, endpoint| data.with_endpoint_of(endpoint, &new))
}

/// A rig with live and backup versions, whose calls go one by one and by way of a directory.
async fn ready(hurried: bool) -> (Rig, Directory) {
    let blue = FakeBlue::start(&Data::small(0)).await;
    let directory = Directory::of(&blue);
    let rig = Rig::mirroring(blue, |source| {
        source.base = Directory::base();
        source.resolver = Some(directory.resolver());
        source.concurrency = 1;
        source.body_cap = 64 * 1024;
        if hurried {
            source.connect_timeout = Duration::from_millis(250);
            source.idle_timeout = Duration::from_secs(1);
            source.attempt_timeout = Duration::from_millis(1500);
        }
    });
    rig.publish().await;
    rig.publish_data(&data(1)).await;
    (rig, directory)
}

/// All cases of these rows, one after the other.
async fn try_rows(rows: Vec<Row>) -> Tally {
    let (rig, directory) = ready(rows[0].hurried).await;
    let mut tally = Tally::default();
    let mut seed = 1;
    for row in rows {
        tally.faults += 1;
        for (place, end) in PLACES.into_iter().zip(row.ends) {
            seed += 1;
            let data = data(seed);
            rig.blue.send(&data);
            tally.injected += try_case(&rig, &directory, &row, place, end, &data).await;
            tally.cases += 1;
            rig.blue.behave();
            directory.behave();
            let healed = rig.sync().await;
            let expected = if matches!(end, End::Failed(_)) { RunOutcome::Published } else { RunOutcome::Unchanged };
            assert_eq!(healed.outcome(), expected, "{} {place:?}: {:?}", row.name, healed.report.run.error);
            rig.assert_views(&data);
        }
    }
    tally
}

/// All rows, those that take their time each with a database of its own.
async fn try_all(rows: Vec<Row>) -> Tally {
    let mut chains: Vec<Vec<Row>> = Vec::new();
    for row in rows {
        let slow = row.hurried || row.asks.is_some();
        let fits = |chain: &&mut Vec<Row>| !slow && chain.len() < 6 && !chain[0].hurried && chain[0].asks.is_none();
        match chains.iter_mut().find(fits) {
            Some(chain) => chain.push(row),
            None => chains.push(vec![row]),
        }
    }
    all(chains.into_iter().map(try_rows)).await
}

/// One case, with the faults injected in it.
async fn try_case(rig: &Rig, directory: &Directory, row: &Row, place: Place, end: End, data: &Data) -> u32 {
    let case = format!("{} {place:?}", row.name);
    let when = match place {
        Place::First => When::Call(1),
        Place::Middle => When::Call(5),
        Place::Always => When::Always,
    };
    let (live, stored) = (Live::of(rig), kept(rig));
    let (requests, injections) = (rig.blue.requests().len(), rig.blue.injections().len());
    let [first, middle] = NEW;
    match &row.ill {
        Ill::Call(fault) if place == Place::Always => rig.blue.fault(middle, when, fault.clone()),
        Ill::Call(fault) => rig.blue.fault_anywhere(when, fault.clone()),
        Ill::Way(way) => directory.script(when, *way),
    }
    let ran = rig.sync().await;
    let requests = rig.blue.requests().split_off(requests);
    let asked = |endpoint| requests.iter().filter(|request| request.endpoint == Some(endpoint)).count();
    let injections = rig.blue.injections().split_off(injections);
    // Where the fault was, as the source knows it; of a call that never reached it, as the run does.
    let hit: Vec<Endpoint> = match row.ill {
        Ill::Call(_) => Endpoint::ALL.into_iter().filter(|one| injections.contains(one)).collect(),
        Ill::Way(_) => Endpoint::ALL.into_iter().filter(|one| !ran.failed_attempts(*one).is_empty()).collect(),
    };
    let (attempts, failures) = match end {
        End::Published(attempts) => (attempts, attempts - 1),
        End::Failed(attempts) => (attempts, attempts),
    };
    let (injected, reached) = match row.ill {
        Ill::Call(_) => (u32::try_from(injections.len()).unwrap(), attempts),
        Ill::Way(_) => (directory.injected(), attempts - failures),
    };
    match (place, &row.ill) {
        (Place::Always, Ill::Way(_)) => assert_eq!(hit, Endpoint::ALL, "{case}"),
        (Place::First, _) => assert_eq!(hit, [first], "{case}"),
        _ => assert_eq!(hit, [middle], "{case}"),
    }
    assert_eq!(injected as usize, failures.max(1) as usize * hit.len(), "{case}: faults injected");
    let journal = rig.operations.run(ran.report.run.id).await.unwrap().attempts;
    for endpoint in Endpoint::ALL {
        let is_hit = hit.contains(&endpoint);
        let expected = if is_hit { reached } else { 1 };
        assert_eq!(asked(endpoint), expected as usize, "{case}: requests to {endpoint}");
        let (attempts, failures) = if is_hit { (attempts, failures) } else { (1, 0) };
        attempts_are_told(&ran, &journal, row, endpoint, attempts, failures);
    }
    assert!(requests.iter().all(|request| request.headers.contains_key("authorization")), "{case}");
    let told = format!("{:?} {:?} {journal:?}", ran.report, ran.events);
    assert!(!told.contains("s3cr3t") && !told.contains("ana:"), "{case}: a secret in {told}");
    match end {
        End::Failed(_) => {
            failed(&ran, row, &hit, attempts);
            assert_eq!(Live::of(rig), live, "{case}: nothing that visitors see was touched");
            for ((endpoint, now), before) in Endpoint::ALL.into_iter().zip(kept(rig)).zip(stored) {
                let is_new = NEW.contains(&endpoint) && !hit.contains(&endpoint);
                assert_eq!(now != before, is_new, "{case}: snapshots of {endpoint}");
            }
        }
        End::Published(_) => {
            assert_eq!((ran.outcome(), &ran.report.run.error), (RunOutcome::Published, &None), "{case}");
            rig.assert_views(data);
            let now = Live::of(rig);
            for step in &ran.report.entities {
                let entity = step.entity;
                let is_new = NEW.contains(&entity.endpoint());
                let expected = if is_new { StepOutcome::Published } else { StepOutcome::Unchanged };
                assert_eq!(step.outcome, Some(expected), "{case}: {entity}");
                assert_eq!((step.rows, step.quarantined), (data.rows(entity).len() as u64, 0), "{case}: {entity}");
                assert_eq!(step.records, step.rows + step.duplicates, "{case}: {entity}");
                let backup = if is_new { live.rows(entity) } else { live.backups[&entity].clone() };
                assert_eq!(now.backups[&entity], backup, "{case}: the backup of {entity}");
            }
            for ((endpoint, now), before) in Endpoint::ALL.into_iter().zip(kept(rig)).zip(stored) {
                assert_eq!(now != before, NEW.contains(&endpoint), "{case}: snapshots of {endpoint}");
            }
        }
    }
    injected
}

/// Asserts that the run, its journal and its report tell each attempt at `endpoint`.
fn attempts_are_told(
    ran: &Ran,
    journal: &[AttemptReport],
    row: &Row,
    endpoint: Endpoint,
    attempts: u32,
    failures: u32,
) {
    let case = format!("{} at {endpoint}", row.name);
    let failed = ran.failed_attempts(endpoint);
    assert_eq!(failed.len(), failures as usize, "{case}: {failed:?}");
    let journal: Vec<_> = journal.iter().filter(|attempt| attempt.endpoint == endpoint).collect();
    assert_eq!(journal.iter().map(|one| one.attempt).collect::<Vec<_>>(), (1..=attempts).collect::<Vec<_>>(), "{case}");
    for (number, told) in (1..).zip(&journal) {
        let Some((error, wait)) = failed.get(number - 1) else {
            assert_eq!((&told.error, told.status), (&None, Some(200)), "{case}");
            continue;
        };
        assert!(error.contains(row.says), "{case}: no {:?} in {error:?}", row.says);
        assert_eq!(told.error.as_ref(), Some(error), "{case}");
        let status = error.strip_prefix("HTTP status ").map(|rest| rest[..3].parse::<u16>().unwrap());
        assert_eq!(told.status, status, "{case}");
        let is_last = number == attempts as usize;
        assert_eq!(wait.is_none(), is_last, "{case}: attempt {number}");
        if let (Some(asks), false) = (row.asks, is_last) {
            assert_eq!(*wait, Some(asks), "{case}");
        }
        assert_eq!(told.excerpt.is_some(), error.contains("expected a JSON list") || error.contains("body begins"));
    }
    for entity in endpoint.entities() {
        assert_eq!(ran.step(*entity).attempts, attempts, "{case}");
    }
}

/// Asserts that the run failed, and that what it says of it tells what and where.
fn failed(ran: &Ran, row: &Row, hit: &[Endpoint], attempts: u32) {
    let case = row.name;
    assert_eq!(ran.outcome(), RunOutcome::Failed, "{case}");
    let times = if attempts == 1 { "(1 attempt".to_owned() } else { format!("({attempts} attempts)") };
    let late = if row.name.starts_with("503, ") && attempts == 1 { "s would be past the run's deadline" } else { "" };
    for endpoint in Endpoint::ALL {
        let is_hit = hit.contains(&endpoint);
        let sentence = format!("{endpoint} ({}): ", endpoint.path());
        assert_eq!(ran.error().contains(&sentence), is_hit, "{case}: {}", ran.error());
        for entity in endpoint.entities() {
            let step = ran.step(*entity);
            assert_eq!(step.outcome == Some(StepOutcome::Failed), is_hit, "{case}: {entity} {:?}", step.outcome);
            assert_ne!(step.outcome, Some(StepOutcome::Published), "{case}: {entity}");
            let Some(error) = step.error.as_ref().filter(|_| is_hit) else { continue };
            for word in [sentence.as_str(), row.says, &times, late] {
                assert!(error.contains(word) && ran.error().contains(word), "{case}: no {word:?} in {error:?}");
            }
        }
    }
    assert_eq!(hit.is_empty(), ran.error().is_empty(), "{case}");
}

#[tokio::test]
async fn calls_that_break() {
    try_all(broken_calls()).await.tell("calls that break", Tally { faults: 15, cases: 45, injected: 143 });
}

#[tokio::test]
async fn answers_that_are_not_200() {
    let other = FakeBlue::start(&Data::marked(9)).await;
    let tally = try_all(statuses(&other)).await;
    assert!(other.requests().is_empty(), "another host was asked");
    tally.tell("answers that are not 200", Tally { faults: 17, cases: 51, injected: 69 });
}

#[tokio::test]
async fn bodies_that_are_no_list() {
    try_all(bodies()).await.tell("bodies that are no list", Tally { faults: 16, cases: 48, injected: 72 });
}
