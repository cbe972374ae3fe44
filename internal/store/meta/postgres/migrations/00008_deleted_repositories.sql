-- Repositories whose deletion has begun, and what they were called. Their rows in
-- repositories are in no registry (account '') until their contents are gone.

-- +goose Up
CREATE TABLE deleted_repositories (
    repository_id BIGINT NOT NULL PRIMARY KEY REFERENCES repositories ON DELETE CASCADE,
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    deleted_at BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    request_id TEXT COLLATE "C" NOT NULL
);
CREATE INDEX deleted_repositories_by_name ON deleted_repositories (account, region, name);
