package retention

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Lease says that an image is in use.
type Lease struct {
	Repository ecr.RepositoryName
	Image      ecr.ImageID // digest, tag or both
	User       string      // such as "Deployment shop/web"
	Collector  string      // who reported it; ignored in reports
}

// Collector is who reports images in use, such as a cluster.
type Collector struct {
	Name       string
	ReportedAt time.Time
	ExpectedAt time.Time // again, at the latest
	// Silent says that it is overdue. Its leases stay in force until it
	// reports again or is forgotten.
	Silent bool
}

// Bounds of a report.
const (
	MaxLeases        = 50_000
	maxCollectorName = 128
	maxLeaseUser     = 512
	minLeaseTTL      = time.Minute
	maxLeaseTTL      = 366 * 24 * time.Hour
)

var opReportLeases = gate.Op("ReportLeases", "kontor:ReportLeases")

// ReportLeases makes leases all that the collector name knows to be in use, at
// once and as a whole, and says when it is expected again. Repositories,
// images and tags need not be there (yet).
// Errors: InvalidParameter.
func (c *Caller) ReportLeases(ctx context.Context, in ecr.RegistryID, name string, ttl time.Duration, leases []Lease) (Collector, error) {
	rows, err := leaseRows(name, ttl, leases)
	if err != nil {
		return Collector{}, err
	}
	row := meta.LeaseCollector{Registry: in, Name: name, TTL: ttl}
	err = c.gate.Change(ctx, opReportLeases, func(ctx context.Context, tx *gate.Tx) error {
		if _, err := tx.EnterRegistry(ctx, in); err != nil {
			return err
		}
		row.ReportedAt = c.s.cfg.Now()
		if err := tellLeases(ctx, tx, in, name, rows, ""); err != nil {
			return err
		}
		return tx.Retention().PutLeases(ctx, row, rows)
	})
	if err != nil {
		return Collector{}, err
	}
	return newCollector(row, row.ReportedAt), nil
}

// tellLeases has those told who want to know what begins and what ends when a collector
// has the leases now in place of those that it has.
func tellLeases(ctx context.Context, tx *gate.Tx, in ecr.RegistryID, collector string, now []meta.Lease, why string) error {
	wanted, err := tx.Wanted(ctx, in, events.LeaseTaken, events.LeaseEnded)
	if err != nil || !wanted {
		return err
	}
	had, err := tx.Retention().ListLeases(ctx, in, "")
	if err != nil {
		return err
	}
	tell := func(t events.Type, l meta.Lease) {
		tx.Emit(events.Event{Type: t, Registry: in, Repository: l.Repository, Digest: l.Image.Digest, Tag: l.Image.Tag, Collector: collector, Workload: l.User, Reason: why})
	}
	known := map[meta.Lease]bool{}
	for _, l := range had {
		if l.Collector == collector {
			known[meta.Lease{Repository: l.Repository, Image: l.Image, User: l.User}] = true
		}
	}
	stay := map[meta.Lease]bool{}
	for _, l := range now {
		if !known[l] && !stay[l] {
			tell(events.LeaseTaken, l)
		}
		stay[l] = true
	}
	for _, l := range had {
		if l.Collector == collector && !stay[meta.Lease{Repository: l.Repository, Image: l.Image, User: l.User}] {
			tell(events.LeaseEnded, l)
		}
	}
	return nil
}

func leaseRows(name string, ttl time.Duration, leases []Lease) ([]meta.Lease, error) {
	switch {
	case name == "" || len(name) > maxCollectorName || !printable(name):
		return nil, ecr.InvalidParameter("collector", "must be 1 to %d bytes of printable text", maxCollectorName)
	case ttl < minLeaseTTL || ttl > maxLeaseTTL:
		return nil, ecr.InvalidParameter("ttlSeconds", "must be from %d to %d", int(minLeaseTTL.Seconds()), int(maxLeaseTTL.Seconds()))
	case len(leases) > MaxLeases:
		return nil, ecr.InvalidParameter("leases", "must have at most %d elements", MaxLeases)
	}
	rows := make([]meta.Lease, 0, len(leases))
	for i, l := range leases {
		path := fmt.Sprintf("leases.%d.member", i+1)
		if _, err := ecr.ParseRepositoryName(string(l.Repository)); err != nil {
			return nil, err
		}
		if l.Image == (ecr.ImageID{}) {
			return nil, ecr.InvalidParameter(path, "must have imageDigest or imageTag")
		}
		if l.Image.Digest != "" {
			if _, err := ecr.ParseDigest(string(l.Image.Digest)); err != nil {
				return nil, err
			}
		}
		if l.Image.Tag != "" {
			if _, err := ecr.ParseTag(string(l.Image.Tag)); err != nil {
				return nil, err
			}
		}
		if l.User == "" || len(l.User) > maxLeaseUser || !printable(l.User) {
			return nil, ecr.InvalidParameter(path+".user", "must be 1 to %d bytes of printable text", maxLeaseUser)
		}
		rows = append(rows, meta.Lease{Repository: l.Repository, Image: l.Image, User: l.User})
	}
	return rows, nil
}

// printable reports whether s can be shown in a line of text.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 })
}

func newCollector(c meta.LeaseCollector, now time.Time) Collector {
	expected := c.ReportedAt.Add(c.TTL)
	return Collector{Name: c.Name, ReportedAt: c.ReportedAt, ExpectedAt: expected, Silent: now.After(expected)}
}

var opListLeases = gate.Op("ListLeases", "kontor:ListLeases")

// ListLeases returns the collectors of a registry, and the leases of the
// repository name, or of all that the caller may ask about when name is empty:
// in byte order of repository, digest, tag, collector and user.
func (c *Caller) ListLeases(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName) (collectors []Collector, leases []Lease, err error) {
	err = c.gate.Read(ctx, opListLeases, func(ctx context.Context, r *gate.View) error {
		collectors, leases = nil, nil
		shown, err := r.EnterNames(ctx, in, name)
		if err != nil {
			return err
		}
		known, err := r.Retention().LeaseCollectors(ctx, in)
		if err != nil {
			return err
		}
		now := c.s.cfg.Now()
		for _, row := range known {
			collectors = append(collectors, newCollector(row, now))
		}
		rows, err := r.Retention().ListLeases(ctx, in, name)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if yes, err := shown(row.Repository); err != nil {
				return err
			} else if yes {
				leases = append(leases, Lease{Repository: row.Repository, Image: row.Image, User: row.User, Collector: row.Collector})
			}
		}
		return nil
	})
	return collectors, leases, err
}

var opLeasePage = gate.Op("LeasePage", "kontor:ListLeases")

// LeasePage returns the collectors and at most limit of the leases of ListLeases, after
// the lease after, and whether there are more.
func (c *Caller) LeasePage(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName, after Lease, limit int) (collectors []Collector, leases []Lease, more bool, err error) {
	err = c.gate.Read(ctx, opLeasePage, func(ctx context.Context, r *gate.View) error {
		collectors = nil
		shown, err := r.EnterNames(ctx, in, name)
		if err != nil {
			return err
		}
		known, err := r.Retention().LeaseCollectors(ctx, in)
		if err != nil {
			return err
		}
		now := c.s.cfg.Now()
		for _, row := range known {
			collectors = append(collectors, newCollector(row, now))
		}
		from := meta.Lease{Repository: after.Repository, Image: after.Image, Collector: after.Collector, User: after.User}
		rows, found, err := meta.Take(meta.Pages(from, limit+1, func(after meta.Lease, limit int) ([]meta.Lease, error) {
			return r.Retention().LeasesAfter(ctx, in, name, after, limit)
		}, func(l meta.Lease) meta.Lease { return l }), limit, func(l *meta.Lease) (bool, error) { return shown(l.Repository) })
		leases, more = make([]Lease, len(rows)), found
		for i, row := range rows {
			leases[i] = Lease{Repository: row.Repository, Image: row.Image, User: row.User, Collector: row.Collector}
		}
		return err
	})
	return collectors, leases, more, err
}

var opImageLeases = gate.Op("ImageLeases", "kontor:ListLeases")

// ImageLeases returns at most limit of the leases that name the image of the digest d of
// the repository at, or one of these tags of it, and whether there are more.
func (c *Caller) ImageLeases(ctx context.Context, at ecr.Repo, d ecr.Digest, tags []ecr.Tag, limit int) (leases []Lease, more bool, err error) {
	err = c.gate.Read(ctx, opImageLeases, func(ctx context.Context, r *gate.View) error {
		leases, more = nil, false
		shown, err := r.EnterNames(ctx, at.In, at.Name)
		if err != nil {
			return err
		}
		rows, err := r.Retention().LeasesOf(ctx, at.In, at.Name, d, tags, limit+1)
		if err != nil || len(rows) == 0 {
			return err
		}
		if yes, err := shown(at.Name); err != nil || !yes {
			return err
		}
		if more = len(rows) > limit; more {
			rows = rows[:limit]
		}
		for _, row := range rows {
			leases = append(leases, Lease{Repository: row.Repository, Image: row.Image, User: row.User, Collector: row.Collector})
		}
		return nil
	})
	return leases, more, err
}

var opForgetLeases = gate.Op("ForgetLeases", "kontor:ForgetLeases")

// ForgetLeases removes the collector name, which will not report again, with
// its leases, and returns how many those were.
// Errors: InvalidParameter when there is no such collector.
func (c *Caller) ForgetLeases(ctx context.Context, in ecr.RegistryID, name string) (int, error) {
	var n int
	err := c.gate.Change(ctx, opForgetLeases, func(ctx context.Context, tx *gate.Tx) error {
		n = 0
		if _, err := tx.EnterRegistry(ctx, in); err != nil {
			return err
		}
		rows, err := tx.Retention().ListLeases(ctx, in, "")
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row.Collector == name {
				n++
			}
		}
		if err := tellLeases(ctx, tx, in, name, nil, "the collector was forgotten"); err != nil {
			return err
		}
		err = tx.Retention().DeleteLeaseCollector(ctx, in, name)
		if errors.Is(err, meta.ErrNotFound) {
			err = ecr.InvalidParameter("collector", "must be a collector that has reported")
		}
		return err
	})
	return n, err
}
