package upstream

import (
	"context"
	"maps"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
)

// Figures say how a registry's caches of one upstream do, in this process.
type Figures struct {
	// Hits were answered from here, Misses by the upstream, Failed not at all: manifests
	// and blobs.
	Hits, Misses, Failed     int64
	SavedBytes, FetchedBytes int64 // of hits and misses
	// QuotaLeft is how many pulls the upstream still allows, as it said last; Limited is
	// false where it has not.
	QuotaLeft int64
	Limited   bool
}

// AllFigures are those of a registry.
type AllFigures struct {
	Since  time.Time // when counting began
	ByHost map[string]Figures
}

// add changes the figures of a registry's upstream.
func (s *Service) add(in ecr.RegistryID, host string, change func(*Figures)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.figures[in][host]
	change(&f)
	if s.figures[in] == nil {
		s.figures[in] = map[string]Figures{}
	}
	s.figures[in][host] = f
}

func (s *Service) count(in ecr.RegistryID, upstream string, how Outcome, size int64) {
	s.add(in, upstream, func(f *Figures) {
		switch how {
		case Hit, Compared, Stale:
			f.Hits++
			f.SavedBytes += size
		case Miss:
			f.Misses++
			f.FetchedBytes += size
		case Failed:
			f.Failed++
		}
	})
	if s.cfg.Observer != nil {
		s.cfg.Observer.Pulled(upstream, how, size)
	}
}

var opFigures = gate.Op("Figures", "ecr:DescribePullThroughCacheRules")

// Figures returns how the caches of a registry do in this process, since it was started.
func (c *Caller) Figures(ctx context.Context, in ecr.RegistryID) (AllFigures, error) {
	err := c.gate.Read(ctx, opFigures, func(ctx context.Context, v *gate.View) error {
		_, err := v.EnterRegistry(ctx, in)
		return err
	})
	if err != nil {
		return AllFigures{}, err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return AllFigures{c.s.began, maps.Clone(c.s.figures[in])}, nil
}
