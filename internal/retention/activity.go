package retention

import (
	"context"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// ActivityFilter selects who pulled what of a registry: what has everything that is
// given; the zero value of a field asks for nothing.
type ActivityFilter struct {
	Registry ecr.RegistryID // required
	Name     ecr.RepositoryName
	Image    ecr.ImageID // of the repository Name: a tag as it is now, or a digest
	// Principal is the ARN of a user or role, or of one of the registry's account
	// what its ARN ends with, such as user/ci.
	Principal string
	// Since and Until are days, which count themselves.
	Since, Until meta.Day
	// Backward asks for the newest first.
	Backward bool
}

var opActivity = gate.Op("Activity", "kontor:ListPullActivity")

// activityPage is how many rows one statement reads, and mostActivity how many one call
// of Activity looks at for those that the caller may see.
const (
	activityPage = 501
	mostActivity = 5_000
)

// Activity returns at most limit rows that f selects, by day, after the row after; and
// the row to continue after, zero when that was all. Where the caller may not see most of
// them, there are fewer than limit and a row to continue after. Pulls of images and
// repositories that are deleted are gone; principals that are gone are said to be.
func (c *Caller) Activity(ctx context.Context, f ActivityFilter, after meta.PullKey, limit int) (list []meta.PullActivity, next meta.PullKey, err error) {
	return c.activity(ctx, f, after, limit, mostActivity)
}

func (c *Caller) activity(ctx context.Context, f ActivityFilter, after meta.PullKey, limit, most int) (list []meta.PullActivity, next meta.PullKey, err error) {
	c.s.flushForPage(ctx)
	err = c.gate.Read(ctx, opActivity, func(ctx context.Context, r *gate.View) error {
		list, next = nil, meta.PullKey{}
		id, shown, err := enterSome(ctx, r, f.Registry, f.Name)
		if err != nil {
			return err
		}
		q := meta.PullQuery{Registry: f.Registry, Repository: id, Digest: f.Image.Digest, Tag: f.Image.Tag, ARN: principalARN(f.Registry, f.Principal), Since: f.Since, Until: f.Until, Backward: f.Backward}
		looked, at := 0, after
		for a, err := range meta.Activity(ctx, r.Retention(), q, after, min(limit+1, activityPage)) {
			if err != nil {
				return err
			}
			if looked == most {
				next = at
				return nil
			}
			looked, at = looked+1, a.Key()
			switch yes, err := shown(a.Name); {
			case err != nil:
				return err
			case yes && len(list) == limit:
				next = list[limit-1].Key()
				return nil
			case yes:
				list = append(list, a)
			}
		}
		return nil
	})
	return list, next, err
}

var opPullDays = gate.Op("PullDays", "kontor:ListPullActivity")

// maxPullDays is how many rows PullDays looks at.
const maxPullDays = 5_000

// PullDays returns how many pulls there were on each day since since of the repository
// name, or where name is empty of those repositories that the caller may see. Pulls of
// images that are deleted count. complete is false where there are too many
// repositories to say.
func (c *Caller) PullDays(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName, since meta.Day) (days map[meta.Day]int64, complete bool, err error) {
	c.s.flushForPage(ctx)
	err = c.gate.Read(ctx, opPullDays, func(ctx context.Context, r *gate.View) error {
		days = map[meta.Day]int64{}
		id, shown, err := enterSome(ctx, r, in, name)
		if err != nil {
			return err
		}
		list, err := r.Retention().PullDays(ctx, in, id, since, maxPullDays+1)
		if err != nil {
			return err
		}
		if complete = len(list) <= maxPullDays; !complete {
			return nil
		}
		for _, d := range list {
			yes, err := shown(d.Name)
			if err != nil {
				return err
			}
			if yes {
				days[d.Day] += d.Pulls
			}
		}
		return nil
	})
	return days, complete, err
}

// maxActivity bounds the rows that are kept of who pulled what, of all registries of the
// database: beyond it, the oldest days go before their time.
const maxActivity = 1_000_000

// ActivityBefore is the day before which nothing is kept of who pulled what.
func (s *Service) ActivityBefore(ctx context.Context, tx *gate.Tx) (meta.Day, error) {
	return s.activityBefore(ctx, tx, maxActivity)
}

func (s *Service) activityBefore(ctx context.Context, tx *gate.Tx, most int) (meta.Day, error) {
	first, err := tx.Retention().OldestPulls(ctx, most)
	return max(first, meta.DayOf(s.cfg.Now())-meta.Day(s.cfg.ActivityDays)+1), err
}

// ActivityDays is for how many days it is kept who pulled what; 0 is not at all.
func (s *Service) ActivityDays() int { return s.cfg.ActivityDays }

// enterSome asks for the operation on the repository name, whose id it returns, or where
// name is empty on all. Errors: RepositoryNotFound.
func enterSome(ctx context.Context, r *gate.View, in ecr.RegistryID, name ecr.RepositoryName) (meta.RepositoryID, func(ecr.RepositoryName) (bool, error), error) {
	if name == "" {
		shown, err := r.EnterNames(ctx, in, "")
		return 0, shown, err
	}
	s, err := r.Enter(ctx, in.Repo(name))
	return s.Row.ID, func(ecr.RepositoryName) (bool, error) { return true, nil }, err
}

// principalARN is the ARN of a principal, which name may be.
func principalARN(in ecr.RegistryID, name string) string {
	if name == "" || strings.HasPrefix(name, "arn:") {
		return name
	}
	return "arn:" + in.Region.Partition() + ":iam::" + string(in.Account) + ":" + name
}
