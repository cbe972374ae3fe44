package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/version"
)

// Version is what the binary says it is. The field names of its JSON form are
// published.
type Version struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	// Modified: built from a checkout with changes that are not in Commit.
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// BuildVersion reads the version, and what the go command left in the binary.
func BuildVersion() Version {
	v := Version{Version: version.String(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Commit = s.Value
			case "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
	}
	return v
}

func versionCommand(e *command.Env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this binary",
		Example: "  kontor version --json",
		Args:    command.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := BuildVersion()
			if asJSON {
				return render.JSON(e.Stdout, v)
			}
			line := "kontor " + v.Version
			if v.Commit != "" {
				line += " commit " + v.Commit
				if v.Modified {
					line += " (modified)"
				}
			}
			_, err := fmt.Fprintf(e.Stdout, "%s %s %s\n", line, v.Go, v.Platform)
			return err
		},
	}
	command.JSONFlag(cmd, &asJSON)
	return cmd
}
