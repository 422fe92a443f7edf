//! A NowRepBlue on a loopback port that breaks the rules on demand, per endpoint and attempt.
//!
//! HTTP/1.1 is written by hand, so that every rule of it can be broken; one connection is one request. What it was asked
//! and which faults it in fact injected is kept, so that a test can say that its fault happened.
//!
//! `fault` is what it can do instead of answering well, `directory` what can happen before it is reached at all.

mod directory;
mod fault;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use greenroom::{blue::Envelope, entity::Endpoint};
use reqwest::Url;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

pub(crate) use self::{
    directory::{Directory, Unreachable},
    fault::{Fault, When},
};
use crate::{data::Data, support::in_time};

/// Paths under it answer well whatever the script says; see [`Fault::RedirectTo`].
pub(crate) const MOVED: &str = "/moved";

/// Paths under it lead to themselves; see [`Fault::RedirectLoop`].
const ROUND: &str = "/round";

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
    /// `None` for whichever is asked.
    endpoint: Option<Endpoint>,
    when: When,
    fault: Fault,
}

#[derive(Debug, Default)]
struct State {
    bodies: BTreeMap<Endpoint, Arc<Vec<u8>>>,
    scripts: Vec<Script>,
    requests: Vec<Request>,
    injected: Vec<Endpoint>,
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
        self.script(Some(endpoint), when, fault);
    }

    /// Does `fault` at whichever endpoint is asked.
    pub(crate) fn fault_anywhere(&self, when: When, fault: Fault) {
        self.script(None, when, fault);
    }

    fn script(&self, endpoint: Option<Endpoint>, when: When, fault: Fault) {
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
        u32::try_from(self.injections().into_iter().filter(|one| *one == endpoint).count()).unwrap()
    }

    /// Faults injected anywhere so far.
    pub(crate) fn injected_in_all(&self) -> u32 {
        u32::try_from(self.injections().len()).unwrap()
    }

    /// Where each fault was injected so far.
    pub(crate) fn injections(&self) -> Vec<Endpoint> {
        self.shared.state().injected.clone()
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
    if path.starts_with(ROUND) {
        return fault::answer(&mut stream, 302, &[("location", path)], b"round and round").await;
    }
    let plain = path.strip_prefix(MOVED).unwrap_or(&path);
    let endpoint = Endpoint::ALL.into_iter().find(|endpoint| endpoint.path() == plain);
    let moved = plain != path;
    let run = headers.get("x-greenroom-run").cloned();
    let asked = headers.clone();
    let (body, fault, knows) = shared.change(|state| {
        let number = |wanted: &dyn Fn(&Request) -> bool| {
            let of_run = state.requests.iter().filter(|one| one.headers.get("x-greenroom-run") == run.as_ref());
            u32::try_from(of_run.filter(|one| wanted(one)).count()).unwrap() + 1
        };
        let (attempt, call) = (number(&|one| one.endpoint == endpoint), number(&|one| one.endpoint.is_some()));
        state.requests.push(Request { endpoint, attempt, path: path.clone(), headers });
        let body = endpoint.and_then(|endpoint| state.bodies.get(&endpoint)).cloned();
        let covers = |script: &&Script| {
            !moved && (script.endpoint.is_none() || script.endpoint == endpoint) && script.when.covers(attempt, call)
        };
        let script = state.scripts.iter().find(covers);
        (body, script.map(|script| script.fault.clone()), state.knows)
    });
    let (Some(endpoint), Some(body)) = (endpoint, body) else {
        return fault::answer(&mut stream, 404, &[], b"no such endpoint").await;
    };
    match fault {
        None if knows.recognizes(&body, &asked) => {
            shared.change(|state| *state.unmodified.entry(endpoint).or_default() += 1);
            stream.write_all(b"HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n").await?;
            stream.shutdown().await
        }
        None => fault::answer(&mut stream, 200, &knows.headers(&body), &body).await,
        Some(fault) => {
            shared.change(|state| state.injected.push(endpoint));
            fault::inject(stream, shared, endpoint, &body, fault).await
        }
    }
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
