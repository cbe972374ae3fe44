package admincmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/adminclient"
	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func binCommand(e *command.Env) *cobra.Command {
	in := admin.ListRecycleBinRequest{MaxResults: admin.MaxPage}
	return command.AdminCall(e, &cobra.Command{
		Use:   "bin [REPOSITORY] [flags]",
		Short: "List the deleted images that can be restored",
		Long: `List the images in the recycle bin, of one repository or of all: images that were
deleted by a request or by a lifecycle rule and are kept for some days. The bin
also holds images of deleted repositories. No other request can see these images.`,
		Example: `  kontor admin bin
  kontor admin bin team/app --json | jq -r '.entries[].imageDigest'`,
		Args: command.Between(0, 1), PreRunE: command.RepositoryInto(&in.RepositoryName),
		ValidArgsFunction: command.CompleteRepository(e, &command.FileOptions{}),
	}, func(ctx context.Context, c *command.AdminClient, _ []string) (command.Shown, error) {
		bin := report.Bin{Entries: []admin.BinEntry{}}
		err := adminclient.Pages(ctx, c.Client, "ListRecycleBin", &in, &in.NextToken, func(out *admin.ListRecycleBinResponse) (string, error) {
			bin.Entries = append(bin.Entries, out.Entries...)
			return out.NextToken, nil
		})
		return command.Show(bin, render.Bin), err
	})
}
