package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// envBrowser names the program that opens links, as other tools have it.
const envBrowser = "BROWSER"

func consoleCommand(e *command.Env) *cobra.Command {
	var (
		o              command.AdminOptions
		asJSON, onlyIt bool
	)
	cmd := &cobra.Command{
		Use:   "console [flags]",
		Short: "Open the web console of a running server",
		Long: `Open the web console of a running server in the browser, logged in: as the
administrator of the registry of the data folder, or with --endpoint as the owner of
the AWS credentials of the environment. The console shows and does what these may.

The link that it opens works once and for two minutes. Use --print to open it on
another machine, and keep it to yourself until it was used.

kontor up and kontor serve serve the console at /console/, unless it is off. Where
this command cannot run, log in there with an access key.`,
		Example: `  kontor console
  kontor console --print
  kontor console --endpoint https://registry.example.com --region us-east-2`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runConsole(cmd.Context(), e, o, onlyIt, asJSON) },
	}
	o.Flags(e, cmd)
	cmd.Flags().BoolVar(&onlyIt, "print", false, fmt.Sprintf("print the link and do not open it (default false; env %s names the program that opens it)", envBrowser))
	command.JSONFlag(cmd, &asJSON)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

// consoleLink is what --json prints.
type consoleLink struct {
	URL string `json:"url"`
	admin.CreateConsoleLinkResponse
}

func runConsole(ctx context.Context, e *command.Env, o command.AdminOptions, onlyIt, asJSON bool) (err error) {
	if o.Endpoint == "" {
		dir, err := e.DataDir(o.Data)
		if err != nil {
			return err
		}
		// A server that ends with this command would be of no use.
		if _, running, err := datadir.Running(ctx, dir, 0); err != nil {
			return err
		} else if !running {
			return fmt.Errorf("no server runs on %s: start it with `kontor up --data %s`, or give --endpoint", dir, dir)
		}
	}
	c, err := command.OpenAdmin(ctx, e, o)
	if err != nil {
		return err
	}
	defer command.Closing(&err, c.Close)
	var made admin.CreateConsoleLinkResponse
	if err := c.Call(ctx, "CreateConsoleLink", admin.CreateConsoleLinkRequest{}, &made); err != nil {
		return err
	}
	link := consoleLink{strings.TrimRight(c.Endpoint, "/") + made.Path, made}
	if asJSON {
		return render.JSON(e.Stdout, link)
	}
	if _, err := fmt.Fprintln(e.Stdout, link.URL); err != nil || onlyIt {
		return err
	}
	if err := openBrowser(ctx, e, link.URL); err != nil {
		e.Notice("no browser could be started: open the link above within two minutes (%v)", err)
	}
	return nil
}

// openBrowser starts the user's browser.
func openBrowser(ctx context.Context, e *command.Env, link string) error {
	args := []string{"xdg-open"}
	switch {
	case e.Getenv(envBrowser) != "":
		args = strings.Fields(e.Getenv(envBrowser))
	case runtime.GOOS == "darwin":
		args = []string{"open"}
	case runtime.GOOS == "windows":
		args = []string{"rundll32", "url.dll,FileProtocolHandler"}
	}
	if len(args) == 0 {
		return errors.New(envBrowser + " is empty")
	}
	cmd := exec.CommandContext(ctx, args[0], append(args[1:], link)...)
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	return cmd.Run()
}
