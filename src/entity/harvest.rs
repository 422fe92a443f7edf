//! What the records of a body became: rows, quarantined records and notes, counted so that they balance.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    Entity,
    field::{Cells, Field, Note, Rejection, object},
    table::Value,
};

/// Where in an endpoint's body a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// 0-based place in the list of the body.
    pub record: u64,
    /// 0-based place in the record's own list, for endpoints whose records are lists.
    pub item: Option<u64>,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.record)?;
        self.item.map_or(Ok(()), |item| write!(formatter, ".{item}"))
    }
}

/// A record that could not become a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The entity whose row it would have been.
    pub entity: Entity,
    /// Where it stood.
    pub position: Position,
    /// What is wrong with it.
    pub reason: String,
    /// The record, its text as received.
    pub record: String,
}

/// A value that was changed or left out in a record that did become a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedValue {
    /// The entity of the row.
    pub entity: Entity,
    /// Where the record stood.
    pub position: Position,
    /// Column and problem.
    pub note: Note,
    /// The record, its text as received.
    pub record: String,
}

/// Rows of one entity, one after the other.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The entity.
    pub entity: Entity,
    /// The values of all rows; their number is a multiple of the entity's columns.
    pub values: Vec<Value>,
}

impl Batch {
    /// The rows, each a slice with one value a column.
    #[must_use]
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[Value]> {
        self.values.chunks_exact(self.entity.table().columns.len())
    }
}

/// Collects what the records of one endpoint become.
#[derive(Debug)]
pub struct Harvest {
    batches: Vec<Batch>,
    quarantined: Vec<Quarantined>,
    notes: Vec<NotedValue>,
    records: [u64; Entity::ALL.len()],
    weight: usize,
}

impl Harvest {
    /// An empty harvest for an endpoint that feeds `entities`.
    #[must_use]
    pub fn new(entities: &[Entity]) -> Self {
        Self {
            batches: entities.iter().map(|entity| Batch { entity: *entity, values: Vec::new() }).collect(),
            quarantined: Vec::new(),
            notes: Vec::new(),
            records: [0; Entity::ALL.len()],
            weight: 0,
        }
    }

    /// Records of `entity` counted so far, whatever became of them.
    #[must_use]
    pub fn records(&self, entity: Entity) -> u64 {
        self.records[entity.index()]
    }

    /// About how much memory waits to be taken, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Takes the rows, quarantined records and notes collected since the last call; the counts go on.
    pub fn take(&mut self) -> (Vec<Batch>, Vec<Quarantined>, Vec<NotedValue>) {
        self.weight = 0;
        let batches = self
            .batches
            .iter_mut()
            .map(|batch| Batch { entity: batch.entity, values: std::mem::take(&mut batch.values) })
            .filter(|batch| !batch.values.is_empty())
            .collect();
        (batches, std::mem::take(&mut self.quarantined), std::mem::take(&mut self.notes))
    }

    /// Counts one record of `entity` and keeps what `read` makes of its text: a row or a quarantined record.
    pub(super) fn record<const N: usize>(
        &mut self,
        entity: Entity,
        position: Position,
        text: &str,
        read: impl FnOnce(&mut Cells) -> Result<[Value; N], Rejection>,
    ) {
        let mut cells = Cells::default();
        match read(&mut cells) {
            Ok(row) => {
                debug_assert_eq!(N, entity.table().columns.len(), "{entity}");
                self.records[entity.index()] += 1;
                self.weight += N * size_of::<Value>() + text.len() * (1 + cells.notes.len());
                if let Some(batch) = self.batches.iter_mut().find(|batch| batch.entity == entity) {
                    batch.values.extend(row);
                }
                self.notes.extend(cells.notes.into_iter().map(|note| NotedValue {
                    entity,
                    position,
                    note,
                    record: text.to_owned(),
                }));
            }
            Err(rejection) => self.reject(entity, position, text, rejection),
        }
    }

    /// Counts one record of `entity` that goes to quarantine.
    pub(super) fn reject(&mut self, entity: Entity, position: Position, text: &str, Rejection(reason): Rejection) {
        self.records[entity.index()] += 1;
        self.weight += text.len() + size_of::<Quarantined>();
        self.quarantined.push(Quarantined { entity, position, reason, record: text.to_owned() });
    }

    /// Records of a list-shaped endpoint: each item of the owner's list is one.
    ///
    /// An owner that cannot be read, lacks its key or has no list is itself the one record that goes to quarantine.
    pub(super) fn items<'a, O, I, const N: usize>(
        &mut self,
        entity: Entity,
        element: &'a str,
        record: u64,
        owner: impl FnOnce(&O, &mut Cells) -> Result<(String, Vec<&'a serde_json::value::RawValue>), Rejection>,
        mut read: impl FnMut(&str, &I, &mut Cells) -> Result<[Value; N], Rejection>,
    ) where
        O: Deserialize<'a>,
        I: Deserialize<'a>,
    {
        let found = object::<O>(element).and_then(|found| owner(&found, &mut Cells::default()));
        match found {
            Ok((key, items)) => {
                for (item, text) in (0_u64..).zip(items) {
                    let text = text.get();
                    self.record(entity, Position { record, item: Some(item) }, text, |cells| {
                        read(&key, &object::<I>(text)?, cells)
                    });
                }
            }
            Err(rejection) => self.reject(entity, Position { record, item: None }, element, rejection),
        }
    }
}

/// The key and the list of an owner, for [`Harvest::items`].
pub(super) fn keyed_list<'a>(
    cells: &mut Cells,
    (key_name, key): (&'static str, Field<'a>),
    (list_name, list): (&'static str, Field<'a>),
) -> Result<(String, Vec<&'a serde_json::value::RawValue>), Rejection> {
    Ok((cells.text(key_name, key)?, list.list(list_name)?))
}
