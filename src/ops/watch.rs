//! Watching what other processes do: a thread that sleeps until the database's files are written.

use std::{
    ffi::OsStr,
    path::Path,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc as channel;

use super::{OperationError, Operations};
use crate::{
    green::Database,
    sync::{Follower, Observed},
};

/// Shortest time between two looks: a run of somebody else's writes many times a second.
const LOOK_INTERVAL: Duration = Duration::from_millis(150);

/// How long a run of somebody else's is left alone without a look at its process.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);

/// How often the database is looked at where the system does not tell of writes.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Why the thread wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ring {
    /// A file was written.
    Written,
    /// Nobody watches any more.
    Stop,
}

/// What other processes do, as it happens. The watching ends when this is dropped.
#[derive(Debug)]
pub struct Watching {
    seen: channel::UnboundedReceiver<Result<Observed, String>>,
    bell: mpsc::Sender<Ring>,
}

impl Watching {
    /// The next thing that is seen, or why nothing can be seen for the moment; `None` when the watching ended.
    pub async fn next(&mut self) -> Option<Result<Observed, String>> {
        self.seen.recv().await
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.bell.send(Ring::Stop);
    }
}

impl Operations {
    /// Begins to watch what other processes do to the database. Costs nothing while they do nothing.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn watch(&self) -> Result<Watching, OperationError> {
        let operator = self.operator.clone();
        self.blocking(move |database| {
            let follower = Follower::open(database, operator)?;
            let (bell, rings) = mpsc::channel();
            let watcher = watch_files(database, bell.clone());
            let (sender, seen) = channel::unbounded_channel();
            let watching = move || {
                // Dropping it ends the notices.
                let has_notices = watcher.is_some();
                watch(follower, &rings, &sender, has_notices);
                drop(watcher);
            };
            // Without the thread nothing is seen, which the closed channel tells.
            drop(thread::Builder::new().name("watch".to_owned()).spawn(watching));
            Ok(Watching { seen, bell })
        })
        .await
    }
}

/// Rings when one of the database's files is written. By names: nothing is opened, as closing would drop SQLite's locks.
fn watch_files(database: &Database, bell: mpsc::Sender<Ring>) -> Option<RecommendedWatcher> {
    let path = database.path();
    let name = path.file_name()?.to_owned();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let notice = move |event: notify::Result<notify::Event>| {
        let is_ours = |path: &Path| {
            let found = path.file_name().map(OsStr::as_encoded_bytes);
            found.is_some_and(|found| found.starts_with(name.as_encoded_bytes()))
        };
        let rings = match event {
            Ok(event) => {
                let is_change =
                    matches!(event.kind, EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_));
                event.need_rescan() || (is_change && event.paths.iter().any(|path| is_ours(path)))
            }
            // Something was missed.
            Err(_) => true,
        };
        if rings {
            let _ = bell.send(Ring::Written);
        }
    };
    let watcher = notify::recommended_watcher(notice).and_then(|mut watcher| {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    watcher.inspect_err(|error| tracing::debug!("no notices of writes, polling instead: {error}")).ok()
}

fn watch(
    mut follower: Follower,
    rings: &mpsc::Receiver<Ring>,
    seen: &channel::UnboundedSender<Result<Observed, String>>,
    has_notices: bool,
) {
    let mut failure = None;
    loop {
        let looked = Instant::now();
        match follower.look() {
            Ok(observed) => {
                failure = None;
                if observed.into_iter().any(|one| seen.send(Ok(one)).is_err()) {
                    return;
                }
            }
            Err(error) => {
                // Told once, until it passes.
                let error = error.to_string();
                if failure.as_ref() != Some(&error) && seen.send(Err(error.clone())).is_err() {
                    return;
                }
                failure = Some(error);
            }
        }
        let wait = match (follower.is_following() || failure.is_some(), has_notices) {
            (true, _) => Some(FOLLOW_INTERVAL),
            (false, true) => None,
            (false, false) => Some(POLL_INTERVAL),
        };
        let ring = match wait {
            Some(wait) => match rings.recv_timeout(wait) {
                Err(RecvTimeoutError::Disconnected) => return,
                ring => ring.ok(),
            },
            None => match rings.recv() {
                Ok(ring) => Some(ring),
                Err(_) => return,
            },
        };
        if ring == Some(Ring::Stop) {
            return;
        }
        thread::sleep(LOOK_INTERVAL.saturating_sub(looked.elapsed()));
        if rings.try_iter().any(|ring| ring == Ring::Stop) {
            return;
        }
    }
}
