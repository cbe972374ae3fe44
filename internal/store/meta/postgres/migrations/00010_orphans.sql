-- Files of the blob store that belong to no row: since when, and when that was last
-- found, both by the database's clock.

-- +goose Up
CREATE TABLE orphans (
    key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    since BIGINT NOT NULL,
    seen BIGINT NOT NULL
);
CREATE INDEX orphans_by_seen ON orphans (seen, key);
