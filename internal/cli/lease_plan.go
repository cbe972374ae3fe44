package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/leases"
	"github.com/kontor-registry/kontor/lifecycle"
)

// leaseHorizon is how far ahead a change is looked at that may cost an image in
// use its life: "a rule takes it some day" is as bad as today.
const leaseHorizon = 365 * 24 * time.Hour

// leasedLost is the error for changes of d's plans that would, within a year,
// expire images in use, or delete them with their repository: those of the
// files, and those that a Kontor registry knows. nil for none.
func (e *Env) leasedLost(ctx context.Context, d *deployment, files, hosts []string) error {
	var lost error
	for _, s := range d.sites {
		if s.err != nil || !slices.ContainsFunc(s.plan.Changes, mayCostImages) {
			continue
		}
		inUse, err := e.readLeases(files, registryHosts(s.conn, hosts))
		if err != nil {
			return err
		}
		known, err := e.knownLeases(ctx, s.conn, "")
		if err != nil {
			s.err = fmt.Errorf("reading the leases of registry %s: %w", s.target.Name, err)
			continue
		}
		if inUse = append(inUse, known...); len(inUse) == 0 {
			continue
		}
		for _, c := range s.plan.Changes {
			if !mayCostImages(c) || !slices.ContainsFunc(inUse, func(l leases.Lease) bool { return l.Repository == c.Repository }) {
				continue
			}
			snapshot, err := s.conn.Images(ctx, c.Repository, true, e.Now())
			if err != nil {
				s.err = err
				break
			}
			if err := leasedChange(c, snapshot, inUse, e.Now().UTC()); err != nil {
				lost = errors.Join(lost, d.named(s, err))
			}
		}
	}
	return lost
}

// mayCostImages reports whether a change deletes a repository or gives one that
// is there another lifecycle policy.
func mayCostImages(c plan.Change) bool {
	return c.Before != nil && (c.Op == plan.OpDelete || c.Has(plan.FieldLifecycle))
}

// leasedChange says which images in use a change would cost. What went before
// the change goes on going: that is no matter of the change.
func leasedChange(c plan.Change, s images.Snapshot, inUse []leases.Lease, now time.Time) error {
	all, _ := s.Images()
	held := leases.Held(inUse, c.Repository, all)
	if len(held) == 0 {
		return nil
	}
	if c.Op == plan.OpDelete {
		return fmt.Errorf("%s: would delete %s in use: %s", c.Repository, plural(len(held), "image", "images"), heldNames(all, held, nil))
	}
	after := ""
	if c.After != nil {
		after = c.After.Lifecycle
	}
	options := lifecycle.Options{}
	if !s.Kontor {
		options = lifecycle.PredictAWS()
	}
	lost := map[string]int{} // the rule that takes it, by digest
	for _, at := range []time.Time{now, now.Add(leaseHorizon)} {
		before, err := expiring(options, s.Policy, all, at)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Repository, err)
		}
		then, err := expiring(options, after, all, at)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Repository, err)
		}
		for d := range held {
			if rule, goes := then[d]; goes && before[d] == 0 {
				lost[d] = rule
			}
		}
	}
	if len(lost) == 0 {
		return nil
	}
	return fmt.Errorf("%s: the new lifecycle policy would expire %s in use: %s; keep them with a rule, or forget the lease",
		c.Repository, plural(len(lost), "image", "images"), heldNames(all, held, lost))
}

// expiring are the images that a policy takes at a time, with the rule.
func expiring(o lifecycle.Options, policy string, all []lifecycle.Image, at time.Time) (map[string]int, error) {
	out := map[string]int{}
	if policy == "" {
		return out, nil
	}
	p, err := lifecycle.Decode([]byte(policy))
	if err != nil {
		return nil, err
	}
	for i, x := range o.Decide(p, all, at) {
		if x.Action == lifecycle.Expire {
			out[all[i].Digest] = x.Rule
		}
	}
	return out, nil
}

// heldNames are the images in use, of those in lost only unless that is nil,
// and who uses them.
func heldNames(all []lifecycle.Image, held lifecycle.Held, lost map[string]int) string {
	var names []string
	for _, m := range all {
		by, ok := held[m.Digest]
		rule, gone := lost[m.Digest]
		if !ok || lost != nil && !gone {
			continue
		}
		name := images.Short(m.Digest)
		if len(m.Tags) > 0 {
			name += " (" + strings.Join(m.Tags, ", ") + ")"
		}
		name += " used by " + by
		if rule != 0 {
			name += fmt.Sprintf(", by rule %d", rule)
		}
		names = append(names, name)
	}
	const most = 5
	if n := len(names); n > most {
		return strings.Join(names[:most], "; ") + fmt.Sprintf("; and %d more", n-most)
	}
	return strings.Join(names, "; ")
}

// hold looks up which of l's images are in use, by --leases and by what the
// registry knows. A Kontor registry keeps them whatever the policy says. AWS
// does not know of leases: there the images are as likely to go as others, and
// leased says so.
func (e *Env) hold(l *looked, o lifecycleOptions) error {
	inUse, err := e.readLeases(o.leases, l.hosts)
	if err != nil {
		return err
	}
	inUse = append(inUse, l.leases...)
	held := leases.Held(inUse, ecr.RepositoryName(l.Repository), l.Images)
	switch {
	case len(held) == 0:
	case l.AWS:
		l.inUse = held
	default:
		l.Options.Held = held
	}
	return nil
}

// leasedGo is the error for images in use that the policy takes within a time
// from l.At: on AWS, nothing but a rule keeps them. nil for none.
func (l *looked) leasedGo(within time.Duration) error {
	if len(l.inUse) == 0 {
		return nil
	}
	lost := map[string]int{}
	for _, at := range []time.Time{l.At, l.At.Add(within)} {
		for i, x := range l.Options.Decide(l.Policy, l.Images, at) {
			if d := l.Images[i].Digest; x.Action == lifecycle.Expire && l.inUse[d] != "" {
				lost[d] = x.Rule
			}
		}
	}
	if len(lost) == 0 {
		return nil
	}
	return fmt.Errorf("the policy expires %s in use: %s; kontor lease apply keeps them, or a rule",
		plural(len(lost), "image", "images"), heldNames(l.Images, l.inUse, lost))
}
