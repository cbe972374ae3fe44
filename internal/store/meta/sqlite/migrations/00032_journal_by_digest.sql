-- The journal of an image is found by its digest, whatever else is in the journal.

-- +goose Up
CREATE INDEX journal_by_digest ON journal (account, region, digest, seq);
