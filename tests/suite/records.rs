//! Records that break a rule: each costs only itself, and is found again with its reason.

use greenroom::{
    blue::Envelope,
    entity::{Endpoint, Entity, Position},
    report::{QuarantineReport, RunOutcome, StepOutcome},
};
use rusqlite::types::Value;
use serde_json::json;

use crate::{
    data::Data,
    fake_blue::{Fault, When},
    support::{Rig, query},
};

/// Elements of a body as they are sent, and what must come of them.
struct Dirt {
    entity: Entity,
    elements: &'static [&'static str],
    /// Ids of the rows, in their order.
    rows: &'static [&'static str],
    /// Place, place in the element's own list, words of the reason.
    quarantined: &'static [(u64, Option<u64>, &'static str)],
    duplicates: u64,
    /// Place, place in the element's own list, column.
    notes: &'static [(u64, Option<u64>, &'static str)],
}

const DIRT: [Dirt; 8] = [
    Dirt {
        entity: Entity::Talents,
        elements: &[
            r#"{"id":"t1","firstName":"A","lastName":"B","talentUserNumber":1}"#,
            "null",
            r#""a talent""#,
            "[]",
            "{}",
            r#"{"id":5,"firstName":"A","lastName":"B","talentUserNumber":2}"#,
            r#"{"id":"t6","lastName":"B","talentUserNumber":2}"#,
            r#"{"id":"t7","firstName":"A","lastName":null,"talentUserNumber":2}"#,
            r#"{"id":"t8","firstName":"A","lastName":"B"}"#,
            r#"{"id":"t9","firstName":"A","lastName":"B","talentUserNumber":1.5}"#,
            r#"{"id":"t10","firstName":"A","lastName":"B","talentUserNumber":"abc"}"#,
            r#"{"id":"t11","firstName":"A","lastName":"B","talentUserNumber":9223372036854775808}"#,
            r#"{"id":"t12","id":"other","firstName":"A","lastName":"B","talentUserNumber":2}"#,
            r#"{"id":"t13","firstName":"","lastName":"B","talentUserNumber":2}"#,
            r#"{"id":"t1","firstName":"Again","lastName":"B","talentUserNumber":3}"#,
            r#"{"id":"t15","firstName":"Same number","lastName":"B","talentUserNumber":1}"#,
            r#"{"id":"t16","firstName":"\ud800x","lastName":"B","talentUserNumber":"4","bio":{},"gender":5,"talentType":7}"#,
            r#"{"id":"t17","first_name":"A","lastName":"B","talentUserNumber":5}"#,
            r#"{"id":"t18","firstName":"A","lastName":"B","talentUserNumber":-5,"talentType":{"id":"x"}}"#,
        ],
        rows: &["t1", "t16", "t18"],
        quarantined: &[
            (1, None, "expected an object, found null"),
            (2, None, "found the text \"a talent\""),
            (3, None, "found a list"),
            (4, None, "id: missing"),
            (5, None, "id: expected a text, found the number 5"),
            (6, None, "firstName: missing"),
            (7, None, "lastName: missing"),
            (8, None, "talentUserNumber: missing"),
            (9, None, "talentUserNumber: expected a whole number of at most 64 bits, found the number 1.5"),
            (10, None, "found the text \"abc\""),
            (11, None, "found the number 9223372036854775808"),
            (12, None, "duplicate field `id`"),
            (13, None, "firstName: empty"),
            (17, None, "firstName: missing"),
        ],
        duplicates: 2,
        notes: &[(16, None, "firstName"), (16, None, "bio"), (16, None, "gender"), (16, None, "talentType")],
    },
    Dirt {
        entity: Entity::Boards,
        elements: &[
            r#"{"id":"b0","title":"First"}"#,
            r#"{"id":"b0","title":"Second"}"#,
            r#"{"id":"b2"}"#,
            r#"{"id":"b3","title":{"en":"T"}}"#,
            r#"{"id":null,"title":"T"}"#,
            r#"{"id":"b5","title":"T","description":3,"coverImage":[]}"#,
            "true",
        ],
        rows: &["b0", "b5"],
        quarantined: &[
            (2, None, "title: missing"),
            (3, None, "title: expected a text, found an object"),
            (4, None, "id: missing"),
            (6, None, "found the boolean true"),
        ],
        duplicates: 1,
        notes: &[(5, None, "description"), (5, None, "coverImage")],
    },
    Dirt {
        entity: Entity::TalentsPortfolios,
        elements: &[
            r#"{"talentId":"t1","portfolios":[{"id":"p1","title":"T","isDefault":true},{"id":"p2","title":"","isDefault":true},null]}"#,
            r#"{"portfolios":[{"id":"p3","title":"T","isDefault":true}]}"#,
            r#"{"talentId":"t2"}"#,
            r#"{"talentId":"t2","portfolios":{"id":"p4"}}"#,
            r#"{"talentId":"t2","portfolios":[{"title":"T"},{"id":"p1","title":"Again","isDefault":false},{"id":"p5","title":"T","isDefault":"maybe"},{"id":"p6","title":"T","category":9}]}"#,
        ],
        rows: &["p1", "p6"],
        quarantined: &[
            (0, Some(1), "title: empty"),
            (0, Some(2), "expected an object, found null"),
            (1, None, "talentId: missing"),
            (2, None, "portfolios: missing, expected a list"),
            (3, None, "portfolios: expected a list, found an object"),
            (4, Some(0), "id: missing"),
            (4, Some(2), "isDefault: expected true or false, found the text \"maybe\""),
        ],
        duplicates: 1,
        notes: &[(4, Some(3), "isDefault"), (4, Some(3), "category")],
    },
    Dirt {
        entity: Entity::PortfoliosMedia,
        elements: &[
            r#"{"portfolioId":"p1","media":[{"id":"m1","type":"i","url":"u","filename":"f","order":1,"width":1,"height":1,"size":1},{"id":"m1","type":"again","url":"u","filename":"f","order":2,"width":1,"height":1,"size":1}]}"#,
            r#"{"portfolioId":"p2","media":[{"id":"m1","type":"i","url":"u","filename":"f","order":1,"width":1,"height":1,"size":1}]}"#,
            r#"{"portfolioId":"p3","media":[{"type":"i","url":"u","filename":"f"},{"id":"m","url":"u","filename":"f"},{"id":"m","type":"i","url":null,"filename":"f"},{"id":"m","type":"i","url":"u","filename":""}]}"#,
            r#"{"portfolioId":"p4","media":[{"id":"m1","type":"i","url":"u","filename":"f","order":"first"},{"id":"m2","type":"i","url":"u","filename":"f","size":1e30},{"id":"m3","type":"i","url":"u","filename":"f","caption":["c"]}]}"#,
            r#"{"portfolioId":7,"media":[]}"#,
            r#"{"portfolioId":"p6","media":null}"#,
        ],
        rows: &["p1:m1", "p2:m1", "p4:m3"],
        quarantined: &[
            (2, Some(0), "id: missing"),
            (2, Some(1), "type: missing"),
            (2, Some(2), "url: missing"),
            (2, Some(3), "filename: empty"),
            (3, Some(0), "order: expected a whole number"),
            (3, Some(1), "size: expected a whole number of at most 64 bits, found the number 1e30"),
            (4, None, "portfolioId: expected a text, found the number 7"),
            (5, None, "media: missing, expected a list"),
        ],
        duplicates: 1,
        notes: &[
            (3, Some(2), "order"),
            (3, Some(2), "width"),
            (3, Some(2), "height"),
            (3, Some(2), "size"),
            (3, Some(2), "caption"),
        ],
    },
    Dirt {
        entity: Entity::TalentsMeasurements,
        elements: &[
            r#"{"id":"t1","measurements":{"id":"x1","createdAt":"2024-01-01","updatedAt":"2024-01-01T00:00:00Z","heightCm":"tall","weightKg":[],"waistCm":1e999}}"#,
            r#"{"id":"t2","measurements":{"id":"x1","createdAt":0,"updatedAt":0}}"#,
            r#"{"id":"t1","measurements":{"id":"x3","createdAt":0,"updatedAt":0}}"#,
            r#"{"id":"t4","measurements":[]}"#,
            r#"{"id":"t5","measurements":{}}"#,
            r#"{"id":"t6","measurements":{"id":"x6","createdAt":"yesterday","updatedAt":0}}"#,
            r#"{"id":"t7","measurements":{"id":"x7","createdAt":0}}"#,
            r#"{"measurements":{"id":"x8","createdAt":0,"updatedAt":0}}"#,
            r#"{"id":"t9","measurements":null}"#,
            r#"{"id":"t10"}"#,
            "3",
            r#"{"id":"t12","measurements":{"id":"x12","createdAt":0,"updatedAt":1.5}}"#,
        ],
        rows: &["x1"],
        quarantined: &[
            (3, None, "measurements: expected an object, found a list"),
            (4, None, "measurements: id: missing"),
            (5, None, "measurements: createdAt: expected a date, found the text \"yesterday\""),
            (6, None, "measurements: updatedAt: missing"),
            (7, None, "id: missing"),
            (10, None, "expected an object, found the number 3"),
            (11, None, "measurements: updatedAt: expected a date, found the number 1.5"),
        ],
        duplicates: 2,
        notes: &[(0, None, "heightCm"), (0, None, "weightKg"), (0, None, "waistCm")],
    },
    Dirt {
        entity: Entity::TalentsSocials,
        elements: &[
            r#"{"id":"t1","socials":[{"platform":"x","username":"first","url":"u"},{"platform":"x","username":"second","url":"u"},{"username":"a","url":"u"},{"platform":"y","url":"u"},{"platform":"z","username":"a"},{"platform":"Z","username":"a","url":"u"}]}"#,
            r#"{"id":"t2","socials":[{"platform":"x","username":"a","url":"u"}]}"#,
            r#"{"id":"","socials":[]}"#,
        ],
        rows: &["t1:x", "t1:Z", "t2:x"],
        quarantined: &[
            (0, Some(2), "platform: missing"),
            (0, Some(3), "username: missing"),
            (0, Some(4), "url: missing"),
            (2, None, "id: empty"),
        ],
        duplicates: 1,
        notes: &[],
    },
    Dirt {
        entity: Entity::BoardsTalents,
        elements: &[
            r#"{"boardId":"b1","talents":[{"id":"t1"},null,{},{"id":""},{"id":5},{"id":"t1"},"t2",{"id":"t3"}]}"#,
            r#"{"talents":[{"id":"t1"}]}"#,
            r#"{"boardId":"b2","talents":null}"#,
            r#"{"boardId":"b:1","talents":[{"id":"t1"}]}"#,
            r#"{"boardId":"b","talents":[{"id":"1:t1"}]}"#,
        ],
        rows: &["b1:t1", "b1:t3", "b%3A1:t1", "b:1%3At1"],
        quarantined: &[
            (0, Some(1), "expected an object, found null"),
            (0, Some(2), "id: missing"),
            (0, Some(3), "id: empty"),
            (0, Some(4), "id: expected a text"),
            (0, Some(6), "expected an object, found the text \"t2\""),
            (1, None, "boardId: missing"),
            (2, None, "talents: missing, expected a list"),
        ],
        duplicates: 1,
        notes: &[],
    },
    Dirt {
        entity: Entity::BoardsPortfolios,
        elements: &[
            r#"{"boardId":"b1","portfolios":[{"id":"p1","talentId":"t1"},{"id":"p1","talentId":"t2"},{"id":"p2"},{"talentId":"t1"}]}"#,
            r#"{"boardId":"b1","portfolios":[{"id":"p1","talentId":"t3"},{"id":"p3","talentId":"t3"}]}"#,
            r#"{"boardId":["b1"],"portfolios":[]}"#,
        ],
        rows: &["b1:p1", "b1:p3"],
        quarantined: &[
            (0, Some(2), "talentId: missing"),
            (0, Some(3), "id: missing"),
            (2, None, "boardId: expected a text, found a list"),
        ],
        duplicates: 2,
        notes: &[],
    },
];

/// Ids of a view's rows, in their order. Asked for alone they would come from the primary key's index, in its order.
fn ids(rig: &Rig, entity: Entity) -> Vec<String> {
    let rows = query(&rig.reader(), &format!("SELECT * FROM {entity}_current"));
    rows.into_iter()
        .map(|row| match row.into_iter().next() {
            Some(Value::Text(id)) => id,
            other => panic!("{entity}: {other:?}"),
        })
        .collect()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn places(entries: &[(u64, Option<u64>, &'static str)]) -> Vec<Position> {
    entries.iter().map(|(record, item, _)| Position { record: *record, item: *item }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_record_costs_only_itself() {
    let rig = Rig::new(&Data::small(1)).await;
    for dirt in &DIRT {
        rig.blue.send_body(dirt.entity.endpoint(), format!("{{\"data\":[{}]}}", dirt.elements.join(" , ")));
    }
    let ran = rig.publish().await;
    let kept = rig.operations.run(ran.report.run.id).await.unwrap().quarantine;
    for dirt in &DIRT {
        let entity = dirt.entity;
        assert_eq!(ids(&rig, entity), dirt.rows, "{entity}");
        let step = ran.step(entity);
        let (rows, quarantined) = (dirt.rows.len() as u64, dirt.quarantined.len() as u64);
        assert_eq!((step.rows, step.duplicates, step.quarantined), (rows, dirt.duplicates, quarantined), "{entity}");
        assert_eq!(step.records, rows + dirt.duplicates + quarantined, "{entity}");
        assert_eq!(step.notes, dirt.notes.len() as u64, "{entity}");
        let (notes, records): (Vec<&QuarantineReport>, Vec<_>) =
            kept.iter().filter(|one| one.entity == entity).partition(|one| one.column.is_some());
        assert_eq!(records.iter().map(|one| one.position).collect::<Vec<_>>(), places(dirt.quarantined), "{entity}");
        assert_eq!(notes.iter().map(|one| one.position).collect::<Vec<_>>(), places(dirt.notes), "{entity}");
        for (found, (_, _, reason)) in records.iter().zip(dirt.quarantined) {
            assert!(found.reason.contains(reason), "{entity}: no {reason:?} in {:?}", found.reason);
        }
        for (found, (_, _, column)) in notes.iter().zip(dirt.notes) {
            assert_eq!(found.column.as_deref(), Some(*column), "{entity}: {found:?}");
            assert!(found.reason.contains("; stored "), "{entity}: {}", found.reason);
        }
        for found in records.iter().chain(&notes) {
            assert_eq!(found.endpoint, entity.endpoint());
            let element = dirt.elements[usize::try_from(found.position.record).unwrap()];
            match found.position.item {
                None => assert_eq!(found.record, element, "{entity}: the record is kept as it came"),
                Some(_) => assert!(element.contains(&found.record), "{entity}: {}", found.record),
            }
        }
    }
    let values = |sql: &str| query(&rig.reader(), sql);
    let talents = values("SELECT firstName, talentUserNumber, bio, gender, talentType FROM talents_current");
    let unknown = text("Unknown");
    assert_eq!(talents[0], [text("A"), Value::Integer(1), Value::Null, Value::Null, unknown.clone()]);
    assert_eq!(talents[1], [text("\u{fffd}x"), Value::Integer(4), Value::Null, Value::Null, unknown.clone()]);
    assert_eq!(talents[2], [text("A"), Value::Integer(-5), Value::Null, Value::Null, unknown]);
    assert_eq!(values("SELECT title FROM boards_current LIMIT 1"), [[text("First")]]);
    assert_eq!(values("SELECT title FROM talentsportfolios_current LIMIT 1"), [[text("T")]]);
    assert_eq!(values("SELECT username FROM talentssocials_current LIMIT 1"), [[text("first")]]);
    assert_eq!(values("SELECT talentId FROM boardsportfolios_current LIMIT 1"), [[text("t1")]]);
    let media = values("SELECT type, \"order\", width, caption FROM portfoliosmedia_current");
    assert_eq!(media[0], [text("i"), Value::Integer(1), Value::Integer(1), Value::Null]);
    assert_eq!(media[2], [text("i"), Value::Integer(0), Value::Integer(0), Value::Null]);
    let measured = values("SELECT talentId, heightCm, weightKg, waistCm, createdAt FROM talentsmeasurements_current");
    assert_eq!(measured, [[text("t1"), Value::Null, Value::Null, Value::Null, Value::Integer(1_704_067_200_000)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_feed_two_tables_each_with_its_own_account() {
    let rig = Rig::new(&Data::small(1)).await;
    let elements = [
        r#"{"id":"m1","tags":[{"id":"a","name":"Old","slug":"old"},{"id":"b","name":"B","slug":"b"}]}"#,
        r#"{"id":"m2","tags":[{"id":"b","name":"B","slug":"b"},{"id":"a","name":"New","slug":"new"}]}"#,
        r#"{"id":"m1","tags":[{"id":"a","name":"Newest","slug":"newest"}]}"#,
        r#"{"tags":[{"id":"c","name":"C","slug":"c"},{"id":"d","name":"D","slug":"d"}]}"#,
        r#"{"id":"m3","tags":[{"id":"e","name":"E"},{"id":"f","name":"F","slug":"f"},null]}"#,
        r#"{"id":"m4"}"#,
    ];
    rig.blue.send_body(Endpoint::MediaTags, format!("[{}]", elements.join(",")));
    let ran = rig.publish().await;
    let tags = query(&rig.reader(), "SELECT * FROM mediatags_current");
    let expected = [["a", "Newest", "newest"], ["b", "B", "b"], ["c", "C", "c"], ["d", "D", "d"], ["f", "F", "f"]];
    assert_eq!(tags, expected.map(|row| row.map(text).to_vec()), "the last name at the place of the first");
    assert_eq!(ids(&rig, Entity::MediaTagsJunction), ["m1:a", "m1:b", "m2:b", "m2:a", "m3:f"]);
    let (tags, pairs) = (ran.step(Entity::MediaTags), ran.step(Entity::MediaTagsJunction));
    assert_eq!((tags.records, tags.rows, tags.duplicates, tags.quarantined), (11, 5, 3, 3));
    assert_eq!((pairs.records, pairs.rows, pairs.duplicates, pairs.quarantined), (10, 5, 1, 4));
    let kept = rig.operations.run(ran.report.run.id).await.unwrap().quarantine;
    let found = |entity| -> Vec<_> {
        let of_it = kept.iter().filter(|one| one.entity == entity);
        of_it.map(|one| (one.position.record, one.position.item, one.reason.as_str())).collect()
    };
    let broken = [
        (4, Some(0), "slug: missing"),
        (4, Some(2), "expected an object, found null"),
        (5, None, "tags: missing, expected a list"),
    ];
    assert_eq!(found(Entity::MediaTags), broken);
    assert_eq!(found(Entity::MediaTagsJunction), [&[(3, None, "id: missing")][..], &broken].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_dirt_is_published_as_nothing_with_all_of_it_kept() {
    let rig = Rig::new(&Data::small(1)).await;
    for endpoint in Endpoint::ALL {
        rig.blue.send_body(endpoint, "[null,{},7]");
    }
    let ran = rig.publish().await;
    for step in &ran.report.entities {
        // An owner without measurements is no record.
        let records = if step.entity == Entity::TalentsMeasurements { 2 } else { 3 };
        assert_eq!((step.outcome, step.rows), (Some(StepOutcome::Published), 0), "{}", step.entity);
        assert_eq!((step.records, step.quarantined), (records, records), "{}", step.entity);
        rig.assert_view(step.entity, &[]);
    }
    let kept = rig.operations.run(ran.report.run.id).await.unwrap().quarantine;
    assert_eq!(kept.len(), 29);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_nested_deeper_than_anyone_reads_is_one_bad_record() {
    let data = Data::small(1);
    let rig = Rig::new(&data).await;
    let depth = 10_000;
    let deep = format!("{{\"id\":\"deep\",\"title\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let good = String::from_utf8(data.body(Endpoint::Boards, Envelope::Array)).unwrap();
    rig.blue.send_body(Endpoint::Boards, good.replacen('[', &format!("[{deep},"), 1));
    let ran = rig.publish().await;
    rig.assert_views(&data);
    assert_eq!((ran.step(Entity::Boards).records, ran.step(Entity::Boards).quarantined), (4, 1));
    assert_eq!(rig.operations.run(1).await.unwrap().quarantine[0].position, Position { record: 0, item: None });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_dirt_is_counted_in_full_and_kept_in_part() {
    let good = json!({"id": "b1", "title": "T"});
    let mut list = vec![json!({"id": "x"}); 1_500];
    list.insert(700, good);
    let data = Data::small(1).with(Endpoint::Boards, list);
    let rig = Rig::new(&data).await;
    // The check compares counts with what is kept, which differ here.
    let ran = rig.start().end().await.unwrap();
    let step = ran.step(Entity::Boards);
    assert_eq!((step.records, step.rows, step.quarantined), (1_501, 1, 1_500));
    assert_eq!(ids(&rig, Entity::Boards), ["b1"]);
    assert_eq!(rig.number("SELECT count(*) FROM sync_quarantine"), 1_000);
    assert_eq!(rig.number("SELECT max(record) FROM sync_quarantine"), 1_000, "the first are kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn quarantine_behind_the_live_rows_stays_in_sight() {
    let data = Data::small(1).with(Endpoint::Boards, vec![json!({"id": "b1", "title": "T"}), json!({"id": "b2"})]);
    let rig = Rig::new(&data).await;
    rig.publish().await;
    // An unchanged run and a failed one read no records of it.
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Unchanged);
    rig.blue.fault(Endpoint::Boards, When::Always, Fault::status(404));
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Failed);
    let detail = rig.operations.detail(Entity::Boards).await.unwrap();
    assert_eq!(detail.quarantine.len(), 1);
    assert_eq!(detail.quarantine[0].reason, "title: missing");
    assert_eq!(detail.steps.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn references_to_nothing_are_rows_like_others() {
    let data = Data::small(1).with(Endpoint::Talents, Vec::new()).with(Endpoint::Boards, Vec::new());
    let rig = Rig::new(&data).await;
    rig.publish().await;
    for entity in [Entity::BoardsTalents, Entity::TalentsMeasurements, Entity::TalentsPortfolios] {
        rig.assert_view(entity, data.rows(entity));
    }
}
