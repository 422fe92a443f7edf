//! Taking over a database of the application's own migrations: what is found, what is put right, and that readers do not
//! notice.

use std::process::Command;

use greenroom::{
    blue::Envelope,
    entity::{Endpoint, Entity},
    failpoint::{self, Failpoint},
    green::{Database, GreenError},
    report::{AdoptionReport, FindingKind, Layout, PublicationKind, RollbackTarget, RunOutcome},
};
use rusqlite::types::Value;

use crate::{
    commands::Shell,
    data::Data,
    prisma::{self, OrmReader, Prisma},
    pty::Session,
    refusals::COMMANDS,
    support::{NO_HOLD, query},
    upgrade::{TO_VERSION_2, TO_VERSION_3, TO_VERSION_4},
};

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// The findings of one kind as lines.
fn told(report: &AdoptionReport, kind: FindingKind) -> Vec<String> {
    report.of(kind).map(|finding| format!("{}; {}", finding.found, finding.done)).collect()
}

/// Plans without a trace, adopts, and checks that the one is what the other said.
fn adopt(prisma: &Prisma) -> AdoptionReport {
    let before = prisma.bytes();
    let planned = prisma.plan();
    assert_eq!(prisma.journal_mode(), "delete");
    assert!(prisma.bytes() == before, "a plan leaves no trace");
    let done = prisma.adopt();
    assert!(planned.dry_run && !done.dry_run);
    assert_eq!(AdoptionReport { dry_run: true, publication: None, ..done.clone() }, planned);
    assert_eq!(prisma.journal_mode(), "wal");
    prisma::check(&prisma.connection());
    let again = prisma.adopt();
    assert!(again.adopted_at.is_some() && again.findings.is_empty(), "{again:?}");
    assert!(prisma.plan().adopted_at.is_some());
    Database::open(&prisma.path).unwrap();
    done
}

#[test]
fn what_is_whole_is_adopted_as_it_is() {
    let prisma = Prisma::synced();
    let rows = |table: &str| prisma.query(&format!("SELECT * FROM {table}"));
    let (metadata, bodies) = (rows("SyncMetadata"), rows("BoardsJson"));
    let report = adopt(&prisma);
    let synced = jiff::Timestamp::from_second(1_700_000_000).ok();
    assert!(report.entities.iter().all(|one| one.published_at == synced), "{report:?}");
    assert_eq!(report.findings, []);
    assert_eq!((rows("SyncMetadata"), rows("BoardsJson")), (metadata, bodies));
    assert_eq!((report.snapshots, report.publication), (18, Some(1)));
    assert!(report.entities.iter().all(|one| (one.active_version, one.backup_version) == (2, 1)), "{report:?}");
    assert!(report.entities.iter().all(|one| one.active_rows > 0 && one.backup_rows > 0));
}

/// Damage, what is said of it, and what has to be so afterwards, as a query that answers 1.
const DAMAGES: [(&str, &str, &str); 14] = [
    (
        "INSERT INTO SyncMetadata VALUES (NULL, 'boards', 2, 1, 'long ago'); UPDATE SyncMetadata SET activeVersion = 1 \
         WHERE entityName = 'boards' AND id < 11",
        "SyncMetadata has 2 rows for boards; the newest counts, the others are removed",
        "SELECT count(*) = 1 AND min(id) = 11 FROM SyncMetadata WHERE entityName = 'boards'",
    ),
    (
        "UPDATE SyncMetadata SET backupVersion = activeVersion WHERE entityName = 'talents'",
        "SyncMetadata says version 2 of talents is both active and backup; version 1 is the backup; nothing vouches for it \
         being whole",
        "SELECT activeVersion = 2 AND backupVersion = 1 FROM SyncMetadata WHERE entityName = 'talents'",
    ),
    (
        "UPDATE SyncMetadata SET backupVersion = activeVersion WHERE entityName = 'talents'; DELETE FROM Talents_v1",
        "SyncMetadata says version 2 of talents is both active and backup; there is no backup, as version 1 has no rows",
        "SELECT activeVersion = 2 AND backupVersion = 0 FROM SyncMetadata WHERE entityName = 'talents'",
    ),
    (
        "UPDATE SyncMetadata SET activeVersion = 1, backupVersion = 2 WHERE entityName = 'boards'",
        "SyncMetadata says version 1 of boards is active, while visitors see version 2; what visitors see counts: active 2, \
         backup 1",
        "SELECT activeVersion = 2 AND backupVersion = 1 FROM SyncMetadata WHERE entityName = 'boards'",
    ),
    (
        "DELETE FROM SyncMetadata WHERE entityName = 'boards'",
        "SyncMetadata has no row for boards, while Boards_current reads version 2; it gets one: active 2, backup 1",
        "SELECT count(*) FROM SyncMetadata WHERE entityName = 'boards' AND activeVersion = 2 AND backupVersion = 1",
    ),
    (
        "DELETE FROM Boards_v1",
        "SyncMetadata says version 1 of boards is the backup, which has no rows; the backup is none",
        "SELECT activeVersion = 2 AND backupVersion = 0 FROM SyncMetadata WHERE entityName = 'boards'",
    ),
    (
        "DROP INDEX Talents_v1_talentUserNumber_key; DROP INDEX Boards_v2_title_idx",
        "Talents_v1 has no unique index over talentUserNumber; it is built as Talents_v1_talentUserNumber_key",
        "SELECT count(*) = 2 FROM sqlite_schema WHERE type = 'index' AND name IN ('Talents_v1_talentUserNumber_key', \
         'Boards_v2_title_idx')",
    ),
    (
        "ALTER TABLE Boards_v1 DROP COLUMN coverImage",
        "Boards_v1 has no column coverImage; it is added, NULL in all rows",
        "SELECT count(*) = 1 FROM pragma_table_info('Boards_v1') WHERE name = 'coverImage' AND NOT \"notnull\"",
    ),
    (
        "DROP TABLE TalentsSocials_v1",
        "TalentsSocials_v1 is missing; it is made, empty",
        "SELECT backupVersion = 0 FROM SyncMetadata WHERE entityName = 'talentssocials'",
    ),
    (
        "DROP TABLE MediaTagsJson; DROP TABLE BoardsJson",
        "MediaTagsJson is missing; it is made",
        "SELECT count(*) = 2 FROM sqlite_schema WHERE name IN ('MediaTagsJson', 'BoardsJson')",
    ),
    (
        "DROP VIEW Boards_current",
        "Boards_current is missing; it is made and reads Boards_v2",
        "SELECT count(*) > 0 FROM Boards_current",
    ),
    (
        "DROP TABLE Boards_v2",
        "Boards_current reads Boards_v2, which is missing; it reads Boards_v1 from now on",
        "SELECT activeVersion = 1 AND backupVersion = 0 FROM SyncMetadata WHERE entityName = 'boards'",
    ),
    (
        // Its tags went on to the second version, and it did not.
        "DROP VIEW MediaTags_Junction_current; CREATE VIEW MediaTags_Junction_current AS SELECT * FROM `MediaTags_Junction_v1`; \
         UPDATE SyncMetadata SET activeVersion = 1, backupVersion = 2 WHERE entityName = 'mediatags_junction'",
        "MediaTags_Junction_current reads version 1, MediaTags_current version 2; 7 of its 7 rows lead nowhere, and 0 of the 7 \
         rows of version 2; version 2 fits better: view and SyncMetadata are switched to it",
        "SELECT activeVersion = 2 AND backupVersion = 1 FROM SyncMetadata WHERE entityName = 'mediatags_junction'",
    ),
    (
        "DELETE FROM SyncMetadata WHERE entityName = 'mediatags_junction'",
        "SyncMetadata has no row for mediatags_junction, while MediaTags_Junction_current reads version 2; it gets one: active \
         2, backup 1",
        "SELECT activeVersion = 2 AND backupVersion = 1 FROM SyncMetadata WHERE entityName = 'mediatags_junction'",
    ),
];

#[test]
fn each_damage_is_found_and_put_right() {
    for (damage, said, expected) in DAMAGES {
        let prisma = Prisma::synced();
        prisma.execute(damage);
        let report = adopt(&prisma);
        let repairs = told(&report, FindingKind::Repair);
        assert!(repairs.iter().any(|repair| repair == said), "{damage}: {repairs:#?}");
        assert_eq!(prisma.number(expected), 1, "{damage}");
    }
}

#[test]
fn all_damages_at_once_are_put_right_while_an_orm_reads() {
    let prisma = Prisma::synced();
    for place in [1, 4, 6, 8, 12] {
        prisma.execute(DAMAGES[place].0);
    }
    let reader = OrmReader::start(&prisma.path);
    let planned = prisma.plan();
    let report = prisma.adopt();
    reader.end();
    assert_eq!(report.findings, planned.findings);
    for place in [1, 4, 6, 8, 12] {
        assert!(told(&report, FindingKind::Repair).iter().any(|repair| repair == DAMAGES[place].1), "{report:#?}");
        assert_eq!(prisma.number(DAMAGES[place].2), 1);
    }
    prisma::check(&prisma.connection());
}

#[test]
fn what_is_no_damage_is_noted_and_left() {
    for (sql, said, expected) in [
        (
            "INSERT INTO SyncMetadata VALUES (NULL, 'agencies', 1, 2, 0)",
            "SyncMetadata has a row for `agencies`, which is no entity; it stays as it is",
            "SELECT count(*) FROM SyncMetadata WHERE entityName = 'agencies'",
        ),
        (
            "ALTER TABLE Boards_v1 ADD COLUMN note TEXT; ALTER TABLE Boards_v2 ADD COLUMN note TEXT",
            "Boards_v2 has the column note, which greenroom does not fill; it stays, with NULL or its default in the rows of \
             later syncs",
            "SELECT count(*) FROM pragma_table_info('Boards_v2') WHERE name = 'note'",
        ),
        (
            "INSERT INTO BoardsJson VALUES (99, '{\"error\": \"503\"}', NULL, 0); INSERT INTO BoardsJson VALUES (98, x'00', 1, 0)",
            "row 99 of BoardsJson is an object with the key `error`, which begins \"{\\\"error\\\": \\\"503\\\"}\"; it stays, and \
             `history` does not list it",
            "SELECT count(*) = 2 FROM BoardsJson WHERE id > 90",
        ),
        (
            "DROP INDEX Talents_v1_talentUserNumber_key; UPDATE Talents_v1 SET talentUserNumber = 7",
            "Talents_v1 has no unique index over talentUserNumber; it cannot be built, as rows are there twice; the next \
             publish brings a table that has it",
            "SELECT count(*) > 1 FROM Talents_v1",
        ),
        (
            // Both junctions lead nowhere in part.
            "UPDATE SyncMetadata SET activeVersion = 1 WHERE entityName = 'mediatags_junction'; UPDATE MediaTags_Junction_v2 \
             SET tagId = 'gone' WHERE rowid = 1",
            "MediaTags_Junction_current reads version 2, MediaTags_current version 2; 1 of its 7 rows lead nowhere, and 7 of \
             the 7 rows of version 1; the other version fits no better, so it stays",
            "SELECT activeVersion = 2 FROM SyncMetadata WHERE entityName = 'mediatags_junction'",
        ),
    ] {
        let prisma = Prisma::synced();
        prisma.execute(sql);
        let report = prisma.adopt();
        let notes = told(&report, FindingKind::Note);
        assert!(notes.iter().any(|note| note == said), "{sql}: {notes:#?}");
        assert_eq!(prisma.number(expected), 1, "{sql}");
    }
}

#[tokio::test]
async fn what_cannot_be_put_right_keeps_the_database_as_it_is() {
    let shell = Shell::with(&Data::marked(1)).await;
    for (sql, said) in [
        (
            "CREATE TABLE old AS SELECT * FROM Boards_current; DROP VIEW Boards_current; ALTER TABLE old RENAME TO Boards_current",
            "Boards_current is a table with 3 rows, where a view belongs",
        ),
        ("DROP INDEX Boards_v1_title_idx; ALTER TABLE Boards_v1 DROP COLUMN title", "Boards_v1 has no column title"),
        (
            "CREATE TABLE t AS SELECT 1; DROP TABLE BoardsTalents_v1; CREATE TABLE BoardsTalents_v1 (id TEXT NOT NULL PRIMARY KEY, \
          boardId TEXT NOT NULL, talentId TEXT NOT NULL, rank INTEGER NOT NULL)",
            "BoardsTalents_v1 has the column rank",
        ),
    ] {
        let prisma = Prisma::synced();
        prisma.execute(sql);
        let before = prisma.bytes();
        let planned = prisma.plan();
        assert!(planned.is_refused() && planned.findings[0].kind == FindingKind::Obstacle, "{planned:?}");
        let call = shell.call_on(&prisma.path, &["adopt", "--json"]).await;
        assert_eq!(call.status, 1, "{sql} {}", call.stdout);
        assert!(call.json()["findings"][0]["found"].as_str().unwrap().contains(said), "{}", call.stdout);
        assert!(call.stderr.contains("cannot be adopted"), "{}", call.stderr);
        assert!(prisma.bytes() == before, "{sql}");
    }
}

#[tokio::test]
async fn nothing_is_written_before_it_is_asked_for() {
    let shell = Shell::with(&Data::marked(1)).await;
    for prisma in [Prisma::synced(), Prisma::fresh()] {
        let before = prisma.bytes();
        let more = [&["history"][..], &["migrate-app", "true"], &["release-database", "--yes"]];
        for arguments in COMMANDS.into_iter().chain(more) {
            let call = shell.call_on(&prisma.path, arguments).await;
            assert_eq!(call.status, 2, "{arguments:?} {}", call.stderr);
            assert!(call.stderr.contains("`greenroom adopt --dry-run` shows"), "{}", call.stderr);
            assert!(prisma.bytes() == before, "{arguments:?}");
        }
        assert!(matches!(Database::create_or_open(&prisma.path), Err(GreenError::NotAdopted { .. })));
        let call = shell.call_on(&prisma.path, &["adopt", "--dry-run", "--json"]).await;
        assert_eq!((call.status, call.json()["dryRun"].as_bool()), (0, Some(true)), "{}", call.stderr);
        assert!(prisma.bytes() == before);
    }
    // What is greenroom's own needs no adoption, and what is not there is not made.
    let call = shell.call(&["adopt"]).await;
    assert_eq!(call.status, 2);
    assert!(call.stderr.contains("needs no adoption"), "{}", call.stderr);
    let nowhere = std::path::Path::new("/nonexistent/green.db");
    assert_eq!(shell.call_on(nowhere, &["adopt"]).await.status, 2);
}

#[tokio::test]
async fn the_command_tells_what_it_does() {
    let shell = Shell::with(&Data::marked(1)).await;
    let prisma = Prisma::synced();
    prisma.execute(DAMAGES[1].0);
    let call = shell.call_on(&prisma.path, &["adopt", "--dry-run"]).await;
    assert!(
        call.stdout.contains("repair    SyncMetadata says version 2 of talents is both active and backup"),
        "{}",
        call.stdout
    );
    let last = "would adopt the database: 1 repair, 18 bodies of the source listed as history, journal mode delete > wal; \
                nothing was changed\n";
    assert!(call.stdout.ends_with(last), "{}", call.stdout);
    let call = shell.call_on(&prisma.path, &["adopt"]).await;
    assert_eq!(call.status, 0, "{}", call.stderr);
    assert!(call.stdout.contains("the database is adopted: 1 repair"), "{}", call.stdout);
    let again = shell.call_on(&prisma.path, &["adopt"]).await;
    assert_eq!(again.status, 0);
    assert!(again.stdout.starts_with("nothing to do: the database is adopted since "), "{}", again.stdout);
    let status = shell.call_on(&prisma.path, &["status", "--json"]).await.json();
    assert_eq!((&status["database"]["layout"], &status["publication"]["kind"]), (&"prisma".into(), &"adoption".into()));
    let status = shell.call_on(&prisma.path, &["status"]).await;
    assert!(status.stdout.contains("what was live when the database was adopted"), "{}", status.stdout);
    let standard = shell.call(&["status", "--json"]).await.json();
    assert_eq!(standard["database"]["layout"], "standard");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_database_is_rolled_back_and_synced() {
    let prisma = Prisma::synced();
    prisma.adopt();
    let rig = prisma.rig(&Data::marked(3)).await;
    rig.assert_views(&Data::marked(2));
    let plan = rig.operations.plan_rollback(RollbackTarget::Newest).await.unwrap();
    assert_eq!(plan.publication.as_ref().unwrap().kind, PublicationKind::Adoption);
    rig.operations.rollback(plan, NO_HOLD).await.unwrap();
    rig.assert_views(&Data::marked(1));
    let plan = rig.operations.plan_rollback(RollbackTarget::Newest).await.unwrap();
    rig.operations.rollback(plan, NO_HOLD).await.unwrap();
    rig.assert_views(&Data::marked(2));
    prisma::check(&rig.reader());
    for generation in [3, 4] {
        rig.blue.send(&Data::marked(generation));
        assert_eq!(rig.start().end().await.unwrap().outcome(), RunOutcome::Published);
        rig.assert_views(&Data::marked(generation));
        prisma::check(&rig.reader());
    }
    let status = rig.operations.status().await.unwrap();
    assert_eq!((status.database.layout, status.entities[0].backup_rows), (Layout::Prisma, Some(6)));
    // The same again is not switched, by what was staged in the application's own tables.
    assert_eq!(rig.start().end().await.unwrap().outcome(), RunOutcome::Unchanged);
    let plan = rig.operations.plan_rollback(RollbackTarget::Newest).await.unwrap();
    rig.operations.rollback(plan, NO_HOLD).await.unwrap();
    rig.assert_views(&Data::marked(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn guards_compare_with_what_the_old_system_had_live() {
    let prisma = Prisma::synced();
    prisma.adopt();
    let rig = prisma.rig(&Data::marked(3).only(Endpoint::Talents, 1)).await;
    let ran = rig.start().end().await.unwrap();
    assert_eq!(ran.outcome(), RunOutcome::Held);
    assert!(ran.error().contains("shrink"), "{}", ran.error());
    rig.assert_views(&Data::marked(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_migrations_leave_becomes_views_with_the_first_publish() {
    let prisma = Prisma::fresh();
    let report = adopt_fresh(&prisma);
    assert_eq!(told(&report, FindingKind::Repair), [""; 0]);
    assert_eq!(report.of(FindingKind::Note).count(), 10, "{report:?}");
    assert_eq!(report.publication, None);
    let kinds = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name LIKE '%\\_current' ESCAPE '\\'";
    assert_eq!(prisma.number(kinds), 10);
    let rig = prisma.rig(&Data::marked(1)).await;
    assert!(rig.operations.plan_rollback(RollbackTarget::Newest).await.is_err());
    assert_eq!(rig.start().end().await.unwrap().outcome(), RunOutcome::Published);
    rig.assert_views(&Data::marked(1));
    prisma::check(&rig.reader());
    assert_eq!(rig.number(kinds), 0);
}

#[test]
fn what_the_first_publish_takes_away_is_said_before() {
    let prisma = Prisma::synced();
    prisma.execute(
        "DROP VIEW Boards_current; CREATE VIEW Boards_current AS SELECT * FROM Boards_v2 WHERE coverImage IS NOT NULL; \
         CREATE TRIGGER counted AFTER INSERT ON boards_v1 BEGIN SELECT 1; END; \
         CREATE TRIGGER kept INSTEAD OF DELETE ON Talents_current BEGIN SELECT 1; END",
    );
    let report = prisma.plan();
    let notes = told(&report, FindingKind::Note);
    let goes = "it goes with the publish that replaces what it is on";
    for said in [
        "Boards_current shows something else than all of Boards_v2; it stays until the first publish puts a view in its place \
         that shows all rows and columns",
        &format!("Boards_v1 has the trigger counted; {goes}"),
        &format!("Talents_current has the trigger kept; {goes}"),
    ] {
        assert_eq!(notes.iter().filter(|note| note.eq_ignore_ascii_case(said)).count(), 1, "{said}: {notes:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_somebody_filled_in_the_place_of_a_view_is_not_lost() {
    let prisma = Prisma::fresh();
    prisma.adopt();
    prisma::fill(&prisma.connection(), "Boards_current", &Data::marked(9), Entity::Boards);
    let rig = prisma.rig(&Data::marked(1)).await;
    let ran = rig.start().end().await.unwrap();
    assert_eq!(ran.outcome(), RunOutcome::Failed);
    assert!(ran.error().contains("boards_current is a table with rows where the view belongs"), "{}", ran.error());
    rig.assert_view(Entity::Boards, Data::marked(9).rows(Entity::Boards));
    rig.writer().execute_batch("DELETE FROM Boards_current").unwrap();
    assert_eq!(rig.start().end().await.unwrap().outcome(), RunOutcome::Published);
    rig.assert_views(&Data::marked(1));
}

fn adopt_fresh(prisma: &Prisma) -> AdoptionReport {
    let planned = prisma.plan();
    let done = prisma.adopt();
    assert_eq!(planned.findings, done.findings);
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn an_active_version_that_nobody_sees_is_loaded_again() {
    let prisma = Prisma::fresh();
    prisma::fill(&prisma.connection(), "Boards_v1", &Data::marked(1), Entity::Boards);
    prisma.execute("INSERT INTO SyncMetadata VALUES (NULL, 'boards', 1, 1, 0)");
    let report = prisma.adopt();
    let said = "SyncMetadata says version 1 of boards is active, but Boards_current does not read it; the next publish puts it right";
    assert!(told(&report, FindingKind::Note).iter().any(|note| note == said), "{report:#?}");
    let rig = prisma.rig(&Data::marked(1)).await;
    assert_eq!(rig.start().end().await.unwrap().outcome(), RunOutcome::Published);
    rig.assert_views(&Data::marked(1));
    prisma::check(&rig.reader());
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_were_there_are_history() {
    let prisma = Prisma::synced();
    let list =
        |generation| String::from_utf8(Data::marked(generation).body(Endpoint::Boards, Envelope::Array)).unwrap();
    let key = String::from_utf8(Data::marked(8).body(Endpoint::Boards, Envelope::Key)).unwrap();
    let connection = prisma.connection();
    connection.execute("DELETE FROM BoardsJson WHERE id = 1", []).unwrap();
    for (body, at) in
        [(format!(" {}\n", list(7)), text("2024-01-05 10:00:00")), (key, Value::Integer(1_704_448_800_000))]
    {
        connection
            .execute("INSERT INTO BoardsJson (data, createdAt, updatedAt) VALUES (?1, ?2, 0)", (body, at))
            .unwrap();
    }
    drop(connection);
    prisma.adopt();
    let rig = prisma.rig(&Data::marked(8)).await;
    let history = rig.operations.history(Some(Endpoint::Boards)).await.unwrap();
    let facts: Vec<_> = history.iter().map(|one| (one.run, one.envelope.as_str(), one.records)).collect();
    assert_eq!(facts, [(0, "key", 3), (0, "array", 3), (0, "data", 3)]);
    assert_eq!(history[0].fetched_at.as_second(), 1_704_448_800);
    assert_eq!(history[0].fetched_at, history[1].fetched_at);
    let body = |id| {
        let mut body = Vec::new();
        rig.operations.body(id, &mut body).unwrap();
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()
    };
    assert_eq!(body(history[0].id)["boards"].as_array().unwrap().len(), 3);
    assert_eq!(body(history[1].id), serde_json::from_str::<serde_json::Value>(&list(7)).unwrap());
    assert!(body(history[2].id)["data"].is_array());
    let subject = greenroom::green::DiffSubject::Snapshots(history[1].id, history[0].id);
    let diff = rig.diff(subject, &[Entity::Boards]).await;
    assert_eq!(diff.entities[0].counts.unwrap().all(), 6);
    // The very bytes that the source sends are known, in whichever envelope they are kept.
    rig.blue.send_as(&Data::marked(8), Envelope::Key);
    assert_eq!(rig.start().end().await.unwrap().outcome(), RunOutcome::Published);
    let after = rig.operations.history(Some(Endpoint::Boards)).await.unwrap();
    assert_eq!(after[0].id, history[0].id);
    assert!(after[0].in_use);
    rig.blue.send(&Data::marked(9));
    assert_eq!(rig.start().end().await.unwrap().outcome(), RunOutcome::Published);
    let kept = rig.operations.history(Some(Endpoint::Boards)).await.unwrap();
    assert_eq!(kept.len(), 3, "retention treats them as any other: {kept:?}");
    assert_eq!(rig.number("SELECT count(*) FROM BoardsJson"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_greenroom_did_beside_is_taken_over() {
    // One that knew nothing of the application's names made its own tables and switched the same views.
    let standard = Shell::with(&Data::marked(1)).await;
    standard.rig.publish().await;
    for back in [TO_VERSION_4, TO_VERSION_3, TO_VERSION_2] {
        standard.rig.writer().execute_batch(back).unwrap();
    }
    let prisma = Prisma::synced();
    let connection = prisma.connection();
    connection.execute("ATTACH ?1 AS old", [standard.rig.path.to_str().unwrap()]).unwrap();
    let tables = query(
        &connection,
        "SELECT sql, name FROM old.sqlite_schema WHERE type = 'table' AND (name LIKE 'sync\\_%' ESCAPE '\\' OR name LIKE \
         '%\\_json' ESCAPE '\\')",
    );
    for table in tables {
        let [Value::Text(sql), Value::Text(name)] = &table[..] else { panic!("{table:?}") };
        connection.execute_batch(&format!("{sql}; INSERT INTO main.{name} SELECT * FROM old.{name}")).unwrap();
    }
    connection.execute_batch("PRAGMA main.user_version = 2").unwrap();
    drop(connection);
    assert!(matches!(Database::open(&prisma.path), Err(GreenError::NotAdopted { .. })));
    let report = prisma.adopt();
    assert!(
        told(&report, FindingKind::Repair)[0].contains("an earlier greenroom kept books of its own"),
        "{report:#?}"
    );
    prisma::check(&prisma.connection());
    let rig = prisma.rig(&Data::marked(3)).await;
    let history = rig.operations.history(Some(Endpoint::Boards)).await.unwrap();
    let old = history.iter().find(|one| one.run == 1).unwrap();
    let mut body = Vec::new();
    rig.operations.body(old.id, &mut body).unwrap();
    assert!(String::from_utf8(body).unwrap().contains("@1"));
    assert_eq!(rig.start().end().await.unwrap().outcome(), RunOutcome::Published);
    rig.assert_views(&Data::marked(3));
    let plan = rig.operations.plan_rollback(RollbackTarget::Newest).await.unwrap();
    rig.operations.rollback(plan, NO_HOLD).await.unwrap();
    rig.assert_views(&Data::marked(2));
}

#[test]
fn a_process_that_dies_while_it_adopts_leaves_what_was_or_an_adopted_database() {
    let points = [
        (Failpoint::AdoptLogged, false),
        (Failpoint::AdoptRecorded, false),
        (Failpoint::AdoptRepaired, false),
        (Failpoint::AdoptWritten, false),
        (Failpoint::AdoptCommitted, true),
    ];
    for (point, is_done) in points {
        let prisma = Prisma::synced();
        prisma.execute(DAMAGES[0].0);
        prisma.execute(DAMAGES[12].0);
        let reader = OrmReader::start(&prisma.path);
        let mut command = Command::new(env!("CARGO_BIN_EXE_greenroom"));
        command.arg("adopt").env_clear().env("DATABASE_URL", &prisma.path);
        command.env(failpoint::VARIABLE, format!("{point}=abort"));
        let ended = command.output().unwrap();
        assert_eq!(ended.status.code(), None, "{point} was not reached: {ended:?}");
        assert_eq!(prisma.plan().adopted_at.is_some(), is_done, "{point}");
        let rows = prisma.number("SELECT count(*) FROM SyncMetadata");
        assert_eq!(rows, if is_done { 10 } else { 11 }, "{point}");
        prisma.adopt();
        reader.end();
        prisma::check(&prisma.connection());
    }
}

#[test]
fn the_console_offers_it_and_takes_only_a_capital_y() {
    let prisma = Prisma::synced();
    prisma.execute(DAMAGES[0].0);
    let (before, path) = (prisma.bytes(), prisma.path.display().to_string());
    let open = || Session::sized(&[], &[("DATABASE_URL", &path)], 80, 60);
    let mut session = open();
    session.until_shows("greenroom has not taken it over yet");
    session.until_shows("repair    ");
    session.until_shows("anything else changes nothing:");
    session.press("y\n");
    assert_eq!(session.end().exit_code(), 5);
    assert!(prisma.bytes() == before, "declined, it leaves no trace");
    let mut session = open();
    session.until_shows("anything else changes nothing:");
    session.press("Y\n");
    session.until_shows("mediatags_junction");
    session.until_shows("quit");
    session.press("q");
    assert_eq!(session.end().exit_code(), 0);
    assert!(prisma.plan().adopted_at.is_some());
    prisma::check(&prisma.connection());
    // What has to be put right first is no matter of a yes.
    let prisma = Prisma::synced();
    prisma.execute("DROP VIEW Boards_current; CREATE TABLE Boards_current AS SELECT * FROM Boards_v1");
    let before = prisma.bytes();
    let mut session = Session::sized(&[], &[("DATABASE_URL", &prisma.path.display().to_string())], 80, 60);
    assert_eq!(session.end().exit_code(), 2);
    let shown = String::from_utf8(session.raw()).unwrap();
    assert!(shown.contains("obstacle  ") && !shown.contains("anything else"), "{shown}");
    assert!(prisma.bytes() == before);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_the_application_that_refer_to_versions_stay_usable() {
    let prisma = Prisma::synced();
    prisma.execute(
        "CREATE TABLE Fav (id INTEGER PRIMARY KEY, talent TEXT REFERENCES Talents_v1(id) ON DELETE CASCADE, \
         board TEXT REFERENCES Boards_v2(id) ON DELETE CASCADE); \
         INSERT INTO Fav SELECT 1, (SELECT min(id) FROM Talents_v1), (SELECT min(id) FROM Boards_v2)",
    );
    let definition = "SELECT sql FROM sqlite_schema WHERE name = 'Fav'";
    let before = prisma.query(definition);
    prisma.adopt();
    let rig = prisma.rig(&Data::marked(3)).await;
    for generation in [3, 4, 5] {
        rig.blue.send(&Data::marked(generation));
        assert_eq!(rig.start().end().await.unwrap().outcome(), RunOutcome::Published);
        assert_eq!(query(&rig.reader(), definition), before, "a publish bends no reference");
        assert_eq!(rig.number("SELECT count(*) FROM Fav"), 1, "and removes nothing");
    }
    let writer = rig.writer();
    writer
        .execute_batch(
            "PRAGMA foreign_keys = ON; INSERT INTO Fav SELECT 2, min(id), NULL FROM Talents_v1; DELETE FROM Fav",
        )
        .unwrap();
}

#[test]
fn a_plan_leaves_no_trace_beside_a_file_in_wal_mode_and_reads_any_name() {
    let prisma = Prisma::synced();
    prisma.execute(
        "INSERT INTO SyncMetadata (entityName, activeVersion, backupVersion, updatedAt) VALUES (x'41', 1, 2, 1)",
    );
    prisma.execute("CREATE TABLE Other (a)");
    for name in ["Boards_v1_title_idx", "Boards_v1_title_idx_made"] {
        prisma.execute(&format!("DROP INDEX IF EXISTS {name}; CREATE INDEX {name} ON Other (a)"));
    }
    prisma.execute("PRAGMA journal_mode = WAL");
    let before = prisma.bytes();
    let planned = prisma.plan();
    assert!(prisma.bytes() == before);
    assert!(told(&planned, FindingKind::Note).iter().any(|note| note.contains('A')), "{planned:#?}");
    prisma.adopt();
    prisma::check(&prisma.connection());
}

#[test]
fn an_adoption_that_fails_puts_the_journal_mode_back() {
    let prisma = Prisma::synced();
    let mut command = Command::new(env!("CARGO_BIN_EXE_greenroom"));
    command.arg("adopt").env_clear().env("DATABASE_URL", &prisma.path);
    command.env(failpoint::VARIABLE, format!("{}=readonly", Failpoint::AdoptLogged));
    let ended = command.output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert_eq!(prisma.journal_mode(), "delete");
    let report = prisma.adopt();
    assert_eq!(report.journal_mode, "delete", "a release will put that back");
}
