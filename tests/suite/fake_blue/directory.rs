//! Ways in which a source cannot be reached at all, so that it never hears of the call.
//!
//! The client asks a [`Directory`] for the address of each connection, and one connection is one call. The directory sends
//! it to the fake source, or to where nobody answers.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use greenroom::blue::Resolver;
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use tokio::net::TcpSocket;

use super::{FakeBlue, When};

/// What happens to a call that does not reach the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreachable {
    /// There is no such name.
    NoName,
    /// Nobody listens at the port.
    Refused,
    /// The port neither takes a connection nor refuses it.
    BlackHole,
}

/// Knows where the fake source is, and now and then tells something else.
#[derive(Clone, Debug)]
pub(crate) struct Directory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    source: SocketAddr,
    /// Bound, but nobody listens.
    closed: TcpSocket,
    hole: BlackHole,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    script: Option<(When, Unreachable)>,
    calls: u32,
    injected: u32,
}

impl Directory {
    /// A directory that tells where `blue` is.
    pub(crate) fn of(blue: &FakeBlue) -> Self {
        let closed = TcpSocket::new_v4().unwrap();
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (source, hole) = (blue.address, BlackHole::dig());
        Self(Arc::new(Shared { source, closed, hole, state: Mutex::default() }))
    }

    /// The base address of the source for a client that asks this directory, with a user and a password.
    pub(crate) fn base() -> Url {
        // Without a port in it, the directory's counts.
        Url::parse("http://ana:s3cr3t@localhost/").unwrap()
    }

    /// The directory as the client takes it.
    pub(crate) fn resolver(&self) -> Resolver {
        Resolver::new(self.clone())
    }

    /// Makes calls end like this from now on; they count from 1 again.
    pub(crate) fn script(&self, when: When, end: Unreachable) {
        *self.state() = State { script: Some((when, end)), ..State::default() };
    }

    /// Tells the truth from now on.
    pub(crate) fn behave(&self) {
        self.state().script = None;
    }

    /// Calls that were sent astray since the last script.
    pub(crate) fn injected(&self) -> u32 {
        self.state().injected
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    fn next(&self) -> Option<Unreachable> {
        let mut state = self.state();
        state.calls += 1;
        // Whom a call is for is not known here, so attempts at one endpoint cannot be told apart.
        let (_, end) = state.script.filter(|(when, _)| when.covers(0, state.calls))?;
        state.injected += 1;
        Some(end)
    }
}

impl Resolve for Directory {
    fn resolve(&self, _: Name) -> Resolving {
        let (end, shared) = (self.next(), self.0.clone());
        Box::pin(async move {
            let addresses: Vec<_> = match end {
                None => vec![shared.source],
                Some(Unreachable::NoName) => tokio::net::lookup_host(("blue.invalid", 80)).await?.collect(),
                Some(Unreachable::Refused) => vec![shared.closed.local_addr()?],
                Some(Unreachable::BlackHole) => vec![shared.hole.address()],
            };
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// A listener that never accepts and whose queue is full, so that the system leaves new connections without an answer.
#[derive(Debug)]
struct BlackHole {
    listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl BlackHole {
    fn dig() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap().into_std().unwrap();
        let address = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        // How long the shortest queue is, is the system's affair.
        while let Ok(waiting) = TcpStream::connect_timeout(&address, Duration::from_millis(20)) {
            queue.push(waiting);
            assert!(queue.len() < 100, "a queue that never fills");
        }
        Self { listener, _queue: queue }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }
}
