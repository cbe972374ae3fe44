package leasetags_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/internal/deploy/leasetags"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/leases"
	"github.com/kontor-registry/kontor/internal/testkit/push"
	"github.com/kontor-registry/kontor/kontortest"
	"github.com/kontor-registry/kontor/kontortest/awstest"
	"github.com/kontor-registry/kontor/lifecycle"
)

const name = "team/app"

// repo is a repository of a registry that the SDK talks to over HTTP.
type repo struct {
	push.Repository
	t   *testing.T
	reg *kontortest.Registry
	api *ecr.Client
}

func newRepo(t *testing.T, mode types.ImageTagMutability, policy string) *repo {
	t.Helper()
	reg := kontortest.Start(t)
	api := awstest.ECR(reg)
	r := &repo{push.To(t, api, name), t, reg, api}
	_, err := r.api.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String(name), ImageTagMutability: mode})
	r.check(err)
	if policy != "" {
		_, err := r.api.PutLifecyclePolicy(t.Context(), &ecr.PutLifecyclePolicyInput{RepositoryName: aws.String(name), LifecyclePolicyText: &policy})
		r.check(err)
	}
	return r
}

func (r *repo) check(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// read is the repository as the command reads it.
func (r *repo) read() images.Snapshot {
	r.t.Helper()
	c := images.ReadConfig{
		API: r.api, Registry: kecr.RegistryID{Account: kecr.AccountID(r.reg.Account), Region: kecr.Region(r.reg.Region)}, Repository: name, Now: r.reg.Now(),
	}
	s, err := images.Read(r.t.Context(), c)
	r.check(err)
	r.check(images.ReadManifests(r.t.Context(), c, &s))
	p, err := r.api.GetLifecyclePolicy(r.t.Context(), &ecr.GetLifecyclePolicyInput{RepositoryName: aws.String(name)})
	if err == nil {
		s.Policy = aws.ToString(p.LifecyclePolicyText)
	}
	return s
}

// apply plans and applies, and checks that doing it again does nothing.
func (r *repo) apply(leased ...leases.Lease) leasetags.Change {
	r.t.Helper()
	c, err := leasetags.Plan(r.read(), leased, r.reg.Now())
	r.check(err)
	r.check(leasetags.Apply(r.t.Context(), r.api, c))
	again, err := leasetags.Plan(r.read(), leased, r.reg.Now())
	r.check(err)
	if !again.Empty() {
		r.t.Errorf("after apply there is more to do: %+v", again)
	}
	r.check(leasetags.Apply(r.t.Context(), r.api, c)) // may be repeated
	return c
}

// tags are those of each image that is there.
func (r *repo) tags() map[string][]string {
	out := map[string][]string{}
	s := r.read()
	for _, d := range s.Details {
		out[d.Digest] = append([]string{}, d.Tags...)
		slices.Sort(out[d.Digest])
	}
	return out
}

// doomed are the images that the policy takes at the present.
func (r *repo) doomed() map[string]bool {
	s := r.read()
	p, err := lifecycle.Decode([]byte(s.Policy))
	r.check(err)
	all, _ := s.Images()
	out := map[string]bool{}
	for i, o := range lifecycle.PredictAWS().Decide(p, all, r.reg.Now()) {
		if o.Action == lifecycle.Expire {
			out[all[i].Digest] = true
		}
	}
	return out
}

func digest(d string) leases.Lease {
	return leases.Lease{Repository: name, Image: kecr.ImageID{Digest: kecr.Digest(d)}, User: "Pod shop/web"}
}

func tag(t string) leases.Lease {
	return leases.Lease{Repository: name, Image: kecr.ImageID{Tag: kecr.Tag(t)}, User: "Deployment shop/web"}
}

const untaggedAndOld = `{"rules":[
{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":1},"action":{"type":"expire"}},
{"rulePriority":2,"selection":{"tagStatus":"any","countType":"sinceImagePushed","countUnit":"days","countNumber":14},"action":{"type":"expire"}}]}`

// An image that runs by digest, whose tag has moved, and one that a template
// names: the policy takes neither. In mutable and immutable repositories alike,
// without exclusion filters.
func TestLeasedImagesStay(t *testing.T) {
	for _, mode := range []types.ImageTagMutability{types.ImageTagMutabilityMutable, types.ImageTagMutabilityImmutable} {
		t.Run(string(mode), func(t *testing.T) {
			r := newRepo(t, mode, untaggedAndOld)
			byDigest, byTag, other := r.Image("1", ""), r.Image("2", "", "v2"), r.Image("3", "", "v3")
			c := r.apply(digest(byDigest), tag("v2"), tag("v9"))
			if len(c.Add) != 2 || len(c.Missing) != 1 || c.Missing[0].Image != name+":v9" {
				t.Errorf("%+v", c)
			}
			r.reg.Advance(60 * 24 * time.Hour)
			if diff := cmp.Diff(map[string]bool{other: true}, r.doomed()); diff != "" {
				t.Errorf("the policy takes (-want +got):\n%s", diff)
			}
			want := map[string][]string{
				byDigest: {leasetags.TagFor(byDigest)}, byTag: {leasetags.TagFor(byTag), "v2"}, other: {"v3"},
			}
			if diff := cmp.Diff(want, r.tags()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A platform's image that runs keeps its index, and with it the others.
func TestLeaseOnAChild(t *testing.T) {
	r := newRepo(t, types.ImageTagMutabilityMutable, untaggedAndOld)
	amd, arm := r.Image("amd64", ""), r.Image("arm64", "")
	index := r.Index("v1", amd, arm)
	r.apply(digest(amd))
	r.reg.Advance(60 * 24 * time.Hour)
	if doomed := r.doomed(); len(doomed) > 0 {
		t.Errorf("the policy takes %v", doomed)
	}
	if got := r.tags()[index]; !slices.Contains(got, leasetags.TagFor(index)) {
		t.Errorf("the index has %v", got)
	}
}

// What is no longer in use: an image with other tags loses the lease tag, one
// that the policy takes goes, and one that no rule takes stays.
func TestStaleTags(t *testing.T) {
	r := newRepo(t, types.ImageTagMutabilityImmutable, untaggedAndOld)
	tagged, untagged := r.Image("1", "", "v1"), r.Image("2", "")
	r.apply(tag("v1"), digest(untagged))
	c := r.apply() // a day has not passed: the untagged rule does not take it yet
	if len(c.Remove) != 1 || len(c.Expire) != 0 || len(c.Waiting) != 1 {
		t.Errorf("%+v", c)
	}
	want := map[string][]string{tagged: {"v1"}, untagged: {leasetags.TagFor(untagged)}}
	if diff := cmp.Diff(want, r.tags()); diff != "" {
		t.Errorf("at once (-want +got):\n%s", diff)
	}
	r.reg.Advance(48 * time.Hour)
	c = r.apply()
	if len(c.Expire) != 1 || c.Expire[0].Rule != 2 {
		t.Errorf("%+v", c)
	}
	delete(want, untagged)
	if diff := cmp.Diff(want, r.tags()); diff != "" {
		t.Errorf("after two days (-want +got):\n%s", diff)
	}
}

// Without a policy nothing goes: tags are made for the day when there is one.
func TestNoPolicy(t *testing.T) {
	r := newRepo(t, types.ImageTagMutabilityMutable, "")
	d := r.Image("1", "")
	c := r.apply(digest(d))
	if len(c.Add) != 1 || c.After != "" {
		t.Errorf("%+v", c)
	}
	if c = r.apply(); len(c.Waiting) != 1 || len(r.tags()) != 1 {
		t.Errorf("%+v", c)
	}
}

// Someone tags or deletes in between: nothing is taken on old knowledge.
func TestApplyLooksAgain(t *testing.T) {
	r := newRepo(t, types.ImageTagMutabilityMutable, untaggedAndOld)
	d := r.Image("1", "", "v1")
	r.apply(tag("v1"))
	c, err := leasetags.Plan(r.read(), nil, r.reg.Now())
	r.check(err)
	_, err = r.api.BatchDeleteImage(t.Context(), &ecr.BatchDeleteImageInput{RepositoryName: aws.String(name), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}}})
	r.check(err)
	if err := leasetags.Apply(t.Context(), r.api, c); err == nil || !strings.Contains(err.Error(), "changed since it was read") {
		t.Errorf("a tag that had become the last: %v", err)
	}
	if got := r.tags()[d]; len(got) != 1 {
		t.Errorf("the image has %v", got)
	}
	// another policy than the one that was read
	c.Remove, c.Before, c.After = nil, untaggedAndOld, strings.Replace(untaggedAndOld, "14", "15", 1)
	if err := leasetags.Apply(t.Context(), r.api, c); err == nil || !strings.Contains(err.Error(), "changed since it was read") {
		t.Errorf("a policy that had changed: %v", err)
	}
}

func TestRule(t *testing.T) {
	const (
		ours     = `{"rulePriority":%d,"selection":{"tagStatus":"tagged","tagPatternList":["kontor-lease-*"],"countType":"imageCountMoreThan","countNumber":999999},"action":{"type":"expire"}}`
		keep     = `{"rulePriority":%d,"selection":{"tagStatus":"tagged","tagPatternList":["prod-*"],"countType":"imageCountMoreThan","countNumber":999999},"action":{"type":"expire"}}`
		count    = `{"rulePriority":%d,"selection":{"tagStatus":"tagged","tagPatternList":["pr-*"],"countType":"imageCountMoreThan","countNumber":5},"action":{"type":"expire"}}`
		untagged = `{"rulePriority":%d,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":1},"action":{"type":"expire"}}`
	)
	policy := func(rules ...string) string { return `{"rules":[` + strings.Join(rules, ",") + `]}` }
	at := func(n int, rule string) string { return fmt.Sprintf(rule, n) }
	many := make([]string, lifecycle.MaxRules)
	for i := range many {
		many[i] = strings.Replace(at(i+1, count), "pr-", fmt.Sprintf("pr%d-", i), 1)
	}
	tests := []struct {
		name, policy string
		want         string // priorities and first patterns after; "" unchanged
		err          string
	}{
		{name: "none", policy: ""},
		{name: "above a rule that takes", policy: policy(at(1, untagged)), want: "1 kontor-lease-* 2 untagged"},
		{name: "into a gap", policy: policy(at(10, untagged)), want: "1 kontor-lease-* 10 untagged"},
		{name: "only what stands in the way moves", policy: policy(at(1, keep), at(2, count), at(10, untagged)), want: "1 kontor-lease-* 2 prod-* 3 pr-* 10 untagged"},
		{name: "there already, below keep rules", policy: policy(at(1, keep), at(2, ours), at(3, untagged))},
		{name: "too low", policy: policy(at(1, count), at(2, ours), at(3, untagged)), want: "1 kontor-lease-* 2 pr-* 3 untagged"},
		{name: "no room", policy: policy(many...), err: "no room for the rule"},
		{name: "unreadable", policy: "{", err: "cannot be read"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := leasetags.Plan(images.Snapshot{Repository: name, Policy: tt.policy}, nil, time.Time{})
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("%v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			if c.After != "" {
				p, err := lifecycle.Parse([]byte(c.After))
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range p.Rules {
					got = append(got, fmt.Sprint(r.Priority, " ", strings.Join(append(slices.Clone(r.Selection.TagPatterns), map[bool]string{true: "untagged"}[len(r.Selection.TagPatterns) == 0]), "")))
				}
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %q, want %q", s, tt.want)
			}
		})
	}
}

func TestTagFor(t *testing.T) {
	for _, d := range []string{push.DigestOf("x"), "sha512:" + strings.Repeat("a", 128)} {
		t.Run(fmt.Sprintf("%.10s", d), func(t *testing.T) {
			if _, err := kecr.ParseTag(leasetags.TagFor(d)); err != nil {
				t.Errorf("%s: %v", d, err)
			}
		})
	}
}
