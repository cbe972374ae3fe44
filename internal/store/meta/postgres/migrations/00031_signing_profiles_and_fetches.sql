-- Keys that the registry signs images with, the signatures that it makes, and what
-- pull-through caches fetch at this moment. docs/design/0046, 0030.

-- +goose Up
CREATE TABLE signing_profiles (
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    certificates TEXT COLLATE "C" NOT NULL, -- PEM, that of the key first
    sealed BYTEA NOT NULL, -- the key
    PRIMARY KEY (account, region, name)
);

CREATE TABLE image_signings (
    repository_id BIGINT NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    profile TEXT COLLATE "C" NOT NULL, -- ARN
    status TEXT COLLATE "C" NOT NULL,
    attempts INTEGER NOT NULL, -- that failed
    asked_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL, -- not made before
    code TEXT COLLATE "C" NOT NULL, -- why it failed, the last time
    reason TEXT COLLATE "C" NOT NULL,
    signature TEXT COLLATE "C" NOT NULL, -- digest of the manifest that holds it, '' for none
    PRIMARY KEY (repository_id, digest, profile),
    FOREIGN KEY (repository_id, digest) REFERENCES manifests ON DELETE CASCADE
);
CREATE INDEX image_signings_waiting ON image_signings (due_at, repository_id, digest, profile) WHERE status = 'IN_PROGRESS';

CREATE TABLE upstream_fetches (
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    repository TEXT COLLATE "C" NOT NULL, -- its name: it may not be there yet
    reference TEXT COLLATE "C" NOT NULL, -- a tag, or a digest of a manifest or blob
    holder TEXT COLLATE "C" NOT NULL, -- drawn for each claim
    until BIGINT NOT NULL,
    media_type TEXT COLLATE "C" NOT NULL, -- of content
    content BYTEA NOT NULL, -- a manifest that came, for the other processes; empty for none
    PRIMARY KEY (account, region, repository, reference)
);
