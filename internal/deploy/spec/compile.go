package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/jsonpos"
	"github.com/kontor-registry/kontor/lifecycle"
	"github.com/kontor-registry/kontor/policy"
)

// The numbers behind the switches.
const (
	untaggedDays  = 1  // untagged images live that long after their push
	expireAllDays = 14 // and all others with expire_all_images
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
	out.Lifecycle = l.String()
	if len(doc.Statements) > 0 {
		out.Policy = doc.String()
	}
	out.Origins = state.Origins{Repository: r.origin.Position, Rules: rules, Statements: statements}
	return out
}

// lifecycle makes the lifecycle policy, and the origins of its rules by
// priority.
func (r repository) lifecycle() (lifecycle.Policy, map[int]state.Origin) {
	origins := map[int]state.Origin{}
	if r.document.given {
		p := r.document.value.policy
		for i, rule := range p.Rules {
			o := r.document.by
			if at, ok := r.document.value.places[jsonpos.Path{"rules", i}.String()]; ok {
				o = state.Origin{Field: fmt.Sprintf("%s.rules[%d]", o.Field, i), Position: at}
			}
			origins[rule.Priority] = o
		}
		return p, origins
	}
	var p lifecycle.Policy
	add := func(by state.Origin, description string, selection lifecycle.Selection, days int) {
		selection.CountType, selection.CountUnit, selection.CountNumber = lifecycle.SinceImagePushed, lifecycle.Days, days
		priority := len(p.Rules) + 1
		p.Rules = append(p.Rules, lifecycle.Rule{
			Priority: priority, Description: description, Selection: selection,
			Action: lifecycle.Action{Type: lifecycle.Expire},
		})
		origins[priority] = by
	}
	add(r.origin, "Remove untagged images after "+plural(untaggedDays), lifecycle.Selection{TagStatus: lifecycle.Untagged}, untaggedDays)
	for _, e := range r.rules.value {
		add(e.by, fmt.Sprintf("Remove images tagged %s after %s", e.pattern, plural(e.days)),
			lifecycle.Selection{TagStatus: lifecycle.Tagged, TagPatterns: []string{e.pattern}}, e.days)
	}
	if r.expireAll.value {
		add(r.expireAll.by, "Remove all other images after "+plural(expireAllDays), lifecycle.Selection{TagStatus: lifecycle.Any}, expireAllDays)
	}
	return p, origins
}

func plural(days int) string {
	if days == 1 {
		return "1 day"
	}
	return fmt.Sprintf("%d days", days)
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
	by := r.origin
	if r.rules.given {
		by = r.rules.by
	}
	l, _ := r.lifecycle()
	if n := len(l.Rules); n > lifecycle.MaxRules {
		p.failf(by, "%d rules, with those for untagged images and expire_all_images; ECR allows %d", n, lifecycle.MaxRules)
	} else if err := lifecycle.Validate(l); err != nil && !r.document.given {
		p.failf(by, "the lifecycle policy that this makes is not valid: %v", err)
	}
	doc, _ := r.policy(partition)
	if len(doc.Statements) == 0 {
		return
	}
	by = r.pull.by
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
	if r.document.given {
		replaced := []string{"the removal of untagged images"}
		if r.expireAll.value {
			replaced = append(replaced, "expire_all_images")
		}
		if len(r.rules.value) > 0 {
			replaced = append(replaced, "expiration_rules")
		}
		p.notef(r.document.by, CodeLifecycleOverridden, "this policy is used as it is, in place of %s", and(replaced))
	}
	if r.expireAll.value && !r.document.given {
		for _, e := range r.rules.value {
			if e.days > expireAllDays {
				p.notef(e.by, CodeOutlivesExpireAll, "images tagged %s stay %s, although expire_all_images removes all others after %s",
					e.pattern, plural(e.days), plural(expireAllDays))
			}
		}
	}
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
