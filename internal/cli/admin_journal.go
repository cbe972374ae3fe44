package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func (e *Env) adminJournalCommand() *cobra.Command {
	var (
		o            adminOptions
		in           admin.ListJournalRequest
		since, until string
		rule         int32
		asJSON       bool
	)
	cmd := &cobra.Command{
		Use:   "journal [flags]",
		Short: "Show what was deleted, by which user or rule, and why",
		Long: `Show the registry's journal, oldest first: every image, tag, policy and
repository that was deleted, moved, restored or purged, which user or lifecycle
rule did it, and why. Entries must match all flags that are given.

--since and --until take a time (2026-03-01T12:00:00Z), a day (2026-03-01), or
how long ago (90m, 12h, 7d).`,
		Example: `  kontor admin journal --repository team/app --since 7d
  kontor admin journal --tag v1.2.3
  kontor admin journal --rule 2 --op delete-image --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			now := e.Now().UTC()
			if in.Since, err = parseWhen("--since", since, now); err != nil {
				return err
			}
			if in.Until, err = parseWhen("--until", until, now); err != nil {
				return err
			}
			in.RulePriority, in.MaxResults, in.IncludeManifests = rule, admin.MaxPage, asJSON
			c, err := e.admin(cmd.Context(), o)
			if err != nil {
				return err
			}
			defer closing(&err, c.close)
			journal := report.Journal{Entries: []admin.JournalEntry{}}
			err = adminPages(cmd.Context(), c, "ListJournal", &in, &in.NextToken, func(out *admin.ListJournalResponse) (string, error) {
				journal.Entries = append(journal.Entries, out.Entries...)
				return out.NextToken, nil
			})
			switch {
			case err != nil:
				return err
			case asJSON:
				return render.JSON(e.Stdout, journal)
			}
			return render.Journal(e.Stdout, journal, e.options(e.Stdout))
		},
	}
	o.flags(e, cmd)
	f := cmd.Flags()
	f.StringVar(&in.RepositoryName, "repository", "", "only those of the repository `NAME`, which may be deleted (default all)")
	f.StringVar(&in.ImageTag, "tag", "", "only those of images that had the tag `TAG` (default any)")
	f.StringVar(&in.ImageDigest, "digest", "", "only those of the image `DIGEST` (default any)")
	f.Int32Var(&rule, "rule", 0, "only those of the lifecycle rule of `PRIORITY` (default any)")
	f.StringVar(&in.Operation, "op", "", "only those of the operation `WHAT`: "+strings.Join(journalOps, ", ")+" (default any)")
	f.StringVar(&since, "since", "", "only at or after `WHEN` (default from the beginning)")
	f.StringVar(&until, "until", "", "only before `WHEN` (default now)")
	jsonFlag(cmd, &asJSON)
	completeWords(cmd, "op", journalOps...)
	return cmd
}

// journalOps are the operations that the journal records.
var journalOps = []string{
	"delete-image", "delete-tag", "move-tag", "restore-image", "purge-image", "delete-policy", "delete-lifecycle-policy", "delete-repository", "delete-blob",
}

// parseWhen reads a time, a day, or how long before now; "" is the zero time.
func parseWhen(flag, s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	d, err := parseDuration(s)
	if err != nil {
		return time.Time{}, usagef("%s %s: want a time such as 2026-03-01T12:00:00Z, a day such as 2026-03-01, or how long ago, such as 12h or 7d", flag, s)
	}
	return now.Add(-d), nil
}

// maxDuration is longer than anybody plans, and shorter than what time.Duration
// holds.
const maxDuration = 100 * 365 * 24 * time.Hour

// parseDuration reads a length of time that may begin with days, such as "90m",
// "15d" or "1d12h".
func parseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a length of time: want one such as 90m, 12h, 15d or 1d12h", s)
	days, rest, ok := strings.Cut(s, "d")
	var d time.Duration
	if ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil || n > uint64(maxDuration/(24*time.Hour)) {
			return 0, bad
		}
		d = time.Duration(n) * 24 * time.Hour
	} else {
		rest = s
	}
	if rest != "" {
		more, err := time.ParseDuration(rest)
		if err != nil || more < 0 || more > maxDuration {
			return 0, bad
		}
		d += more
	}
	if s == "" || d > maxDuration {
		return 0, bad
	}
	return d, nil
}

// splitDigest takes REPOSITORY@DIGEST apart.
func splitDigest(ref string) (repository, digest string, err error) {
	repository, digest, ok := strings.Cut(ref, "@")
	if _, err := ecr.ParseRepositoryName(repository); !ok || err != nil {
		return "", "", usagef("%q: want REPOSITORY@DIGEST", ref)
	}
	if _, err := ecr.ParseDigest(digest); err != nil {
		return "", "", usagef("%q: want a whole digest, sha256: and 64 digits", digest)
	}
	return repository, digest, nil
}
