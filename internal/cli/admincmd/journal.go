package admincmd

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/adminclient"
	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func journalCommand(e *command.Env) *cobra.Command {
	var (
		in           admin.ListJournalRequest
		since, until string
	)
	cmd := command.AdminCall(e, &cobra.Command{
		Use:   "journal [flags]",
		Short: "Show what was deleted, by which user or rule, and why",
		Long: `Show the registry's journal, oldest first: every image, tag, policy and
repository that was deleted, moved, restored or purged, which user or lifecycle
rule did it, and why. Only entries that match all given flags are shown.

--since and --until take a time (2026-03-01T12:00:00Z), a day (2026-03-01), or
how long ago (90m, 12h, 7d).`,
		Example: `  kontor admin journal --repository team/app --since 7d
  kontor admin journal --tag v1.2.3
  kontor admin journal --rule 2 --op delete-image --json`,
		Args: command.NoArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) (err error) {
			now := e.Now().UTC()
			if in.Since, err = command.ParseWhen("--since", since, now); err != nil {
				return err
			}
			in.Until, err = command.ParseWhen("--until", until, now)
			in.MaxResults, in.IncludeManifests = admin.MaxPage, wantsJSON(cmd)
			return err
		},
	}, func(ctx context.Context, c *command.AdminClient, _ []string) (command.Shown, error) {
		journal := report.Journal{Entries: []admin.JournalEntry{}}
		err := adminclient.Pages(ctx, c.Client, "ListJournal", &in, &in.NextToken, func(out *admin.ListJournalResponse) (string, error) {
			journal.Entries = append(journal.Entries, out.Entries...)
			return out.NextToken, nil
		})
		return command.Show(journal, render.Journal), err
	})
	f := cmd.Flags()
	f.StringVar(&in.RepositoryName, "repository", "", "show only entries of the repository `NAME`, which may be deleted (default all)")
	f.StringVar(&in.ImageTag, "tag", "", "show only entries of images that had the tag `TAG` (default any)")
	f.StringVar(&in.ImageDigest, "digest", "", "show only entries of the image `DIGEST` (default any)")
	f.Int32Var(&in.RulePriority, "rule", 0, "show only entries of the lifecycle rule of `PRIORITY` (default any)")
	f.StringVar(&in.Operation, "op", "", "show only entries of the operation `WHAT`: "+strings.Join(journalOps, ", ")+" (default any)")
	f.StringVar(&since, "since", "", "show only entries at or after `WHEN` (default from the beginning)")
	f.StringVar(&until, "until", "", "show only entries before `WHEN` (default now)")
	command.CompleteWords(cmd, "op", journalOps...)
	return cmd
}

// journalOps are the operations that the journal records.
var journalOps = []string{
	"delete-image", "delete-tag", "move-tag", "restore-image", "purge-image", "delete-policy", "delete-lifecycle-policy", "delete-repository", "delete-blob",
}
