package promote

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/ecr"
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

// expire says when the image would go at its destination, and by which rule.
func (x *planner) expire(ctx context.Context) error {
	snapshot, ok, err := x.destination(ctx)
	var policy lifecycle.Policy
	if err == nil && ok && snapshot.Policy != "" {
		policy, err = lifecycle.Decode([]byte(snapshot.Policy))
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil: // the image can go without it
		x.image.find(CodeExpires, plan.Info, "when it expires in %s/%s is not known: %v", x.to.registry.Name, x.to.name, err)
		return nil
	case !ok || snapshot.Policy == "":
		return nil
	}
	options := lifecycle.PredictAWS()
	if snapshot.Kontor {
		options = lifecycle.Options{}
	}
	now := x.cfg.Now().UTC()
	all := x.arrived(&snapshot, now)
	e, ok := options.Explain(policy, all, now, string(x.image.Digest))
	if !ok {
		return nil
	}
	out := &Expiry{Action: lifecycle.Keep, PushedAt: e.Image.PushedAt}
	rule := e.Outcome.Owner
	switch {
	case e.Outcome.Action != lifecycle.Keep:
		out.Action, out.At, rule = e.Outcome.Action, now, e.Outcome.Rule
	case !e.Changes.IsZero():
		// The engine says when; what then, it says for a moment later.
		for i, o := range options.Decide(policy, all, e.Changes.Add(time.Second)) {
			if all[i].Digest == string(x.image.Digest) && o.Action != lifecycle.Keep {
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
			return err
		}
		out.Policy = text
		if r.Selection.CountType == lifecycle.ImageCountMoreThan {
			out.Rank, out.Keep = e.Outcome.Rank, r.Selection.CountNumber
		}
	}
	x.image.Expires = out
	if out.Action == lifecycle.Expire && out.At.Sub(now) <= soon {
		x.image.find(CodeExpires, plan.Warning, "rule %d of the lifecycle policy of %s/%s deletes the image %s: %s",
			out.Rule, x.to.registry.Name, x.to.name, when(out.At, now), remedy(out, now))
	}
	x.warnOfReferrers(policy, snapshot)
	return nil
}

func when(at, now time.Time) string {
	if !at.After(now) {
		return "at its next run"
	}
	days := int(at.Sub(now).Hours()/24 + 0.5)
	return fmt.Sprintf("in %s, on %s", count(max(days, 1), "day"), at.Format("2006-01-02"))
}

// remedy says what helps against the end of an image.
func remedy(e *Expiry, now time.Time) string {
	if now.Sub(e.PushedAt) > 24*time.Hour {
		return fmt.Sprintf("its age counts from %s, when it was pushed there first: keep its tag with keep:, or lengthen the rule", e.PushedAt.Format("2006-01-02"))
	}
	return "keep its tag with keep:, or lengthen the rule"
}

// destination is what the target's repository has, or will have when it is made.
func (x *planner) destination(ctx context.Context) (s images.Snapshot, ok bool, err error) {
	if x.image.Create {
		wanted, _ := x.to.registry.Creator.Wanted(x.to.name)
		return images.Snapshot{Policy: wanted.Lifecycle, Kontor: x.to.registry.API == nil}, true, nil
	}
	v, err := x.to.inventory(ctx)
	if err != nil || v == nil {
		return images.Snapshot{}, false, err
	}
	return v.snapshot, true, nil
}

// arrived are the images of the destination when the image has come.
func (x *planner) arrived(s *images.Snapshot, now time.Time) []lifecycle.Image {
	all, _ := s.Images()
	at := map[string]int{}
	for i := range all {
		at[all[i].Digest] = i
		// The tag leaves the image that has it.
		if all[i].Digest != string(x.image.Digest) {
			all[i].Tags = without(all[i].Tags, string(x.image.To.Tag))
		}
	}
	put := func(v *vertex, tag ecr.Tag) {
		i, ok := at[string(v.Digest)]
		if !ok {
			i = len(all)
			at[string(v.Digest)] = i
			all = append(all, lifecycle.Image{Digest: string(v.Digest), PushedAt: now, MediaType: v.MediaType, SizeBytes: v.parsed.LayerSizeBytes})
			if v.kind == KindReferrer && v.of != nil {
				all[i].Subject = string(v.of.Digest)
			}
		}
		if len(v.children) > 0 {
			all[i].Children = nil
			for _, c := range v.children {
				all[i].Children = append(all[i].Children, string(c.Digest))
			}
		}
		if tag != "" {
			all[i].Tags = append(without(all[i].Tags, string(tag)), string(tag))
		}
	}
	for _, v := range x.graph.all {
		put(v, "")
	}
	for _, v := range x.graph.tags {
		put(v, v.tag)
	}
	put(x.graph.root, x.image.To.Tag)
	return all
}

func without(tags []string, tag string) []string {
	var out []string
	for _, t := range tags {
		if t != tag {
			out = append(out, t)
		}
	}
	return out
}

// warnOfReferrers says what is not known of AWS: whether a rule for untagged
// images takes what refers to an image that stays.
func (x *planner) warnOfReferrers(p lifecycle.Policy, s images.Snapshot) {
	if s.Kontor {
		return
	}
	n := 0
	for i, v := range x.graph.all {
		if v.kind == KindReferrer && !x.image.Manifests[i].There {
			n++
		}
	}
	for _, r := range p.Rules {
		if n > 0 && r.Action.Type == lifecycle.Expire && r.Selection.TagStatus != lifecycle.Tagged {
			x.image.find(CodeUntaggedRule, plan.Info,
				"AWS does not say whether rule %d of the lifecycle policy of %s/%s takes what refers to an image, such as signatures, before the image itself", r.Priority, x.to.registry.Name, x.to.name)
			return
		}
	}
}
