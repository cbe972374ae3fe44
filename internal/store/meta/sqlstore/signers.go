package sqlstore

import (
	"context"
	"database/sql"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Signers implements meta.SignerReader.
func (r registryReader) Signers(ctx context.Context, in ecr.RegistryID) ([]meta.Signer, error) {
	all, err := list(ctx, r.s, func(rows *sql.Rows) (meta.Signer, error) {
		s := meta.Signer{Registry: in}
		var created, updated int64
		var settings string
		err := rows.Scan(&s.Name, &created, &updated, &settings)
		s.CreatedAt, s.UpdatedAt, s.Settings = fromMicros(created), fromMicros(updated), []byte(settings)
		return s, err
	}, `SELECT name, created_at, updated_at, settings FROM signers WHERE account = $1 AND region = $2 ORDER BY name`, string(in.Account), string(in.Region))
	return all, wrap(err, "listing the signers of %s", in)
}

// PutSigner implements meta.SignerWriter.
func (t registryTx) PutSigner(ctx context.Context, s meta.Signer) error {
	_, err := t.s.exec(ctx, `INSERT INTO signers (account, region, name, created_at, updated_at, settings) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (account, region, name) DO UPDATE SET updated_at = excluded.updated_at, settings = excluded.settings`,
		string(s.Registry.Account), string(s.Registry.Region), s.Name, micros(s.CreatedAt), micros(s.UpdatedAt), string(s.Settings))
	return wrap(err, "storing the signer %s of %s", s.Name, s.Registry)
}

// DeleteSigner implements meta.SignerWriter.
func (t registryTx) DeleteSigner(ctx context.Context, in ecr.RegistryID, name string) error {
	n, err := t.s.exec(ctx, `DELETE FROM signers WHERE account = $1 AND region = $2 AND name = $3`, string(in.Account), string(in.Region), name)
	return wrap(orElse(n, err, meta.ErrNotFound), "removing the signer %s of %s", name, in)
}
