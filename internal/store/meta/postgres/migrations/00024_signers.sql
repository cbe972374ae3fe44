-- Whose signatures of images a registry trusts.

-- +goose Up
CREATE TABLE signers (
    account TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    settings TEXT COLLATE "C" NOT NULL, -- JSON
    PRIMARY KEY (account, region, name)
);
