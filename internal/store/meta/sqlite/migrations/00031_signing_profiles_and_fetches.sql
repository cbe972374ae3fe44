-- Keys that the registry signs images with, the signatures that it makes, and what
-- pull-through caches fetch at this moment. docs/design/0046, 0030.

-- +goose Up
CREATE TABLE signing_profiles (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    certificates TEXT NOT NULL, -- PEM, that of the key first
    sealed BLOB NOT NULL, -- the key
    PRIMARY KEY (account, region, name)
) STRICT;

CREATE TABLE image_signings (
    repository_id INTEGER NOT NULL,
    digest TEXT NOT NULL,
    profile TEXT NOT NULL, -- ARN
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL, -- that failed
    asked_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL, -- not made before
    code TEXT NOT NULL, -- why it failed, the last time
    reason TEXT NOT NULL,
    signature TEXT NOT NULL, -- digest of the manifest that holds it, '' for none
    PRIMARY KEY (repository_id, digest, profile),
    FOREIGN KEY (repository_id, digest) REFERENCES manifests ON DELETE CASCADE
) STRICT;
CREATE INDEX image_signings_waiting ON image_signings (due_at, repository_id, digest, profile) WHERE status = 'IN_PROGRESS';

CREATE TABLE upstream_fetches (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    repository TEXT NOT NULL, -- its name: it may not be there yet
    reference TEXT NOT NULL, -- a tag, or a digest of a manifest or blob
    holder TEXT NOT NULL, -- drawn for each claim
    until INTEGER NOT NULL,
    media_type TEXT NOT NULL, -- of content
    content BLOB NOT NULL, -- a manifest that came, for the other processes; empty for none
    PRIMARY KEY (account, region, repository, reference)
) STRICT;
