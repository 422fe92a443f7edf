//! The HTTP face: triggers and their tasks as NowRepBlue expects them, health, figures, and the events of runs.
//!
//! `connections` takes them and ends them, `routes` says what is where, `access` who may; the others answer.

mod access;
mod address;
mod answer;
mod connections;
mod events;
mod gate;
mod health;
mod metrics;
mod routes;
pub mod secret;
mod task;
mod trigger;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::http::HeaderName;
use tokio::{net::TcpListener, sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;

pub use self::secret::{BadSecret, Secrets};
use self::{
    gate::{Entry, Gate},
    metrics::TriggerCounts,
};
use crate::{
    dispatch::Dispatcher,
    ops::{OperationError, Operations},
};

/// What clients may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Longest time until the head of a request is there, also that of the next one on a connection.
    pub head: Duration,
    /// Longest time of a request, its body included; of a trigger only the body's, as its answer is bounded by itself.
    pub request: Duration,
    /// Largest body of a request, in bytes.
    pub body: usize,
    /// Connections at the same time; more of them wait.
    pub connections: usize,
    /// Runs that are watched at the same time.
    pub streams: usize,
    /// How often a word comes while nothing happens to a watched run.
    pub keep_alive: Duration,
    /// Longest time that a look at the database for health or figures takes.
    pub look: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            request: Duration::from_secs(15),
            body: 64 * 1024,
            connections: 256,
            streams: 16,
            keep_alive: Duration::from_secs(15),
            look: Duration::from_secs(2),
        }
    }
}

/// How a server works.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// What triggers have to know.
    pub secrets: Secrets,
    /// The header in which a proxy in front says whose request it is; `None` when there is no proxy.
    pub client_address_header: Option<HeaderName>,
    /// The age of the live data from which on health is bad; `None` for none.
    pub longest_age: Option<Duration>,
    /// What clients may use up.
    pub limits: ServerLimits,
}

/// A server that has its port and does not take connections yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
}

/// What all requests share.
#[derive(Debug)]
struct Shared {
    dispatcher: Dispatcher,
    options: ServerOptions,
    gate: Mutex<Gate>,
    unauthorized: AtomicU64,
    rate_limited: AtomicU64,
    triggers: TriggerCounts,
    /// Looks at the database for who need not know the secret. One that hangs must not take all threads with it.
    looks: Arc<Semaphore>,
    /// Whether the last of those looks brought nothing, which the log was told.
    is_blind: AtomicBool,
    streams: Arc<Semaphore>,
    /// Cancelled when the server is to end.
    stop: CancellationToken,
}

/// Looks for health and figures at the same time.
const LOOKS: usize = 2;

impl Server {
    /// Serves `dispatcher` on `listener`, once it is told to.
    #[must_use]
    pub fn new(listener: TcpListener, dispatcher: Dispatcher, options: ServerOptions) -> Self {
        let streams = Arc::new(Semaphore::new(options.limits.streams));
        let shared = Shared {
            dispatcher,
            options,
            gate: Mutex::default(),
            unauthorized: AtomicU64::new(0),
            rate_limited: AtomicU64::new(0),
            triggers: TriggerCounts::default(),
            looks: Arc::new(Semaphore::new(LOOKS)),
            is_blind: AtomicBool::new(false),
            streams,
            stop: CancellationToken::new(),
        };
        Self { listener, shared: Arc::new(shared) }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Takes requests and runs what they trigger until `stop`; then takes no more, answers those that are there, and waits
    /// for the run that goes on, which `cancel` ends before its publish.
    ///
    /// # Errors
    /// When the part that runs things ends by a panic. It has stopped then as if it had been told to.
    pub async fn run(self, stop: CancellationToken, cancel: CancellationToken) -> Result<(), OperationError> {
        let Self { listener, shared } = self;
        // A request that hangs must not keep the process from its end, nor a panic the port open.
        let dispatcher = shared.dispatcher.clone();
        let (own_stop, stopped) = (shared.stop.clone(), stop.clone());
        let working = tokio::spawn(async move { dispatcher.work(stopped, cancel).await });
        let worked = async {
            let worked = working.await;
            own_stop.cancel();
            worked.map_err(|_| OperationError::Panicked)
        };
        let told = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = own_stop.cancelled() => {}
            }
            own_stop.cancel();
        };
        let (worked, (), ()) = tokio::join!(worked, told, connections::serve(listener, &shared));
        worked
    }
}

impl Shared {
    fn operations(&self) -> &Operations {
        self.dispatcher.operations()
    }

    /// Lets a request from `address` in that brings these `candidates` for the secret, and counts what it does not.
    fn admit<'a>(&self, address: IpAddr, candidates: impl Iterator<Item = &'a [u8]>) -> Entry {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = gate.admit(address, Instant::now(), || self.options.secrets.match_any(candidates));
        match entry {
            Entry::Granted => {}
            Entry::Refused { .. } => drop(self.unauthorized.fetch_add(1, Ordering::Relaxed)),
            Entry::Limited { .. } => drop(self.rate_limited.fetch_add(1, Ordering::Relaxed)),
        }
        entry
    }
}
