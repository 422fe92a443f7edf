//! What the fake source sends, and the rows that must come of it.
//!
//! Bodies and rows are written side by side here, so that the expected rows owe nothing to the code under test.

use std::collections::BTreeMap;

use greenroom::{
    blue::Envelope,
    entity::{Endpoint, Entity},
};
use rusqlite::types::Value;
use serde_json::{Map, Value as Json, json};

/// A row as SQLite stores it, storage classes included.
pub(crate) type Row = Vec<Value>;

/// Bodies of the nine endpoints and the rows of the ten entities.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    lists: BTreeMap<Endpoint, Vec<Json>>,
    rows: BTreeMap<Entity, Vec<Row>>,
}

fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

/// Makes ids and optional values, stamped or not.
struct Maker {
    seed: u64,
    stamp: Option<u64>,
    data: Data,
}

impl Maker {
    fn id(&self, kind: &str, number: usize) -> String {
        match self.stamp {
            Some(stamp) => format!("{kind}{number}@{stamp}"),
            None => format!("{kind}{number}"),
        }
    }

    fn word(&self, word: &str) -> String {
        match self.stamp {
            Some(stamp) => format!("{word}@{stamp}"),
            None => format!("{word} {}", self.seed),
        }
    }

    /// Puts an optional text into `record`: there, missing, null or empty by turns; always there when stamped.
    fn optional(&self, record: &mut Json, key: &str, turn: usize, word: &str, empty_is_null: bool) -> Value {
        let turn = if self.stamp.is_some() { 0 } else { turn % 4 };
        let sent = match turn {
            0 => Json::from(self.word(word)),
            1 => return Value::Null,
            2 => Json::Null,
            _ => Json::from(""),
        };
        record[key] = sent;
        match turn {
            0 => text(self.word(word)),
            3 if !empty_is_null => text(""),
            _ => Value::Null,
        }
    }

    fn send(&mut self, endpoint: Endpoint, element: Json) {
        self.data.lists.entry(endpoint).or_default().push(element);
    }

    fn expect(&mut self, entity: Entity, row: Row) {
        self.data.rows.entry(entity).or_default().push(row);
    }

    fn talents(&mut self) {
        let names =
            [("Ana", "Müller"), ("李", "小龍"), ("Zoë", "O'Neill"), ("José", "Ñandú"), ("Ида", "Ёлкина"), ("م", "ع")];
        for (place, (first, last)) in names.into_iter().enumerate() {
            let id = self.id("t", place);
            let first = format!("{first}{}", self.seed);
            let number = i64::try_from(self.seed).unwrap() * 100 + i64::try_from(place).unwrap();
            let mut talent = json!({"id": id, "firstName": first, "lastName": last, "talentUserNumber": number, "extra": [{}, null]});
            if place == 1 {
                talent["talentUserNumber"] = Json::from(number.to_string());
            }
            let bio = self.optional(&mut talent, "bio", place, "<p>Bio &amp; \"more\"\n</p>", true);
            let image = self.optional(&mut talent, "profileImage", place + 1, "https://cdn/a.jpg", true);
            let gender = self.optional(&mut talent, "gender", place + 2, "female", true);
            let pronouns = self.optional(&mut talent, "pronouns", place + 3, "they/them", true);
            let kind = match place % 3 {
                0 => {
                    talent["talentType"] = json!({"id": "k1", "name": "Model"});
                    "Model"
                }
                1 => {
                    talent["talentType"] = json!("Actor");
                    "Actor"
                }
                _ => "Unknown",
            };
            self.send(Endpoint::Talents, talent);
            let row = vec![
                text(id),
                text(first),
                text(last),
                Value::Integer(number),
                bio,
                image,
                gender,
                pronouns,
                text(kind),
            ];
            self.expect(Entity::Talents, row);
        }
    }

    fn boards(&mut self) {
        for place in 0..3 {
            let id = self.id("b", place);
            let title = format!("Board {place} ✨ {}", self.seed);
            let mut board = json!({"id": id, "title": title});
            let description = self.optional(&mut board, "description", place + 3, "about", false);
            let cover = self.optional(&mut board, "coverImage", place, "https://cdn/b.jpg", false);
            self.send(Endpoint::Boards, board);
            self.expect(Entity::Boards, vec![text(id), text(title), description, cover]);
        }
    }

    /// Three tags under four media; each tag is told under several of them. One medium's tags turn with the seed.
    fn tags(&mut self) {
        let mut told = Vec::new();
        let turning = vec![vec![], vec![1], vec![2]].swap_remove(usize::try_from(self.seed % 3).unwrap());
        for (medium, tags) in [(3, vec![2, 0]), (0, turning), (1, vec![0, 1]), (2, vec![1, 2, 0])] {
            let medium = self.id("m", medium);
            let mut sent = Vec::new();
            for tag in tags {
                let (id, name) = (self.id("g", tag), self.word(&format!("Tag {tag}")));
                sent.push(json!({"id": id, "name": name, "slug": format!("tag-{tag}")}));
                let pair = vec![text(format!("{medium}:{id}")), text(medium.clone()), text(id.clone())];
                self.expect(Entity::MediaTagsJunction, pair);
                if !told.contains(&tag) {
                    told.push(tag);
                    self.expect(Entity::MediaTags, vec![text(id), text(name), text(format!("tag-{tag}"))]);
                }
            }
            self.send(Endpoint::MediaTags, json!({"id": medium, "tags": sent}));
        }
    }

    fn portfolios(&mut self) {
        for owner in 0..4 {
            let talent = self.id("t", owner);
            let mut sent = Vec::new();
            for place in 0..owner {
                let id = self.id("p", owner * 10 + place);
                let title = format!("Portfolio {place} {}", self.seed);
                let mut portfolio = json!({"id": id, "title": title, "isDefault": place == 0});
                let description = self.optional(&mut portfolio, "description", place, "<b>desc</b>", true);
                let cover = self.optional(&mut portfolio, "coverImage", place + 3, "https://cdn/p.jpg", true);
                let category = match place {
                    0 => {
                        portfolio["category"] = json!({"id": "c1", "name": "Editorial", "color": "#fff"});
                        text("Editorial")
                    }
                    1 => {
                        portfolio["category"] = json!("Runway");
                        text("Runway")
                    }
                    _ => {
                        portfolio["category"] = Json::Null;
                        Value::Null
                    }
                };
                sent.push(portfolio);
                let default = Value::Integer(i64::from(place == 0));
                let row = vec![text(id), text(talent.clone()), text(title), description, default, category, cover];
                self.expect(Entity::TalentsPortfolios, row);
            }
            self.send(Endpoint::TalentsPortfolios, json!({"talentId": talent, "portfolios": sent}));
        }
    }

    /// The same medium stands in several portfolios.
    fn media(&mut self) {
        for (portfolio, media) in [(10, vec![0, 1]), (20, vec![2, 0]), (21, vec![]), (30, vec![3])] {
            let portfolio = self.id("p", portfolio);
            let mut sent = Vec::new();
            for place in media {
                let id = self.id("m", place);
                let url = format!("https://cdn/{place}.jpg?v={}", self.seed);
                let (order, size) = (i64::try_from(place).unwrap(), 5_000_000_000 + i64::try_from(place).unwrap());
                let mut medium = json!({
                    "id": id, "type": "image", "url": url, "filename": "ä b.jpg",
                    "order": order, "width": 800.0, "height": "600", "size": size, "tags": ["x", {"id": 1}],
                });
                let cover = self.optional(&mut medium, "coverImage", place + 2, "https://cdn/c.jpg", false);
                let caption = self.optional(&mut medium, "caption", place, "caption", false);
                sent.push(medium);
                let numbers = [order, 800, 600, size].map(Value::Integer);
                let mut row = vec![text(format!("{portfolio}:{id}")), text(id), text(portfolio.clone())];
                row.extend([text("image"), text(url), text("ä b.jpg"), cover]);
                row.extend(numbers);
                row.push(caption);
                self.expect(Entity::PortfoliosMedia, row);
            }
            self.send(Endpoint::PortfoliosMedia, json!({"portfolioId": portfolio, "media": sent}));
        }
    }

    /// One talent has no measurements, the others have them in every form that is taken.
    fn measurements(&mut self) {
        let dates = [
            (json!("2024-01-02T03:04:05.678Z"), 1_704_164_645_678),
            (json!("2024-01-02T03:04:05"), 1_704_164_645_000),
            (json!(1_704_164_645_678_i64), 1_704_164_645_678),
            (json!("2024-01-02T05:04:05+02:00"), 1_704_164_645_000),
        ];
        let reals = ["heightCm", "weightKg", "bustCm", "waistCm", "hipsCm", "shoeSizeEu"];
        let more_reals = ["weightLbs", "bustIn", "waistIn", "hipsIn", "shoeSizeUs"];
        let none = self.id("t", 5);
        self.send(Endpoint::TalentsMeasurements, json!({"id": none, "measurements": null}));
        for (place, (date, millis)) in dates.into_iter().enumerate() {
            let (id, talent) = (self.id("x", place), self.id("t", place));
            let mut taken = json!({"id": id, "userTalentId": "u", "createdAt": date, "updatedAt": date});
            let mut row = vec![text(id), text(talent.clone())];
            let mut real = |turn: usize, name: &str| {
                let (sent, stored) = match turn % 5 {
                    0 => (json!(178.5), Value::Real(178.5)),
                    1 => (json!("61.25"), Value::Real(61.25)),
                    2 => (json!(90), Value::Real(90.0)),
                    3 => (json!(""), Value::Null),
                    _ => (Json::Null, Value::Null),
                };
                taken[name] = sent;
                stored
            };
            row.extend(reals.iter().enumerate().map(|(turn, name)| real(turn + place, name)));
            let mut rest: Vec<_> =
                more_reals.iter().enumerate().map(|(turn, name)| real(turn + place + 2, name)).collect();
            row.push(self.optional(&mut taken, "heightFtIn", place, "5'10\"", false));
            row.append(&mut rest);
            row.push(self.optional(&mut taken, "eyeColor", 0, "green", false));
            row.push(self.optional(&mut taken, "hairColor", place + 3, "grey", false));
            row.extend([Value::Integer(millis), Value::Integer(millis)]);
            self.send(Endpoint::TalentsMeasurements, json!({"id": talent, "measurements": taken}));
            self.expect(Entity::TalentsMeasurements, row);
        }
    }

    fn socials(&mut self) {
        for owner in [2, 0, 1] {
            let talent = self.id("t", owner);
            let mut sent = Vec::new();
            for platform in ["tiktok", "instagram"].into_iter().take(owner) {
                let url = self.word(&format!("https://{platform}/t{owner}"));
                sent.push(json!({"platform": platform, "username": "@ünï", "url": url, "followers": 3}));
                let id = format!("{talent}:{platform}");
                let row = vec![text(id), text(talent.clone()), text(platform), text("@ünï"), text(url)];
                self.expect(Entity::TalentsSocials, row);
            }
            self.send(Endpoint::TalentsSocials, json!({"id": talent, "socials": sent}));
        }
    }

    /// Which of the four talents stands on which board turns with the seed.
    fn junctions(&mut self) {
        for place in 0..3 {
            let board = self.id("b", place);
            let turn = place + usize::try_from(self.seed % 3).unwrap();
            let talents: Vec<_> = (0..=turn).rev().map(|talent| self.id("t", talent)).collect();
            let sent: Vec<_> = talents.iter().map(|id| json!({"id": id})).collect();
            self.send(Endpoint::BoardsTalents, json!({"boardId": board, "talents": sent}));
            for id in talents {
                let row = vec![text(format!("{board}:{id}")), text(board.clone()), text(id)];
                self.expect(Entity::BoardsTalents, row);
            }
            let portfolios: Vec<_> = [(30, 3), (10, 1), (20, 2)].into_iter().take((turn + place) % 3 + 1).collect();
            let mut sent = Vec::new();
            for (portfolio, talent) in portfolios {
                let (portfolio, talent) = (self.id("p", portfolio), self.id("t", talent));
                sent.push(json!({"id": portfolio, "talentId": talent}));
                let id = format!("{board}:{portfolio}");
                let row = vec![text(id), text(board.clone()), text(portfolio), text(talent)];
                self.expect(Entity::BoardsPortfolios, row);
            }
            self.send(Endpoint::BoardsPortfolios, json!({"boardId": board, "portfolios": sent}));
        }
    }

    fn make(seed: u64, stamp: Option<u64>) -> Data {
        let data = Data { lists: BTreeMap::new(), rows: BTreeMap::new() };
        let mut maker = Self { seed, stamp, data };
        maker.talents();
        maker.boards();
        maker.tags();
        maker.portfolios();
        maker.media();
        maker.measurements();
        maker.socials();
        maker.junctions();
        maker.data
    }
}

impl Data {
    /// A handful of records for every endpoint, in every form that is taken without complaint. Each endpoint sends
    /// something else for another seed, while most ids stay.
    pub(crate) fn small(seed: u64) -> Self {
        let mut data = Maker::make(seed, None);
        // Bodies that hold no word of the seed differ in a key that nobody reads.
        for list in data.lists.values_mut() {
            list[0]["revision"] = json!(seed);
        }
        data
    }

    /// As many records of each entity for every generation, each row telling the generation: see [`generation_of`].
    pub(crate) fn marked(generation: u64) -> Self {
        Maker::make(0, Some(generation))
    }

    /// Small data, and so many talents in place of the few, each with a long text.
    pub(crate) fn large(seed: u64, talents: usize, bio_bytes: usize) -> Self {
        let mut data = Self::small(seed);
        let bio = "é<br>".repeat(bio_bytes / 6);
        let (mut list, mut rows) = (Vec::new(), Vec::new());
        for number in 0..talents {
            let (id, bio) = (format!("t{number}"), format!("{seed} {number} {bio}"));
            list.push(json!({
                "id": id, "firstName": "F", "lastName": "L", "talentUserNumber": number, "bio": bio, "talentType": "Model",
            }));
            let number = Value::Integer(i64::try_from(number).unwrap());
            let mut row = vec![text(id), text("F"), text("L"), number, text(bio)];
            row.extend([Value::Null, Value::Null, Value::Null, text("Model")]);
            rows.push(row);
        }
        data.lists.insert(Endpoint::Talents, list);
        data.rows.insert(Entity::Talents, rows);
        data
    }

    /// The same with another list at `endpoint`; the rows of what it feeds are not known then.
    pub(crate) fn with(mut self, endpoint: Endpoint, list: Vec<Json>) -> Self {
        self.lists.insert(endpoint, list);
        for entity in endpoint.entities() {
            self.rows.remove(entity);
        }
        self
    }

    /// The same with the list that `other` sends at `endpoint`.
    pub(crate) fn with_endpoint_of(mut self, endpoint: Endpoint, other: &Self) -> Self {
        self.lists.insert(endpoint, other.lists[&endpoint].clone());
        for entity in endpoint.entities() {
            self.rows.insert(*entity, other.rows[entity].clone());
        }
        self
    }

    /// The same rows in another body, as long as there is an element at `endpoint`.
    pub(crate) fn revised(mut self, endpoint: Endpoint, revision: u64) -> Self {
        if let Some(first) = self.lists.get_mut(&endpoint).and_then(|list| list.first_mut()) {
            first["revision"] = json!(format!("revised {revision}"));
        }
        self
    }

    /// The same rows in a body that is so much longer in each element at `endpoint`.
    pub(crate) fn padded(mut self, endpoint: Endpoint, bytes: usize) -> Self {
        for element in self.lists.get_mut(&endpoint).unwrap() {
            element["padding"] = json!("x".repeat(bytes));
        }
        self
    }

    /// The same with only the first `count` elements at `endpoint`, each of which makes one row.
    pub(crate) fn only(mut self, endpoint: Endpoint, count: usize) -> Self {
        self.lists.get_mut(&endpoint).unwrap().truncate(count);
        for entity in endpoint.entities() {
            self.rows.get_mut(entity).unwrap().truncate(count);
        }
        self
    }

    /// The body of `endpoint` in one of the three envelopes.
    pub(crate) fn body(&self, endpoint: Endpoint, envelope: Envelope) -> Vec<u8> {
        let list = Json::from(self.lists[&endpoint].clone());
        let key = match envelope {
            Envelope::Array => return list.to_string().into_bytes(),
            Envelope::Data => "data",
            Envelope::Key => endpoint.key(),
        };
        Json::from(Map::from_iter([(key.to_owned(), list)])).to_string().into_bytes()
    }

    /// The rows that must come of it, in the source's order.
    pub(crate) fn rows(&self, entity: Entity) -> &[Row] {
        &self.rows[&entity]
    }
}

/// The column in which rows of [`Data::marked`] tell their generation after an `@`.
pub(crate) fn generation_of(entity: Entity) -> &'static str {
    match entity {
        Entity::Talents => "bio",
        Entity::Boards | Entity::TalentsPortfolios => "description",
        Entity::MediaTags => "name",
        Entity::PortfoliosMedia => "caption",
        Entity::TalentsMeasurements => "eyeColor",
        Entity::TalentsSocials => "url",
        Entity::BoardsTalents => "talentId",
        Entity::BoardsPortfolios => "portfolioId",
        Entity::MediaTagsJunction => "tagId",
    }
}

/// Number of rows, least and greatest generation in `source`, a view or table of `entity` with rows of [`Data::marked`].
pub(crate) fn generations(entity: Entity, source: &str) -> String {
    let column = generation_of(entity);
    let generation = format!("CAST(substr({column}, instr({column}, '@') + 1) AS INTEGER)");
    format!("SELECT count(*), min({generation}), max({generation}) FROM {source}")
}
