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
	// NoPushTime counts the images whose push is not known: no rule acts on them
	// for their age, and counts take them for the newest.
	NoPushTime int `json:"withoutPushTime"`
	// ArchiveUnseen: rules are about archived images, and the list may have left
	// them out.
	ArchiveUnseen bool `json:"archivedImagesUnseen"`
	// InUse counts the images that leases name, InUseGo those of them that go,
	// and PulledGo those that go though they were pulled in the last week.
	InUse    int `json:"inUse"`
	InUseGo  int `json:"inUseThatGo"`
	PulledGo int `json:"pulledLastWeekThatGo"`
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
		s.ArchiveUnseen = s.ArchiveUnseen || l.ArchiveUnseen && (r.Selection.Class() == lifecycle.Archive || r.Action.Type == lifecycle.Transition)
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
		if m.PushedAt.IsZero() {
			s.NoPushTime++
		}
		if f.UsedBy != "" {
			s.InUse++
		}
		if o.Action == lifecycle.Expire {
			if f.UsedBy != "" {
				s.InUseGo++
			}
			if l.pulledLately(m) {
				s.PulledGo++
			}
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

// recent is how long ago a pull says that an image is in use.
const recent = 7 * 24 * time.Hour

func (l *Lifecycle) pulledLately(m lifecycle.Image) bool {
	return !m.LastPulledAt.IsZero() && !m.LastPulledAt.Before(l.At.Add(-recent))
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
