-- How often each user and role pulled each image on each day, and how often each
-- repository was pulled on each day, which outlives its images.

-- +goose Up
CREATE TABLE pullers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    unique_id TEXT NOT NULL, -- of the user or role, which may be gone
    arn TEXT NOT NULL,
    UNIQUE (unique_id, arn)
) STRICT;
CREATE INDEX pullers_by_arn ON pullers (arn);

CREATE TABLE pulls (
    day INTEGER NOT NULL, -- since 1970-01-01, in UTC
    repository_id INTEGER NOT NULL,
    digest TEXT NOT NULL,
    puller_id INTEGER NOT NULL REFERENCES pullers ON DELETE RESTRICT,
    pulls INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (day, repository_id, digest, puller_id),
    FOREIGN KEY (repository_id, digest) REFERENCES manifests ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX pulls_by_image ON pulls (repository_id, digest, day, puller_id);
CREATE INDEX pulls_by_repository ON pulls (repository_id, day, digest, puller_id);
CREATE INDEX pulls_by_puller ON pulls (puller_id, day, repository_id, digest);

CREATE TABLE pull_days (
    day INTEGER NOT NULL,
    repository_id INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
    pulls INTEGER NOT NULL,
    PRIMARY KEY (day, repository_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX pull_days_by_repository ON pull_days (repository_id, day);
