package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/render"
)

// applyForm is the published JSON of apply: the plan, and what became of it.
type applyForm struct {
	Plan   plan.Plan     `json:"plan"`
	Result deploy.Result `json:"result"`
}

func (e *Env) applyCommand() *cobra.Command {
	var (
		o      targetOptions
		asJSON bool
		yes    bool
	)
	cmd := &cobra.Command{
		Use:   "apply [flags]",
		Short: "Make a registry's repositories as the file says",
		Long: `Compare the file with a registry, show what will change, ask, and change it.

Each repository is read again before it is changed, and left alone when it is
not as the plan saw it. When one fails, the others go on; running apply again
does what is left. Repositories that are not in the file are never changed, and
nothing is when one of the file's lifecycle_tests does not hold.

A file with registries: is applied to one of them; a file without is applied to
the local registry of --data, and nothing ever goes to AWS.`,
		Example: `  kontor apply -f kontor.yaml
  kontor apply --target prod --yes --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			switch {
			case !yes && asJSON:
				return usagef("--json does not ask: give --yes to change without asking")
			case !yes && !e.IsTerminal(e.Stdin):
				return usagef("stdin is not a terminal, so there is nobody to ask: give --yes to change without asking")
			}
			s, err := e.open(cmd.Context(), o)
			if err != nil {
				return err
			}
			defer closing(&err, s.close)
			if err := failedTests(s.file.RunLifecycleTests(e.Now())); err != nil {
				return err
			}
			return e.apply(cmd.Context(), s, yes, asJSON)
		},
	}
	o.flags(e, cmd)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "change without asking (default false)")
	return cmd
}

func (e *Env) apply(ctx context.Context, s *session, yes, asJSON bool) error {
	p, err := s.plan(ctx)
	if err != nil {
		return err
	}
	opts := e.options(e.Stdout)
	if !asJSON {
		if err := render.Plan(e.Stdout, p, opts); err != nil {
			return err
		}
	}
	result := deploy.Result{Target: p.Target, Repositories: []deploy.RepositoryResult{}}
	pending := len(p.Pending()) > 0
	switch {
	case len(p.Errors()) > 0:
		if asJSON {
			err = render.JSON(e.Stdout, applyForm{p, result})
		}
		return errors.Join(err, planRefused(p))
	case pending && !yes:
		if ok, err := e.ask(ctx, fmt.Sprintf("Change %s of registry %s (account %s, region %s)?",
			plural(len(p.Pending()), "repository", "repositories"), p.Target.Name, p.Target.Account, p.Target.Region)); err != nil || !ok {
			return errors.Join(err, errors.New("nothing was changed"))
		}
	}
	if pending {
		var shown error
		result, err = deploy.Apply(ctx, s.conn.API, p, func(r deploy.RepositoryResult) {
			if !asJSON {
				shown = errors.Join(shown, render.Progress(e.Stdout, r, opts))
			}
		})
		err = errors.Join(err, shown)
	}
	switch {
	case asJSON:
		err = errors.Join(err, render.JSON(e.Stdout, applyForm{p, result}))
	case pending:
		err = errors.Join(err, render.Result(e.Stdout, result, opts))
	}
	if err == nil && !result.OK() {
		err = fmt.Errorf("%s not as the file says: run apply again",
			plural(len(result.Repositories)-result.Count(deploy.StatusDone), "repository is", "repositories are"))
	}
	return err
}

// ask puts a question to the terminal. Only y and yes are a yes.
func (e *Env) ask(ctx context.Context, question string) (bool, error) {
	if _, err := fmt.Fprintf(e.Stderr, "%s [y/N] ", question); err != nil {
		return false, err
	}
	type answer struct {
		line string
		err  error
	}
	// A read of a terminal cannot be interrupted; when ctx ends first, the
	// goroutine ends with the process.
	got := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(e.Stdin).ReadString('\n')
		got <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		_, err := fmt.Fprintln(e.Stderr)
		return false, err
	case a := <-got:
		if a.err != nil && !errors.Is(a.err, io.EOF) {
			return false, a.err
		}
		switch strings.ToLower(strings.TrimSpace(a.line)) {
		case "y", "yes":
			return true, nil
		}
		return false, nil
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
