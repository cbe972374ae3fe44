package cli

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
)

// An error is split where it is a list, and not where it says something about
// the errors that it wraps.
func TestMessages(t *testing.T) {
	a, b := errors.New("a"), errors.New("b")
	inFile := spec.Errors{{Position: state.Position{File: "k.yaml", Line: 1, Column: 2}, Message: "wrong"}, {Message: "too"}}
	for name, c := range map[string]struct {
		err  error
		want []string
	}{
		"one":                 {a, []string{"kontor: a"}},
		"joined":              {errors.Join(a, b), []string{"kontor: a", "kontor: b"}},
		"joined in a join":    {errors.Join(a, errors.Join(b, a)), []string{"kontor: a", "kontor: b", "kontor: a"}},
		"wraps several":       {fmt.Errorf("%w while %w", a, b), []string{"kontor: a while b"}},
		"joins one that does": {errors.Join(a, fmt.Errorf("%w while %w", a, b)), []string{"kontor: a", "kontor: a while b"}},
		"wraps a list":        {fmt.Errorf("both: %w", errors.Join(a, b)), []string{"kontor: both: a\nkontor: b"}},
		"of a file":           {inFile, []string{"k.yaml:1:2: wrong", "too"}},
		"of a file, joined":   {errors.Join(inFile, a), []string{"k.yaml:1:2: wrong", "too", "kontor: a"}},
	} {
		if d := cmp.Diff(c.want, messages(c.err)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
