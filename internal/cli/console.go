package cli

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access/identity"
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
	at, err := url.Parse(c.Endpoint)
	if err != nil {
		return err
	}
	if made.Port != "" {
		at.Host = net.JoinHostPort(at.Hostname(), made.Port)
	}
	link := consoleLink{strings.TrimRight(at.String(), "/") + made.Path, made}
	if asJSON {
		return render.JSON(e.Stdout, link)
	}
	if _, err := fmt.Fprintln(e.Stdout, link.URL); err != nil || onlyIt {
		return err
	}
	if err := openBrowser(e, link.URL); err != nil {
		e.Notice("no browser could be started: open the link above within two minutes (%v)", err)
	}
	return nil
}

// openBrowser starts the user's browser. Other users of the machine can read command
// lines, so the browser gets a file of the user's that leads to the link.
func openBrowser(e *command.Env, link string) error {
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
	page, err := linkPage(e, link)
	if err != nil {
		return err
	}
	// Not with the command's context: the browser stays when the command ends.
	cmd := exec.Command(args[0], append(args[1:], page)...)
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}

// linkPage writes a page that leads to link, for the user's eyes only, and returns its
// path. Pages of earlier runs, whose links have ended, are removed.
func linkPage(e *command.Env, link string) (_ string, err error) {
	const prefix, suffix = "console-", ".html"
	dir := e.UserDir("XDG_CACHE_HOME", ".cache")
	if dir == "" {
		return "", errors.New("neither HOME nor XDG_CACHE_HOME is set")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	old, err := filepath.Glob(filepath.Join(dir, prefix+"*"+suffix))
	if err != nil {
		return "", err
	}
	for _, name := range old {
		if i, err := os.Stat(name); err == nil && e.Now().Sub(i.ModTime()) > identity.ConsoleLinkTime {
			_ = os.Remove(name) // its link is of no use now
		}
	}
	f, err := os.CreateTemp(dir, prefix+"*"+suffix) // mode 0600
	if err != nil {
		return "", err
	}
	defer command.Closing(&err, f.Close)
	to := html.EscapeString(link)
	_, err = fmt.Fprintf(f, `<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="0; url=%s"><title>Kontor</title><p><a href="%s">Open the console</a></p>`+"\n", to, to)
	return f.Name(), err
}
