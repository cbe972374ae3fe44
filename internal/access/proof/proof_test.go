package proof_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/ecr"
)

const (
	owner = "111111111111"
	other = "222222222222"
)

var (
	in       = ecr.RegistryID{Account: owner, Region: "us-east-1"}
	repoARN  = in.RepositoryARN("app")
	pullText = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:GetAuthorizationToken","ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Resource":"*"}]}`
)

func grant(principal string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":"Pull","Effect":"Allow","Principal":{"AWS":%q},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]}]}`, principal)
}

func user(account, name string, texts ...string) proof.Principal {
	p := proof.Principal{ARN: "arn:aws:iam::" + account + ":user/" + name, UniqueID: "AIDA" + strings.ToUpper(name)}
	for i, t := range texts {
		p.Documents = append(p.Documents, access.Document{Name: fmt.Sprintf("policy%d", i), Text: t})
	}
	return p
}

func prover(t testing.TB, w proof.World) *proof.Prover {
	t.Helper()
	p, err := proof.New(w)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func world(repositoryPolicy, registryPolicy string, who ...proof.Principal) proof.World {
	return proof.World{
		RegistryPolicies: map[ecr.RegistryID]string{in: registryPolicy},
		Repositories:     []proof.Repository{{In: in, Name: "app", Policy: repositoryPolicy, Tags: map[string]string{"team": "a"}}},
		Principals:       who,
	}
}

// change is a Change in short.
func short(list []proof.Change) []string {
	var out []string
	for _, c := range list {
		s := fmt.Sprintf("%s %s:", c.Account, c.In)
		if c.Add != nil {
			s += fmt.Sprintf(" allow %s on %s to %s", strings.Join(c.Add.Action, ","), strings.Join(c.Add.Resource, ","), strings.Join(c.Add.Principal.AWS, ","))
		} else {
			s += " remove " + c.Remove.String()
		}
		if c.Wanted {
			s += " (unseen)"
		}
		out = append(out, s)
	}
	return out
}

// The rules are those of docs/design/0012-policy-evaluation.md; what is looked
// at here is what is said of them.
func TestCheck(t *testing.T) {
	const denyBob = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::222222222222:user/bob"},"Action":"ecr:BatchGetImage"}]}`
	const fromOffice = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}]}`
	const teamA = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"ecr:ResourceTag/team":"a"}}}]}`
	const teamB = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"ecr:ResourceTag/team":"b"}}}]}`
	bob := "arn:aws:iam::" + other + ":user/bob"
	for _, c := range []struct {
		name    string
		world   proof.World
		who     string
		right   string
		want    proof.Outcome
		changes []string
	}{
		{"both sides", world(grant(other), "", user(other, "bob", pullText)), bob, "pull", proof.Allowed, nil},
		{"only the repository", world(grant(other), "", user(other, "bob")), bob, "pull", proof.Denied, []string{
			"222222222222 identity-based policy: allow ecr:GetAuthorizationToken on * to ",
			"222222222222 identity-based policy: allow ecr:BatchGetImage,ecr:GetDownloadUrlForLayer on " + repoARN + " to ",
		}},
		{"only its own account", world("", "", user(other, "bob", pullText)), bob, "pull", proof.Denied, []string{
			"111111111111 resource-based policy: allow ecr:BatchGetImage,ecr:GetDownloadUrlForLayer on  to " + bob,
		}},
		{"a deny of the registry", world(grant(other), denyBob, user(other, "bob", pullText)), bob, "pull", proof.Partly, []string{
			"111111111111 resource-based policy: remove registry policy, statement 0",
		}},
		{"an account nobody sees", world(grant(other), ""), bob, "pull", proof.Unseen, nil},
		{"an account nobody sees, not granted", world("", ""), bob, "pull", proof.Denied, []string{
			"111111111111 resource-based policy: allow ecr:BatchGetImage,ecr:GetDownloadUrlForLayer on  to " + bob,
			"222222222222 identity-based policy: allow ecr:GetAuthorizationToken on * to  (unseen)",
			"222222222222 identity-based policy: allow ecr:BatchGetImage,ecr:GetDownloadUrlForLayer on " + repoARN + " to  (unseen)",
		}},
		{"an action", world(grant(other), "", user(other, "bob", pullText)), bob, "ecr:PutImage", proof.Denied, []string{
			"111111111111 resource-based policy: allow ecr:PutImage on  to " + bob,
			"222222222222 identity-based policy: allow ecr:PutImage on " + repoARN + " to ",
		}},
		{"at home", world("", "", user(owner, "ann", pullText)), "arn:aws:iam::" + owner + ":user/ann", "pull", proof.Allowed, nil},
		{"root", world("", ""), owner, "admin", proof.Allowed, nil},
		{"hangs on the address", world("", "", user(owner, "ann", fromOffice)), "arn:aws:iam::" + owner + ":user/ann", "pull", proof.Depends, nil},
		{"a tag of the repository", world("", "", user(owner, "ann", teamA)), "arn:aws:iam::" + owner + ":user/ann", "delete", proof.Allowed, nil},
		{"another tag", world("", "", user(owner, "ann", teamB)), "arn:aws:iam::" + owner + ":user/ann", "delete", proof.Denied, []string{
			"111111111111 identity-based policy: allow ecr:BatchDeleteImage on " + repoARN + " to ",
		}},
		{"a session of a role", world(grant(other), "", proof.Principal{ARN: "arn:aws:iam::222222222222:role/ci/builder", Documents: []access.Document{{Name: "p", Text: pullText}}}),
			"arn:aws:iam::222222222222:role/ci/builder", "pull", proof.Allowed, nil},
		{"a service", world(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"codebuild.amazonaws.com"},"Action":"ecr:BatchGetImage"}]}`, ""),
			"codebuild.amazonaws.com", "BatchGetImage", proof.Allowed, nil},
		{"a boundary", world("", "", proof.Principal{ARN: "arn:aws:iam::111111111111:user/ann", Documents: []access.Document{{Name: "p", Text: pullText}},
			Boundary: &access.Document{Name: "limit", Text: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:GetAuthorizationToken","Resource":"*"}]}`}}),
			"arn:aws:iam::111111111111:user/ann", "pull", proof.Denied, []string{
				"111111111111 permissions boundary: allow ecr:BatchGetImage,ecr:GetDownloadUrlForLayer on " + repoARN + " to ",
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			actions, err := proof.ParseRight(c.right)
			if err != nil {
				t.Fatal(err)
			}
			a, err := prover(t, c.world).Check(c.who, actions, in, "app")
			if err != nil {
				t.Fatal(err)
			}
			if a.Outcome != c.want {
				t.Errorf("outcome %s, want %s: %+v", a.Outcome, c.want, a.Actions)
			}
			if diff := cmp.Diff(c.changes, short(a.Changes)); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}

// Nobody of a name in an account that was seen whole is nobody; in another
// account it may be somebody. A session's ARN does not say its role's path.
func TestSeenAccounts(t *testing.T) {
	builder := proof.Principal{ARN: "arn:aws:iam::222222222222:role/ci/builder", Documents: []access.Document{{Name: "p", Text: pullText}}}
	w := world(grant(other), "", user(other, "bob", pullText), builder)
	w.Seen = []string{other}
	for _, c := range []struct {
		who     string
		want    proof.Outcome
		missing bool
	}{
		{"arn:aws:iam::222222222222:user/bob", proof.Allowed, false},
		{"arn:aws:iam::222222222222:user/rob", proof.Denied, true},
		{"arn:aws:iam::222222222222:user/a/bob", proof.Denied, true},
		{"arn:aws:iam::222222222222:role/ci/builder", proof.Allowed, false},
		{"arn:aws:iam::222222222222:role/builder", proof.Denied, true},
		{"arn:aws:sts::222222222222:assumed-role/builder/night", proof.Allowed, false},
		{"arn:aws:sts::222222222222:assumed-role/painter/night", proof.Denied, true},
		{other, proof.Allowed, false},
		{"arn:aws:iam::333333333333:user/bob", proof.Denied, false},
	} {
		a, err := prover(t, w).Check(c.who, proof.Pull.Actions(), in, "app")
		if err != nil {
			t.Fatal(err)
		}
		if a.Outcome != c.want || a.Missing != c.missing || a.Missing && a.Changes != nil {
			t.Errorf("%s: %s, missing %v, changes %v; want %s, %v", c.who, a.Outcome, a.Missing, short(a.Changes), c.want, c.missing)
		}
	}
	// Whoever policies name and is not there can do nothing.
	w.Repositories[0].Policy = grant("arn:aws:iam::222222222222:user/rob")
	list, err := prover(t, w).WhoCan([]access.Action{"ecr:BatchGetImage"}, in, "app")
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Principal != owner && list[0].Principal != "arn:aws:iam::222222222222:role/ci/builder" {
		for _, a := range list {
			t.Errorf("who-can: %s %s", a.Principal, a.Outcome)
		}
	}
}

func TestCheckErrors(t *testing.T) {
	p := prover(t, world("", ""))
	for _, c := range []struct{ who, repo, want string }{
		{"bob", "app", `"bob" is not the ARN of an account, a user or a role session`},
		{owner, "ap", `there is no repository "ap" in 111111111111/us-east-1`},
	} {
		_, err := p.Check(c.who, proof.Pull.Actions(), in, ecr.RepositoryName(c.repo))
		if err == nil || err.Error() != c.want {
			t.Errorf("Check(%s, %s) = %v, want %s", c.who, c.repo, err, c.want)
		}
	}
	for _, s := range []string{"pul l", "fly", "ecr:pull", "ecr:", ""} {
		if _, err := proof.ParseRight(s); err == nil {
			t.Errorf("ParseRight took %q, which is no right", s)
		}
	}
	if _, err := proof.New(world("{", "")); err == nil || !strings.Contains(err.Error(), `repository "app"`) {
		t.Errorf("New took a broken policy: %v", err)
	}
}

func TestWhoCan(t *testing.T) {
	everyone := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}`
	for _, c := range []struct {
		name   string
		policy string
		want   []string
	}{
		{"nobody but the owner", "", []string{"111111111111 allowed", "arn:aws:iam::111111111111:user/ann allowed"}},
		{"an account", grant(other), []string{"111111111111 allowed", "222222222222 unseen", "arn:aws:iam::111111111111:user/ann allowed"}},
		{"everyone", everyone, []string{"* unseen", "111111111111 allowed", "arn:aws:iam::111111111111:user/ann allowed", "arn:aws:iam::111111111111:user/carl allowed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := world(c.policy, "", user(owner, "ann", pullText), user(owner, "carl"), proof.Principal{ARN: owner})
			list, err := prover(t, w).WhoCan([]access.Action{"ecr:BatchGetImage"}, in, "app")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range list {
				got = append(got, a.Principal+" "+string(a.Outcome))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMatrix(t *testing.T) {
	m := prover(t, world(grant(other), "", user(owner, "ann", pullText))).Matrix()
	want := proof.Matrix{
		Principals:   []string{"222222222222", "arn:aws:iam::111111111111:user/ann", "*"},
		Repositories: []string{repoARN},
		Cells: [][][]proof.Outcome{
			{{proof.Unseen, proof.Denied, proof.Denied, proof.Denied}},
			{{proof.Allowed, proof.Denied, proof.Denied, proof.Denied}},
			{{proof.Denied, proof.Denied, proof.Denied, proof.Denied}},
		},
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What Check proposes is enough, and nothing of it can be left out.
func TestChangesAreEnoughAndNeeded(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		statement := func(resource bool) map[string]any {
			s := map[string]any{
				"Effect": rapid.SampledFrom([]string{"Allow", "Allow", "Deny"}).Draw(rt, "effect"),
				"Action": rapid.SampledFrom([]string{"*", "ecr:*", "ecr:BatchGetImage", "ecr:PutImage", "ecr:Get*"}).Draw(rt, "action"),
			}
			if resource {
				s["Principal"] = map[string]any{"AWS": rapid.SampledFrom([]string{owner, other, "arn:aws:iam::" + other + ":user/bob", "*"}).Draw(rt, "principal")}
			} else {
				s["Resource"] = rapid.SampledFrom([]string{"*", repoARN, in.RepositoryARN("b")}).Draw(rt, "resource")
			}
			return s
		}
		document := func(resource bool) string {
			var list []any
			for range rapid.IntRange(0, 3).Draw(rt, "n") {
				list = append(list, statement(resource))
			}
			if list == nil {
				return ""
			}
			b, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": list})
			if err != nil {
				rt.Fatal(err)
			}
			return string(b)
		}
		account := rapid.SampledFrom([]string{owner, other}).Draw(rt, "account")
		bob := user(account, "bob")
		if text := document(false); text != "" {
			bob.Documents = []access.Document{{Name: "own", Text: text}}
		}
		w := world(document(true), "", bob)
		right := rapid.SampledFrom(proof.Rights()).Draw(rt, "right")
		p, err := proof.New(w)
		if err != nil {
			rt.Fatal(err)
		}
		a, err := p.Check(bob.ARN, right.Actions(), in, "app")
		if err != nil {
			rt.Fatal(err)
		}
		if a.Outcome == proof.Allowed {
			if len(a.Changes) > 0 {
				rt.Fatalf("allowed, and yet changes: %v", short(a.Changes))
			}
			return
		}
		if len(a.Changes) == 0 {
			rt.Fatalf("%s, and no changes", a.Outcome)
		}
		check := func(list []proof.Change) proof.Outcome {
			p, err := proof.New(changed(rt, w, list))
			if err != nil {
				rt.Fatal(err)
			}
			a, err := p.Check(bob.ARN, right.Actions(), in, "app")
			if err != nil {
				rt.Fatal(err)
			}
			return a.Outcome
		}
		if got := check(a.Changes); got != proof.Allowed {
			rt.Errorf("with all changes: %s", got)
		}
		for i := range a.Changes {
			if check(slices.Delete(slices.Clone(a.Changes), i, i+1)) == proof.Allowed {
				rt.Errorf("change %d of %v is not needed", i, short(a.Changes))
			}
		}
	})
}

// changed is w with the changes made in its texts, as a person would.
func changed(t *rapid.T, w proof.World, list []proof.Change) proof.World {
	edit := func(text string, add []any, remove []int) string {
		var doc struct {
			Version   string
			Statement []any
		}
		doc.Version = "2012-10-17"
		if text != "" {
			if err := json.Unmarshal([]byte(text), &doc); err != nil {
				t.Fatal(err)
			}
		}
		slices.Sort(remove)
		for _, i := range slices.Backward(remove) {
			doc.Statement = slices.Delete(doc.Statement, i, i+1)
		}
		doc.Statement = append(doc.Statement, add...)
		if len(doc.Statement) == 0 {
			return ""
		}
		b, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	var add, own []any
	var remove, ownRemove []int
	for _, c := range list {
		home := c.In == "identity-based policy"
		switch {
		case c.Add == nil && home:
			ownRemove = append(ownRemove, c.Remove.Index)
		case c.Add == nil:
			remove = append(remove, c.Remove.Index)
		case home:
			own = append(own, map[string]any{"Effect": "Allow", "Action": c.Add.Action, "Resource": c.Add.Resource})
		default:
			add = append(add, map[string]any{"Effect": "Allow", "Action": c.Add.Action, "Principal": map[string]any{"AWS": c.Add.Principal.AWS}})
		}
	}
	w.Repositories = slices.Clone(w.Repositories)
	w.Repositories[0].Policy = edit(w.Repositories[0].Policy, add, remove)
	w.Principals = slices.Clone(w.Principals)
	var text string
	if docs := w.Principals[0].Documents; len(docs) > 0 {
		text = docs[0].Text
	}
	w.Principals[0].Documents = nil
	if text = edit(text, own, ownRemove); text != "" {
		w.Principals[0].Documents = []access.Document{{Name: "own", Text: text}}
	}
	return w
}
