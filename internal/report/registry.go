package report

import (
	"slices"
	"time"

	"github.com/kontor-registry/kontor/internal/leases"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// Journal is what the journal has, oldest first.
type Journal struct {
	Entries []admin.JournalEntry `json:"entries"`
}

// Activity is who pulled what, in order of days.
type Activity struct {
	Entries []admin.PullActivity `json:"entries"`
	// KeptDays is for how many days this is kept; 0 is not at all.
	KeptDays int `json:"keptDays"`
}

// Pulls is their sum.
func (a Activity) Pulls() (n int64) {
	for _, e := range a.Entries {
		n += e.Pulls
	}
	return n
}

// Bin is what the recycle bin holds, in the order of deletion.
type Bin struct {
	Entries []admin.BinEntry `json:"entries"`
}

// Total counts the images of the bin.
func (b Bin) Total() Tally {
	var t Tally
	for _, e := range b.Entries {
		t.add(e.SizeBytes)
	}
	return t
}

// Usage is what the images of repositories take.
type Usage struct {
	Repositories []admin.DescribeUsageResponse `json:"repositories"`
}

// LayerBytes is what the layers take if no two repositories share one.
func (u Usage) LayerBytes() int64 {
	var n int64
	for _, r := range u.Repositories {
		n += r.LayerBytes
	}
	return n
}

// LifecycleRuns is what runs of lifecycle policies did, or would do.
type LifecycleRuns struct {
	Runs []admin.RunLifecycleResponse `json:"runs"`
}

// Stopped reports whether one of the runs stopped rather than continue.
func (r LifecycleRuns) Stopped() bool {
	return slices.ContainsFunc(r.Runs, func(run admin.RunLifecycleResponse) bool { return run.Stopped })
}

// Gone is what a registry says of an image that is not there.
type Gone struct {
	Repository string `json:"repositoryName"`
	// What was asked for: a tag, or a digest or the beginning of one.
	Tag    string `json:"imageTag,omitempty"`
	Digest string `json:"imageDigest,omitempty"`
	// Entries of the journal are about it, the oldest first.
	Entries []admin.JournalEntry `json:"journal"`
	// Restorable is what the recycle bin holds of the image of the last entry;
	// nil for nothing.
	Restorable *admin.BinEntry `json:"restorable,omitempty"`
}

// CollectedLeases is what a collector found in use, and what was recorded of
// it.
type CollectedLeases struct {
	// Recorded is nil for a dry run.
	Recorded *admin.ReportLeasesResponse `json:"recorded"`
	Leases   []admin.Lease               `json:"leases"`
	// Others are images of other registries, which are not recorded.
	Others []leases.Other `json:"otherRegistries"`
	// Of a cluster: how many objects have images, how many pods have ended,
	// and what has none, by kind.
	Objects   int            `json:"objects,omitzero"`
	EndedPods int            `json:"endedPods,omitzero"`
	Unknown   map[string]int `json:"withoutImages,omitzero"`
}

// Identity is a user or role.
type Identity struct {
	Name     string        `json:"name"`
	ARN      string        `json:"arn"`
	ID       string        `json:"id"`
	Created  time.Time     `json:"created_at"`
	Policies []string      `json:"policies"`
	Keys     []IdentityKey `json:"access_keys,omitempty"` // of users
}

// IdentityKey is an access key; Secret is told once, when it is made.
type IdentityKey struct {
	ID      string    `json:"id"`
	Active  bool      `json:"active"`
	Created time.Time `json:"created_at"`
	Secret  string    `json:"secret_access_key,omitempty"`
}
