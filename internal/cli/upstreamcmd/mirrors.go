package upstreamcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/mirrors"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// Mirrors is kontor mirrors.
func Mirrors(e *command.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mirrors",
		Short: "Write client configuration that pulls through the caches",
		Long: `Write the configuration by which container runtimes pull images of other registries
through the pull-through caches of this one, under the names that the images have.`,
		Example: `  kontor mirrors containerd --dir /etc/containerd/certs.d
  kontor mirrors podman > /etc/containers/registries.conf.d/kontor.conf`,
		Args: cobra.ArbitraryArgs,
		RunE: command.RunGroup,
	}
	cmd.AddCommand(containerdCommand(e), podmanCommand(e), dockerCommand(e))
	return cmd
}

// reached is the registry with its rules. url, where it is given, is how clients
// reach it.
func reached(ctx context.Context, c *command.AdminClient, url string) (mirrors.Registry, error) {
	var rules admin.ListUpstreamsResponse
	if err := c.Call(ctx, "ListUpstreams", admin.ListUpstreamsRequest{}, &rules); err != nil {
		return mirrors.Registry{}, err
	}
	r := mirrors.Registry{URL: strings.TrimRight(url, "/")}
	if r.URL == "" {
		scheme, _, _ := strings.Cut(c.Endpoint, "://")
		r.URL = scheme + "://" + c.Host
	}
	for _, u := range rules.Upstreams {
		r.Rules = append(r.Rules, mirrors.Rule{Prefix: u.Prefix, Host: u.URL, UpstreamPrefix: u.UpstreamPrefix})
	}
	return r, nil
}

func urlFlag(cmd *cobra.Command, url *string) {
	cmd.Flags().StringVar(url, "url", "", "write `URL` as the address of the registry (default that by which this command reaches it)")
}

func containerdCommand(e *command.Env) *cobra.Command {
	var url, dir, login string
	var all bool
	cmd := command.AdminCall(e, &cobra.Command{
		Use: "containerd [flags]", Short: "Write hosts.toml files for containerd",
		Long: `Write a hosts.toml for each registry that a rule caches, into the folder of --dir,
which containerd reads as config_path, or print them. With --default, write one for all
registries: containerd then asks this registry first for every image, and gets those
that no rule is for from their own registry.

containerd logs in to a mirror with what --login-file holds: a line USER:PASSWORD. It
is written into the files, for their owner to read.`,
		Example: `  kontor mirrors containerd --dir /etc/containerd/certs.d
  kontor mirrors containerd --default`,
		Args: command.NoArgs,
	}, func(ctx context.Context, c *command.AdminClient, _ []string) (command.Shown, error) {
		r, err := reached(ctx, c, url)
		if err != nil {
			return command.Shown{}, err
		}
		who, err := readLogin(e, login)
		if err != nil {
			return command.Shown{}, err
		}
		files, err := mirrors.Containerd(r, who, all)
		if err != nil {
			return command.Shown{}, err
		}
		if dir == "" {
			return command.Shown{JSON: files, Text: func(w io.Writer, _ render.Options) error { return printFiles(w, files) }}, nil
		}
		names, err := writeFiles(dir, files)
		return said(names, "wrote %s", strings.Join(names, "\nwrote ")), err
	})
	urlFlag(cmd, &url)
	cmd.Flags().StringVar(&dir, "dir", "", "write into the folder `DIR` (default print them)")
	cmd.Flags().StringVar(&login, "login-file", "", "read USER:PASSWORD from `FILE`, - for standard input (default no login)")
	cmd.Flags().BoolVar(&all, "default", false, "write one file for all registries (default false)")
	return cmd
}

func readLogin(e *command.Env, file string) (mirrors.Login, error) {
	if file == "" {
		return mirrors.Login{}, nil
	}
	if file == "-" {
		file = ""
	}
	text, err := readPassword(e, file, "")
	if err != nil {
		return mirrors.Login{}, err
	}
	user, password, ok := strings.Cut(text, ":")
	if !ok {
		return mirrors.Login{}, command.Usagef("--login-file: want a line USER:PASSWORD")
	}
	return mirrors.Login{User: user, Password: password}, nil
}

func printFiles(w io.Writer, files map[string]string) error {
	for i, name := range slices.Sorted(maps.Keys(files)) {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(w, "# %s\n%s", name, files[name]); err != nil {
			return err
		}
	}
	return nil
}

// writeFiles writes files below dir, readable by others unless they hold a password.
func writeFiles(dir string, files map[string]string) (names []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		at := filepath.Join(dir, filepath.FromSlash(name))
		if e := os.MkdirAll(filepath.Dir(at), 0o755); e != nil {
			err = errors.Join(err, e)
			continue
		}
		mode := os.FileMode(0o644)
		if strings.Contains(files[name], "authorization") {
			mode = 0o600
		}
		// One that is there may have been readable for others.
		_ = os.Remove(at)
		if e := os.WriteFile(at, []byte(files[name]), mode); e != nil {
			err = errors.Join(err, e)
			continue
		}
		names = append(names, at)
	}
	return names, err
}

// text is a command that prints one file.
func text(e *command.Env, cmd *cobra.Command, write func(mirrors.Registry) (string, error)) *cobra.Command {
	var url string
	cmd.Args = command.NoArgs
	out := command.AdminCall(e, cmd, func(ctx context.Context, c *command.AdminClient, _ []string) (command.Shown, error) {
		r, err := reached(ctx, c, url)
		if err != nil {
			return command.Shown{}, err
		}
		file, err := write(r)
		return command.Shown{JSON: file, Text: func(w io.Writer, _ render.Options) error {
			_, err := io.WriteString(w, file)
			return err
		}}, err
	})
	urlFlag(out, &url)
	return out
}

func podmanCommand(e *command.Env) *cobra.Command {
	return text(e, &cobra.Command{
		Use: "podman [flags]", Short: "Write a registries.conf for podman, buildah, skopeo and CRI-O",
		Long: `Print a file of registries.conf.d by which podman, buildah, skopeo and CRI-O pull
through the caches. They log in to the mirror with what podman login has for this
registry.`,
		Example: "  kontor mirrors podman > /etc/containers/registries.conf.d/kontor.conf",
	}, mirrors.Podman)
}

func dockerCommand(e *command.Env) *cobra.Command {
	return text(e, &cobra.Command{
		Use: "docker [flags]", Short: "Write a daemon.json for docker",
		Long: `Print a daemon.json by which the docker daemon pulls Docker Hub's images through the
cache. The daemon has mirrors of Docker Hub only and asks for names without a prefix, so
that a rule with the prefix ROOT must be for docker.io. It logs in to the mirror with
what docker login has for Docker Hub.`,
		Example: "  kontor mirrors docker > /etc/docker/daemon.json",
	}, mirrors.Docker)
}
