package admincmd

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/adminclient"
	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func activityCommand(e *command.Env) *cobra.Command {
	var (
		in           admin.ListPullActivityRequest
		image        string
		days         int
		since, until string
	)
	cmd := command.AdminCall(e, &cobra.Command{
		Use:   "activity [flags]",
		Short: "Show who pulled which images, and on which days",
		Long: `Show how often each user and role pulled each image on each day, oldest first.
Only pulls that match all given flags are shown. Days are in UTC. Sessions of a
role count for the role. A pull of an index counts for the index and for the
image of the platform that the client pulled.

The registry keeps this for 90 days, or as its --pull-activity-days says, and for
as long as the image exists. The last seconds may be missing where the registry
has several replicas.

--since and --until take a time (2026-03-01T12:00:00Z), a day (2026-03-01), or
how long ago (12h, 7d), and mean the whole day.`,
		Example: `  kontor admin activity --days 7
  kontor admin activity --repository team/app --image v1.2.3
  kontor admin activity --principal role/deployer --json`,
		Args: command.NoArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) (err error) {
			now := e.Now().UTC()
			switch {
			case image != "" && in.RepositoryName == "":
				return command.Usagef("--image needs --repository")
			case days < 0 || days > 36_500:
				return command.Usagef("--days %d: want a number of days from 1", days)
			case cmd.Flags().Changed("days") && since != "":
				return command.Usagef("--days and --since: give one of them")
			case days > 0:
				in.Since = now.Add(-time.Duration(days-1) * 24 * time.Hour)
			}
			if in.ImageTag = image; strings.Contains(image, ":") {
				in.ImageTag, in.ImageDigest = "", image
			}
			if since != "" {
				if in.Since, err = command.ParseWhen("--since", since, now); err != nil {
					return err
				}
			}
			in.Until, err = command.ParseWhen("--until", until, now)
			in.MaxResults = admin.MaxPage
			return err
		},
	}, func(ctx context.Context, c *command.AdminClient, _ []string) (command.Shown, error) {
		all := report.Activity{Entries: []admin.PullActivity{}}
		err := adminclient.Pages(ctx, c.Client, "ListPullActivity", &in, &in.NextToken, func(out *admin.ListPullActivityResponse) (string, error) {
			all.Entries, all.KeptDays = append(all.Entries, out.Entries...), out.KeptDays
			return out.NextToken, nil
		})
		return command.Show(all, render.Activity), err
	})
	f := cmd.Flags()
	f.StringVar(&in.RepositoryName, "repository", "", "show only pulls from the repository `NAME` (default all)")
	f.StringVar(&image, "image", "", "show only pulls of the image with the `TAG` now, or with this digest; needs --repository (default all)")
	f.StringVar(&in.Principal, "principal", "", "show only pulls by the user or role `NAME`: an ARN, or user/NAME or role/NAME of the account (default all)")
	f.IntVar(&days, "days", 0, "show only pulls of the last `N` days, today included (default all)")
	f.StringVar(&since, "since", "", "show only pulls of this day or later, `WHEN` (default from the beginning)")
	f.StringVar(&until, "until", "", "show only pulls of this day or earlier, `WHEN` (default today)")
	return cmd
}
