package cli_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// declared finds a code where it is declared: a constant, and its text.
var declared = regexp.MustCompile(`(?m)^\s+([A-Z][A-Za-z]+)\s+(?:[A-Z][A-Za-z]*\s+)?= "(KON[0-9]{4})"`)

// TestCodes: every code is declared once, stands on the page of codes and on
// that of its subject, and is in a test, by its name or as it is printed.
func TestCodes(t *testing.T) {
	names := map[string]string{} // of the constants, by code
	literal := map[string]bool{} // codes in the code
	var tests strings.Builder
	for _, root := range []string{"../../internal", "../../lifecycle", "../../policy", "../../cmd"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			isTest := strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata")
			if !isTest && filepath.Ext(path) != ".go" || strings.Contains(path, filepath.Join("testdata", "fuzz")) || filepath.Base(path) == "codes_test.go" {
				return nil
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if isTest {
				tests.Write(text)
				return nil
			}
			for _, m := range declared.FindAllSubmatch(text, -1) {
				if other := names[string(m[2])]; other != "" {
					t.Errorf("%s is %s and %s", m[2], other, m[1])
				}
				names[string(m[2])] = string(m[1])
			}
			for _, c := range regexp.MustCompile(`KON[0-9]{4}`).FindAllString(string(text), -1) {
				literal[c] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var codes []string
	for c := range literal {
		codes = append(codes, c)
		if names[c] == "" {
			t.Errorf("%s is not declared as a constant", c)
		}
		if !strings.Contains(tests.String(), c) && !regexp.MustCompile(`\b`+names[c]+`\b`).MatchString(tests.String()) {
			t.Errorf("%s (%s) is in no test", c, names[c])
		}
	}
	slices.Sort(codes)

	page, err := os.ReadFile("../../docs/codes.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(KON[0-9]{4})` \\|").FindAllStringSubmatch(string(page), -1) {
		documented = append(documented, m[1])
	}
	if diff := cmp.Diff(codes, documented); diff != "" {
		t.Errorf("docs/codes.md (-code +page):\n%s", diff)
	}
	var subjects strings.Builder
	for _, f := range []string{"file.md", "aws.md", "guides/kubernetes.md", "guides/promotion.md", "garbage-collection.md"} {
		text, err := os.ReadFile(filepath.Join("../../docs", f))
		if err != nil {
			t.Fatal(err)
		}
		subjects.Write(text)
	}
	for _, c := range codes {
		if !regexp.MustCompile(`(?m)^\| ` + "`?" + c + "`?" + ` \|`).MatchString(subjects.String()) {
			t.Errorf("%s is in no table of the page of its subject", c)
		}
	}
}
