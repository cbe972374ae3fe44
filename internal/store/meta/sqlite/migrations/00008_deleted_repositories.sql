-- Repositories whose deletion has begun, and what they were called. Their rows in
-- repositories are in no registry (account '') until their contents are gone.

-- +goose Up
CREATE TABLE deleted_repositories (
    repository_id INTEGER NOT NULL PRIMARY KEY REFERENCES repositories ON DELETE CASCADE,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    deleted_at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    request_id TEXT NOT NULL
) STRICT;
CREATE INDEX deleted_repositories_by_name ON deleted_repositories (account, region, name);
