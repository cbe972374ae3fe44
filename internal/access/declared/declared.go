// Package declared makes the identities of a server as a file says: users with
// policies and keys, roles, managed policies and OpenID Connect issuers, of
// one account or several.
//
// It guarantees that applying a file twice changes nothing the second time,
// that what the file names is afterwards as the file says (policies, tags and
// boundaries it does not name are taken away from it), and that what the file
// does not name stays. Secrets are never part of an error.
//
// The form is this project's own; docs/access.md describes it.
package declared

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
	"github.com/kontor-registry/kontor/internal/textfile"
)

// maxFile bounds a file, in bytes.
const maxFile = 4 << 20

// File is what a file says.
type File struct {
	Identities []Account `yaml:"identities"`
	// Organizations say which accounts belong together, for conditions such as
	// aws:PrincipalOrgID.
	Organizations []Organization `yaml:"organizations"`
}

// Organization is one of AWS Organizations, for example "o-exampleorgid".
type Organization struct {
	ID       string   `yaml:"id"`
	Accounts []string `yaml:"accounts"`
}

// AccountsOf says which organization each account is in; nil without any.
func (f File) AccountsOf() access.Organizations {
	if len(f.Organizations) == 0 {
		return nil
	}
	of := access.Organizations{}
	for _, o := range f.Organizations {
		for _, a := range o.Accounts {
			of[ecr.AccountID(a)] = o.ID
		}
	}
	return of
}

// Account holds the identities of one account.
type Account struct {
	ID       string   `yaml:"account"` // "" for the default
	Policies []Policy `yaml:"policies"`
	Users    []User   `yaml:"users"`
	Roles    []Role   `yaml:"roles"`
	Issuers  []Issuer `yaml:"oidc"`
}

// Policy is a managed policy.
type Policy struct {
	Name        string            `yaml:"name"`
	Path        string            `yaml:"path"`
	Description string            `yaml:"description"`
	Document    Document          `yaml:"document"`
	Tags        map[string]string `yaml:"tags"`
}

// User is a user. Policies and Boundary are names of managed policies, of the
// account or of AWS, or ARNs. Without Keys, the server makes one.
type User struct {
	Name     string              `yaml:"name"`
	Path     string              `yaml:"path"`
	Policies []string            `yaml:"policies"`
	Inline   map[string]Document `yaml:"inline"`
	Boundary string              `yaml:"boundary"`
	Tags     map[string]string   `yaml:"tags"`
	Keys     []Key               `yaml:"access_keys"`
}

// Key is an access key. Its secret stands in one of three places.
type Key struct {
	ID         string `yaml:"id"`
	Secret     string `yaml:"secret"`
	SecretEnv  string `yaml:"secret_env"`  // the name of a variable
	SecretFile string `yaml:"secret_file"` // the name of a file
}

// Role is a role.
type Role struct {
	Name        string              `yaml:"name"`
	Path        string              `yaml:"path"`
	Description string              `yaml:"description"`
	Trust       Document            `yaml:"trust"`
	MaxSession  string              `yaml:"max_session"` // such as "2h"
	Policies    []string            `yaml:"policies"`
	Inline      map[string]Document `yaml:"inline"`
	Boundary    string              `yaml:"boundary"`
	Tags        map[string]string   `yaml:"tags"`
}

// Issuer is an OpenID Connect identity provider.
type Issuer struct {
	URL       string   `yaml:"url"`
	Audiences []string `yaml:"audiences"`
}

// Document is the text of a policy. In the file it is that text, or the same
// as a mapping.
type Document string

// UnmarshalYAML implements yaml.InterfaceUnmarshaler.
func (d *Document) UnmarshalYAML(unmarshal func(any) error) error {
	var v any
	if err := unmarshal(&v); err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		*d = Document(v)
	case map[string]any:
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		*d = Document(text)
	default:
		return fmt.Errorf("want a policy, as a mapping or as JSON in a string")
	}
	return nil
}

// Load reads the file called name; nothing for "".
func Load(name string) (f File, err error) {
	if name == "" {
		return f, nil
	}
	text, err := os.ReadFile(filepath.Clean(name))
	if err == nil {
		text, err = textfile.Decode(text)
	}
	if err != nil {
		return f, err
	}
	if f, err = Parse(text); err != nil {
		return f, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

// Parse reads a file, YAML or JSON. Errors say line and column.
func Parse(text []byte) (File, error) {
	if len(text) > maxFile {
		return File{}, fmt.Errorf("longer than %d bytes", maxFile)
	}
	var f File
	if err := yaml.UnmarshalWithOptions(text, &f, yaml.Strict()); err != nil {
		// Without the excerpt, which may show a secret.
		return File{}, fmt.Errorf("%s", strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	return f, f.check()
}

var (
	keyPattern = lazyregexp.New(`^AKIA[A-Z0-9]{12,124}$`)
	// AWS Organizations API reference, Organization.
	organizationPattern = lazyregexp.New(`^o-[a-z0-9]{10,32}$`)
	secretPattern       = lazyregexp.New(`^[\x21-\x7e]{16,128}$`)
)

// check says what is wrong that IAM would not.
func (f File) check() error {
	seen := map[string]bool{}
	twice := func(what, name string) error {
		if name == "" {
			return fmt.Errorf("%s without a name", what)
		}
		id := what + " " + strings.ToLower(name)
		if seen[id] {
			return fmt.Errorf("%s %s is there twice", what, name)
		}
		seen[id] = true
		return nil
	}
	for _, o := range f.Organizations {
		if !organizationPattern.MatchString(o.ID) {
			return fmt.Errorf("organization %q: want an id such as o-exampleorgid", o.ID)
		}
		if err := twice("organization", o.ID); err != nil {
			return err
		}
		for _, a := range o.Accounts {
			if _, err := ecr.ParseAccountID(a); err != nil {
				return fmt.Errorf("organization %s: account %q: %w", o.ID, a, err)
			}
			if err := twice("account of an organization", a); err != nil {
				return err
			}
		}
	}
	for _, a := range f.Identities {
		at := ""
		if a.ID != "" {
			if _, err := ecr.ParseAccountID(a.ID); err != nil {
				return fmt.Errorf("account %q: %w", a.ID, err)
			}
			at = " of account " + a.ID
		}
		for _, p := range a.Policies {
			if err := twice("policy"+at, p.Name); err != nil {
				return err
			}
		}
		for _, u := range a.Users {
			if err := twice("user"+at, u.Name); err != nil {
				return err
			}
			for _, k := range u.Keys {
				if err := k.Check(); err != nil {
					return fmt.Errorf("user %s: %w", u.Name, err)
				}
				if err := twice("access key", k.ID); err != nil {
					return err
				}
			}
		}
		for _, r := range a.Roles {
			if err := twice("role"+at, r.Name); err != nil {
				return err
			}
			if _, err := r.maxSession(); err != nil {
				return err
			}
		}
		for _, i := range a.Issuers {
			if err := twice("oidc"+at, i.URL); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r Role) maxSession() (time.Duration, error) {
	if r.MaxSession == "" {
		return time.Hour, nil
	}
	d, err := time.ParseDuration(r.MaxSession)
	if err != nil || d%time.Second != 0 {
		return 0, fmt.Errorf("role %s: max_session %q is not a duration such as 2h", r.Name, r.MaxSession)
	}
	return d, nil
}

// Check finds what an access key cannot be.
func (k Key) Check() error {
	given := 0
	for _, s := range []string{k.Secret, k.SecretEnv, k.SecretFile} {
		if s != "" {
			given++
		}
	}
	switch {
	case !keyPattern.MatchString(k.ID):
		return fmt.Errorf("access key %q: want AKIA and at least 12 more of A-Z and 0-9", k.ID)
	case given != 1:
		return fmt.Errorf("access key %s: give one of secret, secret_env and secret_file", k.ID)
	case k.Secret != "" && !secretPattern.MatchString(k.Secret):
		return fmt.Errorf("access key %s: a secret has 16 to 128 printable characters without spaces", k.ID)
	}
	return nil
}

// credentials reads the secret.
func (k Key) credentials(getenv func(string) string) (identity.Credentials, error) {
	secret := k.Secret
	switch {
	case k.SecretEnv != "":
		secret = getenv(k.SecretEnv)
	case k.SecretFile != "":
		text, err := os.ReadFile(k.SecretFile)
		if err != nil {
			return identity.Credentials{}, fmt.Errorf("access key %s: %w", k.ID, err)
		}
		secret = strings.TrimSpace(string(text))
	}
	if !secretPattern.MatchString(secret) {
		return identity.Credentials{}, fmt.Errorf("access key %s: %s%s holds no secret of 16 to 128 printable characters", k.ID, k.SecretEnv, k.SecretFile)
	}
	return identity.Credentials{AccessKeyID: k.ID, SecretAccessKey: secret}, nil
}
