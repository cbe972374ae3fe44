package render

import (
	"io"
	"strings"

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
	for i, r := range d.Repositories {
		if i > 0 {
			pr.linef(plain, "")
		}
		pr.linef(bold, "%s", r.Repository)
		rows := [][2]string{{"tag mutability", clean(rollout.TagMode(r.Mutability))}}
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
