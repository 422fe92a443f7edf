//! What could not become rows, followed through the runs.

use greenroom::{
    entity::{Endpoint, Entity},
    green::QuarantineQuery,
    report::{QuarantineRecord, RunId, RunOutcome},
};
use serde_json::{Value as Json, json};

use crate::{data::Data, support::Rig};

/// Fifty good boards, and these.
fn boards(broken: &[&str]) -> Data {
    let mut list: Vec<Json> = (0..50).map(|place| json!({"id": format!("b{place}"), "title": "T"})).collect();
    list.extend(broken.iter().map(|id| json!({"id": id})));
    Data::small(1).with(Endpoint::Boards, list)
}

async fn listed(rig: &Rig, run: Option<RunId>, gone: bool) -> Vec<QuarantineRecord> {
    let query = QuarantineQuery { entities: vec![Entity::Boards], run, gone, limit: 100, excerpt: None };
    let list = rig.operations.quarantine(query).await.unwrap();
    assert_eq!(list.total, list.records.len() as u64);
    list.records
}

fn seen(records: &[QuarantineRecord]) -> Vec<(String, RunId, RunId, Option<RunId>)> {
    let id = |record: &QuarantineRecord| {
        let json: Json = serde_json::from_str(&record.record).unwrap();
        json["id"].as_str().unwrap().to_owned()
    };
    let mut seen: Vec<_> =
        records.iter().map(|record| (id(record), record.first_run, record.last_run, record.gone_since_run)).collect();
    seen.sort();
    seen
}

fn row(id: &str, first: RunId, last: RunId, gone: Option<RunId>) -> (String, RunId, RunId, Option<RunId>) {
    (id.to_owned(), first, last, gone)
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_followed_through_the_runs() {
    let rig = Rig::new(&boards(&["x", "y"])).await;
    rig.publish().await;
    assert_eq!(seen(&listed(&rig, None, false).await), [row("x", 1, 1, None), row("y", 1, 1, None)]);
    // An unchanged body still has them.
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Unchanged);
    assert_eq!(seen(&listed(&rig, None, false).await), [row("x", 1, 2, None), row("y", 1, 2, None)]);
    let more = boards(&["z", "x"]).with_endpoint_of(Endpoint::Talents, &Data::small(2));
    rig.publish_data(&more).await;
    assert_eq!(seen(&listed(&rig, None, false).await), [row("x", 1, 3, None), row("z", 3, 3, None)]);
    assert_eq!(
        seen(&listed(&rig, None, true).await),
        [row("x", 1, 3, None), row("y", 1, 2, Some(3)), row("z", 3, 3, None)]
    );
    // Those of one run stand with their places, whatever became of them since.
    let first = listed(&rig, Some(1), false).await;
    assert_eq!(seen(&first), [row("x", 1, 3, None), row("y", 1, 2, Some(3))]);
    assert_eq!(first.iter().map(|record| record.position.unwrap().record).collect::<Vec<_>>(), [50, 51]);
    // A rollback and a replay say nothing about the source; the next run does.
    rig.roll_back().await;
    assert_eq!(seen(&listed(&rig, None, false).await), [row("x", 1, 3, None), row("z", 3, 3, None)]);
    rig.blue.send(&boards(&["x", "y"]));
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Unchanged, "that is live again");
    assert_eq!(
        seen(&listed(&rig, None, true).await),
        [row("x", 1, 4, None), row("y", 1, 4, None), row("z", 3, 3, Some(4))]
    );
    let missing = QuarantineQuery { run: Some(99), limit: 1, ..QuarantineQuery::default() };
    assert!(rig.operations.quarantine(missing).await.unwrap_err().to_string().contains("no run 99"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_body_with_the_same_rows_has_its_own_quarantine() {
    let rig = Rig::new(&boards(&["x"])).await;
    rig.publish().await;
    rig.blue.send(&boards(&["y"]));
    for run in [2, 3] {
        assert_eq!(rig.sync().await.outcome(), RunOutcome::Unchanged);
        assert_eq!(
            seen(&listed(&rig, None, true).await),
            [row("x", 1, 1, Some(2)), row("y", 2, run, None)],
            "run {run}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_are_kept_apart_from_records() {
    let mut list: Vec<Json> = (0..50).map(|place| json!({"id": format!("b{place}"), "title": "T"})).collect();
    list.push(json!({"id": "n", "title": "T", "description": 7}));
    list.push(json!({"id": "q"}));
    let rig = Rig::new(&Data::small(1).with(Endpoint::Boards, list)).await;
    rig.publish().await;
    let all = listed(&rig, None, false).await;
    let columns: Vec<_> = all.iter().map(|record| record.column.as_deref()).collect();
    assert_eq!(columns, [None, Some("description")], "records before notes");
    assert_eq!(all[0].record, "{\"id\":\"q\"}", "as it came");
}
