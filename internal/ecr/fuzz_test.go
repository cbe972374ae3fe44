package ecr_test

import (
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// FuzzNames: what is taken as a name of something is what was given, has the
// length that is stated, and cannot lead anywhere else in a path or an ARN.
func FuzzNames(f *testing.F) {
	digest := string(ecr.DigestOf(nil))
	for _, s := range []string{
		"team/website", "v1.0_rc-1", digest, "sha512:" + strings.Repeat("0", 128), "111111111111", "us-gov-west-1",
		"arn:aws:ecr:us-east-1:111111111111:repository/team/website", "arn:aws-cn:ecr:cn-north-1:111111111111:repository/a0",
		"../a", "a//b", "A", "a\n", strings.Repeat("a", 257), digest + "\n", "sha256:" + strings.Repeat("F", 64),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsAny(s, "\x00\n\\%?# ") || strings.Contains(s, "..") && strings.Contains(s, "/") {
			if n, err := ecr.ParseRepositoryName(s); err == nil {
				t.Errorf("repository %q", n)
			}
			if n, err := ecr.ParseTag(s); err == nil {
				t.Errorf("tag %q", n)
			}
		}
		if n, err := ecr.ParseRepositoryName(s); err == nil && (string(n) != s || len(s) < ecr.MinRepositoryName || len(s) > ecr.MaxRepositoryName || strings.ToLower(s) != s) {
			t.Errorf("repository %q of %q", n, s)
		}
		if n, err := ecr.ParseTag(s); err == nil && (string(n) != s || s == "" || len(s) > 128 || strings.ContainsAny(s, "/:@")) {
			t.Errorf("tag %q of %q", n, s)
		}
		if d, err := ecr.ParseDigest(s); err == nil {
			_, hash, _ := strings.Cut(s, ":")
			if string(d) != s || len(hash) != 2*d.Hash().Size() {
				t.Errorf("digest %q of %q", d, s)
			}
		}
		if a, err := ecr.ParseAccountID(s); err == nil && (string(a) != s || len(s) != 12) {
			t.Errorf("account %q of %q", a, s)
		}
		if r, err := ecr.ParseRegion(s); err == nil && (string(r) != s || r.Partition() == "" || r.DNSSuffix() == "") {
			t.Errorf("region %q of %q", r, s)
		}
		if id, name, err := ecr.ParseRepositoryARN(s); err == nil && id.RepositoryARN(name) != s {
			t.Errorf("%q is %s and %s", s, id, name)
		}
	})
}

// FuzzMatchWildcard: matching ends soon whatever the pattern, a pattern
// without a star matches itself alone, and a star more matches no less.
func FuzzMatchWildcard(f *testing.F) {
	f.Add("*", "")
	f.Add("a*b", "ab")
	f.Add("a*a*a*a*b", strings.Repeat("a", 50))
	f.Add("**", "\xff")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		got := ecr.MatchWildcard(pattern, s)
		if !strings.Contains(pattern, "*") && got != (pattern == s) {
			t.Errorf("MatchWildcard(%q, %q) = %v", pattern, s, got)
		}
		if got && !ecr.MatchWildcard(pattern+"*", s+"x") {
			t.Errorf("%q matches %q, but %q does not match %q", pattern, s, pattern+"*", s+"x")
		}
	})
}
