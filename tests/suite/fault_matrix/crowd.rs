//! Many plain records for every endpoint, each of which makes one row, and what must come of what is put beside them.

use std::collections::BTreeMap;

use greenroom::entity::{Endpoint, Entity, Position};
use rusqlite::types::Value;

use crate::data::Row;

/// A record in quarantine, or a note on one, that must be found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Dirt {
    pub(super) entity: Entity,
    pub(super) position: Position,
    /// The column of a note; `None` for a record in quarantine.
    pub(super) column: Option<&'static str>,
    /// What its reason says.
    pub(super) says: String,
}

/// Elements of all bodies, and what must become of them.
#[derive(Clone, Debug)]
pub(super) struct Crowd {
    lists: BTreeMap<Endpoint, Vec<String>>,
    rows: BTreeMap<Entity, Vec<Row>>,
    duplicates: BTreeMap<Entity, u64>,
    dirt: Vec<Dirt>,
}

/// One place in a row.
pub(super) fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

/// A row of nothing but texts.
pub(super) fn texts(values: &[&str]) -> Row {
    values.iter().map(|value| text(*value)).collect()
}

impl Crowd {
    /// So many records for every endpoint. Those of one endpoint are others for another of its seeds, with the same ids
    /// where they have any of their own.
    pub(super) fn new(count: usize, seed: impl Fn(Endpoint) -> usize) -> Self {
        let mut crowd =
            Self { lists: BTreeMap::new(), rows: BTreeMap::new(), duplicates: BTreeMap::new(), dirt: Vec::new() };
        for endpoint in Endpoint::ALL {
            for place in 0..count {
                crowd.add(endpoint, place, (place + seed(endpoint)) % count, seed(endpoint));
            }
        }
        crowd
    }

    fn add(&mut self, endpoint: Endpoint, place: usize, other: usize, seed: usize) {
        let number = |number: usize| Value::Integer(i64::try_from(number).unwrap());
        let [board, medium, portfolio, talent, measured] =
            ["b", "m", "p", "t", "x"].map(|kind| format!("{kind}{place}"));
        let [other_tag, other_portfolio, other_talent] = ["g", "p", "t"].map(|kind| format!("{kind}{other}"));
        let named = format!("N{seed}");
        let (element, rows) = match endpoint {
            Endpoint::Talents => {
                let mut row = vec![text(&talent), text(&named), text("L"), number(place)];
                row.extend([Value::Null, Value::Null, Value::Null, Value::Null, text("Model")]);
                let element = format!(
                    r#"{{"id":"{talent}","firstName":"{named}","lastName":"L","talentUserNumber":{place},"talentType":"Model"}}"#
                );
                (element, vec![(Entity::Talents, row)])
            }
            Endpoint::Boards => {
                let row = vec![text(&board), text(&named), Value::Null, Value::Null];
                (format!(r#"{{"id":"{board}","title":"{named}"}}"#), vec![(Entity::Boards, row)])
            }
            Endpoint::MediaTags => {
                let element = format!(
                    r#"{{"id":"{medium}","tags":[{{"id":"{other_tag}","name":"{named}","slug":"{other_tag}"}}]}}"#
                );
                let tag = texts(&[&other_tag, &named, &other_tag]);
                let pair = texts(&[&format!("{medium}:{other_tag}"), &medium, &other_tag]);
                (element, vec![(Entity::MediaTags, tag), (Entity::MediaTagsJunction, pair)])
            }
            Endpoint::TalentsPortfolios => {
                let element = format!(
                    r#"{{"talentId":"{talent}","portfolios":[{{"id":"{portfolio}","title":"{named}","isDefault":true}}]}}"#
                );
                let mut row = vec![text(&portfolio), text(&talent), text(&named), Value::Null, Value::Integer(1)];
                row.extend([Value::Null, Value::Null]);
                (element, vec![(Entity::TalentsPortfolios, row)])
            }
            Endpoint::PortfoliosMedia => {
                let item =
                    format!(r#"{{"id":"{medium}","type":"image","url":"{named}","filename":"f","order":{place}"#);
                let element =
                    format!(r#"{{"portfolioId":"{portfolio}","media":[{item},"width":1,"height":2,"size":3}}]}}"#);
                let mut row = texts(&[&format!("{portfolio}:{medium}"), &medium, &portfolio, "image", &named, "f"]);
                row.extend([Value::Null, number(place), number(1), number(2), number(3), Value::Null]);
                (element, vec![(Entity::PortfoliosMedia, row)])
            }
            Endpoint::TalentsMeasurements => {
                let element = format!(
                    r#"{{"id":"{talent}","measurements":{{"id":"{measured}","createdAt":{seed},"updatedAt":0,"eyeColor":"grey"}}}}"#
                );
                let mut row = texts(&[&measured, &talent]);
                row.extend(vec![Value::Null; 12]);
                row.extend([text("grey"), Value::Null, number(seed), number(0)]);
                (element, vec![(Entity::TalentsMeasurements, row)])
            }
            Endpoint::TalentsSocials => {
                let element =
                    format!(r#"{{"id":"{talent}","socials":[{{"platform":"x","username":"{named}","url":"u"}}]}}"#);
                (element, vec![(Entity::TalentsSocials, texts(&[&format!("{talent}:x"), &talent, "x", &named, "u"]))])
            }
            Endpoint::BoardsTalents => {
                let row = texts(&[&format!("{board}:{other_talent}"), &board, &other_talent]);
                (
                    format!(r#"{{"boardId":"{board}","talents":[{{"id":"{other_talent}"}}]}}"#),
                    vec![(Entity::BoardsTalents, row)],
                )
            }
            Endpoint::BoardsPortfolios => {
                let element = format!(
                    r#"{{"boardId":"{board}","portfolios":[{{"id":"{other_portfolio}","talentId":"{other_talent}"}}]}}"#
                );
                let row = texts(&[&format!("{board}:{other_portfolio}"), &board, &other_portfolio, &other_talent]);
                (element, vec![(Entity::BoardsPortfolios, row)])
            }
        };
        self.push(endpoint, element);
        for (entity, row) in rows {
            self.expect(entity, row);
        }
    }

    /// Sends an element more, and tells its place.
    pub(super) fn push(&mut self, endpoint: Endpoint, element: impl Into<String>) -> u64 {
        let list = self.lists.entry(endpoint).or_default();
        list.push(element.into());
        list.len() as u64 - 1
    }

    /// Expects a row more.
    pub(super) fn expect(&mut self, entity: Entity, row: Row) {
        self.rows.entry(entity).or_default().push(row);
    }

    /// Expects a record more with the key of an earlier one.
    pub(super) fn expect_duplicate(&mut self, entity: Entity) {
        *self.duplicates.entry(entity).or_default() += 1;
    }

    /// Expects a record in quarantine.
    pub(super) fn expect_quarantined(&mut self, entity: Entity, record: u64, item: Option<u64>, says: &str) {
        let position = Position { record, item };
        self.dirt.push(Dirt { entity, position, column: None, says: says.to_owned() });
    }

    /// Expects a note.
    pub(super) fn expect_note(&mut self, entity: Entity, record: u64, item: Option<u64>, column: &'static str) {
        let position = Position { record, item };
        self.dirt.push(Dirt { entity, position, column: Some(column), says: "; stored ".to_owned() });
    }

    /// Sends only the first `count` elements at `endpoint`.
    pub(super) fn thin(&mut self, endpoint: Endpoint, count: usize) {
        self.lists.entry(endpoint).or_default().truncate(count);
        for entity in endpoint.entities() {
            self.rows.entry(*entity).or_default().truncate(count);
        }
    }

    /// Changes each element of `endpoint`, none of which makes a row of `lost` any more.
    pub(super) fn spoil_all(&mut self, endpoint: Endpoint, lost: &[Entity], change: impl Fn(&str) -> String) {
        for element in self.lists.entry(endpoint).or_default() {
            *element = change(element);
        }
        for entity in lost {
            self.rows.entry(*entity).or_default().clear();
        }
    }

    /// Sends another first element at `endpoint`.
    pub(super) fn replace_first(&mut self, endpoint: Endpoint, element: String) {
        self.lists.entry(endpoint).or_default()[0] = element;
    }

    /// The elements of `endpoint`.
    pub(super) fn list(&self, endpoint: Endpoint) -> &[String] {
        &self.lists[&endpoint]
    }

    /// The body of `endpoint`.
    pub(super) fn body(&self, endpoint: Endpoint) -> String {
        format!("{{\"data\":[{}]}}", self.lists[&endpoint].join(","))
    }

    /// The rows that must come of it, in their order.
    pub(super) fn rows(&self, entity: Entity) -> &[Row] {
        &self.rows[&entity]
    }

    /// The same, to be changed.
    pub(super) fn rows_mut(&mut self, entity: Entity) -> &mut Vec<Row> {
        self.rows.entry(entity).or_default()
    }

    /// Records with the key of an earlier one.
    pub(super) fn duplicates(&self, entity: Entity) -> u64 {
        self.duplicates.get(&entity).copied().unwrap_or_default()
    }

    /// What must be found in quarantine of `entity`, notes or records, sorted.
    pub(super) fn dirt(&self, entity: Entity, notes: bool) -> Vec<Dirt> {
        let of_it = self.dirt.iter().filter(|dirt| dirt.entity == entity && dirt.column.is_some() == notes);
        let mut dirt: Vec<_> = of_it.cloned().collect();
        dirt.sort();
        dirt
    }
}
