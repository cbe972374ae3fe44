package retention

import (
	"context"
	"fmt"
	"slices"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/lifecycle"
)

// RepositoryUsage is what the images of a repository take. Blobs are counted
// once however many images refer to them; sizes are bytes.
type RepositoryUsage struct {
	ecr.Repo
	Images        int
	ManifestBytes int64
	BlobBytes     int64
	// OwnBytes are those of BlobBytes that no other repository refers to.
	OwnBytes int64
	Tags     []TagUsage  // in byte order
	Rules    []RuleUsage // of the lifecycle policy, by priority
}

// TagUsage is what the image of a tag takes, with the images that it lists.
type TagUsage struct {
	Tag       ecr.Tag
	Digest    ecr.Digest
	BlobBytes int64
	// OwnBytes are those of BlobBytes that would be free without the image
	// and those it lists.
	OwnBytes int64
}

// RuleUsage is what a rule would free if the policy were run now.
type RuleUsage struct {
	Rule       int // priority
	Images     int
	FreedBytes int64 // of blobs that nothing else refers to
}

var opUsage = gate.Op("Usage", "kontor:DescribeUsage")

// Usage says what the images of a repository take, and what each rule of its
// lifecycle policy would free now: after guards, and with leased images kept.
// What is in the recycle bin, and what no image refers to, does not count.
// Errors: RepositoryNotFound.
func (c *Caller) Usage(ctx context.Context, at ecr.Repo) (RepositoryUsage, error) {
	var u RepositoryUsage
	err := c.gate.ReadRepository(ctx, opUsage, at, func(ctx context.Context, r *gate.View, repo meta.Repository) error {
		s, err := survey(ctx, r, repo)
		if err != nil {
			return err
		}
		u = RepositoryUsage{Repo: at, Images: len(s.images), BlobBytes: s.total(s.users, nil)}
		u.OwnBytes = s.total(s.users, s.shared)
		for _, m := range s.images {
			u.ManifestBytes += m.BodySizeBytes
		}
		u.Tags = s.tags()
		u.Rules, err = c.ruleUsage(ctx, r, repo, s)
		return err
	})
	return u, err
}

// MostFreed is how many images FreedBytes takes, over all sets.
const MostFreed = 100_000

var opFreed = gate.Op("FreedBytes", "kontor:EstimateFreedBytes")

// FreedBytes says for each set of images how many bytes would be free without
// them: those of the blobs that no other image of the registry's store refers to,
// each once. Images that are not there count for nothing.
// Errors: RepositoryNotFound, InvalidParameter for more than MostFreed images.
func (c *Caller) FreedBytes(ctx context.Context, at ecr.Repo, sets [][]ecr.Digest) ([]int64, error) {
	n := 0
	for _, set := range sets {
		n += len(set)
	}
	if n > MostFreed {
		return nil, ecr.InvalidParameter("imageSets", "Member must have at most %d images over all sets", MostFreed)
	}
	var freed []int64
	err := c.gate.ReadRepository(ctx, opFreed, at, func(ctx context.Context, r *gate.View, repo meta.Repository) error {
		s, err := survey(ctx, r, repo)
		if err != nil {
			return err
		}
		freed = make([]int64, len(sets))
		for i, set := range sets {
			slices.Sort(set) // an image that is named twice counts once
			freed[i] = s.own(s.uses(slices.Compact(set)))
		}
		return nil
	})
	return freed, err
}

// inventory is a repository's images and what they refer to.
type inventory struct {
	images   []meta.Manifest // without bodies
	children map[ecr.Digest][]ecr.Digest
	blobs    map[ecr.Digest][]ecr.Digest // by image
	users    map[ecr.Digest]int          // of each blob, how many images
	sizes    map[ecr.Digest]int64        // of blobs
	shared   map[ecr.Digest]bool         // with other repositories
}

// surveyPage is how many rows one statement reads.
const surveyPage = 1000

func survey(ctx context.Context, r *gate.View, repo meta.Repository) (*inventory, error) {
	children, err := meta.Children(ctx, r, repo.ID, surveyPage)
	if err != nil {
		return nil, err
	}
	s := &inventory{
		children: children, blobs: map[ecr.Digest][]ecr.Digest{},
		users: map[ecr.Digest]int{}, sizes: map[ecr.Digest]int64{}, shared: map[ecr.Digest]bool{},
	}
	for m, err := range meta.Images(ctx, r, repo.ID, "", surveyPage) {
		if err != nil {
			return nil, err
		}
		s.images = append(s.images, m)
	}
	for ref, err := range meta.References(ctx, r, repo.ID, surveyPage) {
		if err != nil {
			return nil, err
		}
		s.blobs[ref.Manifest] = append(s.blobs[ref.Manifest], ref.Blob)
		s.users[ref.Blob]++
		s.sizes[ref.Blob] = ref.SizeBytes
	}
	all := make([]ecr.Digest, 0, len(s.sizes))
	for d := range s.sizes {
		all = append(all, d)
	}
	for part := range slices.Chunk(all, surveyPage) {
		shared, err := r.SharedBlobs(ctx, repo.ID, part)
		if err != nil {
			return nil, err
		}
		for _, d := range shared {
			s.shared[d] = true
		}
	}
	return s, nil
}

// total sums the sizes of blobs, except for those in without.
func (s *inventory) total(blobs map[ecr.Digest]int, without map[ecr.Digest]bool) (n int64) {
	for d := range blobs {
		if !without[d] {
			n += s.sizes[d]
		}
	}
	return n
}

// uses counts for each blob how many of images refer to it.
func (s *inventory) uses(images []ecr.Digest) map[ecr.Digest]int {
	n := map[ecr.Digest]int{}
	for _, d := range images {
		for _, b := range s.blobs[d] {
			n[b]++
		}
	}
	return n
}

// own sums the sizes of the blobs that only these users have.
func (s *inventory) own(users map[ecr.Digest]int) (n int64) {
	for d, count := range users {
		if count == s.users[d] && !s.shared[d] {
			n += s.sizes[d]
		}
	}
	return n
}

// whole returns d and all images that it lists, each once.
func (s *inventory) whole(d ecr.Digest) []ecr.Digest {
	all := []ecr.Digest{d}
	for i := 0; i < len(all); i++ {
		for _, child := range s.children[all[i]] {
			if !slices.Contains(all, child) {
				all = append(all, child)
			}
		}
	}
	return all
}

func (s *inventory) tags() []TagUsage {
	var list []TagUsage
	for _, m := range s.images {
		if len(m.Image.Tags) == 0 {
			continue
		}
		users := s.uses(s.whole(m.Image.Digest))
		u := TagUsage{Digest: m.Image.Digest, BlobBytes: s.total(users, nil), OwnBytes: s.own(users)}
		for _, u.Tag = range m.Image.Tags {
			list = append(list, u)
		}
	}
	slices.SortFunc(list, func(a, b TagUsage) int { return compare(a.Tag, b.Tag) })
	return list
}

func compare[T ~string](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// ruleUsage carries the lifecycle policy out on paper.
func (c *Caller) ruleUsage(ctx context.Context, r *gate.View, repo meta.Repository, s *inventory) ([]RuleUsage, error) {
	if repo.LifecycleText == "" {
		return nil, nil
	}
	p, err := lifecycle.Decode([]byte(repo.LifecycleText))
	if err != nil {
		return nil, fmt.Errorf("reading the stored lifecycle policy of %s/%s: %w", repo.Registry, repo.Name, err)
	}
	images := make([]lifecycle.Image, len(s.images))
	for i, m := range s.images {
		images[i] = usageImage(m.Image, s.children[m.Image.Digest])
	}
	held, err := s.leased(ctx, r.Retention(), repo)
	if err != nil {
		return nil, err
	}
	gone := map[int][]ecr.Digest{}
	for i, o := range (lifecycle.Options{Held: held}).Decide(p, images, c.s.cfg.Now()) {
		if o.Action == lifecycle.Expire && o.GuardedBy == nil {
			gone[o.Rule] = append(gone[o.Rule], s.images[i].Image.Digest)
		}
	}
	list := make([]RuleUsage, 0, len(p.Rules))
	for _, rule := range p.Rules {
		list = append(list, RuleUsage{Rule: rule.Priority, Images: len(gone[rule.Priority]), FreedBytes: s.own(s.uses(gone[rule.Priority]))})
	}
	slices.SortFunc(list, func(a, b RuleUsage) int { return a.Rule - b.Rule })
	return list, nil
}

// leased are the images of which a lease names the digest or a tag, with who
// uses them.
func (s *inventory) leased(ctx context.Context, r meta.LeaseReader, repo meta.Repository) (lifecycle.Held, error) {
	leases, err := r.ListLeases(ctx, repo.Registry, repo.Name)
	if err != nil || len(leases) == 0 {
		return nil, err
	}
	byTag := map[ecr.Tag]ecr.Digest{}
	for _, m := range s.images {
		for _, tag := range m.Image.Tags {
			byTag[tag] = m.Image.Digest
		}
	}
	held := lifecycle.Held{}
	for _, l := range leases {
		for _, d := range []ecr.Digest{l.Image.Digest, byTag[l.Image.Tag]} {
			if d != "" {
				held[string(d)] = l.Collector + ": " + l.User
			}
		}
	}
	return held, nil
}

func usageImage(i ecr.Image, children []ecr.Digest) lifecycle.Image {
	m := lifecycle.Image{
		Digest: string(i.Digest), PushedAt: i.PushedAt, LastPulledAt: i.LastPulledAt, LastActivatedAt: i.ActivatedAt,
		LastArchivedAt: i.ArchivedAt, Status: lifecycle.Status(i.Status), MediaType: i.MediaType, SizeBytes: i.SizeBytes,
		Subject: string(i.Subject),
	}
	for _, tag := range i.Tags {
		m.Tags = append(m.Tags, string(tag))
	}
	for _, d := range children {
		m.Children = append(m.Children, string(d))
	}
	return m
}
