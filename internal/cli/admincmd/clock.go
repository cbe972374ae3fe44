package admincmd

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func clockCommand(e *command.Env) *cobra.Command {
	var in admin.MoveClockRequest
	return command.AdminCall(e, &cobra.Command{
		Use:   "clock [+TIME] [flags]",
		Short: "Move the image clock of a registry for tests",
		Long: `Print the image clock, or move it forward. Push times and the ages that lifecycle
policies count come from this clock; logins and signatures do not. It can be moved
only on a server that was started with kontor up --test-clock.`,
		Example: `  kontor admin clock +15d
  kontor admin clock +36h
  kontor admin clock`,
		Args: command.Between(0, 1),
		PreRunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			text, ok := strings.CutPrefix(args[0], "+")
			d, err := command.ParseDuration(text)
			if !ok || err != nil {
				return command.Usagef("%q: want how far to move it forward, such as +15d or +36h", args[0])
			}
			in.MoveSeconds = int64(d / time.Second)
			return nil
		},
	}, func(ctx context.Context, c *command.AdminClient, _ []string) (command.Shown, error) {
		var out admin.MoveClockResponse
		err := c.Call(ctx, "MoveClock", in, &out)
		return command.Shown{JSON: out, Text: func(w io.Writer, o render.Options) error { return render.Clock(w, out.Now, o) }}, err
	})
}
