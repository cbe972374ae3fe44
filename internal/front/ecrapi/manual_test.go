package ecrapi

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The manual's page on compatibility names the operations that are not served,
// and no others.
func TestManualNamesWhatIsNotServed(t *testing.T) {
	page, err := os.ReadFile("../../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile(`(?s)\n## Operations that are not served\n(.*?)\n## `).FindSubmatch(page)
	if section == nil {
		t.Fatal("the page has no section of operations that are not served")
	}
	named, missing := []string{}, []string{}
	for _, m := range regexp.MustCompile("`([A-Z][A-Za-z]+)`").FindAllSubmatch(section[1], -1) {
		if name := string(m[1]); Known(name) {
			named = append(named, name)
		}
	}
	for operation := range modelled {
		if served[operation] == nil {
			missing = append(missing, operation)
		}
	}
	slices.Sort(named)
	slices.Sort(missing)
	if d := cmp.Diff(missing, named); d != "" {
		t.Errorf("docs/compatibility.md (-not served +named):\n%s", d)
	}
}
