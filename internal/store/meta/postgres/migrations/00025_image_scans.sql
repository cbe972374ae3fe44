-- Scans of images: which wait or run, and the result of the last one that was completed,
-- which goes with its image. docs/design/0041.

-- +goose Up
CREATE TABLE image_scans (
    repository_id BIGINT NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    slot TEXT COLLATE "C" NOT NULL, -- of the job that does it, '' for none
    attempts INTEGER NOT NULL,
    asked_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL, -- not begun before
    reason TEXT COLLATE "C" NOT NULL, -- why it failed, the last time
    completed_at BIGINT NOT NULL, -- of the result; 0 for none
    severity TEXT COLLATE "C" NOT NULL,
    result TEXT COLLATE "C" NOT NULL, -- the engine's summary, '' for none
    findings BYTEA NOT NULL,
    PRIMARY KEY (repository_id, digest),
    FOREIGN KEY (repository_id, digest) REFERENCES manifests ON DELETE CASCADE
);
CREATE INDEX image_scans_waiting ON image_scans (due_at, repository_id, digest) WHERE status = 'IN_PROGRESS';
