// Package expiry says what the lifecycle policy of its destination does with an
// image that is promoted.
package expiry

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/lifecycle"
)

// soon is how near an image's end is a finding.
const soon = 30 * 24 * time.Hour

// Expiry is what the lifecycle policy of its destination does with an image.
type Expiry struct {
	// Action is expire or transition, keep when no rule acts on it as time passes
	// alone.
	Action lifecycle.ActionType `json:"action"`
	// At is the first time at which a run acts on it; zero for never.
	At time.Time `json:"at,omitzero"`
	// Rule is the priority of the rule that acts, or owns the image; 0 for none.
	Rule int `json:"rule,omitempty"`
	// Policy is the rule's text.
	Policy json.RawMessage `json:"policy,omitempty"`
	// Rank is the image's place, 1 for the youngest, where the rule keeps the
	// youngest Keep: it goes when as many are pushed.
	Rank int `json:"rank,omitempty"`
	Keep int `json:"keep,omitempty"`
	// PushedAt is from when its age counts: the push of the same image, when it
	// is there already.
	PushedAt time.Time `json:"pushed_at"`
}

// Of is what policy does with the image d of all at the time now and later; nil
// where it is not one of them.
func Of(options lifecycle.Options, policy lifecycle.Policy, all []lifecycle.Image, now time.Time, d ecr.Digest) (*Expiry, error) {
	e, ok := options.Explain(policy, all, now, string(d))
	if !ok {
		return nil, nil
	}
	out := &Expiry{Action: lifecycle.Keep, PushedAt: e.Image.PushedAt}
	rule := e.Outcome.Owner
	switch {
	case e.Outcome.Action != lifecycle.Keep:
		out.Action, out.At, rule = e.Outcome.Action, now, e.Outcome.Rule
	case !e.Changes.IsZero():
		// The engine says when; what then, it says for a moment later.
		for i, o := range options.Decide(policy, all, e.Changes.Add(time.Second)) {
			if all[i].Digest == string(d) && o.Action != lifecycle.Keep {
				out.Action, out.At, rule = o.Action, e.Changes, o.Rule
			}
		}
	}
	out.Rule = rule
	for i, r := range policy.Rules {
		if r.Priority != rule {
			continue
		}
		text, err := json.Marshal(lifecycle.Policy{Rules: policy.Rules[i : i+1]})
		if err != nil {
			return nil, err
		}
		out.Policy = text
		if r.Selection.CountType == lifecycle.ImageCountMoreThan {
			out.Rank, out.Keep = e.Outcome.Rank, r.Selection.CountNumber
		}
	}
	return out, nil
}

// Soon reports whether the image is deleted within 30 days.
func (e *Expiry) Soon(now time.Time) bool {
	return e.Action == lifecycle.Expire && e.At.Sub(now) <= soon
}

// When is when the policy acts, in words.
func (e *Expiry) When(now time.Time) string {
	if !e.At.After(now) {
		return "at its next run"
	}
	days := int(e.At.Sub(now).Hours()/24 + 0.5)
	return fmt.Sprintf("in %s, on %s", words.Count(max(days, 1), "day", "days"), e.At.Format(time.DateOnly))
}

// Remedy says what helps against the end of the image.
func (e *Expiry) Remedy(now time.Time) string {
	if now.Sub(e.PushedAt) > 24*time.Hour {
		return fmt.Sprintf("its age counts from %s, when it was pushed there first: keep its tag with keep:, or lengthen the rule", e.PushedAt.Format(time.DateOnly))
	}
	return "keep its tag with keep:, or lengthen the rule"
}
