package lifecycle_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/lifecycle"
)

// A forecast without arrivals is Decide, run after run, on what is left.
func TestForecastIsDecideRepeated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genSmallPolicy(t)
		images := genImages(t, p)
		genGraph(t, images)
		o := rapid.SampledFrom(allOptions).Draw(t, "options")
		if len(images) > 0 && rapid.Bool().Draw(t, "hold") {
			o.Held = lifecycle.Held{images[0].Digest: "lease"}
		}
		before := fmt.Sprint(images)
		got := o.Forecast(p, images, testNow, lifecycle.Horizon{Days: 12, Step: 48 * time.Hour})
		if before != fmt.Sprint(images) {
			t.Fatal("arguments were changed")
		}
		var want lifecycle.Timeline
		left := slices.Clone(images)
		for at := testNow; !at.After(testNow.AddDate(0, 0, 12)); at = at.AddDate(0, 0, 2) {
			run := lifecycle.Run{At: at}
			var next []lifecycle.Image
			for i, out := range o.Decide(p, left, at) {
				m := left[i]
				if out.Action != lifecycle.Keep {
					run.Gone = append(run.Gone, lifecycle.Departure{Image: m, Outcome: out})
				}
				if out.Action == lifecycle.Transition {
					m.Status, m.LastArchivedAt = lifecycle.StatusArchived, at
				}
				if out.Action != lifecycle.Expire {
					next = append(next, m)
				}
			}
			run.Images = len(next)
			left = next
			want.Runs = append(want.Runs, run)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatalf("%s\n(-want +got):\n%s", p, diff)
		}
	})
}

// Without counts, which depend on other images, Explain foretells the run in
// which an image goes.
func TestExplainAgreesWithForecast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genSmallPolicy(t)
		images := genImages(t, p)
		graph := rapid.Bool().Draw(t, "graph")
		if graph {
			genGraph(t, images)
			p.Rules = slices.DeleteFunc(p.Rules, func(r lifecycle.Rule) bool {
				return r.Selection.CountType == lifecycle.ImageCountMoreThan || r.Action.Type == lifecycle.Transition
			})
		}
		if graph && undecided(p, images) {
			return
		}
		const days = 40
		first := map[string]time.Time{}
		for _, run := range lifecycle.Forecast(p, images, testNow, lifecycle.Horizon{Days: days}).Runs {
			for _, d := range run.Gone {
				if _, ok := first[d.Image.Digest]; !ok {
					first[d.Image.Digest] = run.At
				}
			}
		}
		for _, m := range images {
			e, _ := lifecycle.Explain(p, images, testNow, m.Digest)
			// the first run at or after now and after the change; an index and
			// what it lists need one run each
			slack := time.Duration(0)
			if graph {
				slack = time.Duration(len(images)) * 24 * time.Hour
			}
			run, goes := first[m.Digest]
			switch {
			case goes && e.Changes.IsZero():
				t.Fatalf("%s goes at %v, not never", m.Digest, run)
			case goes && (run.Before(e.Changes) || run.Sub(e.Changes) > 24*time.Hour+slack):
				t.Fatalf("%s goes at %v, not after %v", m.Digest, run, e.Changes)
			case !goes && !e.Changes.IsZero() && e.Changes.Before(testNow.AddDate(0, 0, days).Add(-slack)):
				t.Fatalf("%s does not go after %v", m.Digest, e.Changes)
			}
		}
	})
}

// undecided reports whether the hours of the runs decide what becomes of an
// image: its subject and an index that lists it go at different instants, but
// maybe in one run.
func undecided(p lifecycle.Policy, images []lifecycle.Image) bool {
	slack := time.Duration(len(images)+1) * 24 * time.Hour
	for _, m := range images {
		e, _ := lifecycle.Explain(p, images, testNow, m.Digest)
		subject, ok := lifecycle.Explain(p, images, testNow, m.Subject)
		if !ok || subject.Changes.IsZero() {
			continue
		}
		for _, digest := range e.Indexes {
			index, _ := lifecycle.Explain(p, images, testNow, digest)
			if d := index.Changes.Sub(subject.Changes).Abs(); d > 0 && d <= slack {
				return true
			}
		}
	}
	return false
}

// BuildKit's attestations refer to an image and are listed by its index.
func TestExplainListedReferrer(t *testing.T) {
	p := mustParse(t, policy(rule(1, tagged+`"tagPatternList":["v*"],`+pushed(5), expire), rule(2, untagged+pushed(3), expire)))
	for _, c := range []struct {
		name               string
		index, attestation float64 // pushed so many days ago
		want               float64 // the attestation changes so many days before now
	}{
		{"all go with the index", 1, 1, -4},
		{"a younger one goes with its subject, after the index", 4, 0.5, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			images := []lifecycle.Image{
				{Digest: "index", Tags: []string{"v1"}, PushedAt: daysAgo(c.index), Children: []string{"image", "attestation"}},
				{Digest: "image", PushedAt: daysAgo(c.index)},
				{Digest: "attestation", PushedAt: daysAgo(c.attestation), Subject: "image"},
			}
			e, _ := lifecycle.Explain(p, images, testNow, "attestation")
			if !e.Changes.Equal(daysAgo(c.want)) {
				t.Errorf("it changes at %v, not %v", e.Changes, daysAgo(c.want))
			}
		})
	}
	// The subject and the index go in one run, which leaves the image without
	// a subject: its own clock, which restoring it has set, counts.
	images := []lifecycle.Image{
		{Digest: "subject", PushedAt: daysAgo(0)},
		{Digest: "index", PushedAt: daysAgo(0), Children: []string{"referrer"}},
		{Digest: "referrer", PushedAt: daysAgo(0), LastActivatedAt: daysAgo(-10), Subject: "subject"},
	}
	e, _ := lifecycle.Explain(p, images, testNow, "referrer")
	if want := daysAgo(-13); !e.Changes.Equal(want) {
		t.Errorf("the restored referrer changes at %v, not %v", e.Changes, want)
	}
}

func departures(f lifecycle.Timeline) string {
	var b strings.Builder
	for i, run := range f.Runs {
		for _, d := range run.Gone {
			fmt.Fprintf(&b, "day %d: %s %s by %d\n", i, d.Outcome.Action, d.Image.Digest, d.Outcome.Rule)
		}
	}
	return b.String()
}

func TestForecastIndexBeforeChildren(t *testing.T) {
	p := mustParse(t, policy(rule(1, untagged+pushed(1), expire), rule(2, tagged+`"tagPatternList":["v*"],`+pushed(30), expire)))
	images := []lifecycle.Image{
		{Digest: "index", Tags: []string{"v1"}, PushedAt: daysAgo(29.5), Children: []string{"child"}},
		{Digest: "child", PushedAt: daysAgo(29.5)},
		{Digest: "signature", PushedAt: daysAgo(29), Subject: "index", LastPulledAt: daysAgo(2)},
	}
	f := lifecycle.Forecast(p, images, testNow, lifecycle.Horizon{Days: 5})
	if diff := gocmp.Diff("day 1: expire index by 2\nday 1: expire signature by 2\nday 2: expire child by 1\n", departures(f)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if run, d, ok := f.FirstPulledSince(daysAgo(7)); !ok || d.Image.Digest != "signature" || !run.At.Equal(daysAgo(-1)) {
		t.Errorf("first pulled: %v %v %v", run.At, d.Image.Digest, ok)
	}
	if _, _, ok := f.FirstPulledSince(daysAgo(1)); ok {
		t.Error("nothing was pulled in the last day")
	}
}

func TestForecastArchives(t *testing.T) {
	p := mustParse(t, policy(rule(1, anyImage+pushed(30), archive),
		rule(2, anyImage+`"storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":90`, expire)))
	f := lifecycle.Forecast(p, []lifecycle.Image{{Digest: "a", Tags: []string{"x"}, PushedAt: daysAgo(28), SizeBytes: 7}}, testNow, lifecycle.Horizon{Days: 100})
	// 30 days are over at the run of day 2; of day 3 they are longer ago
	if diff := gocmp.Diff("day 3: transition a by 1\nday 94: expire a by 2\n", departures(f)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if r := f.Runs[93]; r.Images != 1 || r.SizeBytes != 7 {
		t.Errorf("day 93: %d images, %d bytes", r.Images, r.SizeBytes)
	}
	if r := f.Runs[94]; r.Images != 0 || r.SizeBytes != 0 {
		t.Errorf("day 94: %d images, %d bytes", r.Images, r.SizeBytes)
	}
}

// A push each day continues: a rule that keeps five loses one each day, the
// oldest first, and the repository keeps its size.
func TestForecastAtPresentRate(t *testing.T) {
	p := mustParse(t, policy(rule(1, tagged+`"tagPatternList":["v*"],"countType":"imageCountMoreThan","countNumber":5`, expire)))
	var images []lifecycle.Image
	for i := range 5 {
		images = append(images, lifecycle.Image{Digest: fmt.Sprint("i", i), Tags: []string{fmt.Sprint("v", i)}, PushedAt: daysAgo(float64(5 - i)), SizeBytes: 1})
	}
	f := lifecycle.Forecast(p, images, testNow, lifecycle.Horizon{Days: 7, Rate: lifecycle.RatePresent})
	want := "day 1: expire i0 by 1\nday 2: expire i1 by 1\nday 3: expire i2 by 1\nday 4: expire i3 by 1\nday 5: expire i4 by 1\n" +
		"day 6: expire arrival-1-i0 by 1\nday 7: expire arrival-2-i1 by 1\n"
	if diff := gocmp.Diff(want, departures(f)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, run := range f.Runs {
		if run.Images != 5 || run.SizeBytes != 5 {
			t.Errorf("%v: %d images, %d bytes", run.At, run.Images, run.SizeBytes)
		}
		for _, d := range run.Gone {
			if d.Arrived != strings.HasPrefix(d.Image.Digest, "arrival-") {
				t.Errorf("%s: arrived is %v", d.Image.Digest, d.Arrived)
			}
		}
	}
	if f := lifecycle.Forecast(p, images, testNow, lifecycle.Horizon{Days: 7, Rate: lifecycle.RateNone}); departures(f) != "" {
		t.Errorf("without arrivals: %s", departures(f))
	}
}

// An arriving index brings its children and its signature.
func TestForecastArrivingIndex(t *testing.T) {
	p := mustParse(t, policy(rule(1, untagged+pushed(1), expire), rule(2, tagged+`"tagPatternList":["v*"],`+pushed(2), expire)))
	images := []lifecycle.Image{
		{Digest: "index", Tags: []string{"v1"}, PushedAt: daysAgo(1), Children: []string{"child"}},
		{Digest: "child", PushedAt: daysAgo(1)},
		{Digest: "signature", PushedAt: daysAgo(1), Subject: "index"},
	}
	f := lifecycle.Forecast(p, images, testNow, lifecycle.Horizon{Days: 5, Rate: lifecycle.RatePresent})
	want := `day 2: expire index by 2
day 2: expire signature by 2
day 3: expire child by 1
day 4: expire arrival-1-index by 2
day 4: expire arrival-1-signature by 2
day 5: expire arrival-1-child by 1
day 5: expire arrival-2-index by 2
day 5: expire arrival-2-signature by 2
`
	if diff := gocmp.Diff(want, departures(f)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Whatever arrives, a forecast is the same each time, and counts right.
func TestForecastIsDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genSmallPolicy(t)
		images := genImages(t, p)
		genGraph(t, images)
		h := lifecycle.Horizon{Days: 6, Step: 12 * time.Hour, Rate: lifecycle.RatePresent}
		a := lifecycle.Forecast(p, images, testNow, h)
		if diff := gocmp.Diff(a, lifecycle.Forecast(p, images, testNow, h)); diff != "" {
			t.Fatalf("(-once +again):\n%s", diff)
		}
		seen := map[string]bool{}
		for _, run := range a.Runs {
			for _, d := range run.Gone {
				if d.Outcome.Action == lifecycle.Expire {
					if seen[d.Image.Digest] {
						t.Fatalf("%s goes twice", d.Image.Digest)
					}
					seen[d.Image.Digest] = true
				}
			}
			if run.Images < 0 {
				t.Fatalf("%d images left", run.Images)
			}
		}
	})
}
