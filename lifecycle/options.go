package lifecycle

import (
	"strings"
	"time"
)

// Options settle what AWS does not document. The zero Options are what a
// registry of one's own should do: they delete the least, and what they do
// can be foretold. PredictAWS are for foretelling Amazon ECR.
type Options struct {
	Ties Ties
	Ages Ages
	// CountDependents says that count rules count the untagged images that an
	// index lists or that refer to a subject, while that index or subject is
	// there. Otherwise such an image does not count, and no
	// count rule acts on it.
	CountDependents bool
	// UnguardedReferrers says that rules may expire or archive the referrers
	// of a subject that stays, and that referrers with tags of their own go
	// with their subject as the others do.
	UnguardedReferrers bool
	// ActivatingIsStandard says that an image on its way back from the archive
	// is of class Standard already. Otherwise no rule selects it.
	ActivatingIsStandard bool
	// Held are images that must stay whatever the rules say.
	Held Held
	// InUse are digests of images that are in use and that nothing keeps,
	// each with the name of who uses it. Only Lint looks at it.
	InUse map[string]string
}

// PredictAWS is what to assume of Amazon ECR: of each thing that AWS leaves
// open, the reading that deletes more. Outcomes that hang on such an
// assumption name it in Assumed.
func PredictAWS() Options {
	return Options{Ties: TiesAllGo, CountDependents: true, UnguardedReferrers: true, ActivatingIsStandard: true}
}

// Ties says which of several images of one push time count as younger.
type Ties uint8

// The ways with ties.
const (
	// TiesByDigest takes the greater digest, in byte order, as the younger, so
	// that a rule keeps exactly as many images as it says.
	TiesByDigest Ties = iota
	// TiesAllGo acts on every image that could be the one too many in some
	// order of the tied ones.
	TiesAllGo
)

// Ages says how days are counted.
type Ages uint8

// The ways of counting days.
const (
	// AgesElapsed: older than N days is longer ago than N times 24 hours.
	AgesElapsed Ages = iota
	// AgesCalendar: older than N days is on a day, in UTC, more than N days
	// before today. It is never earlier than AgesElapsed.
	AgesCalendar
)

// due is the instant after which something that was at t is older than days.
func (a Ages) due(t time.Time, days int) time.Time {
	t = t.UTC()
	if a == AgesElapsed {
		return t.AddDate(0, 0, days)
	}
	y, m, d := t.Date()
	return time.Date(y, m, d+days+1, 0, 0, 0, 0, time.UTC).Add(-1)
}

// cutoff is the instant before which something is older than days at now.
func (a Ages) cutoff(now time.Time, days int) time.Time {
	now = now.UTC()
	if a == AgesCalendar {
		y, m, d := now.Date()
		now = time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
	return now.AddDate(0, 0, -days)
}

// Assumption is a set of undocumented properties of AWS that an outcome
// depends on.
type Assumption uint8

// The assumptions.
const (
	AssumedTie        Assumption = 1 << iota // AWS breaks the tie against this image
	AssumedCount                             // counts include index children, referrers and images being restored
	AssumedReferrer                          // referrers of a living subject are not spared, or tagged ones go with it
	AssumedActivating                        // an image being restored is selected like an active one
)

// String names the assumptions, as "tie,count"; "" is none.
func (a Assumption) String() string {
	var names []string
	for i, name := range []string{"tie", "count", "referrer", "activating"} {
		if a&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// class is the storage class whose rules select images of status s, "" when
// none do.
func (o *Options) class(s Status) StorageClass {
	switch {
	case s == "" || s == StatusActive || s == StatusActivating && o.ActivatingIsStandard:
		return Standard
	case s == StatusArchived:
		return Archive
	}
	return ""
}
