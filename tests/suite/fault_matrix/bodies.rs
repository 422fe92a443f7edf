//! Bodies that can be read, with records in them that cannot be taken as they are.

use greenroom::{
    entity::{Endpoint, Entity},
    report::Guard,
};
use rusqlite::types::Value;

use super::{
    Tally,
    crowd::{Crowd, text, texts},
    data_faults::{Finding, Row, harmless, held, try_all},
};

/// Endpoints whose elements own a list of records: the key of the owner and the one of the list.
const OWNERS: [(Endpoint, &str, &str); 6] = [
    (Endpoint::MediaTags, "id", "tags"),
    (Endpoint::TalentsPortfolios, "talentId", "portfolios"),
    (Endpoint::PortfoliosMedia, "portfolioId", "media"),
    (Endpoint::TalentsSocials, "id", "socials"),
    (Endpoint::BoardsTalents, "boardId", "talents"),
    (Endpoint::BoardsPortfolios, "boardId", "portfolios"),
];

/// Sends `element` at every endpoint, where it goes to quarantine whole.
fn everywhere(crowd: &mut Crowd, element: &str, says: &str) {
    for endpoint in Endpoint::ALL {
        let record = crowd.push(endpoint, element);
        for entity in endpoint.entities() {
            crowd.expect_quarantined(*entity, record, None, says);
        }
    }
}

/// Sends `value` as an item of a list that somebody owns, where it goes to quarantine.
fn among_items(crowd: &mut Crowd, value: &str, says: &str) {
    for (endpoint, key, list) in OWNERS {
        let record = crowd.push(endpoint, format!(r#"{{"{key}":"o","{list}":[{value}]}}"#));
        for entity in endpoint.entities() {
            crowd.expect_quarantined(*entity, record, Some(0), says);
        }
    }
}

/// A record with every field that is the id of something, and measurements.
fn with_every_id(id: &str) -> String {
    let ids = ["id", "boardId", "talentId", "portfolioId"].map(|key| format!(r#""{key}":{id}"#)).join(",");
    let lists = ["tags", "portfolios", "media", "socials", "talents"].map(|key| format!(r#""{key}":[]"#)).join(",");
    format!(r#"{{{ids},{lists},"measurements":{{}}}}"#)
}

/// Renames nothing and takes nothing away: each first element gets a field more, whose name is half a surrogate pair.
fn odd_names(crowd: &mut Crowd) {
    for endpoint in Endpoint::ALL {
        // Also in the records that are items.
        crowd.spoil_all(endpoint, &[], |element| element.replace('{', r#"{"\ud800":"\udfff","#));
    }
}

/// Half a surrogate pair in a text of one record of each entity that has a text which is no id.
fn odd_texts(crowd: &mut Crowd) {
    let at = crowd.push(
        Endpoint::Talents,
        r#"{"id":"odd","firstName":"A\ud800","lastName":"L","talentUserNumber":9000,"talentType":"Model"}"#,
    );
    let mut row = vec![text("odd"), text("A\u{fffd}"), text("L"), Value::Integer(9000)];
    row.extend([Value::Null, Value::Null, Value::Null, Value::Null, text("Model")]);
    crowd.expect(Entity::Talents, row);
    crowd.expect_note(Entity::Talents, at, None, "firstName");
    let at = crowd.push(Endpoint::Boards, r#"{"id":"odd","title":"\udc00B"}"#);
    crowd.expect(Entity::Boards, vec![text("odd"), text("\u{fffd}B"), Value::Null, Value::Null]);
    crowd.expect_note(Entity::Boards, at, None, "title");
    let at = crowd.push(Endpoint::MediaTags, r#"{"id":"m0","tags":[{"id":"odd","name":"\ud83d","slug":"s"}]}"#);
    crowd.expect(Entity::MediaTags, texts(&["odd", "\u{fffd}", "s"]));
    crowd.expect(Entity::MediaTagsJunction, texts(&["m0:odd", "m0", "odd"]));
    crowd.expect_note(Entity::MediaTags, at, Some(0), "name");
    let social = r#"{"id":"t0","socials":[{"platform":"odd","username":"\ud800\ud800","url":"u"}]}"#;
    let at = crowd.push(Endpoint::TalentsSocials, social);
    crowd.expect(Entity::TalentsSocials, texts(&["t0:odd", "t0", "odd", "\u{fffd}\u{fffd}", "u"]));
    crowd.expect_note(Entity::TalentsSocials, at, Some(0), "username");
}

/// Numbers that no column holds.
fn overflows(crowd: &mut Crowd) {
    let huge = "9223372036854775808";
    let talent = format!(r#"{{"id":"huge","firstName":"F","lastName":"L","talentUserNumber":{huge}}}"#);
    let at = crowd.push(Endpoint::Talents, talent);
    crowd.expect_quarantined(Entity::Talents, at, None, "talentUserNumber: expected a whole number of at most 64 bits");
    let medium = r#"{"id":"huge","type":"i","url":"u","filename":"f","order":0,"width":0,"height":0,"size":1e30}"#;
    let at = crowd.push(Endpoint::PortfoliosMedia, format!(r#"{{"portfolioId":"p0","media":[{medium}]}}"#));
    crowd.expect_quarantined(Entity::PortfoliosMedia, at, Some(0), "found the number 1e30");
    // A column that may be empty is.
    let measured =
        crowd.list(Endpoint::TalentsMeasurements)[0].replace("\"eyeColor\"", "\"heightCm\":1e999,\"eyeColor\"");
    crowd.replace_first(Endpoint::TalentsMeasurements, measured);
    crowd.expect_note(Entity::TalentsMeasurements, 0, None, "heightCm");
    for endpoint in [Endpoint::Boards, Endpoint::TalentsPortfolios, Endpoint::BoardsTalents] {
        let at = crowd.push(endpoint, with_every_id("1e999"));
        crowd.expect_quarantined(endpoint.entities()[0], at, None, "expected a text, found the number 1e999");
    }
}

fn records() -> Vec<Row> {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_record = format!(r#"{{"id":"deep","boardId":"deep","x":{deep}}}"#);
    let ids = |id: &str| ["id", "boardId", "talentId", "portfolioId"].map(|key| format!(r#""{key}":"{id}""#)).join(",");
    let doubled = format!("{{{},{}}}", ids("a"), ids("b"));
    vec![
        harmless("null in the list", 9, |crowd| everywhere(crowd, "null", "expected an object, found null")),
        harmless("null among the items", 6, |crowd| among_items(crowd, "null", "expected an object, found null")),
        harmless("a text in the list", 9, |crowd| {
            everywhere(crowd, "\"a\"", "expected an object, found the text \"a\"");
        }),
        harmless("a key twice", 9, move |crowd| everywhere(crowd, &doubled, "duplicate field `")),
        harmless("nested 10,000 deep", 9, move |crowd| everywhere(crowd, &deep_record, "found the text \"{")),
        harmless("half a surrogate pair in a text", 4, odd_texts),
        harmless("half a surrogate pair in a name", 9, odd_names),
        harmless("a number that nothing holds", 6, overflows),
    ]
}

/// One record more with the primary key of another, at every entity that has an id of its own, and with the pair of another
/// where the id is made of it.
fn primary_keys(crowd: &mut Crowd) {
    crowd.push(Endpoint::Talents, r#"{"id":"t0","firstName":"Twin","lastName":"L","talentUserNumber":9000}"#);
    crowd.push(Endpoint::Boards, r#"{"id":"b0","title":"Twin"}"#);
    crowd.push(
        Endpoint::TalentsPortfolios,
        r#"{"talentId":"t1","portfolios":[{"id":"p0","title":"Twin","isDefault":false}]}"#,
    );
    let medium = r#"{"id":"m0","type":"twin","url":"u","filename":"f","order":0,"width":0,"height":0,"size":0}"#;
    crowd.push(Endpoint::PortfoliosMedia, format!(r#"{{"portfolioId":"p0","media":[{medium}]}}"#));
    // A twin is no row, so nobody misses its talent.
    let measured = r#"{"id":"ghost","measurements":{"id":"x0","createdAt":0,"updatedAt":0}}"#;
    crowd.push(Endpoint::TalentsMeasurements, measured);
    let entities = [Entity::Talents, Entity::Boards, Entity::PortfoliosMedia, Entity::TalentsMeasurements];
    for entity in entities.into_iter().chain([Entity::TalentsPortfolios, Entity::MediaTags]) {
        crowd.expect_duplicate(entity);
    }
    // Of tags the last one wins, at the place of the first.
    let Value::Text(tag) = crowd.rows(Entity::MediaTags)[1][0].clone() else { panic!("an id that is no text") };
    crowd.push(Endpoint::MediaTags, format!(r#"{{"id":"m0","tags":[{{"id":"{tag}","name":"Twin","slug":"twin"}}]}}"#));
    crowd.rows_mut(Entity::MediaTags)[1] = texts(&[&tag, "Twin", "twin"]);
    crowd.expect(Entity::MediaTagsJunction, texts(&[&format!("m0:{tag}"), "m0", &tag]));
}

/// One record more with the unique key of another, at every entity that has one beside its id or in place of it.
fn unique_keys(crowd: &mut Crowd) {
    crowd.push(Endpoint::Talents, r#"{"id":"twin","firstName":"Twin","lastName":"L","talentUserNumber":0}"#);
    let measured = r#"{"id":"t0","measurements":{"id":"twin","createdAt":0,"updatedAt":0}}"#;
    crowd.push(Endpoint::TalentsMeasurements, measured);
    let social = r#"{"id":"t0","socials":[{"platform":"x","username":"Twin","url":"twin"}]}"#;
    crowd.push(Endpoint::TalentsSocials, social);
    // The same pairs once more, one of them under another talent.
    for endpoint in [Endpoint::MediaTags, Endpoint::BoardsTalents, Endpoint::BoardsPortfolios] {
        let first = crowd.list(endpoint)[0].replace(r#""talentId":"t"#, r#""talentId":"ghost"#);
        crowd.push(endpoint, first);
    }
    let entities = [Entity::Talents, Entity::TalentsMeasurements, Entity::TalentsSocials, Entity::MediaTags];
    let pairs = [Entity::MediaTagsJunction, Entity::BoardsTalents, Entity::BoardsPortfolios];
    for entity in entities.into_iter().chain(pairs) {
        crowd.expect_duplicate(entity);
    }
}

/// One reference to nothing by every column that can have one. A pair of a tag cannot: a tag that is not there is not in the
/// body that tells the pair.
const ORPHANS: [(Entity, &str); 10] = [
    (Entity::TalentsPortfolios, "talentId"),
    (Entity::PortfoliosMedia, "portfolioId"),
    (Entity::TalentsMeasurements, "talentId"),
    (Entity::TalentsSocials, "talentId"),
    (Entity::BoardsTalents, "boardId"),
    (Entity::BoardsTalents, "talentId"),
    (Entity::BoardsPortfolios, "boardId"),
    (Entity::BoardsPortfolios, "portfolioId"),
    (Entity::BoardsPortfolios, "talentId"),
    (Entity::MediaTagsJunction, "mediaId"),
];

fn orphans(crowd: &mut Crowd) {
    let portfolio = r#"{"talentId":"ghost","portfolios":[{"id":"orphan","title":"T","isDefault":false}]}"#;
    crowd.push(Endpoint::TalentsPortfolios, portfolio);
    let mut row = texts(&["orphan", "ghost", "T"]);
    row.extend([Value::Null, Value::Integer(0), Value::Null, Value::Null]);
    crowd.expect(Entity::TalentsPortfolios, row);
    let medium = r#"{"id":"m0","type":"i","url":"u","filename":"f","order":0,"width":0,"height":0,"size":0}"#;
    crowd.push(Endpoint::PortfoliosMedia, format!(r#"{{"portfolioId":"ghost","media":[{medium}]}}"#));
    let mut row = texts(&["ghost:m0", "m0", "ghost", "i", "u", "f"]);
    row.push(Value::Null);
    row.extend(vec![Value::Integer(0); 4]);
    row.push(Value::Null);
    crowd.expect(Entity::PortfoliosMedia, row);
    let measured = r#"{"id":"ghost","measurements":{"id":"orphan","createdAt":0,"updatedAt":0}}"#;
    crowd.push(Endpoint::TalentsMeasurements, measured);
    let mut row = texts(&["orphan", "ghost"]);
    row.extend(vec![Value::Null; 14]);
    row.extend([Value::Integer(0), Value::Integer(0)]);
    crowd.expect(Entity::TalentsMeasurements, row);
    let social = r#"{"id":"ghost","socials":[{"platform":"x","username":"U","url":"u"}]}"#;
    crowd.push(Endpoint::TalentsSocials, social);
    crowd.expect(Entity::TalentsSocials, texts(&["ghost:x", "ghost", "x", "U", "u"]));
    for (board, talent) in [("ghost", "t0"), ("b0", "ghost")] {
        crowd.push(Endpoint::BoardsTalents, format!(r#"{{"boardId":"{board}","talents":[{{"id":"{talent}"}}]}}"#));
        crowd.expect(Entity::BoardsTalents, texts(&[&format!("{board}:{talent}"), board, talent]));
    }
    for (board, portfolio, talent) in [("ghost", "p0", "t0"), ("b0", "ghost", "t0"), ("b0", "p0", "ghost")] {
        let owned = format!(r#"{{"id":"{portfolio}","talentId":"{talent}"}}"#);
        crowd.push(Endpoint::BoardsPortfolios, format!(r#"{{"boardId":"{board}","portfolios":[{owned}]}}"#));
        let id = format!("{board}:{portfolio}");
        crowd.expect(Entity::BoardsPortfolios, texts(&[&id, board, portfolio, talent]));
    }
    let tagged = crowd.list(Endpoint::MediaTags)[0].replace(r#""id":"m0""#, r#""id":"ghost""#);
    let Value::Text(tag) = crowd.rows(Entity::MediaTags)[0][0].clone() else { panic!("an id that is no text") };
    crowd.push(Endpoint::MediaTags, tagged);
    crowd.expect_duplicate(Entity::MediaTags);
    crowd.expect(Entity::MediaTagsJunction, texts(&[&format!("ghost:{tag}"), "ghost", &tag]));
}

/// Who refers to the rows of an endpoint, if others than its own entities do.
fn referring(endpoint: Endpoint) -> &'static [(Entity, &'static str)] {
    match endpoint {
        Endpoint::Talents => &[
            (Entity::TalentsPortfolios, "talentId"),
            (Entity::TalentsMeasurements, "talentId"),
            (Entity::TalentsSocials, "talentId"),
            (Entity::BoardsTalents, "talentId"),
            (Entity::BoardsPortfolios, "talentId"),
        ],
        Endpoint::Boards => &[(Entity::BoardsTalents, "boardId"), (Entity::BoardsPortfolios, "boardId")],
        Endpoint::TalentsPortfolios => {
            &[(Entity::PortfoliosMedia, "portfolioId"), (Entity::BoardsPortfolios, "portfolioId")]
        }
        Endpoint::PortfoliosMedia => &[(Entity::MediaTagsJunction, "mediaId")],
        _ => &[],
    }
}

/// Only `left` of 50 records are left at these endpoints.
fn thinned(name: &str, endpoints: &'static [Endpoint], left: usize) -> Row {
    let guard = if left == 0 { Guard::Empty } else { Guard::Shrink };
    let mut findings: Vec<Finding> = Vec::new();
    for endpoint in endpoints {
        findings.extend(endpoint.entities().iter().map(|entity| (guard, *entity, None)));
        let referring = referring(*endpoint).iter();
        findings.extend(referring.map(|(entity, column)| (Guard::Dangling, *entity, Some(*column))));
    }
    let spoil = move |crowd: &mut Crowd| {
        for endpoint in endpoints {
            crowd.thin(*endpoint, left);
        }
    };
    let faults = u32::try_from(endpoints.len()).unwrap();
    Row { count: 50, ..held(&format!("{name}, {left} of 50 left"), faults, spoil, findings) }
}

/// Endpoints whose rows nobody refers to, or only rows of the same body do.
const LEAVES: [Endpoint; 5] = [
    Endpoint::MediaTags,
    Endpoint::TalentsMeasurements,
    Endpoint::TalentsSocials,
    Endpoint::BoardsTalents,
    Endpoint::BoardsPortfolios,
];

fn losses() -> Vec<Row> {
    let losses = [0, 1].into_iter().flat_map(|left| {
        [
            thinned("talents", &[Endpoint::Talents], left),
            thinned("boards", &[Endpoint::Boards], left),
            thinned("talentsPortfolios", &[Endpoint::TalentsPortfolios], left),
            thinned("portfoliosMedia", &[Endpoint::PortfoliosMedia], left),
            thinned("what nobody refers to", &LEAVES, left),
        ]
    });
    losses.collect()
}

fn keys_and_references() -> Vec<Row> {
    let dangling = ORPHANS.iter().map(|(entity, column)| (Guard::Dangling, *entity, Some(*column))).collect();
    vec![
        harmless("a primary key twice", 6, primary_keys),
        harmless("a unique key twice", 6, unique_keys),
        held("a reference to nothing", 10, orphans, dangling),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_cannot_be_taken() {
    try_all(records()).await.tell("records that cannot be taken", Tally { faults: 61, cases: 183, injected: 305 });
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_references_that_do_not_hold() {
    let tally = try_all(keys_and_references()).await;
    tally.tell("keys and references", Tally { faults: 22, cases: 66, injected: 110 });
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_gone() {
    try_all(losses()).await.tell("records that are gone", Tally { faults: 18, cases: 54, injected: 90 });
}
