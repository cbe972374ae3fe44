package proof

import (
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/policy"
)

// Anyone stands for the accounts that nothing names.
const Anyone = "*"

// WhoCan answers the question for every principal that may, or may under
// conditions, or may if its own account allows it: those of the world, and
// those that the policies of the repository and its registry name. Anyone
// stands for every other account.
func (p *Prover) WhoCan(list []access.Action, in ecr.RegistryID, name ecr.RepositoryName) ([]Answer, error) {
	if _, err := p.Check(string(in.Account), nil, in, name); err != nil {
		return nil, err
	}
	var out []Answer
	for i := range p.repositories {
		r := &p.repositories[i]
		if r.In != in || r.Name != name {
			continue
		}
		for _, who := range p.candidates(r) {
			if a := answer(who, r, list); a.Outcome != Denied {
				out = append(out, a)
			}
		}
	}
	return out, nil
}

// candidates are the principals worth asking about, in byte order.
func (p *Prover) candidates(r *repository) []principal {
	out := slices.Clone(p.principals)
	known := map[string]bool{}
	for _, one := range out {
		known[one.ARN] = true
		known[one.caller.ARN] = true
	}
	add := func(arn, why string) {
		if known[arn] {
			return
		}
		one, err := newPrincipal(Principal{ARN: arn, Unseen: why})
		if err != nil || known[one.caller.ARN] {
			return // a unique id of somebody who is gone
		}
		if one.caller.Type != policy.RootUser && slices.Contains(p.seen, one.caller.Account) {
			return // nobody, since all of that account are known
		}
		known[arn], known[one.caller.ARN] = true, true
		out = append(out, one)
	}
	const other = "the policies of its account are not known"
	for _, n := range r.based {
		for _, s := range n.doc.Statements {
			for _, arn := range s.Principal.AWS {
				why := other
				if account := policy.AccountOf(arn); account != "" {
					arn = account
					if slices.Contains(p.seen, account) {
						why = "" // its root user's, as its others are here, too
					}
				}
				if arn != Anyone {
					add(arn, why)
				}
			}
			for _, service := range s.Principal.Service {
				add(service, "")
			}
		}
	}
	anyone := nobodysAccount(out)
	add(anyone, other)
	out[len(out)-1].ARN = Anyone
	slices.SortFunc(out, func(a, b principal) int { return strings.Compare(a.ARN, b.ARN) })
	return out
}

// nobodysAccount is an account that none of list is in.
func nobodysAccount(list []principal) string {
	used := map[string]bool{}
	for _, one := range list {
		used[one.caller.Account] = true
	}
	for id := []byte("999999999999"); ; {
		if !used[string(id)] {
			return string(id)
		}
		for i := len(id) - 1; ; i-- {
			if id[i] > '0' {
				id[i]--
				break
			}
			id[i] = '9'
		}
	}
}

// Matrix is the outcome for each principal, repository and right.
type Matrix struct {
	Principals   []string // in byte order
	Repositories []string // ARNs, in the world's order
	// Cells are by principal, then repository, then right, in the order of
	// Rights.
	Cells [][][]Outcome
}

// Matrix answers everything.
func (p *Prover) Matrix() Matrix {
	var m Matrix
	byName := map[string]principal{}
	for i := range p.repositories {
		m.Repositories = append(m.Repositories, p.repositories[i].ARN())
		for _, who := range p.candidates(&p.repositories[i]) {
			if who.ARN != Anyone {
				byName[who.ARN] = who
			}
		}
	}
	for name := range byName {
		m.Principals = append(m.Principals, name)
	}
	slices.Sort(m.Principals)
	var all []principal
	for _, name := range m.Principals {
		all = append(all, byName[name])
	}
	// Anyone must be nobody in any repository.
	if anyone, err := newPrincipal(Principal{ARN: nobodysAccount(all), Unseen: "any account"}); err == nil {
		anyone.ARN = Anyone
		m.Principals = append(m.Principals, Anyone)
		all = append(all, anyone)
	}
	for _, who := range all {
		row := make([][]Outcome, len(p.repositories))
		for i := range p.repositories {
			for _, right := range Rights() {
				row[i] = append(row[i], answer(who, &p.repositories[i], actions[right]).Outcome)
			}
		}
		m.Cells = append(m.Cells, row)
	}
	return m
}
