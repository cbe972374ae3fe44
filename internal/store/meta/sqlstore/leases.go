package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// ListLeases implements meta.LeaseReader.
func (r retentionReader) ListLeases(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName) ([]meta.Lease, error) {
	text, args := selectLeases, []any{string(in.Account), string(in.Region)}
	if name != "" {
		text, args = text+` AND repository = $3`, append(args, string(name))
	}
	all, err := list(ctx, r.s, scanLease(in), text+leaseOrder, args...)
	return all, wrap(err, "listing the leases of %s", in)
}

const (
	selectLeases = `SELECT repository, digest, tag, collector, holder FROM leases WHERE account = $1 AND region = $2`
	leaseOrder   = ` ORDER BY repository, digest, tag, collector, holder`
)

func scanLease(in ecr.RegistryID) func(*sql.Rows) (meta.Lease, error) {
	return func(rows *sql.Rows) (meta.Lease, error) {
		l := meta.Lease{Registry: in}
		err := rows.Scan(&l.Repository, &l.Image.Digest, &l.Image.Tag, &l.Collector, &l.User)
		return l, err
	}
}

// LeasesAfter implements meta.LeaseReader.
func (r retentionReader) LeasesAfter(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName, after meta.Lease, limit int) ([]meta.Lease, error) {
	if limit <= 0 {
		return nil, nil
	}
	text := selectLeases + ` AND (repository, digest, tag, collector, holder) > ($3, $4, $5, $6, $7)`
	args := []any{string(in.Account), string(in.Region), string(after.Repository), string(after.Image.Digest), string(after.Image.Tag), after.Collector, after.User, limit}
	if name != "" {
		text, args = text+` AND repository = $9`, append(args, string(name))
	}
	all, err := list(ctx, r.s, scanLease(in), text+leaseOrder+` LIMIT $8`, args...)
	return all, wrap(err, "listing leases of %s", in)
}

// LeasesOf implements meta.LeaseReader.
func (r retentionReader) LeasesOf(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName, d ecr.Digest, tags []ecr.Tag, limit int) ([]meta.Lease, error) {
	if limit <= 0 {
		return nil, nil
	}
	all, err := list(ctx, r.s, scanLease(in), selectLeases+` AND repository = $3 AND digest = $4`+leaseOrder+` LIMIT $5`,
		string(in.Account), string(in.Region), string(name), string(d), limit)
	if err == nil && len(tags) > 0 && len(all) < limit {
		names := make([]string, len(tags))
		for i, tag := range tags {
			names[i] = string(tag)
		}
		var more []meta.Lease
		more, err = list(ctx, r.s, scanLease(in), r.q.leasesOfTags, string(in.Account), string(in.Region), string(name), string(d), r.s.d.Strings(names), limit-len(all))
		all = append(all, more...)
	}
	return all, wrap(err, "listing leases of %s in %s", d, name)
}

// LeaseCollectors implements meta.LeaseReader.
func (r retentionReader) LeaseCollectors(ctx context.Context, in ecr.RegistryID) ([]meta.LeaseCollector, error) {
	all, err := list(ctx, r.s, func(rows *sql.Rows) (meta.LeaseCollector, error) {
		c := meta.LeaseCollector{Registry: in}
		var at, ttl int64
		err := rows.Scan(&c.Name, &at, &ttl)
		c.ReportedAt, c.TTL = fromMicros(at), time.Duration(ttl)*time.Microsecond
		return c, err
	}, `SELECT name, reported_at, ttl FROM lease_collectors WHERE account = $1 AND region = $2 ORDER BY name`,
		string(in.Account), string(in.Region))
	return all, wrap(err, "listing the lease collectors of %s", in)
}

// PutLeases implements meta.LeaseWriter.
func (t retentionTx) PutLeases(ctx context.Context, c meta.LeaseCollector, leases []meta.Lease) error {
	return wrap(t.putLeases(ctx, c, leases), "recording %d leases of %s in %s", len(leases), c.Name, c.Registry)
}

func (t retentionTx) putLeases(ctx context.Context, c meta.LeaseCollector, leases []meta.Lease) error {
	account, region := string(c.Registry.Account), string(c.Registry.Region)
	_, err := t.s.exec(ctx, `INSERT INTO lease_collectors (account, region, name, reported_at, ttl) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (account, region, name) DO UPDATE SET reported_at = excluded.reported_at, ttl = excluded.ttl`,
		account, region, c.Name, micros(c.ReportedAt), c.TTL.Microseconds())
	if err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `DELETE FROM leases WHERE account = $1 AND region = $2 AND collector = $3`, account, region, c.Name)
	for len(leases) > 0 && err == nil {
		n := leasesAtOnce
		if len(leases) < n {
			n = 1 // or each rest would be another statement to keep
		}
		args := []any{account, region, c.Name}
		for _, l := range leases[:n] {
			args = append(args, string(l.Repository), string(l.Image.Digest), string(l.Image.Tag), l.User)
		}
		_, err = t.s.exec(ctx, insertLeases(n), args...)
		leases = leases[n:]
	}
	return err
}

// leasesAtOnce is how many leases one statement inserts.
const leasesAtOnce = 100

// insertLeases inserts n leases: $1 to $3 are account, region and collector,
// and four more for each are repository, digest, tag and holder.
func insertLeases(n int) string {
	rows := make([]string, n)
	for i := range rows {
		p := 4 * (i + 1)
		rows[i] = fmt.Sprintf("($1, $2, $3, $%d, $%d, $%d, $%d)", p, p+1, p+2, p+3)
	}
	return `INSERT INTO leases (account, region, collector, repository, digest, tag, holder) VALUES ` +
		strings.Join(rows, ", ") + ` ON CONFLICT DO NOTHING`
}

// DeleteLeaseCollector implements meta.LeaseWriter.
func (t retentionTx) DeleteLeaseCollector(ctx context.Context, in ecr.RegistryID, name string) error {
	n, err := t.s.exec(ctx, `DELETE FROM lease_collectors WHERE account = $1 AND region = $2 AND name = $3`,
		string(in.Account), string(in.Region), name)
	return wrap(orElse(n, err, meta.ErrNotFound), "removing the lease collector %s of %s", name, in)
}
