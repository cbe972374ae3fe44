package serve

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/declared"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// readAdministrators reads administrator_file.
func (c *Config) readAdministrators(d *decoder) {
	const way = "administrator_file"
	b, err := os.ReadFile(filepath.Clean(c.Settings.AdministratorFile))
	if err != nil {
		d.wrong(way, "%v: it has to hold [default], aws_access_key_id = ID and aws_secret_access_key = SECRET, each on a line", err)
		return
	}
	profiles, err := parseCredentials(string(b))
	if err != nil {
		d.wrong(way, "%s: %v", c.Settings.AdministratorFile, err)
		return
	}
	c.administrators = map[ecr.AccountID]identity.Credentials{}
	for profile, k := range profiles {
		account := c.Host.Registries[0].Account
		if profile != "default" {
			if account = ecr.AccountID(profile); !slices.ContainsFunc(c.Host.Registries, func(r datadir.Registry) bool { return r.Account == account }) {
				d.wrong(way, "%s: profile %s: want default, for the first registry's account, or the account of another registry", c.Settings.AdministratorFile, profile)
			}
		}
		if _, twice := c.administrators[account]; twice {
			d.wrong(way, "%s: there are two profiles for account %s", c.Settings.AdministratorFile, account)
		}
		if err := (declared.Key{ID: k.AccessKeyID, Secret: k.SecretAccessKey}).Check(); err != nil {
			d.wrong(way, "%s: profile %s: %v", c.Settings.AdministratorFile, profile, err)
		}
		c.administrators[account] = k
	}
}

// parseCredentials reads access keys by profile, in the form of AWS's shared
// credentials file; keys before the first profile are of "default". Errors show
// no secret.
func parseCredentials(text string) (map[string]identity.Credentials, error) {
	all := map[string]identity.Credentials{}
	profile := "default"
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			profile = strings.TrimSpace(strings.TrimSuffix(name, "]"))
			continue
		}
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		k := all[profile]
		switch name = strings.TrimSpace(name); {
		case ok && name == "aws_access_key_id":
			k.AccessKeyID = strings.TrimSpace(value)
		case ok && name == "aws_secret_access_key":
			k.SecretAccessKey = strings.TrimSpace(value)
		default:
			return nil, fmt.Errorf("line %d: want aws_access_key_id = ID or aws_secret_access_key = SECRET", i+1)
		}
		all[profile] = k
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("want aws_access_key_id = ID and aws_secret_access_key = SECRET, each on a line")
	}
	return all, nil
}
