-- Several operators: who asked a run to end, whose line dropped, and what the next start has to tell.

-- Who asked the run to end from another process; it may not publish from then on.
ALTER TABLE sync_runs ADD COLUMN cancel_user TEXT;
ALTER TABLE sync_runs ADD COLUMN cancel_host TEXT;
ALTER TABLE sync_runs ADD COLUMN cancel_pid INTEGER;
ALTER TABLE sync_runs ADD COLUMN cancel_at DATETIME;
-- When the line of its operator dropped, or its terminal was closed, while it went on.
ALTER TABLE sync_runs ADD COLUMN operator_gone_at DATETIME;
-- Whether nobody has read yet what became of a run whose operator was gone or whose process died.
ALTER TABLE sync_runs ADD COLUMN untold BOOLEAN NOT NULL DEFAULT 0;
