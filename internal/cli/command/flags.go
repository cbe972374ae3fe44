package command

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/deploy/spec"
)

// Environment variables that stand in for flags.
const (
	EnvFile   = "KONTOR_FILE"
	EnvData   = "KONTOR_DATA"
	EnvTarget = "KONTOR_TARGET"
)

// FileOptions are the flags of commands that read a file.
type FileOptions struct {
	Files []string
}

// Flags defines the flags of o.
func (o *FileOptions) Flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&o.Files, "file", "f", nil,
		fmt.Sprintf("read `FILE`, or the files of a folder; may be given several times (default %s; env %s)", NameList(spec.Names(), "or"), EnvFile))
	Must(cmd.MarkFlagFilename("file", "yaml", "yml", "json", "hcl", "tfvars"))
}

// TargetOptions are the flags of commands that reach a registry.
type TargetOptions struct {
	FileOptions
	// EndpointOptions are for commands that define their flags.
	EndpointOptions
	Data   string
	Target string
}

// Flags defines the flags of o.
func (o *TargetOptions) Flags(e *Env, cmd *cobra.Command) {
	o.FileOptions.Flags(cmd)
	DataFlag(e, cmd, &o.Data)
	TargetFlag(e, cmd, &o.Target, &o.FileOptions, fmt.Sprintf("use the entry `NAME` of the file's registries (default the only one; env %s)", EnvTarget))
}

// LocalOptions are the flags of commands that speak to a local registry
// without a file.
type LocalOptions struct {
	Data   string
	Target string
}

// Flags defines the flags of o.
func (o *LocalOptions) Flags(e *Env, cmd *cobra.Command) {
	DataFlag(e, cmd, &o.Data)
	cmd.Flags().StringVar(&o.Target, "target", "", "use the registry `NAME`, where the server has several (default the first)")
}

// TargetFlag defines --target.
func TargetFlag(e *Env, cmd *cobra.Command, p *string, o *FileOptions, usage string) {
	cmd.Flags().StringVar(p, "target", "", usage)
	Must(cmd.RegisterFlagCompletionFunc("target", CompleteTargets(e, o)))
}

// DataFlag defines --data; see DataDir.
func DataFlag(e *Env, cmd *cobra.Command, p *string) {
	cmd.Flags().StringVar(p, "data", "", fmt.Sprintf("keep the local registry in `DIR` (default the user's state directory; env %s)", EnvData))
	Must(cmd.MarkFlagDirname("data"))
}

// UsedOptions are the flags of commands that must know which images are in use.
type UsedOptions struct {
	Leases []string // files
	Hosts  []string // more names of the registries in them
}

// Flags defines the flags of o.
func (o *UsedOptions) Flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&o.Leases, "leases", nil,
		"treat the images in `FILE` as in use: output of kubectl get -o json or kontor lease list --json, or a plain list; may be given several times (default none)")
	HostFlag(cmd, &o.Hosts)
}

// HostFlag defines --host.
func HostFlag(cmd *cobra.Command, p *[]string) {
	cmd.Flags().StringArrayVar(p, "host", nil, "treat images of `HOST`, such as kind-registry:5000, as images of this registry; may be given several times (default none)")
}

// JSONFlag defines --json.
func JSONFlag(cmd *cobra.Command, p *bool) {
	cmd.Flags().BoolVar(p, "json", false, "write JSON (default false)")
}

// Setting is the flag's value, else that of the environment variable, else fallback.
func (e *Env) Setting(flag, variable, fallback string) string {
	if flag != "" {
		return flag
	}
	if v := e.Getenv(variable); v != "" {
		return v
	}
	return fallback
}

// DataDir is the folder of the local registry: the flag's value, $KONTOR_DATA,
// $XDG_STATE_HOME/kontor or ~/.local/state/kontor.
func (e *Env) DataDir(flag string) (string, error) {
	if flag != "" {
		return filepath.Abs(flag)
	}
	if v := e.Getenv(EnvData); v != "" {
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
	return "", Usagef("neither HOME nor XDG_STATE_HOME is set: pass --data DIR")
}

// UserDir is kontor's folder in one of the XDG base directories; "" where there
// is not a home. A relative path is ignored, as the specification says.
func (e *Env) UserDir(variable, fallback string) string {
	if v := e.Getenv(variable); filepath.IsAbs(v) {
		return filepath.Join(v, "kontor")
	}
	if v := e.Getenv("HOME"); v != "" {
		return filepath.Join(v, fallback, "kontor")
	}
	if v := e.Getenv("LocalAppData"); v != "" { // Windows
		return filepath.Join(v, "kontor")
	}
	return ""
}
