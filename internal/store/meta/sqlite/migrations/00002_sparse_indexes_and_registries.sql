-- Settings of registries, and indexes whose children need not be there.

-- +goose Up
CREATE TABLE registries (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    policy TEXT NOT NULL,
    settings TEXT NOT NULL,
    PRIMARY KEY (account, region)
) STRICT, WITHOUT ROWID;

-- SQLite drops no constraint, so the table is made anew without that of child.
CREATE TABLE manifest_children_2 (
    repository_id INTEGER NOT NULL,
    parent TEXT NOT NULL,
    child TEXT NOT NULL, -- need not be there; if it is, it may not be deleted
    PRIMARY KEY (repository_id, parent, child),
    FOREIGN KEY (repository_id, parent) REFERENCES manifests ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
INSERT INTO manifest_children_2 SELECT repository_id, parent, child FROM manifest_children;
DROP TABLE manifest_children;
ALTER TABLE manifest_children_2 RENAME TO manifest_children;
CREATE INDEX manifest_children_by_child ON manifest_children (repository_id, child, parent);
