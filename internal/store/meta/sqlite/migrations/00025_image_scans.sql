-- Scans of images: which wait or run, and the result of the last one that was completed,
-- which goes with its image. docs/design/0041.

-- +goose Up
CREATE TABLE image_scans (
    repository_id INTEGER NOT NULL,
    digest TEXT NOT NULL,
    status TEXT NOT NULL,
    slot TEXT NOT NULL, -- of the job that does it, '' for none
    attempts INTEGER NOT NULL,
    asked_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL, -- not begun before
    reason TEXT NOT NULL, -- why it failed, the last time
    completed_at INTEGER NOT NULL, -- of the result; 0 for none
    severity TEXT NOT NULL,
    result TEXT NOT NULL, -- the engine's summary, '' for none
    findings BLOB NOT NULL,
    PRIMARY KEY (repository_id, digest),
    FOREIGN KEY (repository_id, digest) REFERENCES manifests ON DELETE CASCADE
) STRICT;
CREATE INDEX image_scans_waiting ON image_scans (due_at, repository_id, digest) WHERE status = 'IN_PROGRESS';
