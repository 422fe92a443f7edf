//! Opening the file: the right version, WAL mode, and connections for reading and writing.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::Access;
use tokio_util::sync::CancellationToken;

use super::{
    error::{Doing, GreenError},
    layout, migrate,
};

/// Oldest `SQLite` that does not lose committed pages when two connections write and checkpoint at once.
const OLDEST_SQLITE: (i32, &str) = (3_051_003, "3.51.3");

/// How long connections wait for another one's write lock.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For what an operator waits for.
    pub operator: Duration,
    /// For a run, which has more to lose by giving up than who can press a key again.
    pub run: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { operator: Duration::from_secs(10), run: Duration::from_secs(30) }
    }
}

/// How often, 100 ms apart, WAL mode is asked for again while readers are inside a transaction.
const WAL_TRIES: u32 = 100;

/// Page cache of a writing connection, in KiB.
const WRITER_CACHE: i64 = 32 * 1024;

/// Virtual machine steps between two looks at whether to stop; some ten microseconds.
const STEPS_BETWEEN_LOOKS: i32 = 2_000;

/// A database file that was found usable. Connections are opened from it as they are needed.
#[derive(Clone, Debug)]
pub struct Database {
    path: PathBuf,
    patience: Patience,
}

impl Database {
    /// Opens the file at `path`, creating and migrating it as needed.
    ///
    /// # Errors
    /// When it cannot be opened or written, is no database, is newer than this program, or stays out of WAL mode.
    pub fn create_or_open(path: impl Into<PathBuf>) -> Result<Self, GreenError> {
        let database = Self { path: path.into(), patience: Patience::default() };
        check_sqlite()?;
        let mut connection = database.connect(OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        let database = database.resolved();
        database.check_readable(&connection)?;
        migrate::check_version(&connection, &database.path)?;
        database.check_is_ours(&connection)?;
        if is_empty(&connection)? {
            // Lets cleanup give space back without rewriting the file; it can only be chosen before the first table.
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").doing("setting up the database")?;
        }
        database.enter_wal(&connection)?;
        migrate::migrate(&mut connection, &database.path)?;
        Ok(database)
    }

    /// Opens the file at `path`, which must exist and have greenroom's bookkeeping.
    ///
    /// # Errors
    /// As [`Database::create_or_open`]; also when the file or its bookkeeping is missing.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, GreenError> {
        let database = Self::unchecked(path)?;
        let connection = database.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        database.check_readable(&connection)?;
        let version = migrate::check_version(&connection, &database.path)?;
        database.check_is_ours(&connection)?;
        if version == 0 {
            return Err(GreenError::NotMigrated { path: database.path });
        }
        drop(connection);
        Self::create_or_open(database.path)
    }

    /// The file at `path`, which must exist, whatever it holds.
    pub(super) fn unchecked(path: impl Into<PathBuf>) -> Result<Self, GreenError> {
        let path = path.into();
        match path.try_exists() {
            Ok(true) => {}
            Ok(false) => return Err(GreenError::Missing { path }),
            Err(error) => return Err(GreenError::Open { path, why: error.to_string() }),
        }
        check_sqlite()?;
        Ok(Self { path, patience: Patience::default() }.resolved())
    }

    /// Refuses what the application's own migrations made as long as it is not adopted.
    fn check_is_ours(&self, connection: &Connection) -> Result<(), GreenError> {
        if layout::is_of_application(connection)? && !layout::is_adopted(connection)? {
            return Err(GreenError::NotAdopted { path: self.path.clone() });
        }
        Ok(())
    }

    /// The same by the name that `SQLite` goes by: the files beside it, the lock above all, must be the same for all who use
    /// it, whatever links they came by.
    fn resolved(self) -> Self {
        Self { path: std::fs::canonicalize(&self.path).unwrap_or(self.path), ..self }
    }

    /// The same with another patience.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path beside the file, its name with `suffix` added.
    #[must_use]
    pub fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    }

    /// Gives a file beside the database the rights that the database has, as `SQLite` does with its own, so that all who may
    /// write the one may write the other. Only the file's owner can, for whom it is as it should be otherwise.
    pub(super) fn share(&self, path: &Path) {
        if let Ok(rights) = std::fs::metadata(&self.path).map(|file| file.permissions()) {
            let _ = std::fs::set_permissions(path, rights);
        }
    }

    /// A connection that cannot write.
    pub(super) fn reader(&self) -> Result<Connection, GreenError> {
        self.connect(OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    /// A connection that cannot write and whose statements end early once `stop` is set.
    pub(super) fn stoppable_reader(&self, stop: &CancellationToken) -> Result<Connection, GreenError> {
        let (mut connection, stop) = (self.reader()?, stop.clone());
        connection
            .progress_handler(STEPS_BETWEEN_LOOKS, Some(move || stop.is_cancelled()))
            .doing("setting up the database connection")?;
        Ok(connection)
    }

    /// The same for a file that nobody may have open: what `SQLite` makes beside a file in WAL mode goes with the connection,
    /// which it only does for one that may write.
    pub(super) fn traceless_reader(&self) -> Result<Connection, GreenError> {
        if self.beside("-wal").exists() || rustix::fs::access(&self.path, Access::WRITE_OK).is_err() {
            return self.reader();
        }
        let connection = self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.pragma_update(None, "query_only", true).doing("setting up the database connection")?;
        Ok(connection)
    }

    /// A connection that may write. Commits are durable against a crash of the process; see [`durable`] for power loss.
    pub(super) fn writer(&self) -> Result<Connection, GreenError> {
        let connection = self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let doing = "setting up the database connection";
        connection.pragma_update(None, "synchronous", "NORMAL").doing(doing)?;
        connection.pragma_update(None, "cache_size", -WRITER_CACHE).doing(doing)?;
        // Without it, renaming a version away would bend a user's own view on it, and every later rename would fail.
        connection.pragma_update(None, "legacy_alter_table", true).doing(doing)?;
        Ok(connection)
    }

    /// The same with the patience of a run.
    pub(super) fn run_writer(&self) -> Result<Connection, GreenError> {
        let connection = self.writer()?;
        connection.busy_timeout(self.patience.run).doing("setting up the database connection")?;
        Ok(connection)
    }

    fn connect(&self, flags: OpenFlags) -> Result<Connection, GreenError> {
        let open = |source| self.cannot_open(&source);
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(open)?;
        connection.busy_timeout(self.patience.operator).map_err(open)?;
        Ok(connection)
    }

    /// Why the file cannot be opened. By looking at names and rights: it is never opened by hand.
    fn cannot_open(&self, source: &rusqlite::Error) -> GreenError {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let refused = |path: &Path, rights| {
            let reason = rustix::fs::access(path, rights).err().map(std::io::Error::from)?;
            Some(format!("{}: {reason}", path.display()))
        };
        let both = Access::READ_OK | Access::WRITE_OK;
        let why = match self.path.metadata() {
            Ok(found) if found.is_dir() => "it is a folder".to_owned(),
            Ok(_) => {
                let beside = ["-wal", "-shm"].map(|suffix| self.beside(suffix));
                let beside = beside.iter().filter(|path| path.exists()).find_map(|path| refused(path, both));
                refused(&self.path, both).or(beside).unwrap_or_else(|| source.to_string())
            }
            Err(error) if error.kind() != ErrorKind::NotFound => error.to_string(),
            Err(_) if !folder.exists() => format!("there is no folder {}", folder.display()),
            Err(_) => refused(folder, Access::WRITE_OK).unwrap_or_else(|| source.to_string()),
        };
        GreenError::Open { path: self.path.clone(), why }
    }

    pub(super) fn check_readable(&self, connection: &Connection) -> Result<(), GreenError> {
        let result = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
        result.map_err(|source| match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => GreenError::NotADatabase { path: self.path.clone() },
            Some(ErrorCode::CannotOpen) => self.cannot_open(&source),
            _ => GreenError::from_sqlite(source, "opening the database"),
        })
    }

    /// Switches to WAL and checks the answer; the switch fails while another connection is inside a transaction.
    pub(super) fn enter_wal(&self, connection: &Connection) -> Result<(), GreenError> {
        let mode = |sql| connection.query_row(sql, [], |row| row.get::<_, String>(0));
        let is_wal = |answer: &str| answer.eq_ignore_ascii_case("wal");
        // Asking first spares a database in WAL mode the write lock.
        if mode("PRAGMA journal_mode").is_ok_and(|answer| is_wal(&answer)) {
            return Ok(());
        }
        let mut answer = String::new();
        for _ in 0..WAL_TRIES {
            match mode("PRAGMA journal_mode = WAL") {
                Ok(mode) if is_wal(&mode) => return Ok(()),
                Ok(mode) => answer = mode,
                Err(error) if matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy)) => {
                    "locked by another program".clone_into(&mut answer);
                }
                Err(error) => return Err(GreenError::from_sqlite(error, "switching to WAL mode")),
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err(GreenError::NotWal { path: self.path.clone(), answer })
    }
}

/// Runs `work` without `SQLite` minding foreign keys: where tables are dropped and renamed, the application's could be in
/// the way.
pub(super) fn without_foreign_keys<T>(
    connection: &mut Connection,
    work: impl FnOnce(&mut Connection) -> Result<T, GreenError>,
) -> Result<T, GreenError> {
    let doing = "setting up the database connection";
    connection.pragma_update(None, "foreign_keys", false).doing(doing)?;
    let result = work(connection);
    connection.pragma_update(None, "foreign_keys", true).doing(doing)?;
    result
}

/// Runs `work` with commits that survive a loss of power.
pub(super) fn durable<T>(
    connection: &mut Connection,
    work: impl FnOnce(&mut Connection) -> Result<T, GreenError>,
) -> Result<T, GreenError> {
    let doing = "setting up the database connection";
    connection.pragma_update(None, "synchronous", "FULL").doing(doing)?;
    let result = work(connection);
    connection.pragma_update(None, "synchronous", "NORMAL").doing(doing)?;
    result
}

fn is_empty(connection: &Connection) -> Result<bool, GreenError> {
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).doing("reading the schema")?;
    Ok(tables == 0)
}

fn check_sqlite() -> Result<(), GreenError> {
    let (oldest, needed) = OLDEST_SQLITE;
    if rusqlite::version_number() < oldest {
        return Err(GreenError::OldSqlite { found: rusqlite::version(), needed });
    }
    Ok(())
}

/// The path in a `DATABASE_URL`: a plain path, or `file:` and a path with optional parameters, as Prisma writes it.
///
/// # Errors
/// When nothing is left of it or it names another kind of database.
pub fn path_from_url(url: &str) -> Result<PathBuf, GreenError> {
    let bad = || GreenError::BadUrl { url: url.to_owned() };
    let path = match url.strip_prefix("file:") {
        Some(path) => {
            let path = path.split('?').next().unwrap_or_default();
            path.strip_prefix("//").filter(|rest| rest.starts_with('/')).unwrap_or(path)
        }
        None if url.contains("://") => return Err(bad()),
        None => url,
    };
    if path.is_empty() || path == ":memory:" || path.contains('\0') {
        return Err(bad());
    }
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_urls_are_paths_or_prisma_files() {
        for (url, path) in [
            ("/data/sqlite.db", "/data/sqlite.db"),
            ("green.db", "green.db"),
            ("file:/data/sqlite.db", "/data/sqlite.db"),
            ("file:./dev.db?connection_limit=1", "./dev.db"),
            ("file:///data/sqlite.db", "/data/sqlite.db"),
        ] {
            assert_eq!(path_from_url(url).unwrap(), Path::new(path), "{url}");
        }
        for url in ["", "file:", "postgres://host/db", ":memory:"] {
            assert!(matches!(path_from_url(url), Err(GreenError::BadUrl { .. })), "{url}");
        }
    }

    #[test]
    fn a_new_file_is_wal_and_has_everything() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create_or_open(folder.path().join("green.db")).unwrap();
        let connection = database.reader().unwrap();
        let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        let vacuum: i64 = connection.query_row("PRAGMA auto_vacuum", [], |row| row.get(0)).unwrap();
        assert_eq!(vacuum, 2);
        Database::open(database.path()).unwrap();
    }

    #[test]
    fn all_names_of_a_file_are_one_database() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("green.db"), folder.path().join("link.db"));
        let database = Database::create_or_open(&file).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(Database::open(&link).unwrap().path(), database.path());
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        let around = Database::open(folder.path().join("sub/../green.db")).unwrap();
        assert_eq!(around.beside("-run.lock"), database.beside("-run.lock"));
    }

    #[test]
    fn refuses_what_it_cannot_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other");
        assert!(matches!(Database::open(&path), Err(GreenError::Missing { .. })));
        std::fs::write(&path, "this is a text file, long enough to be looked at as a database header\n".repeat(20))
            .unwrap();
        assert!(matches!(Database::create_or_open(&path), Err(GreenError::NotADatabase { .. })));
        let newer = folder.path().join("newer.db");
        Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(Database::create_or_open(&newer), Err(GreenError::Newer { found: 99, .. })));
        let foreign = folder.path().join("foreign.db");
        Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        assert!(matches!(Database::open(&foreign), Err(GreenError::NotMigrated { .. })));
        assert!(matches!(
            Database::create_or_open(folder.path().join("no/such/green.db")),
            Err(GreenError::Open { .. })
        ));
    }
}
