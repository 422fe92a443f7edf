//! The application's migrations applied by greenroom: as one transaction in which tables stand in the place of the views.

use std::{
    fs,
    path::{Path, PathBuf},
};

use greenroom::{entity::Entity, failpoint, failpoint::Failpoint};
use rusqlite::types::Value;

use crate::{
    commands::{Call, Shell},
    data::Data,
    prisma::{OrmReader, Prisma},
    support::{Picture, Rig, query},
};

/// What an ORM writes for a new column of one model, a column that may not be NULL of another, and an index less.
const MIGRATION: &str = r#"
    ALTER TABLE "Talents_current" ADD COLUMN "agency" TEXT;
    ALTER TABLE "Talents_v1" ADD COLUMN "agency" TEXT;
    ALTER TABLE "Talents_v2" ADD COLUMN "agency" TEXT;
    PRAGMA defer_foreign_keys=ON;
    PRAGMA foreign_keys=OFF;
    CREATE TABLE "new_Boards_current" ("id" TEXT NOT NULL PRIMARY KEY, "title" TEXT NOT NULL, "description" TEXT,
        "coverImage" TEXT, "color" TEXT NOT NULL DEFAULT 'grey');
    INSERT INTO "new_Boards_current" ("id", "title", "description", "coverImage")
        SELECT "id", "title", "description", "coverImage" FROM "Boards_current";
    DROP TABLE "Boards_current";
    ALTER TABLE "new_Boards_current" RENAME TO "Boards_current";
    CREATE INDEX "Boards_current_title_idx" ON "Boards_current"("title");
    DROP INDEX "Talents_v1_talentType_idx";
    DROP INDEX "Talents_current_talentType_idx";
    PRAGMA foreign_keys=ON;
    PRAGMA defer_foreign_keys=OFF;"#;

/// The folder of the application's migrations beside a database.
struct Folder(PathBuf);

impl Folder {
    fn beside(rig: &Rig) -> Self {
        let folder = Self(rig.path.with_file_name("migrations"));
        fs::create_dir(&folder.0).unwrap();
        fs::write(folder.0.join("migration_lock.toml"), "provider = \"sqlite\"\n").unwrap();
        folder
    }

    fn write(&self, name: &str, sql: &str) {
        fs::create_dir_all(self.0.join(name)).unwrap();
        fs::write(self.0.join(name).join("migration.sql"), sql).unwrap();
    }

    fn as_str(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

/// An adopted database that was synced twice since, the binary, and the folder of migrations.
async fn adopted() -> (Shell, Rig, Folder) {
    let prisma = Prisma::synced();
    prisma.adopt();
    let rig = prisma.rig(&Data::marked(3)).await;
    rig.start().end().await.unwrap();
    rig.blue.send(&Data::marked(4));
    rig.start().end().await.unwrap();
    let folder = Folder::beside(&rig);
    (Shell::with(&Data::marked(5)).await, rig, folder)
}

async fn migrate(shell: &Shell, rig: &Rig, folder: &Folder, more: &[&str]) -> Call {
    let mut arguments = vec!["migrate-app", "--prisma", folder.as_str()];
    arguments.extend(more);
    shell.call_on(&rig.path, &arguments).await
}

fn account(rig: &Rig) -> Vec<Vec<Value>> {
    let sql = "SELECT migration_name, checksum, finished_at IS NOT NULL, rolled_back_at, applied_steps_count \
               FROM _prisma_migrations WHERE migration_name LIKE '2026%' ORDER BY migration_name";
    query(&rig.reader(), sql)
}

/// Everything in the schema, and what readers see.
fn whole(rig: &Rig) -> (Picture, Vec<Vec<Value>>) {
    (rig.picture(), query(&rig.reader(), "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name"))
}

fn columns(path: &Path, table: &str) -> Vec<Value> {
    let connection = rusqlite::Connection::open(path).unwrap();
    query(&connection, &format!("SELECT name FROM pragma_table_info('{table}')")).concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_are_applied_while_everybody_reads_and_kept_account_of() {
    let (shell, rig, folder) = adopted().await;
    folder.write("20260102_second", "CREATE TABLE \"Visits\" (\"id\" INTEGER PRIMARY KEY);");
    folder.write("20260101_first", MIGRATION);
    let reader = OrmReader::start(&rig.path);
    let before = whole(&rig);
    let call = migrate(&shell, &rig, &folder, &["--dry-run"]).await;
    assert_eq!(call.status, 0, "{}", call.stderr);
    assert!(
        call.stdout.contains("would be applied: 20260101_first\nwould be applied: 20260102_second\n"),
        "{}",
        call.stdout
    );
    assert_eq!(whole(&rig), before, "all of it was taken back");
    let call = migrate(&shell, &rig, &folder, &["--json"]).await;
    assert_eq!(call.status, 0, "{}", call.stderr);
    let report = call.json();
    assert_eq!(report["applied"], serde_json::json!(["20260101_first", "20260102_second"]));
    assert_eq!((report["dryRun"].as_bool(), report["already"].as_u64()), (Some(false), Some(0)));
    reader.reads_on();
    let kinds = query(
        &rig.reader(),
        "SELECT DISTINCT type FROM sqlite_schema WHERE type <> 'index' AND name LIKE '%\\_current' ESCAPE '\\'",
    );
    assert_eq!(kinds, [[Value::Text("view".to_owned())]]);
    for (table, column) in [("boards_current", "color"), ("boards_v1", "color"), ("talents_current", "agency")] {
        assert!(columns(&rig.path, table).contains(&Value::Text(column.to_owned())), "{table}");
    }
    // What Prisma itself would have written: `sha256sum` of the second script.
    let text = |text: &str| Value::Text(text.to_owned());
    let checksum = "eb83700a35b3933be520fae14be9aa44fa6ae991f4161e5c6e6140b6344ac13a";
    let kept = account(&rig);
    let expected = [text("20260102_second"), text(checksum), Value::Integer(1), Value::Null, Value::Integer(1)];
    assert_eq!((kept.len(), &kept[1][..]), (2, &expected[..]));
    let again = migrate(&shell, &rig, &folder, &[]).await;
    assert_eq!(again.stdout, "nothing to apply: 2 migrations were applied before\n");
    folder.write("20260102_second", "CREATE TABLE \"Others\" (\"id\" INTEGER PRIMARY KEY);");
    let changed = migrate(&shell, &rig, &folder, &[]).await;
    assert!(changed.stdout.contains("20260102_second was changed after it had been applied"), "{}", changed.stdout);
    // The next rows have its columns, too.
    rig.blue.send(&Data::marked(5));
    rig.start().end().await.unwrap();
    assert!(columns(&rig.path, "boards_current").contains(&text("color")));
    assert_eq!(
        rig.number("SELECT count(*) FROM boards_current WHERE color = 'grey'"),
        rig.number("SELECT count(*) FROM boards_current")
    );
    reader.reads_on();
    reader.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_fails_changes_nothing() {
    let (shell, rig, folder) = adopted().await;
    folder.write("20260101_first", MIGRATION);
    let before = whole(&rig);
    for (sql, why) in [
        ("DROP TABLE \"Nothing\";", "no such table: Nothing"),
        ("CREATE TABLE t (a); COMMIT;", "it does what it may not do here"),
        ("ROLLBACK; DROP VIEW \"Boards_current\";", "it does what it may not do here"),
        ("ATTACH 'x.db' AS x;", "it does what it may not do here"),
        ("DROP TABLE \"Boards_v1\"; DROP TABLE \"Boards_v2\";", "could not be a view again after it"),
    ] {
        folder.write("20260102_second", sql);
        let call = migrate(&shell, &rig, &folder, &[]).await;
        assert_eq!(call.status, 1, "{sql} {}", call.stdout);
        assert!(call.stderr.contains(why), "{sql}: {}", call.stderr);
        let after = whole(&rig);
        assert_eq!(after.0, before.0, "{sql}");
        // Names of indexes are restored before.
        let views = |schema: &[Vec<Value>]| schema.iter().filter(|row| row[0] == Value::Text("view".into())).count();
        assert_eq!(views(&after.1), views(&before.1), "{sql}");
        assert!(account(&rig).is_empty(), "{sql}");
    }
    rig.writer()
        .execute_batch(
            "INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at) VALUES ('x', 'y', '20260102_second', 1)",
        )
        .unwrap();
    let call = migrate(&shell, &rig, &folder, &[]).await;
    assert!(call.status == 1 && call.stderr.contains("was begun before and failed in the middle"), "{}", call.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_in_the_middle_leaves_all_or_nothing() {
    for (point, applied) in [(Failpoint::AppScript, 0), (Failpoint::AppScriptsCommitted, 1)] {
        let (shell, rig, folder) = adopted().await;
        folder.write("20260101_first", MIGRATION);
        let before = rig.picture();
        let reader = OrmReader::start(&rig.path);
        let mut command = shell.command_on(&rig.path, &["migrate-app", "--prisma", folder.as_str()]);
        command.env(failpoint::VARIABLE, format!("{}=abort", point.name()));
        let status = tokio::task::spawn_blocking(move || command.output().unwrap().status).await.unwrap();
        assert_eq!(status.code(), None, "it aborted");
        reader.reads_on();
        assert_eq!(account(&rig).len(), applied, "{point}");
        if applied == 0 {
            assert_eq!(rig.picture(), before);
        }
        let call = migrate(&shell, &rig, &folder, &[]).await;
        assert_eq!(call.status, 0, "{}", call.stderr);
        assert_eq!(account(&rig).len(), 1);
        reader.end();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_without_migrations_are_named() {
    let shell = Shell::with(&Data::marked(1)).await;
    shell.rig.publish().await;
    let folder = Folder::beside(&shell.rig);
    let refused = async |why: &str| {
        let call = migrate(&shell, &shell.rig, &folder, &[]).await;
        assert_eq!(call.status, 2, "{why}");
        assert!(call.stderr.contains(why), "{}", call.stderr);
    };
    refused("there is no folder with a migration.sql in it").await;
    fs::write(folder.0.join("migration_lock.toml"), "# do not edit\nprovider = \"postgresql\"\n").unwrap();
    refused("for another database than SQLite").await;
    fs::remove_file(folder.0.join("migration_lock.toml")).unwrap();
    fs::create_dir(folder.0.join("20260101_first")).unwrap();
    refused("20260101_first/migration.sql").await;
    fs::remove_dir_all(&folder.0).unwrap();
    refused("No such file").await;
    // In a database of greenroom's own they are applied as well.
    fs::create_dir(&folder.0).unwrap();
    folder.write("20260101_first", "ALTER TABLE boards_current ADD COLUMN color TEXT;");
    let call = migrate(&shell, &shell.rig, &folder, &[]).await;
    assert_eq!(call.status, 0, "{}", call.stderr);
    assert!(call.stdout.contains("boards_v1 got the column color"), "{}", call.stdout);
    assert_eq!(shell.rig.number("SELECT count(color) FROM boards_current"), 0);
    assert_eq!(shell.rig.versions(Entity::Boards), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_reads_the_live_rows_and_renames_as_sqlite_does() {
    let (shell, rig, folder) = adopted().await;
    rig.writer()
        .execute_batch(
            "CREATE TABLE \"Fav\" (\"id\" TEXT PRIMARY KEY); INSERT INTO \"Fav\" SELECT \"id\" FROM \"Talents_current\";
             CREATE TABLE \"Note\" (\"id\" INTEGER PRIMARY KEY, \"fav\" TEXT REFERENCES \"Fav\"(\"id\"));
             CREATE VIEW \"favourites\" AS SELECT * FROM \"Fav\";",
        )
        .unwrap();
    let live = rig.number("SELECT count(*) FROM talents_current");
    assert!(live > 0);
    folder.write(
        "20260101_data",
        "DELETE FROM \"Fav\" WHERE \"id\" NOT IN (SELECT \"id\" FROM \"Talents_current\");
         CREATE TABLE \"Stats\" (\"talents\" INTEGER); INSERT INTO \"Stats\" SELECT count(*) FROM \"Talents_current\";
         ALTER TABLE \"Fav\" RENAME TO \"Bookmark\";
         ALTER TABLE \"Boards_current\" ADD COLUMN \"made\" DATETIME;
         CREATE TABLE \"new_Boards_v1\" AS SELECT * FROM \"Boards_v1\"; DROP TABLE \"Boards_v1\";
         ALTER TABLE \"new_Boards_v1\" RENAME TO \"Boards_v1\";",
    );
    let reader = OrmReader::start(&rig.path);
    let call = migrate(&shell, &rig, &folder, &[]).await;
    assert_eq!(call.status, 0, "{}", call.stderr);
    assert_eq!(rig.number("SELECT count(*) FROM \"Bookmark\""), live, "what it had read was there");
    assert_eq!(rig.number("SELECT talents FROM \"Stats\""), live);
    assert_eq!(rig.number("SELECT count(*) FROM \"favourites\""), live);
    let writer = rig.writer();
    writer
        .execute_batch("PRAGMA foreign_keys = ON; INSERT INTO \"Note\" SELECT 1, min(\"id\") FROM \"Bookmark\"")
        .unwrap();
    reader.reads_on();
    reader.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_may_not_touch_what_is_greenrooms() {
    let (shell, rig, folder) = adopted().await;
    let before = rig.picture();
    for sql in [
        "DROP TABLE sync_runs",
        "DELETE FROM sync_publications",
        "ALTER TABLE sync_steps ADD COLUMN x",
        "PRAGMA user_version = 7",
        "PRAGMA writable_schema = ON",
    ] {
        folder.write("20260101_evil", &format!("CREATE TABLE \"Z\" (\"id\" INTEGER); {sql};"));
        let call = migrate(&shell, &rig, &folder, &[]).await;
        assert_eq!(call.status, 1, "{sql}");
        assert!(call.stderr.contains("greenroom's own tables or settings of the file"), "{sql}: {}", call.stderr);
        assert_eq!(rig.picture(), before, "{sql}");
    }
    // A default that `ADD COLUMN` does not take is left out where the column need not have one.
    folder.write(
        "20260101_evil",
        "CREATE TABLE n AS SELECT * FROM \"Boards_current\"; DROP TABLE \"Boards_current\";
         CREATE TABLE \"Boards_current\" (\"id\" TEXT NOT NULL PRIMARY KEY, \"title\" TEXT NOT NULL, \"description\" TEXT,
             \"coverImage\" TEXT, \"made\" DATETIME DEFAULT CURRENT_TIMESTAMP); DROP TABLE n;",
    );
    let call = migrate(&shell, &rig, &folder, &[]).await;
    assert!(
        call.stdout.contains("Boards_v1 got the column made, without its default"),
        "{} {}",
        call.stdout,
        call.stderr
    );
}
