-- Users with paths, tags, boundaries and policies of their own; roles,
-- customer-managed policies and OpenID Connect issuers. Names are unique
-- without regard to letter case, as IAM's are.

-- +goose Up
ALTER TABLE users ADD COLUMN path TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN inline TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN boundary TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN tags TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX users_by_folded_name ON users (account, lower(name));

ALTER TABLE access_keys ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE access_keys ADD COLUMN used_service TEXT NOT NULL DEFAULT '';
ALTER TABLE access_keys ADD COLUMN used_region TEXT NOT NULL DEFAULT '';

CREATE TABLE roles (
    unique_id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    path TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    policies TEXT NOT NULL,
    inline TEXT NOT NULL,
    boundary TEXT NOT NULL,
    tags TEXT NOT NULL,
    description TEXT NOT NULL,
    trust TEXT NOT NULL,
    max_session INTEGER NOT NULL, -- seconds
    UNIQUE (account, name)
) STRICT;
CREATE UNIQUE INDEX roles_by_folded_name ON roles (account, lower(name));

CREATE TABLE managed_policies (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    path TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    versions TEXT NOT NULL, -- JSON, by number
    default_version INTEGER NOT NULL,
    last_version INTEGER NOT NULL,
    tags TEXT NOT NULL,
    UNIQUE (account, name)
) STRICT;
CREATE UNIQUE INDEX managed_policies_by_folded_name ON managed_policies (account, lower(name));

CREATE TABLE issuers (
    account TEXT NOT NULL,
    url TEXT NOT NULL,
    audiences TEXT NOT NULL,
    thumbprints TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (account, url)
) STRICT;
