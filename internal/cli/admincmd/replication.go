package admincmd

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/adminclient"
	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func replicationCommand(e *command.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replication",
		Short: "Show and control the replication of images",
		Long: `Show and control the replication of images to other registries. What is replicated
where is the registry's replication configuration, which kontor apply, Terraform and the
AWS CLI set. The guide docs/guides/replication.md shows how.`,
		Example: `  kontor admin replication status
  kontor admin replication backfill start eu-west-1`,
		Args: cobra.ArbitraryArgs,
		RunE: command.RunGroup,
	}
	cmd.AddCommand(replicationStatusCommand(e), replicationOptionsCommand(e), replicationRetryCommand(e), backfillCommand(e))
	return cmd
}

// splitImage takes REPOSITORY:TAG or REPOSITORY@DIGEST apart.
func splitImage(ref string) (repository, tag, digest string, err error) {
	if strings.Contains(ref, "@") {
		repository, digest, err = splitDigest(ref)
		return repository, "", digest, err
	}
	repository, tag, ok := strings.Cut(ref, ":")
	_, err = ecr.ParseRepositoryName(repository)
	if err == nil && ok {
		_, err = ecr.ParseTag(tag)
	}
	if err != nil || !ok {
		return "", "", "", command.Usagef("%q: want REPOSITORY:TAG or REPOSITORY@DIGEST", ref)
	}
	return repository, tag, "", nil
}

func replicationStatusCommand(e *command.Env) *cobra.Command {
	var one admin.DescribeReplicationRequest
	return command.AdminCall(e, &cobra.Command{
		Use:   "status [IMAGE] [flags]",
		Short: "Show how replication goes, of an image or of the registry",
		Long: `Show what is replicated where, how many images wait for each destination, and which
failed and why. With IMAGE, which is REPOSITORY:TAG or REPOSITORY@DIGEST, show the status
of that image at each destination.`,
		Example: `  kontor admin replication status
  kontor admin replication status team/app:1.4.2 --json`,
		Args: command.Between(0, 1),
		PreRunE: func(_ *cobra.Command, args []string) (err error) {
			if len(args) > 0 {
				one.RepositoryName, one.ImageTag, one.ImageDigest, err = splitImage(args[0])
			}
			return err
		},
		ValidArgsFunction: command.CompleteRepository(e, &command.FileOptions{}),
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		if len(args) > 0 {
			var out admin.DescribeReplicationResponse
			err := c.Call(ctx, "DescribeReplication", one, &out)
			return command.Show(out, render.ReplicationStatus), err
		}
		all := admin.ListReplicationsResponse{}
		in := admin.ListReplicationsRequest{MaxResults: admin.MaxPage}
		err := adminclient.Pages(ctx, c.Client, "ListReplications", &in, &in.NextToken, func(out *admin.ListReplicationsResponse) (string, error) {
			failed := append(all.Failed, out.Failed...)
			all, all.Failed, all.NextToken = *out, failed, ""
			return out.NextToken, nil
		})
		if all.Failed == nil {
			all.Failed = []admin.Replication{}
		}
		return command.Show(all, render.Replications), err
	})
}

func replicationOptionsCommand(e *command.Env) *cobra.Command {
	var in admin.PutReplicationOptionsRequest
	cmd := command.AdminCall(e, &cobra.Command{
		Use:   "options DESTINATION [flags]",
		Short: "Set which images go to a destination",
		Long: `Set the options of a destination of the registry's rules, which ECR does not have.
DESTINATION is ACCOUNT/REGION, or REGION for the registry's own account. The command
replaces all options of the destination. Without flags it removes them.

With --tag, only images with a matching tag are copied, with the images of an index and
with what refers to them, such as signatures. With --deletions, an image or a tag that is
deleted here is deleted at the destination too, if the destination is on this server. A
destination of another account must allow ecr:BatchDeleteImage in its registry policy.`,
		Example: `  kontor admin replication options eu-west-1 --tag 'v*' --exclude scratch/
  kontor admin replication options 222222222222/eu-west-1 --deletions`,
		Args: command.Between(1, 1),
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		in.Destination = args[0]
		var out admin.PutReplicationOptionsResponse
		err := c.Call(ctx, "PutReplicationOptions", in, &out)
		if len(out.Options.ImageTags)+len(out.Options.ExcludePrefixes) == 0 && !out.Options.Deletions {
			return said(out, "%s has no options now", out.Destination), err
		}
		return said(out, "options of %s are set", out.Destination), err
	})
	cmd.Flags().StringSliceVar(&in.Options.ImageTags, "tag", nil, "copy only images whose tag matches one of the `WILDCARDS` (default all)")
	cmd.Flags().StringSliceVar(&in.Options.ExcludePrefixes, "exclude", nil, "leave out repositories whose name begins with one of the `PREFIXES` (default none)")
	cmd.Flags().BoolVar(&in.Options.Deletions, "deletions", false, "delete at the destination what is deleted here (default false)")
	return cmd
}

func replicationRetryCommand(e *command.Env) *cobra.Command {
	return command.AdminCall(e, &cobra.Command{
		Use:   "retry [DESTINATION] [flags]",
		Short: "Replicate again what failed",
		Long: `Queue again the images that failed, for one destination or for all. DESTINATION is
ACCOUNT/REGION, or REGION for the registry's own account.`,
		Example: `  kontor admin replication retry
  kontor admin replication retry 222222222222/eu-west-1`,
		Args: command.Between(0, 1),
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		var in admin.RetryReplicationsRequest
		if len(args) > 0 {
			in.Destination = args[0]
		}
		var out admin.RetryReplicationsResponse
		err := c.Call(ctx, "RetryReplications", in, &out)
		return said(out, "%d queued again", out.Queued), err
	})
}

func backfillCommand(e *command.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backfill",
		Short: "Replicate the images that are there already",
		Long: `Replicate the images that were pushed before the rules, or before they had a
destination. A backfill runs in the server; it goes on after a restart.`,
		Example: `  kontor admin replication backfill start eu-west-1
  kontor admin replication backfill list`,
		Args: cobra.ArbitraryArgs,
		RunE: command.RunGroup,
	}
	one := func(use, short, long, operation string) *cobra.Command {
		return command.AdminCall(e, &cobra.Command{
			Use: use + " ID [flags]", Short: short, Long: long, Args: command.Between(1, 1),
			Example: "  kontor admin replication backfill " + use + " 0b8f7c1e-5a4d-4e7b-9c55-2f1a6d3e8b90",
		}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
			var out admin.BackfillResponse
			err := c.Call(ctx, operation, admin.BackfillRequest{ID: args[0]}, &out)
			return command.Show(out, render.Backfill), err
		})
	}
	cmd.AddCommand(command.AdminCall(e, &cobra.Command{
		Use:   "start DESTINATION [flags]",
		Short: "Begin to replicate the images that are there",
		Long: `Begin to replicate the images that are in the registry to a destination of its rules.
DESTINATION is ACCOUNT/REGION, or REGION for the registry's own account. Images that the
destination has are not copied again. A destination has one backfill at a time.`,
		Example: `  kontor admin replication backfill start eu-west-1`,
		Args:    command.Between(1, 1),
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		var out admin.BackfillResponse
		err := c.Call(ctx, "StartBackfill", admin.StartBackfillRequest{Destination: args[0]}, &out)
		return command.Show(out, render.Backfill), err
	}), command.AdminCall(e, &cobra.Command{
		Use: "list [flags]", Short: "List the backfills", Long: "List the backfills of the registry, the newest first. Those that have ended are kept for\n90 days.",
		Example: "  kontor admin replication backfill list --json", Args: command.NoArgs,
	}, func(ctx context.Context, c *command.AdminClient, _ []string) (command.Shown, error) {
		var out admin.ListBackfillsResponse
		err := c.Call(ctx, "ListBackfills", admin.ListBackfillsRequest{}, &out)
		return command.Show(out, render.Backfills), err
	}),
		one("show", "Show a backfill, and what of it failed", "Show how far a backfill is, and when it has ended which images failed and why.", "DescribeBackfill"),
		one("stop", "Stop a backfill", "Stop a backfill. Images that are being copied are finished, and what was copied stays.", "StopBackfill"))
	return cmd
}
