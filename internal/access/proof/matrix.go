package proof

import (
	"maps"
	"slices"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// WhoCan answers the question for every principal that may, or may under
// conditions, or may if what was not seen allows it: those of the world, and
// those that the policies of the repository and its registry name, also in
// conditions. The 12 digits of an account represent its users and roles where
// they were not seen, else for its root user; Anyone represents every other
// account.
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

// Matrix is the outcome for each principal, repository and right.
type Matrix struct {
	Principals   []string // in byte order, and Anyone last
	Repositories []string // ARNs, in the world's order
	// Cells are by principal, then repository, then right, in the order of
	// Rights.
	Cells [][][]Outcome
}

// Matrix answers everything.
func (p *Prover) Matrix() Matrix {
	var m Matrix
	// What a repository's policies name, the others are asked about as well; how
	// much is known of them differs.
	byName := make([]map[string]principal, len(p.repositories))
	names := map[string]bool{}
	for i := range p.repositories {
		m.Repositories = append(m.Repositories, p.repositories[i].ARN())
		byName[i] = map[string]principal{}
		for _, who := range p.candidates(&p.repositories[i]) {
			byName[i][who.ARN] = who
			names[who.ARN] = who.ARN != Anyone
		}
	}
	for name, named := range names {
		if !named {
			delete(names, name)
		}
	}
	m.Principals = append(slices.Sorted(maps.Keys(names)), Anyone)
	for _, name := range m.Principals {
		row := make([][]Outcome, len(p.repositories))
		for i := range p.repositories {
			r := &p.repositories[i]
			who, ok := byName[i][name]
			if !ok {
				var err error
				if who, err = p.candidate(name, r); err != nil {
					panic(err) // it was a candidate elsewhere
				}
			}
			for _, right := range Rights() {
				row[i] = append(row[i], answer(who, r, actions[right]).Outcome)
			}
		}
		m.Cells = append(m.Cells, row)
	}
	return m
}
