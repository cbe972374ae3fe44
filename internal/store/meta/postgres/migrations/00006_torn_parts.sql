-- Bytes of an upload's part that was cut off: what comes next belongs to it.

-- +goose Up
ALTER TABLE uploads ADD COLUMN torn_bytes BIGINT NOT NULL DEFAULT 0;
