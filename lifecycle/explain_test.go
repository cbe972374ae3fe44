package lifecycle_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/lifecycle"
)

func daysAgo(n float64) time.Time { return testNow.Add(-time.Duration(n * 24 * float64(time.Hour))) }

func TestExplain(t *testing.T) {
	p := mustParse(t, policy(
		rule(1, tagged+`"tagPatternList":["keep-*"],"countType":"imageCountMoreThan","countNumber":999999`, expire),
		rule(2, tagged+`"tagPatternList":["app-*","*-rc"],`+pushed(30), expire),
		rule(3, tagged+`"tagPrefixList":["app-"],"countType":"imageCountMoreThan","countNumber":2`, expire),
		rule(4, anyImage+`"storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":90`, expire),
		rule(5, anyImage+pushed(60), expire)))
	images := []lifecycle.Image{
		{Digest: "a", Tags: []string{"app-1", "keep-1"}, PushedAt: daysAgo(1)},
		{Digest: "b", Tags: []string{"app-2"}, PushedAt: daysAgo(2)},
		{Digest: "c", Tags: []string{"app-3"}, PushedAt: daysAgo(3)},
		{Digest: "d", Tags: []string{"app-4-rc"}, PushedAt: daysAgo(10)},
		{Digest: "e", Tags: []string{"other"}, PushedAt: daysAgo(61)},
	}
	reasons := func(t *testing.T, digest string) (lifecycle.Explanation, string) {
		t.Helper()

		e, ok := lifecycle.Explain(p, images, testNow, digest)
		if !ok {
			t.Fatal("no such image")
		}
		var s string
		for _, r := range e.Reasons {
			s += fmt.Sprintf("%d %s met=%v %d/%d missing%q %s\n", r.Rule.Priority, r.Verdict, r.Met, r.Rank, r.Of, r.Missing, r.Clock)
		}
		return e, s
	}
	for digest, want := range map[string]string{
		"a": `1 keeps met=false 1/1 missing[] 
2 tags met=false 0/0 missing["*-rc"] 
3 outranked met=false 1/4 missing[] 
4 class met=false 0/0 missing[] 
5 outranked met=false 0/0 missing[] pushed
`,
		"c": `1 tags met=false 0/0 missing["keep-*"] 
2 tags met=false 0/0 missing["*-rc"] 
3 acts met=true 3/4 missing[] 
4 class met=false 0/0 missing[] 
5 outranked met=false 0/0 missing[] pushed
`,
		"d": `1 tags met=false 0/0 missing["keep-*"] 
2 keeps met=false 0/0 missing[] pushed
3 outranked met=true 4/4 missing[] 
4 class met=false 0/0 missing[] 
5 outranked met=false 0/0 missing[] pushed
`,
	} {
		t.Run(digest, func(t *testing.T) {
			if _, got := reasons(t, digest); got != want {
				t.Errorf("%s", gocmp.Diff(want, got))
			}
		})
	}
	for digest, want := range map[string]time.Time{"a": {}, "b": {}, "c": testNow, "d": daysAgo(-20), "e": testNow} {
		t.Run(digest, func(t *testing.T) {
			if e, _ := reasons(t, digest); !e.Changes.Equal(want) {
				t.Errorf("%s changes at %v, want %v", digest, e.Changes, want)
			}
		})
	}
	d, _ := reasons(t, "d")
	if o := d.Owner(); o == nil || o.Rule.Priority != 2 || !o.Since.Equal(daysAgo(10)) || !o.Due.Equal(daysAgo(-20)) ||
		gocmp.Diff([]lifecycle.Match{{Element: "app-*", Tag: "app-4-rc"}, {Element: "*-rc", Tag: "app-4-rc"}}, o.Matches) != "" {
		t.Errorf("owner %+v", o)
	}
	if _, ok := lifecycle.Explain(p, images, testNow, "z"); ok {
		t.Error("explains an image that is not there")
	}
}

// What comes after the archive is what a forecast sees.
func TestExplainArchived(t *testing.T) {
	p := mustParse(t, policy(
		rule(1, tagged+`"tagPatternList":["v*"],`+pushed(30), archive),
		rule(2, tagged+`"tagPatternList":["v1*"],"storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":90`, expire),
		rule(3, untagged+pushed(1), expire)))
	images := []lifecycle.Image{
		{Digest: "now", Tags: []string{"v1"}, PushedAt: daysAgo(40)},
		{Digest: "later", Tags: []string{"v1.1"}, PushedAt: daysAgo(10)},
		{Digest: "stays", Tags: []string{"v2"}, PushedAt: daysAgo(40)},
		{Digest: "never", Tags: []string{"x"}, PushedAt: daysAgo(40)},
		{Digest: "bare", PushedAt: daysAgo(40)},
	}
	for digest, want := range map[string]struct {
		at, due time.Time
		rule    int
	}{"now": {testNow, daysAgo(-90), 2}, "later": {daysAgo(-20), daysAgo(-110), 2}, "stays": {testNow, time.Time{}, 0}} {
		t.Run(digest, func(t *testing.T) {
			e, _ := lifecycle.Explain(p, images, testNow, digest)
			switch a := e.Archived; {
			case a == nil || !a.At.Equal(want.at) || (a.Owner == nil) != (want.rule == 0):
				t.Errorf("%+v", a)
			case a.Owner != nil && (a.Owner.Rule.Priority != want.rule || !a.Owner.Due.Equal(want.due) || !a.Owner.Since.Equal(want.at)):
				t.Errorf("%+v", a.Owner)
			}
			gone := map[lifecycle.ActionType]time.Time{}
			for _, run := range lifecycle.Forecast(p, images, testNow, lifecycle.Horizon{Days: 120}).Runs {
				for _, d := range run.Gone {
					if d.Image.Digest == digest {
						gone[d.Outcome.Action] = run.At
					}
				}
			}
			day := 24 * time.Hour
			if d := gone[lifecycle.Transition].Sub(want.at); d < 0 || d > day {
				t.Errorf("%s is archived at %v, want %v", digest, gone[lifecycle.Transition], want.at)
			}
			if d := gone[lifecycle.Expire].Sub(want.due); want.rule != 0 && (d < 0 || d > 2*day) {
				t.Errorf("%s expires at %v, want %v", digest, gone[lifecycle.Expire], want.due)
			}
		})
	}
	for _, digest := range []string{"never", "bare"} {
		t.Run(digest, func(t *testing.T) {
			if e, _ := lifecycle.Explain(p, images, testNow, digest); e.Archived != nil {
				t.Errorf("%+v", e.Archived)
			}
		})
	}
}

// What guards an image decides when it goes.
func TestExplainGuarded(t *testing.T) {
	p := mustParse(t, policy(rule(1, untagged+pushed(1), expire), rule(2, tagged+`"tagPatternList":["v*"],`+pushed(30), expire)))
	images := []lifecycle.Image{
		{Digest: "index", Tags: []string{"v1"}, PushedAt: daysAgo(10), Children: []string{"child", "late"}},
		{Digest: "late", Tags: []string{"v5"}, PushedAt: daysAgo(2)},
		{Digest: "child", PushedAt: daysAgo(10)},
		{Digest: "signature", PushedAt: daysAgo(10), Subject: "index"},
		{Digest: "kept", Tags: []string{"latest"}, PushedAt: daysAgo(10), Children: []string{"other"}},
		{Digest: "other", PushedAt: daysAgo(10)},
		{Digest: "sbom", Tags: []string{"v2"}, PushedAt: daysAgo(10), Subject: "kept"},
		{Digest: "early", Tags: []string{"v4"}, PushedAt: daysAgo(15), Subject: "index"},
		{Digest: "attestation", Tags: []string{"v3"}, PushedAt: daysAgo(5), Subject: "index"},
	}
	for digest, want := range map[string]time.Time{"index": daysAgo(-20), "child": daysAgo(-20), "signature": daysAgo(-20), "kept": {}, "other": {},
		"sbom": {}, "late": daysAgo(-28), "early": daysAgo(-20), "attestation": daysAgo(-25)} {
		t.Run(digest, func(t *testing.T) {
			e, _ := lifecycle.Explain(p, images, testNow, digest)
			if !e.Changes.Equal(want) {
				t.Errorf("%s changes at %v, want %v", digest, e.Changes, want)
			}
			listed := digest == "child" || digest == "late"
			if listed != (len(e.Indexes) == 1 && e.Indexes[0] == "index") {
				t.Errorf("%s is in %v", digest, e.Indexes)
			}
		})
	}
	o := lifecycle.Options{Held: lifecycle.Held{"child": "lease"}}
	for _, digest := range []string{"index", "child", "signature"} {
		t.Run(digest, func(t *testing.T) {
			if e, _ := o.Explain(p, images, testNow, digest); !e.Changes.IsZero() {
				t.Errorf("%s is held and changes at %v", digest, e.Changes)
			}
		})
	}
}

func TestExplainAgreesWithDecide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genSmallPolicy(t)
		images := genImages(t, p)
		genGraph(t, images)
		o := rapid.SampledFrom(allOptions).Draw(t, "options")
		marked, decided := o.Evaluate(p, images, testNow), o.Decide(p, images, testNow)
		for i, m := range images {
			e, ok := o.Explain(p, images, testNow, m.Digest)
			if !ok || gocmp.Diff(decided[i], e.Outcome) != "" {
				t.Fatalf("%+v, decided %+v", e.Outcome, decided[i])
			}
			if places := max(0, decided[i].Rank-1); len(e.Newer) != places {
				t.Fatalf("%+v has rank %d, and %d are newer", m, decided[i].Rank, len(e.Newer))
			}
			for _, n := range e.Newer {
				k := slices.IndexFunc(images, func(m lifecycle.Image) bool { return m.Digest == n.Image.Digest })
				if n.Owner != marked[k].Owner || !n.Image.PushedAt.IsZero() && n.Image.LastActivatedAt.IsZero() && n.Image.PushedAt.Before(m.PushedAt) {
					t.Fatalf("%+v is said to be newer than %+v", n, m)
				}
			}
			owner := e.Owner()
			if (owner == nil) != (marked[i].Owner == 0) || len(e.Reasons) != len(p.Rules) {
				t.Fatalf("%+v: owner %+v", marked[i], owner)
			}
			if owner == nil {
				continue
			}
			if owner.Rule.Priority != marked[i].Owner || owner.Rank != marked[i].Rank || owner.Met != (marked[i].Action != lifecycle.Keep) {
				t.Fatalf("%+v: owner %+v", marked[i], owner)
			}
			if decided[i].Action != lifecycle.Keep && !e.Changes.Equal(testNow) {
				t.Fatalf("%+v goes, but at %v", decided[i], e.Changes)
			}
		}
	})
}
