-- Who may write to an upload: the last claim, a number that only grows, until when it
-- holds by the database's clock (0 for not), and whether another request waits for it.

-- +goose Up
ALTER TABLE uploads ADD COLUMN claim INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN claimed_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN wanted INTEGER NOT NULL DEFAULT 0;
