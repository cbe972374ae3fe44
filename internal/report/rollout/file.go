package rollout

import (
	"encoding/json"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/leasetags"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Outputs is what other tools need to know of registries.
type Outputs struct {
	Registries []RegistryOutput `json:"registries"`
}

// RegistryOutput is one registry of Outputs.
type RegistryOutput struct {
	Name    string        `json:"name"`
	Account ecr.AccountID `json:"account"`
	Region  ecr.Region    `json:"region"`
	// Host is the registry's host, with a port if it needs one: what stands
	// before the first slash of an image's name.
	Host         string             `json:"host"`
	Repositories []RepositoryOutput `json:"repositories"`
}

// RepositoryOutput is one repository of a RegistryOutput.
type RepositoryOutput struct {
	Name ecr.RepositoryName `json:"name"`
	URI  string             `json:"uri"` // host/name
	ARN  string             `json:"arn"`
}

// NewRegistryOutput fills in URIs and ARNs of names in the registry id at host.
func NewRegistryOutput(target string, id ecr.RegistryID, host string, names []ecr.RepositoryName) RegistryOutput {
	o := RegistryOutput{Name: target, Account: id.Account, Region: id.Region, Host: host, Repositories: []RepositoryOutput{}}
	for _, n := range names {
		o.Repositories = append(o.Repositories, RepositoryOutput{Name: n, URI: host + "/" + string(n), ARN: id.RepositoryARN(n)})
	}
	return o
}

// Settings is what a file asks for.
type Settings struct {
	Stack        string               `json:"stack"`
	Repositories []RepositorySettings `json:"repositories"`
	Templates    []TemplateSettings   `json:"templates,omitempty"`
	Upstreams    []UpstreamSettings   `json:"upstreams,omitempty"`
	Signers      []SignerSettings     `json:"signers,omitempty"`
	Receivers    []ReceiverSettings   `json:"event_receivers,omitempty"`
	// Replication is null where the file has none.
	Replication *plan.Replication `json:"replication,omitempty"`
}

// SignerSettings is what a file asks for in one signer.
type SignerSettings struct {
	Name         string   `json:"name"`
	Repositories []string `json:"repositories,omitempty"`
	KnownBy      string   `json:"known_by,omitempty"`
	Removed      bool     `json:"removed,omitempty"`
}

// ReceiverSettings is what a file asks for in one receiver of events.
type ReceiverSettings struct {
	Name    string `json:"name"`
	Removed bool   `json:"removed,omitempty"`
	plan.EventReceiver
}

// TemplateSettings is what a file asks for in one repository creation template.
type TemplateSettings struct {
	Prefix      string               `json:"prefix"`
	Description string               `json:"description"` // with the mark of the stack
	AppliedFor  []ecr.CreationReason `json:"applied_for"`
	RoleARN     string               `json:"role_arn,omitempty"`
	// Settings are those of the repositories; their Repository is "team/*".
	Settings RepositorySettings `json:"settings"`
}

// UpstreamSettings is what a file asks for in one pull-through cache rule.
type UpstreamSettings struct {
	Prefix         string `json:"prefix"`
	Registry       string `json:"registry"`
	UpstreamPrefix string `json:"upstream_prefix"`
	Credential     string `json:"credential,omitempty"`
	RoleARN        string `json:"role_arn,omitempty"`
	Removed        bool   `json:"removed,omitempty"`
}

// RepositorySettings is what a file asks for in one repository.
type RepositorySettings struct {
	Repository ecr.RepositoryName `json:"repository"`
	Mutability plan.Mutability    `json:"mutability"`
	Tags       map[string]string  `json:"tags"`
	// Nil for what is left as it is.
	ScanOnPush *bool       `json:"scan_on_push"`
	Encryption *Encryption `json:"encryption"`
	// The documents themselves, null for none.
	Policy    json.RawMessage `json:"policy"`
	Lifecycle json.RawMessage `json:"lifecycle"`
}

// Encryption is how a repository is encrypted.
type Encryption struct {
	Type   string `json:"type"`
	KMSKey string `json:"kms_key,omitempty"`
}

// String is "KMS KEY".
func (e Encryption) String() string { return strings.TrimSpace(e.Type + " " + e.KMSKey) }

// NewSettings is what d asks for. Its policies are JSON.
func NewSettings(d state.Desired) Settings {
	out := Settings{Stack: d.Stack, Repositories: []RepositorySettings{}}
	for _, r := range d.Repositories {
		out.Repositories = append(out.Repositories, newRepositorySettings(r))
	}
	for _, t := range d.Wanted.Templates {
		out.Templates = append(out.Templates, TemplateSettings{
			Prefix: t.Prefix, Description: state.Marked(t.Description, t.Stack), AppliedFor: t.AppliedFor, RoleARN: t.RoleARN, Settings: newRepositorySettings(t.Repository),
		})
	}
	for _, u := range d.Wanted.Upstreams {
		out.Upstreams = append(out.Upstreams, UpstreamSettings{u.Prefix, u.Host, u.UpstreamPrefix, u.Credential, u.RoleARN, u.Removed})
	}
	for _, g := range d.Wanted.Signers {
		x := SignerSettings{Name: g.Name, Repositories: g.Repositories, Removed: g.Removed}
		if !g.Removed {
			x.KnownBy = g.Known()
		}
		out.Signers = append(out.Signers, x)
	}
	for _, r := range d.Wanted.Receivers {
		out.Receivers = append(out.Receivers, ReceiverSettings{r.Name, r.Removed, plan.EventReceiverOf(r)})
	}
	if r := d.Wanted.Replication; r != nil {
		x := plan.ReplicationOf(*r)
		out.Replication = &x
	}
	return out
}

func newRepositorySettings(r state.Repository) RepositorySettings {
	raw := func(doc string) json.RawMessage {
		if doc == "" {
			return json.RawMessage("null")
		}
		return json.RawMessage(doc)
	}
	tags := r.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	s := RepositorySettings{
		Repository: r.Name, Tags: tags, ScanOnPush: r.ScanOnPush,
		Mutability: plan.Mutability{Mode: r.Mutability.Mode, Filters: r.Mutability.Filters},
		Policy:     raw(r.Policy), Lifecycle: raw(r.Lifecycle),
	}
	if r.Encryption != nil {
		s.Encryption = &Encryption{r.Encryption.Type, r.Encryption.KMSKey}
	}
	return s
}

// Fields is what the manual says of the fields of a file.
type Fields struct {
	Fields []Field `json:"fields"`
}

// Field is one field. The texts are Markdown.
type Field struct {
	Field    string   `json:"field"`
	Where    string   `json:"where"`
	Type     string   `json:"type"`
	Required bool     `json:"required"`
	Summary  string   `json:"summary"`
	Default  string   `json:"default"`
	Becomes  string   `json:"becomes"`
	Limit    string   `json:"limit"`
	Details  []string `json:"details"`
	Example  string   `json:"example"`
}

// NewFields is what the manual says of each field of list.
func NewFields(list []fields.Field) Fields {
	out := Fields{[]Field{}}
	for _, f := range list {
		details := f.Details
		if details == nil {
			details = []string{}
		}
		out.Fields = append(out.Fields, Field{
			f.ID(), f.Where(), f.Type, f.Required, f.Summary, f.Default, f.Becomes, f.Limit, details, f.Example,
		})
	}
	return out
}

// LeaseChanges is what keeps the images in use of repositories alive.
type LeaseChanges struct {
	Repositories []leasetags.Change `json:"repositories"`
	Applied      bool               `json:"applied"`
}

// Counts are how many images get tags, have them, lose them, and go.
func (c LeaseChanges) Counts() (add, kept, remove, expire int) {
	for _, r := range c.Repositories {
		add, kept, remove, expire = add+len(r.Add), kept+len(r.Kept), remove+len(r.Remove), expire+len(r.Expire)
	}
	return add, kept, remove, expire
}
