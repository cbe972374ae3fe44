package proof_test

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/race"
	"github.com/kontor-registry/kontor/policy"
)

// someone is a user or role that there is.
type someone struct {
	account, arn, id string
	tags             map[string]string
	documents        []access.Document
	boundary         *access.Document
	taggable         bool // a role whose sessions may have tags
}

func (s someone) role() bool { return strings.Contains(s.arn, ":role/") }

// reality is everything there is, of which a World holds what was seen.
type reality struct {
	people               []someone
	repository, registry string
	scope                proof.Scope
}

const (
	annARN, bobARN   = "arn:aws:iam::111111111111:user/ann", "arn:aws:iam::222222222222:user/team/bob"
	ciARN, nodeARN   = "arn:aws:iam::111111111111:role/ci", "arn:aws:iam::222222222222:role/eks/node"
	zoeARN           = "arn:aws:iam::333333333333:user/zoe"
	ciBuild, nodeOne = "arn:aws:sts::111111111111:assumed-role/ci/build", "arn:aws:sts::222222222222:assumed-role/node/one"
)

var asked = []access.Action{"ecr:BatchGetImage", "ecr:PutImage", "ecr:GetAuthorizationToken", "ecr:TagResource", "ecr:CreateRepository", "ecr:DescribeRegistry"}

// genReality draws who there is and what the policies say.
func genReality(t *rapid.T) reality {
	pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
	tags := func() map[string]string {
		return rapid.SampledFrom([]map[string]string{nil, {"Team": "a"}, {"team": "b"}, {"team": ""}}).Draw(t, "tags")
	}
	document := func(resource bool) string {
		d := policy.Document{Version: policy.Version2012}
		for range rapid.IntRange(1, 3).Draw(t, "statements") {
			s := policy.Statement{
				Effect: policy.Effect(pick("effect", "Allow", "Allow", "Deny")),
				Action: []string{pick("action", "ecr:*", "ecr:*", "ecr:BatchGetImage", "ecr:Put*", "ecr:GetAuthorizationToken", "ecr:TagResource")},
			}
			if resource {
				p := policy.Principals{AWS: []string{pick("principal", "*", "*", owner, other, annARN, bobARN, ciARN, nodeARN, ciBuild, nodeOne, "arn:aws:sts::222222222222:assumed-role/node/two")}}
				if s.Effect == policy.Deny && rapid.IntRange(0, 3).Draw(t, "not principal") == 0 {
					p.AWS = append(p.AWS, pick("spared", owner, other), pick("spared", annARN, bobARN, ciARN, nodeARN), pick("spared", ciBuild, nodeOne))
					s.NotPrincipal = p
				} else {
					s.Principal = p
				}
			}
			s.Resource = []string{pick("resource", "*", "*", repoARN, "arn:aws:ecr:*:repository/a*", "arn:aws:ecr:*:*:repository/${aws:PrincipalTag/team}*", in.RepositoryARN("other"))}
			for range rapid.IntRange(0, 2).Draw(t, "conditions") {
				c := rapid.SampledFrom([]policy.Condition{
					{Key: "aws:PrincipalAccount", Values: []string{other}},
					{Key: "aws:PrincipalAccount", Values: []string{owner, "222*"}},
					{Key: "aws:PrincipalArn", Values: []string{bobARN, ciARN}},
					{Key: "aws:PrincipalArn", Values: []string{"arn:aws:iam::222222222222:role/*"}},
					{Key: "aws:PrincipalArn", Values: []string{"arn:aws:iam::*:user/*"}},
					{Key: "aws:PrincipalArn", Values: []string{"arn:aws:iam::111111111111:*"}},
					{Key: "aws:PrincipalTag/team", Values: []string{"a"}},
					{Key: "aws:PrincipalTag/team", Values: []string{"${ecr:ResourceTag/team}"}},
					{Key: "aws:userid", Values: []string{"AIDABOB", "AROANODE:one", "AROACI:*"}},
					{Key: "aws:username", Values: []string{"bob"}},
					{Key: "aws:PrincipalType", Values: []string{"User"}},
					{Key: "aws:PrincipalOrgID", Values: []string{"o-1"}},
					{Key: "aws:SourceAccount", Values: []string{other}},
					{Key: "aws:RequestTag/team", Values: []string{"a"}},
					{Key: "aws:TagKeys", Values: []string{"team"}},
					{Key: "ecr:ResourceTag/team", Values: []string{"a", "${aws:PrincipalTag/team}"}},
					{Key: "aws:SourceIp", Values: []string{"192.0.2.0/24"}},
				}).Draw(t, "condition")
				switch c.Key {
				case "aws:SourceIp":
					c.Operator = pick("operator", "IpAddress", "NotIpAddress")
				case "aws:TagKeys":
					c.Operator = pick("operator", "ForAllValues:StringEquals", "ForAnyValue:StringEquals")
				case "aws:PrincipalArn":
					c.Operator = pick("operator", "ArnLike", "ArnNotLike", "StringLike", "StringNotLike")
				default:
					c.Operator = pick("operator", "StringLike", "StringNotLike", "StringEqualsIfExists", "StringNotEquals")
					if rapid.IntRange(0, 9).Draw(t, "null") == 0 {
						c.Operator, c.Values = "Null", []string{pick("null", "true", "false")}
					}
				}
				if !slices.ContainsFunc(s.Condition, func(o policy.Condition) bool { return o.Operator == c.Operator && o.Key == c.Key }) {
					s.Condition = append(s.Condition, c)
				}
			}
			d.Statements = append(d.Statements, s)
		}
		return d.String()
	}
	w := reality{people: []someone{
		{account: owner, arn: annARN, id: "AIDAANN"}, {account: owner, arn: ciARN, id: "AROACI"},
		{account: other, arn: bobARN, id: "AIDABOB"}, {account: other, arn: nodeARN, id: "AROANODE"},
		{account: "333333333333", arn: zoeARN, id: "AIDAZOE"},
	}}
	for i := range w.people {
		p := &w.people[i]
		p.tags, p.taggable = tags(), p.role() && rapid.Bool().Draw(t, "taggable")
		switch rapid.IntRange(0, 3).Draw(t, "identity") {
		case 0:
		case 1:
			p.documents = []access.Document{{Name: "own", Text: document(false)}}
		default:
			p.documents = []access.Document{{Name: "all", Text: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`}}
		}
		if rapid.IntRange(0, 4).Draw(t, "bounded") == 0 {
			p.boundary = &access.Document{Name: "boundary", Text: document(false)}
		}
	}
	w.repository = document(true)
	if rapid.IntRange(0, 2).Draw(t, "registry") == 0 {
		w.registry = document(true)
	}
	w.scope = proof.Scope(pick("scope", "V1", "V2", "V2"))
	return w
}

// seen draws what of w is seen.
func (w reality) seen(t *rapid.T) proof.World {
	hide := func(label string) bool { return rapid.IntRange(0, 4).Draw(t, label) == 0 }
	known := proof.World{
		Repositories: []proof.Repository{{In: in, Name: "app", Policy: w.repository, Tags: map[string]string{"team": "a"}}},
		Registries:   map[ecr.RegistryID]proof.Registry{in: {Policy: w.registry, Scope: w.scope}},
	}
	switch {
	case hide("registry unseen"):
		known.Registries[in] = proof.Registry{Unseen: "not allowed"}
	case hide("scope unseen"):
		known.Registries[in] = proof.Registry{Policy: w.registry, Scope: proof.ScopeUnseen}
	}
	for _, account := range []string{owner, other, "333333333333"} {
		if account == "333333333333" && rapid.Bool().Draw(t, "third unseen") || hide("account unseen") {
			continue
		}
		known.Seen = append(known.Seen, account)
		for _, p := range w.people {
			if p.account != account {
				continue
			}
			one := proof.Principal{ARN: p.arn, UniqueID: p.id, Documents: p.documents, Boundary: p.boundary, Tags: p.tags}
			if p.role() && !hide("trust unseen") {
				one.Trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + p.account + `"},"Action":"sts:AssumeRole"}]}`
				if p.taggable {
					one.Trust = strings.Replace(one.Trust, `"sts:AssumeRole"`, `["sts:AssumeRole","sts:Tag*"]`, 1)
				}
			}
			if hide("policies unseen") {
				one.Documents, one.Unseen = nil, "a policy was not seen"
			}
			known.Principals = append(known.Principals, one)
		}
	}
	return known
}

// request is one that p really makes, in a session if it is a role, decided as
// the registry does. as are the names under which a report may tell of it.
func (w reality) request(t *rapid.T, p someone, action access.Action) (allowed bool, as []string, r authz.Request) {
	a, _ := policy.LookupAction(string(action))
	who := access.Principal{Account: ecr.AccountID(p.account), ARN: p.arn, UniqueID: p.id, Documents: p.documents, Boundary: p.boundary, Tags: p.tags}
	as = []string{p.arn, p.account}
	if p.role() {
		session := rapid.SampledFrom([]string{"build", "one", "any-session"}).Draw(t, "session")
		name := p.arn[strings.LastIndexByte(p.arn, '/')+1:]
		who.ARN, who.UniqueID = "arn:aws:sts::"+p.account+":assumed-role/"+name+"/"+session, p.id+":"+session
		who.Session = &access.Session{RoleARN: p.arn}
		as = append(as, who.ARN)
		if p.taggable {
			own := rapid.SampledFrom([]map[string]string{nil, {"team": "a"}, {"TEAM": "b"}, {"team": ""}}).Draw(t, "session's tags")
			who.Tags = maps.Clone(p.tags)
			for k, v := range own {
				maps.DeleteFunc(who.Tags, func(have, _ string) bool { return strings.EqualFold(have, k) })
				if who.Tags == nil {
					who.Tags = map[string]string{}
				}
				who.Tags[k] = v
			}
		}
	}
	who.Request = access.RequestInfo{Source: netip.MustParseAddr(rapid.SampledFrom([]string{"192.0.2.1", "198.51.100.1"}).Draw(t, "address")), At: time.Unix(1_800_000_000, 0)}
	r = authz.Request{Principal: who, Action: action, Resource: "*", Owner: owner, Region: in.Region}
	if a.Repository {
		r.Resource = repoARN
	}
	if a.Repository && action != "ecr:CreateRepository" {
		r.RepositoryPolicy, r.ResourceTags = w.repository, map[string]string{"team": "a"}
	}
	if w.scope == proof.ScopeV2 || a.RegistryV1 {
		r.RegistryPolicy = w.registry
	}
	if action == "ecr:TagResource" || action == "ecr:CreateRepository" {
		r.RequestTags = rapid.SampledFrom([]map[string]string{nil, {"team": "a"}, {"team": "b", "x": "y"}}).Draw(t, "request's tags")
		r.TagKeys = slices.Sorted(maps.Keys(r.RequestTags))
	}
	return authz.Decide(r).Allowed, as, r
}

// What is said with certainty is what happens, to every request that there can
// be; and who may is among those that who-can lists.
func TestCertaintyIsWhatHappens(t *testing.T) {
	outcomes := map[proof.Outcome]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := genReality(t)
		known := w.seen(t)
		p, err := proof.New(known)
		if err != nil {
			t.Fatal(err)
		}
		for _, action := range asked {
			list, err := p.WhoCan([]access.Action{action}, in, "app")
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range w.people {
				for range 3 {
					allowed, names, r := w.request(t, one, action)
					for _, name := range names {
						a, err := p.Check(name, []access.Action{action}, in, "app")
						if err != nil {
							t.Fatal(err)
						}
						outcomes[a.Outcome]++
						// That an account may says that one in it may.
						wrong := a.Outcome == proof.Allowed && !allowed && name != one.account || (a.Outcome == proof.Denied || a.Outcome == proof.Partly) && allowed
						if wrong {
							t.Fatalf("%s by %s: %s, but allowed %v for %+v %+v\n%+v", action, name, a.Outcome, allowed, r.Principal, r.RequestTags, known)
						}
					}
					// There is a row for the principal, its role or session; where its account was
					// not seen, one for the account or for all others will do.
					listed := slices.ContainsFunc(list, func(a proof.Answer) bool {
						if !slices.Contains(known.Seen, one.account) && (a.Principal == one.account || a.Principal == proof.Anyone) {
							return true
						}
						return a.Principal != one.account && slices.Contains(names, a.Principal)
					})
					if allowed && !listed {
						t.Fatalf("%s: who-can does not list %s, which may as %+v %+v: %v\n%+v", action, one.arn, r.Principal, r.RequestTags, list, known)
					}
				}
			}
		}
	})
	t.Logf("%v", outcomes)
	if race.Enabled {
		return // so few worlds need not have all outcomes
	}
	for _, o := range []proof.Outcome{proof.Allowed, proof.Denied, proof.Depends, proof.Unseen} {
		t.Run(string(o), func(t *testing.T) {
			if outcomes[o] < 10 { // the rarest is drawn 200 times on average
				t.Errorf("%s is drawn %d times only", o, outcomes[o])
			}
		})
	}
}
