-- The first schema. Text is ordered by bytes (COLLATE "C"); times are
-- microseconds since 1970 in UTC; lists and maps are JSON text, '' for none.

-- +goose Up
CREATE TABLE repositories (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- never used again
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    mutability TEXT COLLATE "C" NOT NULL,
    mutability_filters TEXT COLLATE "C" NOT NULL,
    scan_on_push BOOLEAN NOT NULL,
    encryption_type TEXT COLLATE "C" NOT NULL,
    encryption_key TEXT COLLATE "C" NOT NULL,
    tags TEXT COLLATE "C" NOT NULL,
    policy TEXT COLLATE "C" NOT NULL,
    lifecycle TEXT COLLATE "C" NOT NULL,
    UNIQUE (account, region, name)
);

CREATE TABLE blobs (
    digest TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    key TEXT COLLATE "C" NOT NULL UNIQUE,
    size_bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- Which blobs a repository may see.
CREATE TABLE blob_links (
    repository_id BIGINT NOT NULL REFERENCES repositories ON DELETE CASCADE,
    digest TEXT COLLATE "C" NOT NULL REFERENCES blobs ON DELETE RESTRICT,
    linked_at BIGINT NOT NULL,
    PRIMARY KEY (repository_id, digest)
);
CREATE INDEX blob_links_by_digest ON blob_links (digest);

CREATE TABLE manifests (
    repository_id BIGINT NOT NULL REFERENCES repositories ON DELETE CASCADE,
    digest TEXT COLLATE "C" NOT NULL,
    media_type TEXT COLLATE "C" NOT NULL,
    artifact_media_type TEXT COLLATE "C" NOT NULL,
    size_bytes BIGINT NOT NULL,
    pushed_at BIGINT NOT NULL,
    last_pulled_at BIGINT,
    subject TEXT COLLATE "C" NOT NULL,
    annotations TEXT COLLATE "C" NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (repository_id, digest)
);
CREATE INDEX manifests_by_subject ON manifests (repository_id, subject, digest) WHERE subject <> '';

CREATE TABLE manifest_blobs (
    repository_id BIGINT NOT NULL,
    manifest TEXT COLLATE "C" NOT NULL,
    blob TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (repository_id, manifest, blob),
    FOREIGN KEY (repository_id, manifest) REFERENCES manifests ON DELETE CASCADE,
    FOREIGN KEY (repository_id, blob) REFERENCES blob_links ON DELETE RESTRICT
);
CREATE INDEX manifest_blobs_by_blob ON manifest_blobs (repository_id, blob);

CREATE TABLE manifest_children (
    repository_id BIGINT NOT NULL,
    parent TEXT COLLATE "C" NOT NULL,
    child TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (repository_id, parent, child),
    FOREIGN KEY (repository_id, parent) REFERENCES manifests ON DELETE CASCADE,
    FOREIGN KEY (repository_id, child) REFERENCES manifests ON DELETE RESTRICT
);
CREATE INDEX manifest_children_by_child ON manifest_children (repository_id, child, parent);

CREATE TABLE tags (
    repository_id BIGINT NOT NULL,
    tag TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    tagged_at BIGINT NOT NULL,
    PRIMARY KEY (repository_id, tag),
    FOREIGN KEY (repository_id, digest) REFERENCES manifests ON DELETE CASCADE
);
CREATE INDEX tags_by_digest ON tags (repository_id, digest, tag);

CREATE TABLE uploads (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    repository_id BIGINT NOT NULL REFERENCES repositories ON DELETE CASCADE,
    key TEXT COLLATE "C" NOT NULL UNIQUE,
    received BIGINT NOT NULL,
    parts BIGINT NOT NULL,
    smallest_part BIGINT NOT NULL,
    last_part BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    state BYTEA NOT NULL
);
CREATE INDEX uploads_by_repository ON uploads (repository_id);
CREATE INDEX uploads_by_age ON uploads (updated_at, id);

CREATE TABLE users (
    unique_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    policies TEXT COLLATE "C" NOT NULL,
    UNIQUE (account, name)
);

CREATE TABLE access_keys (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    sealed BYTEA NOT NULL,
    active BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX access_keys_by_user ON access_keys (user_id, created_at, id);

CREATE TABLE token_keys (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

-- The journal outlives what it tells of: it refers to nothing.
CREATE TABLE journal (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at BIGINT NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    repository_id BIGINT NOT NULL,
    op TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    tags TEXT COLLATE "C" NOT NULL,
    media_type TEXT COLLATE "C" NOT NULL,
    size_bytes BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    body BYTEA NOT NULL
);
CREATE INDEX journal_by_name ON journal (account, region, name, seq);

-- Holds nothing. Each update locks it: shared, or alone after it lost against
-- others too often.
CREATE TABLE update_gate ();
