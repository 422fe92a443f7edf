//! A client that writes HTTP by hand, so that a test can send what no client library would, and a server to talk to.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use greenroom::{
    dispatch::{DispatchOptions, Dispatcher},
    ops::OperationError,
    server::{Secrets, Server, ServerLimits, ServerOptions},
};
use secrecy::SecretString;
use serde_json::Value as Json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::support::{Rig, in_time};

/// The secret of all servers here.
pub(crate) const SECRET: &str = "canary-5f0c2d7e91a84b36-of-the-tests";

/// The secret before that.
pub(crate) const PREVIOUS: &str = "previous-canary-0a1b2c3d4e5f-of-the-tests";

/// The headers of a request that may trigger.
pub(crate) const KNOWS: &[(&str, &str)] = &[("authorization", "Bearer canary-5f0c2d7e91a84b36-of-the-tests")];

/// Between two looks at something that is waited for.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// A connection to a server.
pub(crate) struct Connection {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, rest: Vec::new() }
    }

    /// Writes these bytes. The other side may have gone.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Whether more came.
    async fn read(&mut self) -> bool {
        matches!(in_time("bytes of a server", self.stream.read_buf(&mut self.rest)).await, Ok(read) if read > 0)
    }

    /// Waits until the other side closes the connection; what came before that.
    pub(crate) async fn until_closed(&mut self) -> String {
        while self.read().await {}
        String::from_utf8_lossy(&self.rest).into_owned()
    }

    /// Reads up to `end`; `None` when the connection ends before.
    pub(crate) async fn until(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some(place) = self.rest.windows(end.len()).position(|found| found == end.as_bytes()) {
                let found: Vec<u8> = self.rest.drain(..place + end.len()).collect();
                return Some(String::from_utf8(found).unwrap());
            }
            if !self.read().await {
                return None;
            }
        }
    }

    /// Reads an answer; `None` when the connection ends before.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        let head = self.until("\r\n\r\n").await?;
        let mut lines = head.trim_end().lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: BTreeMap<_, _> = lines
            .map(|line| line.split_once(": ").unwrap_or_else(|| panic!("{head}")))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        while self.rest.len() < length {
            assert!(self.read().await, "the body is not whole: {head}");
        }
        let body = self.rest.drain(..length).collect();
        Some(Answer { status, headers, body: String::from_utf8(body).unwrap() })
    }

    /// Whether anything came that was not read yet.
    pub(crate) fn has_more(&mut self) -> bool {
        let read = self.stream.try_read_buf(&mut self.rest);
        !self.rest.is_empty() || read.is_ok()
    }

    /// Reads a piece of a body that comes in pieces; `None` at its end.
    pub(crate) async fn piece(&mut self) -> Option<String> {
        let size = self.until("\r\n").await?;
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or_else(|_| panic!("{size}"));
        while self.rest.len() < size + 2 {
            if !self.read().await {
                return None;
            }
        }
        let piece = self.rest.drain(..size + 2).take(size).collect();
        (size > 0).then(|| String::from_utf8(piece).unwrap())
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.write(&request(method, path, headers, body)).await;
        self.answer().await.unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }
}

/// A request as it is sent.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    let length = (!body.is_empty()).then_some(("content-length", length.as_str()));
    let headers = [("host", "green")].into_iter().chain(length).chain(headers.iter().copied());
    let headers: Vec<_> = headers.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("{method} {path} HTTP/1.1\r\n{}\r\n", headers.concat());
    [head.as_bytes(), body].concat()
}

/// A request on a connection of its own.
pub(crate) async fn send(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    Connection::open(address).await.send(method, path, headers, b"").await
}

/// A trigger as Blue sends it.
pub(crate) async fn trigger(address: SocketAddr) -> Answer {
    send(address, "POST", "/api/internal/orchestrate-sync", KNOWS).await
}

/// The state of a task.
pub(crate) async fn task(address: SocketAddr, id: &str) -> Json {
    let answer = send(address, "GET", &format!("/api/internal/task-status/{id}"), KNOWS).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Polls as Blue does until the state of a task is final.
pub(crate) async fn until_final(address: SocketAddr, id: &str) -> Json {
    in_time("a final state", async {
        loop {
            let task = task(address, id).await;
            if !["QUEUED", "EXECUTING"].contains(&task["status"].as_str().unwrap()) {
                return task;
            }
            tokio::time::sleep(LOOK).await;
        }
    })
    .await
}

/// A server in this process.
pub(crate) struct Service {
    pub(crate) rig: Rig,
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    work: JoinHandle<Result<(), OperationError>>,
}

/// The options of a server whose secrets are [`SECRET`] and [`PREVIOUS`].
pub(crate) fn options() -> ServerOptions {
    let secrets = Secrets::new(&[SecretString::from(SECRET), SecretString::from(PREVIOUS)], [7; 32]).unwrap();
    // A machine at work on other tests is slow.
    let (look, request) = (Duration::from_mins(1), Duration::from_mins(1));
    let limits = ServerLimits { look, request, ..ServerLimits::default() };
    ServerOptions { secrets, client_address_header: None, longest_age: None, limits }
}

impl Service {
    pub(crate) async fn start(rig: Rig) -> Self {
        Self::tuned(rig, options(), DispatchOptions::default()).await
    }

    pub(crate) async fn tuned(rig: Rig, options: ServerOptions, dispatch: DispatchOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server::new(listener, Dispatcher::new(rig.operations.clone(), dispatch), options);
        let address = server.address().unwrap();
        let stop = CancellationToken::new();
        let work = tokio::spawn(server.run(stop.clone(), CancellationToken::new()));
        Self { rig, address, stop, work }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.address, "GET", path, KNOWS).await
    }

    /// Ends it.
    pub(crate) async fn end(self) -> Rig {
        self.stop.cancel();
        in_time("the end of a server", self.work).await.unwrap().unwrap();
        self.rig
    }
}
