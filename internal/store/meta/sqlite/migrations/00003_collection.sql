-- Collection: idle links, the recycle bin, leases, previews, storage classes.

-- +goose Up
ALTER TABLE repositories ADD COLUMN lifecycle_evaluated_at INTEGER;

-- idle_since is NULL while an image of the repository refers to the blob;
-- hidden only when the last one that did is gone.
ALTER TABLE blob_links ADD COLUMN idle_since INTEGER;
ALTER TABLE blob_links ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0;
UPDATE blob_links SET idle_since = linked_at WHERE NOT EXISTS (
    SELECT 1 FROM manifest_blobs m WHERE m.repository_id = blob_links.repository_id AND m.blob = blob_links.digest
);
CREATE INDEX blob_links_idle ON blob_links (idle_since) WHERE idle_since IS NOT NULL;

-- Blobs that lost a link or a place in the bin, and may have neither now.
CREATE TABLE loose_blobs (
    digest TEXT NOT NULL PRIMARY KEY REFERENCES blobs ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
INSERT INTO loose_blobs SELECT digest FROM blobs b WHERE NOT EXISTS (SELECT 1 FROM blob_links l WHERE l.digest = b.digest);

-- Only of images whose storage class was ever changed.
CREATE TABLE image_states (
    repository_id INTEGER NOT NULL,
    digest TEXT NOT NULL,
    status TEXT NOT NULL,
    archived_at INTEGER,
    activated_at INTEGER,
    PRIMARY KEY (repository_id, digest),
    FOREIGN KEY (repository_id, digest) REFERENCES manifests ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

ALTER TABLE journal ADD COLUMN rule INTEGER NOT NULL DEFAULT 0;
ALTER TABLE journal ADD COLUMN request_id TEXT NOT NULL DEFAULT '';
CREATE INDEX journal_by_registry ON journal (account, region, seq);
CREATE INDEX journal_by_age ON journal (at, seq);

-- The bin outlives repositories, and keeps blobs alive.
CREATE TABLE bin (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    repository_id INTEGER NOT NULL,
    digest TEXT NOT NULL,
    media_type TEXT NOT NULL,
    artifact_media_type TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    pushed_at INTEGER NOT NULL,
    last_pulled_at INTEGER,
    subject TEXT NOT NULL,
    annotations TEXT NOT NULL,
    status TEXT NOT NULL,
    archived_at INTEGER,
    activated_at INTEGER,
    tags TEXT NOT NULL,
    children TEXT NOT NULL,
    deleted_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    rule INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX bin_by_name ON bin (account, region, name, id);
CREATE INDEX bin_by_digest ON bin (account, region, name, digest, id);
CREATE INDEX bin_by_subject ON bin (account, region, name, subject, id) WHERE subject <> '';
CREATE INDEX bin_by_expiry ON bin (expires_at, id);

CREATE TABLE bin_blobs (
    bin_id INTEGER NOT NULL REFERENCES bin ON DELETE CASCADE,
    digest TEXT NOT NULL REFERENCES blobs ON DELETE RESTRICT,
    PRIMARY KEY (bin_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX bin_blobs_by_digest ON bin_blobs (digest);

CREATE TABLE lease_collectors (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    reported_at INTEGER NOT NULL,
    ttl INTEGER NOT NULL, -- microseconds
    PRIMARY KEY (account, region, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    repository TEXT NOT NULL,
    digest TEXT NOT NULL,
    tag TEXT NOT NULL,
    collector TEXT NOT NULL,
    holder TEXT NOT NULL,
    PRIMARY KEY (account, region, repository, digest, tag, collector, holder),
    FOREIGN KEY (account, region, collector) REFERENCES lease_collectors ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_by_collector ON leases (account, region, collector);

CREATE TABLE lifecycle_previews (
    repository_id INTEGER NOT NULL PRIMARY KEY REFERENCES repositories ON DELETE CASCADE,
    policy TEXT NOT NULL,
    status TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    results BLOB NOT NULL
) STRICT;

CREATE TABLE job_states (
    name TEXT NOT NULL PRIMARY KEY,
    state BLOB NOT NULL
) STRICT, WITHOUT ROWID;
