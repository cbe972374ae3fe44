package lang_test

import (
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
)

// Text on which HCL's parser would recurse without end, or that takes more
// memory than it is worth, is refused before it is parsed.
func TestHCLBounds(t *testing.T) {
	const many = 200_000
	for name, c := range map[string]struct{ text, want string }{
		"lists":      {"a = " + strings.Repeat("[", many), "k.hcl:1:105: nested deeper than 100 levels"},
		"mappings":   {"a = " + strings.Repeat("{a=", many), "k.hcl:1:305: nested deeper than 100 levels"},
		"signs":      {"a = " + strings.Repeat("-", many) + "5", "k.hcl:1:5: only literal values are allowed here"},
		"negations":  {"a = " + strings.Repeat("!", many) + "true", "k.hcl:1:5: only literal values are allowed here"},
		"brackets":   {"a = " + strings.Repeat("(", many), "k.hcl:1:5: only literal values are allowed here"},
		"templates":  {"a = " + strings.Repeat(`"${`, many), "k.hcl:1:6: only literal values are allowed here"},
		"conditions": {"a = " + strings.Repeat("true ? 1 : ", many), "k.hcl:1:10: only literal values are allowed here"},
		"traversals": {"a = b" + strings.Repeat(".b", many), "k.hcl:1:5: only literal values are allowed here"},
		"blocks":     {strings.Repeat("a {\n", many), "k.hcl:101:3: nested deeper than 100 levels"},
		"size":       {strings.Repeat("#\n", 2<<20+1), "k.hcl:1:1: the file has 4194306 bytes; of HCL at most 4194304 are read"},
	} {
		_, errs := lang.Parse(lang.Source{Name: "k.hcl", Data: []byte(c.text)})
		if len(errs) == 0 || !strings.HasPrefix(errs.Error(), c.want) {
			t.Errorf("%s: %.200v, want %s", name, errs, c.want)
		}
	}
}

// Texts mean in HCL what they mean to Terraform.
func TestHCLTexts(t *testing.T) {
	for text, want := range map[string]string{
		`"a"`:                     "a",
		`"$${a} %%{b} $5 100%"`:   "${a} %{b} $5 100%",
		`"\u00e9\n\t\"\\"`:        "é\n\t\"\\",
		"<<E\na\n  b\nE\n":        "a\n  b\n",
		"<<-E\n  a\n    b\n  E\n": "a\n  b\n",
		`""`:                      "",
	} {
		v, errs := lang.Parse(lang.Source{Name: "k.hcl", Data: []byte("x = " + text + "\n")})
		if len(errs) > 0 {
			t.Errorf("%s: %v", text, errs)
			continue
		}
		if got := v.Members[0].Value; got.Kind != lang.Text || got.Text != want {
			t.Errorf("%s is %s, want the text %q", text, got, want)
		}
	}
}
