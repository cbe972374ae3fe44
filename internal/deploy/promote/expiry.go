package promote

import (
	"context"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/promote/expiry"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/lifecycle"
)

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
	x.image.Expires, err = expiry.Of(options, policy, x.arrived(&snapshot, now), now, x.image.Digest)
	if err != nil || x.image.Expires == nil {
		return err
	}
	if e := x.image.Expires; e.Soon(now) {
		x.image.find(CodeExpires, plan.Warning, "rule %d of the lifecycle policy of %s/%s deletes the image %s: %s",
			e.Rule, x.to.registry.Name, x.to.name, e.When(now), e.Remedy(now))
	}
	x.warnOfReferrers(policy, snapshot)
	return nil
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
	s = v.snapshot
	s.Policy, err = x.to.lifecycle(ctx)
	return s, err == nil, err
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
