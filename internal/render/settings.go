package render

import (
	"encoding/json"
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Settings writes what a file asks for, repository by repository.
func Settings(w io.Writer, d state.Desired, o Options) error {
	pr := newPrinter(o)
	pr.settings(d)
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
		pr.settings(d.For(t))
	}
	return pr.flush(w)
}

func (pr *printer) settings(d state.Desired) {
	for i, r := range d.Repositories {
		if i > 0 {
			pr.linef(plain, "")
		}
		pr.linef(bold, "%s", r.Name)
		var rows [][2]string
		rows = append(rows, [2]string{"tag mutability", tagMode(plan.Mutability{Mode: r.Mutability.Mode, Filters: r.Mutability.Filters})})
		for _, k := range sortedKeys(r.Tags) {
			rows = append(rows, [2]string{"resource tag " + clean(k), clean(r.Tags[k])})
		}
		if r.ScanOnPush != nil {
			rows = append(rows, [2]string{"scan on push", map[bool]string{true: "on", false: "off"}[*r.ScanOnPush]})
		}
		if r.Encryption != nil {
			rows = append(rows, [2]string{"encryption", clean(strings.TrimSpace(r.Encryption.Type + " " + r.Encryption.KMSKey))})
		}
		for _, l := range align("  ", rows) {
			pr.linef(plain, "%s", l)
		}
		pr.text("repository policy", r.Policy)
		pr.text("lifecycle policy", r.Lifecycle)
	}
}

// text writes a whole document.
func (p *printer) text(name, doc string) {
	if doc == "" {
		p.linef(plain, "  %s: none", name)
		return
	}
	p.linef(plain, "  %s:", name)
	for _, line := range strings.Split(strings.TrimSuffix(indented(doc), "\n"), "\n") {
		p.linef(plain, "    %s", clean(line))
	}
}

// settingsForm is the published JSON of one repository's settings.
type settingsForm struct {
	Repository ecr.RepositoryName `json:"repository"`
	Mutability plan.Mutability    `json:"mutability"`
	Tags       map[string]string  `json:"tags"`
	// Null for what is left as it is.
	ScanOnPush *bool           `json:"scan_on_push"`
	Encryption *encryptionForm `json:"encryption"`
	// The documents themselves, null for none.
	Policy    json.RawMessage `json:"policy"`
	Lifecycle json.RawMessage `json:"lifecycle"`
}

type encryptionForm struct {
	Type   string `json:"type"`
	KMSKey string `json:"kms_key,omitempty"`
}

// SettingsJSON writes what a file asks for: {"stack", "repositories": [...]},
// the policies as documents.
func SettingsJSON(w io.Writer, d state.Desired) error {
	form := struct {
		Stack        string         `json:"stack"`
		Repositories []settingsForm `json:"repositories"`
	}{d.Stack, []settingsForm{}}
	raw := func(doc string) json.RawMessage {
		if doc == "" {
			return json.RawMessage("null")
		}
		return json.RawMessage(doc)
	}
	for _, r := range d.Repositories {
		tags := r.Tags
		if tags == nil {
			tags = map[string]string{}
		}
		var encryption *encryptionForm
		if r.Encryption != nil {
			encryption = &encryptionForm{r.Encryption.Type, r.Encryption.KMSKey}
		}
		form.Repositories = append(form.Repositories, settingsForm{
			Repository: r.Name, Tags: tags, ScanOnPush: r.ScanOnPush, Encryption: encryption,
			Mutability: plan.Mutability{Mode: r.Mutability.Mode, Filters: r.Mutability.Filters},
			Policy:     raw(r.Policy), Lifecycle: raw(r.Lifecycle),
		})
	}
	return JSON(w, form)
}
