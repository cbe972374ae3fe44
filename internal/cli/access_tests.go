package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
)

func (e *Env) accessTestCommand() *cobra.Command {
	var o accessOptions
	cmd := &cobra.Command{
		Use:   "test [flags]",
		Short: "Run the file's access_tests",
		Long: `Run the file's access_tests against the repositories as the file would make them
and the users and roles as they are. Plan runs them, too.

What a test allows must be allowed as far as policies could be read. What it
denies must be denied for certain, and its principal must exist where its account
was read.`,
		Example: `  kontor access test -f kontor.yaml`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			d, err := e.openAll(cmd.Context(), o.targetsOptions)
			if err != nil {
				return err
			}
			defer closing(&err, d.close)
			results, err := e.accessTests(cmd.Context(), d, o)
			if err != nil {
				return err
			}
			if o.asJSON {
				err = render.AccessTestsJSON(e.Stdout, results)
			} else {
				err = render.AccessTests(e.Stdout, results, e.options(e.Stdout))
			}
			if err == nil && slices.ContainsFunc(results, render.AccessTest.Failed) {
				return &exitError{exitFailed}
			}
			return err
		},
	}
	o.targetsOptions.flags(e, cmd)
	o.parallel = deploy.Parallel
	jsonFlag(cmd, &o.asJSON)
	return cmd
}

// accessTests runs the tests of d's file on every registry.
func (e *Env) accessTests(ctx context.Context, d *deployment, o accessOptions) ([]render.AccessTest, error) {
	tests := d.file.Frame(anyRegistry).AccessTests
	if len(tests) == 0 {
		return nil, nil
	}
	o.planned = true
	var asked []string
	for _, t := range tests {
		asked = append(asked, t.Principal)
	}
	ev, err := e.gather(ctx, d, o, "", asked)
	if err != nil {
		return nil, err
	}
	var results []render.AccessTest
	for _, s := range d.sites {
		for _, repo := range s.desired.For(s.target).Repositories {
			for _, t := range tests {
				if !t.Covers(repo.Name) {
					continue
				}
				for _, right := range t.Allow {
					results = append(results, ev.test(t, s.conn.Target.Registry, repo.Name, right, true))
				}
				for _, right := range t.Deny {
					results = append(results, ev.test(t, s.conn.Target.Registry, repo.Name, right, false))
				}
			}
		}
	}
	return results, nil
}

func (ev evidence) test(t state.AccessTest, in ecr.RegistryID, name ecr.RepositoryName, right string, may bool) render.AccessTest {
	r := render.AccessTest{Principal: t.Principal, Repository: in.RepositoryARN(name), Right: right, Expect: "may not", Where: t.Origin.String()}
	if may {
		r.Expect = "may"
	}
	actions, err := proof.ParseRight(right)
	if err != nil {
		r.Failure = err.Error()
		return r
	}
	a, err := ev.prover.Check(t.Principal, actions, in, name)
	if err != nil {
		r.Failure = err.Error()
		return r
	}
	r.Outcome = a.Outcome
	holds := a.Outcome == proof.Denied && !a.Missing
	if may {
		holds = a.Outcome == proof.Allowed || a.Outcome == proof.Unseen
	}
	if holds {
		return r
	}
	if a.Missing {
		r.Failure = "there is no such user or role"
		return r
	}
	r.Failure = "it is " + string(a.Outcome)
	for _, action := range a.Actions {
		if (action.Outcome == proof.Denied) == may {
			r.Failure = fmt.Sprintf("%s is %s", action.Action, action.Outcome)
			break
		}
	}
	return r
}

// failedAccess is the error for access tests that do not hold; nil when all
// do.
func failedAccess(results []render.AccessTest) error {
	var failed []render.AccessTest
	for _, r := range results {
		if r.Failed() {
			failed = append(failed, r)
		}
	}
	switch len(failed) {
	case 0:
		return nil
	case 1:
		r := failed[0]
		return fmt.Errorf("%s: an access test does not hold: %s %s %s %s: %s", r.Where, r.Principal, r.Expect, r.Right, r.Repository, r.Failure)
	}
	return fmt.Errorf("%d access tests do not hold: see `kontor access test`", len(failed))
}
