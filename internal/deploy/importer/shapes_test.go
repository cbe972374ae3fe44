package importer_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/importer"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

var update = flag.Bool("update", false, "write the golden files from what the code does now")

// shape is a configuration of a repository as people have it, with names and
// numbers replaced. Account 111111111111 is the registry's own.
type shape struct {
	Tool       string
	Mutability ecr.TagMutability
	Exclusions []string
	Scan       bool
	Lifecycle  json.RawMessage
	Policy     json.RawMessage
	Refused    bool // ECR does not accept it
}

func shapes(t *testing.T) []shape {
	t.Helper()
	text, err := os.ReadFile("testdata/shapes.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []shape
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

var target = state.Target{Name: "prod", Registry: ecr.RegistryID{Account: "111111111111", Region: "us-east-1"}}

// repository are the settings of the i-th shape.
func (s shape) repository(i int) state.Repository {
	scan := s.Scan
	r := state.Repository{
		Name: ecr.RepositoryName(fmt.Sprintf("shape-%02d", i)), Tags: map[string]string{}, Policy: string(s.Policy), Lifecycle: string(s.Lifecycle),
		ScanOnPush: &scan, Encryption: &ecr.Encryption{Type: "AES256"}, Mutability: ecr.Mutability{Mode: s.Mutability, Filters: s.Exclusions},
	}
	if r.Mutability.Mode == "" {
		r.Mutability.Mode = ecr.Mutable // as ECR has it
	}
	return r
}

func observed(rs ...state.Repository) state.Observed {
	o := state.Observed{Target: target, Repositories: map[ecr.RepositoryName]state.Repository{}}
	for _, r := range rs {
		o.Repositories[r.Name] = r
	}
	return o
}

// The configurations that people have, in one file. What ECR refuses cannot be
// there.
func TestShapes(t *testing.T) {
	var all []state.Repository
	for i, s := range shapes(t) {
		if !s.Refused {
			all = append(all, s.repository(i))
		}
	}
	for name, o := range map[string]importer.Options{
		"shapes": {NewStack: "images"}, "shapes-exact": {NewStack: "images", Exact: true},
	} {
		got, err := importer.Write(observed(all...), o)
		if err != nil {
			t.Fatal(err)
		}
		text := string(got.Text) + "\n"
		for _, n := range got.Notices {
			text += n.String() + "\n"
		}
		golden(t, "testdata/"+name+".golden", text)
		if got.Repositories != len(all) {
			t.Errorf("%s: %d repositories of %d", name, got.Repositories, len(all))
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got; go test -update writes it):\n%s", name, d)
	}
}
