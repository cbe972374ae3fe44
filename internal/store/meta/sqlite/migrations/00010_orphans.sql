-- Files of the blob store that belong to no row: since when, and when that was last
-- found, both by the database's clock.

-- +goose Up
CREATE TABLE orphans (
    key TEXT NOT NULL PRIMARY KEY,
    since INTEGER NOT NULL,
    seen INTEGER NOT NULL
) STRICT;
CREATE INDEX orphans_by_seen ON orphans (seen, key);
