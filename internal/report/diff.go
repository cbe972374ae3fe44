package report

import "github.com/kontor-registry/kontor/lifecycle"

// LifecycleDiff is what another policy does to the same images.
type LifecycleDiff struct {
	Lost    []FateChange `json:"lost"`    // expire by the new policy only
	Gained  []FateChange `json:"gained"`  // expire by the old policy only
	Changed []FateChange `json:"changed"` // otherwise
	New     string       `json:"newPolicy"`
	Images  int          `json:"images"` // that were looked at
	Header
}

// FateChange is an image before and after.
type FateChange struct {
	Digest string   `json:"imageDigest"`
	Tags   []string `json:"imageTags"`
	Before Image    `json:"before"`
	After  Image    `json:"after"`
}

// NewLifecycleDiff compares the policy of l with another, from source.
func NewLifecycleDiff(l Lifecycle, after lifecycle.Policy, source string) LifecycleDiff {
	diff := l.Options.Diff(l.Policy, after, l.Images, l.At)
	changes := func(list []lifecycle.Change) []FateChange {
		out := []FateChange{}
		for _, c := range list {
			before := l.image(c.Image, c.Before)
			out = append(out, FateChange{c.Image.Digest, before.Tags, before, l.image(c.Image, c.After)})
		}
		return out
	}
	return LifecycleDiff{changes(diff.Lost), changes(diff.Gained), changes(diff.Changed), source, len(l.Images), l.header()}
}

// MayBe counts the lost images that an index may keep that is not known.
func (d *LifecycleDiff) MayBe() int {
	n := 0
	for _, c := range d.Lost {
		if c.After.MayBeChild {
			n++
		}
	}
	return n
}

// Same counts the images whose fate is as before.
func (d *LifecycleDiff) Same() int { return d.Images - len(d.Lost) - len(d.Gained) - len(d.Changed) }

// TallyOf counts the images of changes.
func TallyOf(changes []FateChange) Tally {
	var t Tally
	for _, c := range changes {
		t.add(c.After.SizeBytes)
	}
	return t
}
