package cli_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/cli/clitest"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
)

// link is one of Markdown.
var link = regexp.MustCompile(`\[([^\]]+)\]\([^)]+\)`)

// TestExplainEveryField: what is known of a field is said, by the name that
// completion offers.
func TestExplainEveryField(t *testing.T) {
	s := clitest.New(t)
	names := map[string]bool{}
	for name := range strings.FieldsSeq(s.Want(s.Run("__complete", "explain", ""), 0).Out) {
		names[name] = true
	}
	list := s.Want(s.Run("explain"), 0).Out
	for _, f := range fields.All() {
		r := s.Want(s.Run("explain", f.ID()), 0)
		// links and backticks are for pages
		words := func(s string) string {
			return strings.Join(strings.Fields(link.ReplaceAllString(strings.ReplaceAll(s, "`", ""), "$1")), " ")
		}
		plain := words(r.Out)
		want := []string{f.ID(), f.Summary, f.Limit, f.Becomes}
		for _, row := range f.Table() {
			want = append(want, row[0]+": "+row[1])
		}
		for _, w := range want {
			if !strings.Contains(plain, words(w)) {
				t.Errorf("kontor explain %s does not say %q:\n%s", f.ID(), w, r.Out)
			}
		}
		if f.Example != "" && !strings.Contains(r.Out, "Example:") {
			t.Errorf("kontor explain %s has no example", f.ID())
		}
		if !names[f.ID()] || !strings.Contains(list, f.ID()+" ") {
			t.Errorf("%s is not offered, or not listed", f.ID())
		}
	}
}
