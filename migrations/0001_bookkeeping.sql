-- Bookkeeping of greenroom. Times are integer milliseconds since 1970-01-01 UTC, as the ORM in front reads them.

-- Which version of each entity is live; exactly these five columns, read by the application too.
CREATE TABLE IF NOT EXISTS sync_metadata (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    entityName    TEXT,
    activeVersion INTEGER,
    backupVersion INTEGER,
    updatedAt     DATETIME
);

CREATE TABLE sync_runs (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    trigger_kind     TEXT NOT NULL,
    source           TEXT NOT NULL,
    operator_user    TEXT NOT NULL,
    operator_host    TEXT NOT NULL,
    operator_pid     INTEGER NOT NULL,
    -- The newest publication when the run began; another one at its end means that it may not publish.
    base_publication INTEGER,
    started_at       DATETIME NOT NULL,
    -- NULL while the run goes on.
    outcome          TEXT,
    finished_at      DATETIME,
    publication      INTEGER,
    error            TEXT
);

CREATE TABLE sync_steps (
    run_id         INTEGER NOT NULL REFERENCES sync_runs (id) ON DELETE CASCADE,
    entity         TEXT NOT NULL,
    outcome        TEXT,
    attempts       INTEGER NOT NULL,
    bytes          INTEGER NOT NULL,
    records        INTEGER NOT NULL,
    rows           INTEGER NOT NULL,
    rows_before    INTEGER NOT NULL,
    quarantined    INTEGER NOT NULL,
    duplicates     INTEGER NOT NULL,
    notes          INTEGER NOT NULL,
    added          INTEGER,
    removed        INTEGER,
    changed        INTEGER,
    active_version INTEGER NOT NULL,
    backup_version INTEGER NOT NULL,
    snapshot_id    INTEGER,
    error          TEXT,
    PRIMARY KEY (run_id, entity)
) WITHOUT ROWID;

CREATE TABLE sync_attempts (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id      INTEGER NOT NULL REFERENCES sync_runs (id) ON DELETE CASCADE,
    endpoint    TEXT NOT NULL,
    attempt     INTEGER NOT NULL,
    finished_at DATETIME NOT NULL,
    status      INTEGER,
    bytes       INTEGER NOT NULL,
    error       TEXT,
    excerpt     TEXT
);
CREATE INDEX sync_attempts_run ON sync_attempts (run_id);

CREATE TABLE sync_events (
    run_id INTEGER NOT NULL REFERENCES sync_runs (id) ON DELETE CASCADE,
    seq    INTEGER NOT NULL,
    at     DATETIME NOT NULL,
    -- Told once and overtaken by what follows; removed when the run ends.
    passing BOOLEAN NOT NULL,
    event  TEXT NOT NULL,
    PRIMARY KEY (run_id, seq)
) WITHOUT ROWID;

CREATE TABLE sync_publications (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    kind          TEXT NOT NULL,
    run_id        INTEGER,
    undoes        INTEGER,
    operator_user TEXT NOT NULL,
    operator_host TEXT NOT NULL,
    operator_pid  INTEGER NOT NULL,
    published_at  DATETIME NOT NULL
);

-- What each publication switched. The "from" columns describe the version that became the backup.
CREATE TABLE sync_publication_entities (
    publication_id   INTEGER NOT NULL REFERENCES sync_publications (id),
    entity           TEXT NOT NULL,
    from_version     INTEGER NOT NULL,
    to_version       INTEGER NOT NULL,
    from_rows        INTEGER NOT NULL,
    to_rows          INTEGER NOT NULL,
    added            INTEGER,
    removed          INTEGER,
    changed          INTEGER,
    from_run         INTEGER,
    to_run           INTEGER,
    from_snapshot    INTEGER,
    to_snapshot      INTEGER,
    from_mapping     INTEGER,
    to_mapping       INTEGER,
    -- When the version that became the backup had been published by its run.
    from_made_at     DATETIME,
    to_made_at       DATETIME,
    PRIMARY KEY (publication_id, entity)
) WITHOUT ROWID;
CREATE INDEX sync_publication_entities_entity ON sync_publication_entities (entity, publication_id);

CREATE TABLE sync_snapshots (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint   TEXT NOT NULL,
    run_id     INTEGER NOT NULL,
    -- 0 while its body arrives; such a one is dropped by the next run.
    complete   BOOLEAN NOT NULL,
    -- First and last row of the endpoint's {entity}_json that hold it.
    first_row  INTEGER NOT NULL,
    last_row   INTEGER NOT NULL,
    fetched_at DATETIME,
    -- The last time that the source sent the same body again.
    seen_at    DATETIME,
    bytes      INTEGER,
    records    INTEGER,
    hash       TEXT,
    envelope   TEXT
);
CREATE INDEX sync_snapshots_endpoint ON sync_snapshots (endpoint, id);

CREATE TABLE sync_quarantine (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id      INTEGER NOT NULL REFERENCES sync_runs (id) ON DELETE CASCADE,
    snapshot_id INTEGER NOT NULL,
    endpoint    TEXT NOT NULL,
    entity      TEXT NOT NULL,
    record      INTEGER NOT NULL,
    item        INTEGER,
    -- NULL for a record that became no row; else the column whose value was left out of its row.
    column_name TEXT,
    reason      TEXT NOT NULL,
    body        TEXT NOT NULL
);
CREATE INDEX sync_quarantine_run ON sync_quarantine (run_id, entity);
