//! `POST /api/internal/orchestrate-sync` and its newer name.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use futures_util::StreamExt;
use serde::Serialize;

use super::{Shared, address::ClientAddress, answer, task};
use crate::{
    dispatch::DispatchError,
    report::{RunId, TriggerAnswer, TriggerReport},
};

/// The header by which a client gives what it asks for a name of its own.
const KEY_HEADER: &str = "idempotency-key";

/// Longest such name, in characters.
const LONGEST_KEY: usize = 255;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reply<'a> {
    success: bool,
    message: &'a str,
    task_id: Option<String>,
    answer: TriggerAnswer,
    run: Option<RunId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Refusal<'a> {
    success: bool,
    message: &'a str,
    task_id: Option<String>,
    error: &'a str,
}

/// Answers a trigger of this `kind`.
pub(super) async fn answer(
    kind: &'static str,
    State(shared): State<Arc<Shared>>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    request: Request,
) -> Response {
    let key = match idempotency_key(request.headers()) {
        Ok(key) => key,
        Err(problem) => return answer::error(StatusCode::BAD_REQUEST, problem),
    };
    // From here on the dispatcher bounds the time by itself: an answer that comes late is true, one in its place would not be.
    let limits = &shared.options.limits;
    match tokio::time::timeout(limits.request, read_body(request, limits.body)).await {
        Ok(Ok(())) => {}
        Ok(Err(refused)) => return refused,
        Err(_) => return refusal("the request took too long; nothing was started"),
    }
    match shared.dispatcher.trigger(kind, address.to_string(), key).await {
        Ok(report) => {
            shared.triggers.count(report.answer);
            told(&report)
        }
        Err(error @ (DispatchError::Closing | DispatchError::Busy)) => {
            refusal(&format!("{error}; nothing was started, ask again shortly"))
        }
        Err(DispatchError::Operation(problem)) => {
            tracing::warn!("a trigger of {address} could not be written down: {problem}");
            refusal(&format!("{}; nothing was started, ask again later", answer::public(&problem)))
        }
    }
}

fn told(report: &TriggerReport) -> Response {
    let success = !matches!(report.answer, TriggerAnswer::Held | TriggerAnswer::ReadOnly);
    let reply = Reply {
        success,
        message: &report.message,
        task_id: report.task.map(task::name),
        answer: report.answer,
        run: report.run,
        error: (!success).then_some(&report.message),
    };
    answer::json(if success { StatusCode::OK } else { StatusCode::CONFLICT }, &reply)
}

/// No answer could be given now.
fn refusal(message: &str) -> Response {
    let refusal = Refusal { success: false, message, task_id: None, error: message };
    answer::retry_after(answer::json(StatusCode::SERVICE_UNAVAILABLE, &refusal), answer::RETRY_SECONDS)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, &'static str> {
    let mut keys = headers.get_all(KEY_HEADER).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let is_good = |key: &&[u8]| (1..=LONGEST_KEY).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    match (Some(key.as_bytes()).filter(is_good).map(str::from_utf8), keys.next()) {
        (Some(Ok(key)), None) => Ok(Some(key.to_owned())),
        _ => Err("Idempotency-Key must be one value of 1 to 255 visible ASCII characters"),
    }
}

/// Reads a body that says nothing, so that the connection can be used again.
async fn read_body(request: Request, largest: usize) -> Result<(), Response> {
    let (mut pieces, mut size) = (request.into_body().into_data_stream(), 0);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| answer::error(StatusCode::BAD_REQUEST, "The body could not be read"))?;
        size += piece.len();
        if size > largest {
            let problem = format!("The body is larger than {largest} bytes");
            return Err(answer::error(StatusCode::PAYLOAD_TOO_LARGE, &problem));
        }
    }
    Ok(())
}
