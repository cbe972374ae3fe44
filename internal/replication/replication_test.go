package replication_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/replication"
	"github.com/kontor-registry/kontor/internal/scanning"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/templates"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// Where images go: another region of the account, and the account of Alien.
var (
	west  = ecr.RegistryID{Account: testkit.Home.Account, Region: "eu-west-1"}
	north = ecr.RegistryID{Account: testkit.Home.Account, Region: "eu-north-1"}
	alien = ecr.RegistryID{Account: testkit.Alien.Account, Region: testkit.Home.Region}
)

// world is registries that replicate when a test says so.
type world struct{ *testkit.World }

func open(t *testing.T, change ...func(*testkit.Settings)) world {
	s := testkit.Settings{Compat: registry.CompatECR}
	for _, f := range change {
		f(&s)
	}
	return world{testkit.Open(t, s)}
}

// rules makes the registry in replicate to destinations.
func (w world) rules(in ecr.RegistryID, rules ...replication.Rule) {
	w.T.Helper()
	p := testkit.Admin
	if in.Account == testkit.Alien.Account {
		p = testkit.Alien
	}
	if err := w.Replication.As(p).PutReplication(w.T.Context(), in, replication.Configuration{Rules: rules}); err != nil {
		w.T.Fatal(err)
	}
}

func to(all ...ecr.RegistryID) replication.Rule { return replication.Rule{To: all} }

// work does everything that is due.
func (w world) work() {
	w.T.Helper()
	if err := w.Replication.Advance(w.T.Context()); err != nil {
		w.T.Fatal(err)
	}
}

// status is "account/region STATUS code" of each destination.
func (w world) status(at ecr.Repo, id ecr.ImageID) (list []string) {
	w.T.Helper()
	all, err := w.Replication.As(testkit.Admin).ImageReplicationStatus(w.T.Context(), at, id)
	if err != nil {
		w.T.Fatal(err)
	}
	for _, s := range all {
		text := s.To.String() + " " + string(s.Status)
		if s.Code != "" {
			text += " " + s.Code
		}
		list = append(list, text)
	}
	return list
}

func (w world) wantStatus(at ecr.Repo, id ecr.ImageID, want ...string) {
	w.T.Helper()
	if got := w.status(at, id); !slices.Equal(got, want) {
		w.T.Errorf("status of %s in %s is %q, want %q", id, at.In, got, want)
	}
}

// as is the world of who owns a registry.
func (w world) as(in ecr.RegistryID) *testkit.World {
	if in.Account == testkit.Alien.Account {
		return w.As(testkit.Alien)
	}
	return w.World
}

// tags are those of a repository, each with its digest.
func (w world) tags(at ecr.Repo) map[ecr.Tag]ecr.Digest {
	w.T.Helper()
	all := map[ecr.Tag]ecr.Digest{}
	list, _, err := w.as(at.In).ListImageDetails(w.T.Context(), at, "", "", 1000)
	if ecr.CodeOf(err) == ecr.CodeRepositoryNotFound {
		return nil
	}
	if err != nil {
		w.T.Fatal(err)
	}
	for _, i := range list {
		for _, t := range i.Tags {
			all[t] = i.Digest
		}
	}
	return all
}

func tagged(t ecr.Tag) ecr.ImageID { return ecr.ImageID{Tag: t} }

// An image goes with what its index lists, before it, and with what refers to it, after
// it: byte for byte, without a blob being stored again. What was there before does not.
func TestReplicate(t *testing.T) {
	w := open(t)
	app, other := w.Repo("prod/app", ecr.Mutable), w.Repo("test/app", ecr.Mutable)
	before := w.Image(app, "before")
	w.MustPut(app, before, "before")
	w.rules(testkit.Home, replication.Rule{To: []ecr.RegistryID{west}, Prefixes: []string{"prod"}})
	amd, arm := w.Image(app, "amd"), w.Image(app, "arm")
	w.MustPut(app, amd)
	w.MustPut(app, arm)
	index := testkit.Index(amd, arm)
	signature := w.Referrer(app, "signature", index)
	w.MustPut(app, signature) // before its subject
	w.MustPut(app, index, "v1")
	image := w.Image(other, "other")
	w.MustPut(other, image, "v1")
	blobs, _ := w.Stored()
	w.wantStatus(app, tagged("v1"), west.String()+" IN_PROGRESS")
	w.work()
	w.wantStatus(app, tagged("v1"), west.String()+" COMPLETE")
	w.wantStatus(app, tagged("before"))
	w.wantStatus(other, tagged("v1"))
	there := west.Repo("prod/app")
	for _, body := range [][]byte{amd, arm, index, signature} {
		w.WantWhole(there, body)
	}
	if got := w.tags(there); len(got) != 1 || got["v1"] != ecr.DigestOf(index) {
		t.Errorf("tags there: %v", got)
	}
	if n := len(w.Digests(there)); n != 4 {
		t.Errorf("%d images there", n)
	}
	if after, _ := w.Stored(); after != blobs {
		t.Errorf("%d blobs are stored, and there were %d", after, blobs)
	}
	if w.tags(west.Repo("test/app")) != nil {
		t.Error("a repository that no rule matches was replicated")
	}
	list, _, err := w.ListReferrers(t.Context(), there, ecr.DigestOf(index), "", "", 10)
	if err != nil || len(list) != 1 {
		t.Errorf("referrers there: %v %v", list, err)
	}
	// A push that changes nothing copies nothing; a tag that moves is moved.
	w.MustPut(app, index, "v1")
	w.wantStatus(app, tagged("v1"), west.String()+" COMPLETE")
	w.MustPut(app, amd, "v1")
	w.wantStatus(app, tagged("v1"), west.String()+" IN_PROGRESS")
	w.work()
	if got := w.tags(there); got["v1"] != ecr.DigestOf(amd) {
		t.Errorf("tags there: %v", got)
	}
}

// What was replicated is not replicated on, and what two registries replicate to each
// other ends.
func TestNoChain(t *testing.T) {
	w := open(t)
	app := w.Repo("app", ecr.Mutable)
	w.rules(testkit.Home, to(west))
	w.rules(west, to(north, testkit.Home))
	w.MustPut(app, w.Image(app, "one"), "v1")
	w.work()
	if w.tags(west.Repo("app"))["v1"] == "" || w.tags(north.Repo("app")) != nil {
		t.Errorf("in the west %v, in the north %v", w.tags(west.Repo("app")), w.tags(north.Repo("app")))
	}
	// A push there is one.
	w.MustPut(west.Repo("app"), w.Image(west.Repo("app"), "two"), "v2")
	w.work()
	if w.tags(app)["v2"] == "" || w.tags(north.Repo("app"))["v2"] == "" || w.tags(north.Repo("app"))["v1"] != "" {
		t.Errorf("at home %v, in the north %v", w.tags(app), w.tags(north.Repo("app")))
	}
}

// Another account lets the source account in, with its registry policy.
func TestAnotherAccount(t *testing.T) {
	dir := t.TempDir()
	log, err := audit.Open(audit.Config{Dir: dir, Mode: audit.Changes, Log: discard, Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	}()
	w := open(t, func(s *testkit.Settings) { s.Audit = log })
	app := w.Repo("app", ecr.Mutable)
	w.rules(testkit.Home, to(alien))
	w.MustPut(app, w.Image(app, "one"), "v1")
	w.work()
	w.wantStatus(app, tagged("v1"), alien.String()+" FAILED AccessDeniedException")
	policy := func(actions ...string) {
		t.Helper()
		text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
			"Sid": "replication", "Effect": "Allow", "Principal": map[string]string{"AWS": "arn:aws:iam::" + string(testkit.Home.Account) + ":root"},
			"Action": actions, "Resource": "arn:aws:ecr:us-east-1:" + string(alien.Account) + ":repository/*",
		}}})
		if err == nil {
			_, err = w.As(testkit.Alien).SetRegistryPolicy(t.Context(), alien, string(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	retry := func() {
		t.Helper()
		if n, err := w.Replication.As(testkit.Admin).RetryReplications(t.Context(), testkit.Home, alien); err != nil || n != 1 {
			t.Errorf("retried %d, %v", n, err)
		}
		w.work()
	}
	policy("ecr:ReplicateImage")
	retry()
	w.wantStatus(app, tagged("v1"), alien.String()+" FAILED AccessDeniedException") // it may not create the repository
	if w.tags(alien.Repo("app")) != nil {
		t.Error("a repository was created without the right to")
	}
	policy("ecr:ReplicateImage", "ecr:CreateRepository")
	retry()
	w.wantStatus(app, tagged("v1"), alien.String()+" COMPLETE")
	if w.tags(alien.Repo("app"))["v1"] == "" {
		t.Error("it did not arrive")
	}
	const role = "arn:aws:sts::000000000000:assumed-role/AWSServiceRoleForECRReplication/replication"
	var got []string
	for r, err := range audit.Query(dir, audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Principal == role {
			got = append(got, r.Action+" "+string(r.Decision))
		}
	}
	want := []string{"ecr:ReplicateImage denied", "ecr:CreateRepository denied", "ecr:ReplicateImage allowed", "ecr:CreateRepository allowed"}
	if !slices.Equal(got, want) {
		t.Errorf("on record is %q, want %q", got, want)
	}
}

// Templates for replication say what a repository becomes; those for other reasons do not.
func TestTemplates(t *testing.T) {
	w := open(t)
	service := templates.New(w.Gate, w.Registry, w.Now).As(testkit.Admin)
	for prefix, reason := range map[string]ecr.CreationReason{"prod": ecr.CreateOnReplicate, "test": ecr.CreateOnPush} {
		_, err := service.CreateTemplate(t.Context(), west, meta.TemplateSettings{
			Given: prefix, AppliedFor: []ecr.CreationReason{reason}, Mutability: ecr.Mutability{Mode: ecr.Immutable}, Lifecycle: testkit.LifecyclePolicy,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	w.rules(testkit.Home, to(west))
	for name, want := range map[string]ecr.TagMutability{"prod/app": ecr.Immutable, "test/app": ecr.Mutable} {
		app := w.Repo(name, ecr.Mutable)
		w.MustPut(app, w.Image(app, name), "v1")
		w.work()
		list, err := w.DescribeRepositories(t.Context(), west, []ecr.RepositoryName{app.Name})
		if err != nil || list[0].Mutability.Mode != want {
			t.Errorf("%s: %+v, %v", name, list, err)
		}
	}
}

// A destination's immutable tags stay: the image arrives without the tag, and that is a
// failure. One that has the same tag for the same image is complete.
func TestImmutableDestination(t *testing.T) {
	w := open(t)
	app := w.Repo("app", ecr.Mutable)
	there := west.Repo("app")
	if _, err := w.CreateRepository(t.Context(), registry.NewRepository{Repo: there, Mutability: ecr.Mutability{Mode: ecr.Immutable}}); err != nil {
		t.Fatal(err)
	}
	w.rules(testkit.Home, to(west))
	first, second := w.Image(app, "first"), w.Image(app, "second")
	w.MustPut(app, first, "v1")
	w.work()
	w.wantStatus(app, tagged("v1"), west.String()+" COMPLETE")
	w.MustPut(app, second, "v1")
	w.work()
	w.wantStatus(app, tagged("v1"), west.String()+" FAILED ImageTagAlreadyExistsException")
	w.WantWhole(there, second)
	if got := w.tags(there); got["v1"] != ecr.DigestOf(first) || len(got) != 1 {
		t.Errorf("tags there: %v", got)
	}
	w.MustPut(app, first, "v1")
	w.work()
	w.wantStatus(app, tagged("v1"), west.String()+" COMPLETE")
}

// An archived copy comes back when the image is replicated again, and so does an image
// that comes back from the archive at its source.
func TestArchive(t *testing.T) {
	w := open(t)
	app, there := w.Repo("app", ecr.Mutable), west.Repo("app")
	image := w.Image(app, "one")
	w.MustPut(app, image, "v1")
	if _, err := w.SetStorageClass(t.Context(), app, tagged("v1"), registry.ClassArchive); err != nil {
		t.Fatal(err)
	}
	w.rules(testkit.Home, to(west))
	if _, err := w.SetStorageClass(t.Context(), app, tagged("v1"), registry.ClassStandard); err != nil {
		t.Fatal(err)
	}
	w.work()
	w.WantWhole(there, image)
	if _, err := w.SetStorageClass(t.Context(), there, tagged("v1"), registry.ClassArchive); err != nil {
		t.Fatal(err)
	}
	w.MustPut(app, image, "v2")
	w.work()
	w.WantWhole(there, image)
}

// An image that comes back from the recycle bin is replicated as if it were pushed.
func TestRestored(t *testing.T) {
	w := open(t, func(s *testkit.Settings) { s.RecycleTime = 7 * testkit.Day })
	app, there := w.Repo("app", ecr.Mutable), west.Repo("app")
	w.rules(testkit.Home, to(west))
	image := w.Image(app, "one")
	d := w.MustPut(app, image, "v1", "v2")
	w.work()
	w.DeleteImages(there, d)
	w.DeleteImages(app, d)
	if _, err := w.RestoreImage(t.Context(), app, d); err != nil {
		t.Fatal(err)
	}
	w.work()
	w.WantWhole(there, image)
	if got := w.tags(there); len(got) != 2 {
		t.Errorf("tags there: %v", got)
	}
}

// What a rule may not say.
func TestInvalidConfiguration(t *testing.T) {
	w := open(t)
	var many []ecr.RegistryID
	for _, a := range "abcdefghijklmnopqrstuvwxyz" {
		many = append(many, ecr.RegistryID{Account: testkit.Home.Account, Region: ecr.Region("eu-" + string(a) + "-1")})
	}
	for name, tt := range map[string]struct {
		rules []replication.Rule
		want  string
	}{
		"itself":            {[]replication.Rule{to(testkit.Home)}, "Replication destination cannot be the same as the source registry"},
		"26 destinations":   {[]replication.Rule{to(many...)}, "The maximum number of destinations of a registry is 25, and there are 26"},
		"11 rules":          {make([]replication.Rule, 11), "The maximum number of rules is 10, and there are 11"},
		"101 filters":       {[]replication.Rule{{To: []ecr.RegistryID{west}, Prefixes: make([]string, 101)}}, "The maximum number of repository filters of a rule is 100"},
		"another partition": {[]replication.Rule{to(ecr.RegistryID{Account: west.Account, Region: "cn-north-1"})}, "partition"},
	} {
		t.Run(name, func(t *testing.T) {
			err := w.Replication.As(testkit.Admin).PutReplication(t.Context(), testkit.Home, replication.Configuration{Rules: tt.rules})
			testkit.WantCode(t, err, ecr.CodeInvalidParameter, "Invalid parameter at 'replicationConfiguration' failed to satisfy constraint: ", tt.want)
		})
	}
}

// A destination that is neither on the server nor in the operator's list can be configured,
// as on ECR, and the images say that it is not there.
func TestNotServed(t *testing.T) {
	w := open(t, func(s *testkit.Settings) { s.NotServed = []ecr.RegistryID{west} })
	app := w.Repo("app", ecr.Mutable)
	w.rules(testkit.Home, to(west))
	w.MustPut(app, w.Image(app, "one"), "v1")
	w.work()
	w.wantStatus(app, tagged("v1"), west.String()+" FAILED DestinationNotServed")
}

// A destination that a rule no longer has gets nothing of what waits.
func TestRuleIsGone(t *testing.T) {
	w := open(t)
	app := w.Repo("app", ecr.Mutable)
	w.rules(testkit.Home, to(west))
	w.MustPut(app, w.Image(app, "one"), "v1")
	w.rules(testkit.Home)
	w.work()
	w.wantStatus(app, tagged("v1"))
	if w.tags(west.Repo("app")) != nil {
		t.Error("it was replicated")
	}
	if got, err := w.Replication.As(testkit.Admin).DescribeRegistry(t.Context(), testkit.Home); err != nil || len(got.Rules) != 0 {
		t.Error(got, err)
	}
}

// Options of a destination: tags, prefixes that are left out, deletions.
func TestOptions(t *testing.T) {
	w := open(t, func(s *testkit.Settings) { s.RecycleTime = testkit.Day })
	copies := w.Replication.As(testkit.Admin)
	app, scratch := w.Repo("app", ecr.Mutable), w.Repo("scratch/app", ecr.Mutable)
	options := replication.Options{Tags: []string{"v*"}, Exclude: []string{"scratch/"}, Deletions: true}
	testkit.WantCode(t, copies.SetReplicationOptions(t.Context(), testkit.Home, west, options), ecr.CodeInvalidParameter, "no rule of the registry")
	w.rules(testkit.Home, to(west))
	if err := copies.SetReplicationOptions(t.Context(), testkit.Home, west, options); err != nil {
		t.Fatal(err)
	}
	w.rules(testkit.Home, to(west)) // they stay
	first, second := w.Image(app, "first"), w.Image(app, "second")
	for _, tag := range []ecr.Tag{"v1", "latest"} {
		w.MustPut(app, first, tag)
		w.MustPut(scratch, w.Image(scratch, "scratch"), tag)
	}
	w.MustPut(app, second, "nightly")
	wanted := w.Referrer(app, "of the first", first)
	left := w.Referrer(app, "of the second", second)
	w.MustPut(app, wanted)
	w.MustPut(app, left)
	w.MustPut(app, w.Image(app, "signature"), ecr.Tag("sha256-"+ecr.DigestOf(first)[7:]+".sig"))
	w.work()
	w.work() // what refers to it may have waited
	there := west.Repo("app")
	got := w.tags(there)
	if len(got) != 2 || got["v1"] == "" || len(w.Digests(there)) != 3 {
		t.Errorf("tags there: %v, images: %v", got, w.Digests(there))
	}
	w.WantWhole(there, wanted)
	if w.tags(west.Repo("scratch/app")) != nil {
		t.Error("what is excluded was replicated")
	}
	// The destination keeps what it has under other tags.
	w.MustPut(there, first, "mine")
	w.Delete(app, ecr.ImageID{Digest: ecr.DigestOf(first)})
	w.work()
	if got := w.tags(there); got["v1"] != "" || got["mine"] == "" {
		t.Errorf("tags there after the deletion: %v", got)
	}
	w.Delete(there, tagged("mine"))
	w.MustPut(app, w.Image(app, "third"), "v3", "v4")
	w.work()
	third := w.tags(there)["v3"]
	w.Delete(app, tagged("v4"))
	w.work()
	if got := w.tags(there); got["v3"] == "" || got["v4"] != "" {
		t.Errorf("tags there after one tag went: %v", got)
	}
	w.Delete(app, tagged("v3"))
	w.work()
	if slices.Contains(w.Digests(there), third) {
		t.Error("the deletion was not replicated")
	}
}

// A backfill copies what was there before.
func TestBackfill(t *testing.T) {
	w := open(t)
	copies := w.Replication.As(testkit.Admin)
	app, web := w.Repo("app", ecr.Mutable), w.Repo("web", ecr.Immutable)
	first := w.Image(app, "first")
	w.MustPut(app, first, "v1", "latest")
	w.MustPut(web, w.Image(web, "web"), "v1")
	_, err := copies.StartBackfill(t.Context(), testkit.Home, west)
	testkit.WantCode(t, err, ecr.CodeInvalidParameter, "No rule of the replication configuration has the destination")
	w.rules(testkit.Home, to(west, north))
	// One of the tags is taken there.
	there := west.Repo("web")
	if _, err := w.CreateRepository(t.Context(), registry.NewRepository{Repo: there, Mutability: ecr.Mutability{Mode: ecr.Immutable}}); err != nil {
		t.Fatal(err)
	}
	w.MustPut(there, w.Image(there, "another"), "v1")
	b, err := copies.StartBackfill(t.Context(), testkit.Home, west)
	if err != nil || b.Status != meta.BackfillPreparing {
		t.Fatal(b, err)
	}
	_, err = copies.StartBackfill(t.Context(), testkit.Home, west)
	testkit.WantCode(t, err, ecr.CodeReplicationBackfillInProgress, b.ID)
	w.work()
	got, results, more, err := copies.BackfillResults(t.Context(), testkit.Home, b.ID, "", 0, 10)
	if err != nil || more || got.Status != meta.BackfillComplete || got.EndedAt.IsZero() || len(results) != 3 {
		t.Fatal(got, results, more, err)
	}
	if p := got.Progress; p.Total != 3 || p.Completed != 2 || p.Failed != 1 || !slices.Equal(p.Codes, []string{"ImageTagAlreadyExistsException"}) {
		t.Errorf("%+v", p)
	}
	if failed, list, _, err := copies.BackfillResults(t.Context(), testkit.Home, b.ID, meta.ReplicationFailed, 0, 10); err != nil || len(list) != 1 || list[0].Name != "web" {
		t.Error(failed, list, err)
	}
	if tags := w.tags(west.Repo("app")); len(tags) != 2 {
		t.Errorf("tags there: %v", tags)
	}
	w.wantStatus(app, tagged("v1"), west.String()+" COMPLETE")
	_, err = copies.StopBackfill(t.Context(), testkit.Home, b.ID)
	testkit.WantCode(t, err, ecr.CodeReplicationBackfillInvalidStatus, "COMPLETE")
	if b, err = copies.StartBackfill(t.Context(), testkit.Home, north); err != nil {
		t.Fatal(err)
	}
	if b, err = copies.StopBackfill(t.Context(), testkit.Home, b.ID); err != nil || b.Status != meta.BackfillStopped {
		t.Fatal(b, err)
	}
	w.work()
	if w.tags(north.Repo("app")) != nil {
		t.Error("what was stopped went on")
	}
	list, more, err := copies.ListBackfills(t.Context(), testkit.Home, "", 1)
	if err != nil || !more || len(list) != 1 || list[0].ID != b.ID {
		t.Error(list, more, err)
	}
}

// Whoever may look and whoever may not.
func TestDeniedWithoutTrace(t *testing.T) {
	w := open(t)
	nobody := access.Principal{Account: testkit.Home.Account, ARN: "arn:aws:iam::000000000000:user/nobody", UniqueID: "AIDANOBODY"}
	err := w.Replication.As(nobody).PutReplication(t.Context(), testkit.Home, replication.Configuration{Rules: []replication.Rule{to(west)}})
	testkit.WantCode(t, err, ecr.CodeAccessDenied, "ecr:PutReplicationConfiguration")
	if got, err := w.Replication.As(testkit.Admin).DescribeRegistry(t.Context(), testkit.Home); err != nil || len(got.Rules) != 0 {
		t.Error(got, err)
	}
}

// A process that dies while it copies leaves the image to the next one, and one that was
// overtaken stores nothing.
func TestLeases(t *testing.T) {
	w := open(t)
	app := w.Repo("app", ecr.Mutable)
	w.rules(testkit.Home, to(west))
	w.MustPut(app, w.Image(app, "one"), "v1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Replication.Advance(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	other := world{w.With(func(*testkit.Settings) {})}
	other.work()
	w.wantStatus(app, tagged("v1"), west.String()+" COMPLETE")
}

// A backfill that cannot go on holds up neither another one nor what is pushed.
func TestBrokenBackfill(t *testing.T) {
	w := open(t)
	app := w.Repo("app", ecr.Mutable)
	before := w.Image(app, "before")
	w.MustPut(app, before, "before")
	w.rules(west, to(north))
	w.rules(testkit.Home, to(north))
	for _, in := range []ecr.RegistryID{west, testkit.Home} {
		if _, err := w.Replication.As(testkit.Admin).StartBackfill(t.Context(), in, north); err != nil {
			t.Fatal(err)
		}
	}
	w.MustPut(app, w.Image(app, "one"), "v1")
	err := w.Gate.System("test").Change(t.Context(), gate.Op("Break"), func(ctx context.Context, tx *gate.Tx) error {
		return tx.Registries().PutRegistrySettings(ctx, west, meta.RegistrySettings{Settings: map[string]string{"replicationConfiguration": "{"}})
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // each takes the steps that it can, and says what it cannot
		if err := w.Replication.Advance(t.Context()); err == nil || !strings.Contains(err.Error(), "reading the replication configuration") {
			t.Fatal(err)
		}
	}
	if tags := w.tags(north.Repo("app")); tags["v1"] == "" || tags["before"] == "" {
		t.Errorf("tags there: %v", tags)
	}
}

// What arrives is scanned where its new repository, or a rule of its new registry, wants
// that, whatever those of its old one want.
func TestArrivalsAreScanned(t *testing.T) {
	w := open(t, func(s *testkit.Settings) { s.Scanner, s.ScanSlots = noScanner{}, 1 })
	w.Repo("prod/app", ecr.Mutable)
	w.Repo("test/app", ecr.Mutable)
	rule := registry.ScanRule{Frequency: registry.ScanOnPush, Filters: []string{"prod/*"}}
	if err := w.SetRegistryScanning(t.Context(), west, registry.RegistryScan{Type: registry.ScanBasic, Rules: []registry.ScanRule{rule}}); err != nil {
		t.Fatal(err)
	}
	w.rules(testkit.Home, to(west))
	for name, want := range map[ecr.RepositoryName]ecr.Code{"prod/app": "", "test/app": ecr.CodeScanNotFound} {
		at := testkit.Home.Repo(name)
		body := w.Image(at, "image")
		w.MustPut(at, body, "v1")
		w.work()
		id := ecr.ImageID{Digest: ecr.DigestOf(body)}
		if _, _, _, err := w.Scans.As(testkit.Admin).ScanFindings(t.Context(), at, id, 0, 1); ecr.CodeOf(err) != ecr.CodeScanNotFound {
			t.Errorf("%s: %v", at, err)
		}
		if s, _, _, err := w.Scans.As(testkit.Admin).ScanFindings(t.Context(), west.Repo(name), id, 0, 1); ecr.CodeOf(err) != want || want == "" && s.Status != ecr.ScanInProgress {
			t.Errorf("%s in %s: %+v %v, want %q", name, west, s, err, want)
		}
	}
}

// noScanner is a scanner that nothing asks.
type noScanner struct{}

// Scan implements scanning.Scanner.
func (noScanner) Scan(context.Context, scanning.Target) (scanning.Report, error) {
	return scanning.Report{}, scanning.ErrUnsupported
}

// About implements scanning.Scanner.
func (noScanner) About(context.Context) (scanning.About, error) { return scanning.About{}, nil }
