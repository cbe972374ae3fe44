package cli

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/promote"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/render"
)

func waitCommand(e *command.Env) *cobra.Command {
	var (
		o      promoterOptions
		w      promote.WaitFor
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "wait IMAGE [flags]",
		Short: "Wait until an image, all its platforms and its signature are there",
		Long: `Wait until an image is there with every image that its index lists, and with what
else is asked for, and print its digest. What waiting does not help against ends
it at once: a missing right, a missing repository, a password that is not
accepted.

IMAGE begins with the name of one of the file's registries, or with a host. It
is asked for by its tag; tags are never listed.`,
		Example: `  kontor wait prod/website:1.4.2 --platform linux/amd64 --platform linux/arm64 --signed
  docker pull "registry.example/website@$(kontor wait registry.example/website:1.4.2 --json | jq -r .digest)"`,
		Args:        command.Between(1, 1),
		Annotations: map[string]string{command.AnnotationPending: "the time is up"},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := checkPlatforms(w.Platforms); err != nil {
				return err
			}
			for _, t := range w.Referrers {
				if !fields.ArtifactType.MatchString(t) {
					return command.Usagef("--referrer %q: want an artifact type, such as application/spdx+json", t)
				}
			}
			if w.Timeout < 0 || w.Interval < time.Second {
				return command.Usagef("--timeout and --interval: want 0 or more, and 1s or more")
			}
			p, err := o.promoter(e, false, nil)
			if err != nil {
				return err
			}
			defer command.Closing(&err, p.Close)
			if w.Image, err = p.Image(args[0]); err != nil {
				return err
			}
			said := ""
			w.Missing = func(what string) {
				if what != said {
					said = what
					e.Notice("%s: %s", w.Image, what)
				}
			}
			found, err := p.Wait(cmd.Context(), w)
			var late *promote.TimeoutError
			switch {
			case errors.As(err, &late):
				e.Notice("%v", late)
				return command.Exit(command.ExitPending)
			case err != nil:
				return err
			case asJSON:
				return render.JSON(e.Stdout, found)
			}
			return render.Found(e.Stdout, found)
		},
	}
	o.flags(e, cmd)
	platformFlag(cmd, &w.Platforms, "the image must be there for the platform `OS/ARCH`; may be given several times (default those of its index)")
	cmd.Flags().BoolVar(&w.Signed, "signed", false, "a signature must be there, of cosign or notation; it is not verified (default false)")
	cmd.Flags().StringArrayVar(&w.Referrers, "referrer", nil, "an artifact of type `TYPE` must refer to the image; may be given several times (default none)")
	cmd.Flags().DurationVar(&w.Timeout, "timeout", 10*time.Minute, "wait for `TIME`; 0 to look once")
	cmd.Flags().DurationVar(&w.Interval, "interval", promote.DefaultInterval, "look every `TIME`")
	command.JSONFlag(cmd, &asJSON)
	cmd.ValidArgsFunction = completeImage(e, &o.FileOptions)
	return cmd
}
