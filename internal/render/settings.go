package render

import (
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/report/rollout"
)

// Settings writes what a file asks for, repository by repository.
func Settings(w io.Writer, s rollout.Settings, o Options) error {
	pr := newPrinter(o)
	pr.settings(s)
	return pr.flush(w)
}

// SettingsByTarget is Settings for each target of d.
func SettingsByTarget(w io.Writer, d state.Desired, o Options) error {
	pr := newPrinter(o)
	for i, t := range d.Targets {
		if i > 0 {
			pr.linef(plain, "")
		}
		pr.linef(bold, "registry %s, account %s in %s", clean(t.Name), t.Registry.Account, t.Registry.Region)
		pr.linef(plain, "")
		pr.settings(rollout.NewSettings(d.For(t)))
	}
	return pr.flush(w)
}

func (pr *printer) settings(d rollout.Settings) {
	first := true
	head := func(format string, args ...any) {
		if !first {
			pr.linef(plain, "")
		}
		first = false
		pr.linef(bold, format, args...)
	}
	for _, r := range d.Repositories {
		head("%s", r.Repository)
		pr.repositorySettings(r, nil)
	}
	for _, t := range d.Templates {
		head("template %s", clean(state.Below(t.Prefix)))
		rows := [][2]string{{"description", clean(t.Description)}, {"applied for", clean(plan.Reasons(t.AppliedFor))}}
		if t.RoleARN != "" {
			rows = append(rows, [2]string{"role", clean(t.RoleARN)})
		}
		pr.repositorySettings(t.Settings, rows)
	}
	for _, u := range d.Upstreams {
		head("upstream %s", clean(state.Below(u.Prefix)))
		rows := [][2]string{{"registry", clean(u.Registry)}, {"upstream prefix", clean(u.UpstreamPrefix)}}
		for _, f := range [][2]string{{"credential", u.Credential}, {"role", u.RoleARN}} {
			if f[1] != "" {
				rows = append(rows, [2]string{f[0], clean(f[1])})
			}
		}
		if u.Removed {
			rows = append(rows, [2]string{"removed", "yes"})
		}
		for _, l := range align("  ", rows) {
			pr.linef(plain, "%s", l)
		}
	}
	if r := d.Replication; r != nil {
		head("replication")
		rows := [][2]string{}
		for _, x := range r.Rules {
			rows = append(rows, [2]string{"rule", clean(x.String())})
		}
		for _, to := range sortedKeys(r.Options) {
			rows = append(rows, [2]string{"to " + clean(to), clean(r.Options[to].String())})
		}
		if len(rows) == 0 {
			rows = append(rows, [2]string{"rules", "none"})
		}
		for _, l := range align("  ", rows) {
			pr.linef(plain, "%s", l)
		}
	}
	for _, r := range d.Receivers {
		head("event receiver %s", clean(r.Name))
		rows := [][2]string{{"removed", "yes"}}
		if !r.Removed {
			told := r.State(r.Name)
			rows = [][2]string{{"url", clean(r.URL)}, {"format", clean(r.Format)}, {"told of", clean(told.Told())}}
			if r.SecretEnv != "" {
				rows = append(rows, [2]string{"secret", "of the environment variable " + clean(r.SecretEnv)})
			}
		}
		for _, l := range align("  ", rows) {
			pr.linef(plain, "%s", l)
		}
	}
	for _, g := range d.Signers {
		head("signer %s", clean(g.Name))
		rows := [][2]string{{"removed", "yes"}}
		if !g.Removed {
			rows = [][2]string{{"known by", clean(g.KnownBy)}, {"trusted in", Where(g.Repositories)}}
		}
		for _, l := range align("  ", rows) {
			pr.linef(plain, "%s", l)
		}
	}
}

// repositorySettings writes the settings of a repository, after rows.
func (pr *printer) repositorySettings(r rollout.RepositorySettings, rows [][2]string) {
	rows = append(rows, [2]string{"tag mutability", clean(rollout.TagMode(r.Mutability))})
	for _, k := range sortedKeys(r.Tags) {
		rows = append(rows, [2]string{"resource tag " + clean(k), clean(r.Tags[k])})
	}
	if r.ScanOnPush != nil {
		rows = append(rows, [2]string{"scan on push", map[bool]string{true: "on", false: "off"}[*r.ScanOnPush]})
	}
	if r.Encryption != nil {
		rows = append(rows, [2]string{"encryption", clean(r.Encryption.String())})
	}
	for _, l := range align("  ", rows) {
		pr.linef(plain, "%s", l)
	}
	pr.text("repository policy", string(r.Policy))
	pr.text("lifecycle policy", string(r.Lifecycle))
}

// text writes a whole document.
func (p *printer) text(name, doc string) {
	if doc == "null" {
		p.linef(plain, "  %s: none", name)
		return
	}
	p.linef(plain, "  %s:", name)
	for _, line := range strings.Split(strings.TrimSuffix(indented(doc), "\n"), "\n") {
		p.linef(plain, "    %s", clean(line))
	}
}
