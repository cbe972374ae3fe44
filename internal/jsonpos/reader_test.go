package jsonpos_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/kontor-registry/kontor/internal/jsonpos"
)

// tree reads a value as Parse would.
func tree(r *jsonpos.Reader) (any, error) {
	k, err := r.Kind()
	if err != nil {
		return nil, err
	}
	switch k {
	case jsonpos.Object:
		m := map[string]any{}
		err := r.Members(func(name []byte) error {
			key := string(name)
			m[key], err = tree(r)
			return err
		})
		return m, err
	case jsonpos.Array:
		list := []any{}
		err := r.Items(func(int) error {
			v, err := tree(r)
			list = append(list, v)
			return err
		})
		return list, err
	}
	at := r.Path().String()
	text, err := r.Text()
	return []string{k.String(), string(text), r.Pos().String(), at}, err
}

func parsed(v *jsonpos.Value) any {
	switch v.Kind {
	case jsonpos.Object:
		m := map[string]any{}
		for _, x := range v.Members {
			m[x.Name] = parsed(x.Value)
		}
		return m
	case jsonpos.Array:
		list := []any{}
		for _, x := range v.Items {
			list = append(list, parsed(x))
		}
		return list
	}
	return []string{v.Kind.String(), v.Text, v.Pos.String(), v.Path().String()}
}

// agree holds that a Reader reads text as Parse does, however it comes.
func agree(t *testing.T, text []byte) {
	t.Helper()
	v, perr := jsonpos.Parse(text)
	for name, in := range map[string]io.Reader{"at once": bytes.NewReader(text), "byte by byte": iotest.OneByteReader(bytes.NewReader(text))} {
		r := jsonpos.NewReader(in)
		got, err := tree(r)
		if err == nil {
			err = r.End()
		}
		if perr == nil {
			if want := parsed(v); err != nil || !reflect.DeepEqual(want, got) {
				t.Errorf("%s: %.200q: %v\n got %.500q\nwant %.500q", name, text, err, got, want)
			}
			if err := jsonpos.NewReader(bytes.NewReader(text)).Skip(); err != nil {
				t.Errorf("skipping %.200q: %v", text, err)
			}
			continue
		}
		// What a name was given before is not kept.
		want, _, _ := strings.Cut(perr.Error(), ", first at")
		if err == nil || err.Error() != want {
			t.Errorf("%s: %.200q:\n got %v\nwant %s", name, text, err, want)
		}
	}
}

func TestReaderReadsAsParse(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, text := range []string{
		"\t{\"a\": [1, -2.5e+3, true],\n \"\\u00e4\\ud83d\\ude00\": {\"ä\": null, \"c\": \"x\\n\\/\"}, \"b\":false}\r\n",
		`[[], {}, "", [[1]], {"a": {"b": [{"c": 1}]}}]`, ` "` + long + `" `, `{"` + long + `": ["` + long + `ä", 1]}`, strings.Repeat(" ", 200_000) + "\n7",
		"", " \n ", "{} {}", "[1,]", "[1 2]", `{"a":1,}`, `{a:1}`, `{"a" 1}`, `{"a":1 "b":2}`, "{\"a\":1,\n\"b\":{\"c\":0,\"c\":1}}", `{"\u0061":1,"a":1}`,
		`{"a":tru}`, `"\u12`, `"\x"`, `"ä\ud800"`, "\"a\nb\"", "\"\xff\"", `"abc`, `"abc\`, `"`, "01", "-", "1.", "1e+", "\ufeff{}", "\xff", "[,]", "[\x00]", "1\x00", "nul", "truer",
		strings.Repeat("[", 101), strings.Repeat("[", 100) + strings.Repeat("]", 100),
	} {
		agree(t, []byte(text))
	}
	// objects with many members
	var b strings.Builder
	for i := range 100 {
		b.WriteString(`,"` + strings.Repeat("n", i+1) + `":0`)
	}
	agree(t, []byte("{"+b.String()[1:]+"}"))
	agree(t, []byte("{"+b.String()[1:]+`,"n":1}`))
}

func TestReaderFails(t *testing.T) {
	r := jsonpos.NewReader(strings.NewReader("{\"list\": [\n {\"a\": 1},\n {\"a\": \"x\"}]}"))
	err := r.Members(func([]byte) error {
		return r.Items(func(i int) error {
			return r.Members(func([]byte) error {
				k, err := r.Kind()
				if err != nil {
					return err
				}
				text, err := r.Text()
				if k != jsonpos.Number {
					return r.Fail("want a number, have %q", text)
				}
				return err
			})
		})
	})
	if err == nil || err.Error() != `3:8: list[1].a: want a number, have "x"` {
		t.Errorf("%v", err)
	}
	broken := errors.New("broken pipe")
	r = jsonpos.NewReader(io.MultiReader(strings.NewReader(`[1, `), iotest.ErrReader(broken)))
	if err := r.Skip(); !errors.Is(err, broken) {
		t.Errorf("a stream that breaks: %v", err)
	}
	if _, err := jsonpos.NewReader(strings.NewReader("[1]")).Text(); err == nil || err.Error() != "1:1: want a string or number, have array" {
		t.Errorf("%v", err)
	}
	if err := jsonpos.NewReader(strings.NewReader("[1]")).Members(nil); err == nil || err.Error() != "1:1: want an object, have array" {
		t.Errorf("%v", err)
	}
}

func FuzzReader(f *testing.F) {
	for _, s := range []string{`{"a":[1,-0.5e3,"\ud83d\ude00\n",true,false,null,{}]}`, `{"a":1,"a":2}`, `"\ud800"`, "\"\xff\"", "[[[[", " 0 "} {
		f.Add([]byte(s))
	}
	f.Fuzz(agree)
}
