package plan

import (
	"time"

	"github.com/kontor-registry/kontor/lifecycle"
)

// Effects is what another lifecycle policy does to the images of a repository
// at the next run.
type Effects struct {
	Images int `json:"images"` // that were looked at
	// Lost are the images that expire by the new policy and not by the old,
	// Gained those that only the old one would expire.
	Lost   Images `json:"lost"`
	Gained Images `json:"gained"`
	// Of Lost: Perhaps may belong to an index that keeps them, Pulled were
	// pulled in the last seven days, and Names are a tag or the digest of some.
	Perhaps int      `json:"perhaps,omitempty"`
	Pulled  int      `json:"pulled_last_week,omitempty"`
	Names   []string `json:"names,omitempty"`
	// Unread says why the images could not be read; then nothing else is known.
	Unread string `json:"unread,omitempty"`
}

const (
	mostNames = 10
	lately    = 7 * 24 * time.Hour
)

// EffectsOf compares what two policies' texts, "" for none, do to images at now.
// linked says that it is known which images belong to which index.
func EffectsOf(before, after string, o lifecycle.Options, images []lifecycle.Image, linked bool, now time.Time) (Effects, error) {
	decode := func(text string) (p lifecycle.Policy, err error) {
		if text != "" {
			p, err = lifecycle.Decode([]byte(text))
		}
		return p, err
	}
	old, err := decode(before)
	if err != nil {
		return Effects{}, err
	}
	next, err := decode(after)
	if err != nil {
		return Effects{}, err
	}
	d := o.Diff(old, next, images, now)
	e := Effects{Images: len(images)}
	for _, c := range d.Gained {
		e.Gained.add(c.Image)
	}
	for _, c := range d.Lost {
		m := c.Image
		e.Lost.add(m)
		if !linked && len(m.Children) == 0 {
			e.Perhaps++
		}
		if !m.LastPulledAt.IsZero() && now.Sub(m.LastPulledAt) < lately {
			e.Pulled++
		}
		if name := m.Digest; len(e.Names) < mostNames {
			if len(m.Tags) > 0 {
				name = m.Tags[0]
			}
			e.Names = append(e.Names, name)
		}
	}
	return e, nil
}

func (i *Images) add(m lifecycle.Image) {
	i.Count++
	i.SizeBytes += m.SizeBytes
}
