-- PostgreSQL has stamps from here on; the file of SQLite has one process, which counts
-- what it changes.

-- +goose Up
SELECT 1;
