//! One attempt at one endpoint: request, limits, body in pieces.

use std::{
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use reqwest::{StatusCode, Url, dns::Resolve, header, redirect};
use tokio::time::Instant;

use super::{
    error::FetchError,
    reader::{BodyReader, BodySummary},
    retry::{RetryPolicy, retry_after},
};
use crate::entity::Endpoint;

/// Redirects on the same host that are followed.
const MAX_REDIRECTS: usize = 5;

/// Bytes of a failure's body that are read to explain it.
const FAILURE_EXCERPT: usize = 200;

/// Where the source is and how patiently it is asked.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// Base address, without the endpoint paths.
    pub base: Url,
    /// Longest time to connect.
    pub connect_timeout: Duration,
    /// Longest silence while an answer is awaited or a body arrives.
    pub idle_timeout: Duration,
    /// Longest time of one attempt as a whole.
    pub attempt_timeout: Duration,
    /// Longest time of all attempts of a run together; a wait that would pass it is not begun.
    pub deadline: Duration,
    /// Largest body after decompression, in bytes.
    pub body_cap: u64,
    /// Endpoints asked at the same time, at least 1.
    pub concurrency: usize,
    /// Attempts and delays.
    pub retry: RetryPolicy,
    /// Who knows the address of a host; `None` for the system.
    pub resolver: Option<Resolver>,
}

/// Tells the addresses of hosts in the system's place; a seam for tests.
#[derive(Clone)]
pub struct Resolver(Arc<dyn Resolve>);

impl Resolver {
    /// Asks `resolver`. Where the base address names no port, the one of the address that it tells is used.
    #[must_use]
    pub fn new(resolver: impl Resolve + 'static) -> Self {
        Self(Arc::new(resolver))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Resolver")
    }
}

impl SourceConfig {
    /// The defaults for the source at `base`.
    #[must_use]
    pub fn new(base: Url) -> Self {
        Self {
            base,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            attempt_timeout: Duration::from_mins(5),
            deadline: Duration::from_mins(15),
            body_cap: 512 * 1024 * 1024,
            concurrency: 4,
            retry: RetryPolicy::default(),
            resolver: None,
        }
    }

    /// The base address as it may be shown and stored: without a user name and password.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut base = self.base.clone();
        // Err only says that an address of this kind has none.
        let _ = base.set_username("");
        let _ = base.set_password(None);
        base.to_string()
    }

    /// The full address of `endpoint`.
    #[must_use]
    pub fn address(&self, endpoint: Endpoint) -> Url {
        let mut address = self.base.clone();
        let path = format!("{}{}", self.base.path().trim_end_matches('/'), endpoint.path());
        address.set_path(&path);
        address
    }
}

/// What a server says of a body, to be asked later whether it is still the same (RFC 9110, section 8.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`, as it came.
    pub etag: Option<String>,
    /// `Last-Modified`, as it came; left out when the body may have changed once more within the same second.
    pub last_modified: Option<String>,
}

impl Validators {
    /// Whether there is nothing to ask with.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }

    fn of(response: &reqwest::Response) -> Self {
        let head = |name| head(response, name);
        let date = |name| head(name).and_then(|date| httpdate::parse_http_date(&date).ok());
        // Dates are whole seconds: one that is recent says nothing about a change in the same second.
        let settled = match (date(header::LAST_MODIFIED), date(header::DATE)) {
            (Some(modified), Some(now)) => now.duration_since(modified).is_ok_and(|age| age >= SETTLED),
            _ => false,
        };
        Self { etag: head(header::ETAG), last_modified: head(header::LAST_MODIFIED).filter(|_| settled) }
    }

    fn ask(&self, mut request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        if let Some(etag) = &self.etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        if let Some(date) = &self.last_modified {
            request = request.header(header::IF_MODIFIED_SINCE, date);
        }
        request
    }
}

/// How old a `Last-Modified` must be before it tells one body from the next; RFC 7232, section 2.2.2.
const SETTLED: Duration = Duration::from_mins(1);

/// What an attempt begins with.
#[derive(Debug)]
pub enum Answer {
    /// A body is on its way.
    Body(Box<Download>),
    /// The body is the one that the validators are of.
    NotModified,
}

/// Progress of one attempt, told while its body arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Bytes received, after decompression.
    pub bytes: u64,
    /// Size that the server announced, when it did and sends the body uncompressed.
    pub announced: Option<u64>,
    /// Records complete so far.
    pub records: u64,
}

/// Asks the source.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    config: SourceConfig,
}

impl Client {
    /// A client for the source described by `config`.
    ///
    /// Where the system has no certificates, as in minimal containers, the ones of Mozilla's programme are used.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(config: SourceConfig) -> Result<Self, reqwest::Error> {
        // Err only says that a provider was installed before, which is what is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = builder(&config).build().or_else(|_| {
            let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
            let roots = roots.iter().filter_map(|root| reqwest::Certificate::from_der(root).ok());
            builder(&config).tls_certs_only(roots).build()
        })?;
        Ok(Self { http, config })
    }

    /// The configuration that the client was made with.
    #[must_use]
    pub fn config(&self) -> &SourceConfig {
        &self.config
    }

    /// Begins one attempt at `endpoint`, to be done with at `deadline` or when its own limit is passed.
    ///
    /// `run` is sent as `X-Greenroom-Run`, so that Blue's log can be read beside ours. With `known` validators the server
    /// may answer that its body is still the one that they are of.
    ///
    /// # Errors
    /// When there is no answer, or one without a body of records.
    pub async fn begin(
        &self,
        endpoint: Endpoint,
        run: i64,
        known: &Validators,
        deadline: Instant,
    ) -> Result<Answer, FetchError> {
        let now = Instant::now();
        let end = deadline.min(now + self.config.attempt_timeout);
        let limits = Limits { idle: self.config.idle_timeout, attempt: end.duration_since(now), end };
        let request = self.http.get(self.config.address(endpoint)).header("x-greenroom-run", run);
        let request = known.ask(request).send();
        let response = limits.keep("waiting for the answer's head", request).await?.map_err(|error| {
            if error.is_timeout() {
                return FetchError::Timeout { limit: self.config.connect_timeout, doing: "connecting" };
            }
            FetchError::Transport(error)
        })?;
        if response.status() == StatusCode::NOT_MODIFIED && !known.is_empty() {
            return Ok(Answer::NotModified);
        }
        let response = check_status(response).await?;
        let announced = response.content_length();
        let cap = self.config.body_cap;
        if announced.is_some_and(|bytes| bytes > cap) {
            return Err(FetchError::TooLarge { cap });
        }
        let validators = Validators::of(&response);
        let reader = BodyReader::new(endpoint);
        Ok(Answer::Body(Box::new(Download { response, reader, validators, announced, cap, limits })))
    }
}

/// The time limits of one attempt.
#[derive(Clone, Copy, Debug)]
struct Limits {
    idle: Duration,
    attempt: Duration,
    end: Instant,
}

impl Limits {
    /// Waits for `work`, at most for the idle limit and up to the end of the attempt.
    async fn keep<T>(&self, doing: &'static str, work: impl Future<Output = T>) -> Result<T, FetchError> {
        let idle_end = Instant::now() + self.idle;
        tokio::time::timeout_at(idle_end.min(self.end), work).await.map_err(|_| {
            if idle_end <= self.end {
                FetchError::Timeout { limit: self.idle, doing }
            } else {
                FetchError::Timeout { limit: self.attempt, doing: "the attempt as a whole went on" }
            }
        })
    }
}

/// A body on its way.
#[derive(Debug)]
pub struct Download {
    response: reqwest::Response,
    reader: BodyReader,
    validators: Validators,
    announced: Option<u64>,
    cap: u64,
    limits: Limits,
}

impl Download {
    /// Progress so far.
    #[must_use]
    pub fn progress(&self) -> Attempt {
        Attempt { bytes: self.reader.bytes(), announced: self.announced, records: self.reader.records() }
    }

    /// The records that are complete with the next piece; `None` at the end of the body.
    ///
    /// # Errors
    /// When the transfer breaks, passes a limit, or brings something that is not a list of records. What was handed out
    /// before is then void.
    pub async fn next(&mut self) -> Result<Option<Vec<String>>, FetchError> {
        let piece = self.limits.keep("receiving the body", self.response.chunk()).await?;
        let Some(piece) = piece.map_err(FetchError::Transport)? else { return Ok(None) };
        let mut records = Vec::new();
        let pushed = self.reader.push(&piece, |element| records.push(element.to_owned()));
        pushed.map_err(|body| FetchError::Unreadable { body, excerpt: self.reader.excerpt() })?;
        if self.reader.bytes() > self.cap {
            return Err(FetchError::TooLarge { cap: self.cap });
        }
        Ok(Some(records))
    }

    /// Ends the body after the last piece, and says by what the server will know it again.
    ///
    /// # Errors
    /// When it is empty or breaks off.
    pub fn finish(self) -> Result<(BodySummary, Validators), FetchError> {
        let excerpt = self.reader.excerpt();
        let summary = self.reader.finish().map_err(|body| FetchError::Unreadable { body, excerpt })?;
        Ok((summary, self.validators))
    }
}

fn builder(config: &SourceConfig) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder();
    let host = config.base.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    // A proxy's own loopback is another machine's.
    let builder = if local { builder.no_proxy() } else { builder };
    // Without a proxy nothing on the way speaks TLS then, and reading the system's certificates takes its time.
    let builder = if local && config.base.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
    let builder = match &config.resolver {
        Some(Resolver(resolver)) => builder.dns_resolver(resolver.clone()),
        None => builder,
    };
    builder
        .user_agent(concat!("greenroom/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(config.connect_timeout)
        .redirect(redirect::Policy::custom(same_origin))
        // Attempts are ours, each with its event and its delay.
        .retry(reqwest::retry::never())
}

/// Follows redirects on the same origin only; any other is handed back as the answer.
fn same_origin(attempt: redirect::Attempt<'_>) -> redirect::Action {
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error("too many redirects");
    }
    match attempt.previous().first().map(Url::origin) {
        Some(origin) if origin == attempt.url().origin() => attempt.follow(),
        _ => attempt.stop(),
    }
}

/// A header as text, when it is readable.
fn head(response: &reqwest::Response, name: header::HeaderName) -> Option<String> {
    response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

async fn check_status(mut response: reqwest::Response) -> Result<reqwest::Response, FetchError> {
    let status = response.status();
    if status == StatusCode::OK {
        return Ok(response);
    }
    let head = |name| head(&response, name);
    if let (true, Some(location)) = (status.is_redirection(), head(header::LOCATION)) {
        return Err(FetchError::Redirect { status: status.as_u16(), location });
    }
    // A date is read against the server's own clock, where it tells it.
    let now = head(header::DATE).and_then(|date| httpdate::parse_http_date(&date).ok()).unwrap_or_else(SystemTime::now);
    let asked = head(header::RETRY_AFTER).and_then(|value| retry_after(&value, now));
    let excerpt = match tokio::time::timeout(Duration::from_secs(2), response.chunk()).await {
        Ok(Ok(Some(piece))) => {
            let start = String::from_utf8_lossy(&piece[..piece.len().min(FAILURE_EXCERPT)]).into_owned();
            Some(start).filter(|text| !text.trim().is_empty())
        }
        _ => None,
    };
    Err(FetchError::Status { status: status.as_u16(), retry_after: asked, excerpt })
}
