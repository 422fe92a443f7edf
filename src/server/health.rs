//! `GET /healthz`: whether what visitors see is all there and new enough.

use std::sync::{Arc, atomic::Ordering};

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Serialize;

use super::{Shared, answer};
use crate::{
    ops::{OperationError, Operations},
    report::HealthReport,
};

#[derive(Serialize)]
struct Answer {
    status: &'static str,
    #[serde(flatten)]
    report: HealthReport,
}

#[derive(Serialize)]
struct Unreadable<'a> {
    status: &'static str,
    reasons: [&'a str; 1],
}

/// What to say of a look that did not come to its end in time.
const TOO_SLOW: &str = "the database did not answer in time";

pub(super) async fn answer(State(shared): State<Arc<Shared>>) -> Response {
    let longest_age = shared.options.longest_age;
    match shared.look(async move |operations| operations.health(longest_age).await).await {
        Ok(report) => {
            let is_well = report.is_well();
            let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            answer::json(status, &Answer { status: if is_well { "ok" } else { "failing" }, report })
        }
        Err(reason) => {
            answer::json(StatusCode::SERVICE_UNAVAILABLE, &Unreadable { status: "failing", reasons: [&reason] })
        }
    }
}

impl Shared {
    /// What `read` reads of the database, in bounded time: one that hangs goes on by itself and keeps one of few places.
    ///
    /// # Errors
    /// Why there is nothing, in words that may be shown to anybody.
    pub(super) async fn look<T: Send + 'static, F>(
        &self,
        read: impl FnOnce(Operations) -> F + Send + 'static,
    ) -> Result<T, String>
    where
        F: Future<Output = Result<T, OperationError>> + Send + 'static,
    {
        let (looks, operations) = (self.looks.clone(), self.operations().clone());
        let look = async move {
            let place = looks.acquire_owned().await;
            // By itself, so that its place is taken as long as it is at work.
            let reading = tokio::spawn(async move {
                let read = read(operations).await;
                drop(place);
                read
            });
            reading.await.unwrap_or(Err(OperationError::Panicked))
        };
        let (problem, public) = match tokio::time::timeout(self.options.limits.look, look).await {
            Ok(Ok(read)) => {
                if self.is_blind.swap(false, Ordering::Relaxed) {
                    tracing::info!("the database can be read again");
                }
                return Ok(read);
            }
            Ok(Err(problem)) => (problem.to_string(), answer::public(&problem).into_owned()),
            Err(_) => (TOO_SLOW.to_owned(), TOO_SLOW.to_owned()),
        };
        // Once: whoever asks without the secret does not fill the log.
        if self.is_blind.swap(true, Ordering::Relaxed) {
            tracing::debug!("looking at the database: {problem}");
        } else {
            tracing::warn!("looking at the database: {problem}");
        }
        Err(public)
    }
}
