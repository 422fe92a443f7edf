//! What stays awake while a run works: it shows that the run answers, and hears who wants it to end and whose line dropped.

use std::sync::{Arc, Weak};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    emitter::Emitter,
    event::RunEvent,
    request::{Line, OnHangup},
};
use crate::green::{BEAT, GreenError, Watch};

/// Begins to attend a run. It ends by itself once nobody else has the emitter.
pub(super) fn attend(
    emitter: &Arc<Emitter>,
    line: &Line,
    cancel: &CancellationToken,
) -> Result<JoinHandle<()>, GreenError> {
    let watch = Watch::open(emitter.session().database())?;
    let attendant = Attendant { emitter: Arc::downgrade(emitter), line: line.clone(), cancel: cancel.clone() };
    Ok(tokio::spawn(attendant.attend(watch)))
}

struct Attendant {
    emitter: Weak<Emitter>,
    line: Line,
    cancel: CancellationToken,
}

impl Attendant {
    async fn attend(self, mut watch: Watch) {
        let mut has_line = true;
        loop {
            tokio::select! {
                () = self.line.dropped.cancelled(), if has_line => {
                    has_line = false;
                    let Some(emitter) = self.emitter.upgrade() else { return };
                    let cancels = self.line.on_hangup == OnHangup::Cancel;
                    emitter.emit(RunEvent::OperatorGone { cancels });
                    emitter.session().operator_gone(emitter.now());
                    if cancels {
                        self.cancel.cancel();
                    }
                }
                () = tokio::time::sleep(BEAT) => match self.look(watch).await {
                    Some(looked) => watch = looked,
                    None => return,
                },
            }
        }
    }

    /// Looks whether somebody wants the run to end, and shows that it was looked.
    async fn look(&self, mut watch: Watch) -> Option<Watch> {
        let emitter = self.emitter.upgrade()?;
        let (lock, run) = (emitter.session().lock(), emitter.session().run());
        drop(emitter);
        // On a thread of its own: a disk that hangs must hold up neither the run nor what it shows.
        let looking = tokio::task::spawn_blocking(move || {
            let asked = watch
                .has_changed()
                .and_then(|changed| if changed { Ok(watch.run(run)?.cancel_asked_by) } else { Ok(None) });
            if let Some(lock) = lock.upgrade() {
                lock.beat();
            }
            (watch, asked)
        });
        let (watch, asked) = looking.await.ok()?;
        let emitter = self.emitter.upgrade()?;
        match asked {
            Ok(Some(by)) if emitter.cancel_asked_by().is_none() => {
                emitter.emit(RunEvent::CancelAsked { by });
                self.cancel.cancel();
            }
            Ok(_) => {}
            Err(error) => tracing::warn!("run {run}: looking for a cancel: {error}"),
        }
        Some(watch)
    }
}
