package jsonpos_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/jsonpos"
)

func TestParse(t *testing.T) {
	const text = "\t{\"a\": [1, -2.5e+3, true],\n \"\\u00e4\\ud83d\\ude00\": {\"ä\": null, \"c\": \"x\\n\\/\"}, \"b\":false}\r\n"
	v, err := jsonpos.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path  jsonpos.Path
		kind  jsonpos.Kind
		text  string
		place string
		name  string
	}{
		{nil, jsonpos.Object, "", "1:2", ""},
		{jsonpos.Path{"a"}, jsonpos.Array, "", "1:8", "a"},
		{jsonpos.Path{"a", 0}, jsonpos.Number, "1", "1:9", "a[0]"},
		{jsonpos.Path{"a", 1}, jsonpos.Number, "-2.5e+3", "1:12", "a[1]"},
		{jsonpos.Path{"a", 2}, jsonpos.Boolean, "true", "1:21", "a[2]"},
		{jsonpos.Path{"ä😀", "ä"}, jsonpos.Null, "", "2:30", `["ä😀"]["ä"]`},
		{jsonpos.Path{"ä😀", "c"}, jsonpos.String, "x\n/", "2:41", `["ä😀"].c`},
		{jsonpos.Path{"b"}, jsonpos.Boolean, "false", "2:55", "b"},
	} {
		t.Run("path "+c.name, func(t *testing.T) {
			got := v.Locate(c.path)
			if got.Kind != c.kind || got.Text != c.text || got.Pos.String() != c.place || got.Path().String() != c.name {
				t.Errorf("%v: got %v %q at %v, %v", c.path, got.Kind, got.Text, got.Pos, got.Path())
			}
		})
	}
	if v.Members[1].NamePos.String() != "2:2" {
		t.Errorf("name at %v", v.Members[1].NamePos)
	}
	if !v.Locate(jsonpos.Path{"a", 0}).IsInteger() || v.Locate(jsonpos.Path{"a", 1}).IsInteger() {
		t.Error("IsInteger is wrong")
	}
	if v.Get("c") != nil {
		t.Error("Get finds what is not there")
	}
}

func TestLocateStopsWhereTheTextEnds(t *testing.T) {
	v, err := jsonpos.Parse([]byte(`{"a":"x","b":[1]}`))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]jsonpos.Path{
		"a": {"a", 0},      // a list's element where there is a single value
		"b": {"b", 1, "c"}, // beyond the list
		"":  {"missing", "too"},
	} {
		t.Run("path "+path, func(t *testing.T) {
			if got := v.Locate(want).Path().String(); got != path {
				t.Errorf("%v: got %q, want %q", want, got, path)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "1:1: end of text where a value should be"},
		{" \n ", "2:2: end of text where a value should be"},
		{"{} {}", `1:4: '{' after the end of the document`},
		{"[1,]", `1:4: [1]: ']' where a value should be`},
		{"[1 2]", `1:4: '2' where "," or "]" should be`},
		{`{"a":1,}`, `1:8: '}' where a name in quotes should be`},
		{`{a:1}`, `1:2: 'a' where a name in quotes should be`},
		{`{"a" 1}`, `1:6: '1' where ":" should be`},
		{`{"a":1 "b":2}`, `1:8: '"' where "," or "}" should be`},
		{"{\"a\":1,\n\"b\":{\"c\":0,\"c\":1}}", `2:12: b.c: given twice, first at 2:6`},
		{`{"\u0061":1,"a":1}`, `1:13: a: given twice, first at 1:2`},
		{`{"a":tru}`, `1:6: a: 't' where a value should be`},
		{`"\u12`, "1:2: malformed escape in a string"},
		{`"\x"`, "1:2: malformed escape in a string"},
		{`"ä\ud800"`, "1:3: malformed escape in a string"},
		{`"\ud800\u0041"`, "1:2: malformed escape in a string"},
		{`"\udc00"`, "1:2: malformed escape in a string"},
		{"\"a\nb\"", "1:3: unescaped control character 0x0a in a string"},
		{"\"\xff\"", "1:2: a string is not valid UTF-8"},
		{`"abc`, "1:5: end of text within a string"},
		{`"abc\`, "1:5: malformed escape in a string"},
		{"01", "1:3: malformed number"},
		{"-", "1:2: malformed number"},
		{"1.", "1:3: malformed number"},
		{"1e+", "1:4: malformed number"},
		{"\ufeff{}", `1:1: '\ufeff' where a value should be`},
		{"\xff", `1:1: byte 0xff where a value should be`},
		{strings.Repeat("[", 101), "1:101: nested deeper than 100 levels"},
	} {
		t.Run(c.want, func(t *testing.T) {
			_, err := jsonpos.Parse([]byte(c.text))
			var syntax *jsonpos.SyntaxError
			if !errors.As(err, &syntax) || err.Error() != c.want {
				t.Errorf("%q:\n got %v\nwant %s", c.text, err, c.want)
			}
		})
	}
}

func TestPathNeverSharesMemory(t *testing.T) {
	p := make(jsonpos.Path, 1, 8)
	p[0] = "a"
	b, c := p.At("b"), p.At("c", 1)
	if b.String() != "a.b" || c.String() != "a.c[1]" {
		t.Errorf("got %v, %v", b, c)
	}
}

func TestAppendStringReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s") + rapid.SampledFrom([]string{"", "\b\f\n\r\t\x00\x1f\"\\/<>&\u2028\x7f"}).Draw(t, "odd")
		text := jsonpos.AppendString(nil, s)
		v, err := jsonpos.Parse(text)
		if err != nil || v.Text != s {
			t.Fatalf("%s: %v", text, err)
		}
		var std string
		if err := json.Unmarshal(text, &std); err != nil || std != s {
			t.Fatalf("encoding/json reads %s as %q, %v", text, std, err)
		}
	})
	if got := string(jsonpos.AppendString(nil, "a\xff<&>\x01")); got != `"a`+"\ufffd"+`<&>\u0001"` {
		t.Errorf("got %s", got)
	}
}

// FuzzParse holds Parse against encoding/json: what Parse accepts is valid
// and has the same values, what only encoding/json accepts is one of the
// things the package says it refuses.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,-0.5e3,"\ud83d\ude00\n",true,false,null,{}]}`, `{"a":1,"a":2}`, `"\ud800"`, "\"\xff\"", "[[[[", " 0 "} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := jsonpos.Parse(text)
		if err == nil {
			var std any
			if uerr := json.Unmarshal(text, &std); uerr != nil && !strings.Contains(uerr.Error(), "cannot unmarshal number") {
				t.Fatalf("accepted, but encoding/json says %v", uerr)
			} else if uerr == nil {
				same(t, v, std)
			}
			return
		}
		syntax := err.(*jsonpos.SyntaxError)
		if p := syntax.Pos; p.Offset < 0 || p.Offset > len(text) || p.Line < 1 || p.Column < 1 {
			t.Fatalf("odd place %#v", p)
		}
		if json.Valid(text) && utf8.Valid(text) && !strings.Contains(syntax.Msg, "given twice") &&
			!strings.Contains(syntax.Msg, "deeper") && !strings.Contains(syntax.Msg, "escape") {
			t.Fatalf("refused valid JSON: %v", err)
		}
	})
}

func same(t *testing.T, v *jsonpos.Value, std any) {
	t.Helper()
	switch s := std.(type) {
	case map[string]any:
		if v.Kind != jsonpos.Object || len(v.Members) != len(s) {
			t.Fatalf("%v: %v members, want %d", v.Path(), v.Kind, len(s))
		}
		for _, m := range v.Members {
			same(t, m.Value, s[m.Name])
		}
	case []any:
		if v.Kind != jsonpos.Array || len(v.Items) != len(s) {
			t.Fatalf("%v: %v items, want %d", v.Path(), v.Kind, len(s))
		}
		for i, item := range v.Items {
			same(t, item, s[i])
		}
	case string:
		if v.Kind != jsonpos.String || v.Text != s {
			t.Fatalf("%v: %q, want %q", v.Path(), v.Text, s)
		}
	case nil:
		if v.Kind != jsonpos.Null {
			t.Fatalf("%v: %v, want null", v.Path(), v.Kind)
		}
	case bool:
		if v.Kind != jsonpos.Boolean || (v.Text == "true") != s {
			t.Fatalf("%v: %v %s", v.Path(), v.Kind, v.Text)
		}
	case float64:
		if v.Kind != jsonpos.Number {
			t.Fatalf("%v: %v, want a number", v.Path(), v.Kind)
		}
	}
}
