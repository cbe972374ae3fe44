-- Credentials of other registries, sealed; and when tags of repositories that are
-- cached were last compared with their upstream.

-- +goose Up
CREATE TABLE secrets (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    arn TEXT NOT NULL,
    sealed BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (account, region, name)
) STRICT;

CREATE TABLE upstream_checks (
    repository_id INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
    reference TEXT NOT NULL, -- a tag, or a digest whose referrers were listed
    checked_at INTEGER NOT NULL,
    PRIMARY KEY (repository_id, reference)
) STRICT;
