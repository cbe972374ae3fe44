package report

import (
	"time"

	"github.com/kontor-registry/kontor/lifecycle"
)

// Preview is what a policy does to each image now.
type Preview struct {
	Images  []Image `json:"images"` // in the order in which they came
	Summary Summary `json:"summary"`
	Header
}

// Summary counts what a preview lists.
type Summary struct {
	Images      int   `json:"images"`
	Keep        int   `json:"keep"`
	Expire      int   `json:"expire"`
	ExpireBytes int64 `json:"expireBytes"`
	Transition  int   `json:"transition"`
	MoveBytes   int64 `json:"transitionBytes"`
	Guarded     int   `json:"guarded"`
	MayBe       int   `json:"mayBeIndexChildren"`
	// Assumed counts the images whose fate hangs on an assumption, by its name.
	Assumed map[string]int `json:"assumed"`
	Rules   []Rule         `json:"rules"`
	// GuardedBy counts the guarded images by what keeps them.
	GuardedBy map[lifecycle.GuardKind]int `json:"guardedBy"`
}

// NewPreview decides about all images of l.
func NewPreview(l Lifecycle) Preview {
	outcomes := l.Options.Decide(l.Policy, l.Images, l.At)
	p := Preview{Images: make([]Image, len(outcomes)), Header: l.header()}
	s := &p.Summary
	*s = Summary{Images: len(outcomes), Assumed: map[string]int{}, Rules: []Rule{}, GuardedBy: map[lifecycle.GuardKind]int{}}
	at := map[int]int{} // place in s.Rules, by priority
	for _, r := range l.rules() {
		at[r.Priority] = len(s.Rules)
		s.Rules = append(s.Rules, l.rule(r))
	}
	// the oldest and the newest image that goes by a rule, by its place
	oldest, newest := make([]time.Time, len(s.Rules)), make([]time.Time, len(s.Rules))
	for i, o := range outcomes {
		m := l.Images[i]
		f := l.image(m, o)
		p.Images[i] = f
		switch o.Action {
		case lifecycle.Expire:
			s.Expire++
			s.ExpireBytes += m.SizeBytes
		case lifecycle.Transition:
			s.Transition++
			s.MoveBytes += m.SizeBytes
		default:
			s.Keep++
		}
		if o.GuardedBy != nil {
			s.Guarded++
			s.GuardedBy[o.GuardedBy.Kind]++
		}
		if f.MayBeChild {
			s.MayBe++
		}
		for _, name := range f.Assumed {
			s.Assumed[name]++
		}
		k, ok := at[o.Rule]
		if o.Action == lifecycle.Keep || !ok {
			continue
		}
		r := &s.Rules[k]
		r.add(m.SizeBytes)
		if r.OldestImage == "" || m.PushedAt.Before(oldest[k]) {
			r.OldestImage, oldest[k] = m.Digest, m.PushedAt
		}
		if r.NewestImage == "" || !m.PushedAt.Before(newest[k]) {
			r.NewestImage, newest[k] = m.Digest, m.PushedAt
		}
	}
	return p
}

// Image is the image of a digest; false when there is none.
func (p *Preview) Image(digest string) (Image, bool) {
	for _, m := range p.Images {
		if m.Digest == digest {
			return m, true
		}
	}
	return Image{}, false
}
