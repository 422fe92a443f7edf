//! What can go wrong with one attempt at an endpoint, and whether another attempt may help.

use std::time::Duration;

use super::reader::UnreadableBody;

/// Why one attempt at an endpoint brought no body.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The connection failed or broke.
    #[error("{}", chain(.0))]
    Transport(#[source] reqwest::Error),
    /// Nothing arrived for too long.
    #[error("no answer within {:.1} s while {doing}", .limit.as_secs_f64())]
    Timeout {
        /// The limit that was passed.
        limit: Duration,
        /// What was waited for.
        doing: &'static str,
    },
    /// The server answered with a status that is not 200.
    #[error("HTTP status {status}{}", .excerpt.as_ref().map(|text| format!(", body begins {text:?}")).unwrap_or_default())]
    Status {
        /// The status code.
        status: u16,
        /// What its `Retry-After` asked for.
        retry_after: Option<Duration>,
        /// The beginning of the body, if there was a readable one.
        excerpt: Option<String>,
    },
    /// The server redirected to another host.
    #[error(
        "HTTP status {status}, a redirect to {location}, which is not followed; set the source address to the final one"
    )]
    Redirect {
        /// The status code.
        status: u16,
        /// Where it pointed.
        location: String,
    },
    /// The body is larger than the cap.
    #[error("the body is larger than the cap of {cap} bytes")]
    TooLarge {
        /// The cap in bytes.
        cap: u64,
    },
    /// The body is not one of the three envelopes.
    #[error("expected a JSON list of records, found {body}")]
    Unreadable {
        /// What was found.
        #[source]
        body: UnreadableBody,
        /// Its first kilobytes.
        excerpt: String,
    },
}

impl FetchError {
    /// Whether another attempt may bring what this one did not.
    ///
    /// Connection faults, time-outs, 408, 425, 429, 5xx and broken bodies are tried again; other statuses and a body over
    /// the cap are not.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transport(error) => !error.is_redirect() && !error.is_builder(),
            Self::Timeout { .. } | Self::Unreadable { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            Self::Redirect { .. } | Self::TooLarge { .. } => false,
        }
    }

    /// The HTTP status, when one was received that is not 200.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } | Self::Redirect { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// How long the server asked to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The first kilobytes of a body that could not be read.
    #[must_use]
    pub fn excerpt(&self) -> Option<&str> {
        match self {
            Self::Unreadable { excerpt, .. } => Some(excerpt),
            Self::Status { excerpt, .. } => excerpt.as_deref(),
            _ => None,
        }
    }
}

/// An error and its causes on one line; reqwest's own message leaves out the reason.
fn chain(error: &reqwest::Error) -> String {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let text = cause.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        source = cause.source();
    }
    message
}
