package spec_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
)

// The starter file is valid in each language, says the same in all, and is laid
// out. What it has as a comment is valid too.
func TestStarter(t *testing.T) {
	var want *state.Desired
	for _, l := range []lang.Language{lang.YAML, lang.JSON, lang.HCL} {
		t.Run(string(l), func(t *testing.T) {
			text, err := spec.Starter(l, "team images")
			if err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprint("kontor.", l)
			golden(t, "testdata/starter/"+name, string(text))
			f, notices, err := spec.Load(spec.Source{Name: name, Data: text})
			if err != nil || len(notices) > 0 {
				t.Fatal(notices, err)
			}
			d := f.Desired(local)
			checkDocuments(t, d)
			for _, rs := range d.ByTarget {
				for i := range rs {
					rs[i].Origins = state.Origins{}
				}
			}
			d.Repositories = nil
			if want == nil {
				want = &d
			}
			if diff := cmp.Diff(*want, d); diff != "" || d.Stack != "team images" || len(d.ByTarget[spec.LocalName]) != 3 {
				t.Errorf("%s: %s", name, diff)
			}
			if out, err := lang.Format(spec.Source{Name: name, Data: text}); err != nil || string(out) != string(text) {
				t.Errorf("%s is not formatted: %v", name, err)
			}
			if l == lang.JSON {
				return
			}
			_, rest, _ := strings.Cut(string(text), "# registries")
			example, rest, _ := strings.Cut("# registries"+rest, "\n\n")
			example = strings.ReplaceAll("\n"+example+"\n", "\n# ", "\n")
			_, _, err = spec.Load(spec.Source{Name: name, Data: []byte(example + rest)})
			if err != nil || !strings.Contains(example, "111111111111") {
				t.Errorf("with its comment:\n%s\n%v", example+rest, err)
			}
		})
	}
}
