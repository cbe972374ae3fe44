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
		Registries:   map[ecr.RegistryID]proof.Registry{in: {Policy: registryPolicy}},
		Repositories: []proof.Repository{{In: in, Name: "app", Policy: repositoryPolicy, Tags: map[string]string{"team": "a"}}},
		Principals:   who,
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
			"111111111111 resource-based policy: remove registry policy, statement 1",
		}},
		{"an unseen account", world(grant(other), ""), bob, "pull", proof.Unseen, nil},
		{"an unseen account, not granted", world("", ""), bob, "pull", proof.Denied, []string{
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

// No one of a name in an account that was seen whole is no one; in another
// account it may be someone. A session's ARN does not say its role's path.
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
		t.Run(c.who, func(t *testing.T) {
			a, err := prover(t, w).Check(c.who, proof.Pull.Actions(), in, "app")
			if err != nil {
				t.Fatal(err)
			}
			if a.Outcome != c.want || a.Missing != c.missing || a.Missing && a.Changes != nil {
				t.Errorf("%s, missing %v, changes %v; want %s, %v", a.Outcome, a.Missing, short(a.Changes), c.want, c.missing)
			}
		})
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
		t.Run(c.who+" "+c.repo, func(t *testing.T) {
			_, err := p.Check(c.who, proof.Pull.Actions(), in, ecr.RepositoryName(c.repo))
			if err == nil || err.Error() != c.want {
				t.Errorf("Check(%s, %s) = %v, want %s", c.who, c.repo, err, c.want)
			}
		})
	}
	for _, s := range []string{"pul l", "fly", "ecr:pull", "ecr:", ""} {
		t.Run(s, func(t *testing.T) {
			if _, err := proof.ParseRight(s); err == nil {
				t.Errorf("ParseRight took %q, which is no right", s)
			}
		})
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
		{"only the owner", "", []string{"111111111111 allowed", "arn:aws:iam::111111111111:user/ann allowed"}},
		{"an account", grant(other), []string{"111111111111 allowed", "222222222222 unseen", "arn:aws:iam::111111111111:user/ann allowed"}},
		{"everyone", everyone, []string{"* unseen", "111111111111 allowed", "arn:aws:iam::111111111111:user/ann allowed", "arn:aws:iam::111111111111:user/carl allowed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := world(c.policy, "", user(owner, "ann", pullText), user(owner, "carl"), proof.Principal{ARN: owner})
			w.Seen = []string{owner}
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
	w := world(grant(other), "", user(owner, "ann", pullText))
	w.Seen = []string{owner}
	m := prover(t, w).Matrix()
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

func role(account, path string, trust string, tags map[string]string, texts ...string) proof.Principal {
	p := proof.Principal{ARN: "arn:aws:iam::" + account + ":role/" + path, UniqueID: "AROA" + strings.ToUpper(path), Trust: trust, Tags: tags}
	for i, t := range texts {
		p.Documents = append(p.Documents, access.Document{Name: fmt.Sprintf("policy%d", i), Text: t})
	}
	return p
}

// open allows everyone the actions, if the condition holds.
func open(condition string, actions ...string) string {
	if actions == nil {
		actions = []string{"ecr:BatchGetImage"}
	}
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["%s"],"Condition":{%s}}]}`, strings.Join(actions, `","`), condition)
}

const (
	assumeOnly = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"222222222222"},"Action":"sts:AssumeRole"}]}`
	taggable   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"222222222222"},"Action":["sts:AssumeRole","sts:TagSession"]}]}`
	untaggable = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":{"AWS":"222222222222"},"Action":"sts:TagSession"},{"Effect":"Allow","Principal":{"AWS":"222222222222"},"NotAction":"sts:Tag*"}]}`
)

// What is known before a request is made, and what is not.
func TestKnownAndUnknown(t *testing.T) {
	const session = "arn:aws:sts::222222222222:assumed-role/ci/build"
	team := map[string]string{"Team": "x"}
	tagged := open(`"StringEquals":{"aws:PrincipalTag/team":"a"}`)
	ci := func(trust string, tags map[string]string) proof.Principal {
		return role(other, "ci", trust, tags, pullText)
	}
	bob := func(tags map[string]string) proof.Principal {
		p := user(other, "bob", pullText)
		p.Tags = tags
		return p
	}
	const ciARN, bob2 = "arn:aws:iam::222222222222:role/ci", "arn:aws:iam::222222222222:user/bob"
	for _, c := range []struct {
		name   string
		policy string
		who    proof.Principal
		asked  string // "" is who
		action access.Action
		want   string
	}{
		// A session chooses its tags, if the role's trust policy lets it.
		{"a session's tag replaces the role's", tagged, ci(taggable, team), "", "", "depends on aws:PrincipalTag/team"},
		{"and that of one named session", tagged, ci(taggable, team), session, "", "depends on aws:PrincipalTag/team"},
		{"a role without the tag", tagged, ci(taggable, nil), "", "", "depends on aws:PrincipalTag/team"},
		{"no sessions with tags", tagged, ci(assumeOnly, team), "", "", "denied"},
		{"no sessions with tags, and the role's is right", tagged, ci(assumeOnly, map[string]string{"team": "a"}), "", "", "allowed"},
		{"sessions with tags denied by NotAction", tagged, ci(untaggable, nil), session, "", "denied"},
		{"a trust policy that was not seen", tagged, ci("", team), "", "", "depends on aws:PrincipalTag/team"},
		{"a user without the tag", tagged, bob(nil), "", "", "denied"},
		{"a user with another tag", tagged, bob(team), "", "", "denied"},
		{"a user with the tag", tagged, bob(map[string]string{"TEAM": "a"}), "", "", "allowed"},
		// A session chooses its name.
		{"a named session, of the role", grant(session), ci(assumeOnly, nil), "", "", "depends on sts:RoleSessionName"},
		{"a named session", grant(session), ci(assumeOnly, nil), session, "", "allowed"},
		{"another session", grant(session), ci(assumeOnly, nil), session + "2", "", "denied"},
		{"a session of another role", grant("arn:aws:sts::222222222222:assumed-role/ci2/build"), ci(assumeOnly, nil), "", "", "denied"},
		{"aws:userid of a role", open(`"StringLike":{"aws:userid":"AROACI:build"}`), ci(assumeOnly, nil), "", "", "depends on aws:userid"},
		{"aws:userid of a session", open(`"StringLike":{"aws:userid":"AROACI:build"}`), ci(assumeOnly, nil), session, "", "allowed"},
		{"aws:userid of a user", open(`"StringLike":{"aws:userid":"AIDABO?"}`), bob(nil), "", "", "allowed"},
		{"aws:username of a role", open(`"StringLike":{"aws:username":"*"}`), ci(taggable, nil), "", "", "denied"},
		// Keys that a request for the action does not have, or may have.
		{"tag keys of a pull", open(`"Null":{"aws:TagKeys":"true","aws:RequestTag/a":"true","ecr:AccountSetting":"true"}`), bob(nil), "", "", "allowed"},
		{"tag keys of a pull, wanted", open(`"ForAnyValue:StringEquals":{"aws:TagKeys":"a"}`), bob(nil), "", "", "denied"},
		{"tag keys of TagResource", open(`"ForAnyValue:StringEquals":{"aws:TagKeys":"a"}`, "ecr:*"), bob(nil), "", "ecr:TagResource", "depends on aws:TagKeys"},
		{"an account setting", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*","Condition":{"StringEquals":{"ecr:AccountSetting":"BLOB_MOUNTING"}}}]}`,
			bob(nil), "", "ecr:GetAccountSetting", "denied"}, // a repository's policy is not asked
		{"a service's source", open(`"StringEquals":{"aws:SourceAccount":"222222222222"}`), bob(nil), "", "", "denied"},
		{"no service's source", open(`"StringNotEquals":{"aws:SourceAccount":"222222222222"}`), bob(nil), "", "", "allowed"},
		{"the organization", open(`"StringEquals":{"aws:PrincipalOrgID":"o-1"}`), bob(nil), "", "", "depends on aws:PrincipalOrgID"},
		{"the repository's tag", open(`"StringEquals":{"ecr:ResourceTag/TEAM":"a"}`), bob(nil), "", "", "allowed"},
		{"the repository's missing tag", open(`"Null":{"aws:ResourceTag/x":"true"}`), bob(nil), "", "", "allowed"},
		{"the address", open(`"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}`), bob(nil), "", "", "depends on aws:SourceIp"},
		{"a repository that does not exist yet", grant(bob2), user(owner, "ann"), "", "ecr:CreateRepository", "denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i := range c.who.Documents {
				c.who.Documents[i].Text = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}`
			}
			if c.action == "" {
				c.action = "ecr:BatchGetImage"
			}
			if c.asked == "" {
				c.asked = c.who.ARN
			}
			w := world(c.policy, "", c.who)
			w.Seen = []string{owner, other}
			a, err := prover(t, w).Check(c.asked, []access.Action{c.action}, in, "app")
			if err != nil {
				t.Fatal(err)
			}
			got := string(a.Outcome)
			if a.Outcome == proof.Depends {
				got += " on " + strings.Join(a.Actions[0].DependsOn, ", ")
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// What counts for a registry, and what of it was not seen.
func TestRegistries(t *testing.T) {
	const deny = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":["ecr:BatchGetImage","ecr:ReplicateImage"],"Resource":"*"}]}`
	const grantAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"222222222222"},"Action":"ecr:*","Resource":"*"}]}`
	all := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	ann, bob := user(owner, "ann", all), user(other, "bob", all)
	for _, c := range []struct {
		name     string
		registry proof.Registry
		who      string
		action   access.Action
		want     proof.Outcome
		keys     string
	}{
		{"a deny", proof.Registry{Policy: deny}, ann.ARN, "ecr:BatchGetImage", proof.Denied, ""},
		{"a deny in V2", proof.Registry{Policy: deny, Scope: proof.ScopeV2}, ann.ARN, "ecr:BatchGetImage", proof.Denied, ""},
		{"a deny in V1", proof.Registry{Policy: deny, Scope: proof.ScopeV1}, ann.ARN, "ecr:BatchGetImage", proof.Allowed, ""},
		{"a deny in V1 of what it governs", proof.Registry{Policy: deny, Scope: proof.ScopeV1}, ann.ARN, "ecr:ReplicateImage", proof.Denied, ""},
		{"a deny in a scope that was not seen", proof.Registry{Policy: deny, Scope: proof.ScopeUnseen}, ann.ARN, "ecr:BatchGetImage", proof.Depends, proof.KeyScope},
		{"and of what every scope governs", proof.Registry{Policy: deny, Scope: proof.ScopeUnseen}, ann.ARN, "ecr:ReplicateImage", proof.Denied, ""},
		{"and of what it does not name", proof.Registry{Policy: deny, Scope: proof.ScopeUnseen}, ann.ARN, "ecr:PutImage", proof.Allowed, ""},
		{"a grant", proof.Registry{Policy: grantAll}, bob.ARN, "ecr:PutImage", proof.Allowed, ""},
		{"a grant in V1", proof.Registry{Policy: grantAll, Scope: proof.ScopeV1}, bob.ARN, "ecr:PutImage", proof.Denied, ""},
		{"a grant in a scope that was not seen", proof.Registry{Policy: grantAll, Scope: proof.ScopeUnseen}, bob.ARN, "ecr:PutImage", proof.Depends, proof.KeyScope},
		{"a policy that was not seen may deny", proof.Registry{Unseen: "no"}, ann.ARN, "ecr:PutImage", proof.Unseen, ""},
		{"a policy that was not seen may grant", proof.Registry{Unseen: "no"}, bob.ARN, "ecr:PutImage", proof.Unseen, ""},
		{"and not to one without own rights", proof.Registry{Unseen: "no"}, "arn:aws:iam::222222222222:user/eve", "ecr:PutImage", proof.Denied, ""},
		{"the registry itself", proof.Registry{Policy: grantAll}, bob.ARN, "ecr:DescribeRegistry", proof.Allowed, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := world("", "", ann, bob, user(other, "eve"))
			w.Registries[in] = c.registry
			a, err := prover(t, w).Check(c.who, []access.Action{c.action}, in, "app")
			if err != nil {
				t.Fatal(err)
			}
			if got := a.Actions[0]; a.Outcome != c.want || strings.Join(got.DependsOn, ",") != c.keys || (got.Unseen != "") != (c.want == proof.Unseen) {
				t.Errorf("%s on %v, unseen %q; want %s on %s", a.Outcome, got.DependsOn, got.Unseen, c.want, c.keys)
			}
		})
	}
}

// Who is listed: also those that a condition names, in an Allow or as the
// exception of a Deny, and those that could not be seen.
func TestWhoCanByConditions(t *testing.T) {
	const all = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	denyAllBut := func(condition string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"},` +
			`{"Effect":"Deny","Principal":"*","Action":"ecr:*","Condition":{` + condition + `}}]}`
	}
	for _, c := range []struct {
		name, policy string
		want         []string // in addition to those of the own account
	}{
		{"an account", open(`"StringEquals":{"aws:PrincipalAccount":"333333333333"}`), []string{"333333333333 unseen"}},
		{"an account that was seen", open(`"StringEquals":{"aws:PrincipalAccount":"222222222222"}`), []string{
			"222222222222 allowed", "arn:aws:iam::222222222222:role/ci allowed", "arn:aws:iam::222222222222:user/bob allowed"}},
		{"an account, as the exception of a deny", denyAllBut(`"StringNotEquals":{"aws:PrincipalAccount":["111111111111","333333333333"]}`), []string{"333333333333 unseen"}},
		{"accounts by wildcard", open(`"StringLike":{"aws:PrincipalAccount":"3*"}`), []string{"* unseen on aws:PrincipalAccount"}},
		{"a user", open(`"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::333333333333:user/zoe"}`), []string{"arn:aws:iam::333333333333:user/zoe unseen"}},
		{"roles of an account", open(`"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::333333333333:role/ci-*"}`), []string{"333333333333 unseen on aws:PrincipalArn"}},
		{"all of an account, except for a deny", denyAllBut(`"StringNotLike":{"aws:PrincipalArn":"arn:aws:iam::333333333333:*"}`), []string{"333333333333 unseen"}},
		{"roles of any account", open(`"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/ci"}`), []string{
			"* unseen on aws:PrincipalArn", "arn:aws:iam::222222222222:role/ci allowed"}},
		{"an organization", open(`"StringEquals":{"aws:PrincipalOrgID":"o-1"}`), []string{
			"* unseen on aws:PrincipalOrgID", "arn:aws:iam::222222222222:role/ci depends on aws:PrincipalOrgID", "arn:aws:iam::222222222222:user/bob depends on aws:PrincipalOrgID"}},
		{"a user by name", open(`"StringEquals":{"aws:username":"bob"}`), []string{"* unseen on aws:username", "arn:aws:iam::222222222222:user/bob allowed"}},
		{"the tag of a repository", open(`"StringEquals":{"aws:PrincipalAccount":"${ecr:ResourceTag/team}"}`), []string{"* unseen on aws:PrincipalAccount"}},
		{"a session", grant("arn:aws:sts::222222222222:assumed-role/ci/build"), []string{
			"arn:aws:iam::222222222222:role/ci depends on sts:RoleSessionName", "arn:aws:sts::222222222222:assumed-role/ci/build allowed"}},
		{"a session of a role that is gone", grant("arn:aws:sts::222222222222:assumed-role/gone/build"), nil},
		{"a session that was not seen", grant("arn:aws:sts::333333333333:assumed-role/ci/build"), []string{"arn:aws:sts::333333333333:assumed-role/ci/build unseen"}},
		{"whom a deny spares", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"},` +
			`{"Effect":"Deny","NotPrincipal":{"AWS":["333333333333","arn:aws:iam::333333333333:user/zoe"]},"Action":"ecr:*"}]}`,
			[]string{"333333333333 unseen", "arn:aws:iam::333333333333:user/zoe unseen"}}, // its root user
		{"services", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"ecr:BatchGetImage"},` +
			`{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage","Condition":{"StringEquals":{"aws:PrincipalServiceName":"codebuild.amazonaws.com"}}}]}`,
			[]string{"codebuild.amazonaws.com allowed", "lambda.amazonaws.com allowed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ci := role(other, "ci", assumeOnly, nil, all)
			for _, seen := range []bool{true, false} {
				t.Run(fmt.Sprint("seen ", seen), func(t *testing.T) { // the own account
					w := world(c.policy, "", user(other, "bob", all), ci)
					w.Seen = []string{other}
					if seen {
						w.Principals = append(w.Principals, user(owner, "ann"))
						w.Seen = append(w.Seen, owner)
					}
					list, err := prover(t, w).WhoCan([]access.Action{"ecr:BatchGetImage"}, in, "app")
					if err != nil {
						t.Fatal(err)
					}
					var got []string
					own := false
					for _, a := range list {
						if proof.AccountOf(a.Principal) == owner {
							own = own || a.Principal == owner && a.Outcome == proof.Unseen
							continue
						}
						s := a.Principal + " " + string(a.Outcome)
						if keys := a.Actions[0].DependsOn; keys != nil {
							s += " on " + strings.Join(keys, ", ")
						}
						got = append(got, s)
					}
					if diff := cmp.Diff(c.want, got); diff != "" {
						t.Errorf("(-want +got):\n%s", diff)
					}
					if denied := strings.Contains(c.policy, `"Deny"`) && !strings.Contains(c.policy, owner); !seen && own == denied {
						t.Errorf("users and roles of the own account, which were not seen, are listed: %v", own)
					}
				})
			}
		})
	}
}

// The matrix has the same rows, for every repository.
func TestMatrixOfUnseen(t *testing.T) {
	w := world(open(`"StringEquals":{"aws:PrincipalAccount":"333333333333"}`, "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"), "")
	w.Repositories = append(w.Repositories, proof.Repository{In: in, Name: "other"})
	m := prover(t, w).Matrix()
	none := []proof.Outcome{proof.Denied, proof.Denied, proof.Denied, proof.Denied}
	every := []proof.Outcome{proof.Unseen, proof.Unseen, proof.Unseen, proof.Unseen}
	want := proof.Matrix{
		Principals:   []string{owner, "333333333333", "*"},
		Repositories: []string{repoARN, in.RepositoryARN("other")},
		Cells: [][][]proof.Outcome{
			{every, every},
			{{proof.Unseen, proof.Denied, proof.Denied, proof.Denied}, none},
			{none, none},
		},
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A service takes no docker password, so that it needs no ecr:GetAuthorizationToken.
// AWS Lambda developer guide, "Amazon ECR cross-account permissions".
func TestServicesPull(t *testing.T) {
	w := world(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]}]}`, "")
	p := prover(t, w)
	for right, want := range map[proof.Right]proof.Outcome{proof.Pull: proof.Allowed, proof.Push: proof.Denied, proof.Admin: proof.Denied} {
		t.Run(string(right), func(t *testing.T) {
			a, err := p.Check("lambda.amazonaws.com", right.Actions(), in, "app")
			if err != nil || a.Outcome != want || a.Outcome == proof.Denied && len(a.Changes) == 0 {
				t.Errorf("%s: %s, %v, %v", right, a.Outcome, short(a.Changes), err)
			}
		})
	}
	if a, err := p.Check("lambda.amazonaws.com", []access.Action{"ecr:GetAuthorizationToken"}, in, "app"); err != nil || a.Outcome != proof.Denied {
		t.Errorf("a token: %s, %v", a.Outcome, err)
	}
}

// The 12 digits of an account mean the account as a whole: who asks whether it
// may not wants to know of its roles, too.
func TestCheckAccount(t *testing.T) {
	ci := role(other, "ci", assumeOnly, nil, pullText)
	for _, c := range []struct {
		name, policy, who string
		seen              []string
		want              proof.Outcome
	}{
		{"granted to the account", grant(other), other, []string{other}, proof.Allowed},
		{"granted to a role of it", grant(ci.ARN), other, []string{other}, proof.Allowed},
		{"granted to a role of it, and asked of the root user", grant(ci.ARN), "arn:aws:iam::222222222222:root", []string{other}, proof.Denied},
		{"granted to one that is not there", grant("arn:aws:iam::222222222222:role/gone"), other, []string{other}, proof.Denied},
		{"granted to a role of an account that was not seen", grant("arn:aws:iam::333333333333:role/ci"), "333333333333", nil, proof.Unseen},
		{"granted by a condition", open(`"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::333333333333:role/*"}`, "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"), "333333333333", nil, proof.Unseen},
		{"not granted", grant(owner), "333333333333", nil, proof.Denied},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := world(c.policy, "", ci)
			w.Seen = c.seen
			a, err := prover(t, w).Check(c.who, proof.Pull.Actions(), in, "app")
			if err != nil || a.Outcome != c.want || a.Principal != c.who {
				t.Errorf("%s of %s, %v; want %s", a.Outcome, a.Principal, err, c.want)
			}
		})
	}
}

func TestParseRight(t *testing.T) {
	for s, want := range map[string]string{
		"ecr:PutImage": "ecr:PutImage", "PutImage": "ecr:PutImage", "ECR:putimage": "ecr:PutImage", "delete": "ecr:BatchDeleteImage", "Delete": "ecr:BatchDeleteImage",
	} {
		t.Run(s, func(t *testing.T) {
			if got, err := proof.ParseRight(s); err != nil || len(got) != 1 || string(got[0]) != want {
				t.Errorf("ParseRight(%q) = %v, %v", s, got, err)
			}
		})
	}
	for s, want := range map[string]string{
		"ecr:PutImages": `Amazon ECR has no action "ecr:PutImages"; did you mean ecr:PutImage?`,
		"PutImages":     `Amazon ECR has no action "ecr:PutImages"; did you mean ecr:PutImage?`,
		"s3:GetObject":  `Amazon ECR has no action "s3:GetObject"`,
		"pul":           `"pul" is not a right; want pull, push, delete, admin or an action such as ecr:PutImage`,
	} {
		t.Run(s, func(t *testing.T) {
			if _, err := proof.ParseRight(s); err == nil || err.Error() != want {
				t.Errorf("ParseRight(%q): %v", s, err)
			}
		})
	}
}

// Of a principal whose account was not seen, its tags and the path of its role
// are not known either.
func TestUnseenPrincipals(t *testing.T) {
	const zoe, node = "arn:aws:iam::333333333333:user/zoe", "arn:aws:sts::333333333333:assumed-role/node/i-1"
	for _, c := range []struct{ name, policy, who, want string }{
		{"a tag", open(`"StringEquals":{"aws:PrincipalTag/team":"a"}`), zoe, "unseen on aws:PrincipalTag/team"},
		{"an id", open(`"StringLike":{"aws:userid":"AIDA*"}`), zoe, "unseen on aws:userid"},
		{"a name", open(`"StringEquals":{"aws:username":"ann"}`), zoe, "denied"},
		{"the role, with its path", grant("arn:aws:iam::333333333333:role/eks/node"), node, "unseen"},
		{"another role", grant("arn:aws:iam::333333333333:role/eks/node2"), node, "denied"},
		{"roles of a path", open(`"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::333333333333:role/eks/*"}`), node, "unseen on aws:PrincipalArn"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := prover(t, world(c.policy, "")).Check(c.who, []access.Action{"ecr:BatchGetImage"}, in, "app")
			if err != nil {
				t.Fatal(err)
			}
			got := string(a.Outcome)
			if keys := a.Actions[0].DependsOn; keys != nil {
				got += " on " + strings.Join(keys, ", ")
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}
