//! What the elements of a body became, taken from the mapping alone, and what must hold for it.

use std::collections::{BTreeMap, BTreeSet};

use greenroom::entity::{
    ColumnType, Endpoint, Entity, Harvest, OnDuplicate, Value,
    harvest::{NotedValue, Quarantined},
};

/// What the elements of a body became.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    rows: BTreeMap<Entity, Vec<Vec<Value>>>,
    quarantined: Vec<Quarantined>,
    notes: Vec<NotedValue>,
    /// Records of each entity, as the harvest counts them.
    pub(crate) records: BTreeMap<Entity, u64>,
}

impl Outcome {
    /// Transforms `elements`, taking what they became at the end or, `piecemeal`, after each.
    pub(crate) fn of<T: AsRef<str>>(endpoint: Endpoint, elements: &[T], piecemeal: bool) -> Self {
        let mut harvest = Harvest::new(endpoint.entities());
        let mut outcome = Self::default();
        for (place, element) in (0..).zip(elements) {
            endpoint.transform(element.as_ref(), place, &mut harvest);
            if piecemeal {
                outcome.take(&mut harvest);
            }
        }
        outcome.take(&mut harvest);
        outcome.records = Entity::ALL.into_iter().map(|entity| (entity, harvest.records(entity))).collect();
        outcome
    }

    fn take(&mut self, harvest: &mut Harvest) {
        let (batches, quarantined, notes) = harvest.take();
        for batch in batches {
            let width = batch.entity.table().columns.len();
            assert_eq!(batch.values.len() % width, 0, "{}", batch.entity);
            self.rows.entry(batch.entity).or_default().extend(batch.rows().map(<[Value]>::to_vec));
        }
        self.quarantined.extend(quarantined);
        self.notes.extend(notes);
    }

    /// Rows of `entity`, in their order.
    pub(crate) fn rows(&self, entity: Entity) -> &[Vec<Value>] {
        self.rows.get(&entity).map_or(&[], Vec::as_slice)
    }

    /// Records of `entity` that are in quarantine.
    pub(crate) fn quarantined(&self, entity: Entity) -> impl Iterator<Item = &Quarantined> {
        self.quarantined.iter().filter(move |record| record.entity == entity)
    }

    /// Values of `entity` that were noted.
    pub(crate) fn notes(&self, entity: Entity) -> impl Iterator<Item = &NotedValue> {
        self.notes.iter().filter(move |note| note.entity == entity)
    }

    /// The rows of `entity` that a table keeps, in their order, and how many others have the key of one of these.
    pub(crate) fn kept(&self, entity: Entity) -> (Vec<Vec<Value>>, u64) {
        let table = entity.table();
        let unique: Vec<_> = table.indexes.iter().filter(|index| index.unique).map(|index| index.columns).collect();
        let mut taken = BTreeSet::new();
        let (mut kept, mut duplicates) = (Vec::<Vec<Value>>::new(), 0);
        for row in self.rows(entity) {
            let keys = std::iter::once(&["id"][..]).chain(unique.iter().copied());
            let keys: Vec<_> = keys.map(|columns| (columns, format!("{:?}", values(entity, row, columns)))).collect();
            if keys.iter().all(|key| !taken.contains(key)) {
                taken.extend(keys);
                kept.push(row.clone());
                continue;
            }
            duplicates += 1;
            if let (OnDuplicate::LastWins, Some(first)) =
                (table.on_duplicate, kept.iter_mut().find(|first| first[0] == row[0]))
            {
                first.clone_from(row);
            }
        }
        (kept, duplicates)
    }

    /// Quarantined records and notes in an order of their own, each with the origin of its element. A record that is the
    /// whole element is told by that alone, as its text holds all items.
    pub(crate) fn dirt(&self, origin: impl Fn(usize) -> usize) -> Vec<String> {
        let quarantined = self.quarantined.iter().map(|one| (one.entity, one.position, "", &one.reason, &one.record));
        let notes =
            self.notes.iter().map(|one| (one.entity, one.position, one.note.column, &one.note.problem, &one.record));
        let dirt = quarantined.chain(notes).map(|(entity, position, column, said, record)| {
            let element = origin(usize::try_from(position.record).unwrap());
            (entity, element, column, said, position.item.map(|_| record))
        });
        sorted(dirt)
    }

    /// Asserts that no record was lost or told twice, and that what became of them fits.
    pub(crate) fn check<T: AsRef<str>>(&self, endpoint: Endpoint, elements: &[T]) {
        for entity in Entity::ALL {
            let (rows, quarantined) = (self.rows(entity).len() as u64, self.quarantined(entity).count() as u64);
            assert_eq!(self.records[&entity], rows + quarantined, "records of {entity}");
            assert!(
                endpoint.entities().contains(&entity) || self.records[&entity] == 0,
                "{entity} is not of {endpoint}"
            );
            for row in self.rows(entity) {
                assert_fits(entity, row);
            }
            assert_ids_tell_keys(entity, self.rows(entity));
        }
        let quarantined = self.quarantined.iter().map(|one| (one.entity, one.position, &one.reason, &one.record));
        let notes = self.notes.iter().map(|one| (one.entity, one.position, &one.note.problem, &one.record));
        for (entity, position, said, record) in quarantined.chain(notes) {
            let element = elements[usize::try_from(position.record).unwrap()].as_ref();
            assert!(!said.is_empty());
            assert!(element.contains(record.as_str()), "{entity}: {record} is not in {element}");
            assert!(position.item.is_some() || record == element, "{entity}: {record} is not {element}");
        }
        let places: BTreeSet<_> = self.quarantined.iter().map(|one| (one.entity, one.position)).collect();
        assert_eq!(places.len(), self.quarantined.len(), "a record is in quarantine once: {:?}", self.quarantined);
    }
}

/// Asserts that the values of a row are what its columns hold.
fn assert_fits(entity: Entity, row: &[Value]) {
    for (column, value) in entity.table().columns.iter().zip(row) {
        let fits = match value {
            Value::Null => column.nullable,
            Value::Text(text) => column.kind == ColumnType::Text && (column.nullable || !text.is_empty()),
            Value::Real(number) => column.kind == ColumnType::Real && number.is_finite(),
            Value::Integer(number) => match column.kind {
                ColumnType::Integer | ColumnType::DateTime => true,
                ColumnType::Boolean => [0, 1].contains(number),
                ColumnType::Text | ColumnType::Real => false,
            },
        };
        assert!(fits, "{entity}.{}: {value:?}", column.name);
    }
}

/// Asserts that two rows have one id exactly when they have one natural key.
fn assert_ids_tell_keys(entity: Entity, rows: &[Vec<Value>]) {
    let key = entity.table().natural_key;
    let pairs = rows.iter().map(|row| (format!("{:?}", row[0]), format!("{:?}", values(entity, row, key))));
    let pairs: BTreeSet<_> = pairs.filter(|_| !key.is_empty()).collect();
    let ids: BTreeSet<_> = pairs.iter().map(|(id, _)| id).collect();
    let keys: BTreeSet<_> = pairs.iter().map(|(_, key)| key).collect();
    assert!(ids.len() == pairs.len() && keys.len() == pairs.len(), "{entity}: {pairs:?}");
}

/// The values of these columns.
fn values<'a>(entity: Entity, row: &'a [Value], columns: &[&str]) -> Vec<&'a Value> {
    let all = entity.table().columns.iter().zip(row);
    all.filter(|(column, _)| columns.contains(&column.name)).map(|(_, value)| value).collect()
}

/// All of them as texts, in an order that is theirs.
pub(crate) fn sorted(all: impl IntoIterator<Item = impl std::fmt::Debug>) -> Vec<String> {
    let mut all: Vec<_> = all.into_iter().map(|one| format!("{one:?}")).collect();
    all.sort_unstable();
    all
}
