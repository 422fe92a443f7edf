//! The application's own migrations as one transaction of ours: its scripts find tables where the views are, and nobody else
//! ever sees these tables.
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
    recovery, reserve, schema,
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

/// Puts an empty table in the place of the view of `entity`: nobody else sees it before the view is back.
fn put_table(connection: &Connection, entity: Entity, layout: Layout, version: Version) -> Result<(), GreenError> {
    let doing = "making a table for the application's migration";
    let view = layout.view(entity);
    connection.execute_batch(&format!("DROP VIEW {}", quoted(&view))).doing(doing)?;
    let (indexes, _) = current_table::create(connection, entity, version, &view)?;
    indexes.iter().try_for_each(|index| connection.execute_batch(index).doing(doing))
}

/// Keeps scripts from ending the transaction that they are a part of, while it is told that one is at work.
fn guard(connection: &mut Connection) -> Result<Arc<AtomicBool>, GreenError> {
    let at_work = Arc::new(AtomicBool::new(false));
    let script_is_at_work = at_work.clone();
    let guard = move |context: AuthContext<'_>| match context.action {
        AuthAction::Transaction { .. } | AuthAction::Attach { .. } | AuthAction::Detach { .. }
            if script_is_at_work.load(Ordering::Relaxed) =>
        {
            Authorization::Deny
        }
        _ => Authorization::Allow,
    };
    connection.authorizer(Some(guard)).doing("setting up the database connection")?;
    Ok(at_work)
}

fn run(connection: &Connection, script: &AppScript, at_work: &AtomicBool) -> Result<(), GreenError> {
    let doing = "running a migration of the application";
    at_work.store(true, Ordering::Relaxed);
    let done = connection.execute_batch(&script.sql);
    at_work.store(false, Ordering::Relaxed);
    done.map_err(|source| {
        let denied = source.sqlite_error_code() == Some(ErrorCode::AuthorizationForStatementDenied);
        let why = if denied {
            "it begins or ends a transaction, or attaches another database, which it may not do here".to_owned()
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
    let (mut pending, mut notes) = (Vec::new(), Vec::new());
    for script in scripts {
        match account(&transaction, script)? {
            Account::New => pending.push(script),
            Account::Failed => return Err(GreenError::ScriptFailedBefore { name: script.name.clone() }),
            Account::Applied { checksum } if checksum != script.checksum() => {
                notes.push(format!("{} was changed after it had been applied; it is not applied again", script.name));
            }
            Account::Applied { .. } => {}
        }
    }
    let applied: Vec<_> = pending.iter().map(|script| script.name.clone()).collect();
    let already = (scripts.len() - applied.len()) as u64;
    if pending.is_empty() {
        return Ok(AppScriptsReport { dry_run, applied, already, notes });
    }
    status::mend(&transaction, at)?;
    let layout = Layout::of(&transaction)?;
    if layout == Layout::Prisma {
        // As a rule that was done before, a table at a time; a dry run does it here.
        index_names::restore_within(&transaction)?;
    }
    let mut switched = Vec::new();
    for entity in Entity::ALL {
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
    for entity in switched {
        put_view_back(&transaction, entity, &mut notes)?;
        schema::drop_table(&transaction, &schema::put_aside_table(entity))?;
    }
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
    /// [`GreenError::Script`] when one of them fails, [`GreenError::ScriptFailedBefore`], [`GreenError::NoView`] when they leave
    /// nothing that a view could read, or when the database cannot be written. Nothing was changed then.
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
        let apply = |connection: &mut Connection| {
            if !dry_run && Layout::of(connection)? == Layout::Prisma {
                index_names::restore(connection)?;
            }
            durable(connection, |connection| apply(connection, scripts, dry_run, at))
        };
        reserve::with_room(self, || without_foreign_keys(&mut connection, apply))
    }
}
