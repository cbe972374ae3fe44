-- The rates of destinations that have a limit, which replicas of a server keep together;
-- why images of an index failed; and the registries that an image came through.

-- +goose Up
CREATE TABLE replication_rates (
    destination TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- account/region
    images_at BIGINT NOT NULL, -- when the next image may begin
    bytes_at BIGINT NOT NULL -- when the next bytes may be sent
);
ALTER TABLE replications ADD COLUMN sub_codes TEXT COLLATE "C" NOT NULL DEFAULT ''; -- JSON, '' for none
ALTER TABLE replications ADD COLUMN via TEXT COLLATE "C" NOT NULL DEFAULT ''; -- account/region of each, with commas
