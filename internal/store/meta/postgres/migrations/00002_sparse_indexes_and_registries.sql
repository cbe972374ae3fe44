-- Settings of registries, and indexes whose children need not be there.

-- +goose Up
CREATE TABLE registries (
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    policy TEXT COLLATE "C" NOT NULL,
    settings TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (account, region)
);

-- A child need not be there; if it is, it may not be deleted.
ALTER TABLE manifest_children DROP CONSTRAINT manifest_children_repository_id_child_fkey;
