-- Small blobs in the database: docs/design/0033. Their keys begin with the time, so that
-- new rows come at the end.

-- +goose Up
CREATE TABLE blob_contents (
    key TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES blobs (key) ON DELETE CASCADE,
    content BYTEA NOT NULL
);
-- Most is compressed already.
ALTER TABLE blob_contents ALTER COLUMN content SET STORAGE EXTERNAL;
