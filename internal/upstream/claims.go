package upstream

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/remote"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Replicas share what they fetch by claims in the database. One fetches; the others wait
// until it is stored, or for a manifest until it came. They wait for so long only: then, and
// where the database does not answer, each fetches for itself, which is never wrong.
const (
	// claimTime is how long a process has a claim that it does not renew.
	claimTime = 10 * time.Second
	// blobTime and manifestTime are how long a client waits for what another process
	// fetches, without a byte of it.
	blobTime     = 30 * time.Second
	manifestTime = 5 * time.Second
	// shareTime is how long a manifest that came is shown to the others.
	shareTime = 10 * time.Second
	// firstLook and longestLook are how often it is looked whether another one is done.
	firstLook   = 20 * time.Millisecond
	longestLook = 500 * time.Millisecond
)

// claim is a fetch that this process does for all; nil for one that it does for itself.
type claim struct {
	s    *Service
	of   meta.Fetch
	end  func() // stops what renews it
	once sync.Once
}

// claim makes this process the one that fetches something, or waits for the one that does.
// It returns nil without a claim: where there are no others, where the request came from
// another cache, which must not wait for what may wait for it, or when the wait was too
// long. there is a manifest that another one fetched; then there is no claim.
func (s *Service) claim(ctx context.Context, at ecr.Repo, reference string, wait time.Duration) (_ *claim, there meta.Fetched) {
	if !s.cfg.Shared || viaOf(ctx) != "" {
		return nil, there
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	f := meta.Fetch{At: at, Reference: reference, Holder: rand.Text()}
	for pause := firstLook; ; pause = min(2*pause, longestLook) {
		mine := false
		err := s.change(ctx, func(ctx context.Context, tx *gate.Tx) (err error) {
			mine, there, err = tx.Retention().FetchClaims().ClaimFetch(ctx, f, claimTime)
			return err
		})
		switch {
		case err != nil:
			if ctx.Err() == nil {
				s.cfg.Log.WarnContext(ctx, "a fetch is not shared with other replicas", "repository", at.Name, "reference", reference, "error", err)
			}
			return nil, meta.Fetched{}
		case mine:
			return s.keepClaim(f), meta.Fetched{}
		case there.Content != nil:
			return nil, there
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, meta.Fetched{}
		}
	}
}

// keepClaim renews a claim until it is ended or lost. Losing it stops nothing: what is
// fetched twice is the same.
func (s *Service) keepClaim(f meta.Fetch) *claim {
	ctx, cancel := context.WithCancel(s.ctx)
	stopped := make(chan struct{})
	s.work.Go(func() {
		defer close(stopped)
		tick := time.NewTicker(claimTime / 3)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			err := s.change(ctx, func(ctx context.Context, tx *gate.Tx) error {
				return tx.Retention().FetchClaims().KeepFetch(ctx, f, claimTime)
			})
			if errors.Is(err, meta.ErrConflict) {
				return
			}
		}
	})
	return &claim{s: s, of: f, end: func() { cancel(); <-stopped }}
}

// done ends a claim: what was fetched is stored, or will not be.
func (c *claim) done(ctx context.Context) {
	c.finish(ctx, func(ctx context.Context, claims meta.FetchClaims) error { return claims.EndFetch(ctx, c.of) })
}

// share ends a claim on a manifest, and shows it to the others.
func (c *claim) share(ctx context.Context, m remote.Manifest) {
	c.finish(ctx, func(ctx context.Context, claims meta.FetchClaims) error {
		return claims.ShareFetch(ctx, c.of, meta.Fetched{MediaType: m.MediaType, Content: m.Body}, shareTime)
	})
}

func (c *claim) finish(ctx context.Context, how func(context.Context, meta.FetchClaims) error) {
	if c == nil {
		return
	}
	c.once.Do(func() {
		c.end()
		// A claim that is not ended ends with its time.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimTime)
		defer cancel()
		err := c.s.change(ctx, func(ctx context.Context, tx *gate.Tx) error { return how(ctx, tx.Retention().FetchClaims()) })
		if err != nil && !errors.Is(err, meta.ErrConflict) {
			c.s.cfg.Log.WarnContext(ctx, "a claim on a fetch was not ended; it ends in a moment", "repository", c.of.At.Name, "reference", c.of.Reference, "error", err)
		}
	})
}
