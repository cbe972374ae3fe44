-- Templates of repositories that the registry creates, and users' tokens for machines.

-- +goose Up
CREATE TABLE creation_templates (
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    prefix TEXT COLLATE "C" NOT NULL, -- without a slash at its end, or ROOT
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    settings TEXT COLLATE "C" NOT NULL, -- JSON
    PRIMARY KEY (account, region, prefix)
);

CREATE TABLE machine_tokens (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    name TEXT COLLATE "C" NOT NULL,
    hash BYTEA NOT NULL, -- of its secret; the secret is not kept
    policy TEXT COLLATE "C" NOT NULL, -- limits what it may do; empty for no limit
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL, -- 0 for never
    used_at BIGINT NOT NULL, -- 0 for never
    used_from TEXT COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX machine_tokens_by_folded_name ON machine_tokens (user_id, lower(name));
