package ecrapi

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// A shape says what a value of the API must satisfy. The table of them,
// shapes, is generated from the API model.
type shape struct {
	// min and max bound a number, the characters of a string, the bytes of a
	// blob or the elements of a list.
	min, max *int64
	pattern  string // the whole string must match it
	enum     []string
	element  string   // the shape of a list's elements
	members  []member // of a structure, in the order of its Go fields
}

// A member of a structure. Its shape is empty when any value is right.
type member struct {
	name     string
	shape    string
	required bool
}

func at(n int64) *int64 { return &n }

var patterns = sync.OnceValue(func() map[string]*regexp.Regexp {
	compiled := map[string]*regexp.Regexp{}
	for _, s := range shapes {
		if s.pattern != "" && compiled[s.pattern] == nil {
			compiled[s.pattern] = regexp.MustCompile("^(?:" + s.pattern + ")$")
		}
	}
	return compiled
})

// validate checks a request, a pointer to a generated structure, against the
// constraint table. The error is ECR's InvalidParameterException for the first
// violation: members that are required first, then by name. ECR's own order,
// and its text for several violations at once, are not known.
func validate(request any) error {
	v := reflect.ValueOf(request).Elem()
	if err := check(v, shapes[v.Type().Name()], ""); err != nil {
		return err
	}
	return nil
}

func check(v reflect.Value, s shape, path string) *ecr.Error {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Struct:
		for i, m := range s.members {
			field, at := v.Field(i), join(path, m.name)
			if field.IsNil() {
				if m.required {
					return violation(at, "not be null")
				}
				continue
			}
			if err := check(field, shapes[m.shape], at); err != nil {
				return err
			}
		}
	case reflect.Slice:
		if err := checkBounds(int64(v.Len()), s, path, "length"); err != nil {
			return err
		}
		if s.element == "" {
			return nil
		}
		for i := range v.Len() {
			// AWS counts elements from one: tags.2.member.key.
			if err := check(v.Index(i), shapes[s.element], fmt.Sprintf("%s.%d.member", path, i+1)); err != nil {
				return err
			}
		}
	case reflect.String:
		return checkText(v.String(), s, path)
	case reflect.Int32, reflect.Int64:
		return checkBounds(v.Int(), s, path, "value")
	}
	return nil
}

func checkText(text string, s shape, path string) *ecr.Error {
	if s.min != nil || s.max != nil {
		if err := checkBounds(int64(utf8.RuneCountInString(text)), s, path, "length"); err != nil {
			return err
		}
	}
	if s.pattern != "" && !patterns()[s.pattern].MatchString(text) {
		return violation(path, "satisfy regular expression '%s'", s.pattern)
	}
	if len(s.enum) > 0 && !slices.Contains(s.enum, text) {
		return violation(path, "satisfy enum value set: [%s]", strings.Join(s.enum, ", "))
	}
	return nil
}

func checkBounds(n int64, s shape, path, what string) *ecr.Error {
	if s.min != nil && n < *s.min {
		return violation(path, "have %s greater than or equal to %d", what, *s.min)
	}
	if s.max != nil && n > *s.max {
		return violation(path, "have %s less than or equal to %d", what, *s.max)
	}
	return nil
}

// violation has the two wordings that ECR has: "must ..." for a repository's
// name, which the service checks itself, "Member must ..." for the rest.
func violation(path, must string, args ...any) *ecr.Error {
	word := "Member must "
	if path == "repositoryName" {
		word = "must "
	}
	return ecr.InvalidParameter(path, "%s", word+fmt.Sprintf(must, args...))
}

// join writes member names as AWS does, lower-case at first also where the
// member is not (tags.1.member.key for Key).
func join(path, name string) string {
	name = strings.ToLower(name[:1]) + name[1:]
	if path == "" {
		return name
	}
	return path + "." + name
}
