package admincmd

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/store/backup"
)

func backupCommand(e *command.Env) *cobra.Command {
	var (
		cfg         backup.Config
		config      string
		key, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "backup --to FOLDER [flags]",
		Short: "Save a data folder while its server runs",
		Long: `Save the database, the blobs and the audit log of a data folder in another folder.
The server may run meanwhile. The backup is one moment of the registry, and a data
folder itself: kontor admin check reads it, and a server starts on it.

Blobs that the folder has from an earlier backup are not copied again, and those that
are no longer in the registry are removed. A run that breaks off leaves the earlier
backup as it was.

The master key is saved with --master-key only: without it, whoever can read the backup
cannot act as its users. Keep a copy of it elsewhere.

Data in PostgreSQL and S3 is saved by their own tools: see the guide "Back up and
restore".`,
		Example: `  kontor admin backup --to /backup/registry
  kontor admin backup --config serve.yaml --to /backup/registry --json
  kontor admin check --data /backup/registry`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runBackup(cmd.Context(), e, cfg, config, key, asJSON)
		},
	}
	command.DataFlag(e, cmd, &cfg.Folder)
	f := cmd.Flags()
	f.StringVar(&config, "config", "", "save the data of the kontor serve whose configuration is in `FILE` (default that in --data)")
	f.StringVar(&cfg.To, "to", "", "the `FOLDER` to save in (required)")
	f.BoolVar(&cfg.HardLinks, "hard-links", false, "link blobs instead of copying them: quick and small, but no help when the disk fails (default false)")
	f.BoolVar(&key, "master-key", false, "save the master key, too (default false)")
	command.Must(cmd.MarkFlagFilename("config", "yaml", "yml", "json"))
	command.Must(cmd.MarkFlagDirname("to"))
	command.JSONFlag(cmd, &asJSON)
	return cmd
}

func runBackup(ctx context.Context, e *command.Env, cfg backup.Config, config string, withKey, asJSON bool) (err error) {
	switch {
	case cfg.To == "":
		return command.Usagef("give --to")
	case config != "" && cfg.Folder != "":
		return command.Usagef("--config and --data cannot be combined")
	case config != "":
		c, err := e.ServeConfig(config)
		if err != nil {
			return err
		}
		if c.Settings.Database.URL != "" {
			return errors.New("the database is PostgreSQL: save it with pg_dump or continuous archiving, and then the bucket or folder of the blobs: see the guide \"Back up and restore\"")
		}
		cfg.Folder, cfg.NoBlobs, cfg.MasterKey = c.Settings.Data, c.Settings.Storage.S3 != nil, c.Settings.MasterKeyFile
	default:
		if cfg.Folder, err = e.DataDir(cfg.Folder); err != nil {
			return err
		}
		cfg.MasterKey = filepath.Join(cfg.Folder, "master.key")
	}
	if !withKey {
		cfg.MasterKey = ""
	}
	r, err := backup.Run(ctx, cfg)
	if err != nil {
		return err
	}
	if asJSON {
		return render.JSON(e.Stdout, r)
	}
	return render.Backup(e.Stdout, r, e.Options(e.Stdout))
}
