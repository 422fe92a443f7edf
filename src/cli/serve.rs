//! `serve`: triggers over HTTP and by the schedule, health, figures, events.

use std::{
    ffi::OsString,
    net::{AddrParseError, SocketAddr},
    path::Path,
    time::Duration,
};

use axum::http::HeaderName;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    Context,
    exit::{CliError, ExitStatus},
    lasting::Lasting,
    secret,
    signal::Signals,
};
use crate::{
    dispatch::{DispatchOptions, Dispatcher},
    green::{self, Database, GreenError, Presence},
    ops::{OperationError, Operations},
    report::ServerReport,
    server::{Server, ServerLimits, ServerOptions, secret::ADVISABLE},
    text,
};

/// Where it listens unless that is said.
const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

/// How long a burst of triggers is waited for at most, unless that is said.
const LONGEST_DEBOUNCE: Duration = Duration::from_mins(1);

/// How long a run may go on after the signal that ends the server, unless that is said.
const GRACE: Duration = Duration::from_mins(1);

/// The shortest of the ages that follow from the schedule.
const SHORTEST_AGE: Duration = Duration::from_hours(1);

/// Arguments of `serve`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
The secret that triggers must bring, as `Authorization: Bearer SECRET` or `x-sync-secret: SECRET`, comes from \
SYNC_SECRET_KEY or from --secret-file, never from an argument. During a rotation SYNC_SECRET_KEY_PREVIOUS, or the file's \
second line, is valid as well.

Addresses:
  POST /api/internal/orchestrate-sync, /api/internal/orchestrate-sync-api   trigger a sync
  GET  /api/internal/task-status/ID, /api/internal/task-status/all          what became of it
  GET  /api/internal/runs/RUN/events                                        a run as it happens
  GET  /healthz, /metrics                                                   without the secret

Examples:
  SYNC_SECRET_KEY=\"$(cat key)\" greenroom serve --every 15m
  greenroom serve --listen '[::]:8080' --secret-file /run/secrets/sync --client-address-header Fly-Client-IP

SIGTERM, SIGINT and SIGHUP (unless it is ignored) end it: no more requests are taken, and a run that goes on may finish \
for --grace, then it is cancelled. A second signal cancels it at once. What was promised and has not begun is begun by the \
next start.

Exit status: 0 ended by a signal; 1 failed, such as for a port that is in use; 2 arguments or configuration, such as no \
secret; 4 another server takes triggers for the database.")]
pub struct ServeArguments {
    /// Where to listen; other hosts reach it only at an address of theirs, such as `[::]:8080`
    #[arg(long, env = "GREENROOM_LISTEN", value_name = "ADDRESS", default_value = DEFAULT_LISTEN, value_parser = address)]
    pub listen: SocketAddr,
    /// Start a run this often without any trigger, such as `15m`
    #[arg(long, env = "GREENROOM_EVERY", value_name = "DURATION", value_parser = Lasting::at_least_a_second)]
    pub every: Option<Lasting>,
    /// Begin a run only when no other trigger came for so long; without it at once
    #[arg(long, env = "GREENROOM_DEBOUNCE", value_name = "DURATION")]
    pub debounce: Option<Lasting>,
    /// Begin it at the latest so long after the first trigger of a burst [default: 1m]
    #[arg(long, env = "GREENROOM_DEBOUNCE_LONGEST", value_name = "DURATION")]
    pub debounce_longest: Option<Lasting>,
    /// /healthz fails when the data was not published or found unchanged for so long [default: with --every three times
    /// that and at least 1h, else any age is good]
    #[arg(long, env = "GREENROOM_MAX_AGE", value_name = "DURATION", value_parser = Lasting::at_least_a_second)]
    pub max_age: Option<Lasting>,
    /// How long a run that goes on may take to end after the first signal [default: 1m]
    #[arg(long, env = "GREENROOM_GRACE", value_name = "DURATION")]
    pub grace: Option<Lasting>,
    /// Read the secret from this file, one a line: the one in use and, during a rotation, the one before
    #[arg(long, env = "SYNC_SECRET_KEY_FILE", hide_env_values = true, value_name = "PATH", value_parser = clap::value_parser!(OsString))]
    pub secret_file: Option<OsString>,
    /// The header in which the proxy in front tells the client's address, such as `X-Real-IP`; anybody else may set it,
    /// too, so name one only when all requests come through that proxy
    #[arg(long, env = "GREENROOM_CLIENT_ADDRESS_HEADER", value_name = "NAME")]
    pub client_address_header: Option<String>,
    /// Refuse all triggers and write nothing but who serves here; status, health and figures are still told
    #[arg(long, env = "GREENROOM_READ_ONLY", value_parser = clap::builder::FalseyValueParser::new())]
    pub read_only: bool,
}

impl ServeArguments {
    fn dispatch(&self) -> Result<DispatchOptions, CliError> {
        let debounce = given(self.debounce).unwrap_or(Duration::ZERO);
        let longest_debounce = given(self.debounce_longest).unwrap_or(LONGEST_DEBOUNCE.max(debounce));
        if longest_debounce < debounce {
            return Err(CliError::Debounce);
        }
        Ok(DispatchOptions { debounce, longest_debounce, every: given(self.every), read_only: self.read_only })
    }

    /// A schedule that has missed three turns is broken; without one nobody said how often there is something new.
    fn longest_age(&self) -> Option<Duration> {
        given(self.max_age).or_else(|| given(self.every).map(|every| (every * 3).max(SHORTEST_AGE)))
    }

    fn client_address_header(&self) -> Result<Option<HeaderName>, CliError> {
        let name = self.client_address_header.as_deref().filter(|name| !name.is_empty());
        name.map(|name| name.parse().map_err(|_| CliError::BadHeader { given: name.to_owned() })).transpose()
    }
}

fn address(given: &str) -> Result<SocketAddr, AddrParseError> {
    // An empty variable is one that is not set.
    if given.is_empty() { DEFAULT_LISTEN.parse() } else { given.parse() }
}

fn given(lasting: Option<Lasting>) -> Option<Duration> {
    lasting.and_then(Lasting::given)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What is told once the server listens.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Serving {
    listening: SocketAddr,
    database: String,
    source: Option<String>,
    every_ms: Option<u64>,
    read_only: bool,
    pid: u32,
}

/// Serves until a signal.
pub(super) async fn run(context: &Context, arguments: &ServeArguments) -> Result<ExitStatus, CliError> {
    let (dispatch, client_address_header) = (arguments.dispatch()?, arguments.client_address_header()?);
    // An empty variable is one that is not set.
    let file = arguments.secret_file.as_deref().filter(|path| !path.is_empty()).map(Path::new);
    let secrets = secret::read(file)?;
    if secrets.is_short() {
        tracing::warn!("the secret has fewer than {ADVISABLE} bytes; `openssl rand -hex 32` makes a good one");
    }
    let (operations, database) = context.settings.serve(dispatch.read_only)?;
    let mut signals = Signals::listen()?;
    let listen = arguments.listen;
    let listener = TcpListener::bind(listen).await.map_err(|source| match green::server(&database) {
        // Most likely it is that one which listens there.
        Some(server) => GreenError::Served { server: Some(Box::new(server)) }.into(),
        None => CliError::Listen { address: listen, source },
    })?;
    let options = ServerOptions {
        secrets,
        client_address_header,
        longest_age: arguments.longest_age(),
        limits: ServerLimits::default(),
    };
    let every = dispatch.every;
    let dispatcher = Dispatcher::new(operations.clone(), dispatch.clone());
    let server = Server::new(listener, dispatcher, options);
    let address = server.address().map_err(|source| CliError::Listen { address: listen, source })?;
    let now = operations.clock().now();
    let _presence = announce(&operations, &database, address, &dispatch, now)?;
    if !dispatch.read_only
        && let Err(error) = operations.recover().await
    {
        tracing::warn!("looking for runs whose process died: {error}");
    }
    let serving = Serving {
        listening: address,
        database: operations.database_path().display().to_string(),
        source: operations.source(),
        every_ms: every.map(milliseconds),
        read_only: dispatch.read_only,
        pid: std::process::id(),
    };
    tell(&serving, every);
    if context.output.is_json() {
        context.output.report(&serving, now, |_| String::new())?;
    }
    let cancel = CancellationToken::new();
    let grace = given(arguments.grace).unwrap_or(GRACE);
    let whole = server.run(signals.token(), cancel.clone());
    let ended = tokio::select! {
        ended = whole => ended,
        never = end_by_signals(&mut signals, grace, &cancel) => match never {},
    };
    match ended {
        Ok(()) => {
            tracing::info!("ended");
            Ok(ExitStatus::Done)
        }
        Err(error) => {
            // The one object of --json was printed long ago.
            context.output.note(&format!("greenroom: {error}"));
            Ok(ExitStatus::Failed)
        }
    }
}

fn announce(
    operations: &Operations,
    database: &Database,
    address: SocketAddr,
    dispatch: &DispatchOptions,
    since: Timestamp,
) -> Result<Presence, OperationError> {
    let report = ServerReport {
        address: address.to_string(),
        operator: operations.operator().clone(),
        since,
        every_ms: dispatch.every.map(milliseconds),
        read_only: dispatch.read_only,
    };
    Ok(Presence::announce(database, &report)?)
}

fn tell(serving: &Serving, every: Option<Duration>) {
    let Serving { listening, database, source, read_only, .. } = serving;
    let source = source.as_deref().unwrap_or("none");
    let schedule = every.map_or_else(
        || "only by triggers".to_owned(),
        |every| {
            format!("by triggers and every {}", text::duration(i64::try_from(every.as_millis()).unwrap_or(i64::MAX)))
        },
    );
    let runs = if *read_only { "none, as it is read-only" } else { &schedule };
    tracing::info!("listening on http://{listening}; database {database}; source {source}; runs {runs}");
    if !listening.ip().is_loopback() {
        tracing::info!(
            "other hosts can reach this address: put a proxy with TLS in front, as the secret is sent in clear"
        );
    }
}

/// Cancels the run that goes on: some time after the first signal, which ends the rest, or by the second one.
async fn end_by_signals(
    signals: &mut Signals,
    grace: Duration,
    cancel: &CancellationToken,
) -> std::convert::Infallible {
    let first = signals.next().await;
    tracing::info!("{}: no more requests are taken, and a run that goes on is waited for", first.name());
    tokio::select! {
        () = tokio::time::sleep(grace) => tracing::warn!("the run that goes on took too long; it is cancelled"),
        second = signals.next() => tracing::warn!("{}: the run that goes on is cancelled", second.name()),
    }
    cancel.cancel();
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parsed(line: &str) -> ServeArguments {
        match Cli::try_parse_from(line.split_whitespace()).unwrap().command {
            Some(Command::Serve(arguments)) => arguments,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_listens_where_only_this_host_reaches_it() {
        let arguments = parsed("greenroom serve");
        assert!(arguments.listen.ip().is_loopback());
        assert_eq!(arguments.listen.port(), 8080);
        assert_eq!(arguments.dispatch().unwrap().debounce, Duration::ZERO);
        assert_eq!(parsed("greenroom serve --listen [::]:0").listen, "[::]:0".parse().unwrap());
        assert_eq!(address("").unwrap(), arguments.listen, "an empty variable is one that is not set");
    }

    #[test]
    fn the_longest_age_follows_from_the_schedule() {
        let minutes = |line| parsed(line).longest_age().map(|age| age.as_secs() / 60);
        assert_eq!(minutes("greenroom serve"), None);
        assert_eq!(minutes("greenroom serve --every 15m"), Some(60));
        assert_eq!(minutes("greenroom serve --every 1h"), Some(180));
        assert_eq!(minutes("greenroom serve --every 1h --max-age 90m"), Some(90));
    }

    #[test]
    fn a_burst_is_waited_for_at_least_as_long_as_a_trigger() {
        let longest = |line| parsed(line).dispatch().map(|options| options.longest_debounce.as_secs());
        assert_eq!(longest("greenroom serve --debounce 5s").unwrap(), 60);
        assert_eq!(longest("greenroom serve --debounce 5m").unwrap(), 300);
        assert_eq!(longest("greenroom serve --debounce 5s --debounce-longest 5s").unwrap(), 5);
        assert_eq!(longest("greenroom serve --debounce 5s --debounce-longest 4s").unwrap_err().status().code(), 2);
    }

    #[test]
    fn names_of_headers_are_checked() {
        let header = |line| parsed(line).client_address_header();
        assert_eq!(header("greenroom serve").unwrap(), None);
        let name = header("greenroom serve --client-address-header Fly-Client-IP").unwrap();
        assert_eq!(name, Some(HeaderName::from_static("fly-client-ip")));
        assert_eq!(header("greenroom serve --client-address-header a:b").unwrap_err().status().code(), 2);
    }
}
