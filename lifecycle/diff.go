package lifecycle

import "time"

// Difference is what another policy would do to the images of a repository.
// Each list is in the order of the images.
type Difference struct {
	Lost   []Change // expire under the new policy and not under the old
	Gained []Change // expire under the old policy and not under the new
	// Changed are the others that another rule acts on, or with another action:
	// archived or not, or going by another rule.
	Changed []Change
}

// Change is what two policies do to one image.
type Change struct {
	Image         Image
	Before, After Outcome
}

// Diff compares what two policies do to images at now, after the guards. What
// the new one would do within a time, it does at now plus that time.
func Diff(before, after Policy, images []Image, now time.Time) Difference {
	return Options{}.Diff(before, after, images, now)
}

// Diff is the function Diff under o.
func (o Options) Diff(before, after Policy, images []Image, now time.Time) Difference {
	var d Difference
	a, b := o.Decide(before, images, now), o.Decide(after, images, now)
	for i := range images {
		c := Change{images[i], a[i], b[i]}
		switch {
		case a[i].Action != Expire && b[i].Action == Expire:
			d.Lost = append(d.Lost, c)
		case a[i].Action == Expire && b[i].Action != Expire:
			d.Gained = append(d.Gained, c)
		case a[i].Action != b[i].Action || a[i].Rule != b[i].Rule:
			d.Changed = append(d.Changed, c)
		}
	}
	return d
}
