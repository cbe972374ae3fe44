package meta

import (
	"context"
	"iter"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Day is a day in UTC: how many days after 1970-01-01 it is.
type Day int64

// DayOf returns the day of t.
func DayOf(t time.Time) Day {
	const day = 24 * 60 * 60
	s := t.Unix()
	if s < 0 {
		s -= day - 1
	}
	return Day(s / day)
}

// Time is when the day begins.
func (d Day) Time() time.Time { return time.Unix(int64(d)*24*60*60, 0).UTC() }

// Puller is who pulls: a user, or a role whatever its sessions are called. It may be
// gone; a user that is created again under the same name is another puller.
type Puller struct {
	UniqueID string // AIDA... or AROA...
	ARN      string // of the user or role
}

// PullCount is how often someone pulled an image in one day.
type PullCount struct {
	Day        Day
	Repository RepositoryID
	Digest     ecr.Digest
	By         Puller
	Pulls      int64
	LastAt     time.Time
}

// PullActivity is a PullCount as it is stored.
type PullActivity struct {
	PullCount
	Name ecr.RepositoryName
	// Tag is the first of the image's tags in byte order; "" for none.
	Tag ecr.Tag
	// Gone: there is no such user or role now.
	Gone bool
	// PullerID is the store's number of the puller.
	PullerID int64
}

// Key is the place of a in the order of PullActivity.
func (a PullActivity) Key() PullKey { return PullKey{a.Day, a.Repository, a.Digest, a.PullerID} }

// PullKey is a place in the order of PullActivity; zero is before the first one.
type PullKey struct {
	Day        Day
	Repository RepositoryID
	Digest     ecr.Digest
	PullerID   int64
}

// PullQuery selects rows of a registry that have everything that is given; the zero
// value of a field asks for nothing.
type PullQuery struct {
	Registry   ecr.RegistryID // required
	Repository RepositoryID
	Digest     ecr.Digest // with Repository
	Tag        ecr.Tag    // images that have it now, with Repository
	ARN        string     // of the puller
	Since      Day        // that day or later
	Until      Day        // that day or earlier; 0 for no end
	Backward   bool       // the newest first
}

// PullDay is how often a repository was pulled in one day, images that are deleted
// included.
type PullDay struct {
	Day   Day
	Name  ecr.RepositoryName
	Pulls int64
}

// ActivityReader reads who pulled what.
type ActivityReader interface {
	// PullActivity returns at most limit rows that q selects, in order of day,
	// repository, digest and puller, after after; with q.Backward in the opposite
	// order.
	PullActivity(ctx context.Context, q PullQuery, after PullKey, limit int) ([]PullActivity, error)
	// PullDays returns at most limit days of the repository, or with 0 of each
	// repository of the registry, since the day since, in order of day and
	// repository.
	PullDays(ctx context.Context, in ecr.RegistryID, repo RepositoryID, since Day, limit int) ([]PullDay, error)
}

// ActivityWriter changes who pulled what.
type ActivityWriter interface {
	// CountPulls adds to what is stored for the same day, image and puller, and to the
	// days of the repositories; images that are gone are passed over.
	CountPulls(ctx context.Context, counts []PullCount) error
	// TrimPulls removes rows of days before before, the oldest first, then days of
	// repositories before that day, and then pullers who pulled nothing that is left:
	// at most limit of all. It returns how many.
	TrimPulls(ctx context.Context, before Day, limit int) (int, error)
	// OldestPulls returns the first day such that most rows at most are of that day or
	// later, and 0 when there are no more rows than that.
	OldestPulls(ctx context.Context, most int) (Day, error)
}

// Activity yields the rows that q selects, in the order of PullActivity.
func Activity(ctx context.Context, r ActivityReader, q PullQuery, after PullKey, size int) iter.Seq2[PullActivity, error] {
	return Pages(after, size, func(after PullKey, limit int) ([]PullActivity, error) {
		return r.PullActivity(ctx, q, after, limit)
	}, PullActivity.Key)
}
