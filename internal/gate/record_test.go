package gate_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// reads are the operations that change nothing; all others are recorded as
// changes.
var reads = []string{
	"AuthorizationToken", "DescribeRepositories", "ListRepositories", "Scanning", "DescribeRegistry", "RegistryScanning", "ScanFindings", "ScannerStatus", "RegistryPolicy",
	"AccountSetting", "Policy", "LifecyclePolicy", "ResourceTags", "TaggedRepositories", "Manifest", "StatManifest", "BatchGetImage",
	"Repositories", "RepositoriesBy", "Images", "Platforms", "Tags", "Sharing", "ListImages", "DescribeImages",
	"ListImageDetails", "ListTags", "ListReferrers", "BatchCheckLayers", "StatBlob", "OpenBlob", "FindBlob", "DownloadableLayer", "UploadOffset",
	"ListBin", "Journal", "Activity", "PullDays", "AuditRecords", "ListJobs", "Usage", "FreedBytes", "LifecyclePreview", "ListLeases", "LeasePage", "ImageLeases", "IndexManifests",
	"ListPullTimeExclusions", "Rules", "Figures", "Secrets", "SecretARN", "ListTemplates", "Templates", "EventReceivers", "EventDeliveries",
	"ImageReplicationStatus", "BackfillResults", "ListBackfills", "Replications", "ImageSigningStatus", "ImageSignatures", "ListSigners", "SigningConfiguration", "Profiles",
}

// recorded is w with an audit log in dir, each record in its own file.
func recorded(w *testkit.World, dir string, mode audit.Mode) (*testkit.World, *audit.Log) {
	w.T.Helper()
	now := w.Now()
	l, err := audit.Open(audit.Config{Dir: dir, Mode: mode, MaxBytes: 1, Keep: -1, Log: slog.New(slog.DiscardHandler), Now: func() time.Time {
		now = now.Add(time.Second) // calls come one after another here
		return now
	}})
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() { _ = l.Close() }) // some tests take its folder away
	return w.With(func(s *testkit.Settings) { s.Audit = l }), l
}

// records takes all records out of dir.
func records(t *testing.T, dir string) []audit.Record {
	t.Helper()
	var out []audit.Record
	for r, err := range audit.Query(dir, audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.Truncate(filepath.Join(dir, e.Name()), 0); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// Each operation that someone is denied gives one record, which says who,
// what, where and how.
func TestDenialsAreOnRecord(t *testing.T) {
	f, dir := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR}), t.TempDir()
	f.Repo("there", ecr.Mutable)
	reg, _ := recorded(f, dir, audit.Changes)
	session := testkit.Alien
	session.KeyID, session.UniqueID = "ASIAEXAMPLE", "AROAEXAMPLE"
	session.ARN = "arn:aws:sts::999999999999:assumed-role/ci/build"
	session.Session = &access.Session{RoleARN: "arn:aws:iam::999999999999:role/team/ci", IssuedAt: f.Now(), SourceIdentity: "jane"}
	session.Request = access.RequestInfo{ID: "request-1", UserAgent: "docker/28"}
	calls := everything(reg, session, testkit.At("there"))
	for _, op := range operations() {
		if calls[op.Name] == nil {
			continue // TestStrangersAreDenied names it
		}
		testkit.WantCode(t, calls[op.Name](t.Context()), ecr.CodeAccessDenied)
		got := records(t, dir)
		if len(got) != 1 {
			t.Errorf("%s: %d records", op.Name, len(got))
			continue
		}
		r := got[0]
		if r.Operation != op.Name || !slices.Contains(op.Actions, access.Action(r.Action)) || r.Resource == "" || r.Reason == "" {
			t.Errorf("%s: %+v", op.Name, r)
		}
		r.Time, r.Operation, r.Action, r.Resource, r.Reason = time.Time{}, "", "", "", ""
		want := audit.Record{
			RequestID: "request-1", Principal: session.ARN, PrincipalID: "AROAEXAMPLE", AccessKey: "ASIAEXAMPLE", UserAgent: "docker/28",
			Session:  &audit.Session{Role: session.Session.RoleARN, IssuedAt: f.Now(), SourceIdentity: "jane"},
			Decision: audit.Denied,
		}
		if d := cmp.Diff(want, r); d != "" {
			t.Errorf("%s (-want +got):\n%s", op.Name, d)
		}
	}
	// What is denied inside of an operation that continues is no one's denial.
	stranger := ecr.Repo{In: ecr.RegistryID{Account: "123456789012", Region: "us-east-1"}, Name: "x"}
	if _, _, err := reg.As(testkit.Admin).MountBlob(t.Context(), testkit.At("there"), stranger, ecr.DigestOf(nil)); err != nil {
		t.Fatal(err)
	}
	if got := records(t, dir); len(got) != 1 || got[0].Decision != audit.Allowed {
		t.Errorf("a source that is not there: %+v", got)
	}
}

// permissions are the actions that op asks for when everything tries it.
func permissions(op gate.Operation) []string {
	var list []string
	for _, a := range op.Actions {
		list = append(list, string(a))
	}
	switch op.Name { // permissions that only add to the response
	case "Repositories", "RepositoriesBy":
		list = append(list, "ecr:DescribeImages", "ecr:GetLifecyclePolicy", "ecr:BatchGetImage", "kontor:ListLeases", "kontor:DescribeUsage")
	case "Images":
		list = append(list, "ecr:GetLifecyclePolicy", "ecr:BatchGetImage", "kontor:ListLeases")
	}
	if op.Name == "MountBlob" {
		list = append(list, "ecr:GetDownloadUrlForLayer") // where it mounts from
	}
	return list
}

// Each permission that an operation asks for and gets is on record if the
// operation changes something, and with audit all also if not. What fails by
// itself changes nothing.
func TestPermissionsAreOnRecord(t *testing.T) {
	for _, mode := range []audit.Mode{audit.Changes, audit.All} {
		t.Run(string(mode), func(t *testing.T) {
			f, dir := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR}), t.TempDir()
			to := f.Repo("there", ecr.Mutable)
			f.MustPut(to, f.Image(to, "x"), "v1")
			reg, _ := recorded(f, dir, mode)
			succeeded := 0
			check := func(op gate.Operation, err error, principal, statement string, want ...string) {
				t.Helper()
				if err != nil || mode == audit.Changes && slices.Contains(reads, op.Name) {
					want = nil
				}
				var got []string
				for _, r := range records(t, dir) {
					got = append(got, r.Action)
					if r.Operation != op.Name || r.Decision != audit.Allowed || r.Statement != statement || r.Principal != principal {
						t.Errorf("%s: %+v", op.Name, r)
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s (%v): %q on record, want %q", op.Name, err, got, want)
				}
			}
			calls := everything(reg, testkit.Admin, to)
			for _, op := range operations() {
				if calls[op.Name] == nil || op.Name == "DeleteRepository" {
					continue
				}
				err := calls[op.Name](t.Context())
				if err == nil {
					succeeded++
				}
				check(op, err, testkit.Admin.ARN, "AdministratorAccess, statement 1", permissions(op)...)
			}
			if succeeded < 20 {
				t.Errorf("only %d operations succeed, so that little is tried", succeeded)
			}
			job := reg.Registry.System("tests")
			_, err := job.DeleteRepository(t.Context(), to, true)
			check(gate.Op("DeleteRepository"), err, "system: tests", "system: tests", "ecr:DeleteRepository")
			_, err = job.CreateRepository(t.Context(), registry.NewRepository{Repo: to})
			check(gate.Op("CreateRepository"), err, "system: tests", "system: tests", "ecr:CreateRepository")
			_, err = reg.As(testkit.Admin).CreateRepository(t.Context(), registry.NewRepository{Repo: testkit.At("tagged"), Tags: map[string]string{"team": "a"}})
			check(gate.Op("CreateRepository"), err, testkit.Admin.ARN, "AdministratorAccess, statement 1", "ecr:CreateRepository", "ecr:TagResource")
			_, err = reg.As(testkit.Admin).DescribeRepositories(t.Context(), testkit.Home, []ecr.RepositoryName{"tagged", to.Name})
			check(gate.Op("DescribeRepositories"), err, testkit.Admin.ARN, "AdministratorAccess, statement 1", "ecr:DescribeRepositories", "ecr:DescribeRepositories")
		})
	}
}

// DESIGN, promise 4: changes and denials fail when they cannot be recorded,
// and change nothing; reads continue, unless the log is strict.
func TestWithoutARecordNothingHappens(t *testing.T) {
	for _, mode := range []audit.Mode{audit.Changes, audit.All, audit.Strict} {
		t.Run(string(mode), func(t *testing.T) {
			f, dir := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR}), filepath.Join(t.TempDir(), "audit")
			to := f.Repo("there", ecr.Mutable)
			d := f.MustPut(to, f.Image(to, "x"), "v1")
			reg, log := recorded(f, dir, mode)
			change := reg.As(testkit.Admin)
			if err := change.SetScanOnPush(t.Context(), to, false); err != nil {
				t.Fatal(err) // the first record has its file already
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			look := func() any {
				t.Helper()
				repos, _, err := f.ListRepositories(t.Context(), testkit.Home, "", 100)
				if err != nil {
					t.Fatal(err)
				}
				images, _, err := f.ListImages(t.Context(), to, "", ecr.ImageID{}, 100)
				if err != nil {
					t.Fatal(err)
				}
				tags, err := f.ResourceTags(t.Context(), to)
				if err != nil {
					t.Fatal(err)
				}
				policy, _ := f.Policy(t.Context(), to)
				lifecycle, _, _ := f.LifecyclePolicy(t.Context(), to)
				registryPolicy, _ := f.RegistryPolicy(t.Context(), testkit.Home)
				return []any{repos, images, tags, policy, lifecycle, registryPolicy}
			}
			before := look()
			calls := everything(reg, testkit.Admin, to)
			calls["CreateRepository"] = func(ctx context.Context) error {
				_, err := change.CreateRepository(ctx, registry.NewRepository{Repo: testkit.At("another")})
				return err
			}
			refused := 0
			for _, op := range operations() {
				if calls[op.Name] == nil {
					continue
				}
				err := calls[op.Name](t.Context())
				changes := !slices.Contains(reads, op.Name)
				switch {
				case changes && err == nil:
					t.Errorf("%s: %s goes on without a record", mode, op.Name)
				case ecr.CodeOf(err) == ecr.CodeUnavailable && (changes || mode == audit.Strict):
					refused++
				case ecr.CodeOf(err) == ecr.CodeUnavailable:
					t.Errorf("%s: %s, a read: %v", mode, op.Name, err)
				case !changes && mode == audit.Strict && err == nil:
					t.Errorf("%s goes on without a record", op.Name)
				}
			}
			if refused < 15 {
				t.Errorf("%s: only %d operations are refused", mode, refused)
			}
			if (log.Lost() > 0) != (mode == audit.All) {
				t.Errorf("%s: %d reads lost", mode, log.Lost())
			}
			if d := cmp.Diff(before, look()); d != "" {
				t.Errorf("%s: something changed (-before +after):\n%s", mode, d)
			}
			// Who is denied is not told so, but gets nothing either.
			_, err := reg.As(testkit.Alien).Manifest(t.Context(), to, ecr.ImageID{Digest: d})
			testkit.WantCode(t, err, ecr.CodeUnavailable, "cannot put this on record")

			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := change.SetScanOnPush(t.Context(), to, true); err != nil {
				t.Errorf("%s, when there is room again: %v", mode, err)
			}
		})
	}
}
