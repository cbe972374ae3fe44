package ecr_test

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Names that are checked by byte are those that their expressions match.
func TestGrammar(t *testing.T) {
	parsers := map[string]struct {
		expression string
		parse      func(string) bool
		examples   []string
	}{
		"account": {`^[0-9]{12}$`, taken(ecr.ParseAccountID), []string{"123456789012", "12345678901", "1234567890123", "12345678901a"}},
		"region":  {`^[0-9a-z-]{2,25}$`, taken(ecr.ParseRegion), []string{"us-east-1", "u", "xx", "US-east-1", strings.Repeat("a", 25), strings.Repeat("a", 26)}},
		"tag": {`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`, taken(ecr.ParseTag), []string{"", "1.4.2", ".x", "-x", "_x", "x\n", "é",
			strings.Repeat("x", 128), strings.Repeat("x", 129)}},
		"digest": {`^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$`, taken(ecr.ParseDigest), []string{
			"sha256:" + strings.Repeat("a", 64), "sha256:" + strings.Repeat("g", 64), "sha256:" + strings.Repeat("A", 64), "sha256:" + strings.Repeat("0", 63),
			"sha512:" + strings.Repeat("0", 128), "sha512:" + strings.Repeat("0", 64), "sha384:" + strings.Repeat("0", 96), ""}},
		"repository": {`^(?:` + ecr.RepositoryNamePattern + `)$`, func(s string) bool {
			return len(s) < 2 || len(s) > 256 || taken(ecr.ParseRepositoryName)(s)
		}, []string{"ab", "a.b", "a..b", "a__b", "a___b", "a-_b", "a---b", "a-", "-a", "a/b", "a//b", "/a", "a/", "a/-b", "a_.b", "aA"}},
	}
	for name, p := range parsers {
		expression := regexp.MustCompile(p.expression)
		same := func(t interface{ Errorf(string, ...any) }, s string) {
			want := expression.MatchString(s)
			if name == "repository" && (len(s) < 2 || len(s) > 256) {
				want = true // its length is another error
			}
			if got := p.parse(s); got != want {
				t.Errorf("%s %q: %v, want %v", name, s, got, want)
			}
		}
		t.Run(name, func(t *testing.T) {
			for _, s := range p.examples {
				same(t, s)
			}
			rapid.Check(t, func(t *rapid.T) {
				same(t, rapid.OneOf(rapid.StringMatching(p.expression), rapid.StringMatching(`[ab1._/-]{1,12}`), rapid.String()).Draw(t, "name"))
			})
		})
	}
}

func taken[T any](parse func(string) (T, error)) func(string) bool {
	return func(s string) bool { _, err := parse(s); return err == nil }
}
