package lifecyclecmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/run"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report/words"
)

func snapshotCommand(e *command.Env) *cobra.Command {
	var (
		o           command.TargetOptions
		dir         string
		noManifests bool
		asJSON      bool
	)
	cmd := &cobra.Command{
		Use:   "snapshot REPOSITORY -o DIR [flags]",
		Short: "Write a repository's images to files for offline use",
		Long: `Write the data of a repository that the other lifecycle commands need to a folder:
images.json in the format of aws ecr describe-images, the manifests of indexes,
policy.json, and snapshot.json. Pass the folder to those commands with --images.`,
		Example: `  kontor lifecycle snapshot team/app -o snapshot
  kontor lifecycle preview --images snapshot --policy policy.json`,
		Args: command.Between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			repo, err := ecr.ParseRepositoryName(args[0])
			if err != nil {
				return command.Usagef("%q is not the name of a repository", args[0])
			}
			if dir == "" {
				return command.Usagef("-o is required: pass a folder that does not exist yet or is empty")
			}
			r, in, _, err := command.OpenOne(cmd.Context(), e, o, run.Config{})
			if err != nil {
				return err
			}
			defer command.Closing(&err, r.Close)
			s, err := in.Images(cmd.Context(), repo, !noManifests)
			e.Notices(in.Notices())
			if err != nil {
				return err
			}
			if !s.Kontor {
				toldPulls(e, &s)
			}
			if err := s.Save(dir); err != nil {
				return err
			}
			if asJSON {
				return render.JSON(e.Stdout, struct {
					Repository ecr.RepositoryName `json:"repository"`
					Folder     string             `json:"folder"`
					Images     int                `json:"images"`
					Manifests  int                `json:"manifests"`
					Policy     bool               `json:"policy"`
				}{repo, dir, len(s.Details), len(s.Manifests), s.Policy != ""})
			}
			_, err = fmt.Fprintf(e.Stdout, "Wrote %s and %s of %s to %s.\n", words.Count(len(s.Details), "image", "images"),
				words.Count(len(s.Manifests), "manifest", "manifests"), repo, dir)
			return err
		},
	}
	o.Flags(e, cmd)
	o.EndpointOptions.Flags(cmd)
	cmd.Flags().StringVarP(&dir, "output", "o", "", "write to the folder `DIR`, which must be new or empty")
	cmd.Flags().BoolVar(&noManifests, "no-manifests", false, "do not read the manifests of indexes, which AWS may count as pulling them (default false)")
	command.JSONFlag(cmd, &asJSON)
	command.Must(cmd.MarkFlagDirname("output"))
	cmd.ValidArgsFunction = command.CompleteRepository(e, &o.FileOptions)
	return cmd
}
