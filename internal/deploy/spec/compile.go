package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/policy"
)

// Sids of the generated statements.
const (
	SidPull = "KontorPull"
	SidPush = "KontorPush"
)

// pullActions are what pulling takes, with any client, and looking at what
// there is to pull. pushActions are those that pushing takes beside them.
// Neither deletes anything or reads or changes policies.
var (
	pullActions = []string{
		"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:DescribeImages", "ecr:DescribeRepositories",
		"ecr:GetDownloadUrlForLayer", "ecr:ListImageReferrers", "ecr:ListImages",
	}
	pushActions = []string{
		"ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
	}
)

// repository is a repository with the defaults filled in.
type repository struct {
	name   ecr.RepositoryName
	origin state.Origin
	fields
	ownDays bool // the repository itself, not defaults, gives expire_all_after_days
}

// compile makes the settings of r for targets in partition.
func (r repository) compile(stack, partition string) state.Repository {
	out := state.Repository{
		Name:       r.name,
		Mutability: ecr.Mutability{Mode: ecr.Immutable},
		Tags:       map[string]string{},
	}
	if r.immutable.given && !r.immutable.value {
		out.Mutability.Mode = ecr.Mutable
	}
	maps.Copy(out.Tags, r.tags.value)
	out.Tags[state.TagStack] = stack
	l, rules := r.lifecycle()
	doc, statements := r.policy(partition)
	if len(l.Rules) > 0 {
		out.Lifecycle = l.String()
	}
	if len(doc.Statements) > 0 {
		out.Policy = doc.String()
	}
	out.Origins = state.Origins{Repository: r.origin.Position, Rules: rules, Statements: statements}
	return out
}

// policy makes the repository policy for targets in partition, and the
// origins of its statements by Sid. Without grants it has no statements.
func (r repository) policy(partition string) (policy.Document, map[string]state.Origin) {
	origins := map[string]state.Origin{}
	doc := policy.Document{Version: policy.Version2012}
	grantTo := func(sid string, by state.Origin, accounts []ecr.AccountID, actions []string) {
		if len(accounts) == 0 {
			return
		}
		doc.Statements = append(doc.Statements, statement(sid, partition, accounts, actions))
		origins[sid] = by
	}
	push := accountsOf(r.push.value)
	pull := slices.DeleteFunc(accountsOf(r.pull.value), func(id ecr.AccountID) bool { return slices.Contains(push, id) })
	grantTo(SidPull, r.pull.by, pull, pullActions)
	grantTo(SidPush, r.push.by, push, slices.Sorted(slices.Values(slices.Concat(pullActions, pushActions))))
	return doc, origins
}

// statement lets accounts take actions. An account is named by its root, which
// stands for the users and roles that the account itself lets through.
func statement(sid, partition string, accounts []ecr.AccountID, actions []string) policy.Statement {
	roots := make([]string, len(accounts))
	for i, id := range accounts {
		roots[i] = fmt.Sprintf("arn:%s:iam::%s:root", partition, id)
	}
	return policy.Statement{Sid: sid, Effect: policy.Allow, Principal: policy.Principals{AWS: roots}, Action: actions}
}

// accountsOf are the accounts of grants, sorted.
func accountsOf(grants []grant) []ecr.AccountID {
	out := make([]ecr.AccountID, len(grants))
	for i, g := range grants {
		out[i] = g.account
	}
	slices.Sort(out)
	return out
}

// check looks for what is wrong only in the compiled settings. Values were
// checked as they were read; the engines' own checks are the net below.
func (r repository) check(p *problems, partition string) {
	r.checkLifecycle(p)
	doc, _ := r.policy(partition)
	if len(doc.Statements) == 0 {
		return
	}
	by := r.pull.by
	if len(r.push.value) > len(r.pull.value) {
		by = r.push.by
	}
	if n, most := policy.Size(doc.String()), policy.Repository.MaxSize(); n > most {
		p.failf(by, "the repository policy has %d characters; ECR allows %d, which is about 300 accounts", n, most)
	} else if err := policy.Validate(doc, policy.Repository); err != nil {
		p.failf(by, "the repository policy that this makes is not valid: %v", err)
	}
}

// note looks for what is allowed but may surprise.
func (r repository) note(p *problems, targets []state.Target) {
	r.noteLifecycle(p)
	for _, g := range slices.Concat(r.pull.value, r.push.value) {
		own := func(t state.Target) bool { return t.Registry.Account == g.account }
		if i := slices.IndexFunc(targets, own); i >= 0 {
			p.notef(g.by, CodeOwnAccount, "%s is the account of registry %s itself, where identity policies decide; this grants nothing there",
				g.account, targets[i].Name)
		}
	}
}

// and joins words as a sentence does.
func and(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}
