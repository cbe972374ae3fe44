-- The rates of destinations that have a limit, which replicas of a server keep together;
-- why images of an index failed; and the registries that an image came through.

-- +goose Up
CREATE TABLE replication_rates (
    destination TEXT NOT NULL PRIMARY KEY, -- account/region
    images_at INTEGER NOT NULL, -- when the next image may begin
    bytes_at INTEGER NOT NULL -- when the next bytes may be sent
) STRICT;
ALTER TABLE replications ADD COLUMN sub_codes TEXT NOT NULL DEFAULT ''; -- JSON, '' for none
ALTER TABLE replications ADD COLUMN via TEXT NOT NULL DEFAULT ''; -- account/region of each, with commas
