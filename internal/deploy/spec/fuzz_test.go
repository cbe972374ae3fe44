package spec_test

import (
	"os"
	"testing"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
)

// FuzzLoad feeds arbitrary bytes as YAML, as JSON and as HCL: never a panic, always
// places in errors, what is accepted compiles to valid documents, and laying a
// file out does not change whether it is accepted.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/*.yaml", "testdata/*.json", "testdata/*.hcl", "testdata/*.tfvars"} {
		for _, name := range glob(f, pattern) {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			if len(data) < 2000 {
				f.Add(data)
			}
		}
	}
	f.Add([]byte("a: &x [*x]\n"))
	f.Add([]byte("? : - ! & * | >\n"))
	f.Add([]byte("ecr_repositories: {a: &b }\n"))
	f.Add([]byte("a = [{b = -1, \"c\" = <<E\nx\nE\n}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, name := range []string{"k.yaml", "k.json", "k.hcl", "k.tfvars", "terragrunt.hcl"} {
			file, _, err := spec.Load(spec.Source{Name: name, Data: data})
			if out, ferr := lang.Format(spec.Source{Name: name, Data: data}); ferr == nil {
				if _, _, after := spec.Load(spec.Source{Name: name, Data: out}); (err == nil) != (after == nil) {
					t.Errorf("%s: before %v, after %v", name, err, after)
				}
			}
			if err == nil {
				checkDocuments(t, file.Desired(local))
				continue
			}
			errs, ok := err.(spec.Errors)
			if !ok || len(errs) == 0 {
				t.Fatalf("%T %v", err, err)
			}
			for _, e := range errs {
				if e.File != name || e.Line < 1 || e.Column < 1 || e.Message == "" {
					t.Errorf("no place or no message: %+v", e)
				}
			}
		}
	})
}
