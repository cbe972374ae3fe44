package cli

import (
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/spec"
)

// messages are the lines that err is reported in: an error of a file is a
// line of its own that begins with its place, anything else belongs to kontor.
func messages(err error) []string {
	if parts := joined(err); parts != nil {
		var out []string
		for _, e := range parts {
			out = append(out, messages(e)...)
		}
		return out
	}
	if place, ok := err.(*spec.Error); ok {
		return []string{place.Error()}
	}
	return []string{"kontor: " + strings.ReplaceAll(err.Error(), "\n", "\nkontor: ")}
}

// joined are the errors that err is nothing but a list of, as errors.Join and
// spec.Errors are; nil for an error that says something itself, such as one
// that wraps several.
func joined(err error) []error {
	list, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	parts := list.Unwrap()
	texts := make([]string, len(parts))
	for i, e := range parts {
		texts[i] = e.Error()
	}
	if err.Error() != strings.Join(texts, "\n") {
		return nil
	}
	return parts
}
