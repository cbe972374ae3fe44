package spec_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/spec"
)

// TestFormat holds each file of testdata/fmt against its layout.
func TestFormat(t *testing.T) {
	for _, name := range glob(t, "testdata/fmt/*.yaml", "testdata/fmt/*.json", "testdata/fmt/*.hcl") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			s := source(t, name)
			got, err := spec.Format(s)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".golden", string(got))
			again, err := spec.Format(spec.Source{Name: s.Name, Data: got})
			if err != nil || !bytes.Equal(again, got) {
				t.Errorf("formatted again: %v\n%s", err, cmp.Diff(string(got), string(again)))
			}
		})
	}
}

// The examples are laid out as fmt does it.
func TestExamplesAreFormatted(t *testing.T) {
	for _, name := range glob(t, examples+"*.yaml", examples+"*.json", examples+"*.hcl", examples+"*.tfvars") {
		s := source(t, name)
		got, err := spec.Format(s)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(s.Data), string(got)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// A file that cannot be parsed is an error with its place; one with wrong
// fields is laid out all the same.
func TestFormatErrors(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"syntax of YAML": {"k.yaml", "a: [", "k.yaml:1:4: "},
		"syntax of JSON": {"k.json", "{", "k.json:1:"},
		"syntax of HCL":  {"k.hcl", "a = [", "k.hcl:1:"},
		"expression":     {"k.hcl", "a = b.c", "k.hcl:1:5: only values can stand here"},
	} {
		_, err := spec.Format(spec.Source{Name: c.file, Data: []byte(c.text)})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	got, err := spec.Format(yamlSource("k.yaml", "nonsense:   5"))
	if err != nil || string(got) != "nonsense: 5\n" {
		t.Errorf("%q %v", got, err)
	}
}

// FuzzFormat: what is formatted says the same to Load, has all its comments,
// and is not changed by formatting it again. That it does not panic, and gives
// up rather than change something, is true of all else.
func FuzzFormat(f *testing.F) {
	for _, name := range glob(f, "testdata/fmt/*.yaml", "testdata/fmt/*.hcl", "testdata/*.yaml", "testdata/*.hcl", "testdata/*.json") {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if len(data) < 2000 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, name := range []string{"k.yaml", "k.json", "k.hcl"} {
			out, err := spec.Format(spec.Source{Name: name, Data: data})
			if err != nil {
				continue
			}
			again, err := spec.Format(spec.Source{Name: name, Data: out})
			if err != nil || !bytes.Equal(out, again) {
				t.Errorf("%s: formatted again %q is %q: %v", name, out, again, err)
			}
			if n, m := bytes.Count(data, []byte("#")), bytes.Count(out, []byte("#")); n != m {
				t.Errorf("%s: %d # before, %d after", name, n, m)
			}
			_, _, before := spec.Load(spec.Source{Name: name, Data: data})
			_, _, after := spec.Load(spec.Source{Name: name, Data: out})
			if (before == nil) != (after == nil) {
				t.Errorf("%s: before %v, after %v", name, before, after)
			}
		}
	})
}
