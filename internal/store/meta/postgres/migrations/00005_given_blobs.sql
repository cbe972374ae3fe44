-- Blobs that an image holds only where the repository was given them: entries
-- of an index (in manifest_children, whatever they are) and foreign layers.

-- +goose Up
CREATE TABLE foreign_layers (
    repository_id BIGINT NOT NULL,
    manifest TEXT COLLATE "C" NOT NULL,
    layer TEXT COLLATE "C" NOT NULL, -- need not be there
    PRIMARY KEY (repository_id, manifest, layer),
    FOREIGN KEY (repository_id, manifest) REFERENCES manifests ON DELETE CASCADE
);
CREATE INDEX foreign_layers_by_layer ON foreign_layers (repository_id, layer, manifest);

-- Only bodies that can have such layers are read: reading JSON fails on escapes
-- that text cannot hold, and MATERIALIZED keeps the order.
WITH bodies AS MATERIALIZED (
    SELECT repository_id, digest, convert_from(body, 'UTF8') AS body FROM manifests
    WHERE media_type IN ('application/vnd.docker.distribution.manifest.v2+json', 'application/vnd.oci.image.manifest.v1+json')
), candidates AS MATERIALIZED (
    SELECT repository_id, digest, body::json -> 'layers' AS layers FROM bodies
    WHERE (body LIKE '%foreign%' OR body LIKE '%nondistributable%') AND position('\u0000' IN body) = 0
)
INSERT INTO foreign_layers
    SELECT DISTINCT s.repository_id, s.digest, l.value ->> 'digest'
    FROM candidates s, json_array_elements(CASE json_typeof(s.layers) WHEN 'array' THEN s.layers ELSE '[]' END) l
    WHERE l.value ->> 'mediaType' IN (
        'application/vnd.docker.image.rootfs.foreign.diff.tar', 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
        'application/vnd.oci.image.layer.nondistributable.v1.tar', 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
        'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd');

INSERT INTO manifest_blobs
    SELECT l.repository_id, g.manifest, l.digest FROM blob_links l JOIN (
        SELECT repository_id, parent AS manifest, child AS blob FROM manifest_children
        UNION SELECT repository_id, manifest, layer FROM foreign_layers
    ) g ON g.repository_id = l.repository_id AND g.blob = l.digest
    ON CONFLICT DO NOTHING;
UPDATE blob_links SET idle_since = NULL, hidden = FALSE WHERE idle_since IS NOT NULL AND EXISTS (
    SELECT 1 FROM manifest_blobs m WHERE m.repository_id = blob_links.repository_id AND m.blob = blob_links.digest
);
