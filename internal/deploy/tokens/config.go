package tokens

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/jsonpos"
	"github.com/kontor-registry/kontor/internal/lazyregexp"

	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// Config says how to reach which registry. The zero value knows Amazon ECR by
// its host names.
type Config struct {
	// Entries are asked in order; the first that matches counts.
	Entries []Entry
	// NoCache: nothing is kept in a file.
	NoCache bool
}

// Entry is how to get a password for some hosts.
type Entry struct {
	// Match are host names, with '*' for a part between dots or some of it.
	Match []string
	// Profile of the AWS configuration, RoleARN to assume, Endpoint of the API
	// in place of AWS's. All optional.
	Profile  string
	RoleARN  string
	Endpoint string
	// Region of the registry, where the host's name does not say it.
	Region kecr.Region
	// Account of the registry: the host is a name of one's own for an Amazon
	// ECR registry of Account and Region.
	Account kecr.AccountID
	// Local: the registry of a data folder; Data is the folder, "" for the
	// default.
	Local bool
	Data  string
}

// Find returns the entry for the host.
func (c Config) Find(host string) (Entry, bool) {
	for _, e := range c.Entries {
		if slices.ContainsFunc(e.Match, func(p string) bool { return matches(p, host) }) {
			return e, true
		}
	}
	return Entry{}, false
}

var (
	roleARN = lazyregexp.New(`^arn:aws[a-z0-9-]*:iam::[0-9]{12}:role/[\x21-\x7e]{1,575}$`)
	// A host's name with wildcards, and a port.
	hostPattern = lazyregexp.New(`^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.*?\[\]_-]{1,253})(:[0-9]{1,5})?$`)
)

// maxText bounds each text of a Config.
const maxText = 4096

// ParseConfig reads the JSON form of a Config. The error names the place of
// the first thing that is wrong: "name:line:column: what".
func ParseConfig(name string, b []byte) (Config, error) {
	v, err := jsonpos.Parse(b)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", name, err)
	}
	r := configReader{name: name}
	c := r.config(v)
	return c, r.err
}

// configReader keeps the first error.
type configReader struct {
	name string
	err  error
}

func (r *configReader) wrong(v *jsonpos.Value, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%s:%s: %s", r.name, v.Pos, fmt.Sprintf(format, args...))
	}
}

// members calls f for each member of an object; f returns false for a name it
// does not know.
func (r *configReader) members(v *jsonpos.Value, what, names string, f func(name string, v *jsonpos.Value) bool) {
	if v.Kind != jsonpos.Object {
		r.wrong(v, "want %s, an object", what)
		return
	}
	for _, m := range v.Members {
		if !f(m.Name, m.Value) {
			r.wrong(m.Value, "%s has no field %q: want %s", what, m.Name, names)
		}
	}
}

func (r *configReader) config(v *jsonpos.Value) (c Config) {
	r.members(v, "the file", "hosts or cache", func(name string, v *jsonpos.Value) bool {
		switch name {
		case "cache":
			c.NoCache = !r.boolean(v)
		case "hosts":
			if v.Kind != jsonpos.Array {
				r.wrong(v, "hosts: want a list")
			}
			for _, item := range v.Items {
				c.Entries = append(c.Entries, r.entry(item))
			}
		default:
			return false
		}
		return true
	})
	return c
}

func (r *configReader) entry(v *jsonpos.Value) (e Entry) {
	r.members(v, "an entry of hosts", "match, profile, role_arn, endpoint, region, account, local or data", func(name string, v *jsonpos.Value) bool {
		switch name {
		case "match":
			e.Match = r.patterns(v)
		case "profile":
			e.Profile = r.text(v)
		case "role_arn":
			if e.RoleARN = r.text(v); !roleARN.MatchString(e.RoleARN) {
				r.wrong(v, "role_arn: want the ARN of a role")
			}
		case "endpoint":
			e.Endpoint = r.text(v)
			if err := checkEndpoint(e.Endpoint); err != nil {
				r.wrong(v, "endpoint: %v", err)
			}
		case "region":
			region, err := kecr.ParseRegion(r.text(v))
			if err != nil {
				r.wrong(v, "%v", err)
			}
			e.Region = region
		case "account":
			account, err := kecr.ParseAccountID(r.text(v))
			if err != nil {
				r.wrong(v, "%v", err)
			}
			e.Account = account
		case "local":
			e.Local = r.boolean(v)
		case "data":
			e.Data = r.text(v)
		default:
			return false
		}
		return true
	})
	switch {
	case r.err != nil:
	case len(e.Match) == 0:
		r.wrong(v, "an entry of hosts needs match, the hosts that it is for")
	case e.Local && (e.Endpoint != "" || e.Profile != "" || e.RoleARN != "" || e.Account != "" || e.Region != ""):
		r.wrong(v, "local is a registry of this machine: leave out profile, role_arn, endpoint, region and account")
	case e.Data != "" && !e.Local:
		r.wrong(v, "data is the folder of a local registry: set local, too")
	case e.Account != "" && e.Region == "":
		r.wrong(v, "account needs region, too")
	case e.Account != "" && e.Endpoint != "":
		r.wrong(v, "account is for Amazon ECR, endpoint for another server: set only one of them")
	case e.Endpoint != "" && e.Region == "":
		r.wrong(v, "endpoint needs region, too")
	}
	return e
}

func checkEndpoint(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("want a URL such as https://registry.example")
	case u.User != nil:
		return errors.New("a URL with a password in it is not for a file")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("want a URL without ? and #")
	}
	return nil
}

func (r *configReader) text(v *jsonpos.Value) string {
	if v.Kind != jsonpos.String || v.Text == "" || len(v.Text) > maxText || strings.ContainsFunc(v.Text, func(c rune) bool { return c < ' ' }) {
		r.wrong(v, "want text of 1 to %d characters in one line", maxText)
		return ""
	}
	return v.Text
}

func (r *configReader) boolean(v *jsonpos.Value) bool {
	if v.Kind != jsonpos.Boolean {
		r.wrong(v, "want true or false")
	}
	return v.Text == "true"
}

// patterns reads a pattern or a list of them.
func (r *configReader) patterns(v *jsonpos.Value) []string {
	items := []*jsonpos.Value{v}
	if v.Kind == jsonpos.Array {
		items = v.Items
	}
	var out []string
	for _, item := range items {
		s := r.text(item)
		if _, err := path.Match(s, ""); err != nil || s != "" && !hostPattern.MatchString(s) {
			r.wrong(item, "match: %q is not a host such as registry.example:5000 or *.dkr.ecr.*.amazonaws.com", s)
		}
		out = append(out, s)
	}
	return out
}
