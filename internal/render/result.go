package render

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// Progress writes what became of a repository: a line, and what was done and
// not done of one that failed. One that was not reached is not progress; Result
// names it.
func Progress(w io.Writer, r deploy.RepositoryResult, o Options) error {
	return progressOf(w, "", r, o)
}

// progressOf is Progress with a prefix in each line.
func progressOf(w io.Writer, prefix string, r deploy.RepositoryResult, o Options) error {
	pr := newPrinter(o)
	switch r.Status {
	case deploy.StatusDone:
		c := yellow
		switch r.Op {
		case plan.OpCreate:
			c = green
		case plan.OpDelete:
			c = red
		}
		pr.linef(c, "%s%s: %s", prefix, r.Repository, past(r))
	case deploy.StatusMoved:
		pr.linef(red, "%s%s: not changed: %s", prefix, r.Repository, clean(r.Error))
	case deploy.StatusSkipped:
	default:
		pr.linef(red, "%s%s: failed: %s", prefix, r.Repository, clean(r.Error))
		if len(r.Done) > 0 {
			pr.linef(plain, "%s    done: %s", prefix, steps(r.Done))
		}
		if len(r.Left) > 0 {
			pr.linef(plain, "%s    not done: %s", prefix, steps(r.Left))
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
	case plan.OpDelete:
		return "deleted"
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
		case deploy.StepUntag:
			words[i] = "delete protection"
		case deploy.StepScanning:
			words[i] = "scan on push"
		case deploy.StepTags:
			words[i] = "resource tags"
		default:
			words[i] = string(s)
		}
	}
	return strings.Join(words, ", ")
}

// Result writes the counts of r in one line, and in another the repositories
// that were not reached.
func Result(w io.Writer, r deploy.Result, o Options) error { return ResultOf(w, r, false, o) }

// ResultOf is Result; with several registries it names the one it is about.
func ResultOf(w io.Writer, r deploy.Result, several bool, o Options) error {
	pr := newPrinter(o)
	who, prefix := "Applied", ""
	if several {
		who, prefix = "Applied to "+clean(r.Target.Name), clean(r.Target.Name)+": "
	}
	for _, x := range r.Settings {
		pr.settingResult(prefix, x)
	}
	done := []string{}
	if len(r.Repositories) > 0 || len(r.Settings) == 0 {
		done = append(done, words.Count(r.Count(deploy.StatusDone), "repository", "repositories"))
	}
	if len(r.Settings) > 0 {
		done = append(done, words.Count(r.CountSettings(deploy.StatusDone), "registry setting", "registry settings"))
	}
	line := fmt.Sprintf("%s: %s done", who, strings.Join(done, " and "))
	c := green
	for _, x := range []struct {
		n    int
		what string
	}{
		{r.Count(deploy.StatusFailed) + r.CountSettings(deploy.StatusFailed), "failed"},
		{r.Count(deploy.StatusMoved) + r.CountSettings(deploy.StatusMoved), "moved since the plan"},
		{r.Count(deploy.StatusSkipped) + r.CountSettings(deploy.StatusSkipped), "not reached"},
	} {
		if x.n > 0 {
			line += fmt.Sprintf(", %d %s", x.n, x.what)
			c = red
		}
	}
	pr.linef(c, "%s.", line)
	if names := skipped(r); len(names) > 0 {
		pr.linef(yellow, "    not reached: %s", names)
	}
	return pr.flush(w)
}

// settingResult writes what became of a template or an upstream rule.
func (p *printer) settingResult(prefix string, x deploy.SettingResult) {
	name := string(x.Kind) + " " + state.Below(x.Prefix)
	switch x.Kind {
	case deploy.KindSigner, deploy.KindReceiver:
		name = string(x.Kind) + " " + clean(x.Prefix)
	case deploy.KindReplication:
		name = "replication"
	}
	why := strings.TrimPrefix(clean(x.Error), name+": ")
	name = prefix + name
	switch x.Status {
	case deploy.StatusDone:
		c, past := yellow, map[plan.Op]string{plan.OpCreate: "created", plan.OpAdopt: "adopted", plan.OpDelete: "deleted"}[x.Op]
		switch x.Op {
		case plan.OpCreate:
			c = green
		case plan.OpDelete:
			c = red
		}
		p.linef(c, "%s: %s", name, cmp.Or(past, "updated"))
	case deploy.StatusMoved:
		p.linef(red, "%s: not changed: %s", name, why)
	case deploy.StatusSkipped:
		p.linef(yellow, "%s: not reached", name)
	default:
		p.linef(red, "%s: failed: %s", name, why)
	}
}

// skipped names the repositories that apply did not come to, not all of many.
func skipped(r deploy.Result) string {
	const most = 10
	var names []string
	for _, x := range r.Repositories {
		if x.Status == deploy.StatusSkipped {
			names = append(names, string(x.Repository))
		}
	}
	if n := len(names); n > most {
		return fmt.Sprintf("%s, and %d more (--json names all)", strings.Join(names[:most], ", "), n-most)
	}
	return strings.Join(names, ", ")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
