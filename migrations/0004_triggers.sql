-- Triggers over HTTP and by the schedule, the runs promised for them, and counts of runs that outlive the runs.

-- At whose word the run was started when that was no person at this host, such as the address of an HTTP client.
ALTER TABLE sync_runs ADD COLUMN requested_by TEXT;

-- What was promised for one or more triggers: one run, which begins now, once its turn comes, or never.
CREATE TABLE sync_tasks (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The name under which it was asked for.
    kind         TEXT NOT NULL,
    trigger_kind TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    created_at   DATETIME NOT NULL,
    -- NULL until the run begins.
    run_id       INTEGER,
    started_at   DATETIME,
    -- How the run ended, kept when the run is not any more; of a run that could not begin there is only this.
    outcome      TEXT,
    finished_at  DATETIME,
    error        TEXT
);
CREATE INDEX sync_tasks_run ON sync_tasks (run_id);

-- Every trigger with what was answered.
CREATE TABLE sync_triggers (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    at              DATETIME NOT NULL,
    kind            TEXT NOT NULL,
    trigger_kind    TEXT NOT NULL,
    requested_by    TEXT NOT NULL,
    answer          TEXT NOT NULL,
    message         TEXT NOT NULL,
    -- What was promised, unless it was refused.
    task_id         INTEGER,
    -- The run that it was told of: the one it waits behind.
    run_id          INTEGER,
    -- The client's own name for what it asks for; the same name within a day means the same run.
    idempotency_key TEXT,
    -- Whether it was the repetition of an earlier one by that name.
    repeated        BOOLEAN NOT NULL
);
CREATE INDEX sync_triggers_key ON sync_triggers (idempotency_key, at) WHERE idempotency_key IS NOT NULL;

-- How a run ended is known of its task at the same moment, whoever recorded it.
CREATE TRIGGER sync_runs_of_tasks AFTER UPDATE OF outcome, finished_at, error ON sync_runs BEGIN
    UPDATE sync_tasks SET outcome = NEW.outcome, finished_at = NEW.finished_at, error = NEW.error WHERE run_id = NEW.id;
END;

-- Runs by what started them and how they ended, since the first.
CREATE TABLE sync_run_totals (
    trigger_kind TEXT NOT NULL,
    outcome      TEXT NOT NULL,
    runs         INTEGER NOT NULL,
    -- All of them together.
    duration_ms  INTEGER NOT NULL,
    PRIMARY KEY (trigger_kind, outcome)
) WITHOUT ROWID;
INSERT INTO sync_run_totals
    SELECT trigger_kind, outcome, count(*), sum(coalesce(finished_at, started_at) - started_at)
    FROM sync_runs WHERE outcome IS NOT NULL GROUP BY trigger_kind, outcome;
CREATE TRIGGER sync_runs_counted AFTER UPDATE OF outcome ON sync_runs
WHEN OLD.outcome IS NULL AND NEW.outcome IS NOT NULL BEGIN
    INSERT INTO sync_run_totals VALUES (NEW.trigger_kind, NEW.outcome, 1, coalesce(NEW.finished_at, NEW.started_at) - NEW.started_at)
    ON CONFLICT (trigger_kind, outcome) DO UPDATE
    SET runs = runs + 1, duration_ms = duration_ms + excluded.duration_ms;
END;
