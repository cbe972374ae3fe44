package render

import (
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// Replications writes what of a registry is replicated where, and how that goes.
func Replications(w io.Writer, r admin.ListReplicationsResponse, o Options) error {
	p := newPrinter(o)
	if len(r.Rules) == 0 {
		p.linef(plain, "Nothing is replicated: the registry has no rules.")
	}
	for _, rule := range r.Rules {
		what := "all repositories"
		if len(rule.Prefixes) > 0 {
			what = clean(strings.Join(rule.Prefixes, ", ")) + "..."
		}
		p.linef(plain, "%s  to %s", what, clean(strings.Join(rule.Destinations, ", ")))
	}
	for _, to := range slices.Sorted(maps.Keys(r.Options)) {
		o := r.Options[to]
		var says []string
		if len(o.ImageTags) > 0 {
			says = append(says, "only tags "+strings.Join(o.ImageTags, ", "))
		}
		if len(o.ExcludePrefixes) > 0 {
			says = append(says, "without "+strings.Join(o.ExcludePrefixes, ", "))
		}
		if o.Deletions {
			says = append(says, "with deletions")
		}
		p.linef(faint, "    %s: %s", clean(to), clean(strings.Join(says, "; ")))
	}
	for _, to := range slices.Sorted(maps.Keys(r.Rates)) {
		p.linef(faint, "    %s: at most %s", clean(to), rate(r.Rates[to]))
	}
	for _, q := range r.Queues {
		why := ""
		if q.WaitsForRate {
			why = ", because of the rate of the destination"
		}
		p.linef(plain, "%s for %s, since %s%s", words.Count(q.Waiting, "image waits", "images wait"), clean(q.Destination), words.Moment(q.OldestAt), why)
		if q.RestReason != "" {
			p.linef(faint, "    the destination rests: %s", clean(q.RestReason))
		}
	}
	replications(p, r.Failed)
	if len(r.Rules) > 0 && len(r.Queues) == 0 && len(r.Failed) == 0 {
		p.linef(plain, "Everything that was queued is replicated.")
	}
	return p.flush(w)
}

// rate is such as "10 images a minute and 1.0 MiB a second".
func rate(r admin.ReplicationRate) string {
	var all []string
	if r.ImagesPerMinute > 0 {
		all = append(all, words.Count(r.ImagesPerMinute, "image", "images")+" a minute")
	}
	if r.BytesPerSecond > 0 {
		all = append(all, words.Bytes(r.BytesPerSecond)+" a second")
	}
	return strings.Join(all, " and ")
}

// replications writes what failed.
func replications(p *printer, list []admin.Replication) {
	for _, f := range list {
		name := f.RepositoryName + "@" + f.ImageDigest
		if f.ImageTag != "" {
			name = f.RepositoryName + ":" + f.ImageTag
		}
		p.linef(red, "%s  failed to %s: %s", clean(name), clean(f.Destination), clean(f.FailureCode))
		p.linef(faint, "    %s", clean(f.FailureReason))
	}
}

// ReplicationStatus writes how far an image is at each destination.
func ReplicationStatus(w io.Writer, r admin.DescribeReplicationResponse, o Options) error {
	p := newPrinter(o)
	if len(r.Statuses) == 0 {
		p.linef(plain, "The image was not queued for any destination.")
	}
	for _, s := range r.Statuses {
		p.linef(plain, "%s  %s  %s", clean(s.Destination), clean(s.Status), clean(s.FailureCode))
		if why := s.FailureReason + s.WaitReason; why != "" { // never both
			p.linef(faint, "    %s", clean(why))
		}
	}
	return p.flush(w)
}

// Backfills writes backfills with their progress.
func Backfills(w io.Writer, r admin.ListBackfillsResponse, o Options) error {
	p := newPrinter(o)
	if len(r.Backfills) == 0 {
		p.linef(plain, "There are no backfills.")
	}
	for _, b := range r.Backfills {
		backfill(p, b)
	}
	return p.flush(w)
}

// Backfill writes a backfill, and what of it failed.
func Backfill(w io.Writer, r admin.BackfillResponse, o Options) error {
	p := newPrinter(o)
	backfill(p, r.Backfill)
	replications(p, r.Failed)
	return p.flush(w)
}

func backfill(p *printer, b admin.Backfill) {
	p.linef(plain, "%s  to %s  %s", clean(b.ID), clean(b.Destination), clean(b.Status))
	ended := "has not ended"
	if !b.EndedAt.IsZero() {
		ended = "ended " + words.Moment(b.EndedAt)
	}
	p.linef(faint, "    %d of %d copied, %d failed; began %s, %s", b.Completed, b.Total, b.FailedCount, words.Moment(b.StartedAt), ended)
}
