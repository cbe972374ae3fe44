-- Blobs that an image holds only where the repository was given them: entries
-- of an index (in manifest_children, whatever they are) and foreign layers.

-- +goose Up
CREATE TABLE foreign_layers (
    repository_id INTEGER NOT NULL,
    manifest TEXT NOT NULL,
    layer TEXT NOT NULL, -- need not be there
    PRIMARY KEY (repository_id, manifest, layer),
    FOREIGN KEY (repository_id, manifest) REFERENCES manifests ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX foreign_layers_by_layer ON foreign_layers (repository_id, layer, manifest);

INSERT INTO foreign_layers
    SELECT DISTINCT m.repository_id, m.digest, l.value ->> '$.digest'
    FROM manifests m, json_each(CAST(m.body AS TEXT), '$.layers') l
    WHERE m.media_type IN ('application/vnd.docker.distribution.manifest.v2+json', 'application/vnd.oci.image.manifest.v1+json')
    AND json_valid(CAST(m.body AS TEXT)) AND l.type = 'object' AND l.value ->> '$.mediaType' IN (
        'application/vnd.docker.image.rootfs.foreign.diff.tar', 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
        'application/vnd.oci.image.layer.nondistributable.v1.tar', 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
        'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd');

INSERT INTO manifest_blobs
    SELECT l.repository_id, g.manifest, l.digest FROM blob_links l JOIN (
        SELECT repository_id, parent AS manifest, child AS blob FROM manifest_children
        UNION SELECT repository_id, manifest, layer FROM foreign_layers
    ) g ON g.repository_id = l.repository_id AND g.blob = l.digest WHERE true
    ON CONFLICT DO NOTHING;
UPDATE blob_links SET idle_since = NULL, hidden = 0 WHERE idle_since IS NOT NULL AND EXISTS (
    SELECT 1 FROM manifest_blobs m WHERE m.repository_id = blob_links.repository_id AND m.blob = blob_links.digest
);
