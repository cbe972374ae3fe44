package registry_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// Amazon ECR user guide, "Filters to choose which repositories are scanned":
// the table of filters and names.
func TestScanFilters(t *testing.T) {
	names := []ecr.RepositoryName{"prod", "repo-prod", "prod-repo", "repo-prod-repo", "prodrepo"}
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	for _, name := range names {
		f.Repo(string(name), ecr.Mutable)
	}
	for _, tc := range []struct {
		filter  string
		matched []ecr.RepositoryName
	}{
		{"prod", names},
		{"*prod", []ecr.RepositoryName{"prod", "repo-prod"}},
		{"prod*", []ecr.RepositoryName{"prod", "prod-repo", "prodrepo"}},
		{"*prod*", names},
		{"prod*repo", []ecr.RepositoryName{"prod-repo", "prodrepo"}},
	} {
		scan := registry.RegistryScan{Type: registry.ScanBasic, Rules: []registry.ScanRule{{Frequency: registry.ScanOnPush, Filters: []string{tc.filter}}}}
		if err := f.SetRegistryScanning(t.Context(), testkit.Home, scan); err != nil {
			t.Fatal(err)
		}
		list, _, err := f.Scanning(t.Context(), testkit.Home, names)
		if err != nil || len(list) != len(names) {
			t.Fatalf("%v, %v", list, err)
		}
		for _, r := range list {
			want := slices.Contains(tc.matched, r.Name)
			if r.ScanOnPush || (r.Frequency == registry.ScanOnPush) != want || (len(r.Filters) == 1) != want {
				t.Errorf("%s and %s: %+v", tc.filter, r.Name, r)
			}
		}
	}
}

// Amazon ECR user guide, "Scan images": what the types of scanning take, and
// which rule counts.
func TestScanning(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx := t.Context()
	f.Repo("plain", ecr.Mutable)
	if err := f.SetScanOnPush(ctx, f.Repo("own", ecr.Mutable), true); err != nil {
		t.Fatal(err)
	}
	type frequencies map[ecr.RepositoryName]registry.ScanFrequency
	onPush := registry.ScanRule{Frequency: registry.ScanOnPush, Filters: []string{"plain", "*ain"}}
	continuous := registry.ScanRule{Frequency: registry.ScanContinuous, Filters: []string{"*ain", "none"}}
	for _, tc := range []struct {
		name    string
		scan    registry.RegistryScan
		want    frequencies
		filters []string // of plain
	}{
		{"default", registry.RegistryScan{Type: registry.ScanBasic}, frequencies{"own": registry.ScanOnPush, "plain": registry.ScanManual}, nil},
		{"basic", registry.RegistryScan{Type: registry.ScanBasic, Rules: []registry.ScanRule{onPush}},
			frequencies{"own": registry.ScanOnPush, "plain": registry.ScanOnPush}, []string{"plain", "*ain"}},
		{"enhanced, no rules", registry.RegistryScan{Type: registry.ScanEnhanced}, frequencies{"own": registry.ScanManual, "plain": registry.ScanManual}, nil},
		{"enhanced, continuous wins", registry.RegistryScan{Type: registry.ScanEnhanced, Rules: []registry.ScanRule{continuous, onPush}},
			frequencies{"own": registry.ScanManual, "plain": registry.ScanContinuous}, []string{"*ain", "plain"}},
		{"enhanced, in the other order", registry.RegistryScan{Type: registry.ScanEnhanced, Rules: []registry.ScanRule{onPush, continuous}},
			frequencies{"own": registry.ScanManual, "plain": registry.ScanContinuous}, []string{"plain", "*ain"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.name != "default" {
				if err := f.SetRegistryScanning(ctx, testkit.Home, tc.scan); err != nil {
					t.Fatal(err)
				}
			}
			got, err := f.RegistryScanning(ctx, testkit.Home)
			if d := cmp.Diff(tc.scan, got); err != nil || d != "" {
				t.Errorf("%v (-want +got):\n%s", err, d)
			}
			list, missing, err := f.Scanning(ctx, testkit.Home, []ecr.RepositoryName{"plain", "nowhere", "own"})
			if err != nil || len(list) != 2 || list[0].Name != "plain" {
				t.Fatalf("%+v %v", list, err)
			}
			if d := cmp.Diff([]ecr.RepositoryName{"nowhere"}, missing); d != "" {
				t.Errorf("missing (-want +got):\n%s", d)
			}
			for _, r := range list {
				if r.Frequency != tc.want[r.Name] || r.ScanOnPush != (r.Name == "own") {
					t.Errorf("%+v", r)
				}
			}
			if d := cmp.Diff(tc.filters, list[0].Filters); d != "" {
				t.Errorf("filters (-want +got):\n%s", d)
			}
		})
	}
	before, err := f.RegistryScanning(ctx, testkit.Home)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []registry.RegistryScan{
		{Type: registry.ScanBasic, Rules: []registry.ScanRule{continuous}},
		{Type: registry.ScanEnhanced, Rules: []registry.ScanRule{{Frequency: registry.ScanManual}}},
		{Type: registry.ScanBasic, Rules: []registry.ScanRule{onPush, onPush}},
	} {
		testkit.WantCode(t, f.SetRegistryScanning(ctx, testkit.Home, bad), ecr.CodeValidation)
	}
	after, err := f.RegistryScanning(ctx, testkit.Home)
	if d := cmp.Diff(before, after); err != nil || d != "" {
		t.Errorf("a refusal changed it: %v\n%s", err, d)
	}
	// It is no account setting, and account settings leave it alone.
	_, err = f.AccountSetting(ctx, testkit.Home, "scanning")
	testkit.WantCode(t, err, ecr.CodeInvalidParameter)
	testkit.WantCode(t, f.SetAccountSetting(ctx, testkit.Home, "scanning", "{}"), ecr.CodeInvalidParameter)
	if err := f.SetAccountSetting(ctx, testkit.Home, registry.SettingBlobMounting, "DISABLED"); err != nil {
		t.Fatal(err)
	}
	if after, err = f.RegistryScanning(ctx, testkit.Home); err != nil || len(after.Rules) != 2 {
		t.Errorf("%+v %v", after, err)
	}
}
