// Package logincmd gives other tools the credentials of registries: kontor login,
// kontor env, and the credential helpers of docker and the kubelet.
package logincmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/tokens"
	"github.com/kontor-registry/kontor/internal/dockerauth"
	"github.com/kontor-registry/kontor/internal/host"
)

// Login is kontor login.
func Login(e *command.Env) *cobra.Command {
	var (
		o             command.LocalOptions
		authFile      string
		printPassword bool
	)
	cmd := &cobra.Command{
		Use:   "login [flags]",
		Short: "Log docker, podman, skopeo, buildah and BuildKit in to the local registry",
		Long: `Get a password for the local registry and store it where docker looks for it: in
the credential store or helper that docker's config.json names, or in config.json.
podman, skopeo, buildah, crane and BuildKit read the same file. The password is
valid for 12 hours, and its user can only push and pull.

With --authfile, the password is stored in that file instead. With
--print-password, it is only printed, for a tool's own login command; the user
name is AWS.`,
		Example: `  kontor login
  kontor login --print-password | docker login -u AWS --password-stdin localhost:5050
  kontor login --authfile "$XDG_RUNTIME_DIR/containers/auth.json"`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if printPassword && authFile != "" {
				return command.Usagef("--print-password and --authfile cannot be combined")
			}
			dir, err := e.DataDir(o.Data)
			if err != nil {
				return err
			}
			c, running, err := host.Read(ctx, dir, o.Target, identity.Pusher)
			if err != nil {
				return err
			}
			if !running {
				return fmt.Errorf("no server runs on %s: start it with `kontor up --data %s`", dir, dir)
			}
			token, err := tokens.Get(ctx, sourceOf(c))
			if err != nil {
				return err
			}
			if printPassword {
				_, err := fmt.Fprintln(e.Stdout, token.Password)
				return err
			}
			config := dockerauth.Config{Path: authFile}
			if authFile == "" {
				config, err = dockerauth.Default(e.Getenv)
				if err != nil {
					return err
				}
			}
			hosts, at := []string{c.Host}, endpointHost(c.Endpoint)
			if at != c.Host {
				hosts = append(hosts, at)
			}
			if name, port, ok := strings.Cut(at, ":"); ok && name == "localhost" {
				hosts = append(hosts, "127.0.0.1:"+port, host.DockerInternal+":"+port)
			}
			where, err := config.Store(hosts, token.User, token.Password)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(e.Stdout, "Logged in to %s for 12 hours (stored in %s)\n", c.Host, where)
			return err
		},
	}
	o.Flags(e, cmd)
	cmd.Flags().StringVar(&authFile, "authfile", "", "store the password in `FILE`, an auth file of podman and skopeo (default docker's config.json)")
	cmd.Flags().BoolVar(&printPassword, "print-password", false, "print the password and store nothing (default false)")
	return cmd
}
