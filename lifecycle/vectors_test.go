package lifecycle_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/lifecycle"
)

// vectorDir holds the published vectors; its README says how they are read.
const vectorDir = "../docs/vectors"

type vectorFile struct {
	Vectors []vector     `json:"vectors"`
	Texts   []vectorText `json:"texts"`
}

type vector struct {
	Name      string                   `json:"name"`
	Now       time.Time                `json:"now"`
	Assume    string                   `json:"assume"`
	Ages      string                   `json:"ages"`
	Extension string                   `json:"extension"`
	Held      map[string]string        `json:"held"`
	Images    []vectorImage            `json:"images"`
	Policy    lifecycle.Policy         `json:"policy"`
	Expect    map[string]vectorOutcome `json:"expect"`
}

type vectorImage struct {
	Name      string   `json:"name"`
	Digest    string   `json:"imageDigest"`
	Tags      []string `json:"imageTags"`
	Pushed    *float64 `json:"pushedDaysAgo"`
	Pulled    *float64 `json:"pulledDaysAgo"`
	Archived  *float64 `json:"archivedDaysAgo"`
	Activated *float64 `json:"activatedDaysAgo"`
	Status    string   `json:"imageStatus"`
	Children  []string `json:"children"`
	Subject   string   `json:"subject"`
}

type vectorOutcome struct {
	Action    string         `json:"action"`
	Rule      int            `json:"rulePriority"`
	With      string         `json:"with"`
	GuardedBy *vectorGuarded `json:"guardedBy"`
	Assumed   string         `json:"assumed"`
}

type vectorGuarded struct {
	Kind string `json:"kind"`
	By   string `json:"by"`
}

type vectorText struct {
	Name      string    `json:"name"`
	Text      string    `json:"text"`
	PadTo     int       `json:"padTo"`
	Extension string    `json:"extension"`
	Errors    []refusal `json:"errors"`
}

func readVectors(t testing.TB, file string) vectorFile {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(vectorDir, file))
	if err != nil {
		t.Fatal(err)
	}
	var f vectorFile
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestVectors(t *testing.T) {
	for file, atLeast := range map[string]int{"lifecycle.json": 60, "lifecycle-guards.json": 35} {
		f := readVectors(t, file)
		if len(f.Vectors) < atLeast {
			t.Errorf("%s has only %d vectors", file, len(f.Vectors))
		}
		for _, v := range f.Vectors {
			t.Run(v.Name, func(t *testing.T) { v.run(t, file == "lifecycle-guards.json") })
		}
	}
}

// setting is what a vector is evaluated with, and the names of its digests.
func (v *vector) setting(t *testing.T) (lifecycle.Options, []lifecycle.Image, map[string]string) {
	t.Helper()
	ago := func(days *float64) time.Time {
		if days == nil {
			return time.Time{}
		}
		return v.Now.Add(-time.Duration(*days * 24 * float64(time.Hour)))
	}
	digest, name := map[string]string{}, map[string]string{}
	for _, m := range v.Images {
		digest[m.Name], name[m.Digest] = m.Digest, m.Name
	}
	known := func(name string) string {
		if d := digest[name]; d != "" {
			return d
		}
		return "sha256:" + name
	}
	var images []lifecycle.Image
	for _, m := range v.Images {
		image := lifecycle.Image{Digest: m.Digest, Tags: m.Tags, PushedAt: ago(m.Pushed), LastPulledAt: ago(m.Pulled),
			LastActivatedAt: ago(m.Activated), LastArchivedAt: ago(m.Archived), Status: lifecycle.Status(m.Status)}
		for _, c := range m.Children {
			image.Children = append(image.Children, known(c))
		}
		if m.Subject != "" {
			image.Subject = known(m.Subject)
		}
		images = append(images, image)
	}
	var o lifecycle.Options
	if v.Assume == "aws" {
		o = lifecycle.PredictAWS()
	}
	if v.Ages == "calendar" {
		o.Ages = lifecycle.AgesCalendar
	}
	for n, by := range v.Held {
		if o.Held == nil {
			o.Held = lifecycle.Held{}
		}
		o.Held[known(n)] = by
	}
	return o, images, name
}

func (v *vector) run(t *testing.T, guards bool) {
	dialect := lifecycle.Dialect{PulledExpire: v.Extension == "pulledExpire"}
	if err := dialect.Validate(v.Policy); err != nil {
		t.Fatal(err)
	}
	o, images, name := v.setting(t)
	evaluate := o.Evaluate
	if guards {
		evaluate = o.Decide
	}
	got := map[string]vectorOutcome{}
	for _, out := range evaluate(v.Policy, images, v.Now) {
		g := vectorOutcome{Action: string(out.Action), Rule: out.Rule, With: name[out.With], Assumed: out.Assumed.String()}
		if by := out.GuardedBy; by != nil {
			g.GuardedBy = &vectorGuarded{string(by.Kind), by.By}
			if n, ok := name[by.By]; ok {
				g.GuardedBy.By = n
			}
		}
		got[name[out.Digest]] = g
	}
	if diff := cmp.Diff(v.Expect, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestValidationVectors(t *testing.T) {
	texts := readVectors(t, "lifecycle-validation.json").Texts
	if len(texts) < 60 {
		t.Errorf("only %d texts", len(texts))
	}
	for _, v := range texts {
		t.Run(v.Name, func(t *testing.T) {
			text := v.Text
			if n := len([]rune(text)); n < v.PadTo {
				text += strings.Repeat(" ", v.PadTo-n)
			}
			_, err := lifecycle.Dialect{PulledExpire: v.Extension == "pulledExpire"}.Parse([]byte(text))
			want := v.Errors
			if len(want) == 0 {
				want = nil
			}
			if diff := cmp.Diff(want, refusals(t, err)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
