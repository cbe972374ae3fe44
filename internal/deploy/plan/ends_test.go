package plan_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// free is a repository of a stack that may be deleted.
func free(name, stack string) state.Repository {
	return with(repo(name, stack, pull, days1), func(r *state.Repository) { r.Tags[state.TagProtection] = "off" })
}

func TestEnds(t *testing.T) {
	images := map[ecr.RepositoryName]plan.Images{"full": {Count: 3, SizeBytes: 300}, "one": {Count: 1, SizeBytes: 5}}
	keep := repo("keep", "", "", "")
	tests := []struct {
		name    string
		have    []state.Repository
		options plan.Options
		plan    []string
	}{
		{
			"left repositories stay unless it is asked for", []state.Repository{free("left", "platform")}, plan.Options{},
			[]string{"keep create; add mutability; add tag kontor:stack", "warning KON2001 left"},
		},
		{
			"what left the file goes", []state.Repository{free("left", "platform")}, plan.Options{End: plan.LeftFile},
			[]string{"keep create; add mutability; add tag kontor:stack", "left delete"},
		},
		{
			"only what is ours", []state.Repository{free("theirs", "website"), free("nobodys", "")}, plan.Options{End: plan.LeftFile, DeleteImages: true},
			[]string{"keep create; add mutability; add tag kontor:stack"},
		},
		{
			"nothing that is protected", []state.Repository{repo("left", "platform", "", "")}, plan.Options{End: plan.LeftFile, DeleteImages: true},
			[]string{"keep create; add mutability; add tag kontor:stack", "left none", "error KON2005 left"},
		},
		{
			"protection is off by that word only",
			[]state.Repository{with(free("left", "platform"), func(r *state.Repository) { r.Tags[state.TagProtection] = "on" })},
			plan.Options{End: plan.LeftFile},
			[]string{"keep create; add mutability; add tag kontor:stack", "left none", "error KON2005 left"},
		},
		{
			"nothing that holds images", []state.Repository{free("full", "platform")}, plan.Options{End: plan.LeftFile},
			[]string{"full none", "keep create; add mutability; add tag kontor:stack", "error KON2006 full"},
		},
		{
			"unless they may go", []state.Repository{free("full", "platform")}, plan.Options{End: plan.LeftFile, DeleteImages: true},
			[]string{"full delete", "keep create; add mutability; add tag kontor:stack", "warning KON2007 full"},
		},
		{
			"destroy takes those of the file, too, and does nothing else",
			[]state.Repository{free("keep", "platform"), free("left", "platform"), free("theirs", "website"), free("nobodys", "")},
			plan.Options{End: plan.Everything},
			[]string{"keep delete", "left delete"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.options.Images = images
			p := plan.DiffWith(wanted(keep), seen(tt.have...), tt.options)
			if diff := cmp.Diff(tt.plan, brief(p), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			if err := p.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFindingsSayWhatToDo(t *testing.T) {
	o := plan.Options{End: plan.LeftFile, Images: map[ecr.RepositoryName]plan.Images{"team/app": {Count: 3, SizeBytes: 30}}}
	for _, c := range []struct {
		have  state.Repository
		words []string
	}{
		{free("team/app", "platform"), []string{`"team/app": would delete 3 images (30 bytes)`, "--delete-images"}},
		{repo("team/app", "platform", "", ""), []string{`"team/app" is protected`, "delete_protection: false"}},
	} {
		t.Run(c.words[1], func(t *testing.T) {
			p := plan.DiffWith(wanted(), seen(c.have), o)
			if len(p.Findings) != 1 || len(p.Pending()) > 0 {
				t.Errorf("plan %q", brief(p))
				return
			}
			for _, w := range c.words {
				if !strings.Contains(p.Findings[0].Message, w) {
					t.Errorf("%q, want %q in it", p.Findings[0].Message, w)
				}
			}
		})
	}
}

// Whatever is there: a plan deletes only what is the stack's, unprotected and,
// without the word for it, empty.
func TestOnlyWhatMayGoIsDeleted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, o := drawDesired(t), drawObserved(t, "", "platform", "website")
		options := plan.Options{
			End:          rapid.SampledFrom([]plan.End{plan.Nothing, plan.LeftFile, plan.Everything}).Draw(t, "end"),
			DeleteImages: rapid.Bool().Draw(t, "delete"), Images: map[ecr.RepositoryName]plan.Images{},
		}
		for n, r := range o.Repositories {
			options.Images[n] = plan.Images{Count: rapid.IntRange(0, 2).Draw(t, "images")}
			if v := rapid.SampledFrom([]string{"", "off", "on"}).Draw(t, "protection"); v != "" {
				r.Tags[state.TagProtection] = v
			}
		}
		p := plan.DiffWith(d, o, options)
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		inFile := map[ecr.RepositoryName]bool{}
		for _, r := range d.Repositories {
			inFile[r.Name] = true
		}
		for _, c := range p.Changes {
			have := o.Repositories[c.Repository]
			if c.Op != plan.OpDelete {
				continue
			}
			if have.Tags[state.TagStack] != d.Stack || have.Tags[state.TagProtection] != "off" || options.End == plan.Nothing ||
				options.End == plan.LeftFile && inFile[c.Repository] || options.Images[c.Repository].Count > 0 && !options.DeleteImages {
				t.Fatalf("%s is deleted: %+v, %+v", c.Repository, have, options)
			}
		}
	})
}

func TestSettingsOfARepository(t *testing.T) {
	on, off := true, false
	aes, kms := &ecr.Encryption{Type: "AES256"}, &ecr.Encryption{Type: "KMS"}
	key := "arn:aws:kms:us-east-2:111111111111:key/1234"
	tests := []struct {
		name string
		want func(*state.Repository)
		have func(*state.Repository)
		plan []string
	}{
		{"scanning that the file leaves alone", nil, func(r *state.Repository) { r.ScanOnPush = &on }, []string{"api none"}},
		{"scanning on", func(r *state.Repository) { r.ScanOnPush = &on }, func(r *state.Repository) { r.ScanOnPush = &off }, []string{"api update; modify scan_on_push"}},
		{"scanning as it is", func(r *state.Repository) { r.ScanOnPush = &off }, func(r *state.Repository) { r.ScanOnPush = &off }, []string{"api none"}},
		{"encryption that the file leaves alone", nil, func(r *state.Repository) { r.Encryption = kms }, []string{"api none"}},
		{"encryption as it is", func(r *state.Repository) { r.Encryption = aes }, func(r *state.Repository) { r.Encryption = aes }, []string{"api none"}},
		{"encryption cannot change", func(r *state.Repository) { r.Encryption = kms }, func(r *state.Repository) { r.Encryption = aes }, []string{"api none", "error KON2004 api"}},
		{
			"no key is the key that AWS manages, whose ARN ECR tells", func(r *state.Repository) { r.Encryption = kms },
			func(r *state.Repository) { r.Encryption = &ecr.Encryption{Type: "KMS", KMSKey: key} }, []string{"api none"},
		},
		{
			"a key by its id", func(r *state.Repository) { r.Encryption = &ecr.Encryption{Type: "KMS", KMSKey: "1234"} },
			func(r *state.Repository) { r.Encryption = &ecr.Encryption{Type: "KMS", KMSKey: key} }, []string{"api none"},
		},
		{
			"another key", func(r *state.Repository) { r.Encryption = &ecr.Encryption{Type: "KMS", KMSKey: "5678"} },
			func(r *state.Repository) { r.Encryption = &ecr.Encryption{Type: "KMS", KMSKey: key} }, []string{"api none", "error KON2004 api"},
		},
		{"protection goes", func(r *state.Repository) { r.Unprotected = true }, nil, []string{"api update; add tag kontor:delete-protection"}},
		{
			"protection comes back", nil, func(r *state.Repository) { r.Tags[state.TagProtection] = "off" },
			[]string{"api update; remove tag kontor:delete-protection"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want, have := repo("api", "", pull, days1), repo("api", "platform", pull, days1)
			for f, r := range map[*state.Repository]func(*state.Repository){&want: tt.want, &have: tt.have} {
				if r != nil {
					r(f)
				}
			}
			d, o := wanted(want), seen(have)
			p := plan.Diff(d, o)
			if diff := cmp.Diff(tt.plan, brief(p)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			if len(p.Errors()) == 0 {
				if again := plan.Diff(d, applyTo(p, o)); len(again.Pending()) > 0 {
					t.Errorf("a second plan has changes: %q", brief(again))
				}
			}
		})
	}
}

// Drift is whatever apply would do: a repository that is gone or has lost its
// owner's tag has drifted like one with another policy, and what keeps apply from
// working is said.
func TestDriftIsWhatApplyWouldDo(t *testing.T) {
	d := wanted(repo("drifted", "", pull, days1), repo("gone", "", "", ""), repo("same", "", "", ""), repo("taken", "", "", ""), repo("unowned", "", pull, ""))
	o := seen(repo("drifted", "platform", other, days1), repo("same", "platform", "", ""), repo("taken", "website", "", ""), repo("unowned", "", pull, ""))
	drift, whole := plan.DiffWith(d, o, plan.Options{RefreshOnly: true}), plan.Diff(d, o)
	if got := drift.Count(plan.OpUpdate) + drift.Count(plan.OpCreate) + drift.Count(plan.OpAdopt); got != 3 || len(drift.Errors()) != 1 {
		t.Errorf("drift %q", brief(drift))
	}
	if diff := cmp.Diff(brief(whole), brief(drift)); diff != "" || !drift.RefreshOnly {
		t.Errorf("drift, and what apply would do (-apply +drift):\n%s", diff)
	}
}

// hidden is o with a repository that the caller may not read.
func hidden(o state.Observed, name ecr.RepositoryName) state.Observed {
	o.Hidden = map[ecr.RepositoryName]string{name: "exists, but a Deny hides it"}
	return o
}

// What could not be seen is said: an error for what the file names, for it is not
// planned, and for the rest what it means.
func TestUnseen(t *testing.T) {
	o := hidden(seen(), "locked")
	o.OthersUnseen = "tag:GetResources is denied"
	p := plan.Diff(wanted(repo("locked", "", "", ""), repo("new", "", "", "")), o)
	if diff := cmp.Diff([]string{"locked none", "new create; add mutability; add tag kontor:stack", "info KON2009 ", "error KON2008 locked"}, brief(p)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want := []plan.Finding{
		{Code: plan.CodeOthersUnseen, Severity: plan.Info, Message: "repositories of stack platform that left the file were not looked for: tag:GetResources is denied; `kontor plan --prune` looks for them without that"},
		{Code: plan.CodeHidden, Severity: plan.Error, Repository: "locked", Field: "ecr_repositories.locked", Message: "repository locked exists, but a Deny hides it"},
	}
	if diff := cmp.Diff(want, p.Findings); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// A tag that the file does not name stays, and is reported once, so that whoever removed
// it from the file knows. Tags of AWS and of Kontor cannot be in a file, and tags of
// repositories outside the stack are not reported.
func TestTagsThatStay(t *testing.T) {
	tagged := func(name, stack string, keys ...string) state.Repository {
		return with(repo(name, stack, "", ""), func(r *state.Repository) {
			if r.Tags == nil {
				r.Tags = map[string]string{}
			}
			for _, k := range keys {
				r.Tags[k] = "x"
			}
		})
	}
	want := wanted(tagged("aa", "", "kept"), tagged("bb", ""), tagged("cc", ""), tagged("dd", ""))
	have := seen(tagged("aa", "platform", "kept", "left"), tagged("bb", "platform", "left", "once"), tagged("cc", "platform", "aws:cloudformation:stack-name", "left"), tagged("dd", "", "loose"))
	p := plan.Diff(want, have)
	var got []string
	for _, f := range p.Findings {
		got = append(got, fmt.Sprintf("%s %s %s: %s", f.Severity, f.Code, f.Repository, f.Message))
	}
	if diff := cmp.Diff([]string{
		"info KON2010 : the resource tag \"left\" of 3 repositories, such as aa, is not in the file and stays: name it in tags:, or remove it with `aws ecr untag-resource`",
		"info KON2010 bb: the resource tag \"once\" of repository bb is not in the file and stays: name it in tags:, or remove it with `aws ecr untag-resource`",
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStale(t *testing.T) {
	want := []state.Repository{repo("new", "", pull, ""), repo("old", "", pull, days1), repo("same", "", "", "")}
	have := []state.Repository{repo("old", "platform", other, days7), repo("same", "platform", "", "")}
	p := plan.Diff(wanted(want...), seen(have...))
	change := func(rs []state.Repository, i int, f func(*state.Repository)) []state.Repository {
		out := append([]state.Repository(nil), rs...)
		out[i] = with(out[i], f)
		return out
	}
	tests := []struct {
		name string
		d    state.Desired
		o    state.Observed
		want []string
	}{
		{"nothing moved", wanted(want...), seen(have...), nil},
		{"carried out in part", wanted(want...), seen(append(change(have, 0, func(r *state.Repository) { r.Policy = pull2 }), repo("new", "platform", "", ""))...), nil},
		{"carried out whole", wanted(want...), applyTo(p, seen(have...)), nil},
		{
			"the file asks for something else", wanted(change(want, 1, func(r *state.Repository) { r.Policy = other })...), seen(have...),
			[]string{"the plan's change of repository old is not what the file asks for", "the file asks for other settings of repository old than when the plan was made"},
		},
		{"a repository came into the file", wanted(append(want, repo("more", "", "", ""))...), seen(have...), []string{"repository more came into the file since the plan was made"}},
		{"one left it", wanted(want[:2]...), seen(have...), []string{"repository same left the file since the plan was made"}},
		{
			"a policy moved", wanted(want...), seen(change(have, 0, func(r *state.Repository) { r.Policy = "" })...),
			[]string{"the policy of repository old changed since the plan was made; plan again"},
		},
		{
			"an unchanged repository moved", wanted(want...), seen(change(have, 1, func(r *state.Repository) { r.Policy = pull })...),
			[]string{"repository same is another than when the plan was made"},
		},
		{"one is gone", wanted(want...), seen(have[1:]...), []string{"repository old is gone since the plan was made; plan again"}},
		{"one that is not in the file came", wanted(want...), seen(append(have, repo("left", "platform", "", ""))...), nil},
		{"one is hidden", wanted(want...), hidden(seen(have...), "new"), []string{"repository new exists, but a Deny hides it"}},
		{"one was created", wanted(want...), seen(append(have, repo("new", "", "", ""))...), []string{"repository new was created by someone else since the plan was made; plan again"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, p.Stale(tt.d, tt.o), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("another registry", func(t *testing.T) {
		o := seen(have...)
		o.Target.Registry.Account = "222222222222"
		if got := p.Stale(wanted(want...), o); len(got) != 1 || !strings.Contains(got[0], "222222222222") {
			t.Errorf("%q", got)
		}
	})
	t.Run("an edited plan", func(t *testing.T) {
		p := plan.Diff(wanted(want...), seen(have...))
		p.Changes[0].After.Policy = other
		if got := p.Stale(wanted(want...), seen(have...)); len(got) != 1 || !strings.Contains(got[0], "repository new is not what the file asks for") {
			t.Errorf("%q", got)
		}
	})
}

func TestParseSetRefuses(t *testing.T) {
	good := plan.Set{Version: plan.SetVersion, Stack: "platform", Plans: []plan.Plan{
		plan.DiffWith(wanted(), seen(free("left", "platform")), plan.Options{End: plan.LeftFile}),
	}}
	encode := func(t *testing.T, s plan.Set) []byte {
		t.Helper()

		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if _, err := plan.ParseSet("x.plan", encode(t, good)); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*plan.Set){
		"another version":                 func(s *plan.Set) { s.Version = 9 },
		"another version of the plan":     func(s *plan.Set) { s.Plans[0].Version = 9 },
		"a deletion that was not allowed": func(s *plan.Set) { s.Plans[0].End = plan.Nothing },
		"a deletion of another's":         func(s *plan.Set) { s.Plans[0].Changes[0].Before.Tags[state.TagStack] = "website" },
		"a deletion of a protected one":   func(s *plan.Set) { delete(s.Plans[0].Changes[0].Before.Tags, state.TagProtection) },
		"an unknown operation":            func(s *plan.Set) { s.Plans[0].Changes[0].Op = "explode" },
		"no settings":                     func(s *plan.Set) { s.Plans[0].Changes[0].Op = plan.OpUpdate },
	} {
		t.Run(name, func(t *testing.T) {
			s, err := plan.ParseSet("x.plan", encode(t, good))
			if err != nil {
				t.Fatal(err)
			}
			spoil(&s)
			if _, err := plan.ParseSet("x.plan", encode(t, s)); err == nil || !strings.Contains(err.Error(), "x.plan") {
				t.Errorf("error %v, want one that names the file", err)
			}
		})
	}
	if _, err := plan.ParseSet("x.plan", []byte("stack: a")); err == nil || !strings.Contains(err.Error(), "is not a plan") {
		t.Errorf("YAML: %v", err)
	}
}

func FuzzParseSet(f *testing.F) {
	for _, s := range []plan.Set{
		{Version: plan.SetVersion},
		{Version: plan.SetVersion, Stack: "platform", Plans: []plan.Plan{plan.Diff(wanted(repo("new", "", pull, days1)), seen())}},
		{Version: plan.SetVersion, Stack: "platform", Plans: []plan.Plan{plan.DiffWith(wanted(), seen(free("left", "platform")), plan.Options{End: plan.LeftFile})}},
	} {
		b, err := json.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := plan.ParseSet("fuzz", b)
		if err != nil {
			return
		}
		for _, p := range s.Plans {
			if err := p.Check(); err != nil {
				t.Fatal(err)
			}
			p.Stale(wanted(repo("new", "", pull, days1)), seen(free("left", "platform")))
			applyTo(p, seen(free("left", "platform")))
		}
	})
}
