package render

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
)

// Progress writes one line for what became of a repository.
func Progress(w io.Writer, r deploy.RepositoryResult, o Options) error {
	pr := newPrinter(o)
	switch r.Status {
	case deploy.StatusDone:
		c := yellow
		if r.Op == plan.OpCreate {
			c = green
		}
		pr.linef(c, "%s: %s", r.Repository, past(r))
	case deploy.StatusMoved:
		pr.linef(red, "%s: not changed: %s", r.Repository, clean(r.Error))
	case deploy.StatusSkipped:
		pr.linef(yellow, "%s: not changed: %s", r.Repository, clean(r.Error))
	default:
		pr.linef(red, "%s: failed: %s", r.Repository, clean(r.Error))
		if len(r.Done) > 0 {
			pr.linef(plain, "    done: %s", steps(r.Done))
		}
		if len(r.Left) > 0 {
			pr.linef(plain, "    not done: %s", steps(r.Left))
		}
	}
	return pr.flush(w)
}

// past is what was done, in a word or two.
func past(r deploy.RepositoryResult) string {
	if len(r.Done) == 0 {
		return "already done"
	}
	switch r.Op {
	case plan.OpCreate:
		return "created"
	case plan.OpAdopt:
		return "adopted"
	}
	return "updated " + steps(r.Done)
}

func steps(ss []deploy.Step) string {
	words := make([]string, len(ss))
	for i, s := range ss {
		switch s {
		case deploy.StepPolicy:
			words[i] = "repository policy"
		case deploy.StepLifecycle:
			words[i] = "lifecycle policy"
		case deploy.StepDeletePolicy:
			words[i] = "repository policy (removed)"
		case deploy.StepDeleteLifecycle:
			words[i] = "lifecycle policy (removed)"
		case deploy.StepMutability:
			words[i] = "tag mutability"
		case deploy.StepTags:
			words[i] = "resource tags"
		default:
			words[i] = string(s)
		}
	}
	return strings.Join(words, ", ")
}

// Result writes the counts of r in one line.
func Result(w io.Writer, r deploy.Result, o Options) error {
	pr := newPrinter(o)
	line := fmt.Sprintf("Applied: %s done", count(r.Count(deploy.StatusDone), "repository", "repositories"))
	c := green
	for _, x := range []struct {
		n    int
		what string
	}{
		{r.Count(deploy.StatusFailed), "failed"},
		{r.Count(deploy.StatusMoved), "moved since the plan"},
		{r.Count(deploy.StatusSkipped), "not reached"},
	} {
		if x.n > 0 {
			line += fmt.Sprintf(", %d %s", x.n, x.what)
			c = red
		}
	}
	pr.linef(c, "%s.", line)
	return pr.flush(w)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
