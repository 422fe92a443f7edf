//! Watching what other processes do: a thread that sleeps until the database's files are written.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc as channel;

use super::{OperationError, Operations};
use crate::{
    green::Database,
    report::Operator,
    sync::{Follower, Observed},
};

/// Shortest time between two looks: a run of somebody else's writes many times a second.
const LOOK_INTERVAL: Duration = Duration::from_millis(150);

/// How long a run of somebody else's is left alone without a look at its process.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);

/// How often the database is looked at where the system does not tell of writes.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// For how long a write may go before the commit that it is a part of: what is written is seen by others once it has reached
/// the disk, and of that the system does not tell.
const LONGEST_COMMIT: Duration = Duration::from_secs(5);

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
        self.watch_others_than(Some(self.operator.clone())).await
    }

    /// The same for what this process does as well.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn watch_all(&self) -> Result<Watching, OperationError> {
        self.watch_others_than(None).await
    }

    async fn watch_others_than(&self, own: Option<Operator>) -> Result<Watching, OperationError> {
        self.blocking(move |database| {
            let follower = Follower::open(database, own)?;
            let (bell, rings) = mpsc::channel();
            let notices = Notices::of(database, bell.clone());
            let (sender, seen) = channel::unbounded_channel();
            let watching = move || watch(follower, &rings, &sender, notices);
            // Without the thread nothing is seen, which the closed channel tells.
            drop(thread::Builder::new().name("watch".to_owned()).spawn(watching));
            Ok(Watching { seen, bell })
        })
        .await
    }
}

/// Rings when one of the database's files is written.
struct Notices {
    watcher: RecommendedWatcher,
    folder: PathBuf,
}

impl Notices {
    /// By names: nothing is opened, as closing would drop `SQLite`'s locks.
    fn of(database: &Database, bell: mpsc::Sender<Ring>) -> Option<Self> {
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
        let watcher = notify::recommended_watcher(notice);
        let watcher = watcher.inspect_err(|error| tracing::debug!("no notices of writes, polling instead: {error}"));
        Some(Self { watcher: watcher.ok()?, folder: folder.to_owned() })
    }

    /// Begins to ring; whether it does.
    fn turn_on(&mut self) -> bool {
        let watching = self.watcher.watch(&self.folder, RecursiveMode::NonRecursive);
        watching.inspect_err(|error| tracing::debug!("no notices of writes, polling instead: {error}")).is_ok()
    }

    /// Rings no more: a run writes some thousand times a second, of which one is enough to know.
    fn turn_off(&mut self) {
        let _ = self.watcher.unwatch(&self.folder);
    }
}

fn watch(
    mut follower: Follower,
    rings: &mpsc::Receiver<Ring>,
    seen: &channel::UnboundedSender<Result<Observed, String>>,
    mut notices: Option<Notices>,
) {
    let mut failure = None;
    // When the next look comes although nothing was written.
    let mut unasked = Some(LOOK_INTERVAL);
    loop {
        // Before the look, so that nothing comes between them.
        let has_notices = notices.as_mut().is_some_and(Notices::turn_on);
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
            (true, _) => Some(unasked.map_or(FOLLOW_INTERVAL, |unasked| unasked.min(FOLLOW_INTERVAL))),
            (false, true) => unasked,
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
        if let Some(notices) = &mut notices {
            notices.turn_off();
        }
        unasked = match (ring, unasked) {
            (Some(_), _) => Some(LOOK_INTERVAL),
            (None, Some(waited)) => Some(waited * 2).filter(|wait| *wait < LONGEST_COMMIT),
            (None, None) => None,
        };
        thread::sleep(LOOK_INTERVAL.saturating_sub(looked.elapsed()));
        if rings.try_iter().any(|ring| ring == Ring::Stop) {
            return;
        }
    }
}
