//! The built-in NowRepBlue of the `demo` command: a server on this machine whose data changes from sync to sync.
//!
//! It answers as the live API does, holds a little of the dirt that real payloads hold, in some syncs fails once and in
//! some sends what a guard has to stop, so that everything the console shows can be seen without a source.

mod change;
mod data;
mod pace;
mod people;
#[cfg(test)]
mod server_tests;
mod source;
#[cfg(test)]
mod tests;

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing,
};
use reqwest::Url;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::pace::Pace;
use self::{
    pace::Timing,
    source::{Answer, Source},
};
use crate::entity::Endpoint;

/// The header by which the client names its run.
const RUN_HEADER: &str = "x-greenroom-run";

/// A running NowRepBlue with demo data; it stops when this is dropped.
///
/// The first run is given the data as it is built in. Each run number that was not seen before begins the next generation
/// of the data, a small change of the one before; all requests of a run are answered from its generation. What changes is
/// fixed, so two demos that are synced equally often hold the same data.
#[derive(Debug)]
pub struct DemoBlue {
    address: Url,
    _stop: DropGuard,
}

impl DemoBlue {
    /// Starts the server on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(pace: Pace) -> io::Result<Self> {
        Self::start_with(Timing::of(pace)).await
    }

    async fn start_with(timing: Timing) -> io::Result<Self> {
        let source = Source::new(timing.misbehaves)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = format!("http://{}/", listener.local_addr()?);
        let address = Url::parse(&address).map_err(io::Error::other)?;
        let stop = CancellationToken::new();
        let server = axum::serve(listener, routes(&Arc::new(Mutex::new(source)), timing))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        tokio::spawn(server.into_future());
        Ok(Self { address, _stop: stop.drop_guard() })
    }

    /// Base address of the server, as a source address.
    #[must_use]
    pub fn address(&self) -> Url {
        self.address.clone()
    }
}

fn routes(source: &Arc<Mutex<Source>>, timing: Timing) -> Router {
    let mut router = Router::new();
    for endpoint in Endpoint::ALL {
        let source = source.clone();
        let answer = async move |headers: HeaderMap| {
            let run = headers.get(RUN_HEADER).and_then(|run| run.to_str().ok()?.parse().ok());
            let answer = source.lock().unwrap_or_else(PoisonError::into_inner).answer(endpoint, run);
            respond(endpoint, answer, headers.get(header::IF_NONE_MATCH), timing)
        };
        router = router.route(endpoint.path(), routing::get(answer));
    }
    router.fallback(async |address: Uri| {
        (StatusCode::NOT_FOUND, Json(json!({"error": format!("There is nothing at {}", address.path())})))
    })
}

fn respond(endpoint: Endpoint, answer: Answer, known: Option<&HeaderValue>, timing: Timing) -> Response {
    match answer {
        Answer::Body(body) => {
            let tag = format!("\"{}\"", blake3::hash(&body).to_hex());
            if known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
                return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
            }
            // The length is told beforehand, as by the live API, so that progress has a whole to go by.
            let head = [
                (header::CONTENT_TYPE, "application/json".to_owned()),
                (header::CONTENT_LENGTH, body.len().to_string()),
                (header::ETAG, tag),
            ];
            (head, Body::from_stream(timing.pieces(endpoint, body))).into_response()
        }
        Answer::Refusal => {
            let body = Json(json!({"error": "NowRepBlue is restarting, try again shortly"}));
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], body).into_response()
        }
    }
}
