package admincmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/adminclient"
	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/host"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// auditOptions are the flags of `kontor admin audit`.
type auditOptions struct {
	command.EndpointOptions
	data, decision, since, until string
	asJSON                       bool
	filter                       audit.Filter
}

func auditCommand(e *command.Env) *cobra.Command {
	var o auditOptions
	cmd := &cobra.Command{
		Use:   "audit [flags]",
		Short: "Show who changed what, and who was denied what",
		Long: `Show the records of a registry's audit log, oldest first: each change, each
denial and each failed login, with the policy statement that decided. The server
also records reads when it runs with --audit all.

Names may contain the wildcards * and ?. Lines of the log that cannot be read,
such as one left by a crash, are reported on stderr, and the command exits with 1.

With --endpoint, the records come from a registry elsewhere, newest first: those of
this registry, without failed logins. Your credentials need the permission
kontor:ListAuditRecords. Each replica of a registry has its own log.`,
		Example: `  kontor admin audit --decision denied --since 24h
  kontor admin audit --principal '*:user/ci' --action 'ecr:Put*' --resource 'team/*'
  kontor admin audit --json | jq -r .principal | sort | uniq -c`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runAudit(e, cmd, o) },
	}
	command.DataFlag(e, cmd, &o.data)
	o.EndpointOptions.Flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.filter.Principal, "principal", "", "show only records of the principal `NAME`: an ARN, a unique id or an access key (default all)")
	f.StringVar(&o.filter.Action, "action", "", "show only records of the IAM action `NAME`, such as ecr:PutImage (default all)")
	f.StringVar(&o.filter.Resource, "resource", "", "show only records of the resource `NAME`: an ARN or a repository (default all)")
	f.StringVar(&o.filter.RequestID, "request", "", "show only records of the request `ID` (default all)")
	f.StringVar(&o.decision, "decision", "", "show only requests that were `WHAT`: allowed or denied (default both)")
	f.StringVar(&o.since, "since", "", "show only records since `TIME`: 2026-11-23, 2026-11-23T12:00:00Z, or an age such as 24h or 7d (default from the beginning)")
	f.StringVar(&o.until, "until", "", "show only records before `TIME`, in the same forms (default now)")
	command.CompleteWords(cmd, "decision", string(audit.Allowed), string(audit.Denied))
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "write JSON, one record per line (default false)")
	return cmd
}

func runAudit(e *command.Env, cmd *cobra.Command, o auditOptions) (err error) {
	if err := o.EndpointOptions.Check(o.data, ""); err != nil {
		return err
	}
	switch d := audit.Decision(o.decision); d {
	case "", audit.Allowed, audit.Denied:
		o.filter.Decision = d
	default:
		return command.Usagef("--decision %s: want allowed or denied", o.decision)
	}
	if o.filter.Since, err = command.ParseWhen("--since", o.since, e.Now()); err != nil {
		return err
	}
	if o.filter.Until, err = command.ParseWhen("--until", o.until, e.Now()); err != nil {
		return err
	}
	if o.Endpoint != "" {
		return auditElsewhere(e, cmd, o)
	}
	path, err := e.DataDir(o.data)
	if err != nil {
		return err
	}
	bad := 0
	for r, err := range audit.Query(host.AuditDir(path), o.filter) {
		var unreadable *audit.Unreadable
		switch {
		case errors.As(err, &unreadable):
			bad++
			if _, err := fmt.Fprintf(e.Stderr, "%v\n", err); err != nil {
				return err
			}
			continue
		case err != nil:
			return fmt.Errorf("reading the audit log: %w", err)
		case cmd.Context().Err() != nil:
			return cmd.Context().Err()
		}
		if err = o.show(e, r); err != nil {
			return err
		}
	}
	if bad > 0 {
		return command.Exit(command.ExitFailed)
	}
	return nil
}

// show writes one record.
func (o *auditOptions) show(e *command.Env, r audit.Record) error {
	if o.asJSON {
		return render.AuditJSON(e.Stdout, r)
	}
	return render.Audit(e.Stdout, r, e.Options(e.Stdout))
}

// auditElsewhere shows the records of a registry at an endpoint.
func auditElsewhere(e *command.Env, cmd *cobra.Command, o auditOptions) (err error) {
	c, err := command.OpenAdmin(cmd.Context(), e, command.AdminOptions{EndpointOptions: o.EndpointOptions})
	if err != nil {
		return err
	}
	defer command.Closing(&err, c.Close)
	bad := 0
	in := admin.ListAuditRecordsRequest{
		Principal: o.filter.Principal, Action: o.filter.Action, Resource: o.filter.Resource, RequestID: o.filter.RequestID,
		Decision: string(o.filter.Decision), Since: o.filter.Since, Until: o.filter.Until, MaxResults: admin.MaxPage,
	}
	err = adminclient.Pages(cmd.Context(), c.Client, "ListAuditRecords", &in, &in.NextToken, func(out *admin.ListAuditRecordsResponse) (string, error) {
		bad += out.UnreadableLines
		for _, line := range out.Records {
			r, err := audit.ParseRecord(line)
			if err == nil {
				err = o.show(e, r)
			}
			if err != nil {
				return "", err
			}
		}
		return out.NextToken, nil
	})
	if err == nil && bad > 0 {
		if _, err := fmt.Fprintf(e.Stderr, "%d lines of the server's audit log are not records. `kontor admin audit` on the server names them.\n", bad); err != nil {
			return err
		}
		return command.Exit(command.ExitFailed)
	}
	return err
}
