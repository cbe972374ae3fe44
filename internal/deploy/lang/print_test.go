package lang_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/jsonpos"
)

// hostile are texts that languages would take for something else, or that are
// awkward to write.
var hostile = []string{
	"", " ", "  lead", "trail  ", "012345678901", "111111111111", "0x1f", "0o17", "1e3", "1_000", "-5", "+5", ".5", "5.", ".inf", "NaN", "1:30", "2026-03-01",
	"yes", "No", "on", "OFF", "y", "null", "Null", "~", "true", "False", "-", "- a", "? a", ": a", "a: b", "a:", ":", "a #b", "#b", "a#b", "*", "*a", "&a", "!a", "!!str a", "|", ">", "%a", "@a", "`a`", "=", "<<",
	"{", "}", "[", "]", ",", "a, b", "{a: b}", "[a]", "'", "\"", "\\", "\\n", "it's", "say \"x\"", "---", "...", "--- a",
	"${", "%{", "$${", "%%{", "$$${a}", "${a}", "%{ if x }", "$", "$$", "%", "100%", "$5", "a${b}c%{d}e",
	"\n", "a\n", "a\nb", "a\nb\n", "a\n\nb\n", "a\n\n", "\na\n", " a\nb\n", "a\n b\n", "a \nb\n", "a\n\tb\n", "a\r\nb\r\n", "a\rb", "\t", "a\tb", "EOT\nEOT\n", "a\nEOT_\n", "{\n  \"rules\": [\n    {\"a\": \"${x}\"}\n  ]\n}\n", "# a\n# b\n", "---\n...\n", "a: b\nc: d\n", "- a\n- b\n", "\"a\nb\"\n",
	"é", "日本語", "😀", "\u00a0", "\u0085", "\u2028", "\u2029", "\ufeff", "\u200b", "\x00", "\x07", "\x1b", "\x7f", "\u0301", "e\u0301", "\U0010ffff", "\ufffd", "\ufffe",
	"arn:aws:iam::111111111111:role/deployer", "pr-*", "team/api", "for", "in", "if", "//", "/* a */", "<<EOT", "a b c", strings.Repeat("long ", 400), strings.Repeat("x", 5000), strings.Repeat("line\n", 300),
}

func texts() *rapid.Generator[string] {
	return rapid.OneOf(rapid.SampledFrom(hostile), rapid.SampledFrom(hostile), rapid.String(), rapid.StringMatching(`[ -~]{0,12}`), rapid.StringMatching("[a-z: #\n${%]{0,12}"),
		rapid.Map(rapid.SliceOfN(rapid.SampledFrom(hostile), 2, 3), func(s []string) string { return strings.Join(s, "") }))
}

// values draws values; names are those of mappings at the top of HCL.
func values(depth int) *rapid.Generator[*lang.Value] {
	return rapid.Custom(func(t *rapid.T) *lang.Value {
		kinds := []string{"text", "text", "text", "integer", "number", "boolean", "null"}
		if depth > 0 {
			kinds = append(kinds, "list", "mapping", "list", "mapping")
		}
		var v *lang.Value
		switch rapid.SampledFrom(kinds).Draw(t, "kind") {
		case "text":
			v = lang.NewText(texts().Draw(t, "text"))
		case "integer":
			v = lang.NewInteger(rapid.Int().Draw(t, "integer"))
		case "number":
			v = &lang.Value{Kind: lang.Number, Text: rapid.SampledFrom([]string{"0.5", "-1.25", "1.5e+3", "1.5e-7", "2.50"}).Draw(t, "number")}
		case "boolean":
			v = lang.NewBoolean(rapid.Bool().Draw(t, "boolean"))
		case "null":
			v = &lang.Value{}
		case "list":
			v = lang.NewList(rapid.SliceOfN(values(depth-1), 0, 4).Draw(t, "items")...)
			v.Inline = rapid.Bool().Draw(t, "inline")
		case "mapping":
			v = mapping(t, depth, texts())
			v.Inline = rapid.Bool().Draw(t, "inline")
		}
		if rapid.IntRange(0, 4).Draw(t, "commented") == 0 {
			v.Above = rapid.SliceOfN(words(), 0, 3).Draw(t, "above")
			v.Beside = strings.TrimSpace(words().Draw(t, "beside"))
			v.Gap = rapid.Bool().Draw(t, "gap")
		}
		return v
	})
}

func words() *rapid.Generator[string] {
	return rapid.OneOf(rapid.StringMatching(`c0mment[a-z #:"'*/{}-]{0,10}[a-z]`), rapid.Just("c0mment é ${a}"))
}

func mapping(t *rapid.T, depth int, keys *rapid.Generator[string]) *lang.Value {
	v := lang.NewMapping()
	for _, key := range rapid.SliceOfNDistinct(keys, 0, 4, rapid.ID).Draw(t, "keys") {
		v.Add(key, values(depth-1).Draw(t, "value"))
	}
	return v
}

func file(t *rapid.T) *lang.Value {
	v := mapping(t, 4, rapid.StringMatching(`[a-zA-Z_][a-zA-Z0-9_-]{0,8}`))
	if rapid.Bool().Draw(t, "head") {
		lines := rapid.SliceOfN(rapid.OneOf(words(), rapid.Just("")), 0, 4)
		v.Above, v.Below = lines.Draw(t, "head"), lines.Draw(t, "end")
	}
	return v
}

// composed is v with its texts in Unicode's form C, the only one of HCL. A key
// that is there already is left out.
func composed(v *lang.Value) *lang.Value {
	out := *v
	out.Text = norm.NFC.String(v.Text)
	out.Items, out.Members = nil, nil
	for _, item := range v.Items {
		out.Items = append(out.Items, composed(item))
	}
	seen := map[string]bool{}
	for _, m := range v.Members {
		if key := norm.NFC.String(m.Key); !seen[key] {
			seen[key] = true
			out.Add(key, composed(m.Value))
		}
	}
	return &out
}

func countComments(v *lang.Value) int {
	n := strings.Count(strings.Join(v.Above, "\n")+strings.Join(v.Below, "\n")+v.Beside, "c0mment")
	for _, item := range v.Items {
		n += countComments(item)
	}
	for _, m := range v.Members {
		n += countComments(m.Value)
	}
	return n
}

// What is printed is read as the same value, is formatted already, and has all
// its comments.
func TestPrintIsReadAgain(t *testing.T) {
	for _, l := range []lang.Language{lang.YAML, lang.JSON, lang.HCL} {
		t.Run(string(l), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				v := file(t)
				if l == lang.HCL {
					v = composed(v)
				}
				out, err := lang.Print(l, v)
				if err != nil {
					t.Fatal(err)
				}
				s := lang.Source{Name: fmt.Sprint("k.", l), Data: out}
				got, errs := lang.Parse(s)
				if len(errs) > 0 {
					t.Fatalf("%v\n%s", errs, out)
				}
				if len(v.Members) == 0 && l == lang.HCL {
					got.Kind = lang.Mapping // an empty file
				}
				if d := cmp.Diff(v, got, sameValues); d != "" {
					t.Fatalf("%s\n%s", d, out)
				}
				if again, err := lang.Format(s); err != nil || !bytes.Equal(again, out) {
					t.Fatalf("formatted: %v\n%s", err, cmp.Diff(string(out), string(again)))
				}
				if n, m := countComments(v), countComments(got); n != m && l != lang.JSON {
					t.Fatalf("%d comments of %d\n%s", m, n, out)
				}
				again, err := lang.Print(l, got)
				if err != nil || !bytes.Equal(again, out) {
					t.Fatalf("printed again: %v\n%s", err, cmp.Diff(string(out), string(again)))
				}
			})
		})
	}
}

// What is in quotes, and what is on lines of its own.
func TestPrintedForm(t *testing.T) {
	rule := lang.NewMapping().Add("tag_pattern", lang.NewText("pr-*")).Add("days", lang.NewInteger(7))
	rule.Inline = true
	rules := lang.NewList(rule, lang.NewMapping().Add("tag_pattern", lang.NewText("v*")))
	rules.Items[1].Members[0].Value.Beside = "releases"
	rules.Above = []string{"Pull requests"}
	file := lang.NewMapping().
		Add("account", lang.NewText("012345678901")).
		Add("role_arn", lang.NewText("arn:aws:iam::111111111111:role/deployer")).
		Add("answer", lang.NewText("yes")).
		Add("dollar", lang.NewText("${a} $${b}")).
		Add("rules", rules).
		Add("policy", lang.NewText("{\n  \"a\": \"${b}\"\n}\n")).
		Add("none", lang.NewMapping())
	file.Members[4].Value.Gap = true
	file.Above, file.Below = []string{"What this is.", "", "More of it."}, []string{"The end."}
	for l, want := range map[lang.Language]string{
		lang.YAML: `# What this is.

# More of it.

account: "012345678901"
role_arn: arn:aws:iam::111111111111:role/deployer
answer: "yes"
dollar: "${a} $${b}"

# Pull requests
rules:
  - {tag_pattern: "pr-*", days: 7}
  - tag_pattern: "v*" # releases
policy: |
  {
    "a": "${b}"
  }
none: {}

# The end.
`,
		lang.HCL: `# What this is.

# More of it.

account  = "012345678901"
role_arn = "arn:aws:iam::111111111111:role/deployer"
answer   = "yes"
dollar   = "$${a} $\u0024{b}"

# Pull requests
rules = [
  { tag_pattern = "pr-*", days = 7 },
  {
    tag_pattern = "v*" # releases
  },
]
policy = <<EOT
{
  "a": "$${b}"
}
EOT
none   = {}

# The end.
`,
		lang.JSON: `{
  "account": "012345678901",
  "role_arn": "arn:aws:iam::111111111111:role/deployer",
  "answer": "yes",
  "dollar": "${a} $${b}",
  "rules": [
    {
      "tag_pattern": "pr-*",
      "days": 7
    },
    {
      "tag_pattern": "v*"
    }
  ],
  "policy": "{\n  \"a\": \"${b}\"\n}\n",
  "none": {}
}
`,
	} {
		t.Run(string(l), func(t *testing.T) {
			got, err := lang.Print(l, file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, string(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

// What a language cannot say is an error, and nothing is written.
func TestPrintErrors(t *testing.T) {
	in := func(v *lang.Value) *lang.Value { return lang.NewMapping().Add("a", lang.NewList(v)) }
	for name, c := range map[string]struct {
		l    lang.Language
		v    *lang.Value
		want string
	}{
		"list in HCL":         {lang.HCL, lang.NewList(), "an HCL file contains names and values, not a list"},
		"name of HCL":         {lang.HCL, lang.NewMapping().Add("team/a", lang.NewMapping()), `"team/a" cannot be a name at the top of an HCL file`},
		"form of HCL":         {lang.HCL, in(lang.NewText("e\u0301")), "this cannot be written as hcl: a[0]: the string \"e\u0301\" would be read as the string \"é\""},
		"keys of HCL":         {lang.HCL, in(lang.NewMapping().Add("e\u0301 x", lang.NewMapping()).Add("é x", lang.NewMapping())), `this cannot be written as hcl: printed.hcl:4:5: a[0]["é x"]: given twice`},
		"number of JSON":      {lang.JSON, in(&lang.Value{Kind: lang.Number, Text: "0x1f"}), "this cannot be written as json: printed.json:1:8: "},
		"infinity in HCL":     {lang.HCL, in(&lang.Value{Kind: lang.Number, Text: ".inf"}), "this cannot be written as hcl: "},
		"bytes in YAML":       {lang.YAML, in(lang.NewText("a\xff")), `a string is not UTF-8: "a\xff"`},
		"bytes of a key":      {lang.YAML, in(lang.NewMapping().Add("\xff", lang.NewMapping())), `a string is not UTF-8: "\xff"`},
		"what is broken":      {lang.YAML, in(&lang.Value{Kind: lang.Broken}), "there is a value that could not be read"},
		"nested without end":  {lang.YAML, nested(200), "this cannot be written as yaml: printed.yaml:"},
		"nested, in brackets": {lang.HCL, nested(200), "this cannot be written as hcl: printed.hcl:"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := lang.Print(c.l, c.v)
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || out != nil {
				t.Errorf("%s %v, want %s", out, err, c.want)
			}
		})
	}
}

func nested(depth int) *lang.Value {
	v := lang.NewMapping()
	for range depth {
		v = lang.NewMapping().Add("a", v)
	}
	return v
}

// Comments belong to the entry that they are above or beside.
func TestComments(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"k.yaml": {`# head
# of the file

# more

# about a
a: # beside a
  b: 1 # beside b

  # about c
  # and c
  c: [1, 2] # beside c
  d:
    - x: 1 # beside x
      y: 2
    # about the item
    - {z: 1} # beside the item
  t: | # beside t
    # text
# about e
e: &e
  f: 1
g: *e # beside the end
# the end

# of it
`, `: above [head of the file  more] below [the end  of it]
a: above [about a] beside beside a
a.b: beside beside b
a.c: above [about c and c] beside beside c gap
a.d[0].x: beside beside x
a.d[1]: above [about the item] beside beside the item
a.t: beside beside t
e: above [about e]
e.f: beside beside the end
`},
		"k.hcl": {`# head

// about a
a = { # beside a
  b = 1 # beside b
  /* about c
   * and c */
  c = [1, 2] # beside c

  d = [
    { z = 1 }, # beside the item
    # about the other
    "x", // beside it
  ] # after it
}
# the end
`, `: above [head] below [the end]
a: above [about a] beside beside a
a.b: beside beside b
a.c: above [about c and c] beside beside c
a.d: gap
a.d[0]: beside beside the item
a.d[1]: above [about the other] beside beside it after it
`},
	} {
		t.Run(name, func(t *testing.T) {
			v, errs := lang.Parse(lang.Source{Name: name, Data: []byte(c.text)})
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			var b strings.Builder
			seen := map[*lang.Value]bool{}
			var walk func(v *lang.Value, path jsonpos.Path)
			walk = func(v *lang.Value, path jsonpos.Path) {
				if seen[v] {
					return
				}
				seen[v] = true
				line := path.String() + ":"
				if len(v.Above) > 0 {
					line += fmt.Sprint(" above ", v.Above)
				}
				if v.Beside != "" {
					line += " beside " + v.Beside
				}
				if len(v.Below) > 0 {
					line += fmt.Sprint(" below ", v.Below)
				}
				if v.Gap {
					line += " gap"
				}
				if !strings.HasSuffix(line, ":") {
					b.WriteString(line + "\n")
				}
				for _, m := range v.Members {
					walk(m.Value, path.At(m.Key))
				}
				for i, item := range v.Items {
					walk(item, path.At(i))
				}
			}
			walk(v, nil)
			if d := cmp.Diff(c.want, b.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

// FuzzPrint: what is read of any bytes can be printed in its own language, and
// where it can be in another, is read again as the same.
func FuzzPrint(f *testing.F) {
	for _, name := range glob(f, "testdata/fmt/*.yaml", "testdata/fmt/*.hcl", "../spec/testdata/*.yaml", "../spec/testdata/*.hcl", "../spec/testdata/*.json") {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if len(data) < 2000 {
			f.Add(data)
		}
	}
	all := []lang.Language{lang.YAML, lang.JSON, lang.HCL}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, from := range all {
			v, errs := lang.Parse(lang.Source{Name: fmt.Sprint("k.", from), Data: data})
			if len(errs) > 0 {
				continue
			}
			for _, to := range all {
				out, err := lang.Print(to, v)
				if err != nil {
					if from == to {
						t.Errorf("%s: %v", from, err)
					}
					continue
				}
				got, errs := lang.Parse(lang.Source{Name: fmt.Sprint("k.", to), Data: out})
				if len(errs) > 0 {
					t.Fatalf("%s as %s: %v\n%q", from, to, errs, out)
				}
				if to == lang.HCL && len(v.Members) == 0 {
					continue // an empty file
				}
				if d := cmp.Diff(v, got, sameValues); d != "" {
					t.Errorf("%s as %s: %s\n%q", from, to, d, out)
				}
			}
		}
	})
}
