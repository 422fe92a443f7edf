//! Databases that an earlier greenroom left.

use greenroom::{
    green::{Database, QuarantineQuery},
    report::RunOutcome,
};

use crate::{data::Data, support::Rig};

/// Takes a database back to the bookkeeping of its fourth version, as if no later greenroom had seen it.
pub(crate) const TO_VERSION_4: &str = "
    DROP TABLE sync_adoption; DROP TABLE sync_current_tables; DROP TABLE sync_app_migration; PRAGMA user_version = 4;";

/// The same from the fourth version to the third.
pub(crate) const TO_VERSION_3: &str = "
    DROP TRIGGER sync_runs_of_tasks; DROP TRIGGER sync_runs_counted; DROP TABLE sync_run_totals; DROP TABLE sync_triggers;
    DROP TABLE sync_tasks; ALTER TABLE sync_runs DROP COLUMN requested_by; PRAGMA user_version = 3;";

/// The same from the third version to the second.
pub(crate) const TO_VERSION_2: &str = "
    ALTER TABLE sync_runs DROP COLUMN cancel_user; ALTER TABLE sync_runs DROP COLUMN cancel_host;
    ALTER TABLE sync_runs DROP COLUMN cancel_pid; ALTER TABLE sync_runs DROP COLUMN cancel_at;
    ALTER TABLE sync_runs DROP COLUMN operator_gone_at; ALTER TABLE sync_runs DROP COLUMN untold;
    PRAGMA user_version = 2;";

/// The same from the second version to the first.
pub(crate) const TO_VERSION_1: &str = "
    DROP TABLE sync_guards; DROP TABLE sync_publication_guards; DROP TABLE sync_holds; DROP TABLE sync_same_rows;
    DROP TABLE sync_quarantine_records;
    ALTER TABLE sync_runs DROP COLUMN scope; ALTER TABLE sync_runs DROP COLUMN dry_run;
    ALTER TABLE sync_runs DROP COLUMN replay; ALTER TABLE sync_runs DROP COLUMN replay_of; ALTER TABLE sync_publications DROP COLUMN replay_of;
    ALTER TABLE sync_snapshots DROP COLUMN source; ALTER TABLE sync_snapshots DROP COLUMN etag;
    ALTER TABLE sync_snapshots DROP COLUMN last_modified; ALTER TABLE sync_quarantine DROP COLUMN hash;
    PRAGMA user_version = 1;";

#[tokio::test(flavor = "multi_thread")]
async fn what_the_first_version_wrote_is_taken_over() {
    let broken = Data::small(1).with(
        greenroom::entity::Endpoint::Boards,
        vec![serde_json::json!({"id": "b0", "title": "T"}), serde_json::json!({"id": "broken"})],
    );
    let rig = Rig::new(&Data::small(2)).await;
    rig.publish().await;
    rig.publish_data(&broken).await;
    for back in [TO_VERSION_4, TO_VERSION_3, TO_VERSION_2, TO_VERSION_1] {
        rig.writer().execute_batch(back).unwrap();
    }
    let before = rig.picture();
    Database::open(&rig.path).unwrap();
    let upgraded = rig.picture();
    assert_eq!((&upgraded.views, &upgraded.metadata), (&before.views, &before.metadata));
    rig.check();
    let runs = rig.operations.runs(10).await.unwrap();
    assert!(runs.iter().all(|run| run.scope.is_none() && !run.dry_run && run.replay_of.is_none()), "{runs:?}");
    let totals = "SELECT runs FROM sync_run_totals WHERE trigger_kind = 'cli' AND outcome = 'published'";
    assert_eq!(rig.number(totals), 2, "earlier runs are counted");
    // What the source still sends is met for the first time by the first run that looks.
    assert_eq!(rig.sync().await.outcome(), RunOutcome::Unchanged);
    let query = QuarantineQuery { limit: 10, ..QuarantineQuery::default() };
    let list = rig.operations.quarantine(query).await.unwrap();
    assert_eq!((list.total, list.records[0].first_run), (1, 3));
    rig.roll_back().await;
    rig.assert_views(&Data::small(2));
}
