package lifecycle_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/lifecycle"
)

// allOptions are the combinations of options worth telling apart.
var allOptions = []lifecycle.Options{
	{}, lifecycle.PredictAWS(), {Ages: lifecycle.AgesCalendar}, {Ties: lifecycle.TiesAllGo}, {CountDependents: true}, {UnguardedReferrers: true},
}

func TestEachImageHasOneOutcome(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genSmallPolicy(t)
		images := genImages(t, p)
		genGraph(t, images)
		o := rapid.SampledFrom(allOptions).Draw(t, "options")
		before := p.String() + fmt.Sprint(images)
		priorities := map[int]lifecycle.ActionType{}
		for _, r := range p.Rules {
			priorities[r.Priority] = r.Action.Type
		}
		marked, decided := o.Evaluate(p, images, testNow), o.Decide(p, images, testNow)
		if diff := gocmp.Diff(decided, o.Guard(images, marked)); diff != "" {
			t.Fatalf("(-Decide +Guard of Evaluate):\n%s", diff)
		}
		for i, out := range marked {
			d := decided[i]
			switch {
			case out.Digest != images[i].Digest || d.Digest != out.Digest:
				t.Fatalf("outcome %d is of another image", i)
			case (out.Action == lifecycle.Keep) != (out.Rule == 0), out.Action != lifecycle.Keep && out.Action != priorities[out.Rule]:
				t.Fatalf("rule and action do not fit: %+v", out)
			case out.Rule != 0 && out.Rule != out.Owner:
				t.Fatalf("another than the owner acts: %+v", out)
			case d.GuardedBy != nil && d.Action != lifecycle.Keep:
				t.Fatalf("guarded and going: %+v", d)
			case out.Action != lifecycle.Keep && d.Action == lifecycle.Keep && d.GuardedBy == nil:
				t.Fatalf("kept by nothing: %+v", d)
			case out.Action == lifecycle.Keep && d.Action != lifecycle.Keep && d.With == "":
				t.Fatalf("goes for no reason: %+v", d)
			case images[i].Status == lifecycle.StatusArchived && d.Action == lifecycle.Transition:
				t.Fatalf("archived twice: %+v", d)
			}
		}
		if after := p.String() + fmt.Sprint(images); before != after {
			t.Fatal("arguments were changed")
		}
	})
}

func byDigest(outcomes []lifecycle.Outcome) map[string]lifecycle.Outcome {
	out := map[string]lifecycle.Outcome{}
	for _, o := range outcomes {
		out[o.Digest] = o
	}
	return out
}

func TestOrderIsIrrelevant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genSmallPolicy(t)
		images := genImages(t, p)
		genGraph(t, images)
		o := rapid.SampledFrom(allOptions).Draw(t, "options")
		q := lifecycle.Policy{Rules: rapid.Permutation(p.Rules).Draw(t, "rules in order")}
		shuffled := rapid.Permutation(images).Draw(t, "images in order")
		for i := range shuffled {
			shuffled[i].Tags = slices.Clone(shuffled[i].Tags)
			slices.Reverse(shuffled[i].Tags)
		}
		if diff := gocmp.Diff(byDigest(o.Decide(p, images, testNow)), byDigest(o.Decide(q, shuffled, testNow))); diff != "" {
			t.Fatalf("%s\n(-one order +another):\n%s", p, diff)
		}
	})
}

// A rule above all others that keeps what it selects takes images away from
// the others and gives them nothing.
func TestHigherKeepRuleKeeps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genSmallPolicy(t)
		for i := range p.Rules {
			p.Rules[i].Priority++
		}
		images := genImages(t, p)
		keep := lifecycle.Rule{Priority: 1, Action: lifecycle.Action{Type: lifecycle.Expire}, Selection: lifecycle.Selection{
			TagStatus: lifecycle.Tagged, TagPatterns: []string{rapid.SampledFrom([]string{"x", "l*", "*"}).Draw(t, "kept")},
			CountType: lifecycle.ImageCountMoreThan, CountNumber: 999_999}}
		with := lifecycle.Policy{Rules: append([]lifecycle.Rule{keep}, p.Rules...)}
		before, after := lifecycle.Evaluate(p, images, testNow), lifecycle.Evaluate(with, images, testNow)
		for i := range images {
			kept := selects(keep, images[i])
			if kept && after[i].Action != lifecycle.Keep {
				t.Fatalf("selected by the keep rule and going: %+v", after[i])
			}
			if !kept && after[i] != before[i] {
				t.Fatalf("not selected by the keep rule and changed: %+v, before %+v", after[i], before[i])
			}
		}
	})
}

func TestAgesAreMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genSmallPolicy(t)
		images := genImages(t, p)
		o := rapid.SampledFrom(allOptions).Draw(t, "options")
		later := testNow.Add(time.Duration(rapid.Int64Range(0, int64(40*24*time.Hour)).Draw(t, "later")))
		now, then := o.Evaluate(p, images, testNow), o.Evaluate(p, images, later)
		for i := range images {
			if now[i].Action != lifecycle.Keep && then[i] != now[i] {
				t.Fatalf("goes now, not later: %+v, then %+v", now[i], then[i])
			}
		}
	})
}

// The prediction for AWS never foretells less than what we would do.
func TestPredictionDeletesMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genSmallPolicy(t)
		images := genImages(t, p)
		genGraph(t, images)
		o := lifecycle.PredictAWS()
		ours, aws := lifecycle.Evaluate(p, images, testNow), o.Evaluate(p, images, testNow)
		for i := range images {
			if ours[i].Action != lifecycle.Keep && aws[i].Action != ours[i].Action {
				t.Fatalf("ours %+v, AWS's %+v", ours[i], aws[i])
			}
			if more := ours[i].Action != aws[i].Action; more != (aws[i].Assumed != 0) {
				t.Fatalf("assumed is wrong: ours %+v, AWS's %+v", ours[i], aws[i])
			}
		}
	})
}

// Nothing that is guarded goes: no child before its index, no referrer without
// its subject, nothing held.
func TestGuardsHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genSmallPolicy(t)
		images := genImages(t, p)
		genGraph(t, images)
		var o lifecycle.Options
		if len(images) > 0 && rapid.Bool().Draw(t, "hold") {
			o.Held = lifecycle.Held{images[0].Digest: "lease"}
		}
		out := byDigest(o.Decide(p, images, testNow))
		status := map[string]lifecycle.Status{}
		for _, m := range images {
			status[m.Digest] = m.Status
		}
		for _, m := range images {
			if out[m.Digest].Action == lifecycle.Expire {
				if s, there := out[m.Subject]; there && s.Action != lifecycle.Expire {
					t.Fatalf("%s goes without its subject %s", m.Digest, m.Subject)
				}
			}
			if s := out[m.Subject]; s.Action == lifecycle.Expire && len(m.Tags) == 0 {
				if g := out[m.Digest]; g.Action != lifecycle.Expire && g.GuardedBy == nil {
					t.Fatalf("%s stays behind its subject %s", m.Digest, m.Subject)
				}
			}
			for _, c := range m.Children {
				if a := out[c].Action; a == lifecycle.Expire || a == lifecycle.Transition && m.Status != lifecycle.StatusArchived {
					t.Fatalf("%s goes before its index %s", c, m.Digest)
				}
			}
		}
		for d := range o.Held.Close(images) {
			if a := out[d].Action; a != lifecycle.Keep {
				t.Fatalf("%s is held and goes: %s", d, a)
			}
		}
	})
}

func TestGuardSurvivesCircles(t *testing.T) {
	old := testNow.AddDate(-1, 0, 0)
	images := []lifecycle.Image{
		{Digest: "a", PushedAt: old, Subject: "b"}, {Digest: "b", PushedAt: old, Subject: "a"}, {Digest: "c", PushedAt: old, Subject: "c", Children: []string{"c"}},
	}
	p := mustParse(t, policy(rule(1, untagged+pushed(1), expire)))
	o := lifecycle.Options{Held: lifecycle.Held{"b": "lease"}}
	for _, out := range []map[string]lifecycle.Outcome{byDigest(lifecycle.Decide(p, images, testNow)), byDigest(o.Decide(p, images, testNow))} {
		if out["a"].Action != lifecycle.Keep || out["b"].Action != lifecycle.Keep || out["c"].Action != lifecycle.Expire {
			t.Errorf("%+v", out)
		}
	}
}

// Rules that no policy of ECR has yet own images and act on none; numbers as
// great as the language allows do not overflow.
func TestEvaluateOddPolicies(t *testing.T) {
	old := []lifecycle.Image{{Digest: "a", Tags: []string{"x"}, PushedAt: testNow.AddDate(-3, 0, 0)}, {Digest: "b", Tags: []string{"x"}, PushedAt: testNow}}
	selection := lifecycle.Selection{TagStatus: lifecycle.Any, CountType: lifecycle.SinceImagePushed, CountUnit: lifecycle.Days, CountNumber: 1}
	for name, r := range map[string]lifecycle.Rule{
		"unknown action":     {Priority: 1, Selection: selection, Action: lifecycle.Action{Type: "hide"}},
		"unknown count type": {Priority: 1, Selection: lifecycle.Selection{TagStatus: lifecycle.Any, CountType: "sinceImageSigned", CountNumber: 1}, Action: lifecycle.Action{Type: lifecycle.Expire}},
		"no count":           {Priority: 1, Selection: lifecycle.Selection{TagStatus: lifecycle.Any, CountType: lifecycle.ImageCountMoreThan}, Action: lifecycle.Action{Type: lifecycle.Expire}},
		"negative age": {Priority: 1, Selection: lifecycle.Selection{TagStatus: lifecycle.Any, CountType: lifecycle.SinceImagePushed, CountUnit: lifecycle.Days,
			CountNumber: -1}, Action: lifecycle.Action{Type: lifecycle.Expire}},
		"great age": {Priority: 1, Selection: lifecycle.Selection{TagStatus: lifecycle.Any, CountType: lifecycle.SinceImagePushed, CountUnit: lifecycle.Days,
			CountNumber: math.MaxInt32}, Action: lifecycle.Action{Type: lifecycle.Expire}},
		"great count": {Priority: 1, Selection: lifecycle.Selection{TagStatus: lifecycle.Any, CountType: lifecycle.ImageCountMoreThan,
			CountNumber: math.MaxInt32}, Action: lifecycle.Action{Type: lifecycle.Expire}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, o := range allOptions {
				for _, out := range o.Evaluate(lifecycle.Policy{Rules: []lifecycle.Rule{r}}, old, testNow) {
					if out.Action != lifecycle.Keep || out.Owner != 1 {
						t.Errorf("%+v", out)
					}
				}
			}
		})
	}
	if out := lifecycle.Evaluate(lifecycle.Policy{}, old, testNow); len(out) != 2 || out[0].Action != lifecycle.Keep || out[0].Owner != 0 {
		t.Errorf("no rules: %+v", out)
	}
}

func mustParse(t testing.TB, text string) lifecycle.Policy {
	t.Helper()
	p, err := lifecycle.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}
