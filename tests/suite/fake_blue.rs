//! A NowRepBlue on a loopback port that breaks the rules on demand, per endpoint and attempt.
//!
//! HTTP/1.1 is written by hand, so that every rule of it can be broken; one connection is one request. What it was asked
//! and which faults it in fact injected is kept, so that a test can say that its fault happened.

use std::{
    collections::BTreeMap,
    io::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use flate2::{Compression, write::GzEncoder};
use greenroom::{blue::Envelope, entity::Endpoint};
use reqwest::Url;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::{data::Data, support::in_time};

/// Paths under it answer well whatever the script says; see [`Fault::RedirectTo`].
pub(crate) const MOVED: &str = "/moved";

/// Which attempts of a run at an endpoint a fault is for. Attempts count from 1 in each run, told apart by the run's
/// number in the request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    /// The first so many.
    First(u32),
    /// Only this one.
    Attempt(u32),
    /// All of them.
    Always,
}

impl When {
    fn covers(self, attempt: u32) -> bool {
        match self {
            Self::First(count) => attempt <= count,
            Self::Attempt(number) => attempt == number,
            Self::Always => true,
        }
    }
}

/// What is done instead of answering well.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// This status with these headers and this body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// The connection is closed after the request, before the head of an answer.
    Refuse,
    /// The connection is reset after the request, before the head of an answer.
    Reset,
    /// The connection is reset after so many bytes of the body.
    ResetMidBody(usize),
    /// Closed after so many bytes, fewer than announced.
    EarlyClose(usize),
    /// A chunked body that ends inside a chunk, after so many bytes.
    TruncatedChunk(usize),
    /// Nothing at all until released.
    StallHead,
    /// Head and so many bytes of the body, the rest when released.
    Stall(usize),
    /// The body one byte at a time, with a pause after each.
    SlowBytes(Duration),
    /// A page in place of JSON, with status 200.
    Html200,
    /// No body, with status 200.
    Empty200,
    /// Status 204.
    NoContent204,
    /// This body, with status 200.
    Body(Vec<u8>),
    /// A redirect to this address.
    RedirectTo(String),
    /// A body that says it is compressed and is not.
    BrokenGzip,
    /// A small answer that unpacks to a valid list of so many bytes.
    GzipBomb(usize),
    /// The good body, compressed. No fault, but as rare.
    Gzip,
    /// The good body in chunks of so many bytes. No fault, but as rare.
    Chunked(usize),
}

impl Fault {
    /// This status with a short text.
    pub(crate) fn status(status: u16) -> Self {
        Self::Status(status, Vec::new(), format!("sorry, {status}"))
    }

    /// This status and a `Retry-After` in seconds.
    pub(crate) fn retry_after_seconds(status: u16, seconds: u64) -> Self {
        Self::Status(status, vec![("retry-after", seconds.to_string())], String::new())
    }

    /// This status and a `Retry-After` with a date so much later than the server's own.
    pub(crate) fn retry_after_date(status: u16, later: Duration) -> Self {
        // Any clock will do, as the answer tells it; one that is far off shows that it is looked at.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let headers =
            vec![("date", httpdate::fmt_http_date(now)), ("retry-after", httpdate::fmt_http_date(now + later))];
        Self::Status(status, headers, String::new())
    }

    /// This body.
    pub(crate) fn body(body: impl Into<Vec<u8>>) -> Self {
        Self::Body(body.into())
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The endpoint, when the path is one.
    pub(crate) endpoint: Option<Endpoint>,
    /// Its number among the run's requests to that endpoint, from 1.
    pub(crate) attempt: u32,
    /// The path as asked for.
    pub(crate) path: String,
    /// Header names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Script {
    endpoint: Endpoint,
    when: When,
    fault: Fault,
}

#[derive(Debug, Default)]
struct State {
    bodies: BTreeMap<Endpoint, Arc<Vec<u8>>>,
    scripts: Vec<Script>,
    requests: Vec<Request>,
    injected: BTreeMap<Endpoint, u32>,
    stalled: BTreeMap<Endpoint, u32>,
    knows: Knows,
    unmodified: BTreeMap<Endpoint, u32>,
}

/// By what the fake knows a body again that it sent before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Knows {
    /// By nothing: it sends no validators and answers in full.
    #[default]
    Nothing,
    /// By an `ETag` of the body.
    Etag,
    /// By a `Last-Modified` that says nothing about the body, so many seconds before the `Date` of the answer.
    Date(u64),
}

impl Knows {
    /// The headers that go with `body`.
    fn headers(self, body: &[u8]) -> Vec<(&'static str, String)> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Etag => vec![("etag", format!("\"{}\"", blake3::hash(body).to_hex()))],
            Self::Date(age) => {
                let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
                let modified = now - Duration::from_secs(age);
                vec![("date", httpdate::fmt_http_date(now)), ("last-modified", httpdate::fmt_http_date(modified))]
            }
        }
    }

    /// Whether a request with these headers asks for what `body` is known by.
    fn recognizes(self, body: &[u8], asked: &BTreeMap<String, String>) -> bool {
        let wanted = self.headers(body);
        let tag = |name: &str| wanted.iter().find(|(one, _)| *one == name).map(|(_, value)| value);
        let same = |header: &str, name: &str| asked.get(header).is_some_and(|value| Some(value) == tag(name));
        same("if-none-match", "etag") || same("if-modified-since", "last-modified")
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Wakes who waits for a change of the state.
    changed: watch::Sender<()>,
    /// Wakes what is stalled.
    released: watch::Sender<u64>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state());
        self.changed.send_replace(());
        changed
    }
}

/// The fake source. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct FakeBlue {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Drop for FakeBlue {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakeBlue {
    /// Starts on a port of its own, sending `data` under the key `data`.
    pub(crate) async fn start(data: &Data) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (changed, released) = (watch::Sender::new(()), watch::Sender::new(0));
        let shared = Arc::new(Shared { state: Mutex::default(), changed, released });
        let serving = shared.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = serving.clone();
                // Whatever the client does to its connection is not the fake's concern.
                tokio::spawn(async move { drop(serve(stream, &shared).await) });
            }
        });
        let blue = Self { address, shared, server };
        blue.send(data);
        blue
    }

    /// Its base address.
    pub(crate) fn base(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).unwrap()
    }

    /// Sends `data` from now on.
    pub(crate) fn send(&self, data: &Data) {
        self.send_as(data, Envelope::Data);
    }

    /// Sends `data` from now on, wrapped like this.
    pub(crate) fn send_as(&self, data: &Data, envelope: Envelope) {
        for endpoint in Endpoint::ALL {
            self.send_body(endpoint, data.body(endpoint, envelope));
        }
    }

    /// Sends this body at `endpoint` from now on.
    pub(crate) fn send_body(&self, endpoint: Endpoint, body: impl Into<Vec<u8>>) {
        let body = Arc::new(body.into());
        self.shared.change(|state| state.bodies.insert(endpoint, body));
    }

    /// Does `fault` at `endpoint`. Of several that cover an attempt the first scripted is done.
    pub(crate) fn fault(&self, endpoint: Endpoint, when: When, fault: Fault) {
        self.shared.change(|state| state.scripts.push(Script { endpoint, when, fault }));
    }

    /// Forgets all faults; what is stalled stays so.
    pub(crate) fn behave(&self) {
        self.shared.change(|state| state.scripts.clear());
    }

    /// Forgets the requests so far, of which a long drill makes many.
    pub(crate) fn forget(&self) {
        self.shared.change(|state| state.requests.clear());
    }

    /// Sends validators from now on, and says 304 to whom they come from.
    pub(crate) fn know_by(&self, knows: Knows) {
        self.shared.change(|state| state.knows = knows);
    }

    /// How often `endpoint` was answered with 304.
    pub(crate) fn unmodified(&self, endpoint: Endpoint) -> u32 {
        self.shared.state().unmodified.get(&endpoint).copied().unwrap_or_default()
    }

    /// Lets all go on that is stalled now.
    pub(crate) fn release(&self) {
        self.shared.released.send_modify(|times| *times += 1);
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.clone()
    }

    /// Requests to `endpoint` so far.
    pub(crate) fn asked(&self, endpoint: Endpoint) -> usize {
        self.shared.state().requests.iter().filter(|request| request.endpoint == Some(endpoint)).count()
    }

    /// Faults injected at `endpoint` so far.
    pub(crate) fn injected(&self, endpoint: Endpoint) -> u32 {
        self.shared.state().injected.get(&endpoint).copied().unwrap_or_default()
    }

    /// Faults injected anywhere so far.
    pub(crate) fn injected_in_all(&self) -> u32 {
        self.shared.state().injected.values().sum()
    }

    /// Waits until an answer of `endpoint` is stalled.
    pub(crate) async fn until_stalled(&self, endpoint: Endpoint) {
        let mut changed = self.shared.changed.subscribe();
        let stalled = changed.wait_for(|()| self.shared.state().stalled.get(&endpoint).is_some_and(|count| *count > 0));
        in_time("an answer to be stalled", stalled).await.unwrap();
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let Some((path, headers)) = read_head(&mut stream).await? else { return Ok(()) };
    let plain = path.strip_prefix(MOVED).unwrap_or(&path);
    let endpoint = Endpoint::ALL.into_iter().find(|endpoint| endpoint.path() == plain);
    let moved = plain != path;
    let run = headers.get("x-greenroom-run").cloned();
    let asked = headers.clone();
    let (body, fault, knows) = shared.change(|state| {
        let same = state
            .requests
            .iter()
            .filter(|request| request.endpoint == endpoint && request.headers.get("x-greenroom-run") == run.as_ref());
        let attempt = u32::try_from(same.count()).unwrap() + 1;
        state.requests.push(Request { endpoint, attempt, path: path.clone(), headers });
        let body = endpoint.and_then(|endpoint| state.bodies.get(&endpoint)).cloned();
        let mut scripts = state.scripts.iter();
        let script = scripts.find(|script| !moved && Some(script.endpoint) == endpoint && script.when.covers(attempt));
        (body, script.map(|script| script.fault.clone()), state.knows)
    });
    let (Some(endpoint), Some(body)) = (endpoint, body) else {
        return answer(&mut stream, 404, &[], b"no such endpoint").await;
    };
    match fault {
        None if knows.recognizes(&body, &asked) => {
            shared.change(|state| *state.unmodified.entry(endpoint).or_default() += 1);
            stream.write_all(b"HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n").await?;
            stream.shutdown().await
        }
        None => answer(&mut stream, 200, &knows.headers(&body), &body).await,
        Some(fault) => {
            shared.change(|state| *state.injected.entry(endpoint).or_default() += 1);
            inject(stream, shared, endpoint, &body, fault).await
        }
    }
}

async fn inject(
    mut stream: TcpStream,
    shared: &Shared,
    endpoint: Endpoint,
    body: &[u8],
    fault: Fault,
) -> std::io::Result<()> {
    let gzip = [("content-encoding", "gzip".to_owned())];
    match fault {
        Fault::Status(status, headers, text) => answer(&mut stream, status, &headers, text.as_bytes()).await,
        Fault::Refuse => stream.shutdown().await,
        Fault::Reset => stream.set_zero_linger(),
        Fault::ResetMidBody(count) => {
            send_start(&mut stream, body, count).await?;
            stream.set_zero_linger()
        }
        Fault::EarlyClose(count) => {
            send_start(&mut stream, body, count).await?;
            stream.shutdown().await
        }
        Fault::TruncatedChunk(count) => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(format!("{head}{:x}\r\n", body.len()).as_bytes()).await?;
            stream.write_all(&body[..count.min(body.len() - 1)]).await?;
            stream.shutdown().await
        }
        Fault::StallHead => {
            stall(&mut stream, shared, endpoint).await?;
            answer(&mut stream, 200, &[], body).await
        }
        Fault::Stall(count) => {
            let count = send_start(&mut stream, body, count).await?;
            stall(&mut stream, shared, endpoint).await?;
            stream.write_all(&body[count..]).await?;
            stream.shutdown().await
        }
        Fault::SlowBytes(pause) => {
            send_start(&mut stream, body, 0).await?;
            for byte in body {
                stream.write_all(&[*byte]).await?;
                tokio::time::sleep(pause).await;
            }
            stream.shutdown().await
        }
        Fault::Html200 => {
            let html = [("content-type", "text/html".to_owned())];
            answer(&mut stream, 200, &html, b"<!doctype html><title>502 Bad Gateway</title>").await
        }
        Fault::Empty200 => answer(&mut stream, 200, &[], b"").await,
        Fault::NoContent204 => {
            stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await?;
            stream.shutdown().await
        }
        Fault::Body(body) => answer(&mut stream, 200, &[], &body).await,
        Fault::RedirectTo(location) => answer(&mut stream, 302, &[("location", location)], b"over there").await,
        Fault::BrokenGzip => answer(&mut stream, 200, &gzip, body).await,
        Fault::GzipBomb(size) => {
            let mut bomb = vec![b' '; size];
            bomb[0] = b'[';
            bomb[size - 1] = b']';
            answer(&mut stream, 200, &gzip, &compressed(&bomb)).await
        }
        Fault::Gzip => answer(&mut stream, 200, &gzip, &compressed(body)).await,
        Fault::Chunked(size) => {
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            for chunk in body.chunks(size) {
                stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await?;
                stream.write_all(chunk).await?;
                stream.write_all(b"\r\n").await?;
            }
            stream.write_all(b"0\r\n\r\n").await?;
            stream.shutdown().await
        }
    }
}

fn compressed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// The path and the headers of a request; `None` when the client went away.
async fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<(String, BTreeMap<String, String>)>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let path = lines.next().and_then(|line| line.strip_prefix("GET ")?.split(' ').next()).unwrap_or_default();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    Ok(Some((path.to_owned(), headers.collect())))
}

async fn answer(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(&'static str, String)],
    body: &[u8],
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        head.push_str("content-type: application/json\r\n");
    }
    for (name, value) in headers {
        head.extend([*name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.shutdown().await
}

/// The head of a good answer and the first `count` bytes of its body, never all of them.
async fn send_start(stream: &mut TcpStream, body: &[u8], count: usize) -> std::io::Result<usize> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    let count = count.min(body.len() - 1);
    stream.write_all(&body[..count]).await?;
    stream.flush().await?;
    Ok(count)
}

/// Waits to be released, or for the client to go away.
async fn stall(stream: &mut TcpStream, shared: &Shared, endpoint: Endpoint) -> std::io::Result<()> {
    let mut released = shared.released.subscribe();
    shared.change(|state| *state.stalled.entry(endpoint).or_default() += 1);
    let mut nothing = [0];
    let gone = tokio::select! {
        _ = released.changed() => false,
        read = stream.read(&mut nothing) => matches!(read, Ok(0) | Err(_)),
    };
    shared.change(|state| *state.stalled.entry(endpoint).or_default() -= 1);
    if gone { Err(std::io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
}
