package spec_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

var update = flag.Bool("update", false, "write the golden files from what the code does now")

var local = ecr.RegistryID{Account: "000000000000", Region: "us-east-1"}

// TestGolden holds each file of testdata against the settings it compiles to,
// or the errors it gets.
func TestGolden(t *testing.T) {
	files := glob(t, "testdata/*.yaml", "testdata/*.json", "testdata/*.hcl", "testdata/*.tfvars")
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			f, notices, err := spec.Load(source(t, name))
			if err != nil {
				golden(t, name+".errors", err.Error()+"\n")
				absent(t, name+".golden")
				return
			}
			golden(t, name+".golden", show(f.Desired(local), notices))
			absent(t, name+".errors")
		})
	}
}

// source reads a file of this folder, under its last name.
func source(t *testing.T, name string) spec.Source {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return spec.Source{Name: filepath.Base(name), Data: data}
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

func absent(t *testing.T, name string) {
	t.Helper()
	if *update {
		if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(name); err == nil {
		t.Errorf("%s is there, but the file does not give it", name)
	}
}

// show writes settings as text: everything, and each rule and statement on a
// line of its own with what made it.
func show(d state.Desired, notices spec.Notices) string {
	var b strings.Builder
	for _, n := range notices {
		fmt.Fprintln(&b, n)
	}
	fmt.Fprintf(&b, "stack %q explicit=%t\n", d.Stack, d.StackExplicit)
	for _, t := range d.Targets {
		fmt.Fprintf(&b, "\ntarget %+v\n", t)
		w := d.For(t).Wanted
		rs := d.For(t).Repositories
		for _, x := range w.Templates {
			fmt.Fprintf(&b, "template %s %q for %v, stack %s, role %q\n", x.Prefix, x.Description, x.AppliedFor, x.Stack, x.RoleARN)
			rs = append(rs, x.Repository)
		}
		for _, u := range w.Upstreams {
			type whole state.Upstream
			fmt.Fprintf(&b, "upstream %+v\n", whole(u))
		}
		for _, r := range rs {
			fmt.Fprintf(&b, "repository %s (%s)\n", r.Name, r.Origins.Repository)
			fmt.Fprintln(&b, strings.Join(slices.Insert(slices.Clone(r.Mutability.Filters), 0, "  mutability", string(r.Mutability.Mode)), " "))
			if r.ScanOnPush != nil {
				fmt.Fprintf(&b, "  scan on push %t\n", *r.ScanOnPush)
			}
			if r.Encryption != nil {
				fmt.Fprintf(&b, "  encryption %+v\n", *r.Encryption)
			}
			if r.Unprotected {
				fmt.Fprintln(&b, "  unprotected")
			}
			for _, k := range slices.Sorted(maps.Keys(r.Tags)) {
				fmt.Fprintf(&b, "  tag %s = %q\n", k, r.Tags[k])
			}
			var l struct{ Rules []json.RawMessage }
			if r.Lifecycle == "" {
				fmt.Fprintln(&b, "  no lifecycle policy")
			} else if err := json.Unmarshal([]byte(r.Lifecycle), &l); err != nil {
				fmt.Fprintf(&b, "  lifecycle: %v\n", err)
			}
			for _, rule := range l.Rules {
				var p struct{ RulePriority int }
				if err := json.Unmarshal(rule, &p); err != nil {
					fmt.Fprintf(&b, "  rule: %v\n", err)
				}
				fmt.Fprintf(&b, "  rule %s\n    by %s (%s)\n", rule, r.Origins.Rules[p.RulePriority].Field, r.Origins.Rules[p.RulePriority].Position)
			}
			if r.Policy == "" {
				continue
			}
			var p struct {
				Version   string
				Statement json.RawMessage
			}
			if err := json.Unmarshal([]byte(r.Policy), &p); err != nil {
				fmt.Fprintf(&b, "  policy: %v\n", err)
			}
			var statements []json.RawMessage
			if err := json.Unmarshal(p.Statement, &statements); err != nil {
				statements = []json.RawMessage{p.Statement} // one alone may stand without a list
			}
			fmt.Fprintf(&b, "  policy %s\n", p.Version)
			for _, s := range statements {
				var id struct{ Sid string }
				if err := json.Unmarshal(s, &id); err != nil {
					fmt.Fprintf(&b, "  statement: %v\n", err)
				}
				fmt.Fprintf(&b, "  statement %s\n    by %s (%s)\n", s, r.Origins.Statements[id.Sid].Field, r.Origins.Statements[id.Sid].Position)
			}
		}
	}
	if len(d.Clusters)+len(d.AccessTests)+len(d.Promotions) > 0 || d.MaxExpire != nil {
		fmt.Fprintln(&b)
	}
	for _, c := range d.Clusters {
		fmt.Fprintf(&b, "cluster %+v\n", c)
	}
	for _, a := range d.AccessTests {
		fmt.Fprintf(&b, "access test %+v\n", a)
	}
	for _, p := range d.Promotions {
		fmt.Fprintf(&b, "promotion %+v\n", p)
	}
	if d.MaxExpire != nil {
		fmt.Fprintf(&b, "max expire %+v\n", *d.MaxExpire)
	}
	return b.String()
}
