//! The data of many generations, read as a sync reads it.

use std::collections::{BTreeMap, HashMap, HashSet};

use axum::body::Bytes;
use serde_json::Value as Json;

use super::{change::advance, data::Dataset};
use crate::{
    blue::BodyReader,
    entity::{Endpoint, Entity, Harvest, OnDuplicate, Value},
};

const GENERATIONS: u64 = 12;

/// The rows that a sync of one generation would publish, and what became of the other records.
#[derive(Default)]
struct Mirror {
    rows: BTreeMap<Entity, Vec<Vec<Value>>>,
    records: BTreeMap<Entity, u64>,
    quarantined: BTreeMap<Entity, u64>,
    notes: usize,
    /// Where the row with a unique key stands.
    places: HashMap<(Entity, String), usize>,
}

impl Mirror {
    fn of(data: &Dataset) -> Self {
        let mut mirror = Self::default();
        let bodies = data.bodies();
        for endpoint in Endpoint::ALL {
            mirror.read(endpoint, &bodies[endpoint.index()]);
        }
        mirror
    }

    fn read(&mut self, endpoint: Endpoint, body: &[u8]) {
        let mut reader = BodyReader::new(endpoint);
        let mut harvest = Harvest::new(endpoint.entities());
        let mut place = 0;
        for piece in body.chunks(1_000) {
            reader
                .push(piece, |element| {
                    endpoint.transform(element, place, &mut harvest);
                    place += 1;
                })
                .unwrap();
        }
        assert_eq!(reader.finish().unwrap().records, place);
        for entity in endpoint.entities() {
            self.records.insert(*entity, harvest.records(*entity));
        }
        let (batches, quarantined, notes) = harvest.take();
        self.notes += notes.len();
        for record in quarantined {
            *self.quarantined.entry(record.entity).or_default() += 1;
        }
        for batch in batches {
            for row in batch.rows() {
                self.insert(batch.entity, row);
            }
        }
    }

    fn insert(&mut self, entity: Entity, row: &[Value]) {
        let table = entity.table();
        let unique = table.indexes.iter().filter(|index| table.can_collide(index)).map(|index| index.columns);
        let keys: Vec<_> = [&["id"][..]]
            .into_iter()
            .chain(unique)
            .map(|columns| {
                let cells = columns
                    .iter()
                    .map(|name| &row[table.columns.iter().position(|column| column.name == *name).unwrap()]);
                (entity, format!("{columns:?} {:?}", cells.collect::<Vec<_>>()))
            })
            .collect();
        let rows = self.rows.entry(entity).or_default();
        match keys.iter().find_map(|key| self.places.get(key)) {
            Some(first) if table.on_duplicate == OnDuplicate::LastWins => rows[*first] = row.to_vec(),
            Some(_) => {}
            None => {
                self.places.extend(keys.into_iter().map(|key| (key, rows.len())));
                rows.push(row.to_vec());
            }
        }
    }

    fn column(&self, entity: Entity, name: &str) -> Vec<&str> {
        let place = entity.table().columns.iter().position(|column| column.name == name).unwrap();
        let cells = self.rows[&entity].iter().map(|row| match &row[place] {
            Value::Text(text) => text.as_str(),
            other => panic!("{entity}.{name} holds {other:?}"),
        });
        cells.collect()
    }

    /// References to nothing, for each relation.
    fn dangling(&self) -> BTreeMap<(Entity, &'static str), usize> {
        let mut found = BTreeMap::new();
        for entity in Entity::ALL {
            for relation in entity.table().relations {
                let targets: HashSet<_> = self.column(relation.target, relation.target_column).into_iter().collect();
                let values = self.column(entity, relation.column);
                found
                    .insert((entity, relation.column), values.iter().filter(|value| !targets.contains(*value)).count());
            }
        }
        found
    }

    fn rows_in_all(&self) -> usize {
        self.rows.values().map(Vec::len).sum()
    }
}

/// The data of generations 0 to `last`.
fn generations(last: u64) -> Vec<Dataset> {
    let mut data = Dataset::built_in().unwrap();
    let mut all = vec![data.clone()];
    for generation in 1..=last {
        advance(&mut data, generation);
        all.push(data.clone());
    }
    all
}

#[test]
fn the_first_sync_sees_enough_of_everything() {
    let mirror = Mirror::of(&Dataset::built_in().unwrap());
    assert!(mirror.rows_in_all() >= 1_200, "{}", mirror.rows_in_all());
    let quarantined: Vec<_> = mirror.quarantined.iter().map(|(entity, count)| (*entity, *count)).collect();
    assert_eq!(
        quarantined,
        [
            (Entity::Talents, 1),
            (Entity::MediaTags, 1),
            (Entity::PortfoliosMedia, 1),
            (Entity::TalentsMeasurements, 1),
            (Entity::MediaTagsJunction, 1),
        ]
    );
    assert_eq!(mirror.notes, 1);
    let dangling: Vec<_> = mirror.dangling().into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(dangling, [((Entity::BoardsPortfolios, "portfolioId"), 1)]);
    let pairs = mirror.rows[&Entity::BoardsTalents].len() as u64;
    assert_eq!(mirror.records[&Entity::BoardsTalents] - pairs, 1, "one pair stands twice");
    let bios = mirror.rows[&Entity::Talents].iter().map(|row| &row[4]);
    assert!(
        bios.into_iter()
            .any(|bio| matches!(bio, Value::Text(bio) if bio.contains("\u{1b}[31m") && bio.contains('\u{202e}')))
    );
}

#[test]
fn the_assets_are_sent_as_they_are() {
    let bodies = Dataset::built_in().unwrap().bodies();
    for endpoint in Endpoint::ALL {
        let path = format!("{}/assets/demo/{}.json", env!("CARGO_MANIFEST_DIR"), endpoint.key());
        let asset = std::fs::read_to_string(path).unwrap();
        let [sent, kept]: [Json; 2] =
            [&bodies[endpoint.index()][..], asset.as_bytes()].map(|text| serde_json::from_slice(text).unwrap());
        assert_eq!(sent, kept, "{endpoint}");
    }
}

#[test]
fn every_generation_is_whole() {
    let all = generations(GENERATIONS);
    let first = Mirror::of(&all[0]).dangling();
    for (generation, data) in all.iter().enumerate() {
        let mirror = Mirror::of(data);
        assert!(mirror.rows[&Entity::Talents].len() >= 48, "generation {generation}");
        assert!(mirror.rows_in_all() >= 1_200, "generation {generation}");
        for (entity, records) in &mirror.records {
            let quarantined = mirror.quarantined.get(entity).copied().unwrap_or_default();
            assert!(quarantined * 20 < *records, "generation {generation}, {entity}: {quarantined} of {records}");
        }
        for (relation, dangling) in mirror.dangling() {
            assert!(dangling <= first[&relation], "generation {generation}, {relation:?}: {dangling}");
        }
    }
}

#[test]
fn most_endpoints_change_and_some_do_not() {
    let bodies: Vec<_> = generations(GENERATIONS).iter().map(Dataset::bodies).collect();
    let mut ever: HashMap<Endpoint, u32> = HashMap::new();
    for (generation, pair) in (1..).zip(bodies.windows(2)) {
        let differs = |endpoint: &Endpoint| pair[0][endpoint.index()] != pair[1][endpoint.index()];
        let changed: Vec<_> = Endpoint::ALL.into_iter().filter(differs).collect();
        assert!((5..9).contains(&changed.len()), "generation {generation}: {changed:?}");
        for endpoint in changed {
            *ever.entry(endpoint).or_default() += 1;
        }
    }
    assert!(Endpoint::ALL.into_iter().all(|endpoint| ever[&endpoint] >= 6), "{ever:?}");
}

#[test]
fn talents_come_and_go() {
    let all: Vec<_> = generations(4).iter().map(Mirror::of).collect();
    let talents = |generation: usize| all[generation].column(Entity::Talents, "id").into_iter().collect::<HashSet<_>>();
    for (generation, came, went) in [(1, 1, 0), (2, 0, 0), (3, 0, 1), (4, 0, 0)] {
        let (before, after) = (talents(generation - 1), talents(generation));
        assert_eq!(after.difference(&before).count(), came, "generation {generation}");
        assert_eq!(before.difference(&after).count(), went, "generation {generation}");
    }
    for entity in [Entity::TalentsPortfolios, Entity::PortfoliosMedia, Entity::BoardsTalents, Entity::BoardsPortfolios]
    {
        let rows = |generation: usize| all[generation].rows[&entity].len();
        assert!(rows(1) > rows(0) && rows(3) < rows(2), "{entity}");
    }
    let arrival = *talents(1).difference(&talents(0)).next().unwrap();
    for (entity, rows) in [
        (Entity::TalentsPortfolios, 2),
        (Entity::TalentsMeasurements, 1),
        (Entity::TalentsSocials, 2),
        (Entity::BoardsTalents, 1),
        (Entity::BoardsPortfolios, 2),
    ] {
        let owners = all[1].column(entity, "talentId");
        assert_eq!(owners.iter().filter(|owner| **owner == arrival).count(), rows, "{entity}");
    }
}

#[test]
fn a_generation_is_the_same_each_time() {
    let bodies = |all: &[Dataset]| all.iter().map(Dataset::bodies).collect::<Vec<[Bytes; 9]>>();
    assert_eq!(bodies(&generations(GENERATIONS)), bodies(&generations(GENERATIONS)));
}

#[test]
fn the_data_neither_grows_nor_shrinks_for_long() {
    let mut data = Dataset::built_in().unwrap();
    let first = Mirror::of(&data).rows_in_all();
    for generation in 1..=200 {
        advance(&mut data, generation);
    }
    let mirror = Mirror::of(&data);
    assert!(mirror.rows[&Entity::Talents].len() >= 48);
    assert!((first / 2..first * 2).contains(&mirror.rows_in_all()), "{first} became {}", mirror.rows_in_all());
}
