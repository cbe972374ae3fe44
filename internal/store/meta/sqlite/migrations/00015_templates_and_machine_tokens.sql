-- Templates of repositories that the registry creates, and users' tokens for machines.

-- +goose Up
CREATE TABLE creation_templates (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    prefix TEXT NOT NULL, -- without a slash at its end, or ROOT
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    settings TEXT NOT NULL, -- JSON
    PRIMARY KEY (account, region, prefix)
) STRICT;

CREATE TABLE machine_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    name TEXT NOT NULL,
    hash BLOB NOT NULL, -- of its secret; the secret is not kept
    policy TEXT NOT NULL, -- limits what it may do; empty for no limit
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, -- 0 for never
    used_at INTEGER NOT NULL, -- 0 for never
    used_from TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX machine_tokens_by_folded_name ON machine_tokens (user_id, lower(name));
