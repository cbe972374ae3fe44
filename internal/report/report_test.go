package report_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/leases"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/wire/admin"
	"github.com/kontor-registry/kontor/lifecycle"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// comesBack holds that the JSON of v reads back as the same value.
func comesBack(t interface {
	Helper()
	Errorf(string, ...any)
	Fatal(...any)
}, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	back := reflect.New(reflect.TypeOf(v))
	if err := json.Unmarshal(text, back.Interface()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v, back.Elem().Interface()); diff != "" {
		t.Errorf("%T (-report +read back):\n%s\n%s", v, diff, text)
	}
}

// worlds are repositories with policies of every kind of rule.
func worlds() *rapid.Generator[report.Lifecycle] {
	return rapid.Custom(func(t *rapid.T) report.Lifecycle {
		l := report.Lifecycle{
			Repository: rapid.SampledFrom([]string{"", "team/app"}).Draw(t, "repository"), Source: "policy.json", At: noon,
			Known: rapid.Bool().Draw(t, "known"), AWS: rapid.Bool().Draw(t, "aws"), Origins: map[int]report.Origin{
				1: {Field: "ecr_repositories.app.keep[0]", Place: report.Place{File: "kontor.yaml", Line: 3, Column: 5}},
			},
		}
		if l.AWS {
			l.Options = lifecycle.PredictAWS()
		}
		for i := range rapid.IntRange(0, 4).Draw(t, "rules") {
			l.Policy.Rules = append(l.Policy.Rules, someRule(t, i+1))
		}
		n := rapid.IntRange(0, 8).Draw(t, "images")
		for i := range n {
			l.Images = append(l.Images, someImage(t, i, n))
		}
		return l
	})
}

func someRule(t *rapid.T, priority int) lifecycle.Rule {
	r := lifecycle.Rule{Priority: priority, Action: lifecycle.Action{Type: lifecycle.Expire}}
	r.Description = rapid.SampledFrom([]string{"", "keep the last 5 images"}).Draw(t, "description")
	s := &r.Selection
	s.CountNumber = rapid.IntRange(1, 40).Draw(t, "number")
	s.TagStatus = rapid.SampledFrom([]lifecycle.TagStatus{lifecycle.Any, lifecycle.Untagged, lifecycle.Tagged}).Draw(t, "status")
	if s.TagStatus == lifecycle.Tagged {
		s.TagPatterns = rapid.SampledFrom([][]string{{"v*"}, {"pr-*"}, {"v*", "pr-*"}, {"release/*"}}).Draw(t, "patterns")
	}
	s.CountType = rapid.SampledFrom([]lifecycle.CountType{lifecycle.ImageCountMoreThan, lifecycle.SinceImagePushed, lifecycle.SinceImagePulled}).Draw(t, "type")
	if s.CountType != lifecycle.ImageCountMoreThan {
		s.CountUnit = lifecycle.Days
	}
	if s.CountType == lifecycle.SinceImagePulled {
		r.Action = lifecycle.Action{Type: lifecycle.Transition, TargetStorageClass: lifecycle.Archive}
	}
	return r
}

func digest(i int) string { return fmt.Sprintf("sha256:%064d", i) }

func someImage(t *rapid.T, i, n int) lifecycle.Image {
	m := lifecycle.Image{Digest: digest(i), SizeBytes: int64(i), PushedAt: noon.AddDate(0, 0, -rapid.IntRange(0, 60).Draw(t, "pushed"))}
	m.Tags = rapid.SampledFrom([][]string{nil, {fmt.Sprint("v", i)}, {fmt.Sprint("pr-", i), "prod"}}).Draw(t, "tags")
	m.Status = rapid.SampledFrom([]lifecycle.Status{"", lifecycle.StatusActive, lifecycle.StatusArchived}).Draw(t, "status")
	if rapid.Bool().Draw(t, "pulled") {
		m.LastPulledAt = noon.AddDate(0, 0, -rapid.IntRange(0, 20).Draw(t, "days"))
	}
	if rapid.Bool().Draw(t, "nowhere") {
		m.PushedAt = time.Time{}
	}
	switch other := digest(rapid.IntRange(0, n-1).Draw(t, "other")); rapid.IntRange(0, 3).Draw(t, "refers") {
	case 0:
		m.Subject = other
	case 1:
		m.Children, m.MediaType = []string{other}, "application/vnd.oci.image.index.v1+json"
	}
	return m
}

func TestLifecycleReportsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := worlds().Draw(t, "world")
		comesBack(t, report.NewPreview(l))
		for _, m := range l.Images {
			x, ok := report.NewExplanation(l, m.Digest)
			if !ok {
				t.Fatal("no explanation of", m.Digest)
			}
			comesBack(t, x)
		}
		comesBack(t, report.NewForecast(l, 40, rapid.SampledFrom([]lifecycle.Rate{lifecycle.RateNone, lifecycle.RatePresent}).Draw(t, "rate")))
		comesBack(t, report.NewLifecycleDiff(l, worlds().Draw(t, "other").Policy, "new.json"))
		comesBack(t, report.NewLint([]report.Linted{{Lifecycle: l, Findings: l.Options.Lint(l.Policy, l.Images, l.At)}, {Lifecycle: report.Lifecycle{Source: "the file"}}}))
	})
}

func TestAccessReportsComeBack(t *testing.T) {
	in := ecr.RegistryID{Account: "111111111111", Region: "us-east-2"}
	user := func(account, name, statement string) proof.Principal {
		return proof.Principal{ARN: "arn:aws:iam::" + account + ":user/" + name, Documents: []access.Document{
			{Name: "own", Text: `{"Version":"2012-10-17","Statement":[` + statement + `]}`},
		}}
	}
	p, err := proof.New(proof.World{
		Repositories: []proof.Repository{{In: in, Name: "api", Policy: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["222222222222","333333333333"]},"Action":["ecr:BatchGetImage"]}]}`}},
		Principals: []proof.Principal{
			user("111111111111", "ann", `{"Sid":"Office","Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}`),
			user("111111111111", "bob", `{"Effect":"Deny","Action":"ecr:*","Resource":"*"}`),
			user("222222222222", "carl", `{"Effect":"Allow","Action":"ecr:*","Resource":"*"}`),
		},
		Seen: []string{"111111111111", "222222222222"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"arn:aws:iam::111111111111:user/ann", "arn:aws:iam::111111111111:user/bob", "arn:aws:iam::222222222222:user/carl", "arn:aws:iam::222222222222:user/dora", "333333333333"} {
		t.Run(who, func(t *testing.T) {
			a, err := p.Check(who, proof.Push.Actions(), in, "api")
			if err != nil {
				t.Fatal(err)
			}
			comesBack(t, report.NewAccess("push", a, "push_principals: [...]", []string{"a note"}))
		})
	}
	list, err := p.WhoCan(proof.Pull.Actions(), in, "api")
	if err != nil {
		t.Fatal(err)
	}
	comesBack(t, report.NewWhoCan("pull", list, nil))
	comesBack(t, report.NewMatrix(p.Matrix(), []string{"a note"}))
	comesBack(t, report.NewMatrix(proof.Matrix{Principals: []string{"222222222222"}}, nil))
}

func TestRegistryReportsComeBack(t *testing.T) {
	comesBack(t, report.Activity{Entries: []admin.PullActivity{{Day: "2026-11-30", RepositoryName: "app", Principal: "arn:aws:iam::000000000000:user/ci", Pulls: 3, LastPulledAt: noon}}, KeptDays: 90})
	comesBack(t, report.Journal{Entries: []admin.JournalEntry{{Sequence: 1, At: noon, Operation: "delete-image", ImageTags: []string{"v1"}, RulePriority: 2}}})
	bin := report.Bin{Entries: []admin.BinEntry{{ID: 1, ImageDigest: digest(1), ImageTags: []string{}, SizeBytes: 3, DeletedAt: noon}, {ID: 2, ImageTags: []string{}, SizeBytes: 4}}}
	comesBack(t, bin)
	if got, want := bin.Total(), (report.Tally{Images: 2, Bytes: 7}); got != want {
		t.Errorf("the bin holds %v, want %v", got, want)
	}
	usage := report.Usage{Repositories: []admin.DescribeUsageResponse{{RepositoryName: "a", LayerBytes: 5, Tags: []admin.TagUsage{}, Rules: []admin.RuleUsage{}}, {LayerBytes: 6, Tags: []admin.TagUsage{}, Rules: []admin.RuleUsage{}}}}
	comesBack(t, usage)
	if n := usage.LayerBytes(); n != 11 {
		t.Errorf("%d bytes in layers, want 11", n)
	}
	runs := report.LifecycleRuns{Runs: []admin.RunLifecycleResponse{{RepositoryName: "a", At: noon, Outcomes: []admin.Outcome{}, Findings: []admin.Finding{}}}}
	comesBack(t, runs)
	if runs.Stopped() {
		t.Error("a run that went on counts as stopped")
	}
	runs.Runs = append(runs.Runs, admin.RunLifecycleResponse{Stopped: true})
	if !runs.Stopped() {
		t.Error("a run that stopped does not")
	}
	comesBack(t, report.CollectedLeases{Recorded: &admin.ReportLeasesResponse{Leases: 1}, Leases: []admin.Lease{{RepositoryName: "a", User: "x"}}, Others: []leases.Other{{Host: "h", Uses: 1}}, Unknown: map[string]int{"Secret": 2}})
	comesBack(t, report.Identity{Name: "ann", Created: noon, Policies: []string{}, Keys: []report.IdentityKey{{ID: "AKIA", Active: true, Created: noon}}})
}

// Manifests are read where they could change an answer, and nowhere else.
func TestMayBeKept(t *testing.T) {
	const (
		manifest = "application/vnd.oci.image.manifest.v1+json"
		index    = "application/vnd.oci.image.index.v1+json"
	)
	days := func(n int) lifecycle.Policy {
		return lifecycle.Policy{Rules: []lifecycle.Rule{{Priority: 1, Action: lifecycle.Action{Type: lifecycle.Expire},
			Selection: lifecycle.Selection{TagStatus: lifecycle.Any, CountType: lifecycle.SinceImagePushed, CountUnit: lifecycle.Days, CountNumber: n}}}}
	}
	count := lifecycle.Policy{Rules: []lifecycle.Rule{{Priority: 1, Action: lifecycle.Action{Type: lifecycle.Expire},
		Selection: lifecycle.Selection{TagStatus: lifecycle.Any, CountType: lifecycle.ImageCountMoreThan, CountNumber: 9}}}}
	images := []lifecycle.Image{
		{Digest: "part", MediaType: manifest, PushedAt: noon.AddDate(0, 0, -10)},
		{Digest: "list", MediaType: index, PushedAt: noon.AddDate(0, 0, -40)},
	}
	for _, c := range []struct {
		name   string
		known  bool
		policy lifecycle.Policy
		within time.Duration
		o      lifecycle.Options
		want   bool
		some   map[string]bool
	}{
		{"a part goes", false, days(7), 0, lifecycle.PredictAWS(), true, map[string]bool{"part": true, "list": false}},
		{"all is known", true, days(7), 0, lifecycle.PredictAWS(), false, map[string]bool{"part": false, "list": false}},
		{"only an index goes", false, days(30), 0, lifecycle.PredictAWS(), false, map[string]bool{"part": true, "list": false}},
		{"a part goes later", false, days(30), 25 * 24 * time.Hour, lifecycle.PredictAWS(), true, map[string]bool{"part": true}},
		{"nothing goes", false, lifecycle.Policy{}, time.Hour, lifecycle.PredictAWS(), false, map[string]bool{"part": false}},
		{"a count that nothing exceeds", false, count, 0, lifecycle.PredictAWS(), false, map[string]bool{"part": false}},
		{"a count that parts are no part of", false, count, 0, lifecycle.Options{}, true, map[string]bool{"part": true, "list": false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := report.Lifecycle{At: noon, Known: c.known, Policy: c.policy, Images: images, Options: c.o}
			if got := l.MayBeKept(c.within); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
			for digest, want := range c.some {
				if got := l.ImageMayBeKept(digest); got != want {
					t.Errorf("%s: %v, want %v", digest, got, want)
				}
			}
		})
	}
}
