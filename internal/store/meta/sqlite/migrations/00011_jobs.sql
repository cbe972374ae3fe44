-- Who does a job of the server, by the database's clock; and the repositories whose
-- lifecycle policy is to be run.

-- +goose Up
CREATE TABLE job_leases (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    token INTEGER NOT NULL, -- only grows
    until INTEGER NOT NULL,
    due_at INTEGER NOT NULL, -- nobody begins it before
    began_at INTEGER NOT NULL,
    progress INTEGER NOT NULL, -- removed since then
    ended_at INTEGER NOT NULL, -- the rest is of the run that ended last; 0 for none
    removed INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    error TEXT NOT NULL
) STRICT;

CREATE TABLE lifecycle_queue (
    repository_id INTEGER NOT NULL PRIMARY KEY REFERENCES repositories ON DELETE CASCADE,
    due_at INTEGER NOT NULL,
    until INTEGER NOT NULL, -- when another process may take it
    token INTEGER NOT NULL
) STRICT;
CREATE INDEX lifecycle_queue_by_time ON lifecycle_queue (due_at, repository_id);

-- Repositories that the last lifecycle run stopped at.
CREATE TABLE lifecycle_findings (
    repository_id INTEGER NOT NULL PRIMARY KEY REFERENCES repositories ON DELETE CASCADE,
    code TEXT NOT NULL,
    message TEXT NOT NULL
) STRICT;
