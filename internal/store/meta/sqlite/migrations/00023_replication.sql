-- What is replicated to other registries: a queue, and what came of it; and the backfills
-- that replicate what was there before. The source's rows outlive its images, so that the
-- results of a backfill stay.

-- +goose Up
CREATE TABLE replications (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, -- copy or delete
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    repository_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    tag TEXT NOT NULL, -- '' for none
    destination TEXT NOT NULL, -- account/region
    backfill TEXT NOT NULL, -- '' for none
    status TEXT NOT NULL, -- IN_PROGRESS, COMPLETE or FAILED
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    until INTEGER NOT NULL, -- when another process may take it
    token INTEGER NOT NULL, -- only grows
    updated_at INTEGER NOT NULL,
    UNIQUE (repository_id, digest, tag, destination, backfill, kind)
) STRICT;
CREATE INDEX replications_due ON replications (backfill, due_at, id) WHERE status = 'IN_PROGRESS';
CREATE INDEX replications_failed ON replications (account, region, id) WHERE status = 'FAILED';
CREATE INDEX replications_by_backfill ON replications (backfill, id) WHERE backfill <> '';

CREATE TABLE replication_backfills (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    destination TEXT NOT NULL,
    status TEXT NOT NULL,
    code TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL, -- 0 before
    after_name TEXT NOT NULL, -- how far the images were listed
    after_digest TEXT NOT NULL,
    after_tag TEXT NOT NULL
) STRICT;
CREATE INDEX replication_backfills_by_registry ON replication_backfills (account, region, started_at);
