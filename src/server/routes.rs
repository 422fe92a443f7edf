//! What is where.

use std::{any::Any, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::{HeaderName, StatusCode, header},
    middleware::{self, Next},
    response::Response,
    routing::{MethodRouter, get, post},
};
use tokio::time::Instant;
use tower_http::{
    catch_panic::CatchPanicLayer, sensitive_headers::SetSensitiveRequestHeadersLayer, timeout::TimeoutLayer,
};

use super::{Shared, access, answer, events, health, metrics, task, trigger};
use crate::defect;

/// The names under which a run is asked for, which are the last part of their addresses.
pub(super) const KINDS: [&str; 2] = ["orchestrate-sync", "orchestrate-sync-api"];

/// Methods that the log names.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];

/// All that is served.
pub(super) fn all(shared: &Arc<Shared>) -> Router {
    let for_those_who_know = |route: MethodRouter<Arc<Shared>>| {
        // Not around the answer to a method that is none of the route's: that comes first.
        route.route_layer(middleware::from_fn_with_state(shared.clone(), access::check))
    };
    let time = shared.options.limits.request;
    let secrets = [header::AUTHORIZATION, HeaderName::from_static(access::SECRET_HEADER)];
    let mut router = Router::new()
        .route("/healthz", get(health::answer))
        .route("/metrics", get(metrics::answer))
        .route("/api/internal/task-status/all", for_those_who_know(get(task::list)))
        .route("/api/internal/task-status/{id}", for_those_who_know(get(task::one)))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, time));
    // What follows minds its time by itself.
    for kind in KINDS {
        let answer = async move |state, client, request| trigger::answer(kind, state, client, request).await;
        router = router.route(&format!("/api/internal/{kind}"), for_those_who_know(post(answer)));
    }
    router
        .route("/api/internal/runs/{id}/events", for_those_who_know(get(events::answer)))
        .fallback(async || answer::error(StatusCode::NOT_FOUND, "Not found"))
        .method_not_allowed_fallback(async || answer::error(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::map_response(answer::in_json))
        .layer(middleware::from_fn(told))
        .layer(SetSensitiveRequestHeadersLayer::new(secrets))
        .with_state(shared.clone())
}

/// Tells the log of each request, by the route and a method of HTTP's own: in its address somebody may have put anything,
/// such as the secret.
async fn told(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("?", MatchedPath::as_str).to_owned();
    let method = METHODS.into_iter().find(|one| *one == request.method().as_str()).unwrap_or("?");
    let response = next.run(request).await;
    let took: Duration = begun.elapsed();
    tracing::debug!("{method} {route}: {} in {} ms", response.status().as_u16(), took.as_millis());
    response
}

#[expect(clippy::needless_pass_by_value, reason = "how the layer hands it over")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    tracing::error!("defect in greenroom while answering: {}", defect::message(panic.as_ref()));
    answer::error(StatusCode::INTERNAL_SERVER_ERROR, "defect in greenroom; its log says more")
}
