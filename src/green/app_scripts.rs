//! The application's own migrations as one transaction of ours: its scripts find tables where the views are that they speak
//! of, and nobody else ever sees these tables.
//!
//! What was applied is written into `_prisma_migrations` as Prisma's own command does it (tried with Prisma 6.19), so that
//! this finds nothing left to do.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::Timestamp;
use ring::digest;
use rusqlite::{
    Connection, ErrorCode, OptionalExtension, TransactionBehavior,
    hooks::{AuthAction, AuthContext, Authorization},
    params,
};

use super::{
    app_migration::{check_none, put_view_back},
    current_table,
    database::{Database, durable, without_foreign_keys},
    error::{Doing, GreenError},
    fail, index_names,
    lock::RunLock,
    migrate, recovery, reserve,
    schema::{self, version_table},
    sql::{Millis, quoted},
    status,
};
use crate::{
    entity::Entity,
    failpoint::Failpoint,
    report::{AppScriptsReport, Layout, Version},
};

/// The table in which Prisma keeps account, as it makes it.
const ACCOUNT: &str = "CREATE TABLE IF NOT EXISTS \"_prisma_migrations\" (
    \"id\"                    TEXT PRIMARY KEY NOT NULL,
    \"checksum\"              TEXT NOT NULL,
    \"finished_at\"           DATETIME,
    \"migration_name\"        TEXT NOT NULL,
    \"logs\"                  TEXT,
    \"rolled_back_at\"        DATETIME,
    \"started_at\"            DATETIME NOT NULL DEFAULT current_timestamp,
    \"applied_steps_count\"   INTEGER UNSIGNED NOT NULL DEFAULT 0
)";

/// Settings of the file or the connection that a script has no say in.
const SETTINGS: [&str; 5] = ["user_version", "journal_mode", "writable_schema", "legacy_alter_table", "schema_version"];

/// One migration of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppScript {
    /// Its name, by which they are ordered.
    pub name: String,
    /// What it does.
    pub sql: String,
}

impl AppScript {
    /// As Prisma tells whether a script was changed: SHA-256, in hexadecimal.
    fn checksum(&self) -> String {
        let digest = digest::digest(&digest::SHA256, self.sql.as_bytes());
        digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// What is known of a script.
enum Account {
    New,
    Applied { checksum: String },
    Failed,
}

fn account(connection: &Connection, script: &AppScript) -> Result<Account, GreenError> {
    let doing = "reading which migrations were applied";
    if !schema::table_exists(connection, "_prisma_migrations")? {
        return Ok(Account::New);
    }
    let sql = "SELECT checksum, finished_at IS NOT NULL FROM \"_prisma_migrations\" \
               WHERE migration_name = ?1 AND rolled_back_at IS NULL ORDER BY finished_at IS NOT NULL DESC LIMIT 1";
    let found: Option<(String, bool)> =
        connection.query_row(sql, [&script.name], |row| Ok((row.get(0)?, row.get(1)?))).optional().doing(doing)?;
    Ok(match found {
        None => Account::New,
        Some((checksum, true)) => Account::Applied { checksum },
        Some((_, false)) => Account::Failed,
    })
}

fn write_down(connection: &Connection, script: &AppScript, at: Timestamp) -> Result<(), GreenError> {
    connection
        .execute(
            "INSERT INTO \"_prisma_migrations\" (id, checksum, finished_at, migration_name, started_at, applied_steps_count) \
             VALUES (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-a' \
             || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))), ?1, ?3, ?2, ?3, 1)",
            params![script.checksum(), script.name, Millis(at)],
        )
        .doing("recording that a migration was applied")?;
    Ok(())
}

/// The entities of whose tables `scripts` speak.
fn concerned(scripts: &[&AppScript]) -> Vec<Entity> {
    let scripts: Vec<_> = scripts.iter().map(|script| script.sql.to_ascii_lowercase()).collect();
    let is_named = |name: &String| scripts.iter().any(|sql| sql.contains(name));
    let names = |entity| [schema::view(entity), version_table(entity, 1), version_table(entity, 2)];
    Entity::ALL.into_iter().filter(|entity| names(*entity).iter().any(is_named)).collect()
}

/// Puts a table with the live rows in the place of the view of `entity`: a script may read them. Nobody else sees it before
/// the view is back.
fn put_table(connection: &Connection, entity: Entity, layout: Layout, version: Version) -> Result<(), GreenError> {
    let doing = "making a table for the application's migration";
    let (view, from) = (layout.view(entity), quoted(&version_table(entity, version)));
    connection.execute_batch(&format!("DROP VIEW {}", quoted(&view))).doing(doing)?;
    let (indexes, columns) = current_table::create(connection, entity, version, &view)?;
    let fill = format!("INSERT INTO {} ({columns}) SELECT {columns} FROM {from} ORDER BY rowid", quoted(&view));
    connection.execute_batch(&fill).doing(doing)?;
    current_table::build_indexes(connection, entity, &indexes)
}

/// Keeps scripts from ending the transaction that they are a part of, and from what is greenroom's own, while it is told that
/// one is at work.
fn guard(connection: &mut Connection) -> Result<Arc<AtomicBool>, GreenError> {
    let at_work = Arc::new(AtomicBool::new(false));
    let (script_is_at_work, own) = (at_work.clone(), migrate::own_tables()?);
    let guard = move |context: AuthContext<'_>| {
        if !script_is_at_work.load(Ordering::Relaxed) {
            return Authorization::Allow;
        }
        let is_own = |table: &str| own.iter().any(|one| one.eq_ignore_ascii_case(table));
        let is_denied = match context.action {
            AuthAction::Transaction { .. } | AuthAction::Attach { .. } | AuthAction::Detach { .. } => true,
            AuthAction::Pragma { pragma_name, .. } => SETTINGS.iter().any(|one| one.eq_ignore_ascii_case(pragma_name)),
            AuthAction::DropTable { table_name }
            | AuthAction::AlterTable { table_name, .. }
            | AuthAction::Insert { table_name }
            | AuthAction::Update { table_name, .. }
            | AuthAction::Delete { table_name } => is_own(table_name),
            _ => false,
        };
        if is_denied { Authorization::Deny } else { Authorization::Allow }
    };
    connection.authorizer(Some(guard)).doing("setting up the database connection")?;
    Ok(at_work)
}

/// Runs one script as `SQLite` runs it by default: names in foreign keys, views and triggers follow a renamed table.
fn run(connection: &Connection, script: &AppScript, at_work: &AtomicBool) -> Result<(), GreenError> {
    let doing = "running a migration of the application";
    connection.pragma_update(None, "legacy_alter_table", false).doing(doing)?;
    at_work.store(true, Ordering::Relaxed);
    let done = connection.execute_batch(&script.sql);
    at_work.store(false, Ordering::Relaxed);
    connection.pragma_update(None, "legacy_alter_table", true).doing(doing)?;
    done.map_err(|source| {
        let denied = source.sqlite_error_code() == Some(ErrorCode::AuthorizationForStatementDenied);
        let why = if denied {
            "it does what it may not do here: begin or end a transaction, attach another database, or change greenroom's own \
             tables or settings of the file"
                .to_owned()
        } else {
            source.to_string()
        };
        match GreenError::from_sqlite(source, doing) {
            GreenError::Sql { .. } | GreenError::MissingTable { .. } => {
                GreenError::Script { name: script.name.clone(), why }
            }
            of_the_database => of_the_database,
        }
    })
}

/// Puts the views back; what keeps that from being done is the scripts' fault.
fn put_views_back(
    connection: &Connection,
    entities: &[Entity],
    scripts: &[String],
    notes: &mut Vec<String>,
) -> Result<(), GreenError> {
    for entity in entities.iter().copied() {
        put_view_back(connection, entity, notes).map_err(|error| match error {
            GreenError::NoView { view, why, .. } => {
                let why = format!("{view} could not be a view again after it: {why}");
                GreenError::Script { name: scripts.join(", "), why }
            }
            other => other,
        })?;
        schema::drop_table(connection, &schema::put_aside_table(entity))?;
    }
    Ok(())
}

/// The scripts that are not applied yet, and what is to be told of the others.
fn pending<'a>(
    connection: &Connection,
    scripts: &'a [AppScript],
) -> Result<(Vec<&'a AppScript>, Vec<String>), GreenError> {
    let (mut pending, mut notes) = (Vec::new(), Vec::new());
    for script in scripts {
        match account(connection, script)? {
            Account::New => pending.push(script),
            Account::Failed => return Err(GreenError::ScriptFailedBefore { name: script.name.clone() }),
            Account::Applied { checksum } if checksum != script.checksum() => {
                notes.push(format!("{} was changed after it had been applied; it is not applied again", script.name));
            }
            Account::Applied { .. } => {}
        }
    }
    Ok((pending, notes))
}

/// Applies what is not applied yet, all of it or nothing.
fn apply(
    connection: &mut Connection,
    scripts: &[AppScript],
    dry_run: bool,
    at: Timestamp,
) -> Result<AppScriptsReport, GreenError> {
    let doing = "applying migrations of the application";
    let at_work = guard(connection)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
    check_none(&transaction)?;
    let (pending, mut notes) = pending(&transaction, scripts)?;
    let applied: Vec<_> = pending.iter().map(|script| script.name.clone()).collect();
    let already = (scripts.len() - applied.len()) as u64;
    status::mend(&transaction, at)?;
    let layout = Layout::of(&transaction)?;
    if layout == Layout::Prisma {
        // As a rule that was done before, a table at a time; a dry run does it here.
        index_names::restore_within(&transaction)?;
    }
    let mut switched = Vec::new();
    for entity in concerned(&pending) {
        if let Some(version) = schema::viewed_version(&transaction, entity)? {
            put_table(&transaction, entity, layout, version)?;
            switched.push(entity);
        }
    }
    transaction.execute_batch(ACCOUNT).doing(doing)?;
    for script in pending {
        run(&transaction, script, &at_work)?;
        write_down(&transaction, script, at)?;
        fail::reach(&transaction, Failpoint::AppScript)?;
    }
    put_views_back(&transaction, &switched, &applied, &mut notes)?;
    if !dry_run {
        transaction.commit().doing(doing)?;
        fail::reach(connection, Failpoint::AppScriptsCommitted)?;
    }
    Ok(AppScriptsReport { dry_run, applied, already, notes })
}

impl Database {
    /// Applies those of `scripts` that are not applied yet, in their order and in one transaction: readers see the views as
    /// they were before it or as they are after it. With `dry_run` all of it is done and taken back.
    ///
    /// # Errors
    /// [`GreenError::Script`] when one of them fails or they leave nothing that a view could read,
    /// [`GreenError::ScriptFailedBefore`], or when the database cannot be written. Nothing was changed then.
    pub fn apply_app_scripts(
        &self,
        _lock: &RunLock,
        scripts: &[AppScript],
        dry_run: bool,
        at: Timestamp,
    ) -> Result<AppScriptsReport, GreenError> {
        let mut connection = self.run_writer()?;
        if !dry_run {
            recovery::recover(self, &mut connection, at)?;
        }
        check_none(&connection)?;
        // Naming indexes builds them: not for nothing.
        let (pending, notes) = pending(&connection, scripts)?;
        if pending.is_empty() {
            return Ok(AppScriptsReport { dry_run, applied: Vec::new(), already: scripts.len() as u64, notes });
        }
        let apply = |connection: &mut Connection| {
            if !dry_run && Layout::of(connection)? == Layout::Prisma {
                index_names::restore(connection)?;
            }
            durable(connection, |connection| apply(connection, scripts, dry_run, at))
        };
        reserve::with_room(self, || without_foreign_keys(&mut connection, apply))
    }
}
