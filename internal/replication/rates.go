package replication

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Rate limits what goes to a destination, from all processes on the database together. The
// zero value is no limit.
type Rate struct {
	// ImageEvery is the time between the beginnings of two images, such as 6 seconds for 10
	// images a minute; 0 for no limit.
	ImageEvery time.Duration
	// BytesPerSecond of layers; 0 for no limit.
	BytesPerSecond int64
}

// None reports whether r limits nothing.
func (r Rate) None() bool { return r.ImageEvery == 0 && r.BytesPerSecond == 0 }

// String is such as "10 images a minute and 1.0 MiB a second".
func (r Rate) String() string {
	images, bytes := "", ""
	if r.ImageEvery > 0 {
		images = words.Count(r.ImagesPerMinute(), "image", "images") + " a minute"
	}
	if r.BytesPerSecond > 0 {
		bytes = words.Bytes(r.BytesPerSecond) + " a second"
	}
	switch {
	case images == "":
		return bytes
	case bytes == "":
		return images
	}
	return images + " and " + bytes
}

// ImagesPerMinute is ImageEvery as operators give it, 0 for no limit.
func (r Rate) ImagesPerMinute() int {
	if r.ImageEvery <= 0 {
		return 0
	}
	return int((time.Minute + r.ImageEvery/2) / r.ImageEvery)
}

// ticks is how often in a second bytes are asked for, from all processes together.
const ticks = 4

// rateOf is the rate of a destination.
func (s *Service) rateOf(to ecr.RegistryID) Rate { return s.cfg.Elsewhere[to].Rate }

// waitingForRate are the destinations whose rate lets no image begin now, or no bytes be
// sent; each with how long that lasts.
func (s *Service) waitingForRate(ctx context.Context, r meta.ReplicationReader, images, bytes bool) (map[ecr.RegistryID]time.Duration, error) {
	all := map[ecr.RegistryID]time.Duration{}
	limited := false
	for _, e := range s.cfg.Elsewhere {
		limited = limited || !e.Rate.None()
	}
	if !limited {
		return all, nil
	}
	rates, err := r.ReplicationRates(ctx)
	for _, rate := range rates {
		limit, wait := s.rateOf(rate.To), time.Duration(0)
		if images && limit.ImageEvery > 0 {
			wait = min(rate.Images, limit.ImageEvery)
		}
		if bytes && limit.BytesPerSecond > 0 {
			wait = max(wait, rate.Bytes)
		}
		if wait > 0 {
			all[rate.To] = wait
		}
	}
	return all, err
}

// spendImage takes an image's place in the rate of a destination, in the transaction in
// which it is taken.
func (s *Service) spendImage(ctx context.Context, tx *gate.Tx, to ecr.RegistryID) error {
	every := s.rateOf(to).ImageEvery
	if every == 0 {
		return nil
	}
	_, err := tx.Registries().SpendReplicationRate(ctx, to, every, 0)
	return err
}

// giveBack returns the place of an image for which nothing was asked of its destination.
func (s *Service) giveBack(ctx context.Context, tx *gate.Tx, to ecr.RegistryID) error {
	every := s.rateOf(to).ImageEvery
	if every == 0 {
		return nil
	}
	_, err := tx.Registries().SpendReplicationRate(ctx, to, -every, 0)
	return err
}

// allowance are the bytes of a destination that this process may send.
type allowance struct {
	mu   sync.Mutex
	left int64 // guarded by mu
}

// take takes at most n bytes, 0 when there are none.
func (a *allowance) take(n int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n = int(min(int64(n), a.left))
	a.left -= int64(n)
	return n
}

func (a *allowance) add(n int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left += n
}

// allowance is that of a destination.
func (s *Service) allowance(to ecr.RegistryID) *allowance {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.allowances[to] == nil {
		s.allowances[to] = &allowance{}
	}
	return s.allowances[to]
}

// limited reads content no faster than the rate of a destination allows.
func (s *Service) limited(ctx context.Context, to ecr.RegistryID, r io.ReadCloser) io.ReadCloser {
	rate := s.rateOf(to).BytesPerSecond
	if rate == 0 {
		return r
	}
	return &limitedReader{ReadCloser: r, ctx: ctx, s: s, to: to, rate: rate, allowed: s.allowance(to)}
}

// limitedReader is limited.
type limitedReader struct {
	io.ReadCloser
	ctx     context.Context // of the copy that it belongs to
	s       *Service
	to      ecr.RegistryID
	rate    int64
	allowed *allowance
}

// Read reads what is allowed, and waits until something is.
func (l *limitedReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return l.ReadCloser.Read(p)
	}
	n := l.allowed.take(len(p))
	for n == 0 {
		if err := l.more(); err != nil {
			return 0, err
		}
		n = l.allowed.take(len(p))
	}
	got, err := l.ReadCloser.Read(p[:n])
	l.allowed.add(int64(n - got))
	return got, err
}

// more waits for the next bytes that all processes on the database share.
func (l *limitedReader) more() error {
	chunk := max(l.rate/ticks, 1)
	lasts := time.Duration(float64(chunk) / float64(l.rate) * float64(time.Second))
	var before meta.ReplicationRate
	err := l.s.system().Change(l.ctx, opWork, func(ctx context.Context, tx *gate.Tx) (err error) {
		before, err = tx.Registries().SpendReplicationRate(ctx, l.to, 0, lasts)
		return err
	})
	if err != nil {
		return err
	}
	t := time.NewTimer(before.Bytes)
	defer t.Stop()
	select {
	case <-l.ctx.Done():
		return context.Cause(l.ctx)
	case <-t.C:
		l.allowed.add(chunk)
		return nil
	}
}
