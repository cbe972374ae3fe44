-- Users with paths, tags, boundaries and policies of their own; roles,
-- customer-managed policies and OpenID Connect issuers. Names are unique
-- without regard to letter case, as IAM's are.

-- +goose Up
ALTER TABLE users ADD COLUMN path TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN inline TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN boundary TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN tags TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE UNIQUE INDEX users_by_folded_name ON users (account, lower(name));

ALTER TABLE access_keys ADD COLUMN used_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE access_keys ADD COLUMN used_service TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE access_keys ADD COLUMN used_region TEXT COLLATE "C" NOT NULL DEFAULT '';

CREATE TABLE roles (
    unique_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    policies TEXT COLLATE "C" NOT NULL,
    inline TEXT COLLATE "C" NOT NULL,
    boundary TEXT COLLATE "C" NOT NULL,
    tags TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    trust TEXT COLLATE "C" NOT NULL,
    max_session BIGINT NOT NULL, -- seconds
    UNIQUE (account, name)
);
CREATE UNIQUE INDEX roles_by_folded_name ON roles (account, lower(name));

CREATE TABLE managed_policies (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    versions TEXT COLLATE "C" NOT NULL, -- JSON, by number
    default_version BIGINT NOT NULL,
    last_version BIGINT NOT NULL,
    tags TEXT COLLATE "C" NOT NULL,
    UNIQUE (account, name)
);
CREATE UNIQUE INDEX managed_policies_by_folded_name ON managed_policies (account, lower(name));

CREATE TABLE issuers (
    account TEXT COLLATE "C" NOT NULL,
    url TEXT COLLATE "C" NOT NULL,
    audiences TEXT COLLATE "C" NOT NULL,
    thumbprints TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account, url)
);
