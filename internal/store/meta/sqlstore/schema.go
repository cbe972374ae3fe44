package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/kontor-registry/kontor/internal/store/meta/transfer"
)

// Schema says which schema a database has, and what a program makes of it.
type Schema struct {
	// Version is the last migration that was applied, 0 for none.
	Version int64 `json:"version"`
	// Knows is the last migration that this program has.
	Knows int64 `json:"knows"`
	// Needs is the version that a program has to know at least to use the database; 0
	// where no program wrote it down, and then it is Version.
	Needs int64 `json:"needs"`
	// Pending are the files of migrations that this program would apply. Never nil.
	Pending []string `json:"pending"`
}

// Usable reports whether this program can use the database, after the migrations that
// are pending.
func (s Schema) Usable() bool {
	return s.Version <= s.Knows || s.Needs > 0 && s.Needs <= s.Knows
}

// refusal says why the database cannot be used.
func (s Schema) refusal() error {
	return fmt.Errorf("the database has schema version %d, which needs a program that knows version %d, and this one knows versions up to %d: run the newer version of kontor that migrated it",
		s.Version, max(s.Needs, s.Knows+1), s.Knows)
}

// schemaNeeds is what the row transfer.SchemaState of job_states holds.
type schemaNeeds struct {
	Needs int64 `json:"needs"`
}

// lockTries is how often a migration is tried that waits too long for the locks of
// transactions that are under way.
const lockTries = 20

// SchemaOf reads which schema the database has. It changes nothing.
func SchemaOf(ctx context.Context, db *sql.DB, d *Dialect) (s Schema, err error) {
	p, err := goose.NewProvider(d.Goose, db, d.Migrations, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return s, fmt.Errorf("reading the migrations: %w", err)
	}
	s.Pending = []string{}
	for _, m := range p.ListSources() {
		s.Knows = max(s.Knows, m.Version)
	}
	var there int
	if err := db.QueryRowContext(ctx, d.HasTable, "goose_db_version").Scan(&there); err != nil {
		return s, fmt.Errorf("reading the schema's version: %w", classified(d, err))
	}
	if there > 0 {
		err := db.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version").Scan(&s.Version)
		if err != nil {
			return s, fmt.Errorf("reading the schema's version: %w", classified(d, err))
		}
		if s.Needs, err = needs(ctx, db, d); err != nil {
			return s, err
		}
	}
	for _, m := range p.ListSources() {
		if m.Version > s.Version {
			s.Pending = append(s.Pending, path.Base(m.Path))
		}
	}
	return s, nil
}

// needs is what the database says that it needs, 0 for nothing.
func needs(ctx context.Context, db *sql.DB, d *Dialect) (int64, error) {
	var there int
	err := db.QueryRowContext(ctx, d.HasTable, "job_states").Scan(&there)
	if err != nil || there == 0 {
		return 0, err
	}
	var text []byte
	err = db.QueryRowContext(ctx, "SELECT state FROM job_states WHERE name = $1", transfer.SchemaState).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	var n schemaNeeds
	if err == nil {
		err = json.Unmarshal(text, &n)
	}
	if err != nil {
		return 0, fmt.Errorf("reading what the schema needs: %w", classified(d, err))
	}
	return n.Needs, nil
}

// Migrate gives a new database, that nothing else uses, the schema of this program.
func Migrate(ctx context.Context, db *sql.DB, d *Dialect) error {
	return migrate(ctx, db, d, false, false)
}

// migrate brings the schema up to this program's, while older programs use the
// database, and refuses a newer one that this program cannot use. With asIs, it changes
// nothing, and refuses an older one.
func migrate(ctx context.Context, db *sql.DB, d *Dialect, reader, asIs bool) (err error) {
	if d.LockSchema != nil {
		unlock, err := d.LockSchema(ctx, db)
		if err != nil {
			return fmt.Errorf("locking the schema: %w", classified(d, err))
		}
		defer func() { err = errors.Join(err, unlock()) }()
	}
	s, err := SchemaOf(ctx, db, d)
	switch {
	case err != nil:
		return err
	case s.Version > s.Knows && !s.Usable():
		return s.refusal()
	case s.Version > s.Knows:
		return nil
	case s.Version < s.Knows && asIs:
		return fmt.Errorf("the database has schema version %d, and this program reads version %d: start the server with this version of kontor, or run kontor admin schema up", s.Version, s.Knows)
	case s.Version < s.Knows:
		if err := up(ctx, db, d); err != nil {
			return fmt.Errorf("migrating the schema from version %d to %d: %w", s.Version, s.Knows, classified(d, err))
		}
	}
	if want := min(d.Needs, s.Knows); s.Needs < want && !reader {
		return raise(ctx, db, d, want)
	}
	return nil
}

// up applies the migrations. Each waits for locks for a short time only, so that no one
// has to wait behind it for long, and is tried again.
func up(ctx context.Context, db *sql.DB, d *Dialect) error {
	p, err := goose.NewProvider(d.Goose, db, d.Migrations, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	for try := 1; ; try++ {
		_, err = p.Up(ctx)
		if err == nil || d.LockTimeout == nil || !d.LockTimeout(err) || try == lockTries {
			return err
		}
		pause := time.NewTimer(time.Duration(try) * 100 * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return errors.Join(err, ctx.Err())
		}
	}
}

// raise writes down what programs need to know from now on.
func raise(ctx context.Context, db *sql.DB, d *Dialect, want int64) error {
	text, err := json.Marshal(schemaNeeds{want})
	if err == nil {
		_, err = db.ExecContext(ctx, "INSERT INTO job_states (name, state) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET state = EXCLUDED.state", transfer.SchemaState, text)
	}
	if err != nil {
		return fmt.Errorf("writing down which programs can use the schema: %w", classified(d, err))
	}
	return nil
}
