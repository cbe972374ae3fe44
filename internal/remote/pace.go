package remote

import (
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How a pace follows the registry: it is halved by an answer 429 to a call that
// was made after the last change, and grows by a tenth each second.
const (
	settling    = time.Second
	leastRate   = 1 // a second
	growth      = 1.1
	unthrottled = 8 // times the rate at which it was throttled first
	// leastSeen is what is taken for the rate of calls that were few so far.
	leastSeen = 10
)

// pace is how often a kind of call may be made.
type pace struct {
	limiter *rate.Limiter
	most    rate.Limit // that it may come back to

	mu      sync.Mutex
	changed time.Time  // guarded by mu
	slower  time.Time  // guarded by mu: when it was halved
	since   time.Time  // guarded by mu: beginning of the count
	count   int        // guarded by mu: calls since then
	seen    rate.Limit // guarded by mu: calls a second, of the last whole count
}

// newPace allows limit calls a second, 0 for any number.
func newPace(limit float64) *pace {
	most := rate.Limit(limit)
	if limit == 0 {
		most = rate.Inf
	}
	return &pace{limiter: rate.NewLimiter(most, burst(most)), most: most}
}

// burst is how many calls go at once: as many as half a second allows.
func burst(l rate.Limit) int {
	if l == rate.Inf {
		return 1
	}
	return max(1, int(l/2))
}

// wait waits until a call may be made.
func (p *pace) wait(ctx context.Context, now time.Time) error {
	p.mu.Lock()
	if now.Sub(p.since) >= settling {
		p.seen = rate.Limit(float64(p.count) / max(now.Sub(p.since), settling).Seconds())
		p.since, p.count = now, 0
	}
	p.count++
	if idle := now.Sub(p.changed); p.limiter.Limit() < p.most && idle >= settling {
		p.set(now, p.limiter.Limit()*rate.Limit(math.Pow(growth, idle.Seconds())))
	}
	d := p.limiter.ReserveN(now, 1).DelayFrom(now)
	p.mu.Unlock()
	return sleep(ctx, d)
}

// throttled is told of an answer 429 to a call that was made at sent.
func (p *pace) throttled(now, sent time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if sent.Before(p.slower) {
		return
	}
	p.slower = now
	l := p.limiter.Limit()
	if l == rate.Inf {
		l = max(p.seen, rate.Limit(p.count), leastSeen)
		p.most = l * unthrottled
	}
	p.set(now, l/2)
}

// set changes the limit. p.mu is held.
func (p *pace) set(now time.Time, l rate.Limit) {
	l = min(max(l, leastRate), p.most)
	p.changed = now
	p.limiter.SetLimitAt(now, l)
	p.limiter.SetBurstAt(now, burst(l))
}

// sleep waits for d, or for the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
