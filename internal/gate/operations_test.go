package gate_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events/delivery"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/inspect"
	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/replication"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/scanning"
	"github.com/kontor-registry/kontor/internal/signing"
	"github.com/kontor-registry/kontor/internal/signing/managed"
	"github.com/kontor-registry/kontor/internal/signing/trust"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/templates"
	"github.com/kontor-registry/kontor/internal/testkit"
	"github.com/kontor-registry/kontor/internal/upstream"
	"github.com/kontor-registry/kontor/policy"
)

// operations are those of all packages that callers reach through the gate, but
// for IAM's, which its own tests walk.
func operations() []gate.Operation {
	return slices.Concat(registry.Operations(), retention.Operations(), jobs.Operations(), templates.Operations(), inspect.Operations(), upstream.Operations(),
		delivery.Operations(), replication.Operations(), scanning.Operations(), signing.Operations(), managed.Operations())
}

func TestEveryMethodIsAnOperationWithActions(t *testing.T) {
	seen := map[string]bool{}
	for _, tt := range []struct {
		name       string
		caller     reflect.Type
		operations []gate.Operation
	}{
		{"registry", reflect.TypeFor[*registry.Caller](), registry.Operations()},
		{"retention", reflect.TypeFor[*retention.Caller](), retention.Operations()},
		{"jobs", reflect.TypeFor[*jobs.Caller](), jobs.Operations()},
		{"scanning", reflect.TypeFor[*scanning.Caller](), scanning.Operations()},
		{"upstream", reflect.TypeFor[*upstream.Caller](), upstream.Operations()},
		{"templates", reflect.TypeFor[*templates.Caller](), templates.Operations()},
		{"events", reflect.TypeFor[*delivery.Caller](), delivery.Operations()},
		{"replication", reflect.TypeFor[*replication.Caller](), replication.Operations()},
		{"signing", reflect.TypeFor[*signing.Caller](), signing.Operations()},
		{"managed signing", reflect.TypeFor[*managed.Caller](), managed.Operations()},
		{"inspect", reflect.TypeFor[*inspect.Caller](), inspect.Operations()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			declared := map[string]bool{}
			for _, op := range tt.operations {
				if seen[op.Name] {
					t.Errorf("%s is declared twice", op.Name)
				}
				declared[op.Name], seen[op.Name] = true, true
				if len(op.Actions) == 0 {
					t.Errorf("%s asks for no action", op.Name)
				}
				for _, a := range op.Actions {
					if _, known := policy.LookupAction(string(a)); !known && !strings.HasPrefix(string(a), "kontor:") && a != "tag:GetResources" {
						t.Errorf("%s asks for %q", op.Name, a)
					}
				}
			}
			for i := range tt.caller.NumMethod() {
				if name := tt.caller.Method(i).Name; !declared[name] {
					t.Errorf("Caller.%s declares no operation", name)
				} else {
					delete(declared, name)
				}
			}
			for name := range declared {
				t.Errorf("the operation %s has no method", name)
			}
		})
	}
}

// signingKey is a public key.
const signingKey = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEnZiA7uqyJgd3xln7v902z21QqzYX
VCioHo35GFs5GZQ+mfmNcrZQddHZ6ej7eX6r8yyGqY1gh5Rfuoxg882EaA==
-----END PUBLIC KEY-----`

// everything calls every operation that works on a repository.
func everything(w *testkit.World, p access.Principal, to ecr.Repo) map[string]func(context.Context) error {
	c := w.As(p)
	ups, ev, copies := w.Upstreams.As(p), w.Events.As(p), w.Replication.As(p)
	scans, sign, keys := w.Scans.As(p), w.Signing.As(p), w.Managed.As(p)
	t := templates.New(w.Gate, w.Registry, w.Now).As(p)
	look := inspect.New(inspect.Config{Gate: w.Gate, Retention: w.Retention, Now: w.Now}).As(p)
	d, tag, up := ecr.DigestOf([]byte("x")), ecr.Tag("v1"), meta.UploadID("00000000-0000-4000-8000-000000000000")
	id, away := ecr.ImageID{Tag: tag}, ecr.RegistryID{Account: to.In.Account, Region: "eu-west-1"}
	return map[string]func(context.Context) error{
		"CreateRepository": func(ctx context.Context) error {
			_, err := c.CreateRepository(ctx, registry.NewRepository{Repo: to})
			return err
		},
		"DescribeRepositories": func(ctx context.Context) error {
			_, err := c.DescribeRepositories(ctx, to.In, []ecr.RepositoryName{to.Name})
			return err
		},
		"ListRepositories": func(ctx context.Context) error { _, _, err := c.ListRepositories(ctx, to.In, "", 10); return err },
		"TaggedRepositories": func(ctx context.Context) error {
			_, _, err := c.TaggedRepositories(ctx, to.In, func(map[string]string) bool { return true }, "", 10)
			return err
		},
		"DeleteRepository": func(ctx context.Context) error { _, err := c.DeleteRepository(ctx, to, true); return err },
		"SetTagMutability": func(ctx context.Context) error { return c.SetTagMutability(ctx, to, ecr.Mutability{Mode: ecr.Mutable}) },
		"SetScanOnPush":    func(ctx context.Context) error { return c.SetScanOnPush(ctx, to, true) },
		"SetPolicy": func(ctx context.Context) error {
			_, err := c.SetPolicy(ctx, to, testkit.RepositoryPolicy, false)
			return err
		},
		"Policy":       func(ctx context.Context) error { _, err := c.Policy(ctx, to); return err },
		"DeletePolicy": func(ctx context.Context) error { _, err := c.DeletePolicy(ctx, to); return err },
		"SetLifecyclePolicy": func(ctx context.Context) error {
			_, err := c.SetLifecyclePolicy(ctx, to, testkit.LifecyclePolicy)
			return err
		},
		"LifecyclePolicy": func(ctx context.Context) error { _, _, err := c.LifecyclePolicy(ctx, to); return err },
		"StartLifecyclePreview": func(ctx context.Context) error {
			_, err := c.StartLifecyclePreview(ctx, to, testkit.LifecyclePolicy)
			return err
		},
		"LifecyclePreview": func(ctx context.Context) error { _, err := c.LifecyclePreview(ctx, to); return err },
		"RunLifecycle": func(ctx context.Context) error {
			_, err := c.RunLifecycle(ctx, to, retention.RunOptions{DryRun: true})
			return err
		},
		"SetStorageClass": func(ctx context.Context) error {
			_, err := c.SetStorageClass(ctx, to, ecr.ImageID{Digest: d}, registry.ClassArchive)
			return err
		},
		"IndexManifests": func(ctx context.Context) error { _, _, _, err := c.IndexManifests(ctx, to, "", 10); return err },
		"ReportLeases": func(ctx context.Context) error {
			_, err := c.ReportLeases(ctx, to.In, "cluster", time.Hour, nil)
			return err
		},
		"ListLeases": func(ctx context.Context) error { _, _, err := c.ListLeases(ctx, to.In, to.Name); return err },
		"FreedBytes": func(ctx context.Context) error { _, err := c.Retention.As(p).FreedBytes(ctx, to, nil); return err },
		"ImageLeases": func(ctx context.Context) error {
			_, _, err := w.Retention.As(p).ImageLeases(ctx, to, d, []ecr.Tag{tag}, 10)
			return err
		},
		"LeasePage": func(ctx context.Context) error {
			_, _, _, err := c.Retention.As(p).LeasePage(ctx, to.In, to.Name, retention.Lease{}, 10)
			return err
		},
		"ForgetLeases":          func(ctx context.Context) error { _, err := c.ForgetLeases(ctx, to.In, "cluster"); return err },
		"MoveClock":             func(ctx context.Context) error { _, err := c.MoveClock(ctx, to.In, 0); return err },
		"DeleteLifecyclePolicy": func(ctx context.Context) error { _, _, err := c.DeleteLifecyclePolicy(ctx, to); return err },
		"TagResource":           func(ctx context.Context) error { return c.TagResource(ctx, to, map[string]string{"a": "b"}) },
		"UntagResource":         func(ctx context.Context) error { return c.UntagResource(ctx, to, []string{"a"}) },
		"ResourceTags":          func(ctx context.Context) error { _, err := c.ResourceTags(ctx, to); return err },
		"PutImage": func(ctx context.Context) error {
			_, err := c.PutImage(ctx, to, registry.NewImage{Body: testkit.Index()})
			return err
		},
		"Repositories": func(ctx context.Context) error {
			_, _, err := look.Repositories(ctx, to.In, inspect.Listing{Limit: 10, Images: 10, Usage: true})
			return err
		},
		"RepositoriesBy": func(ctx context.Context) error {
			_, _, err := look.RepositoriesBy(ctx, to.In, inspect.Listing{Limit: 10, Images: 10, Usage: true}, meta.FigureQuery{By: meta.FigureSize})
			return err
		},
		"Platforms":     func(ctx context.Context) error { _, err := look.Platforms(ctx, to, []ecr.Digest{d}); return err },
		"Images":        func(ctx context.Context) error { _, err := look.Images(ctx, to, 10); return err },
		"Tags":          func(ctx context.Context) error { _, _, err := look.Tags(ctx, to, meta.TagQuery{}, 10); return err },
		"Sharing":       func(ctx context.Context) error { _, err := look.Sharing(ctx, to, []ecr.Digest{d}); return err },
		"Manifest":      func(ctx context.Context) error { _, err := c.Manifest(ctx, to, id); return err },
		"StatManifest":  func(ctx context.Context) error { _, err := c.StatManifest(ctx, to, id); return err },
		"BatchGetImage": func(ctx context.Context) error { _, _, err := c.BatchGetImage(ctx, to, []ecr.ImageID{id}); return err },
		"BatchDeleteImage": func(ctx context.Context) error {
			_, _, err := c.BatchDeleteImage(ctx, to, []ecr.ImageID{id})
			return err
		},
		"DeleteManifest":   func(ctx context.Context) error { return c.DeleteManifest(ctx, to, d) },
		"DeleteTag":        func(ctx context.Context) error { return c.DeleteTag(ctx, to, tag) },
		"ListImages":       func(ctx context.Context) error { _, _, err := c.ListImages(ctx, to, "", ecr.ImageID{}, 10); return err },
		"DescribeImages":   func(ctx context.Context) error { _, err := c.DescribeImages(ctx, to, []ecr.ImageID{id}); return err },
		"ListImageDetails": func(ctx context.Context) error { _, _, err := c.ListImageDetails(ctx, to, "", "", 10); return err },
		"ListTags":         func(ctx context.Context) error { _, _, err := c.ListTags(ctx, to, "", 10); return err },
		"ListReferrers":    func(ctx context.Context) error { _, _, err := c.ListReferrers(ctx, to, d, "", "", 10); return err },
		"BatchCheckLayers": func(ctx context.Context) error {
			_, _, err := c.BatchCheckLayers(ctx, to, []string{string(d)})
			return err
		},
		"StatBlob":          func(ctx context.Context) error { _, err := c.StatBlob(ctx, to, d); return err },
		"OpenBlob":          func(ctx context.Context) error { _, _, err := c.OpenBlob(ctx, to, d); return err },
		"MountBlob":         func(ctx context.Context) error { _, _, err := c.MountBlob(ctx, to, to, d); return err },
		"DownloadableLayer": func(ctx context.Context) error { _, err := c.DownloadableLayer(ctx, to, d); return err },
		"Scanning": func(ctx context.Context) error {
			_, _, err := c.Scanning(ctx, to.In, []ecr.RepositoryName{to.Name})
			return err
		},
		"RegistryScanning": func(ctx context.Context) error { _, err := c.RegistryScanning(ctx, to.In); return err },
		"SetRegistryScanning": func(ctx context.Context) error {
			return c.SetRegistryScanning(ctx, to.In, registry.RegistryScan{Type: registry.ScanBasic})
		},
		"StartScan":            func(ctx context.Context) error { _, err := scans.StartScan(ctx, to, id); return err },
		"ScanFindings":         func(ctx context.Context) error { _, _, _, err := scans.ScanFindings(ctx, to, id, 0, 1); return err },
		"ScannerStatus":        func(ctx context.Context) error { _, err := scans.ScannerStatus(ctx, to.In); return err },
		"RegistryPolicy":       func(ctx context.Context) error { _, err := c.RegistryPolicy(ctx, to.In); return err },
		"DeleteRegistryPolicy": func(ctx context.Context) error { _, err := c.DeleteRegistryPolicy(ctx, to.In); return err },
		"SetRegistryPolicy": func(ctx context.Context) error {
			_, err := c.SetRegistryPolicy(ctx, to.In, testkit.RegistryPolicy)
			return err
		},
		"AccountSetting":    func(ctx context.Context) error { _, err := c.AccountSetting(ctx, to.In, "BLOB_MOUNTING"); return err },
		"SetAccountSetting": func(ctx context.Context) error { return c.SetAccountSetting(ctx, to.In, "BLOB_MOUNTING", "ENABLED") },
		"FindBlob":          func(ctx context.Context) error { _, _, err := c.FindBlob(ctx, to, d); return err },
		"DeleteBlob":        func(ctx context.Context) error { return c.DeleteBlob(ctx, to, d) },
		"ListBin":           func(ctx context.Context) error { _, _, err := c.ListBin(ctx, to.In, to.Name, 0, 10); return err },
		"Usage":             func(ctx context.Context) error { _, err := c.Usage(ctx, to); return err },
		"Collect":           func(ctx context.Context) error { _, err := w.Jobs.As(p).Collect(ctx, to.In); return err },
		"ListJobs":          func(ctx context.Context) error { _, err := w.Jobs.As(p).ListJobs(ctx, to.In); return err },
		"RestoreImage":      func(ctx context.Context) error { _, err := c.RestoreImage(ctx, to, d); return err },
		"PurgeImage":        func(ctx context.Context) error { _, err := c.PurgeImage(ctx, to, d, "leaked"); return err },
		"Activity": func(ctx context.Context) error {
			_, _, err := c.Retention.As(p).Activity(ctx, retention.ActivityFilter{Registry: to.In, Name: to.Name}, meta.PullKey{}, 10)
			return err
		},
		"AuditRecords": func(ctx context.Context) error {
			_, err := look.AuditRecords(ctx, to.In, audit.Filter{}, audit.Place{}, 1)
			return err
		},
		"PullDays": func(ctx context.Context) error {
			_, _, err := c.Retention.As(p).PullDays(ctx, to.In, to.Name, 0)
			return err
		},
		"Journal": func(ctx context.Context) error {
			_, _, err := c.Journal(ctx, retention.JournalFilter{Registry: to.In, Name: to.Name}, 0, 10)
			return err
		},
		"StartUpload":    func(ctx context.Context) error { _, err := c.StartUpload(ctx, to); return err },
		"UploadOffset":   func(ctx context.Context) error { _, err := c.UploadOffset(ctx, to, up); return err },
		"AppendUpload":   func(ctx context.Context) error { _, err := c.AppendUpload(ctx, to, up, 0, nil); return err },
		"CompleteUpload": func(ctx context.Context) error { _, err := c.CompleteUpload(ctx, to, up, 0, nil, d); return err },
		"RegisterPullTimeExclusion": func(ctx context.Context) error {
			_, err := c.RegisterPullTimeExclusion(ctx, to.In, "arn:aws:iam::000000000000:role/scanner")
			return err
		},
		"DeregisterPullTimeExclusion": func(ctx context.Context) error {
			return c.DeregisterPullTimeExclusion(ctx, to.In, "arn:aws:iam::000000000000:role/scanner")
		},
		"ListPullTimeExclusions": func(ctx context.Context) error {
			_, _, err := c.ListPullTimeExclusions(ctx, to.In, "", 10)
			return err
		},
		"CreateRule": func(ctx context.Context) error {
			_, err := ups.CreateRule(ctx, to.In, upstream.NewRule{Prefix: "quay", URL: "quay.io"})
			return err
		},
		"Rules":        func(ctx context.Context) error { _, err := ups.Rules(ctx, to.In, nil); return err },
		"UpdateRule":   func(ctx context.Context) error { _, err := ups.UpdateRule(ctx, to.In, "quay", "arn", ""); return err },
		"DeleteRule":   func(ctx context.Context) error { _, err := ups.DeleteRule(ctx, to.In, "quay"); return err },
		"ValidateRule": func(ctx context.Context) error { _, _, err := ups.ValidateRule(ctx, to.In, "quay"); return err },
		"PutSecret": func(ctx context.Context) error {
			_, err := ups.PutSecret(ctx, to.In, "quay", upstream.Login{Username: "a", AccessToken: "b"})
			return err
		},
		"PutEventReceiver": func(ctx context.Context) error {
			_, _, err := ev.PutEventReceiver(ctx, to.In, delivery.NewReceiver{Name: "hook", URL: "https://hooks.example.com/"})
			return err
		},
		"EventReceivers":      func(ctx context.Context) error { _, err := ev.EventReceivers(ctx, to.In); return err },
		"DeleteEventReceiver": func(ctx context.Context) error { return ev.DeleteEventReceiver(ctx, to.In, "hook") },
		"TestEventReceiver":   func(ctx context.Context) error { _, err := ev.TestEventReceiver(ctx, to.In, "hook"); return err },
		"EventDeliveries": func(ctx context.Context) error {
			_, _, _, err := ev.EventDeliveries(ctx, to.In, "hook", meta.DeliveryQuery{}, 0, 10)
			return err
		},
		"RedeliverEvents": func(ctx context.Context) error {
			_, err := ev.RedeliverEvents(ctx, to.In, "hook", meta.DeliveryQuery{})
			return err
		},
		"Secrets":      func(ctx context.Context) error { _, err := ups.Secrets(ctx, to.In); return err },
		"DeleteSecret": func(ctx context.Context) error { return ups.DeleteSecret(ctx, to.In, "quay") },
		"SecretARN":    func(ctx context.Context) error { _, err := ups.SecretARN(ctx, to.In, "quay"); return err },
		"Figures":      func(ctx context.Context) error { _, err := ups.Figures(ctx, to.In); return err },
		"Refresh":      func(ctx context.Context) error { _, err := ups.Refresh(ctx, to, ""); return err },
		"CreateTemplate": func(ctx context.Context) error {
			_, err := t.CreateTemplate(ctx, to.In, meta.TemplateSettings{Given: "team", AppliedFor: []ecr.CreationReason{ecr.CreateOnPush}})
			return err
		},
		"ListTemplates": func(ctx context.Context) error { _, _, err := t.ListTemplates(ctx, to.In, "", 10); return err },
		"Templates":     func(ctx context.Context) error { _, err := t.Templates(ctx, to.In, []string{"team"}); return err },
		"UpdateTemplate": func(ctx context.Context) error {
			_, err := t.UpdateTemplate(ctx, to.In, "team", templates.Changes{})
			return err
		},
		"DeleteTemplate":         func(ctx context.Context) error { _, err := t.DeleteTemplate(ctx, to.In, "team"); return err },
		"DescribeRegistry":       func(ctx context.Context) error { _, err := copies.DescribeRegistry(ctx, to.In); return err },
		"PutReplication":         func(ctx context.Context) error { return copies.PutReplication(ctx, to.In, replication.Configuration{}) },
		"ImageReplicationStatus": func(ctx context.Context) error { _, err := copies.ImageReplicationStatus(ctx, to, id); return err },
		"StartBackfill":          func(ctx context.Context) error { _, err := copies.StartBackfill(ctx, to.In, away); return err },
		"StopBackfill":           func(ctx context.Context) error { _, err := copies.StopBackfill(ctx, to.In, "id"); return err },
		"BackfillResults": func(ctx context.Context) error {
			_, _, _, err := copies.BackfillResults(ctx, to.In, "id", "", 0, 10)
			return err
		},
		"ListBackfills":     func(ctx context.Context) error { _, _, err := copies.ListBackfills(ctx, to.In, "", 10); return err },
		"Replications":      func(ctx context.Context) error { _, err := copies.Replications(ctx, to.In, 0, 10); return err },
		"RetryReplications": func(ctx context.Context) error { _, err := copies.RetryReplications(ctx, to.In, away); return err },
		"SetReplicationOptions": func(ctx context.Context) error {
			return copies.SetReplicationOptions(ctx, to.In, away, replication.Options{})
		},
		"SigningConfiguration": func(ctx context.Context) error { _, err := keys.SigningConfiguration(ctx, to.In); return err },
		"PutSigningConfiguration": func(ctx context.Context) error {
			return keys.PutSigningConfiguration(ctx, to.In, managed.Configuration{})
		},
		"DeleteSigningConfiguration": func(ctx context.Context) error { _, err := keys.DeleteSigningConfiguration(ctx, to.In); return err },
		"CreateProfile": func(ctx context.Context) error {
			_, err := keys.CreateProfile(ctx, to.In, managed.NewProfile{Name: "release"})
			return err
		},
		"Profiles":           func(ctx context.Context) error { _, err := keys.Profiles(ctx, to.In, ""); return err },
		"DeleteProfile":      func(ctx context.Context) error { return keys.DeleteProfile(ctx, to.In, "release") },
		"ImageSigningStatus": func(ctx context.Context) error { _, err := sign.ImageSigningStatus(ctx, to, id); return err },
		"ImageSignatures":    func(ctx context.Context) error { _, err := sign.ImageSignatures(ctx, to, id); return err },
		"PutSigner": func(ctx context.Context) error {
			_, err := sign.PutSigner(ctx, to.In, trust.Signer{Name: "release", Key: signingKey})
			return err
		},
		"ListSigners":  func(ctx context.Context) error { _, err := sign.ListSigners(ctx, to.In); return err },
		"DeleteSigner": func(ctx context.Context) error { return sign.DeleteSigner(ctx, to.In, "release") },
		"CancelUpload": func(ctx context.Context) error { return c.CancelUpload(ctx, to, up) },
	}
}

// No one without rights learns whether a repository exists.
func TestStrangersAreDenied(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	f.Repo("there", ecr.Mutable)
	nobody := access.Principal{Account: testkit.Home.Account, ARN: "arn:aws:iam::000000000000:user/nobody"}
	for _, p := range []access.Principal{testkit.Alien, nobody} {
		t.Run(p.ARN, func(t *testing.T) {
			missing, existing := everything(f, p, testkit.At("missing")), everything(f, p, testkit.At("there"))
			for _, op := range operations() {
				if op.Name == "AuthorizationToken" {
					continue // concerns no repository; see the test of the server
				}
				if existing[op.Name] == nil {
					t.Errorf("%s is not tried", op.Name)
					continue
				}
				errThere, errMissing := existing[op.Name](t.Context()), missing[op.Name](t.Context())
				testkit.WantCode(t, errThere, ecr.CodeAccessDenied, p.ARN+" is not authorized to perform: ")
				if got, want := strings.ReplaceAll(fmt.Sprint(errMissing), "/missing", "/there"), fmt.Sprint(errThere); got != want {
					t.Errorf("%s tells %s whether a repository exists:\n%s\n%s", op.Name, p.ARN, got, want)
				}
			}
		})
	}
	if _, err := f.DescribeRepositories(t.Context(), testkit.Home, []ecr.RepositoryName{"there"}); err != nil {
		t.Errorf("it was changed: %v", err)
	}
}

func TestMissingRepository(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	for name, call := range everything(f, testkit.Admin, testkit.At("missing")) {
		switch name {
		case "CreateRepository", "ListRepositories", "Repositories", "RepositoriesBy", "TaggedRepositories", "Scanning": // which tells what is missing
			continue
		case "ListBin", "PurgeImage", "Journal", "Collect", "ListJobs": // what they are about outlives repositories
			continue
		case "DescribeRegistry", "AuditRecords", "ScannerStatus", "RegistryScanning", "SetRegistryScanning", "RegistryPolicy", "DeleteRegistryPolicy", "SetRegistryPolicy", "AccountSetting", "SetAccountSetting",
			"ReportLeases", "ListLeases", "LeasePage", "ImageLeases", "ForgetLeases", "MoveClock", "RegisterPullTimeExclusion", "DeregisterPullTimeExclusion", "ListPullTimeExclusions",
			"CreateRule", "Rules", "Figures", "UpdateRule", "DeleteRule", "ValidateRule", "PutSecret", "Secrets", "SecretARN", "DeleteSecret",
			"PutEventReceiver", "EventReceivers", "DeleteEventReceiver", "TestEventReceiver", "EventDeliveries", "RedeliverEvents",
			"CreateTemplate", "ListTemplates", "Templates", "UpdateTemplate", "DeleteTemplate", "PutReplication", "StartBackfill", "StopBackfill", "BackfillResults", "ListBackfills",
			"Replications", "RetryReplications", "SetReplicationOptions", "SigningConfiguration", "PutSigningConfiguration", "DeleteSigningConfiguration", "CreateProfile", "Profiles", "DeleteProfile",
			"PutSigner", "ListSigners", "DeleteSigner":
			continue // concern no repository
		}
		testkit.WantCode(t, call(t.Context()), ecr.CodeRepositoryNotFound, "The repository with name 'missing' does not exist in the registry with id '000000000000'")
	}
}
