// Package leasetags protects images in use with the ECR API alone: with a tag and a
// rule. Plan computes the changes of a repository, Apply makes them.
//
// Each leased image gets its own tag, "kontor-lease-" and its digest, and
// the repository's lifecycle policy gets a rule with precedence over all others that
// keeps such tags. A tag that is named after a digest never has to move. So it works
// in immutable repositories, without exclusion filters, and removing it can never
// remove it from another image. AWS itself keeps images that an index lists and,
// while a subject exists, its referrers; for an image that an index lists, the index
// is tagged, too.
//
// It never deletes an image that no rule would expire: ECR deletes an image with its
// last tag. A stale tag that is the last of its image is removed, with the image,
// only if the policy would expire the image without the tag at that moment; until
// then it stays.
//
// Source: Amazon ECR API, version 2015-09-21, BatchDeleteImage ("After you
// remove the last tag from an image, the image is deleted") and PutImage;
// docs/design/0015-admin-api-and-leases.md.
package leasetags

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/leases"
	"github.com/kontor-registry/kontor/lifecycle"
)

// TagPrefix begins every tag that this package makes.
const TagPrefix = "kontor-lease-"

// Pattern is what the rule selects. A file may have it under keep, so that
// apply and lease apply agree.
const Pattern = TagPrefix + "*"

// keepAll is a count that no repository comes to, and out of reach what counts
// as one.
const (
	keepAll    = 999_999
	outOfReach = 9_999
)

// TagFor is the tag that keeps the image d alive, at most 77 characters for
// SHA-256. Longer digests are cut to what a tag may have.
func TagFor(d string) string {
	_, value, _ := strings.Cut(d, ":")
	return TagPrefix + value[:min(len(value), 128-len(TagPrefix))]
}

// Tagged is a lease tag and its image.
type Tagged struct {
	Digest string   `json:"imageDigest"`
	Tag    string   `json:"imageTag"`
	Tags   []string `json:"imageTags"`       // the image's others
	Users  []string `json:"users,omitempty"` // who uses it
	Rule   int      `json:"rulePriority,omitempty"`
}

// Change is what keeps the leased images of a repository alive, and no others.
type Change struct {
	Registry   ecr.RegistryID     `json:"-"`
	Repository ecr.RepositoryName `json:"repositoryName"`
	// Kept are leased images that have their tags.
	Kept []Tagged `json:"kept"`
	// Add are leased images that get tags.
	Add []Tagged `json:"add"`
	// Remove are tags of images that are no longer in use; the images have
	// others.
	Remove []Tagged `json:"remove"`
	// Expire are images that are no longer in use and that Rule would expire without
	// the tag: they are deleted with it.
	Expire []Tagged `json:"expire"`
	// Waiting are images that are no longer in use and that have no other tag,
	// but that no rule would expire: they stay as they are.
	Waiting []Tagged `json:"waiting"`
	// Missing are leases on images that are not there, or in the archive.
	Missing []Missing `json:"missing"`
	// Before and After are the texts of the lifecycle policy; After is empty
	// when it is right as it is.
	Before string `json:"-"`
	After  string `json:"lifecyclePolicyText,omitempty"`
}

// Missing is a lease that keeps nothing.
type Missing struct {
	Image string `json:"image"`
	User  string `json:"user"`
	Why   string `json:"why"`
}

// Empty reports whether there is nothing to do.
func (c *Change) Empty() bool {
	return len(c.Add) == 0 && len(c.Remove) == 0 && len(c.Expire) == 0 && c.After == ""
}

// Plan compares a repository with the leases on it; leases on others are
// passed over. The error is about a policy that cannot be read or extended.
func Plan(s images.Snapshot, leased []leases.Lease, now time.Time) (Change, error) {
	c := Change{
		Registry: s.Registry, Repository: s.Repository, Before: s.Policy,
		Kept: []Tagged{}, Add: []Tagged{}, Remove: []Tagged{}, Expire: []Tagged{}, Waiting: []Tagged{}, Missing: []Missing{},
	}
	all, _ := s.Images()
	users := c.users(all, leased)
	keep := keepers(all, users)
	current := map[string]string{} // the images without lease tags that are stale
	for i, m := range all {
		others := []string{}
		has := false
		for _, tag := range m.Tags {
			switch {
			case !strings.HasPrefix(tag, TagPrefix):
				others = append(others, tag)
			case keep[m.Digest] && tag == TagFor(m.Digest):
				has = true
			default:
				current[m.Digest] = tag
			}
		}
		t := Tagged{Digest: m.Digest, Tag: TagFor(m.Digest), Tags: others, Users: users[m.Digest]}
		switch {
		case has:
			c.Kept = append(c.Kept, t)
		case keep[m.Digest]:
			c.Add = append(c.Add, t)
		}
		all[i].Tags = others
		if has || keep[m.Digest] {
			all[i].Tags = append(slices.Clone(others), t.Tag)
		}
	}
	var err error
	if c.After, err = withRule(s.Policy); err != nil {
		return Change{}, err
	}
	return c, c.stale(all, current, cmp.Or(c.After, s.Policy), now)
}

// users finds the images that the leases mean: who uses each, by digest.
func (c *Change) users(all []lifecycle.Image, leased []leases.Lease) map[string][]string {
	byTag, byDigest := map[string]lifecycle.Image{}, map[string]lifecycle.Image{}
	for _, m := range all {
		byDigest[m.Digest] = m
		for _, t := range m.Tags {
			byTag[t] = m
		}
	}
	users := map[string][]string{}
	for _, l := range leased {
		if l.Repository != c.Repository {
			continue
		}
		m, ok := byDigest[string(l.Image.Digest)]
		name := string(c.Repository) + "@" + string(l.Image.Digest)
		if l.Image.Digest == "" {
			m, ok = byTag[string(l.Image.Tag)]
			name = string(c.Repository) + ":" + string(l.Image.Tag)
		}
		switch {
		case !ok:
			c.Missing = append(c.Missing, Missing{name, l.User, "there is no such image"})
		case m.Status == lifecycle.StatusArchived || m.Status == lifecycle.StatusActivating:
			c.Missing = append(c.Missing, Missing{name, l.User, "it is archived, and archived images cannot be tagged"})
		case !slices.Contains(users[m.Digest], l.User):
			users[m.Digest] = append(users[m.Digest], l.User)
		}
	}
	return users
}

// keepers are the images that need a tag: those in use, and what stands above
// them, the indexes that list them and the subjects they refer to.
func keepers(all []lifecycle.Image, users map[string][]string) map[string]bool {
	held := lifecycle.Held{}
	for d := range users {
		held[d] = "lease"
	}
	closed := held.Close(all)
	below := map[string]bool{}
	for _, m := range all {
		if _, ok := closed[m.Digest]; !ok {
			continue
		}
		for _, child := range m.Children {
			below[child] = true
		}
		if _, ok := closed[m.Subject]; ok {
			below[m.Digest] = true
		}
	}
	keep := map[string]bool{}
	for _, m := range all {
		_, held := closed[m.Digest]
		archived := m.Status == lifecycle.StatusArchived || m.Status == lifecycle.StatusActivating
		if _, used := users[m.Digest]; used || held && !below[m.Digest] && !archived {
			keep[m.Digest] = true
		}
	}
	return keep
}

// stale sorts the tags that are no longer needed. all are the images without
// them.
func (c *Change) stale(all []lifecycle.Image, tags map[string]string, policy string, now time.Time) error {
	if len(tags) == 0 {
		return nil
	}
	var p lifecycle.Policy
	if policy != "" {
		var err error
		if p, err = lifecycle.Decode([]byte(policy)); err != nil {
			return err
		}
	}
	outcomes := map[string]lifecycle.Outcome{}
	// The zero options delete the least.
	for i, o := range (lifecycle.Options{}).Decide(p, all, now) {
		outcomes[all[i].Digest] = o
	}
	for _, m := range all {
		tag, ok := tags[m.Digest]
		if !ok {
			continue
		}
		t := Tagged{Digest: m.Digest, Tag: tag, Tags: m.Tags}
		switch o := outcomes[m.Digest]; {
		case len(m.Tags) > 0:
			c.Remove = append(c.Remove, t)
		case o.Action == lifecycle.Expire && o.With == "":
			t.Rule = o.Rule
			c.Expire = append(c.Expire, t)
		default:
			c.Waiting = append(c.Waiting, t)
		}
	}
	return nil
}

// withRule returns the policy with a rule that keeps lease tags above all that
// could take them, "" when it has one or when there is no policy to protect
// from.
func withRule(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	p, err := lifecycle.Decode([]byte(text))
	if err != nil {
		return "", fmt.Errorf("the lifecycle policy cannot be read: %w", err)
	}
	rules := slices.SortedFunc(slices.Values(p.Rules), func(a, b lifecycle.Rule) int { return cmp.Compare(a.Priority, b.Priority) })
	for _, r := range rules {
		if isOurs(r) {
			return "", nil
		}
		if r.Selection.CountType != lifecycle.ImageCountMoreThan || r.Selection.CountNumber < outOfReach {
			break // it could take something
		}
	}
	rules = slices.DeleteFunc(rules, isOurs)
	// The rules before the first gap make room.
	used := map[int]bool{}
	for _, r := range rules {
		used[r.Priority] = true
	}
	gap := 1
	for used[gap] {
		gap++
	}
	for i := range rules {
		if rules[i].Priority < gap {
			rules[i].Priority++
		}
	}
	p.Rules = slices.Insert(rules, 0, lifecycle.Rule{
		Priority: 1, Description: "Images in use (kontor lease)",
		Selection: lifecycle.Selection{
			TagStatus: lifecycle.Tagged, TagPatterns: []string{Pattern}, CountType: lifecycle.ImageCountMoreThan, CountNumber: keepAll,
		},
		Action: lifecycle.Action{Type: lifecycle.Expire},
	})
	if err := lifecycle.Validate(p); err != nil {
		return "", fmt.Errorf("the lifecycle policy has no room for the rule that keeps images in use: %w", err)
	}
	return p.String(), nil
}

// isOurs reports whether r keeps what has a lease tag, whoever wrote it.
func isOurs(r lifecycle.Rule) bool {
	s := r.Selection
	return slices.Equal(s.TagPatterns, []string{Pattern}) && s.CountType == lifecycle.ImageCountMoreThan && s.CountNumber >= outOfReach
}

// Repositories are those that leases name, in byte order.
func Repositories(leased []leases.Lease) []ecr.RepositoryName {
	names := map[ecr.RepositoryName]bool{}
	for _, l := range leased {
		names[l.Repository] = true
	}
	return slices.Sorted(maps.Keys(names))
}

var errMoved = errors.New("it has changed since it was read: run the command again")
