package ecrapi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/race"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

// A modelFile is the API model as the generator reads it. The tests here read
// it directly: they hold the code against the model, not against the
// tables generated from it.
type modelFile struct {
	Operations map[string]struct{ Input, Output string }
	Shapes     map[string]modelShape
}

type modelShape struct {
	Type     string
	Required []string
	Members  map[string]string
	Member   string
	Min, Max *int64
	Pattern  string
	Enum     []string
}

func readModel(t *testing.T) modelFile {
	t.Helper()
	all := modelFile{map[string]struct{ Input, Output string }{}, map[string]modelShape{}}
	for _, path := range []string{"model/ecr.json", "model/backfill.json"} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var m modelFile
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		maps.Copy(all.Operations, m.Operations)
		maps.Copy(all.Shapes, m.Shapes)
	}
	return all
}

// valid is a value of a shape with what is required and no more.
func (m modelFile) valid(t *testing.T, name string) any {
	t.Helper()
	s := m.Shapes[name]
	switch s.Type {
	case "structure":
		v := map[string]any{}
		for _, r := range s.Required {
			v[r] = m.valid(t, s.Members[r])
		}
		return v
	case "list":
		list := []any{}
		for range bound(s.Min, 0) {
			list = append(list, m.valid(t, s.Member))
		}
		return list
	case "integer", "long":
		return bound(s.Min, 0)
	case "boolean":
		return true
	case "blob":
		return base64.StdEncoding.EncodeToString(make([]byte, bound(s.Min, 0)))
	case "string":
		if len(s.Enum) > 0 {
			return s.Enum[0]
		}
		if s.Pattern == "" {
			return strings.Repeat("x", int(bound(s.Min, 0)))
		}
		g := rapid.StringMatching(s.Pattern)
		for seed := range 2000 {
			if v := g.Example(seed); int64(len(v)) >= bound(s.Min, 0) && int64(len(v)) <= bound(s.Max, 1000) && s.matches(v) {
				return v
			}
		}
	}
	t.Fatalf("no value of the shape %s, a %s, was found", name, s.Type)
	return nil
}

func (s modelShape) matches(v string) bool {
	return regexp.MustCompile("^(?:" + s.Pattern + ")$").MatchString(v)
}

func bound(b *int64, otherwise int64) int64 {
	if b == nil {
		return otherwise
	}
	return *b
}

// A breach is a value that a shape does not allow, with what must be said, or
// one at the edge of what it allows, with nothing to say.
type breach struct {
	value any
	must  string
}

// breaches are the ways to break each constraint of a shape itself, and the
// values that just do not.
func (m modelFile) breaches(t *testing.T, name string) []breach {
	t.Helper()
	s := m.Shapes[name]
	var all []breach
	add := func(value any, must string, args ...any) {
		all = append(all, breach{value, fmt.Sprintf(must, args...)})
	}
	sized := func(make func(n int64) any) {
		if n := bound(s.Min, 0); n > 0 {
			add(make(n-1), "have length greater than or equal to %d", n)
			add(make(n), "")
		}
		if s.Max != nil {
			add(make(*s.Max+1), "have length less than or equal to %d", *s.Max)
			add(make(*s.Max), "")
		}
	}
	switch s.Type {
	case "list":
		sized(func(n int64) any {
			list := make([]any, n)
			for i := range list {
				list[i] = m.valid(t, s.Member)
			}
			return list
		})
	case "blob":
		sized(func(n int64) any { return base64.StdEncoding.EncodeToString(make([]byte, n)) })
	case "integer", "long":
		if s.Min != nil {
			add(*s.Min-1, "have value greater than or equal to %d", *s.Min)
			add(*s.Min, "")
		}
		if s.Max != nil {
			add(*s.Max+1, "have value less than or equal to %d", *s.Max)
			add(*s.Max, "")
		}
	case "string":
		text := func(n int64) any { return strings.Repeat("a", int(n)) }
		switch {
		case len(s.Enum) > 0:
			// ECR lists the values in another order, which TestErrorTexts
			// and the generator's tests check.
			values := shapes[name].enum
			if !slices.Equal(slices.Sorted(slices.Values(values)), slices.Sorted(slices.Values(s.Enum))) {
				t.Errorf("%s: the table has the values %v, the model %v", name, values, s.Enum)
			}
			add("nothing of the sort", "satisfy enum value set: [%s]", strings.Join(values, ", "))
			for _, v := range s.Enum {
				add(v, "")
			}
		case s.Pattern == "":
			sized(text)
		default:
			add(m.valid(t, name), "")
			add(strings.Repeat("!", int(max(bound(s.Min, 1), 1))), "satisfy regular expression '%s'", strings.ReplaceAll(s.Pattern, `\/`, "/"))
			if n := bound(s.Min, 0); n > 0 {
				add(text(n-1), "have length greater than or equal to %d", n)
			}
			if s.Max != nil {
				add(text(*s.Max+1), "have length less than or equal to %d", *s.Max)
			}
		}
	}
	return all
}

// walk calls fn for each place in the requests of a shape: with the text that
// names it in errors, its shape, whether it must be there, and a function that
// makes a request whose only departure from a valid one is the value there.
func (m modelFile) walk(t *testing.T, name, path string, with func(any) any, fn func(path, shape string, required bool, with func(any) any)) {
	t.Helper()
	s := m.Shapes[name]
	switch s.Type {
	case "structure":
		for _, member := range slices.Sorted(maps.Keys(s.Members)) {
			at := strings.ToLower(member[:1]) + member[1:]
			if path != "" {
				at = path + "." + at
			}
			set := func(v any) any {
				whole := m.valid(t, name).(map[string]any)
				if whole[member] = v; v == nil {
					delete(whole, member)
				}
				return with(whole)
			}
			fn(at, s.Members[member], slices.Contains(s.Required, member), set)
			m.walk(t, s.Members[member], at, set, fn)
		}
	case "list":
		set := func(v any) any {
			list := []any{v}
			for int64(len(list)) < bound(s.Min, 1) {
				list = append(list, m.valid(t, s.Member))
			}
			return with(list)
		}
		fn(path+".1.member", s.Member, false, set)
		m.walk(t, s.Member, path+".1.member", set, fn)
	}
}

// Every constraint of the model's requests is one of the server's: what breaks
// it is refused in ECR's words, and what just does not break it goes by.
// Operations that are served answer so before they do anything; with the race
// detector one request of four is served.
func TestEveryConstraintOfTheModel(t *testing.T) {
	m := readModel(t)
	s := newServer(t)
	tried := 0
	for _, operation := range slices.Sorted(maps.Keys(m.Operations)) {
		check := func(path string, request any, must string) {
			t.Helper()
			tried++
			body, err := json.Marshal(request)
			if err != nil {
				t.Fatal(err)
			}
			in := wireTypes[operation].request()
			if err := awsjson.Decode(body, in); err != nil {
				t.Errorf("%s: %s: %.100s: %v", operation, path, body, err)
				return
			}
			err = validate(in)
			if must == "" {
				if err != nil {
					t.Errorf("%s: %s: %.100s: %v", operation, path, body, err)
				}
				return
			}
			word := "Member must "
			if path == "repositoryName" {
				word = "must "
			}
			want := "Invalid parameter at '" + path + "' failed to satisfy constraint: '" + word + must + "'"
			if err == nil || err.Error() != "InvalidParameterException: "+want {
				t.Errorf("%s: %s: %.100s:\n got %v\nwant %s", operation, path, body, err, want)
			}
			if served[operation] == nil || race.Enabled && tried%4 != 0 {
				return
			}
			w := s.do(operation, string(body))
			var got errorBody
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if w.Code != http.StatusBadRequest || got.Type != "InvalidParameterException" || got.Message == nil || *got.Message != want {
				t.Errorf("%s: %s: %.100s:\n got %d %.300s\nwant %s", operation, path, body, w.Code, w.Body, want)
			}
		}
		input := m.Operations[operation].Input
		check("", m.valid(t, input), "")
		m.walk(t, input, "", func(v any) any { return v }, func(path, shape string, required bool, with func(any) any) {
			if required {
				check(path, with(nil), "not be null")
			}
			for _, b := range m.breaches(t, shape) {
				check(path, with(b.value), b.must)
			}
		})
	}
	if tried < 500 {
		t.Errorf("only %d requests were tried", tried)
	}
	t.Logf("%d requests", tried)
}
