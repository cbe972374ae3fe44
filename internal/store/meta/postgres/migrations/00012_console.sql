-- Logins to the console, and one-time links that become one. They refer to no user:
-- a session of a role is one, too. And the tags of a repository in the order in
-- which they were set.

-- +goose Up
CREATE TABLE console_sessions (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- hash of the secret
    link BOOLEAN NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    unique_id TEXT COLLATE "C" NOT NULL,
    principal TEXT COLLATE "C" NOT NULL,
    key_id TEXT COLLATE "C" NOT NULL,
    token BYTEA NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    user_agent TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX console_sessions_by_account ON console_sessions (account, id);
CREATE INDEX console_sessions_by_end ON console_sessions (expires_at);

CREATE INDEX tags_by_time ON tags (repository_id, tagged_at, tag);
