package proof_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// differs is a Difference in short.
func differs(list []proof.Difference) []string {
	var out []string
	for _, d := range list {
		s := fmt.Sprintf("%s %s: %s -> %s", d.Principal, d.Right, d.Before, d.After)
		for _, k := range d.DependsOn {
			s += " by " + k
		}
		for _, w := range d.Wanted {
			s += fmt.Sprintf("; %s must allow %s on %s", d.Account, strings.Join(w.Action, ","), strings.Join(w.Resource, ","))
		}
		out = append(out, s)
	}
	return out
}

func TestCompare(t *testing.T) {
	const (
		all     = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":%s,"Action":%q}]}`
		office  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"222222222222"},"Action":"ecr:*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}]}`
		homely  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}`
		pulling = "ecr:BatchGetImage,ecr:GetDownloadUrlForLayer on arn:aws:ecr:us-east-1:111111111111:repository/app"
	)
	pull := func(who string) string { return grant(who) }
	bob := "arn:aws:iam::" + other + ":user/bob"
	ann := user(owner, "ann", homely)
	for _, c := range []struct {
		name          string
		before, after string
		seen          []string
		who           []proof.Principal
		want          []string
		held          []string
		absent        []proof.Absent
	}{
		{
			name: "an account that was not seen gains", before: "", after: pull(other), seen: []string{owner}, who: []proof.Principal{ann},
			want: []string{"222222222222 pull: denied -> unseen; 222222222222 must allow ecr:GetAuthorizationToken on *; 222222222222 must allow " + pulling},
			held: []string{ann.ARN + " delete", ann.ARN + " admin"},
		},
		{
			name: "and loses", before: pull(other), after: "", seen: []string{owner},
			want: []string{"222222222222 pull: unseen -> denied"},
		},
		{
			name: "a user whose own account allows it", before: "", after: pull(bob), seen: []string{owner, other}, who: []proof.Principal{user(other, "bob", pullText)},
			want: []string{bob + " pull: denied -> allowed"},
		},
		{
			name: "an account that was seen and allows none of its users", before: "", after: pull(other), seen: []string{owner, other}, who: []proof.Principal{user(other, "bob")},
			want: []string{"222222222222 pull: denied -> allowed; 222222222222 must allow ecr:GetAuthorizationToken on *; 222222222222 must allow " + pulling},
		},
		{
			name: "conditions", before: fmt.Sprintf(all, `{"AWS":"222222222222"}`, "ecr:*"), after: office, seen: []string{owner, other}, who: []proof.Principal{user(other, "bob", homely)},
			want: []string{
				other + " pull: allowed -> depends by aws:SourceIp", other + " push: allowed -> depends by aws:SourceIp",
				other + " delete: allowed -> depends by aws:SourceIp", other + " admin: allowed -> depends by aws:SourceIp",
				bob + " pull: allowed -> depends by aws:SourceIp", bob + " push: allowed -> depends by aws:SourceIp",
				bob + " delete: allowed -> depends by aws:SourceIp", bob + " admin: allowed -> depends by aws:SourceIp",
			},
			held: []string{other + " delete", other + " admin", bob + " delete", bob + " admin"},
		},
		{
			name: "everyone may delete", before: "", after: fmt.Sprintf(all, `"*"`, "ecr:BatchDeleteImage"), seen: []string{owner},
			want: []string{"* delete: denied -> unseen"},
			held: []string{"* delete"},
		},
		{
			name: "someone who is gone, and one who never was", before: "", seen: []string{owner},
			after: `{"Version":"2012-10-17","Statement":[{"Sid":"Old","Effect":"Allow","Principal":{"AWS":["AIDAIOSFODNN7EXAMPLE","111111111111"]},"Action":"ecr:PutImage"},
				{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:role/nobody"},"Action":"ecr:PutImage"},
				{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::111111111111:role/neither"},"Action":"ecr:PutImage"}]}`,
			held:   []string{owner + " delete", owner + " admin"},
			absent: []proof.Absent{{Principal: "AIDAIOSFODNN7EXAMPLE", Statement: "Old"}, {Principal: "arn:aws:iam::111111111111:role/nobody", Statement: "#2"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := world("", "", c.who...)
			w.Seen, w.Repositories = c.seen, nil
			at := func(text string) proof.Repository { return proof.Repository{In: in, Name: "app", Policy: text} }
			got, err := prover(t, w).Compare(at(c.before), at(c.after))
			if err != nil {
				t.Fatal(err)
			}
			var held []string
			for _, h := range got.After {
				held = append(held, h.Principal+" "+string(h.Right))
			}
			if diff := cmp.Diff(c.want, differs(got.Differences)); diff != "" {
				t.Errorf("differences (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.held, held); diff != "" {
				t.Errorf("held (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.absent, got.Absent); diff != "" {
				t.Errorf("absent (-want +got):\n%s", diff)
			}
		})
	}
	at := func(text string) proof.Repository { return proof.Repository{In: in, Name: "app", Policy: text} }
	for _, side := range [][2]string{{"{", ""}, {"", "{"}} {
		if _, err := prover(t, world("", "")).Compare(at(side[0]), at(side[1])); err == nil {
			t.Errorf("a policy that cannot be read is compared: %q", side)
		}
	}
}

// TestCompareIsWhoCan: what a comparison says is what WhoCan says of the one side and
// of the other, and nothing changes where the policy stays.
func TestCompareIsWhoCan(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, b := genReality(rt), genReality(rt)
		one := proof.Repository{In: in, Name: "app", Policy: a.repository, Tags: map[string]string{"team": "a"}}
		two := one
		two.Policy = b.repository
		w := proof.World{Registries: map[ecr.RegistryID]proof.Registry{in: {Policy: a.registry, Scope: a.scope}}, Seen: []string{owner}}
		for _, s := range a.people {
			if s.account == owner {
				w.Principals = append(w.Principals, proof.Principal{ARN: s.arn, UniqueID: s.id, Documents: s.documents, Boundary: s.boundary, Tags: s.tags})
			}
		}
		p, err := proof.New(w)
		if err != nil {
			rt.Fatal(err)
		}
		same, err := p.Compare(one, one)
		if err != nil || len(same.Differences) > 0 {
			rt.Fatalf("nothing changes, and yet: %v, %v", same.Differences, err)
		}
		got, err := p.Compare(one, two)
		if err != nil {
			rt.Fatal(err)
		}
		// What is remembered of principals makes no difference.
		if again, err := p.Compare(one, two); err != nil || !cmp.Equal(got, again) {
			rt.Fatalf("another comparison is another: %s, %v", cmp.Diff(got, again), err)
		}
		outcomes := func(r, other proof.Repository) map[string]proof.Outcome {
			w := w
			other.Name = "other" // the principals that it names are known
			w.Repositories = []proof.Repository{r, other}
			p, err := proof.New(w)
			if err != nil {
				rt.Fatal(err)
			}
			out := map[string]proof.Outcome{}
			for _, right := range proof.Rights() {
				answers, err := p.WhoCan(right.Actions(), in, "app")
				if err != nil {
					rt.Fatal(err)
				}
				for _, x := range answers {
					out[x.Principal+" "+string(right)] = x.Outcome
				}
			}
			return out
		}
		before, after := outcomes(one, two), outcomes(two, one)
		var told []string
		for _, d := range got.Differences {
			key := d.Principal + " " + string(d.Right)
			told = append(told, key)
			// One whom only the other side names is no candidate here.
			if was, ok := before[key]; ok && was != d.Before {
				rt.Fatalf("%s was %s, not %s", key, was, d.Before)
			}
			if is, ok := after[key]; ok && is != d.After {
				rt.Fatalf("%s is %s, not %s", key, is, d.After)
			}
		}
		held := map[string]proof.Outcome{}
		for _, h := range got.After {
			held[h.Principal+" "+string(h.Right)] = h.Outcome
		}
		for key, is := range after {
			if strings.HasSuffix(key, " delete") || strings.HasSuffix(key, " admin") {
				if held[key] != is {
					rt.Fatalf("%s is %s, and held is %q", key, is, held[key])
				}
			}
			if was, ok := before[key]; ok && was != is && !slices.Contains(told, key) {
				rt.Fatalf("%s was %s and is %s: not told", key, was, is)
			}
		}
	})
}
