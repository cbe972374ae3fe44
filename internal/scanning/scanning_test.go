package scanning_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/scanning"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// fake is a scanner that answers at once with what it is told.
type fake struct {
	report scanning.Report
	err    error
	seen   []scanning.Target
}

func (f *fake) Scan(_ context.Context, t scanning.Target) (scanning.Report, error) {
	f.seen = append(f.seen, t)
	r := f.report
	r.Findings = slices.Clone(r.Findings)
	return r, f.err
}

func (f *fake) About(context.Context) (scanning.About, error) { return scanning.About{}, f.err }

func found(severities ...ecr.Severity) scanning.Report {
	var r scanning.Report
	for i, s := range severities {
		r.Findings = append(r.Findings, scanning.Finding{Name: "CVE-" + string(rune('a'+i)), Severity: s})
	}
	return r
}

// Amazon ECR user guide, "Scan images": what may be scanned, and how often.
func TestStartScan(t *testing.T) {
	f := &fake{}
	w := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR, Scanner: f})
	app := w.Repo("app", ecr.Mutable)
	image := w.MustPut(app, w.Image(app, "one"), "v1")
	w.MustPut(app, testkit.JSON(map[string]any{"schemaVersion": 2, "mediaType": testkit.IndexType, "manifests": []testkit.Desc{{MediaType: testkit.ImageType, Digest: image, Size: 1}}}), "index")
	admin := w.Scans.As(testkit.Admin)
	scan := func(id ecr.ImageID) error { _, err := admin.StartScan(t.Context(), app, id); return err }
	v1 := ecr.ImageID{Tag: "v1"}
	_, _, _, err := admin.ScanFindings(t.Context(), app, v1, 0, 10)
	testkit.WantCode(t, err, ecr.CodeScanNotFound, "Image scan does not exist for the image with '{imageDigest:'null', imageTag:'v1'}' in the repository with name 'app'")
	testkit.WantCode(t, scan(ecr.ImageID{Tag: "none"}), ecr.CodeImageNotFound)
	testkit.WantCode(t, scan(ecr.ImageID{Tag: "index"}), ecr.CodeUnsupportedImageType)
	if err := scan(v1); err != nil {
		t.Fatal(err)
	}
	const exceeded = "The scan quota per image has been exceeded. Wait and try again."
	testkit.WantCode(t, scan(v1), ecr.CodeLimitExceeded, exceeded)
	if n := run(t, w); n != 1 {
		t.Fatalf("%d scans", n)
	}
	w.Advance(23 * time.Hour)
	testkit.WantCode(t, scan(v1), ecr.CodeLimitExceeded, exceeded)
	w.Advance(time.Hour)
	if err := scan(v1); err != nil {
		t.Fatal(err)
	}
	if err := w.SetRegistryScanning(t.Context(), app.In, registry.RegistryScan{Type: registry.ScanEnhanced}); err != nil {
		t.Fatal(err)
	}
	testkit.WantCode(t, scan(v1), ecr.CodeValidation, "This feature is disabled")

	none := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	app = none.Repo("app", ecr.Mutable)
	none.MustPut(app, none.Image(app, "one"), "v1")
	admin = none.Scans.As(testkit.Admin)
	testkit.WantCode(t, scan(v1), ecr.CodeValidation, "This registry does not scan images: no scanner is configured")
	if n := none.Scans.Slots(); n != 0 {
		t.Errorf("%d slots without a scanner", n)
	}
}

// What is pushed is scanned where the repository or a rule of the registry says so.
func TestScanOnPush(t *testing.T) {
	f := &fake{report: found(ecr.SeverityLow)}
	var told []scanning.Finished
	w := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR, Scanner: f, ScanFinished: func(_ context.Context, _ *gate.Tx, f scanning.Finished) error {
		told = append(told, f)
		return nil
	}})
	quiet, own, ruled := w.Repo("quiet", ecr.Mutable), w.Repo("own", ecr.Mutable), w.Repo("prod/ruled", ecr.Mutable)
	if err := w.SetScanOnPush(t.Context(), own, true); err != nil {
		t.Fatal(err)
	}
	rule := registry.ScanRule{Frequency: registry.ScanOnPush, Filters: []string{"prod/*"}}
	if err := w.SetRegistryScanning(t.Context(), testkit.Home, registry.RegistryScan{Type: registry.ScanBasic, Rules: []registry.ScanRule{rule}}); err != nil {
		t.Fatal(err)
	}
	for _, at := range []ecr.Repo{quiet, own, ruled} {
		w.MustPut(at, w.Image(at, "one"), "v1")
		w.MustPut(at, w.Image(at, "one"), "v2") // the same image
	}
	select {
	case <-w.Scans.Wake(0):
	default:
		t.Error("no slot was told")
	}
	if n := run(t, w); n != 2 || f.seen[0].Tag != "v1" {
		t.Errorf("%d scans of %+v", n, f.seen)
	}
	if len(told) != 2 || told[0].At != own || told[0].Status != ecr.ScanComplete || told[0].Counts[ecr.SeverityLow] != 1 || !slices.Equal(told[0].Tags, []ecr.Tag{"v1", "v2"}) {
		t.Errorf("told %+v", told)
	}
	images, err := w.DescribeImages(t.Context(), own, []ecr.ImageID{{Tag: "v1"}})
	if err != nil || images[0].Scan == nil || images[0].Scan.Severity != ecr.SeverityLow {
		t.Errorf("%+v %v", images, err)
	}
	if images, err = w.DescribeImages(t.Context(), quiet, []ecr.ImageID{{Tag: "v1"}}); err != nil || images[0].Scan != nil {
		t.Errorf("%+v %v", images, err)
	}
}

// An image that comes back from the recycle bin is scanned again.
func TestRestoredImage(t *testing.T) {
	f := &fake{report: found(ecr.SeverityLow)}
	w := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR, Scanner: f, RecycleTime: testkit.Day})
	app := w.Repo("app", ecr.Mutable)
	if err := w.SetScanOnPush(t.Context(), app, true); err != nil {
		t.Fatal(err)
	}
	d := w.MustPut(app, w.Image(app, "one"), "v1")
	run(t, w)
	w.DeleteImages(app, d)
	if _, err := w.RestoreImage(t.Context(), app, d); err != nil {
		t.Fatal(err)
	}
	if n := run(t, w); n != 1 {
		t.Errorf("%d scans", n)
	}
}

// An image that is removed while it waits, or is scanned, takes its scan with it.
func TestRemovedImage(t *testing.T) {
	f := &fake{}
	w := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR, Scanner: f})
	app := w.Repo("app", ecr.Mutable)
	for _, tag := range []ecr.Tag{"v1", "v2"} {
		w.MustPut(app, w.Image(app, string(tag)), tag)
		start(t, w, app, tag)
	}
	if _, _, err := w.BatchDeleteImage(t.Context(), app, []ecr.ImageID{{Tag: "v1"}}); err != nil {
		t.Fatal(err)
	}
	if n := run(t, w); n != 1 || len(f.seen) != 1 || f.seen[0].Tag != "v2" {
		t.Errorf("%d scans of %v", n, f.seen)
	}
}

// An image that a scanner cannot scan is no clean one.
func TestUnsupportedImage(t *testing.T) {
	f := &fake{report: found(ecr.SeverityHigh)}
	w := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR, Scanner: f})
	app := w.Repo("app", ecr.Mutable)
	w.MustPut(app, w.Image(app, "one"), "v1")
	for _, want := range []ecr.ScanStatus{ecr.ScanComplete, ecr.ScanUnsupported} {
		start(t, w, app, "v1")
		run(t, w)
		if s, list := findings(t, w, app, "v1"); s.Status != want || (len(list) == 1) != (want == ecr.ScanComplete) {
			t.Errorf("%+v %v", s, list)
		}
		f.err = scanning.ErrUnsupported
		w.Advance(testkit.Day)
	}
}

const denyBad = `{"Version":"2012-10-17","Statement":[
	{"Effect":"Allow","Principal":"*","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]},
	{"Sid":"bad","Effect":"Deny","Principal":"*","Action":"ecr:BatchGetImage","Condition":{
		"StringEquals":{"kontor:MaxSeverity":["CRITICAL","UNSCANNED"]},
		"ArnNotEquals":{"aws:PrincipalArn":"arn:aws:iam::000000000000:user/kontor-scanner"}}}]}`

// A policy denies pulls by what the last scan found.
func TestMaxSeverity(t *testing.T) {
	f := &fake{}
	w := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR, Scanner: f})
	app := w.Repo("app", ecr.Mutable)
	one := w.MustPut(app, w.Image(app, "one"), "one")
	two := w.MustPut(app, w.Image(app, "two"), "two")
	config := []byte("{}")
	w.Blob(app, config)
	w.MustPut(app, testkit.JSON(map[string]any{"schemaVersion": 2, "mediaType": testkit.ImageType, "artifactType": "text/signature",
		"config": testkit.DescOf("application/vnd.oci.empty.v1+json", config), "layers": []testkit.Desc{testkit.DescOf("text/plain", config)}}), "signature")
	child := func(d ecr.Digest) testkit.Desc { return testkit.Desc{MediaType: testkit.ImageType, Digest: d, Size: 1} }
	w.MustPut(app, testkit.JSON(map[string]any{"schemaVersion": 2, "mediaType": testkit.IndexType, "manifests": []testkit.Desc{child(one), child(two)}}), "index")
	if _, err := w.SetPolicy(t.Context(), app, denyBad, true); err != nil {
		t.Fatal(err)
	}
	user := func(name string) access.Principal {
		return access.Principal{Account: "000000000000", ARN: "arn:aws:iam::000000000000:user/" + name, UniqueID: "AIDA" + name, Policies: []string{access.PolicyAdministrator}}
	}
	may := func(name string, want map[ecr.Tag]bool) {
		t.Helper()
		for tag, yes := range want {
			_, err := w.Registry.As(user(name)).Manifest(t.Context(), app, ecr.ImageID{Tag: tag})
			_, _, batch := w.Registry.As(user(name)).BatchGetImage(t.Context(), app, []ecr.ImageID{{Tag: "signature"}, {Tag: tag}})
			for _, err := range []error{err, batch} {
				if yes && err != nil {
					t.Errorf("%s may not pull %s: %v", name, tag, err)
				} else if !yes {
					testkit.WantCode(t, err, ecr.CodeAccessDenied, "with an explicit deny in a resource-based policy")
				}
			}
		}
	}
	scan := func(tag ecr.Tag, r scanning.Report, err error) {
		t.Helper()
		w.Advance(testkit.Day)
		f.report, f.err = r, err
		start(t, w, app, tag)
		for range 5 {
			run(t, w)
			w.Advance(time.Hour)
		}
	}
	may("ann", map[ecr.Tag]bool{"one": false, "two": false, "index": false, "signature": true})
	may("kontor-scanner", map[ecr.Tag]bool{"one": true, "index": true})
	// What is not there is no denial: whoever pushes looks before.
	_, err := w.Registry.As(user("ann")).StatManifest(t.Context(), app, ecr.ImageID{Tag: "new"})
	testkit.WantCode(t, err, ecr.CodeImageNotFound)
	scan("one", found(ecr.SeverityHigh, ecr.SeverityUndefined), nil)
	may("ann", map[ecr.Tag]bool{"one": true, "two": false, "index": false})
	scan("two", found(), errors.New("broken"))
	may("ann", map[ecr.Tag]bool{"two": false, "index": false})
	scan("two", found(), nil)
	may("ann", map[ecr.Tag]bool{"two": true, "index": true})
	scan("two", found(ecr.SeverityLow, ecr.SeverityCritical), nil)
	may("ann", map[ecr.Tag]bool{"one": true, "two": false, "index": false})
	// What was found stays known while the image is scanned again, and when that fails.
	w.Advance(testkit.Day)
	start(t, w, app, "two")
	may("ann", map[ecr.Tag]bool{"two": false})

	for _, wrong := range []string{`"Action":"ecr:*"`, `"Action":["ecr:BatchGetImage","ecr:PutImage"]`} {
		text := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*",` + wrong + `,"Condition":{"StringEquals":{"kontor:MaxSeverity":"CRITICAL"}}}]}`
		_, err := w.SetPolicy(t.Context(), app, text, true)
		testkit.WantCode(t, err, ecr.CodeInvalidParameter, "kontor:MaxSeverity")
	}
}

// A slot that a process had when it was killed is taken over with its scan; slots that are
// there no longer lose theirs. Attempts are counted, so that an image that kills the
// server does so a few times only.
func TestKilled(t *testing.T) {
	f := &fake{}
	w := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR, Scanner: f, ScanSlots: 3})
	app := w.Repo("app", ecr.Mutable)
	w.MustPut(app, w.Image(app, "one"), "v1")
	start(t, w, app, "v1")
	take := func(slot string) {
		t.Helper()
		err := w.Gate.System("test").Change(t.Context(), gate.Op("Take"), func(ctx context.Context, tx *gate.Tx) error {
			_, _, err := tx.Retention().ScanWriter().TakeScan(ctx, slot, w.Now())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	take("3")
	if n := run(t, w); n != 0 {
		t.Fatal("another slot's scan was done")
	}
	w = w.Set(func(s *testkit.Settings) { s.ScanSlots = 2 })
	if n := run(t, w); n != 1 {
		t.Fatal("the scan of a slot that is gone was not done")
	}
	w.Advance(testkit.Day)
	start(t, w, app, "v1")
	for range 5 {
		take("1")
	}
	f.err = errors.New("last words")
	run(t, w)
	if s, _ := findings(t, w, app, "v1"); s.Status != ecr.ScanFailed || s.Reason != "last words" {
		t.Errorf("%+v", s)
	}
}

// Pages of findings have the worst first, and all of them.
func TestPagesOfFindings(t *testing.T) {
	f := &fake{report: found(ecr.SeverityLow, ecr.SeverityCritical, ecr.SeverityMedium, ecr.SeverityUndefined, ecr.SeverityHigh)}
	f.report.Findings = append(f.report.Findings, f.report.Findings[0]) // twice
	w := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR, Scanner: f})
	app := w.Repo("app", ecr.Mutable)
	w.MustPut(app, w.Image(app, "one"), "v1")
	start(t, w, app, "v1")
	run(t, w)
	var got []ecr.Severity
	for from := 0; ; {
		_, list, more, err := w.Scans.As(testkit.Admin).ScanFindings(t.Context(), app, ecr.ImageID{Tag: "v1"}, from, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range list {
			got = append(got, f.Severity)
		}
		if from += len(list); !more {
			break
		}
	}
	want := []ecr.Severity{ecr.SeverityCritical, ecr.SeverityHigh, ecr.SeverityMedium, ecr.SeverityLow, ecr.SeverityUndefined}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
