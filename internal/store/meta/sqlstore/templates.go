package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const selectTemplate = `SELECT prefix, created_at, updated_at, settings FROM creation_templates WHERE account = $1 AND region = $2 AND `

func scanTemplate(in ecr.RegistryID) func(rows *sql.Rows) (meta.CreationTemplate, error) {
	return func(rows *sql.Rows) (meta.CreationTemplate, error) {
		t := meta.CreationTemplate{Registry: in}
		var created, updated int64
		var settings string
		if err := rows.Scan(&t.Prefix, &created, &updated, &settings); err != nil {
			return t, err
		}
		t.CreatedAt, t.UpdatedAt = fromMicros(created), fromMicros(updated)
		return t, fromJSON(settings, &t.TemplateSettings)
	}
}

// CreationTemplates implements meta.TemplateReader.
func (r registryReader) CreationTemplates(ctx context.Context, in ecr.RegistryID, prefixes []string) ([]meta.CreationTemplate, error) {
	all, err := list(ctx, r.s, scanTemplate(in), selectTemplate+r.s.d.In("prefix", 3)+` ORDER BY prefix`,
		string(in.Account), string(in.Region), r.s.d.Strings(prefixes))
	return all, wrap(err, "reading repository creation templates of %s", in)
}

// ListCreationTemplates implements meta.TemplateReader.
func (r registryReader) ListCreationTemplates(ctx context.Context, in ecr.RegistryID, after string, limit int) ([]meta.CreationTemplate, error) {
	all, err := list(ctx, r.s, scanTemplate(in), selectTemplate+`prefix > $3 ORDER BY prefix LIMIT $4`,
		string(in.Account), string(in.Region), after, limit)
	return all, wrap(err, "listing the repository creation templates of %s", in)
}

func encodeTemplate(t meta.CreationTemplate) (string, error) {
	b, err := json.Marshal(t.TemplateSettings)
	if err != nil {
		return "", fmt.Errorf("encoding the repository creation template %s: %w", t.Prefix, err)
	}
	return string(b), nil
}

// InsertCreationTemplate implements meta.TemplateWriter.
func (t registryTx) InsertCreationTemplate(ctx context.Context, c meta.CreationTemplate) error {
	settings, err := encodeTemplate(c)
	if err != nil {
		return err
	}
	n, err := t.s.exec(ctx, `INSERT INTO creation_templates (account, region, prefix, created_at, updated_at, settings)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		string(c.Registry.Account), string(c.Registry.Region), c.Prefix, micros(c.CreatedAt), micros(c.UpdatedAt), settings)
	return wrap(orElse(n, err, meta.ErrExists), "adding the repository creation template %s to %s", c.Prefix, c.Registry)
}

// UpdateCreationTemplate implements meta.TemplateWriter.
func (t registryTx) UpdateCreationTemplate(ctx context.Context, c meta.CreationTemplate) error {
	settings, err := encodeTemplate(c)
	if err != nil {
		return err
	}
	n, err := t.s.exec(ctx, `UPDATE creation_templates SET updated_at = $4, settings = $5 WHERE account = $1 AND region = $2 AND prefix = $3`,
		string(c.Registry.Account), string(c.Registry.Region), c.Prefix, micros(c.UpdatedAt), settings)
	return wrap(orElse(n, err, meta.ErrNotFound), "changing the repository creation template %s of %s", c.Prefix, c.Registry)
}

// DeleteCreationTemplate implements meta.TemplateWriter.
func (t registryTx) DeleteCreationTemplate(ctx context.Context, in ecr.RegistryID, prefix string) error {
	n, err := t.s.exec(ctx, `DELETE FROM creation_templates WHERE account = $1 AND region = $2 AND prefix = $3`,
		string(in.Account), string(in.Region), prefix)
	return wrap(orElse(n, err, meta.ErrNotFound), "deleting the repository creation template %s of %s", prefix, in)
}
