package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func (e *Env) adminBinCommand() *cobra.Command {
	var (
		o      adminOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "bin [REPOSITORY] [flags]",
		Short: "List the deleted images that can be restored",
		Long: `List the images in the recycle bin, of one repository or of all: images that were
deleted by request or by a lifecycle rule and are kept for a time. Images of
deleted repositories are here too. No other request can see them.`,
		Example: `  kontor admin bin
  kontor admin bin team/app --json | jq -r '.entries[].imageDigest'`,
		Args: between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			in := admin.ListRecycleBinRequest{MaxResults: admin.MaxPage}
			if in.RepositoryName, err = repositoryArgument(args); err != nil {
				return err
			}
			c, err := e.admin(cmd.Context(), o)
			if err != nil {
				return err
			}
			defer closing(&err, c.close)
			bin := report.Bin{Entries: []admin.BinEntry{}}
			err = adminPages(cmd.Context(), c, "ListRecycleBin", &in, &in.NextToken, func(out *admin.ListRecycleBinResponse) (string, error) {
				bin.Entries = append(bin.Entries, out.Entries...)
				return out.NextToken, nil
			})
			switch {
			case err != nil:
				return err
			case asJSON:
				return render.JSON(e.Stdout, bin)
			}
			return render.Bin(e.Stdout, bin, e.options(e.Stdout))
		},
	}
	o.flags(e, cmd)
	jsonFlag(cmd, &asJSON)
	cmd.ValidArgsFunction = e.completeRepository(&fileOptions{})
	return cmd
}

// repositoryArgument is the repository that args may name.
func repositoryArgument(args []string) (string, error) {
	if len(args) == 0 {
		return "", nil
	}
	if _, err := ecr.ParseRepositoryName(args[0]); err != nil {
		return "", usagef("%q is not the name of a repository", args[0])
	}
	return args[0], nil
}

func (e *Env) adminRestoreCommand() *cobra.Command {
	var (
		o      adminOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "restore REPOSITORY@DIGEST [flags]",
		Short: "Restore a deleted image from the recycle bin",
		Long: `Restore a deleted image to the repository that has the name now: with its tags,
except those that another image has by now, with the images that it lists, and
with the signatures and attestations that were deleted with it.

For lifecycle rules, the age of the image counts from the restore.`,
		Example: `  kontor admin bin team/app
  kontor admin restore team/app@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef`,
		Args: between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			var in admin.ImageRequest
			if in.RepositoryName, in.ImageDigest, err = splitDigest(args[0]); err != nil {
				return err
			}
			c, err := e.admin(cmd.Context(), o)
			if err != nil {
				return err
			}
			defer closing(&err, c.close)
			var out admin.RestoreImageResponse
			if err := c.call(cmd.Context(), "RestoreImage", in, &out); err != nil {
				return err
			}
			if asJSON {
				return render.JSON(e.Stdout, out)
			}
			return render.Restored(e.Stdout, out, e.options(e.Stdout))
		},
	}
	o.flags(e, cmd)
	jsonFlag(cmd, &asJSON)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (e *Env) adminPurgeCommand() *cobra.Command {
	var (
		o           adminOptions
		reason      string
		yes, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "purge REPOSITORY@DIGEST --reason TEXT [flags]",
		Short: "Delete an image immediately and permanently",
		Long: `Delete an image from its repository and from the recycle bin, immediately and
permanently, with every layer that no other image uses: for leaked secrets and
requests to erase data. The journal records the deletion and its reason, but not
the manifest.

Layers that other images use are kept; to delete them, purge those images too.`,
		Example: `  kontor admin purge team/app@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef \
    --reason "a key in its second layer"`,
		Args: between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			in := admin.PurgeImageRequest{Reason: reason}
			if in.RepositoryName, in.ImageDigest, err = splitDigest(args[0]); err != nil {
				return err
			}
			if reason == "" {
				return usagef("give --reason TEXT, which the journal records")
			}
			if err := e.mayAsk(yes, asJSON); err != nil {
				return err
			}
			c, err := e.admin(cmd.Context(), o)
			if err != nil {
				return err
			}
			defer closing(&err, c.close)
			if !yes {
				if ok, err := e.ask(cmd.Context(), fmt.Sprintf("Delete %s permanently?", args[0])); err != nil || !ok {
					return errors.Join(err, errors.New("nothing was removed"))
				}
			}
			var out admin.PurgeImageResponse
			if err := c.call(cmd.Context(), "PurgeImage", in, &out); err != nil {
				return err
			}
			if asJSON {
				return render.JSON(e.Stdout, out)
			}
			return render.Purged(e.Stdout, out, e.options(e.Stdout))
		},
	}
	o.flags(e, cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "record `TEXT` as the reason (required)")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "delete without asking (default false)")
	jsonFlag(cmd, &asJSON)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

// mayAsk finds out whether the user can be asked, unless yes was given.
func (e *Env) mayAsk(yes, asJSON bool) error {
	switch {
	case !yes && asJSON:
		return usagef("--json does not ask: give --yes to change without asking")
	case !yes && !e.IsTerminal(e.Stdin):
		return usagef("stdin is not a terminal, so this cannot ask: give --yes to change without asking")
	}
	return nil
}
