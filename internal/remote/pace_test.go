package remote

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/kontor-registry/kontor/internal/ecr"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// ended is a context that is over: a wait for more than nothing fails with it.
func ended() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("had to wait"))
	return ctx
}

// allowed counts the calls that need not wait at t.
func allowed(p *pace, t time.Time) int {
	n := 0
	for n < 1000 && p.limiter.AllowN(t, 1) {
		n++
	}
	return n
}

func TestPaceOfECR(t *testing.T) {
	for action, perSecond := range map[Action]float64{WriteManifest: 10, StartUpload: 100, MountBlob: 100, UploadBlob: 100} {
		t.Run(fmt.Sprint(action), func(t *testing.T) {
			r, err := New(Config{Host: "111111111111.dkr.ecr.us-east-1.amazonaws.com", Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			p := r.paces[action]
			sum := 0
			for i := range 100 { // ten seconds
				sum += allowed(p, noon.Add(time.Duration(i)*100*time.Millisecond))
			}
			if want := perSecond * 10; float64(sum) > want*1.1 || float64(sum) < want*0.9 {
				t.Errorf("%s: %d calls in ten seconds, want %v", action, sum, want)
			}
		})
	}
	r, err := New(Config{Host: "registry.example", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for a, p := range r.paces {
		if p.limiter.Limit() != rate.Inf {
			t.Errorf("%s is limited elsewhere", a)
		}
	}
}

func TestPaceFollowsTheRegistry(t *testing.T) {
	p := newPace(0)
	for i := range 80 { // 40 a second
		if err := p.wait(t.Context(), noon.Add(time.Duration(i)*25*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	now := noon.Add(2 * time.Second)
	p.throttled(now, now)
	half := p.limiter.Limit()
	if half < 19 || half > 21 {
		t.Errorf("after 40 a second were too many, %v are sent", half)
	}
	for range 5 { // answers to calls that were sent together
		p.throttled(now.Add(100*time.Millisecond), now.Add(-time.Millisecond))
	}
	if got := p.limiter.Limit(); got != half {
		t.Errorf("calls sent together slowed it down to %v", got)
	}
	p.throttled(now.Add(2*time.Second), now.Add(time.Second))
	if got := p.limiter.Limit(); got != half/2 {
		t.Errorf("still too many, %v are sent, want %v", got, half/2)
	}
	// Slowly it comes back, but not to any number.
	for i := range 120 {
		_ = p.wait(ended(), now.Add(time.Duration(3+i)*time.Second)) // waiting is not of interest here
	}
	if got := p.limiter.Limit(); got < half*2 || got > 40*unthrottled {
		t.Errorf("after two minutes %v are sent", got)
	}
	for range 50 {
		now = now.Add(time.Hour)
		p.throttled(now, now)
	}
	if got := p.limiter.Limit(); got != leastRate {
		t.Errorf("a registry that takes nothing is asked %v times a second", got)
	}
	// ECR's own limit is not exceeded.
	p = newPace(10)
	p.throttled(noon, noon)
	for i := range 60 {
		_ = p.wait(ended(), noon.Add(time.Duration(i)*time.Second))
	}
	if got := p.limiter.Limit(); got != 10 {
		t.Errorf("%v a second", got)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	p := newPace(2)
	if err := p.wait(t.Context(), noon); err != nil {
		t.Fatal(err)
	}
	if err := p.wait(ended(), noon); err == nil || err.Error() != "had to wait" {
		t.Errorf("error %v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"": 0, "0": 0, "5": 5 * time.Second, "-5": 0, "soon": 0, "99999999999999": 0,
		noon.Add(90 * time.Second).Format("Mon, 02 Jan 2006 15:04:05 GMT"): 90 * time.Second,
		noon.Add(-time.Hour).Format("Mon, 02 Jan 2006 15:04:05 GMT"):       0,
	} {
		t.Run("value "+s, func(t *testing.T) {
			if got := retryAfter(s, noon); got != want {
				t.Errorf("%q: %s, want %s", s, got, want)
			}
		})
	}
}

func TestAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		e     Error
		times int // after the first
	}{
		"not found":        {Error{Code: ecr.CodeImageNotFound, Status: 404}, 0},
		"denied":           {Error{Code: ecr.CodeAccessDenied, Status: 403}, 0},
		"dropped":          {Error{Code: ecr.CodeUnavailable}, triesDropped - 1},
		"hopeless":         {Error{Code: ecr.CodeUnavailable, hopeless: true}, 0},
		"503":              {Error{Code: ecr.CodeUnavailable, Status: 503}, triesUnavailable - 1},
		"storage":          {Error{Code: ecr.CodeUnavailable, Status: 403, stored: true}, triesDropped - 1},
		"429":              {Error{Code: ecr.CodeThrottling, Status: 429}, triesThrottled - 1},
		"429, in an hour":  {Error{Code: ecr.CodeThrottling, Status: 429, after: time.Hour}, 0},
		"429, in a minute": {Error{Code: ecr.CodeThrottling, Status: 429, after: time.Minute}, triesThrottled - 1},
	} {
		t.Run(name, func(t *testing.T) {
			times := 0
			for attempt := 1; ; attempt++ {
				pause, ok := again(&tt.e, attempt)
				if !ok {
					break
				}
				times++
				if pause < tt.e.after || pause < firstPause || pause > max(longestPause*5/4, tt.e.after) {
					t.Errorf("a pause of %s", pause)
				}
			}
			if times != tt.times {
				t.Errorf("tried again %d times, want %d", times, tt.times)
			}
		})
	}
}

// Amazon ECR's rates hold from the start; another registry with its API says
// itself when it is too much.
func TestPaceOfHosts(t *testing.T) {
	id := ecr.RegistryID{Account: "111111111111", Region: "us-east-1"}
	for host, want := range map[string]rate.Limit{
		"111111111111.dkr.ecr.us-east-1.amazonaws.com": 10, "111111111111.dkr-ecr.us-east-1.on.aws": 10, "localhost:5050": rate.Inf,
	} {
		t.Run(host, func(t *testing.T) {
			r, err := New(Config{Host: host, Registry: id, Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			if got := r.paces[WriteManifest].limiter.Limit(); got != want {
				t.Errorf("%v manifests a second, want %v", got, want)
			}
		})
	}
}
