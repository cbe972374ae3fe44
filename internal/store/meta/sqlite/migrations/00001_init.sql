-- The first schema. Text is ordered by bytes (BINARY is SQLite's default);
-- times are microseconds since 1970 in UTC; lists and maps are JSON text, ''
-- for none.

-- +goose Up
CREATE TABLE repositories (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    mutability TEXT NOT NULL,
    mutability_filters TEXT NOT NULL,
    scan_on_push INTEGER NOT NULL,
    encryption_type TEXT NOT NULL,
    encryption_key TEXT NOT NULL,
    tags TEXT NOT NULL,
    policy TEXT NOT NULL,
    lifecycle TEXT NOT NULL,
    UNIQUE (account, region, name)
) STRICT;

CREATE TABLE blobs (
    digest TEXT NOT NULL PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    size_bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Which blobs a repository may see.
CREATE TABLE blob_links (
    repository_id INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
    digest TEXT NOT NULL REFERENCES blobs ON DELETE RESTRICT,
    linked_at INTEGER NOT NULL,
    PRIMARY KEY (repository_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_links_by_digest ON blob_links (digest);

-- The body comes last, so that reading the other columns does not touch the
-- pages it overflows to.
CREATE TABLE manifests (
    repository_id INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
    digest TEXT NOT NULL,
    media_type TEXT NOT NULL,
    artifact_media_type TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    pushed_at INTEGER NOT NULL,
    last_pulled_at INTEGER,
    subject TEXT NOT NULL,
    annotations TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (repository_id, digest)
) STRICT;
CREATE INDEX manifests_by_subject ON manifests (repository_id, subject, digest) WHERE subject <> '';

CREATE TABLE manifest_blobs (
    repository_id INTEGER NOT NULL,
    manifest TEXT NOT NULL,
    blob TEXT NOT NULL,
    PRIMARY KEY (repository_id, manifest, blob),
    FOREIGN KEY (repository_id, manifest) REFERENCES manifests ON DELETE CASCADE,
    FOREIGN KEY (repository_id, blob) REFERENCES blob_links ON DELETE RESTRICT
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_blobs_by_blob ON manifest_blobs (repository_id, blob);

CREATE TABLE manifest_children (
    repository_id INTEGER NOT NULL,
    parent TEXT NOT NULL,
    child TEXT NOT NULL,
    PRIMARY KEY (repository_id, parent, child),
    FOREIGN KEY (repository_id, parent) REFERENCES manifests ON DELETE CASCADE,
    FOREIGN KEY (repository_id, child) REFERENCES manifests ON DELETE RESTRICT
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_children_by_child ON manifest_children (repository_id, child, parent);

CREATE TABLE tags (
    repository_id INTEGER NOT NULL,
    tag TEXT NOT NULL,
    digest TEXT NOT NULL,
    tagged_at INTEGER NOT NULL,
    PRIMARY KEY (repository_id, tag),
    FOREIGN KEY (repository_id, digest) REFERENCES manifests ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_digest ON tags (repository_id, digest, tag);

CREATE TABLE uploads (
    id TEXT NOT NULL PRIMARY KEY,
    repository_id INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
    key TEXT NOT NULL UNIQUE,
    received INTEGER NOT NULL,
    parts INTEGER NOT NULL,
    smallest_part INTEGER NOT NULL,
    last_part INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    state BLOB NOT NULL
) STRICT;
CREATE INDEX uploads_by_repository ON uploads (repository_id);
CREATE INDEX uploads_by_age ON uploads (updated_at, id);

CREATE TABLE users (
    unique_id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    policies TEXT NOT NULL,
    UNIQUE (account, name)
) STRICT;

CREATE TABLE access_keys (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    sealed BLOB NOT NULL,
    active INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX access_keys_by_user ON access_keys (user_id, created_at, id);

CREATE TABLE token_keys (
    id TEXT NOT NULL PRIMARY KEY,
    sealed BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- The journal outlives what it tells of: it refers to nothing.
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    repository_id INTEGER NOT NULL,
    op TEXT NOT NULL,
    digest TEXT NOT NULL,
    tags TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX journal_by_name ON journal (account, region, name, seq);
