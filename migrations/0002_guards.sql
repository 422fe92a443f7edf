-- Guards, hold, replay, partial runs, validators, and the quarantine through the runs.

-- The entities that a run is about, names joined by commas; NULL for all ten.
ALTER TABLE sync_runs ADD COLUMN scope TEXT;
ALTER TABLE sync_runs ADD COLUMN dry_run BOOLEAN NOT NULL DEFAULT 0;
-- For a replay, what it is for and the run whose snapshots it takes.
ALTER TABLE sync_runs ADD COLUMN replay TEXT;
ALTER TABLE sync_runs ADD COLUMN replay_of INTEGER;

ALTER TABLE sync_publications ADD COLUMN replay_of INTEGER;

-- What the server sent with a body, to ask later whether it is still the same; only good for the same source.
ALTER TABLE sync_snapshots ADD COLUMN source TEXT;
ALTER TABLE sync_snapshots ADD COLUMN etag TEXT;
ALTER TABLE sync_snapshots ADD COLUMN last_modified TEXT;

-- Guards that tripped in a run.
CREATE TABLE sync_guards (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id      INTEGER NOT NULL REFERENCES sync_runs (id) ON DELETE CASCADE,
    guard       TEXT NOT NULL,
    entity      TEXT NOT NULL,
    column_name TEXT,
    limit_value REAL NOT NULL,
    value       REAL NOT NULL,
    message     TEXT NOT NULL,
    accepted    BOOLEAN NOT NULL
);
CREATE INDEX sync_guards_run ON sync_guards (run_id);

-- Guards that had tripped and that the operator of a publication accepted; they outlive the run.
CREATE TABLE sync_publication_guards (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    publication_id INTEGER NOT NULL REFERENCES sync_publications (id),
    guard          TEXT NOT NULL,
    entity         TEXT NOT NULL,
    column_name    TEXT,
    limit_value    REAL NOT NULL,
    value          REAL NOT NULL,
    message        TEXT NOT NULL,
    accepted       BOOLEAN NOT NULL
);
CREATE INDEX sync_publication_guards_publication ON sync_publication_guards (publication_id);

-- Each hold with its end; the one without is in force.
CREATE TABLE sync_holds (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    held_at       DATETIME NOT NULL,
    operator_user TEXT NOT NULL,
    operator_host TEXT NOT NULL,
    operator_pid  INTEGER NOT NULL,
    reason        TEXT NOT NULL,
    -- The rollback that set it.
    publication   INTEGER,
    released_at   DATETIME,
    released_user TEXT,
    released_host TEXT,
    released_pid  INTEGER
);
CREATE UNIQUE INDEX sync_holds_in_force ON sync_holds (released_at IS NULL) WHERE released_at IS NULL;

-- Another body that makes exactly the rows which are live, found by loading it: its entity stays as it is.
CREATE TABLE sync_same_rows (
    entity         TEXT PRIMARY KEY,
    -- The newest switch of the entity; the entry is void after the next one.
    publication_id INTEGER NOT NULL,
    hash           TEXT NOT NULL,
    mapping        INTEGER NOT NULL,
    -- The run that loaded it.
    run_id         INTEGER NOT NULL
) WITHOUT ROWID;

-- blake3 of entity, column, reason and body; NULL for what was kept before.
ALTER TABLE sync_quarantine ADD COLUMN hash BLOB;

-- Each quarantined record and note once, through all runs.
CREATE TABLE sync_quarantine_records (
    -- As in sync_quarantine.
    hash        BLOB PRIMARY KEY,
    endpoint    TEXT NOT NULL,
    entity      TEXT NOT NULL,
    column_name TEXT,
    reason      TEXT NOT NULL,
    body        TEXT NOT NULL,
    first_run   INTEGER NOT NULL,
    first_at    DATETIME NOT NULL,
    last_run    INTEGER NOT NULL,
    last_at     DATETIME NOT NULL,
    -- The first run whose source did not send it any more; NULL while it does.
    gone_run    INTEGER
) WITHOUT ROWID;
CREATE INDEX sync_quarantine_records_entity ON sync_quarantine_records (entity, gone_run);
