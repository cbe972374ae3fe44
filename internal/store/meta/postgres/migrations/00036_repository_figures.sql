-- What repositories had when they were counted last, by which lists of them are sorted:
-- docs/design/0052. A row is there from the beginning, so that no list lacks a repository.

-- +goose Up
CREATE TABLE repository_figures (
    repository_id BIGINT NOT NULL PRIMARY KEY REFERENCES repositories ON DELETE CASCADE,
    of_account TEXT COLLATE "C" NOT NULL,
    of_region TEXT COLLATE "C" NOT NULL,
    images BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL, -- of its blobs, each once
    pushed_at BIGINT NOT NULL, -- 0 for never
    pulled_at BIGINT NOT NULL, -- 0 for never
    counted_at BIGINT NOT NULL -- 0 for not yet
);
INSERT INTO repository_figures SELECT id, account, region, 0, 0, 0, 0, 0 FROM repositories;
CREATE INDEX repository_figures_by_images ON repository_figures (of_account, of_region, images, repository_id);
CREATE INDEX repository_figures_by_size ON repository_figures (of_account, of_region, size_bytes, repository_id);
CREATE INDEX repository_figures_by_push ON repository_figures (of_account, of_region, pushed_at, repository_id);
CREATE INDEX repository_figures_by_pull ON repository_figures (of_account, of_region, pulled_at, repository_id);

-- The leases of an image by its tags.
CREATE INDEX leases_by_tag ON leases (account, region, repository, tag) WHERE tag <> '';
