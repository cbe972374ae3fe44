-- Whose signatures of images a registry trusts.

-- +goose Up
CREATE TABLE signers (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    settings TEXT NOT NULL, -- JSON
    PRIMARY KEY (account, region, name)
) STRICT;
