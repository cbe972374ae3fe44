package proof

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
	"github.com/kontor-registry/kontor/policy"
)

// Difference is how one right of one principal changes with a repository's policy
// and tags.
type Difference struct {
	Principal string // as WhoCan has it
	Account   string // "" for a service and for Anyone
	Right     Right
	Before    Outcome
	After     Outcome
	DependsOn []string // of After
	// Wanted are the statements that the principal's own account must still have
	// for the right; empty when none is wanting or that is not known.
	Wanted []policy.Statement
}

// Comparison is what a change of a repository means for people.
type Comparison struct {
	// Differences are by principal in byte order, then by right in the order of
	// Rights.
	Differences []Difference
	// After are the answers after the change that are not Denied, for Delete and
	// Admin, in byte order of the principals.
	After []Held
	// Absent are the principals that the policy names afterwards and that do not
	// exist.
	Absent []Absent
}

// heldAt is a right in an account.
type heldAt struct {
	account string
	right   Right
}

// Held is a right that a principal has, or may have.
type Held struct {
	Principal string
	Account   string // "" for a service and for Anyone
	Right     Right
	Outcome   Outcome
}

// Absent is a principal that a statement allows something and that does not exist:
// a user or role that an account that was seen has not, or the unique ID that AWS
// puts in the place of one that was deleted.
type Absent struct {
	Principal string
	Statement string // its Sid, or its place such as "#2"
}

// Compare answers every right of every candidate, as WhoCan has them, for a
// repository before a change and after it: of the same registry and name, with
// another policy or other tags. Neither need be in the world. The error says which
// policy cannot be read.
func (p *Prover) Compare(before, after Repository) (Comparison, error) {
	old, err := p.with(before)
	if err != nil {
		return Comparison{}, err
	}
	now, err := p.with(after)
	if err != nil {
		return Comparison{}, err
	}
	// Whoever one side names is asked about on the other as well, and known by what
	// both say.
	both := *p
	both.alsoNaming = []*repository{old, now}
	p = &both
	was := map[string]principal{}
	for _, who := range p.candidates(old, namesOf(now)...) {
		was[who.ARN] = who
	}
	var out Comparison
	able := map[heldAt]bool{} // users and roles who may, by account
	for _, who := range p.candidates(now, namesOf(old)...) {
		if unconcerned(who, old, now) {
			out.After = append(out.After, p.held(who, now)...)
			continue
		}
		for _, right := range Rights() {
			a := answerWith(who, now, actions[right], false)
			account := accountOf(who)
			if a.Outcome != Denied && (right == Delete || right == Admin) {
				out.After = append(out.After, Held{who.ARN, account, right, a.Outcome})
			}
			if a.Outcome != Denied && a.Outcome != Partly && who.caller.Type != policy.RootUser {
				able[heldAt{who.caller.Account, right}] = true
			}
			b := answerWith(was[who.ARN], old, actions[right], false)
			if a.Outcome == b.Outcome {
				continue
			}
			d := Difference{Principal: who.ARN, Account: account, Right: right, Before: b.Outcome, After: a.Outcome}
			for _, x := range a.Actions {
				d.DependsOn = append(d.DependsOn, x.DependsOn...)
			}
			slices.Sort(d.DependsOn)
			d.DependsOn = slices.Compact(d.DependsOn)
			if a.Outcome != Denied && d.Account != "" && d.Account != string(after.In.Account) {
				d.Wanted = lackingAtHome(who, now, a)
			}
			out.Differences = append(out.Differences, d)
		}
	}
	// A grant to an account that was seen is its root user's alone, until a policy
	// there passes it on.
	for i := range out.Differences {
		d := &out.Differences[i]
		if root := d.Account != "" && policy.AccountOf(d.Principal) == d.Account; !root || d.After == Denied || d.Wanted != nil ||
			d.Account == string(after.In.Account) || able[heldAt{d.Account, d.Right}] {
			continue
		}
		if who, err := now.peopleOf(d.Account, d.Account); err == nil {
			d.Wanted = lackingAtHome(who, now, answer(who, now, actions[d.Right]))
		}
	}
	out.Absent = p.absent(now)
	return out, nil
}

func accountOf(who principal) string {
	if who.ARN == Anyone || who.caller.Type == policy.Service {
		return ""
	}
	return who.caller.Account
}

// heldIn is a principal in a registry.
type heldIn struct {
	principal string
	in        ecr.RegistryID
}

// held are the rights to delete and administer that who has in r, whose own policy
// does not name them. Of most principals they are the same in every repository.
func (p *Prover) held(who principal, r *repository) []Held {
	key := heldIn{who.ARN, r.In}
	if known, ok := p.powers.Load(key); ok {
		return known.([]Held)
	}
	var out []Held
	for _, right := range []Right{Delete, Admin} {
		if a := answerWith(who, r, actions[right], false); a.Outcome != Denied {
			out = append(out, Held{who.ARN, accountOf(who), right, a.Outcome})
		}
	}
	if everywhere(who, r) {
		p.powers.Store(key, out)
	}
	return out
}

// unconcerned reports whether what changes in a repository is nothing to who: neither
// policy can name them, and the tags stay or do not matter.
func unconcerned(who principal, old, now *repository) bool {
	return !who.people && who.known && !mayName(old, who) && !mayName(now, who) && (maps.Equal(old.Tags, now.Tags) || everywhere(who, now))
}

// mayName reports whether a statement of r's own policy may be about who. It is on
// the safe side: what is not plainly another principal may be this one.
func mayName(r *repository, who principal) bool {
	if r.own == nil {
		return false
	}
	last := func(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }
	for _, s := range r.own.doc.Statements {
		if s.Principal.Everyone || !s.NotPrincipal.IsZero() || len(s.Principal.Federated)+len(s.Principal.CanonicalUser) > 0 {
			return true
		}
		for _, name := range s.Principal.AWS {
			account := accountIn(name)
			other := account != "" && (account != who.caller.Account ||
				policy.AccountOf(name) == "" && strings.Contains(name, ":iam:") && !strings.Contains(name, "*") && last(name) != last(who.ARN))
			if !other {
				return true
			}
		}
	}
	return false
}

// everywhere reports whether the policies of who say the same of all repositories of
// r's registry.
func everywhere(who principal, r *repository) bool {
	docs := make([]policy.Document, 0, len(who.identity)+2)
	for _, n := range who.identity {
		docs = append(docs, n.doc)
	}
	for _, n := range []*named{who.boundary, r.registry.policy} {
		if n != nil {
			docs = append(docs, n.doc)
		}
	}
	return !slices.ContainsFunc(docs, func(d policy.Document) bool { return slices.ContainsFunc(d.Statements, tellsRepositories) })
}

// tellsRepositories reports whether a statement may treat repositories differently.
func tellsRepositories(s policy.Statement) bool {
	elsewhere := s.NotAction == nil && !slices.ContainsFunc(s.Action, func(a string) bool {
		service, _, _ := strings.Cut(a, ":")
		return strings.ContainsAny(service, "*?") || strings.EqualFold(service, "ecr")
	})
	return !elsewhere && (s.NotResource != nil || len(s.Condition) > 0 || slices.ContainsFunc(s.Resource, func(r string) bool { return r != "*" }))
}

// with is the repository in the world of p.
func (p *Prover) with(r Repository) (*repository, error) {
	out := repository{Repository: r, registry: p.registries[r.In], image: p.image}
	if r.Policy != "" {
		n, err := compile("repository policy", r.Policy)
		if err != nil {
			return nil, err
		}
		out.own = &n
	}
	return &out, nil
}

func namesOf(r *repository) []string {
	var names []string
	for _, doc := range r.documents() {
		names = append(names, namesIn(doc)...)
	}
	return names
}

// lackingAtHome are the statements that the own account of who must have for what
// an answer leaves open: all of its actions whose policies there were not seen, and
// those that lack there.
func lackingAtHome(who principal, r *repository, a Answer) []policy.Statement {
	var missing []access.Action
	for _, x := range a.Actions {
		if x.Outcome == Unseen && who.Unseen != "" || x.Outcome == Denied && slices.Contains(x.Lacking, policy.IdentityBased) {
			missing = append(missing, x.Action)
		}
	}
	return statements(who, r, policy.IdentityBased, missing)
}

// uniqueID is what AWS leaves of a principal that was deleted: "AIDA..." of a user,
// "AROA..." of a role (IAM user guide, "Understanding unique ID prefixes").
var uniqueID = lazyregexp.New(`^A(IDA|ROA|GPA|NPA)[A-Z0-9]{12,}$`)

// absent looks at the statements that allow something.
func (p *Prover) absent(r *repository) []Absent {
	var out []Absent
	if r.own == nil {
		return nil
	}
	for i, s := range r.own.doc.Statements {
		if s.Effect != policy.Allow {
			continue
		}
		for _, name := range s.Principal.AWS {
			if !p.isAbsent(name) {
				continue
			}
			at := s.Sid
			if at == "" {
				at = "#" + strconv.Itoa(i+1)
			}
			out = append(out, Absent{name, at})
		}
	}
	return out
}

func (p *Prover) isAbsent(name string) bool {
	if uniqueID.MatchString(name) {
		return !slices.ContainsFunc(p.principals, func(one principal) bool { return one.UniqueID == name })
	}
	one, err := p.principal(name)
	return err == nil && one.missing
}
