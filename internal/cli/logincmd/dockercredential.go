package logincmd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/docker/docker-credential-helpers/credentials"
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/tokens"
	"github.com/kontor-registry/kontor/internal/version"
)

// helperName is the name under which docker and compatible tools look for kontor.
const helperName = "docker-credential-kontor"

// Args are the arguments of a process, whose name comes first: what docker's
// credential helper is asked becomes a command of kontor.
func Args(process []string) []string {
	if len(process) == 0 {
		return nil
	}
	if name := filepath.Base(process[0]); strings.TrimSuffix(name, ".exe") == helperName {
		return append([]string{"docker-credential"}, process[1:]...)
	}
	return process[1:]
}

// DockerCredential is kontor docker-credential.
func DockerCredential(e *command.Env) *cobra.Command {
	var data string
	actions := []string{credentials.ActionGet, credentials.ActionStore, credentials.ActionErase, credentials.ActionList, credentials.ActionVersion}
	cmd := &cobra.Command{
		Use:   "docker-credential ACTION [flags]",
		Short: "Provide registry passwords to docker-compatible tools (credential helper)",
		Long: `Act as a credential helper for docker. Tools run it as docker-credential-kontor,
a link to kontor on PATH, for the hosts that credHelpers in docker's config.json
or podman's auth.json maps to "kontor".

get reads a host from stdin and writes its password. Hosts of Amazon ECR use the
AWS configuration. Other hosts are configured in the file that $KONTOR_CREDENTIALS
names (default $XDG_CONFIG_HOME/kontor/credentials.json). The registry of --data
is recognized by its host. A password is cached for half of its lifetime in
$XDG_CACHE_HOME/kontor/tokens.json, which only the user can read; erase removes it
from there. store stores nothing and fails. For scripts that still run docker login,
AWS_ECR_IGNORE_CREDS_STORAGE=true, the variable of Amazon's credential helper, lets
store succeed for hosts that get knows.`,
		Example: `  ln -s "$(command -v kontor)" ~/bin/docker-credential-kontor
  echo localhost:5050 | kontor docker-credential get
  kontor docker-credential list`,
		Args:      command.Between(1, 1),
		ValidArgs: actions,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case credentials.ActionVersion:
				_, err := fmt.Fprintln(e.Stdout, helperName, version.String())
				return err
			case credentials.ActionGet, credentials.ActionStore, credentials.ActionErase, credentials.ActionList:
			default:
				return command.Usagef("unknown action %q: want %s", args[0], command.NameList(actions, "or"))
			}
			hosts, err := NewHosts(e, data, true)
			if err == nil {
				err = credentials.HandleCommand(&dockerHelper{ctx: cmd.Context, hosts: hosts, lenient: e.Getenv(envIgnoreStore) == "true"}, args[0], e.Stdin, e.Stdout)
			}
			if err == nil {
				return nil
			}
			// The protocol has errors on stdout, and clients read them there.
			if _, werr := fmt.Fprintln(e.Stdout, err); werr != nil {
				return werr
			}
			return command.Exit(command.ExitFailed)
		},
	}
	command.DataFlag(e, cmd, &data)
	return cmd
}

// dockerHelper is tokens.Hosts in the words of docker's protocol.
type dockerHelper struct {
	ctx     func() context.Context
	hosts   *tokens.Hosts
	lenient bool // storing for a known host does nothing
}

// envIgnoreStore is the variable by which Amazon's own helper lets docker login of
// its hosts pass.
const envIgnoreStore = "AWS_ECR_IGNORE_CREDS_STORAGE"

// Get returns user and password for a host or URL.
func (d *dockerHelper) Get(server string) (user, password string, err error) {
	t, err := d.hosts.Get(d.ctx(), tokens.HostOf(server))
	if errors.Is(err, tokens.ErrUnknownHost) {
		return "", "", credentials.NewErrCredentialsNotFound()
	}
	return t.User, t.Password, err
}

// Add refuses: Kontor gets passwords, and keeps none of others.
func (d *dockerHelper) Add(c *credentials.Credentials) error {
	host := tokens.HostOf(c.ServerURL)
	switch known := d.hosts.Known(d.ctx(), host); {
	case !known:
		return fmt.Errorf("kontor does not know %s and stores no passwords: list kontor in credHelpers of docker's config.json for its own hosts only, not in credsStore, or configure %s in $%s",
			host, host, envCredentials)
	case d.lenient:
		return nil
	}
	return fmt.Errorf("kontor gets the password of %s when it is needed: there is no need to log in, and nothing is stored (%s=true lets docker login succeed)", host, envIgnoreStore)
}

// Delete forgets what is kept for a host.
func (d *dockerHelper) Delete(server string) error {
	if d.hosts.Cache == nil {
		return nil
	}
	return d.hosts.Cache.Erase(tokens.HostOf(server))
}

// List returns the hosts for which a password is kept, and those that the file
// names, with the user.
func (d *dockerHelper) List() (map[string]string, error) {
	out := map[string]string{}
	if d.hosts.Cache != nil {
		out = d.hosts.Cache.Users()
	}
	for _, entry := range d.hosts.Config.Entries {
		for _, m := range entry.Match {
			if !strings.ContainsAny(m, "*?[") {
				out[m] = "AWS"
			}
		}
	}
	return out, nil
}
