// Package report holds Kontor's reports as plain values: what lifecycle
// policies do, who may do what, what a registry keeps and deleted. The field
// names of their JSON forms are published.
//
// What it guarantees: everything that a reader of a report sees is in its
// value, computed once, so that text, Markdown, pages and JSON say the same;
// and a report's JSON reads back as the same value. It formats nothing but the
// sentences that are published as such, and brings no command line, no network
// and no deployer with it: a server can make its pages from these values.
// Reports about files and plans are in package rollout.
package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/lifecycle"
)

// Lifecycle is a repository's images and the policy that they are looked at
// with: what the reports about it are made from.
type Lifecycle struct {
	Repository string // "" when it is not known
	Source     string // where the policy comes from, in words
	At         time.Time
	Policy     lifecycle.Policy
	// Origins are the fields of the file that made the rules, by priority.
	Origins map[int]Origin
	Images  []lifecycle.Image
	// Known reports whether it is known which images belong to which index.
	Known bool
	// ArchiveUnseen: the list may leave out images that are archived.
	ArchiveUnseen bool
	// InUse are the images in use, by digest, with who uses them.
	InUse map[string]string
	// Options settle what AWS leaves open; AWS says that they foretell AWS.
	Options lifecycle.Options
	AWS     bool
}

// Origin is the field of a file that made something.
type Origin struct {
	Field string // such as "ecr_repositories.api.expiration_rules[0]"
	Place
}

// Place is where something stands in a file. Line and Column count from 1; zero
// when there is no such place.
type Place struct {
	File         string
	Line, Column int
}

// String is "FILE:LINE:COLUMN"; "FILE" without a line.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Header is what all reports about a lifecycle policy have.
type Header struct {
	Repository string    `json:"repository,omitempty"`
	Policy     string    `json:"policy"` // where it comes from
	At         time.Time `json:"at"`
	// Assume is "aws" for what AWS may do, at the most, and "kontor" for what
	// Kontor's registry does.
	Assume string `json:"assume"`
	// ManifestsKnown is false when images may be parts of an index whose
	// manifest is not known.
	ManifestsKnown bool `json:"manifestsKnown"`
}

func (l *Lifecycle) header() Header {
	return Header{l.Repository, l.Source, l.At.UTC(), map[bool]string{true: "aws", false: "kontor"}[l.AWS], l.Known}
}

// Image is an image and what happens to it.
type Image struct {
	Digest string               `json:"imageDigest"`
	Tags   []string             `json:"imageTags"`
	Action lifecycle.ActionType `json:"action"`
	// Rule is the priority of the rule that acts, or that would if nothing
	// guarded the image.
	Rule      *int   `json:"rulePriority"`
	GuardedBy *Guard `json:"guardedBy"`
	// MayBeChild: an index that is not known may list it, and keep it.
	MayBeChild bool `json:"mayBeIndexChild,omitempty"`
	// Owner is the rule that the image belongs to, the only one that may act.
	Owner     *int       `json:"ownerPriority"`
	Rank      int        `json:"rank,omitempty"`
	With      string     `json:"withImageDigest,omitempty"`
	Assumed   []string   `json:"assumed,omitempty"`
	PushedAt  *time.Time `json:"imagePushedAt,omitempty"`
	PulledAt  *time.Time `json:"lastRecordedPullTime,omitempty"`
	SizeBytes int64      `json:"imageSizeInBytes"`
	// Status is where the image is, when it is not active.
	Status lifecycle.Status `json:"imageStatus,omitempty"`
	// UsedBy is who uses the image, by a lease; "" when nothing says so.
	UsedBy string `json:"usedBy,omitempty"`
}

// Guard is what keeps an image against the rules.
type Guard struct {
	Kind   lifecycle.GuardKind  `json:"kind"`
	By     string               `json:"by"`
	Action lifecycle.ActionType `json:"action"` // what it prevents
}

func (l *Lifecycle) image(m lifecycle.Image, o lifecycle.Outcome) Image {
	f := Image{
		Digest: m.Digest, Tags: list(m.Tags), Action: o.Action, Rule: priority(o.Rule), Owner: priority(o.Owner),
		MayBeChild: l.mayBeChild(m, o), Rank: o.Rank, With: o.With, PushedAt: known(m.PushedAt), PulledAt: known(m.LastPulledAt),
		SizeBytes: m.SizeBytes, Assumed: assumed(o), UsedBy: l.InUse[m.Digest],
	}
	if m.Status != lifecycle.StatusActive {
		f.Status = m.Status
	}
	if g := o.GuardedBy; g != nil {
		f.GuardedBy = &Guard{g.Kind, g.By, g.Action}
	}
	return f
}

// assumed names what an outcome hangs on.
func assumed(o lifecycle.Outcome) []string {
	if o.Assumed == 0 {
		return nil
	}
	return strings.Split(o.Assumed.String(), ",")
}

// list is s, never nil: published lists are there even when they are empty.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// priority is nil for no rule.
func priority(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

// known is nil for a time that is not known.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// mayBeChild reports whether an image that a rule acts on may be a part of an
// index that keeps it, for all that is known. Indexes are taken to be no parts
// of others.
func (l *Lifecycle) mayBeChild(m lifecycle.Image, o lifecycle.Outcome) bool {
	return !l.Known && o.Action != lifecycle.Keep && !isIndex(m)
}

func isIndex(m lifecycle.Image) bool {
	return len(m.Children) > 0 || strings.HasSuffix(m.MediaType, ".image.index.v1+json") || strings.HasSuffix(m.MediaType, ".manifest.list.v2+json")
}

// MayBeKept reports whether manifests that are not known could change what a
// report says of some image: of now, and of within a time.
func (l *Lifecycle) MayBeKept(within time.Duration) bool {
	if l.Known {
		return false
	}
	// parts of an index do not count
	if !l.Options.CountDependents && slices.ContainsFunc(l.Policy.Rules, func(r lifecycle.Rule) bool { return r.Selection.CountType == lifecycle.ImageCountMoreThan }) {
		return true
	}
	for _, at := range []time.Time{l.At, l.At.Add(within)} {
		for i, o := range l.Options.Decide(l.Policy, l.Images, at) {
			if l.mayBeChild(l.Images[i], o) {
				return true
			}
		}
	}
	return false
}

// ImageMayBeKept is MayBeKept of the image of a digest alone, whenever it goes.
func (l *Lifecycle) ImageMayBeKept(digest string) bool {
	x, ok := l.Options.Explain(l.Policy, l.Images, l.At, digest)
	return ok && !l.Known && !isIndex(x.Image) && (!x.Changes.IsZero() || !l.Options.CountDependents)
}

// Tally counts images.
type Tally struct {
	Images int   `json:"images"`
	Bytes  int64 `json:"bytes"`
}

func (t *Tally) add(size int64) { t.Images++; t.Bytes += size }

// String is "3 images, 1.2 GiB".
func (t Tally) String() string {
	s := words.Count(t.Images, "image", "images")
	if t.Bytes > 0 {
		s += ", " + words.Bytes(t.Bytes)
	}
	return s
}

// Rule is a rule of the policy and what it makes go in all.
type Rule struct {
	Priority int    `json:"rulePriority"`
	Words    string `json:"words"`
	// Description is the author's.
	Description string               `json:"description,omitempty"`
	Field       string               `json:"field,omitempty"` // of the file
	Place       string               `json:"place,omitempty"`
	Action      lifecycle.ActionType `json:"action"`
	Tally
	OldestImage string `json:"oldestImageDigest,omitempty"`
	NewestImage string `json:"newestImageDigest,omitempty"`
}

func (l *Lifecycle) rule(r lifecycle.Rule) Rule {
	o := l.Origins[r.Priority]
	return Rule{Priority: r.Priority, Words: words.Rule(r), Description: r.Description, Action: r.Action.Type, Field: o.Field, Place: o.Place.String()}
}

// rules are those of the policy, the highest first.
func (l *Lifecycle) rules() []lifecycle.Rule {
	rules := slices.Clone(l.Policy.Rules)
	slices.SortStableFunc(rules, func(a, b lifecycle.Rule) int { return cmp.Compare(a.Priority, b.Priority) })
	return rules
}
