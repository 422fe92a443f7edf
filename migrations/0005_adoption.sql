-- Taking over the database of NowRepGreen's own migrations, and giving its tables back for the time of such a migration.

-- The adoption in force, if there is one: the bookkeeping that the application reads goes by its names then.
CREATE TABLE sync_adoption (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    adopted_at    DATETIME NOT NULL,
    operator_user TEXT NOT NULL,
    operator_host TEXT NOT NULL,
    operator_pid  INTEGER NOT NULL,
    -- What release puts back.
    journal_mode  TEXT NOT NULL,
    -- What was found and done, as JSON.
    report        TEXT NOT NULL
);

-- What the tables were made of that stood, or stand during a migration, in the place of the views.
CREATE TABLE sync_current_tables (
    entity TEXT NOT NULL,
    -- 0 for the table, then its indexes.
    place  INTEGER NOT NULL,
    sql    TEXT NOT NULL,
    PRIMARY KEY (entity, place)
) WITHOUT ROWID;

-- The migration of the application that goes on, if there is one: tables stand in the place of the views, or are being made.
CREATE TABLE sync_app_migration (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    opened_at     DATETIME NOT NULL,
    operator_user TEXT NOT NULL,
    operator_host TEXT NOT NULL,
    operator_pid  INTEGER NOT NULL,
    command       TEXT NOT NULL,
    -- The entities in whose places tables stand, names joined by commas; empty while they are being made.
    entities      TEXT NOT NULL
);
