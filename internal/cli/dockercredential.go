package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/docker/docker-credential-helpers/credentials"
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/deploy/tokens"
	"github.com/kontor-registry/kontor/internal/version"
)

// helperName is the name under which docker and its kin look for kontor.
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

func dockerCredentialCommand(e *Env) *cobra.Command {
	var data string
	actions := []string{credentials.ActionGet, credentials.ActionStore, credentials.ActionErase, credentials.ActionList, credentials.ActionVersion}
	cmd := &cobra.Command{
		Use:   "docker-credential ACTION [flags]",
		Short: "Give docker, podman, skopeo and others the passwords of registries (credential helper)",
		Long: `Answer as a credential helper of docker. Tools run it as docker-credential-kontor,
a link to kontor on PATH, for the hosts that credHelpers in docker's config.json
or podman's auth.json gives to "kontor".

get reads a host from stdin and writes its password: hosts of Amazon ECR in every
form as the AWS configuration says, others as the file says that
$KONTOR_CREDENTIALS names (default $XDG_CONFIG_HOME/kontor/credentials.json), and
the registry of --data by its host. A password is kept for half of its life in
$XDG_CACHE_HOME/kontor/tokens.json, which only the user can read; erase forgets
it. store keeps nothing and fails, so that nobody believes otherwise; with
AWS_ECR_IGNORE_CREDS_STORAGE=true, the variable of Amazon's helper, it does nothing
for hosts that get knows, so that scripts with a docker login go on.`,
		Example: `  ln -s "$(command -v kontor)" ~/bin/docker-credential-kontor
  echo localhost:5050 | kontor docker-credential get
  kontor docker-credential list`,
		Args:      between(1, 1),
		ValidArgs: actions,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case credentials.ActionVersion:
				_, err := fmt.Fprintln(e.Stdout, helperName, version.String())
				return err
			case credentials.ActionGet, credentials.ActionStore, credentials.ActionErase, credentials.ActionList:
			default:
				return usagef("unknown action %q: want %s", args[0], nameList(actions, "or"))
			}
			hosts, err := newHosts(e, data, true)
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
			return &exitError{exitFailed}
		},
	}
	dataFlag(e, cmd, &data)
	return cmd
}

// envIgnoreStore is the variable by which Amazon's own helper lets docker login of
// its hosts pass.
const envIgnoreStore = "AWS_ECR_IGNORE_CREDS_STORAGE"

// dockerHelper is tokens.Hosts in the words of docker's protocol.
type dockerHelper struct {
	ctx     func() context.Context
	hosts   *tokens.Hosts
	lenient bool // storing for a known host does nothing
}

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
		return fmt.Errorf("kontor does not know %s and stores no passwords: name kontor in credHelpers of docker's config.json for its own hosts only, not in credsStore, or say in $%s how to get a password of %s",
			host, envCredentials, host)
	case d.lenient:
		return nil
	}
	return fmt.Errorf("kontor gets the password of %s by itself: there is nothing to log in to, and nothing is stored (%s=true lets docker login pass)", host, envIgnoreStore)
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
