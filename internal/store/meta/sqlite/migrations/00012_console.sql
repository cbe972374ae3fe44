-- Logins to the console, and one-time links that become one. They refer to no user:
-- a session of a role is one, too. And the tags of a repository in the order in
-- which they were set.

-- +goose Up
CREATE TABLE console_sessions (
    id TEXT NOT NULL PRIMARY KEY, -- hash of the secret
    link INTEGER NOT NULL,
    account TEXT NOT NULL,
    unique_id TEXT NOT NULL,
    principal TEXT NOT NULL,
    key_id TEXT NOT NULL,
    token BLOB NOT NULL,
    source TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX console_sessions_by_account ON console_sessions (account, id);
CREATE INDEX console_sessions_by_end ON console_sessions (expires_at);

CREATE INDEX tags_by_time ON tags (repository_id, tagged_at, tag);
