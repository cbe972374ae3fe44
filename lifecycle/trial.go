package lifecycle

import (
	"fmt"
	"time"
)

// Fate is what a test expects of an image.
type Fate string

// The fates.
const (
	Kept     Fate = "kept"
	Expired  Fate = "expired"
	Archived Fate = "archived"
)

// Test says what a policy should do to an image that need not exist.
type Test struct {
	Tags    []string
	AgeDays float64 // since the push
	// PulledDaysAgo and ArchivedDaysAgo are nil when that never was. With
	// ArchivedDaysAgo the image is in the archive.
	PulledDaysAgo, ArchivedDaysAgo *float64
	// Newer is the number of images with the same tag criteria pushed after
	// it: those are what count rules keep in its stead.
	Newer  int
	Expect Fate
}

// TestResult is what became of a Test.
type TestResult struct {
	Passed bool
	Got    Fate
	Why    Explanation
}

// Run tries t on p at now, in a repository of the test's own images. The image
// of the test is the one that is explained; its digest is "test".
func (t Test) Run(p Policy, now time.Time) TestResult { return t.RunAmong(p, nil, now) }

// RunAmong is Run with more images, which p counts together with those of the test.
func (t Test) RunAmong(p Policy, images []Image, now time.Time) TestResult {
	const digest = "test"
	ago := func(days float64) time.Time { return now.Add(-time.Duration(days * float64(24*time.Hour))) }
	m := Image{Digest: digest, Tags: t.Tags, PushedAt: ago(t.AgeDays)}
	if t.PulledDaysAgo != nil {
		m.LastPulledAt = ago(*t.PulledDaysAgo)
	}
	if t.ArchivedDaysAgo != nil {
		m.Status, m.LastArchivedAt = StatusArchived, ago(*t.ArchivedDaysAgo)
	}
	all := append([]Image{m}, images...)
	for i := range t.Newer {
		newer := m
		newer.Digest, newer.PushedAt = fmt.Sprintf("%s-newer-%d", digest, i+1), m.PushedAt.Add(time.Duration(i+1))
		all = append(all, newer)
	}
	why, _ := Explain(p, all, now, digest)
	got := map[ActionType]Fate{Keep: Kept, Expire: Expired, Transition: Archived}[why.Outcome.Action]
	return TestResult{got == t.Expect, got, why}
}
