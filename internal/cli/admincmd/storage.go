package admincmd

import (
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/store/blob/s3"
)

func storageCommand(e *command.Env) *cobra.Command {
	return group("storage", "Examine a store for blobs", `  kontor admin storage probe --bucket images --region us-east-2`, storageProbeCommand(e))
}

func storageProbeCommand(e *command.Env) *cobra.Command {
	var (
		cfg    s3.Config
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "probe --bucket BUCKET --region REGION [flags]",
		Short: "Try what a bucket can do",
		Long: `Try everything that Kontor does with a bucket in which it keeps blobs, and report
what works: rights, checksums, conditional writes, multipart uploads, versioning,
the clock and how long requests take. The command exits with 1 if blobs cannot be
kept there.

The command writes objects below PREFIX/probe/, about 8 MiB, and deletes them. The
credentials are those of the two files, or those that the AWS CLI would use.`,
		Example: `  kontor admin storage probe --bucket images --region us-east-2
  kontor admin storage probe --bucket images --region us-east-1 --storage-endpoint http://127.0.0.1:9000 --path-style \
    --access-key-id-file id --secret-access-key-file secret --json`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cfg.Bucket == "" {
				return command.Usagef("give the bucket with --bucket")
			}
			out, err := s3.Probe(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			if asJSON {
				err = render.JSON(e.Stdout, out)
			} else {
				err = render.Storage(e.Stdout, out, e.Options(e.Stdout))
			}
			if err == nil && out.Failed() {
				err = command.Exit(command.ExitFailed)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.Bucket, "bucket", "", "the `NAME` of the bucket (required)")
	f.StringVar(&cfg.Region, "region", "us-east-1", "the `REGION` of the bucket")
	f.StringVar(&cfg.Endpoint, "storage-endpoint", "", "the `URL` of the store (default Amazon S3 in the region)")
	f.BoolVar(&cfg.PathStyle, "path-style", false, "put the bucket into the path of URLs, not into the host name (default false)")
	f.StringVar(&cfg.Prefix, "prefix", "", "what the names of objects begin with, as `PREFIX` (default none)")
	f.StringVar(&cfg.PayloadSigning, "payload-signing", "", "`WHEN` to sign what is sent: always or never (default over plain HTTP only)")
	f.StringVar(&cfg.AccessKeyIDFile, "access-key-id-file", "", "read the access key id from `FILE` (default as the AWS CLI)")
	f.StringVar(&cfg.SecretAccessKeyFile, "secret-access-key-file", "", "read the secret access key from `FILE` (default as the AWS CLI)")
	command.JSONFlag(cmd, &asJSON)
	return cmd
}
