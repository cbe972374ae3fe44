package registry_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/testkit"
	"github.com/kontor-registry/kontor/policy"
)

func TestRegistryPolicy(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx := t.Context()
	const none = "Registry policy does not exist in the registry with id '000000000000'"
	_, err := f.RegistryPolicy(ctx, testkit.Home)
	testkit.WantCode(t, err, ecr.CodeRegistryPolicyNotFound, none)
	_, err = f.DeleteRegistryPolicy(ctx, testkit.Home)
	testkit.WantCode(t, err, ecr.CodeRegistryPolicyNotFound, none)
	for _, bad := range []string{"", "{}", "[]", testkit.RepositoryPolicy} { // a repository policy names no resource
		_, err := f.SetRegistryPolicy(ctx, testkit.Home, bad)
		testkit.WantCode(t, err, ecr.CodeInvalidParameter, "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid registry policy provided'")
	}
	stored, err := f.SetRegistryPolicy(ctx, testkit.Home, testkit.RegistryPolicy)
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.RegistryPolicy(ctx, testkit.Home)
	if err != nil || got != stored {
		t.Errorf("%v (-stored +got):\n%s", err, cmp.Diff(stored, got))
	}
	a, errA := policy.ParseFor([]byte(testkit.RegistryPolicy), policy.Registry)
	b, errB := policy.ParseFor([]byte(got), policy.Registry)
	if errA != nil || errB != nil || !policy.Equal(a, b) {
		t.Errorf("means something else: %v %v\n%s", errA, errB, got)
	}
	_, err = f.RegistryPolicy(ctx, ecr.RegistryID{Account: testkit.Home.Account, Region: "eu-west-1"})
	testkit.WantCode(t, err, ecr.CodeRegistryPolicyNotFound)
	if gone, err := f.DeleteRegistryPolicy(ctx, testkit.Home); err != nil || gone != stored {
		t.Errorf("deleted %q, %v", gone, err)
	}
	_, err = f.RegistryPolicy(ctx, testkit.Home)
	testkit.WantCode(t, err, ecr.CodeRegistryPolicyNotFound)
}

func TestAccountSettings(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx := t.Context()
	for name, values := range map[string][]string{
		"BASIC_SCAN_TYPE_VERSION": {"AWS_NATIVE", "CLAIR", "AWS_NATIVE"},
		"REGISTRY_POLICY_SCOPE":   {"V2", "V1"},
		"BLOB_MOUNTING":           {"ENABLED", "DISABLED", "ENABLED"},
	} {
		for i, v := range values {
			if i > 0 {
				if err := f.SetAccountSetting(ctx, testkit.Home, name, v); err != nil {
					t.Error(err)
				}
			}
			if got, err := f.AccountSetting(ctx, testkit.Home, name); err != nil || got != v {
				t.Errorf("%s is %q, not %q: %v", name, got, v, err)
			}
		}
		testkit.WantCode(t, f.SetAccountSetting(ctx, testkit.Home, name, "enabled"), ecr.CodeValidation, name)
	}
	_, err := f.AccountSetting(ctx, testkit.Home, "OTHER")
	testkit.WantCode(t, err, ecr.CodeInvalidParameter, "OTHER")
	testkit.WantCode(t, f.SetAccountSetting(ctx, testkit.Home, "OTHER", "V1"), ecr.CodeInvalidParameter, "OTHER")
}

// ECR user guide, "Blob mounting": with the setting off, clients upload.
func TestMountingSwitchedOff(t *testing.T) {
	for compat, want := range map[registry.Compat]bool{registry.CompatECR: false, registry.CompatOCI: true} {
		f := testkit.Open(t, testkit.Settings{Compat: compat})
		ctx := t.Context()
		from, to := f.Repo("from", ecr.Mutable), f.Repo("to", ecr.Mutable)
		f.MustPut(from, f.Image(from, "x"), "v1")
		if err := f.SetAccountSetting(ctx, testkit.Home, registry.SettingBlobMounting, "DISABLED"); err != nil {
			t.Fatal(err)
		}
		if _, mounted, err := f.MountBlob(ctx, to, from, ecr.DigestOf([]byte("layer of x"))); err != nil || mounted != want {
			t.Errorf("%s: mounted %v, %v", compat, mounted, err)
		}
	}
}

func TestDownloadableLayer(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx := t.Context()
	to := f.Repo("app", ecr.Mutable)
	body, d := f.Image(to, "x"), ecr.DigestOf([]byte("layer of x"))
	_, err := f.DownloadableLayer(ctx, to, d)
	testkit.WantCode(t, err, ecr.CodeLayerInaccessible, string(d))
	f.MustPut(to, body)
	if info, err := f.DownloadableLayer(ctx, to, d); err != nil || info.Digest != d {
		t.Errorf("%+v %v", info, err)
	}
	_, err = f.DownloadableLayer(ctx, to, ecr.DigestOf(nil))
	testkit.WantCode(t, err, ecr.CodeLayersNotFound)
}
