-- What is replicated to other registries: a queue, and what came of it; and the backfills
-- that replicate what was there before. The source's rows outlive its images, so that the
-- results of a backfill stay.

-- +goose Up
CREATE TABLE replications (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL, -- copy or delete
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    repository_id BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    tag TEXT COLLATE "C" NOT NULL, -- '' for none
    destination TEXT COLLATE "C" NOT NULL, -- account/region
    backfill TEXT COLLATE "C" NOT NULL, -- '' for none
    status TEXT COLLATE "C" NOT NULL, -- IN_PROGRESS, COMPLETE or FAILED
    code TEXT COLLATE "C" NOT NULL,
    message TEXT COLLATE "C" NOT NULL,
    attempts BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    until BIGINT NOT NULL, -- when another process may take it
    token BIGINT NOT NULL, -- only grows
    updated_at BIGINT NOT NULL,
    UNIQUE (repository_id, digest, tag, destination, backfill, kind)
);
CREATE INDEX replications_due ON replications (backfill, due_at, id) WHERE status = 'IN_PROGRESS';
CREATE INDEX replications_failed ON replications (account, region, id) WHERE status = 'FAILED';
CREATE INDEX replications_by_backfill ON replications (backfill, id) WHERE backfill <> '';

CREATE TABLE replication_backfills (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    destination TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    code TEXT COLLATE "C" NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL, -- 0 before
    after_name TEXT COLLATE "C" NOT NULL, -- how far the images were listed
    after_digest TEXT COLLATE "C" NOT NULL,
    after_tag TEXT COLLATE "C" NOT NULL
);
CREATE INDEX replication_backfills_by_registry ON replication_backfills (account, region, started_at);
