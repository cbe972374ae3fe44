-- Credentials of other registries, sealed; and when tags of repositories that are
-- cached were last compared with their upstream.

-- +goose Up
CREATE TABLE secrets (
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    arn TEXT COLLATE "C" NOT NULL,
    sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account, region, name)
);

CREATE TABLE upstream_checks (
    repository_id BIGINT NOT NULL REFERENCES repositories ON DELETE CASCADE,
    reference TEXT COLLATE "C" NOT NULL, -- a tag, or a digest whose referrers were listed
    checked_at BIGINT NOT NULL,
    PRIMARY KEY (repository_id, reference)
);
