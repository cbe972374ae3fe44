package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/adminclient"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func adminBinCommand(e *Env) *cobra.Command {
	in := admin.ListRecycleBinRequest{MaxResults: admin.MaxPage}
	return adminCall(e, &cobra.Command{
		Use:   "bin [REPOSITORY] [flags]",
		Short: "List the deleted images that can be restored",
		Long: `List what the recycle bin holds, of a repository or of all: images that were
deleted by request or by a lifecycle rule and are kept for a while. A repository
that is gone has its images here, too. No other request can see them.`,
		Example: `  kontor admin bin
  kontor admin bin team/app --json | jq -r '.entries[].imageDigest'`,
		Args: between(0, 1), PreRunE: repositoryInto(&in.RepositoryName),
		ValidArgsFunction: completeRepository(e, &fileOptions{}),
	}, func(ctx context.Context, c *adminClient, _ []string) (shown, error) {
		list := []admin.BinEntry{}
		err := adminclient.Pages(ctx, c.Client, "ListRecycleBin", &in, &in.NextToken, func(out *admin.ListRecycleBinResponse) (string, error) {
			list = append(list, out.Entries...)
			return out.NextToken, nil
		})
		return shown{json: admin.ListRecycleBinResponse{Entries: list}, text: func(w io.Writer, o render.Options) error { return render.Bin(w, list, o) }}, err
	})
}
