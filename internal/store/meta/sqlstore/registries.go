package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// RegistrySettings implements meta.RegistryReader.
func (r registryReader) RegistrySettings(ctx context.Context, in ecr.RegistryID) (meta.RegistrySettings, error) {
	key := rowKey{what: rowRegistry, a: string(in.Account), b: string(in.Region)}
	s, err := remembered(r.transaction, areaSettings, key, sizeOfSettings, func() (meta.RegistrySettings, error) {
		s, err := one(ctx, r.s, scanSettings, `SELECT policy, settings FROM registries WHERE account = $1 AND region = $2`, key.a, key.b)
		if errors.Is(err, meta.ErrNotFound) {
			return meta.RegistrySettings{}, nil
		}
		return s, err
	})
	return ownSettings(s), wrap(err, "reading the settings of %s", in)
}

func scanSettings(rows *sql.Rows) (s meta.RegistrySettings, err error) {
	var settings string
	if err := rows.Scan(&s.PolicyText, &settings); err != nil {
		return s, err
	}
	return s, fromJSON(settings, &s.Settings)
}

// PutRegistrySettings implements meta.RegistryWriter.
func (t registryTx) PutRegistrySettings(ctx context.Context, in ecr.RegistryID, s meta.RegistrySettings) error {
	settings, err := toJSON(s.Settings)
	if err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `INSERT INTO registries (account, region, policy, settings) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account, region) DO UPDATE SET policy = excluded.policy, settings = excluded.settings`,
		string(in.Account), string(in.Region), s.PolicyText, settings)
	return wrap(err, "changing the settings of %s", in)
}
