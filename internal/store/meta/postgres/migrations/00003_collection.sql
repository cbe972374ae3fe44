-- Collection: idle links, the recycle bin, leases, previews, storage classes.

-- +goose Up
ALTER TABLE repositories ADD COLUMN lifecycle_evaluated_at BIGINT;

-- idle_since is NULL while an image of the repository refers to the blob;
-- hidden only when the last one that did is gone.
ALTER TABLE blob_links ADD COLUMN idle_since BIGINT;
ALTER TABLE blob_links ADD COLUMN hidden BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE blob_links SET idle_since = linked_at WHERE NOT EXISTS (
    SELECT 1 FROM manifest_blobs m WHERE m.repository_id = blob_links.repository_id AND m.blob = blob_links.digest
);
CREATE INDEX blob_links_idle ON blob_links (idle_since) WHERE idle_since IS NOT NULL;

-- Blobs that lost a link or a place in the bin, and may have neither now.
CREATE TABLE loose_blobs (
    digest TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES blobs ON DELETE CASCADE
);
INSERT INTO loose_blobs SELECT digest FROM blobs b WHERE NOT EXISTS (SELECT 1 FROM blob_links l WHERE l.digest = b.digest);

-- Only of images whose storage class was ever changed.
CREATE TABLE image_states (
    repository_id BIGINT NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    archived_at BIGINT,
    activated_at BIGINT,
    PRIMARY KEY (repository_id, digest),
    FOREIGN KEY (repository_id, digest) REFERENCES manifests ON DELETE CASCADE
);

ALTER TABLE journal ADD COLUMN rule BIGINT NOT NULL DEFAULT 0;
ALTER TABLE journal ADD COLUMN request_id TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX journal_by_registry ON journal (account, region, seq);
CREATE INDEX journal_by_age ON journal (at, seq);

-- The bin outlives repositories, and keeps blobs alive.
CREATE TABLE bin (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    repository_id BIGINT NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    media_type TEXT COLLATE "C" NOT NULL,
    artifact_media_type TEXT COLLATE "C" NOT NULL,
    size_bytes BIGINT NOT NULL,
    pushed_at BIGINT NOT NULL,
    last_pulled_at BIGINT,
    subject TEXT COLLATE "C" NOT NULL,
    annotations TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    archived_at BIGINT,
    activated_at BIGINT,
    tags TEXT COLLATE "C" NOT NULL,
    children TEXT COLLATE "C" NOT NULL,
    deleted_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    rule BIGINT NOT NULL,
    body BYTEA NOT NULL
);
CREATE INDEX bin_by_name ON bin (account, region, name, id);
CREATE INDEX bin_by_digest ON bin (account, region, name, digest, id);
CREATE INDEX bin_by_subject ON bin (account, region, name, subject, id) WHERE subject <> '';
CREATE INDEX bin_by_expiry ON bin (expires_at, id);

CREATE TABLE bin_blobs (
    bin_id BIGINT NOT NULL REFERENCES bin ON DELETE CASCADE,
    digest TEXT COLLATE "C" NOT NULL REFERENCES blobs ON DELETE RESTRICT,
    PRIMARY KEY (bin_id, digest)
);
CREATE INDEX bin_blobs_by_digest ON bin_blobs (digest);

CREATE TABLE lease_collectors (
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    reported_at BIGINT NOT NULL,
    ttl BIGINT NOT NULL, -- microseconds
    PRIMARY KEY (account, region, name)
);

CREATE TABLE leases (
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    repository TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    tag TEXT COLLATE "C" NOT NULL,
    collector TEXT COLLATE "C" NOT NULL,
    holder TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (account, region, repository, digest, tag, collector, holder),
    FOREIGN KEY (account, region, collector) REFERENCES lease_collectors ON DELETE CASCADE
);
CREATE INDEX leases_by_collector ON leases (account, region, collector);

CREATE TABLE lifecycle_previews (
    repository_id BIGINT NOT NULL PRIMARY KEY REFERENCES repositories ON DELETE CASCADE,
    policy TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    started_at BIGINT NOT NULL,
    results BYTEA NOT NULL
);

CREATE TABLE job_states (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    state BYTEA NOT NULL
);
