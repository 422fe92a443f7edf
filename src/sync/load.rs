//! Turning a snapshot into rows: parts are read and parsed on one thread while another inserts.

use std::collections::{BTreeMap, VecDeque};

use tokio_util::sync::CancellationToken;

use super::{emitter::Emitter, event::RunEvent};
use crate::{
    entity::{Endpoint, Entity, Harvest},
    green::{GreenError, LoadedRows, QUARANTINE_KEPT, SnapshotParts},
    report::SnapshotId,
};

/// Bytes of rows and records that are handed to the inserting thread at once; a transaction takes a few milliseconds.
const BATCH_BYTES: usize = 1024 * 1024;

/// Batches that may wait for the inserting thread.
const IN_FLIGHT: usize = 2;

/// What became of the records of one entity.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) records: u64,
    pub(super) duplicates: u64,
    pub(super) quarantined: u64,
    pub(super) notes: u64,
}

/// Loads the rows that a snapshot makes of `entities` into the tables that were opened for them; blocks its thread.
///
/// `None` when it was told to stop.
pub(super) fn load_snapshot(
    emitter: &Emitter,
    endpoint: Endpoint,
    entities: &[Entity],
    snapshot: SnapshotId,
    stop: &CancellationToken,
) -> Result<Option<BTreeMap<Entity, Counts>>, GreenError> {
    let mut parts = SnapshotParts::open(emitter.session().database(), snapshot)?;
    let mut loader = Loader {
        emitter,
        endpoint,
        snapshot,
        harvest: Harvest::new(entities),
        counts: entities.iter().map(|entity| (*entity, Counts::default())).collect(),
        waiting: VecDeque::new(),
    };
    let mut elements = 0;
    let whole = parts.each_element(|element, place| {
        endpoint.transform(element, place, &mut loader.harvest);
        elements = place + 1;
        if loader.harvest.weight() >= BATCH_BYTES {
            loader.hand_over(elements)?;
        }
        Ok(!stop.is_cancelled())
    })?;
    if !whole {
        return Ok(None);
    }
    loader.hand_over(elements)?;
    loader.finish().map(Some)
}

struct Loader<'a> {
    emitter: &'a Emitter,
    endpoint: Endpoint,
    snapshot: SnapshotId,
    harvest: Harvest,
    counts: BTreeMap<Entity, Counts>,
    waiting: VecDeque<tokio::sync::oneshot::Receiver<Result<BTreeMap<Entity, u64>, GreenError>>>,
}

impl Loader<'_> {
    /// Gives what was collected to the inserting thread, waiting when it is behind.
    fn hand_over(&mut self, elements: u64) -> Result<(), GreenError> {
        let (batches, mut quarantined, mut notes) = self.harvest.take();
        let counts = &mut self.counts;
        // Only of the entities that are loaded.
        quarantined.retain(|record| {
            counts.get_mut(&record.entity).is_some_and(|count| {
                count.quarantined += 1;
                count.quarantined <= QUARANTINE_KEPT
            })
        });
        notes.retain(|note| {
            counts.get_mut(&note.entity).is_some_and(|count| {
                count.notes += 1;
                count.notes <= QUARANTINE_KEPT
            })
        });
        let rows = LoadedRows { endpoint: self.endpoint, snapshot: self.snapshot, batches, quarantined, notes };
        self.waiting.push_back(self.emitter.session().load(rows));
        while self.waiting.len() > IN_FLIGHT {
            self.await_oldest()?;
        }
        for entity in self.counts.keys() {
            let records = self.harvest.records(*entity);
            self.emitter.progress(RunEvent::Loading { entity: *entity, elements, records });
        }
        Ok(())
    }

    fn await_oldest(&mut self) -> Result<(), GreenError> {
        let Some(oldest) = self.waiting.pop_front() else { return Ok(()) };
        let duplicates = oldest.blocking_recv().unwrap_or(Err(GreenError::WriterGone))?;
        for (entity, found) in duplicates {
            self.counts.entry(entity).or_default().duplicates += found;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<BTreeMap<Entity, Counts>, GreenError> {
        while !self.waiting.is_empty() {
            self.await_oldest()?;
        }
        for (entity, count) in &mut self.counts {
            count.records = self.harvest.records(*entity);
        }
        Ok(self.counts)
    }
}
