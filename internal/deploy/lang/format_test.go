package lang_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/textfile"
)

var update = flag.Bool("update", false, "write the golden files from what the code does now")

// sameValues compares values, not places.
var sameValues = cmp.Options{
	cmpopts.EquateEmpty(),
	cmpopts.IgnoreTypes(state.Position{}),
	cmpopts.IgnoreUnexported(lang.Value{}),
	cmpopts.IgnoreFields(lang.Value{}, "Plain", "Above", "Below", "Beside", "Gap", "Inline"),
}

func glob(t testing.TB, patterns ...string) []string {
	t.Helper()
	var out []string
	for _, p := range patterns {
		m, err := filepath.Glob(p)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m...)
	}
	if len(out) == 0 {
		t.Fatalf("no files match %v", patterns)
	}
	return out
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

// TestFormat holds each file of testdata/fmt against its layout.
func TestFormat(t *testing.T) {
	for _, name := range glob(t, "testdata/fmt/*.yaml", "testdata/fmt/*.json", "testdata/fmt/*.hcl") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s := lang.Source{Name: filepath.Base(name), Data: text}
			got, err := lang.Format(s)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".golden", string(got))
			again, err := lang.Format(lang.Source{Name: s.Name, Data: got})
			if err != nil || !bytes.Equal(again, got) {
				t.Errorf("formatted again: %v\n%s", err, cmp.Diff(string(got), string(again)))
			}
		})
	}
}

// A file that cannot be parsed is an error with its place; one with wrong
// fields is formatted all the same.
func TestFormatErrors(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"syntax of YAML": {"k.yaml", "a: [", "k.yaml:1:4: "},
		"syntax of JSON": {"k.json", "{", "k.json:1:"},
		"syntax of HCL":  {"k.hcl", "a = [", "k.hcl:1:"},
		"expression":     {"k.hcl", "a = b.c", "k.hcl:1:5: a: only literal values are allowed here"},
	} {
		_, err := lang.Format(lang.Source{Name: c.file, Data: []byte(c.text)})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	got, err := lang.Format(lang.Source{Name: "k.yaml", Data: []byte("nonsense:   5")})
	if err != nil || string(got) != "nonsense: 5\n" {
		t.Errorf("%q %v", got, err)
	}
}

// FuzzFormat: what is formatted says the same to Parse, has all its comments,
// and is not changed by formatting it again. That it does not panic, and gives
// up rather than change something, is true of all else.
func FuzzFormat(f *testing.F) {
	for _, name := range glob(f, "testdata/fmt/*.yaml", "testdata/fmt/*.hcl", "../spec/testdata/*.yaml", "../spec/testdata/*.hcl", "../spec/testdata/*.json") {
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
			out, err := lang.Format(lang.Source{Name: name, Data: data})
			if err != nil {
				continue
			}
			again, err := lang.Format(lang.Source{Name: name, Data: out})
			if err != nil || !bytes.Equal(out, again) {
				t.Errorf("%s: formatted again %q is %q: %v", name, out, again, err)
			}
			text, err := textfile.Decode(data)
			if err != nil {
				t.Fatal(err)
			}
			if n, m := bytes.Count(text, []byte("#")), bytes.Count(out, []byte("#")); n != m {
				t.Errorf("%s: %d # before, %d after", name, n, m)
			}
			before, _ := lang.Parse(lang.Source{Name: name, Data: data})
			after, errs := lang.Parse(lang.Source{Name: name, Data: out})
			if d := cmp.Diff(before, after, sameValues); d != "" || len(errs) > 0 {
				t.Errorf("%s: %v\n%s", name, errs, d)
			}
		}
	})
}
