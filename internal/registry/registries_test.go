package registry_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/policy"
)

const registryPolicy = `{"Version": "2012-10-17", "Statement": [{"Sid": "import", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
	"Action": ["ecr:CreateRepository", "ecr:ReplicateImage"], "Resource": "arn:aws:ecr:us-east-1:000000000000:repository/*"}]}`

func TestRegistryPolicy(t *testing.T) {
	f := open(t, registry.CompatECR)
	ctx := t.Context()
	const none = "Registry policy does not exist in the registry with id '000000000000'"
	_, err := f.RegistryPolicy(ctx, home)
	wantCode(t, err, ecr.CodeRegistryPolicyNotFound, none)
	_, err = f.DeleteRegistryPolicy(ctx, home)
	wantCode(t, err, ecr.CodeRegistryPolicyNotFound, none)
	for _, bad := range []string{"", "{}", "[]", repositoryPolicy} { // a repository policy names no resource
		_, err := f.SetRegistryPolicy(ctx, home, bad)
		wantCode(t, err, ecr.CodeInvalidParameter, "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid registry policy provided'")
	}
	stored, err := f.SetRegistryPolicy(ctx, home, registryPolicy)
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.RegistryPolicy(ctx, home)
	if err != nil || got != stored {
		t.Errorf("%v (-stored +got):\n%s", err, cmp.Diff(stored, got))
	}
	a, errA := policy.ParseFor([]byte(registryPolicy), policy.Registry)
	b, errB := policy.ParseFor([]byte(got), policy.Registry)
	if errA != nil || errB != nil || !policy.Equal(a, b) {
		t.Errorf("means something else: %v %v\n%s", errA, errB, got)
	}
	_, err = f.RegistryPolicy(ctx, ecr.RegistryID{Account: home.Account, Region: "eu-west-1"})
	wantCode(t, err, ecr.CodeRegistryPolicyNotFound)
	if gone, err := f.DeleteRegistryPolicy(ctx, home); err != nil || gone != stored {
		t.Errorf("deleted %q, %v", gone, err)
	}
	_, err = f.RegistryPolicy(ctx, home)
	wantCode(t, err, ecr.CodeRegistryPolicyNotFound)
}

func TestAccountSettings(t *testing.T) {
	f := open(t, registry.CompatECR)
	ctx := t.Context()
	for name, values := range map[string][]string{
		"BASIC_SCAN_TYPE_VERSION": {"AWS_NATIVE", "CLAIR", "AWS_NATIVE"},
		"REGISTRY_POLICY_SCOPE":   {"V2", "V1"},
		"BLOB_MOUNTING":           {"ENABLED", "DISABLED", "ENABLED"},
	} {
		for i, v := range values {
			if i > 0 {
				if err := f.SetAccountSetting(ctx, home, name, v); err != nil {
					t.Error(err)
				}
			}
			if got, err := f.AccountSetting(ctx, home, name); err != nil || got != v {
				t.Errorf("%s is %q, not %q: %v", name, got, v, err)
			}
		}
		wantCode(t, f.SetAccountSetting(ctx, home, name, "enabled"), ecr.CodeValidation, name)
	}
	_, err := f.AccountSetting(ctx, home, "OTHER")
	wantCode(t, err, ecr.CodeValidation, "OTHER")
	wantCode(t, f.SetAccountSetting(ctx, home, "OTHER", "V1"), ecr.CodeValidation, "OTHER")
}

// ECR user guide, "Blob mounting": with the setting off, clients upload.
func TestMountingSwitchedOff(t *testing.T) {
	for compat, want := range map[registry.Compat]bool{registry.CompatECR: false, registry.CompatOCI: true} {
		f := open(t, compat)
		ctx := t.Context()
		from, to := f.repo("from", ecr.Mutable), f.repo("to", ecr.Mutable)
		f.mustPut(from, f.image(from, "x"), "v1")
		if err := f.SetAccountSetting(ctx, home, registry.SettingBlobMounting, "DISABLED"); err != nil {
			t.Fatal(err)
		}
		if _, mounted, err := f.MountBlob(ctx, to, from, ecr.DigestOf([]byte("layer of x"))); err != nil || mounted != want {
			t.Errorf("%s: mounted %v, %v", compat, mounted, err)
		}
	}
}

func TestDownloadableLayer(t *testing.T) {
	f := open(t, registry.CompatECR)
	ctx := t.Context()
	to := f.repo("app", ecr.Mutable)
	body, d := f.image(to, "x"), ecr.DigestOf([]byte("layer of x"))
	_, err := f.DownloadableLayer(ctx, to, d)
	wantCode(t, err, ecr.CodeLayerInaccessible, string(d))
	f.mustPut(to, body)
	if info, err := f.DownloadableLayer(ctx, to, d); err != nil || info.Digest != d {
		t.Errorf("%+v %v", info, err)
	}
	_, err = f.DownloadableLayer(ctx, to, ecr.DigestOf(nil))
	wantCode(t, err, ecr.CodeLayersNotFound)
}
