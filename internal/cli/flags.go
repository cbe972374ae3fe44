package cli

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/deploy/spec"
)

// Environment variables that stand in for flags.
const (
	envFile   = "KONTOR_FILE"
	envData   = "KONTOR_DATA"
	envTarget = "KONTOR_TARGET"
	envListen = "KONTOR_LISTEN"
	envCompat = "KONTOR_COMPAT"
	envLog    = "KONTOR_LOG"
	envLimits = "KONTOR_LIMITS"

	envTLSCert = "KONTOR_TLS_CERT"
	envTLSKey  = "KONTOR_TLS_KEY"
)

// fileOptions are the flags of commands that read a file.
type fileOptions struct {
	files []string
}

func (o *fileOptions) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&o.files, "file", "f", nil,
		fmt.Sprintf("read `FILE`, or the files of a folder; may be given several times (default %s; env %s)", nameList(spec.Names(), "or"), envFile))
	must(cmd.MarkFlagFilename("file", "yaml", "yml", "json", "hcl", "tfvars"))
}

// targetOptions are the flags of commands that reach a registry.
type targetOptions struct {
	fileOptions
	data   string
	target string
}

func (o *targetOptions) flags(e *Env, cmd *cobra.Command) {
	o.fileOptions.flags(cmd)
	dataFlag(e, cmd, &o.data)
	targetFlag(e, cmd, &o.target, &o.fileOptions, fmt.Sprintf("use the entry `NAME` of the file's registries (default the only one; env %s)", envTarget))
}

// localOptions are the flags of commands that speak to a local registry
// without a file.
type localOptions struct {
	data   string
	target string
}

func (o *localOptions) flags(e *Env, cmd *cobra.Command) {
	dataFlag(e, cmd, &o.data)
	cmd.Flags().StringVar(&o.target, "target", "", "use the registry `NAME`, where the server has several (default the first)")
}

// targetFlag defines --target.
func targetFlag(e *Env, cmd *cobra.Command, p *string, o *fileOptions, usage string) {
	cmd.Flags().StringVar(p, "target", "", usage)
	must(cmd.RegisterFlagCompletionFunc("target", completeTargets(e, o)))
}

// dataFlag defines --data; see dataDir.
func dataFlag(e *Env, cmd *cobra.Command, p *string) {
	cmd.Flags().StringVar(p, "data", "", fmt.Sprintf("keep the local registry in `DIR` (default the user's state directory; env %s)", envData))
	must(cmd.MarkFlagDirname("data"))
}

// usedOptions are the flags of commands that must know which images are in use.
type usedOptions struct {
	leases []string // files
	hosts  []string // more names of the registries in them
}

func (o *usedOptions) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&o.leases, "leases", nil,
		"treat the images in `FILE` as in use: output of kubectl get -o json or kontor lease list --json, or a plain list; may be given several times (default none)")
	hostFlag(cmd, &o.hosts)
}

func jsonFlag(cmd *cobra.Command, p *bool) {
	cmd.Flags().BoolVar(p, "json", false, "write JSON (default false)")
}

// or is the flag's value, else that of the environment variable, else fallback.
func (e *Env) or(flag, variable, fallback string) string {
	if flag != "" {
		return flag
	}
	if v := e.Getenv(variable); v != "" {
		return v
	}
	return fallback
}

// dataDir is the folder of the local registry: the flag's value, $KONTOR_DATA,
// $XDG_STATE_HOME/kontor or ~/.local/state/kontor.
func (e *Env) dataDir(flag string) (string, error) {
	if flag != "" {
		return filepath.Abs(flag)
	}
	if v := e.Getenv(envData); v != "" {
		return filepath.Abs(v)
	}
	// The XDG specification says to ignore a relative path.
	if v := e.Getenv("XDG_STATE_HOME"); filepath.IsAbs(v) {
		return filepath.Join(v, "kontor"), nil
	}
	if v := e.Getenv("HOME"); v != "" {
		return filepath.Join(v, ".local", "state", "kontor"), nil
	}
	if v := e.Getenv("LocalAppData"); v != "" { // Windows
		return filepath.Join(v, "kontor"), nil
	}
	return "", usagef("neither HOME nor XDG_STATE_HOME is set: pass --data DIR")
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
