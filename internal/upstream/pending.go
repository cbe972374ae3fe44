package upstream

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/registry"
)

// Bounds of manifests on their way, in bytes of all, and how long one is kept that
// nobody reads: clients look (HEAD) before they read.
const (
	maxHeld  = 64 << 20
	heldIdle = 10 * time.Minute
	// lookedAt is how long what an upstream said of a tag holds for one that was only
	// looked at.
	lookedAt = time.Minute
)

// pending is an image on its way: its manifest is here, and not all of its blobs. It
// is served from memory meanwhile, and stored when all its blobs are.
type pending struct {
	at     ecr.Repo
	rule   Rule
	m      registry.Manifest
	parsed manifest.Manifest
	since  time.Duration // on Config.Passed

	mu      sync.Mutex
	tags    []ecr.Tag // guarded by mu
	started bool      // guarded by mu
}

// tagged is what a tag of an image on its way stands for.
type tagged struct {
	digest ecr.Digest
	since  time.Duration // on Config.Passed
}

// keep holds an image on its way.
func (s *Service) keep(c *pending) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.since = s.cfg.Passed()
	key := imageKey{c.at, c.m.Digest}
	for _, t := range c.tags {
		k := tagKey{at: c.at, reference: string(t)}
		if old := s.tags[k]; old.digest != c.m.Digest {
			s.pending[imageKey{c.at, old.digest}].untag(t)
		}
		s.tags[k] = tagged{c.m.Digest, c.since}
	}
	if there := s.pending[key]; there != nil {
		there.mu.Lock()
		for _, t := range c.tags {
			if !slices.Contains(there.tags, t) {
				there.tags = append(there.tags, t)
			}
		}
		there.mu.Unlock()
		return nil
	}
	for k, p := range s.pending {
		if p.idle() && (c.since-p.since > heldIdle || s.held > maxHeld) {
			s.drop(k)
		}
	}
	if s.held > maxHeld {
		return &ecr.Error{Code: ecr.CodeUnavailable, Message: "Too many images are on their way from upstream registries. Try again."}
	}
	s.pending[key] = c
	s.held += int64(len(c.m.Body))
	return nil
}

// drop forgets an image on its way. s.mu is held.
func (s *Service) drop(key imageKey) {
	c := s.pending[key]
	if c == nil {
		return
	}
	delete(s.pending, key)
	s.held -= int64(len(c.m.Body))
	for t, d := range s.tags {
		if t.at == key.at && d.digest == key.digest {
			delete(s.tags, t)
		}
	}
}

// idle reports whether nobody has read an image on its way.
func (c *pending) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.started
}

// untag takes a tag that stands for something else by now; c may be nil.
func (c *pending) untag(t ecr.Tag) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tags = slices.DeleteFunc(slices.Clone(c.tags), func(other ecr.Tag) bool { return other == t })
}

// dropIdle forgets the images of a repository on their way that were only looked at.
func (s *Service) dropIdle(at ecr.Repo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, c := range s.pending {
		if k.at == at && c.idle() {
			s.drop(k)
		}
	}
}

// coming finds an image on its way by tag or digest. One that was only looked at is
// forgotten after a while: its tag may stand for something else.
func (s *Service) coming(at ecr.Repo, reference string) *pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, d, since := s.cfg.Passed(), ecr.Digest(reference), time.Duration(0)
	holds := heldIdle
	byTag := !strings.Contains(reference, ":")
	if byTag {
		t := s.tags[tagKey{at: at, reference: reference}]
		d, since, holds = t.digest, t.since, lookedAt
	}
	key := imageKey{at, d}
	c := s.pending[key]
	if c == nil {
		return nil
	}
	if !byTag {
		since = c.since
	}
	if now-since > holds && c.idle() {
		s.drop(key)
		return nil
	}
	return c
}

func (s *Service) comingDigest(at ecr.Repo, d ecr.Digest) *pending { return s.coming(at, string(d)) }

// begin begins to fetch the blobs of an image, when it is read for the first time.
func (s *Service) begin(c *pending, read bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.started || !read {
		return
	}
	c.started = true
	s.work.Go(func() {
		err := s.complete(s.ctx, c)
		s.mu.Lock()
		s.drop(imageKey{c.at, c.m.Digest})
		s.mu.Unlock()
		if err != nil && s.ctx.Err() == nil {
			s.cfg.Log.Warn("an image of an upstream was not stored; the next pull tries again",
				"upstream", c.rule.Host, "repository", c.at.Name, "digest", c.m.Digest, "error", err)
		}
	})
}

// complete fetches the blobs that an image lacks, and stores it.
func (s *Service) complete(ctx context.Context, c *pending) error {
	missing, err := s.missing(ctx, c.m.Repository, c.parsed)
	if err != nil {
		return err
	}
	sizes := map[ecr.Digest]int64{}
	for _, d := range append([]manifest.Descriptor{*c.parsed.Config}, c.parsed.Layers...) {
		sizes[d.Digest] = d.Size
	}
	results := make(chan error, len(missing))
	slots := make(chan struct{}, blobsAtOnce)
	for _, d := range missing {
		s.work.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			f, err := s.flight(ctx, c.at, c.rule, d, sizes[d])
			if err == nil {
				err = f.wait(ctx)
				f.leave()
			}
			results <- err
		})
	}
	for range missing {
		if e := <-results; e != nil && err == nil {
			err = e
		}
	}
	if err != nil {
		return err
	}
	return s.store(ctx, c)
}
