//! Each field that a column needs, of every endpoint: missing, null, under another name, of another type.

use greenroom::{
    entity::{Endpoint, Entity},
    report::Guard,
};
use rusqlite::types::Value;
use serde_json::{Value as Json, json};

use super::{
    Tally,
    crowd::{Crowd, text, texts},
    data_faults::{Finding, Row, harmless, held, try_all},
};

/// What becomes of a record without a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    /// It goes to quarantine, as a record of all entities of its endpoint.
    Quarantine,
    /// Only as a record of the second one; of the first it is a row.
    HalfQuarantine,
    /// It is a row with 0 in the column, and noted.
    Zero,
    /// It is no record.
    Nothing,
}

use Without::{HalfQuarantine, Nothing, Quarantine, Zero};

/// A field, where it is from the element on, what stands in it that is of another type, and what becomes of a record without it.
struct Field(Endpoint, &'static str, &'static str, Without);

impl Field {
    /// Its own name.
    fn name(&self) -> &'static str {
        self.1.rsplit('/').next().unwrap()
    }

    /// Whether it is a field of an item of its element's list.
    fn is_of_item(&self) -> bool {
        self.1.contains("/0/")
    }

    /// The object that it is a field of.
    fn object_in<'a>(&self, element: &'a mut Json) -> &'a mut serde_json::Map<String, Json> {
        let (within, _) = self.1.rsplit_once('/').unwrap();
        element.pointer_mut(within).and_then(Json::as_object_mut).unwrap()
    }
}

/// All of them, as the contract with the reading application has them: the fields of columns that may not be NULL and what
/// leads to them. A talent without a type is `Unknown`, so its type is none of them.
const FIELDS: [Field; 43] = [
    Field(Endpoint::Talents, "/id", "7", Quarantine),
    Field(Endpoint::Talents, "/firstName", "{}", Quarantine),
    Field(Endpoint::Talents, "/lastName", "[]", Quarantine),
    Field(Endpoint::Talents, "/talentUserNumber", "\"many\"", Quarantine),
    Field(Endpoint::Boards, "/id", "true", Quarantine),
    Field(Endpoint::Boards, "/title", "7", Quarantine),
    Field(Endpoint::MediaTags, "/id", "7", HalfQuarantine),
    Field(Endpoint::MediaTags, "/tags", "{}", Quarantine),
    Field(Endpoint::MediaTags, "/tags/0/id", "7", Quarantine),
    Field(Endpoint::MediaTags, "/tags/0/name", "false", Quarantine),
    Field(Endpoint::MediaTags, "/tags/0/slug", "[\"s\"]", Quarantine),
    Field(Endpoint::TalentsPortfolios, "/talentId", "7", Quarantine),
    Field(Endpoint::TalentsPortfolios, "/portfolios", "\"p\"", Quarantine),
    Field(Endpoint::TalentsPortfolios, "/portfolios/0/id", "7", Quarantine),
    Field(Endpoint::TalentsPortfolios, "/portfolios/0/title", "{\"en\":\"T\"}", Quarantine),
    Field(Endpoint::TalentsPortfolios, "/portfolios/0/isDefault", "\"maybe\"", Zero),
    Field(Endpoint::PortfoliosMedia, "/portfolioId", "7", Quarantine),
    Field(Endpoint::PortfoliosMedia, "/media", "7", Quarantine),
    Field(Endpoint::PortfoliosMedia, "/media/0/id", "7", Quarantine),
    Field(Endpoint::PortfoliosMedia, "/media/0/type", "[]", Quarantine),
    Field(Endpoint::PortfoliosMedia, "/media/0/url", "{}", Quarantine),
    Field(Endpoint::PortfoliosMedia, "/media/0/filename", "7", Quarantine),
    Field(Endpoint::PortfoliosMedia, "/media/0/order", "\"first\"", Zero),
    Field(Endpoint::PortfoliosMedia, "/media/0/width", "1.5", Zero),
    Field(Endpoint::PortfoliosMedia, "/media/0/height", "true", Zero),
    Field(Endpoint::PortfoliosMedia, "/media/0/size", "{}", Zero),
    Field(Endpoint::TalentsMeasurements, "/id", "7", Quarantine),
    Field(Endpoint::TalentsMeasurements, "/measurements", "[]", Nothing),
    Field(Endpoint::TalentsMeasurements, "/measurements/id", "7", Quarantine),
    Field(Endpoint::TalentsMeasurements, "/measurements/createdAt", "\"soon\"", Quarantine),
    Field(Endpoint::TalentsMeasurements, "/measurements/updatedAt", "1.5", Quarantine),
    Field(Endpoint::TalentsSocials, "/id", "7", Quarantine),
    Field(Endpoint::TalentsSocials, "/socials", "{}", Quarantine),
    Field(Endpoint::TalentsSocials, "/socials/0/platform", "7", Quarantine),
    Field(Endpoint::TalentsSocials, "/socials/0/username", "[]", Quarantine),
    Field(Endpoint::TalentsSocials, "/socials/0/url", "{}", Quarantine),
    Field(Endpoint::BoardsTalents, "/boardId", "7", Quarantine),
    Field(Endpoint::BoardsTalents, "/talents", "\"t\"", Quarantine),
    Field(Endpoint::BoardsTalents, "/talents/0/id", "7", Quarantine),
    Field(Endpoint::BoardsPortfolios, "/boardId", "[]", Quarantine),
    Field(Endpoint::BoardsPortfolios, "/portfolios", "7", Quarantine),
    Field(Endpoint::BoardsPortfolios, "/portfolios/0/id", "{}", Quarantine),
    Field(Endpoint::BoardsPortfolios, "/portfolios/0/talentId", "7", Quarantine),
];

/// What can be wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Missing,
    Null,
    Renamed,
    OtherType,
}

const WAYS: [Way; 4] = [Way::Missing, Way::Null, Way::Renamed, Way::OtherType];

impl Way {
    fn spoil(self, field: &Field, element: &mut Json) {
        let object = field.object_in(element);
        let good = object.remove(field.name()).unwrap();
        match self {
            Self::Missing => {}
            Self::Null => drop(object.insert(field.name().to_owned(), Json::Null)),
            Self::Renamed => drop(object.insert(format!("{}_", field.name()), good)),
            Self::OtherType => drop(object.insert(field.name().to_owned(), serde_json::from_str(field.2).unwrap())),
        }
    }
}

/// A good element, told apart by its number from others, that refers to what there is.
fn element(endpoint: Endpoint, number: usize) -> Json {
    let id = format!("new{number}");
    match endpoint {
        Endpoint::Talents => json!({"id": id, "firstName": "F", "lastName": "L", "talentUserNumber": 9000 + number}),
        Endpoint::Boards => json!({"id": id, "title": "T"}),
        Endpoint::MediaTags => json!({"id": "m0", "tags": [{"id": id, "name": "T", "slug": "t"}]}),
        Endpoint::TalentsPortfolios => {
            json!({"talentId": "t0", "portfolios": [{"id": id, "title": "T", "isDefault": true}]})
        }
        Endpoint::PortfoliosMedia => {
            let mut medium = json!({"id": id, "type": "image", "url": "u", "filename": "f"});
            for (name, measure) in ["order", "width", "height", "size"].into_iter().zip(1..) {
                medium[name] = json!(measure);
            }
            json!({"portfolioId": "p0", "media": [medium]})
        }
        Endpoint::TalentsMeasurements => {
            json!({"id": "t0", "measurements": {"id": id, "createdAt": 0, "updatedAt": "2024-01-01"}})
        }
        Endpoint::TalentsSocials => {
            json!({"id": "t0", "socials": [{"platform": id, "username": "U", "url": "u"}]})
        }
        Endpoint::BoardsTalents => json!({"boardId": "b0", "talents": [{"id": id}]}),
        Endpoint::BoardsPortfolios => json!({"boardId": "b0", "portfolios": [{"id": id, "talentId": "t0"}]}),
    }
}

/// The row of a record without a field that is 0 then.
fn zeroed(field: &Field, number: usize) -> Vec<Value> {
    let id = format!("new{number}");
    if field.0 == Endpoint::TalentsPortfolios {
        let mut row = texts(&[&id, "t0", "T"]);
        row.extend([Value::Null, Value::Integer(0), Value::Null, Value::Null]);
        return row;
    }
    let mut row = texts(&[&format!("p0:{id}"), &id, "p0", "image", "u", "f"]);
    row.push(Value::Null);
    let measures = ["order", "width", "height", "size"].into_iter().zip(1..);
    row.extend(measures.map(|(name, measure)| Value::Integer(if name == field.name() { 0 } else { measure })));
    row.push(Value::Null);
    row
}

/// Each field in each way, each in a record of its own.
fn one_record_each(crowd: &mut Crowd) {
    for (number, field) in FIELDS.iter().enumerate() {
        for (turn, way) in (0..).zip(WAYS) {
            let number = number * 10 + turn;
            let mut element = element(field.0, number);
            way.spoil(field, &mut element);
            let record = crowd.push(field.0, element.to_string());
            expect(crowd, field, way, record, number);
        }
    }
}

fn expect(crowd: &mut Crowd, field: &Field, way: Way, record: u64, number: usize) {
    let [first, .., last] = [field.0.entities(), field.0.entities()].concat()[..] else { panic!("no entities") };
    let item = field.is_of_item().then_some(0);
    let name = field.name();
    let without = match (way, field.3) {
        (Way::OtherType, Zero | Nothing) => Quarantine,
        (_, without) => without,
    };
    match without {
        Quarantine => {
            let says = format!("{name}: {}", if way == Way::OtherType { "expected " } else { "missing" });
            for entity in field.0.entities() {
                crowd.expect_quarantined(*entity, record, item, &says);
            }
        }
        HalfQuarantine => {
            let says = format!("{name}: {}", if way == Way::OtherType { "expected " } else { "missing" });
            crowd.expect_quarantined(last, record, None, &says);
            crowd.expect(first, vec![text(format!("new{number}")), text("T"), text("t")]);
        }
        Zero => {
            crowd.expect(first, zeroed(field, number));
            crowd.expect_note(first, record, item, name);
        }
        Nothing => {}
    }
}

/// Fields without which a record is no row, so that nothing is left when all records lack them.
fn vital(endpoint: Endpoint) -> Vec<&'static Field> {
    FIELDS.iter().filter(|field| field.0 == endpoint && field.3 != Zero).collect()
}

/// One field of each endpoint has another name in every record; another one in each round.
fn drifted(round: usize) -> Row {
    let fields = Endpoint::ALL.map(|endpoint| {
        let vital = vital(endpoint);
        vital[round % vital.len()]
    });
    let new = Endpoint::ALL.into_iter().filter(|endpoint| round < vital(*endpoint).len()).count();
    let mut findings: Vec<Finding> = Vec::new();
    for field in fields {
        for entity in lost(field) {
            findings.push((Guard::Empty, *entity, None));
            if field.3 != Nothing {
                findings.push((Guard::Quarantine, *entity, None));
            }
        }
    }
    let spoil = move |crowd: &mut Crowd| {
        for field in fields {
            crowd.spoil_all(field.0, lost(field), |element| {
                let mut element = serde_json::from_str(element).unwrap();
                Way::Renamed.spoil(field, &mut element);
                element.to_string()
            });
            for record in 0..crowd.list(field.0).len() as u64 {
                for entity in lost(field).iter().filter(|_| field.3 != Nothing) {
                    let item = field.is_of_item().then_some(0);
                    crowd.expect_quarantined(*entity, record, item, &format!("{}: missing", field.name()));
                }
            }
        }
    };
    let name = format!("another name in every record, round {round}");
    held(&name, u32::try_from(new).unwrap(), spoil, findings)
}

/// Entities that have no rows any more when no record has `field`.
fn lost(field: &Field) -> &'static [Entity] {
    let entities = field.0.entities();
    if field.3 == HalfQuarantine { &entities[1..] } else { entities }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_are_not_as_they_should_be() {
    let faults = u32::try_from(FIELDS.len() * WAYS.len()).unwrap();
    let least = Tally { faults, cases: 3 * faults, injected: 5 * faults };
    // So many good ones that the bad ones are few.
    let few = Row { count: 560, ..harmless("a field in one record each", faults, one_record_each) };
    try_all(vec![few]).await.tell("fields in one record of many", least);
    // Here they are more than one in twenty of every entity.
    let findings = Entity::ALL.map(|entity| (Guard::Quarantine, entity, None)).to_vec();
    let many = held("a field in one record each, of few", faults, one_record_each, findings);
    try_all(vec![many]).await.tell("fields in one record of few", least);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_got_another_name() {
    let rounds = Endpoint::ALL.map(|endpoint| vital(endpoint).len()).into_iter().max().unwrap();
    let tally = try_all((0..rounds).map(drifted).collect()).await;
    tally.tell("fields of all records", Tally { faults: 38, cases: 114, injected: 190 });
}
