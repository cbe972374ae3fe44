-- The journal of an image is found by its digest, whatever else is in the journal.

-- +goose NO TRANSACTION
-- +goose Up
DROP INDEX CONCURRENTLY IF EXISTS journal_by_digest; -- of a migration that was cut off
CREATE INDEX CONCURRENTLY journal_by_digest ON journal (account, region, digest, seq);
