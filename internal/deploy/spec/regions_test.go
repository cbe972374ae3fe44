package spec_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/spec"
)

// notice is what Load says of a region, as a notice or as an error.
func notice(t *testing.T, where, region string) string {
	t.Helper()
	entry := fmt.Sprintf(`[{name: x, account: "111111111111", region: %q}]`, region)
	_, notices, err := spec.Load(yamlSource("k.yaml", where+": "+entry+"\necr_repositories: {}\n"))
	if err != nil {
		return err.Error()
	}
	lines := []string{}
	for _, n := range notices {
		lines = append(lines, n.String())
	}
	return strings.Join(lines, "\n")
}

func TestRegionsThatAWSDoesNotHave(t *testing.T) {
	for region, want := range map[string]string{
		"us-east-1":        "",
		"ap-southeast-7":   "",
		"us-gov-west-1":    "",
		"eusc-de-east-1":   "",
		"us-east1":         `KON1009: registries[0].region: "us-east1" is not a region known to this version of Kontor; did you mean "us-east-1"?`,
		"useast1":          `KON1009: registries[0].region: "useast1" is not a region known to this version of Kontor; did you mean "us-east-1"?`,
		"eu-central":       `KON1009: registries[0].region: "eu-central" is not a region known to this version of Kontor; did you mean "eu-central-1"?`,
		"eu-nroth-1":       `KON1009: registries[0].region: "eu-nroth-1" is not a region known to this version of Kontor; did you mean "eu-north-1"?`,
		"us-west-9":        `KON1009: registries[0].region: "us-west-9" is not a region known to this version of Kontor; did you mean "us-west-1"?`,
		"us-east-1a":       `KON1009: registries[0].region: "us-east-1a" is a zone; its region is "us-east-1"`,
		"us-east-1-bos-1a": `KON1009: registries[0].region: "us-east-1-bos-1a" is a zone; its region is "us-east-1"`,
		"mars":             `KON1009: registries[0].region: "mars" is not a region known to this version of Kontor`,
		"US-East-1":        `registries[0].region: region "US-East-1": want 2 to 25 lower-case letters, digits and '-', such as us-east-1; did you mean "us-east-1"?`,
		"us_west_2":        `registries[0].region: region "us_west_2": want 2 to 25 lower-case letters, digits and '-', such as us-east-1; did you mean "us-west-2"?`,
	} {
		t.Run(region, func(t *testing.T) {
			for where, column := range map[string]int{"registries": 57, "clusters": 55} {
				at, got, _ := strings.Cut(notice(t, where, region), " ")
				if want := strings.ReplaceAll(want, "registries", where); got != want || got != "" && at != fmt.Sprintf("k.yaml:1:%d:", column) {
					t.Errorf("%s %s\nwant %s", at, got, want)
				}
			}
		})
	}
	// another server may have any
	_, notices, err := spec.Load(yamlSource("k.yaml", `registries: [{name: x, account: "111111111111", region: local, endpoint: "http://localhost:1"}]
ecr_repositories: {}
`))
	if err != nil || len(notices) > 0 {
		t.Error(notices, err)
	}
}

// The regions are those that the AWS SDK knows.
func TestRegionsOfTheSDK(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "internal/endpoints/awsrulesfn/partitions.json"))
	if err != nil {
		t.Fatal(err)
	}
	var sdk struct {
		Partitions []struct{ Regions map[string]any }
	}
	if err := json.Unmarshal(text, &sdk); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, p := range sdk.Partitions {
		want = append(want, slices.Collect(maps.Keys(p.Regions))...)
	}
	want = slices.DeleteFunc(want, func(r string) bool { return strings.HasSuffix(r, "-global") })
	slices.Sort(want)
	got := spec.Regions()
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
