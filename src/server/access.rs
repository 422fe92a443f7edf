//! Who may trigger and ask: who knows the secret, and has not tried too often without.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};

use super::{
    Shared,
    address::{ClientAddress, Peer},
    answer,
    gate::Entry,
};

/// The header of the secret beside `authorization`.
pub(super) const SECRET_HEADER: &str = "x-sync-secret";

/// Lets requests through that bring the secret.
pub(super) async fn check(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let client = ClientAddress::of(peer, headers, shared.options.client_address_header.as_ref());
    match shared.admit(client.0, candidates(headers)) {
        Entry::Granted => {
            request.extensions_mut().insert(client);
            next.run(request).await
        }
        Entry::Refused { tell } => {
            if tell {
                tracing::warn!("a request from {} did not bring the secret", client.0);
            }
            let mut refused = answer::error(StatusCode::UNAUTHORIZED, "Unauthorized");
            refused.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            refused
        }
        Entry::Limited { wait } => {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let limited = answer::error(StatusCode::TOO_MANY_REQUESTS, "Too many failed attempts");
            answer::retry_after(limited, seconds.max(1))
        }
    }
}

/// All that a request brings in place of the secret.
fn candidates(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let tokens = headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| token(value.as_bytes()));
    tokens.chain(headers.get_all(SECRET_HEADER).iter().map(HeaderValue::as_bytes))
}

/// The token of `Bearer TOKEN`; the name of the scheme is the same in upper and lower case.
fn token(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| token.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_needs_its_scheme() {
        for (value, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("BEARER   a b", Some("a b")),
            ("Bearer", None),
            ("Bearer ", Some("")),
            ("Bearerabc", None),
            ("Basic abc", None),
            ("abc", None),
            ("", None),
        ] {
            assert_eq!(token(value.as_bytes()), expected.map(str::as_bytes), "{value}");
        }
    }
}
