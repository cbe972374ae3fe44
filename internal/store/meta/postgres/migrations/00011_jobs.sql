-- Who does a job of the server, by the database's clock; and the repositories whose
-- lifecycle policy is to be run.

-- +goose Up
CREATE TABLE job_leases (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder TEXT COLLATE "C" NOT NULL,
    token BIGINT NOT NULL, -- only grows
    until BIGINT NOT NULL,
    due_at BIGINT NOT NULL, -- nobody begins it before
    began_at BIGINT NOT NULL,
    progress BIGINT NOT NULL, -- removed since then
    ended_at BIGINT NOT NULL, -- the rest is of the run that ended last; 0 for none
    removed BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    error TEXT COLLATE "C" NOT NULL
);

CREATE TABLE lifecycle_queue (
    repository_id BIGINT NOT NULL PRIMARY KEY REFERENCES repositories ON DELETE CASCADE,
    due_at BIGINT NOT NULL,
    until BIGINT NOT NULL, -- when another process may take it
    token BIGINT NOT NULL
);
CREATE INDEX lifecycle_queue_by_time ON lifecycle_queue (due_at, repository_id);

-- Repositories that the last lifecycle run stopped at.
CREATE TABLE lifecycle_findings (
    repository_id BIGINT NOT NULL PRIMARY KEY REFERENCES repositories ON DELETE CASCADE,
    code TEXT COLLATE "C" NOT NULL,
    message TEXT COLLATE "C" NOT NULL
);
