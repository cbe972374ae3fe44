package lifecyclecmd_test

import (
	"flag"

	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/cli/clitest"
)

var update = flag.Bool("update", false, "draw the pictures of docs")

// The pictures of docs/garbage-collection.md are those that its commands draw
// from its files. `go test ./internal/cli/lifecyclecmd -run TestGuidePictures -update` draws
// them again.
func TestGuidePictures(t *testing.T) {
	docs, err := filepath.Abs("../../../docs")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(docs, "garbage-collection.md"))
	if err != nil {
		t.Fatal(err)
	}
	s := clitest.New(t)
	for _, m := range regexp.MustCompile("(?ms)^```yaml (\\S+\\.json)\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		s.Write(m[1], m[2])
	}
	if err := os.MkdirAll("manifests", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename("tools.json", "manifests/tools.json"); err != nil {
		t.Fatal(err)
	}
	for picture, policy := range map[string]string{"before.svg": "policy.json", "after.svg": "better.json"} {
		r := s.Want(s.Run("lifecycle", "forecast", "shop/web", "--policy", policy, "--images", "images.json", "--manifests", "manifests",
			"--at", "2026-03-01T12:00:00Z", "--days", "28", "--svg", picture), 0)
		if r.Errors != "" {
			t.Errorf("%s: %s", picture, r.Errors)
		}
		got, err := os.ReadFile(picture)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(docs, "pictures", picture)
		if *update {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("docs/pictures/%s is old (-file +drawn):\n%s", picture, diff)
		}
	}
}
