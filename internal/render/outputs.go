package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Outputs is what other tools need to know of one registry. The field names
// of its JSON form are published.
type Outputs struct {
	Name    string        `json:"name"`
	Account ecr.AccountID `json:"account"`
	Region  ecr.Region    `json:"region"`
	// Host is the registry's host, with a port if it needs one: what stands
	// before the first slash of an image's name.
	Host         string             `json:"host"`
	Repositories []RepositoryOutput `json:"repositories"`
}

// RepositoryOutput is one repository of Outputs.
type RepositoryOutput struct {
	Name ecr.RepositoryName `json:"name"`
	URI  string             `json:"uri"` // host/name
	ARN  string             `json:"arn"`
}

// NewOutputs fills in URIs and ARNs of names in the registry id at host.
func NewOutputs(target string, id ecr.RegistryID, host string, names []ecr.RepositoryName) Outputs {
	o := Outputs{Name: target, Account: id.Account, Region: id.Region, Host: host, Repositories: []RepositoryOutput{}}
	for _, n := range names {
		o.Repositories = append(o.Repositories, RepositoryOutput{Name: n, URI: host + "/" + string(n), ARN: id.RepositoryARN(n)})
	}
	return o
}

// OutputsText writes a table for each registry.
func OutputsText(w io.Writer, all []Outputs, o Options) error {
	pr := newPrinter(o)
	for i, r := range all {
		if i > 0 {
			pr.linef(plain, "")
		}
		pr.linef(bold, "%s  %s", clean(r.Name), r.Host)
		rows := make([][2]string, len(r.Repositories))
		for i, x := range r.Repositories {
			rows[i] = [2]string{x.URI, x.ARN}
		}
		for _, l := range align("  ", rows) {
			pr.linef(plain, "%s", l)
		}
	}
	return pr.flush(w)
}

// OutputsJSON writes {"registries": [...]}.
func OutputsJSON(w io.Writer, all []Outputs) error {
	if all == nil {
		all = []Outputs{}
	}
	return JSON(w, struct {
		Registries []Outputs `json:"registries"`
	}{all})
}

// OutputsEnv writes lines of KEY=value that a shell and docker's --env-file
// read: KONTOR_REGISTRY, KONTOR_ACCOUNT, KONTOR_REGION, and for each
// repository its URI as KONTOR_URI_NAME and ARN as KONTOR_ARN_NAME, the name
// in upper case with '_' for all else. Values need no quoting: they hold
// letters, digits and "./:_-". Two repositories of the same variable are an
// error.
func OutputsEnv(w io.Writer, r Outputs) error {
	pr := newPrinter(Options{})
	pr.linef(plain, "KONTOR_REGISTRY=%s", r.Host)
	pr.linef(plain, "KONTOR_ACCOUNT=%s", r.Account)
	pr.linef(plain, "KONTOR_REGION=%s", r.Region)
	seen := map[string]ecr.RepositoryName{}
	for _, x := range r.Repositories {
		name := variable(x.Name)
		if other, ok := seen[name]; ok {
			return fmt.Errorf("repositories %s and %s both become the variable KONTOR_URI_%s: use --json", other, x.Name, name)
		}
		seen[name] = x.Name
		pr.linef(plain, "KONTOR_URI_%s=%s", name, x.URI)
		pr.linef(plain, "KONTOR_ARN_%s=%s", name, x.ARN)
	}
	return pr.flush(w)
}

func variable(n ecr.RepositoryName) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(string(n)))
}
