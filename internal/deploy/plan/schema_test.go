package plan_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// schema is the published one.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	b, err := os.ReadFile("../../../docs/plan.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("plan.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("plan.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(s *jsonschema.Schema, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return err
	}
	return s.Validate(doc)
}

func TestPlansFitThePublishedSchema(t *testing.T) {
	s := schema(t)
	rapid.Check(t, func(t *rapid.T) {
		o := plan.Options{
			RefreshOnly:  rapid.Bool().Draw(t, "refresh"),
			End:          rapid.SampledFrom([]plan.End{plan.Nothing, plan.LeftFile, plan.Everything}).Draw(t, "end"),
			DeleteImages: rapid.Bool().Draw(t, "delete"),
			Images:       map[ecr.RepositoryName]plan.Images{"aa": {Count: 2, SizeBytes: 7}},
		}
		p := plan.DiffWith(drawDesired(t), drawObserved(t, "", "platform", "website"), o)
		for i := range p.Changes {
			p.Changes[i].Effects = rapid.SampledFrom([]*plan.Effects{nil, {}, effects()}).Draw(t, "effects")
		}
		set := plan.Set{
			Version: plan.SetVersion, Stack: p.Stack, Files: []string{"kontor.yaml"}, Plans: []plan.Plan{p},
			Failures: []plan.Failure{{Target: p.Target, Error: "no"}},
		}
		if err := validate(s, set); err != nil {
			t.Fatal(err)
		}
		// What is written is read back, whatever the plan.
		b, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		back, err := plan.ParseSet("plan", b)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range back.Plans[0].Changes {
			if diff := cmp.Diff(p.Changes[i].Effects, c.Effects); diff != "" {
				t.Fatalf("effects (-written +read):\n%s", diff)
			}
		}
	})
}

// effects are with everything that there can be.
func effects() *plan.Effects {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	h := plan.Horizon{Days: 7, Images: plan.Images{Count: 1, SizeBytes: 2}, InUse: 1, Pulled: 1, Deployed: 1, Newest: 1, Perhaps: 1}
	return &plan.Effects{
		Images: &plan.ImageEffects{
			Unread: "no", At: at, Count: 3, Expire: []plan.Horizon{h}, Saved: []plan.Horizon{h}, Deleted: &h, Unlisted: 1,
			Going: []plan.Going{{Digest: "sha256:1", Tags: []string{"v1"}, SizeBytes: 2, Days: 3, Rule: 4, Perhaps: true, UsedBy: "host", PulledAt: at, Deployed: "v1", NewestOf: "v*"}},
			Tags:  &plan.TagEffects{Overwritable: 1, Frozen: 1, OverwritableTags: []ecr.Tag{"a"}, FrozenTags: []ecr.Tag{"b"}},
		},
		Access: &plan.AccessEffects{
			Unread: "no",
			Changes: []plan.AccessChange{{
				Principal: "*", Rights: []plan.RightChange{{Right: "pull", Before: "denied", After: "depends", DependsOn: []string{"aws:SourceIp"}}},
				MustAllow: &plan.MustAllow{Account: "444444444444", Policy: "{}"},
			}},
			Holders: []plan.Holder{{Principal: "*", Rights: []string{"delete", "admin"}, IfAllowed: true, Foreign: true}}, MoreHolders: 1,
			Absent: []plan.Absent{{Principal: "AIDA", Statement: "#1"}}, Notes: []string{"no"},
		},
	}
}

func TestTheSchemaRefuses(t *testing.T) {
	s := schema(t)
	good := func() plan.Set {
		return plan.Set{Version: plan.SetVersion, Stack: "s", Plans: []plan.Plan{plan.Diff(wanted(repo("api", "", pull, days1)), seen())}}
	}
	if err := validate(s, good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*plan.Set){
		"another version":          func(s *plan.Set) { s.Version++ },
		"an unknown operation":     func(s *plan.Set) { s.Plans[0].Changes[0].Op = "explode" },
		"a change without its end": func(s *plan.Set) { s.Plans[0].Changes[0].After = nil },
		"a digest that is none":    func(s *plan.Set) { s.Plans[0].DesiredDigest = "sha256:x" },
		"a name that ECR has not":  func(s *plan.Set) { s.Plans[0].Changes[0].Repository = "A B" },
		"an unknown right": func(s *plan.Set) {
			s.Plans[0].Changes[0].Effects = effects()
			s.Plans[0].Changes[0].Effects.Access.Changes[0].Rights[0].Right = "own"
		},
		"images of what is not ended": func(s *plan.Set) { s.Plans[0].Changes[0].Images = &plan.Images{} },
	} {
		t.Run(name, func(t *testing.T) {
			set := good()
			spoil(&set)
			if validate(s, set) == nil {
				t.Errorf("%s fits the schema", name)
			}
		})
	}
}
