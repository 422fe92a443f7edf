//! Answers: JSON in every case, also where a layer in between has refused a request.

use std::borrow::Cow;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{green::GreenError, ops::OperationError, text};

/// Seconds after which to ask again when the database could not be used.
pub(super) const RETRY_SECONDS: u64 = 10;

#[derive(Serialize)]
struct ErrorAnswer<'a> {
    error: &'a str,
}

/// `value` as the whole answer. It may be shown on a terminal as it is.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let Ok(json) = serde_json::to_string(value) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let head = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, head, Body::from(text::clean_json(&json).into_owned())).into_response()
}

/// `{"error": ...}`.
pub(super) fn error(status: StatusCode, message: &str) -> Response {
    json(status, &ErrorAnswer { error: message })
}

/// The same answer, which asks to come again after so many seconds.
pub(super) fn retry_after(mut response: Response, seconds: u64) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// That the database could not be used, which the log tells in full.
pub(super) fn unavailable(doing: &str, problem: &OperationError) -> Response {
    tracing::warn!("{doing}: {problem}");
    retry_after(error(StatusCode::SERVICE_UNAVAILABLE, &public(problem)), RETRY_SECONDS)
}

/// What of `problem` anybody may know: no path and nothing that the system says.
pub(super) fn public(problem: &OperationError) -> Cow<'static, str> {
    let OperationError::Green(problem) = problem else { return "greenroom failed; its log says why".into() };
    match problem {
        GreenError::Busy { .. } | GreenError::BusyOwner { .. } => "the database is locked by another program".into(),
        GreenError::Full { .. } => "the disk is full".into(),
        GreenError::ReadOnly { .. } => "the database is read-only".into(),
        GreenError::Corrupt { .. } | GreenError::NotADatabase { .. } => "the database is damaged".into(),
        GreenError::MissingTable { name, .. } => format!("{name} is missing").into(),
        GreenError::Disk { .. } => "the disk failed".into(),
        GreenError::Open { .. } | GreenError::Missing { .. } => "the database cannot be opened".into(),
        _ => "the database cannot be used; the log of greenroom says why".into(),
    }
}

/// An error that says nothing, or not in JSON, as one that does.
pub(super) async fn in_json(response: Response) -> Response {
    let status = response.status();
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let message = match status {
        StatusCode::SERVICE_UNAVAILABLE => "it took too long; ask again shortly",
        StatusCode::INTERNAL_SERVER_ERROR => "defect in greenroom; its log says more",
        _ => status.canonical_reason().unwrap_or("refused"),
    };
    let mut told = error(status, message);
    for (name, value) in response.headers() {
        if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH {
            told.headers_mut().insert(name, value.clone());
        }
    }
    told
}
