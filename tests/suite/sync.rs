//! Whole runs on a source that behaves.

use std::collections::BTreeSet;

use greenroom::{
    blue::Envelope,
    entity::{Endpoint, Entity},
    green::DiffSubject,
    report::{RollbackTarget, RunOutcome, StepOutcome},
};
use serde_json::Value as Json;

use crate::{
    data::Data,
    fake_blue::{Fault, When},
    support::{Rig, query},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_sync_fills_all_ten_views() {
    let data = Data::small(1);
    let rig = Rig::new(&data).await;
    rig.check();
    let ran = rig.publish().await;
    rig.assert_views(&data);
    rig.assert_versions((1, 0));
    for step in &ran.report.entities {
        let rows = data.rows(step.entity).len() as u64;
        // Eight tags are told, three of them differ.
        let again = if step.entity == Entity::MediaTags { 5 } else { 0 };
        assert_eq!((step.outcome, step.attempts), (Some(StepOutcome::Published), 1), "{}", step.entity);
        assert_eq!((step.records, step.rows, step.rows_before), (rows + again, rows, 0), "{}", step.entity);
        assert_eq!((step.duplicates, step.quarantined, step.notes), (again, 0, 0), "{}", step.entity);
        assert_eq!(step.diff.map(|diff| (diff.added, diff.removed, diff.changed)), Some((rows, 0, 0)));
        assert_eq!(step.bytes, data.body(step.entity.endpoint(), Envelope::Data).len() as u64);
    }
    assert_eq!(ran.report.entities.iter().map(|step| step.entity).collect::<Vec<_>>(), Entity::ALL);
    for request in rig.blue.requests() {
        assert!(request.endpoint.is_some() && request.attempt == 1, "{request:?}");
        assert_eq!(request.headers.get("x-greenroom-run"), Some(&ran.report.run.id.to_string()));
        assert!(!request.headers.contains_key("authorization") && !request.headers.contains_key("cookie"));
    }
    assert_eq!(rig.blue.requests().len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_alternate_and_only_what_changed_is_switched() {
    let (first, second) = (Data::small(1), Data::small(2));
    let rig = Rig::new(&first).await;
    rig.publish().await;
    rig.publish_data(&second).await;
    rig.assert_views(&second);
    rig.assert_versions((2, 1));
    rig.publish_data(&Data::small(3)).await;
    rig.assert_versions((1, 2));
    let before = rig.picture();
    let boards = Data::small(3).with_endpoint_of(Endpoint::Boards, &first);
    rig.blue.send(&boards);
    let ran = rig.publish().await;
    rig.assert_views(&boards);
    for step in &ran.report.entities {
        let (outcome, versions) = match step.entity {
            Entity::Boards => (StepOutcome::Published, (2, 1)),
            _ => (StepOutcome::Unchanged, (1, 2)),
        };
        assert_eq!((step.outcome, step.active_version, step.backup_version), (Some(outcome), versions.0, versions.1));
        assert_eq!(rig.versions(step.entity), versions, "{}", step.entity);
        assert_eq!(step.rows, boards.rows(step.entity).len() as u64, "{}", step.entity);
    }
    let after = rig.picture();
    for entity in Entity::ALL {
        assert_eq!(after.views[&entity] == before.views[&entity], entity != Entity::Boards, "{entity}");
    }
    rig.blue.send(&boards.clone().with_endpoint_of(Endpoint::MediaTags, &second));
    rig.publish().await;
    for entity in Entity::ALL {
        let switched = [Entity::MediaTags, Entity::MediaTagsJunction, Entity::Boards].contains(&entity);
        assert_eq!(rig.versions(entity), if switched { (2, 1) } else { (1, 2) }, "{entity}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_source_switches_nothing_and_adds_no_snapshot() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    let (before, snapshots) = (rig.picture(), rig.operations.history(None).await.unwrap());
    let ran = rig.sync().await;
    assert_eq!((ran.outcome(), ran.report.run.publication), (RunOutcome::Unchanged, None));
    assert!(ran.report.entities.iter().all(|step| step.outcome == Some(StepOutcome::Unchanged)));
    assert_eq!(rig.picture(), before);
    assert_eq!(rig.operations.history(None).await.unwrap(), snapshots);
    let plan = rig.operations.plan_rollback(RollbackTarget::Newest).await.unwrap_err().to_string();
    assert!(plan.contains("first one"), "an unchanged run is no publication: {plan}");
    let status = rig.operations.status().await.unwrap();
    for entity in status.entities {
        assert!(entity.checked_at > entity.published_at, "{}: when it was looked at last", entity.entity);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn force_loads_what_did_not_change() {
    let data = Data::small(1);
    let rig = Rig::new(&data).await;
    rig.publish().await;
    let snapshots = rig.operations.history(None).await.unwrap();
    let ran = rig.sync_with(true).await;
    assert_eq!(ran.outcome(), RunOutcome::Published);
    rig.assert_versions((2, 1));
    rig.assert_views(&data);
    assert_eq!(rig.operations.history(None).await.unwrap(), snapshots);
    for step in &ran.report.entities {
        assert!(step.diff.unwrap().is_empty(), "equal source rows are equal rows, ids included: {step:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_the_three_envelopes_compressed_and_in_chunks() {
    let rig = Rig::new(&Data::small(0)).await;
    for (seed, envelope) in [(1, Envelope::Data), (2, Envelope::Key), (3, Envelope::Array)] {
        let data = Data::small(seed);
        rig.blue.behave();
        rig.blue.fault(Endpoint::Talents, When::Always, Fault::Gzip);
        rig.blue.fault(Endpoint::Boards, When::Always, Fault::Chunked(7));
        rig.blue.send_as(&data, envelope);
        rig.publish().await;
        rig.assert_views(&data);
        for endpoint in Endpoint::ALL {
            let newest = rig.operations.history(Some(endpoint)).await.unwrap().remove(0);
            assert_eq!(newest.envelope, envelope.name());
            let sent = data.body(endpoint, envelope);
            assert_eq!((newest.bytes, &newest.hash), (sent.len() as u64, &blake3::hash(&sent).to_hex().to_string()));
            let mut body = Vec::new();
            rig.operations.body(newest.id, &mut body).unwrap();
            assert_eq!(body, sent, "what is staged of {endpoint} is what was sent");
        }
    }
    assert_eq!(rig.blue.injected_in_all(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_three_snapshots_stay_and_those_behind_the_versions() {
    let rig = Rig::new(&Data::small(0)).await;
    let mut staged = Vec::new();
    for seed in 1..=6 {
        let ran = rig.publish_data(&Data::small(seed)).await;
        staged.push(ran.step(Entity::Boards).snapshot.unwrap());
    }
    for endpoint in Endpoint::ALL {
        let kept = rig.operations.history(Some(endpoint)).await.unwrap();
        assert_eq!(kept.len(), 3, "{endpoint}");
        assert_eq!(kept.iter().map(|snapshot| snapshot.in_use).collect::<Vec<_>>(), [true, true, false], "{endpoint}");
    }
    let boards: Vec<_> = rig.operations.history(Some(Endpoint::Boards)).await.unwrap();
    let kept: Vec<_> = boards.iter().map(|snapshot| snapshot.id).collect();
    assert_eq!(kept, staged.iter().rev().take(3).copied().collect::<Vec<_>>());
    // Versions stay at 5 and 6 while talents cannot be read; three more bodies of boards are staged meanwhile.
    let live: BTreeSet<_> = staged[4..].iter().copied().collect();
    rig.blue.fault(Endpoint::Talents, When::Always, Fault::status(404));
    for seed in 7..=10 {
        rig.blue.send(&Data::small(seed));
        assert_eq!(rig.sync().await.outcome(), RunOutcome::Failed);
    }
    let kept = rig.operations.history(Some(Endpoint::Boards)).await.unwrap();
    let (in_use, others): (Vec<_>, Vec<_>) = kept.iter().partition(|snapshot| snapshot.in_use);
    assert_eq!(in_use.iter().map(|snapshot| snapshot.id).collect::<BTreeSet<_>>(), live);
    assert_eq!(others.len(), 3);
    rig.blue.behave();
    rig.publish().await;
    rig.assert_views(&Data::small(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_several_megabytes_is_staged_in_parts_and_loaded_whole() {
    let data = Data::large(1, 4_000, 900);
    let rig = Rig::new(&data).await;
    let sent = data.body(Endpoint::Talents, Envelope::Data);
    assert!(sent.len() > 3 * 1024 * 1024, "{}", sent.len());
    rig.publish().await;
    rig.assert_views(&data);
    let snapshot = rig.operations.history(Some(Endpoint::Talents)).await.unwrap().remove(0);
    assert!((3..=6).contains(&snapshot.parts), "{snapshot:?}");
    assert_eq!((snapshot.records, snapshot.bytes), (4_000, sent.len() as u64));
    // A part ends with the element that brings it over a megabyte.
    assert!(rig.number("SELECT max(length(CAST(data AS BLOB))) FROM talents_json") < 1024 * 1024 + 2_000);
    let mut body = Vec::new();
    rig.operations.body(snapshot.id, &mut body).unwrap();
    assert!(serde_json::from_slice::<Json>(&body).unwrap() == serde_json::from_slice::<Json>(&sent).unwrap());
    // Sent again it is known although it comes in parts, and nothing of the second copy stays.
    let ran = rig.sync().await;
    assert_eq!(ran.outcome(), RunOutcome::Unchanged);
    assert_eq!(rig.number("SELECT count(*) FROM talents_json"), i64::try_from(snapshot.parts).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_is_published_as_empty() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    for (endpoint, body) in [(Endpoint::TalentsSocials, "{\"data\":[]}"), (Endpoint::MediaTags, " [ ] ")] {
        rig.blue.send_body(endpoint, body);
        let ran = rig.publish().await;
        for entity in endpoint.entities() {
            assert_eq!((ran.step(*entity).outcome, ran.step(*entity).rows), (Some(StepOutcome::Published), 0));
            rig.assert_view(*entity, &[]);
        }
        let snapshot = rig.operations.history(Some(endpoint)).await.unwrap().remove(0);
        let mut kept = Vec::new();
        rig.operations.body(snapshot.id, &mut kept).unwrap();
        assert_eq!(serde_json::from_slice::<Json>(&kept).unwrap(), serde_json::from_str::<Json>(body).unwrap());
    }
    // Owners with empty lists and talents without measurements are no rows either.
    rig.blue.send_body(Endpoint::BoardsTalents, r#"[{"boardId":"b0","talents":[]}]"#);
    rig.blue.send_body(Endpoint::TalentsMeasurements, r#"[{"id":"t0","measurements":null},{"id":"t1"}]"#);
    let ran = rig.publish().await;
    for entity in [Entity::BoardsTalents, Entity::TalentsMeasurements] {
        assert_eq!((ran.step(entity).records, ran.step(entity).rows), (0, 0), "{entity}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn diff_says_what_visitors_see_change() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    let body = r#"[{"id":"b1","title":"Other"},{"id":"b9","title":"New"},{"id":"b2","title":"Board 2 ✨ 1","description":"about 1"}]"#;
    rig.blue.send_body(Endpoint::Boards, body);
    let ran = rig.publish().await;
    let told = ran.step(Entity::Boards).diff.unwrap();
    let found = rig.diff(DiffSubject::Backup, &[Entity::Boards]).await.entities.remove(0);
    assert_eq!(found.counts, Some(told));
    assert_eq!((told.added, told.removed), (1, 1));
    let status = rig.operations.status().await.unwrap();
    assert_eq!(status.entities[Entity::Boards.index()].diff, Some(told));
    let mut ids: Vec<_> = found.rows.unwrap().into_iter().map(|row| format!("{} {}", row.change, row.id)).collect();
    ids.sort();
    assert_eq!(ids.len() as u64, told.added + told.removed + told.changed);
    assert_eq!((&*ids[0], &*ids[1], ids.last().unwrap().as_str()), ("added b9", "changed b1", "removed b0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_own_view_on_a_version_survives_many_syncs() {
    let rig = Rig::new(&Data::small(1)).await;
    rig.publish().await;
    rig.writer()
        .execute_batch(
            "CREATE VIEW mine AS SELECT title FROM boards_v1; CREATE VIEW other AS SELECT title FROM boards_v2; \
             CREATE VIEW both AS SELECT * FROM boards_current JOIN boards_v1 USING (id); \
             CREATE TABLE boards_shadow_mine (id INTEGER); INSERT INTO boards_shadow_mine VALUES (1);",
        )
        .unwrap();
    // The check takes every table of such a name for a leftover; this one is the user's.
    for seed in 2..=9 {
        rig.blue.send(&Data::small(seed));
        let ran = rig.start().end().await.unwrap();
        assert_eq!(ran.outcome(), RunOutcome::Published, "{:?}", ran.report.run.error);
        let (active, _) = rig.versions(Entity::Boards);
        let live = query(&rig.reader(), "SELECT title FROM boards_current");
        assert_eq!(query(&rig.reader(), if active == 1 { "SELECT * FROM mine" } else { "SELECT * FROM other" }), live);
        assert_eq!(rig.number("SELECT count(*) FROM both"), 3);
    }
    assert_eq!(rig.number("SELECT count(*) FROM boards_shadow_mine"), 1);
    rig.writer().execute_batch("DROP TABLE boards_shadow_mine").unwrap();
    rig.check();
}
