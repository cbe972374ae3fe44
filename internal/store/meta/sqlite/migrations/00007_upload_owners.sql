-- Whose an upload is: the unique id of a user or role, '' for uploads from before.

-- +goose Up
ALTER TABLE uploads ADD COLUMN owner TEXT NOT NULL DEFAULT '';
CREATE INDEX uploads_by_owner ON uploads (owner);
