//! What the fake source can do instead of answering well.

use std::{
    io::Write as _,
    time::{Duration, SystemTime},
};

use flate2::{Compression, write::GzEncoder};
use greenroom::entity::Endpoint;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{ROUND, Shared};

/// Which attempts of a run at an endpoint a fault is for. Attempts count from 1 in each run, told apart by the run's
/// number in the request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    /// The first so many.
    First(u32),
    /// Only this one.
    Attempt(u32),
    /// The attempt that is the run's request number so many, whichever endpoint it asks.
    Call(u32),
    /// All of them.
    Always,
}

impl When {
    pub(super) fn covers(self, attempt: u32, call: u32) -> bool {
        match self {
            Self::Call(number) => call == number,
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
    /// The head one byte at a time, with a pause after each.
    SlowHead(Duration),
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
    /// What this makes of the good body, with status 200.
    Altered(fn(&[u8]) -> Vec<u8>),
    /// The good body, said to be of this type.
    ContentType(&'static str),
    /// A redirect to this address.
    RedirectTo(String),
    /// A redirect to an address that leads to itself.
    RedirectLoop,
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

/// Answers a request for `endpoint`, which has this good `body`, in a bad way.
pub(super) async fn inject(
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
        Fault::SlowHead(pause) => {
            // Longer than anybody waits for its end.
            let head = format!("HTTP/1.1 200 OK\r\nx-padding: {}", "x".repeat(10_000));
            dawdle(&mut stream, head.as_bytes(), pause).await?;
            stream.shutdown().await
        }
        Fault::SlowBytes(pause) => {
            send_start(&mut stream, body, 0).await?;
            dawdle(&mut stream, body, pause).await?;
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
        Fault::Altered(alter) => answer(&mut stream, 200, &[], &alter(body)).await,
        Fault::ContentType(kind) => answer(&mut stream, 200, &[("content-type", kind.to_owned())], body).await,
        Fault::RedirectTo(location) => answer(&mut stream, 302, &[("location", location)], b"over there").await,
        Fault::RedirectLoop => {
            let location = format!("{ROUND}{}", endpoint.path());
            answer(&mut stream, 302, &[("location", location)], b"round and round").await
        }
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

/// A whole answer that keeps to the rules.
pub(super) async fn answer(
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

/// Sends one byte at a time.
async fn dawdle(stream: &mut TcpStream, bytes: &[u8], pause: Duration) -> std::io::Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte]).await?;
        tokio::time::sleep(pause).await;
    }
    Ok(())
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
