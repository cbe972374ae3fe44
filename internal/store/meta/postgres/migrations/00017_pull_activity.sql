-- How often each user and role pulled each image on each day, and how often each
-- repository was pulled on each day, which outlives its images.

-- +goose Up
CREATE TABLE pullers (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    unique_id TEXT COLLATE "C" NOT NULL, -- of the user or role, which may be gone
    arn TEXT COLLATE "C" NOT NULL,
    UNIQUE (unique_id, arn)
);
CREATE INDEX pullers_by_arn ON pullers (arn);

CREATE TABLE pulls (
    day BIGINT NOT NULL, -- since 1970-01-01, in UTC
    repository_id BIGINT NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    puller_id BIGINT NOT NULL REFERENCES pullers ON DELETE RESTRICT,
    pulls BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (day, repository_id, digest, puller_id),
    FOREIGN KEY (repository_id, digest) REFERENCES manifests ON DELETE CASCADE
);
CREATE INDEX pulls_by_image ON pulls (repository_id, digest, day, puller_id);
CREATE INDEX pulls_by_repository ON pulls (repository_id, day, digest, puller_id);
CREATE INDEX pulls_by_puller ON pulls (puller_id, day, repository_id, digest);

CREATE TABLE pull_days (
    day BIGINT NOT NULL,
    repository_id BIGINT NOT NULL REFERENCES repositories ON DELETE CASCADE,
    pulls BIGINT NOT NULL,
    PRIMARY KEY (day, repository_id)
);
CREATE INDEX pull_days_by_repository ON pull_days (repository_id, day);
