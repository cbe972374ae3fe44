package kontor_test

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// corpusMin is how many inputs of its own each target has next to its seeds.
const corpusMin = 4

// TestFuzzTargets holds the list of CONTRIBUTING.md against the targets that
// there are, and wants a corpus of each.
func TestFuzzTargets(t *testing.T) {
	target := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)
	var there []string
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := os.ReadFile(name)
		for _, m := range target.FindAllSubmatch(text, -1) {
			there = append(there, path.Dir(name)+" "+string(m[1]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, line := range regexp.MustCompile("(?m)^- `([a-z0-9/]+)`: ((?:`Fuzz\\w+`(?:, )?)+)$").FindAllStringSubmatch(string(page), -1) {
		for name := range strings.SplitSeq(line[2], ", ") {
			listed = append(listed, line[1]+" "+strings.Trim(name, "`"))
		}
	}
	for _, target := range there {
		dir, name, _ := strings.Cut(target, " ")
		corpus := path.Join(dir, "testdata/fuzz", name)
		inputs, err := os.ReadDir(corpus)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if len(inputs) < corpusMin {
			t.Errorf("%s has %d inputs, want %d or more", corpus, len(inputs), corpusMin)
		}
	}
	slices.Sort(there)
	slices.Sort(listed)
	if d := cmp.Diff(there, listed); d != "" {
		t.Errorf("fuzz targets (-in the code +in CONTRIBUTING.md):\n%s", d)
	}
}
