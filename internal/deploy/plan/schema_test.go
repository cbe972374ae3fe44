package plan_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

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
		if _, err := plan.ParseSet("plan", b); err != nil {
			t.Fatal(err)
		}
	})
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
		"another version":             func(s *plan.Set) { s.Version++ },
		"an unknown operation":        func(s *plan.Set) { s.Plans[0].Changes[0].Op = "explode" },
		"a change without its end":    func(s *plan.Set) { s.Plans[0].Changes[0].After = nil },
		"a digest that is none":       func(s *plan.Set) { s.Plans[0].DesiredDigest = "sha256:x" },
		"a name that ECR has not":     func(s *plan.Set) { s.Plans[0].Changes[0].Repository = "A B" },
		"images of what is not ended": func(s *plan.Set) { s.Plans[0].Changes[0].Images = &plan.Images{} },
	} {
		set := good()
		spoil(&set)
		if validate(s, set) == nil {
			t.Errorf("%s fits the schema", name)
		}
	}
}
