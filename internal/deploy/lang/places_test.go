package lang_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
)

// The places of the letters X of a text.
func TestPlacesInTexts(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"YAML block":             {"k.yaml", "a:\n  - b: |  # why\n      {\n        X: [\"é\", X]\n\n      X}\n", "4:9 4:18 6:7"},
		"YAML block, stripped":   {"k.yaml", "a: |-\n X\n  X", "2:2 3:3"},
		"YAML block, indicated":  {"k.yaml", "a: |2\n   X\n", "2:4"},
		"YAML folded":            {"k.yaml", "a: >\n  one X\n  two X\n\n  three X\n", "2:7 3:7 5:9"},
		"YAML of Windows":        {"k.yaml", "a: |\r\n  {\r\n  X\r\n", "3:3"},
		"YAML in quotes":         {"k.yaml", `a: {b: "\"X\" \u00e9 X \x58 \n X"}`, "1:11 1:22 1:24 1:32"},
		"YAML in quotes, folded": {"k.yaml", "a: \"X \\\n   X\n   X\"", "1:5 2:4 3:4"},
		"YAML in single quotes":  {"k.yaml", "a: 'it''s X\n\n  X'", "1:11 3:3"},
		"YAML plain":             {"k.yaml", "a: é X\n  X", "1:6 2:3"},
		"JSON":                   {"k.json", `{"a": "\"X\" \u00e9 \ud83d\ude00 X\n\/X"}`, "1:10 1:34 1:39"},
		"HCL":                    {"k.hcl", `a = "\"X\" $${X} é %%{X}"`, "1:8 1:15 1:23"},
		"HCL block":              {"k.hcl", "a = {\n  b = <<-EOT\n    {\n      X $${X}\n    X\n  EOT\n}\n", "4:7 4:12 5:5"},
	} {
		t.Run(name, func(t *testing.T) {
			v, errs := lang.Parse(lang.Source{Name: c.file, Data: []byte(c.text)})
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			for v.Kind != lang.Text {
				if v.Kind == lang.List {
					v = v.Items[0]
				} else {
					v = v.Members[0].Value
				}
			}
			var got []string
			for i := range v.Text {
				if v.Text[i] != 'X' {
					continue
				}
				at, ok := v.PlaceOf(i)
				got = append(got, strings.TrimPrefix(at.String(), c.file+":"))
				if !ok {
					t.Errorf("no place of %d", i)
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%v, want %s", got, c.want)
			}
		})
	}
	if at, ok := lang.NewText("X").PlaceOf(0); ok {
		t.Errorf("a text that was not read stands at %s", at)
	}
	// é of two letters is one in HCL
	v, _ := lang.Parse(lang.Source{Name: "k.hcl", Data: []byte("a = \"e\u0301 X\"")})
	if at, ok := v.Members[0].Value.PlaceOf(3); ok {
		t.Errorf("a text that was changed has X at %s", at)
	}
}

// Whatever stands in a text, each of its letters is found where it is, in each
// language.
func TestPlacesInAnyText(t *testing.T) {
	for _, l := range []lang.Language{lang.YAML, lang.JSON, lang.HCL} {
		t.Run(string(l), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				want := lang.NewMapping().Add("a", lang.NewText(texts().Draw(t, "text")))
				if l == lang.HCL {
					want = composed(want)
				}
				out, err := lang.Print(l, want)
				if err != nil {
					t.Fatal(err)
				}
				v, errs := lang.Parse(lang.Source{Name: fmt.Sprint("k.", l), Data: out})
				if len(errs) > 0 {
					t.Fatal(errs)
				}
				v = v.Members[0].Value
				lines := strings.Split(string(out), "\n")
				for i, c := range v.Text {
					at, ok := v.PlaceOf(i)
					if !ok {
						t.Fatalf("no place of %d in %s", i, out)
					}
					if c < 'A' || !unicode.IsPrint(c) || unicode.IsSpace(c) || c == '\\' {
						continue // it may be escaped
					}
					if got := []rune(lines[at.Line-1])[at.Column-1]; got != c {
						t.Fatalf("%d: %q is not at %d:%d of\n%s", i, c, at.Line, at.Column, out)
					}
				}
			})
		})
	}
}
