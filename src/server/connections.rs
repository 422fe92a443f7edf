//! Connections: how many there may be, how long they may do nothing, and how they end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tower::ServiceExt;

use super::{Shared, address::Peer, routes};

/// Largest head of a request, in bytes.
const LARGEST_HEAD: usize = 16 * 1024;

/// Most headers of a request.
const MOST_HEADERS: usize = 64;

/// How long to wait when no connection can be taken, such as for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// How long a client may leave an answer unread, in milliseconds.
#[cfg(target_os = "linux")]
const UNREAD_MS: u32 = 30_000;

/// How much longer than a request requests that are there at the end may take.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// Takes connections until the server is to end, and lets those that are there finish their request then.
pub(super) async fn serve(listener: TcpListener, shared: &Arc<Shared>) {
    let router = routes::all(shared);
    let limits = shared.options.limits;
    let (places, graceful) = (Arc::new(Semaphore::new(limits.connections)), GracefulShutdown::new());
    while let Some((stream, peer, place)) = next(&listener, &places, shared).await {
        let connection = connection(stream, peer, router.clone(), limits.head);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("connection of {}: {error}", peer.ip());
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.request + LAST_ANSWER, graceful.shutdown()).await.is_err() {
        tracing::warn!("some connections did not come to their end and are cut off");
    }
}

/// The next connection with its place among those there may be; `None` when the server is to end.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    shared: &Shared,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let accepted = async {
        let place = places.clone().acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return Some((stream, peer, place)),
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    tracing::warn!("cannot take a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = shared.stop.cancelled() => None,
        accepted = accepted => accepted,
    }
}

/// Whether only this one connection is affected.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    head: Duration,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + Send {
    // Answers are small and whole.
    let _ = stream.set_nodelay(true);
    // Who does not read must not keep a place for ever; a request's time ends with its answer.
    #[cfg(target_os = "linux")]
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, UNREAD_MS);
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Peer(peer.ip()));
        router.clone().oneshot(request.map(Body::new))
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(LARGEST_HEAD)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
}
