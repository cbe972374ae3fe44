package admincmd

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/adminclient"
	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func eventsCommand(e *command.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Send events to webhooks",
		Long: `Manage the receivers of events: webhooks that are told of pushes, deletions, expiry,
denials, leases and more. The operator of the server lists the hosts that receivers may
be on. The guide docs/guides/events.md shows how.`,
		Example: `  kontor admin events add deploy https://hooks.example.com/kontor --type image.pushed
  kontor admin events log deploy`,
		Args: cobra.ArbitraryArgs,
		RunE: command.RunGroup,
	}
	cmd.AddCommand(eventsListCommand(e), eventsAddCommand(e), eventsRemoveCommand(e), eventsTestCommand(e), eventsLogCommand(e), eventsRedeliverCommand(e))
	return cmd
}

func eventsListCommand(e *command.Env) *cobra.Command {
	return command.AdminCall(e, &cobra.Command{
		Use: "list [flags]", Short: "List the receivers of events",
		Long: `List the receivers of events with what they ask for, how many events wait for them, and
how many of the log were given up or dropped. Secrets are not shown.`,
		Example: "  kontor admin events list\n  kontor admin events list --json | jq '.receivers[] | select(.queued > 0)'", Args: command.NoArgs,
	}, func(ctx context.Context, c *command.AdminClient, _ []string) (command.Shown, error) {
		var out admin.ListEventReceiversResponse
		err := c.Call(ctx, "ListEventReceivers", admin.ListEventReceiversRequest{}, &out)
		return command.Show(out, render.EventReceivers), err
	})
}

// maxSecretFile bounds what is read of a secret.
const maxSecretFile = 64 << 10

// readSecret reads a secret from a file, - for standard input; "" for none.
func readSecret(e *command.Env, flag, file string) (string, error) {
	var text []byte
	var err error
	switch file {
	case "":
		return "", nil
	case "-":
		text, err = io.ReadAll(io.LimitReader(e.Stdin, maxSecretFile))
	default:
		text, err = os.ReadFile(filepath.Clean(file))
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", command.Usagef("%s: %s is empty", flag, file)
	}
	return secret, nil
}

func eventsAddCommand(e *command.Env) *cobra.Command {
	var in admin.PutEventReceiverRequest
	var secret, headers string
	cmd := command.AdminCall(e, &cobra.Command{
		Use: "add NAME [URL] [flags]", Short: "Add a receiver of events, or change one",
		Long: `Add a receiver of events, or change one that exists: then the URL may be left out, and
what is not given stays. The server sends events to URL as POST requests.

The server makes a secret and prints it once, unless --secret-file gives one. Requests
are signed with it as Standard Webhooks has it. After a secret was replaced, requests
are signed with both for 24 hours.

Types are names such as image.pushed or patterns such as "image.*". Formats are
eventbridge (the events of Amazon ECR), cloudevents (CloudEvents 1.0 in JSON) and
cloudevents-binary (with the attributes in headers).`,
		Example: `  kontor admin events add deploy https://hooks.example.com/kontor --type image.pushed
  kontor admin events add audit https://hooks.example.com/audit --type '*.denied' --format cloudevents
  kontor admin events add deploy --rotate-secret`,
		Args: command.Between(1, 2),
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		in.Name = args[0]
		if len(args) > 1 {
			in.URL = args[1]
		}
		var err error
		if in.Secret, err = readSecret(e, "--secret-file", secret); err != nil {
			return command.Shown{}, err
		}
		text, err := readSecret(e, "--header-file", headers)
		if err != nil {
			return command.Shown{}, err
		}
		for line := range strings.Lines(text) {
			name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
			if !ok {
				return command.Shown{}, command.Usagef("--header-file: want lines NAME: VALUE")
			}
			if in.Headers == nil {
				in.Headers = map[string]string{}
			}
			in.Headers[name] = strings.TrimSpace(value)
		}
		var out admin.PutEventReceiverResponse
		err = c.Call(ctx, "PutEventReceiver", in, &out)
		return command.Show(out, render.NewEventReceiver), err
	})
	f := cmd.Flags()
	f.StringArrayVar(&in.Types, "type", nil, "send events of `TYPE`, a name or a pattern such as \"image.*\"; \"*\" is all; may be given several times (default all)")
	f.StringArrayVar(&in.Repositories, "repository", nil, "send events of the repository `NAME`, or of a pattern such as \"team/*\"; \"*\" is all; may be given several times (default all)")
	f.StringVar(&in.Format, "format", "", "send events in the format `FORMAT`: eventbridge, cloudevents or cloudevents-binary (default eventbridge)")
	f.StringVar(&secret, "secret-file", "", "sign with the secret in `FILE`, - for standard input (default one that the server makes)")
	f.StringVar(&headers, "header-file", "", "send the headers in `FILE` as well, a line NAME: VALUE each, - for standard input (default none)")
	f.BoolVar(&in.RotateSecret, "rotate-secret", false, "have the server make a new secret (default false)")
	var types []string
	for _, t := range events.Types {
		types = append(types, string(t))
	}
	command.CompleteWords(cmd, "type", types...)
	command.CompleteWords(cmd, "format", string(events.EventBridge), string(events.CloudEvents), string(events.CloudEventsBinary))
	return cmd
}

func eventsRemoveCommand(e *command.Env) *cobra.Command {
	return command.AdminCall(e, &cobra.Command{
		Use: "remove NAME [flags]", Short: "Remove a receiver of events",
		Long:    "Remove a receiver of events with its queue and its log. Events that wait for it are\nnot sent.",
		Example: "  kontor admin events remove deploy", Args: command.Between(1, 1),
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		var out admin.DeleteEventReceiverResponse
		err := c.Call(ctx, "DeleteEventReceiver", admin.DeleteEventReceiverRequest{Name: args[0]}, &out)
		return said(out, "removed the receiver %s", args[0]), err
	})
}

func eventsTestCommand(e *command.Env) *cobra.Command {
	return command.AdminCall(e, &cobra.Command{
		Use: "test NAME [flags]", Short: "Send a test event to a receiver",
		Long: `Have the server send an event of the type receiver.test to a receiver at once, whatever
waits for it and whatever types it asks for. The exit code is 1 if the receiver does
not take it.`,
		Example: "  kontor admin events test deploy", Args: command.Between(1, 1),
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		var out admin.TestEventReceiverResponse
		if err := c.Call(ctx, "TestEventReceiver", admin.TestEventReceiverRequest{Name: args[0]}, &out); err != nil {
			return command.Shown{}, err
		}
		if out.Delivered {
			return said(out, "%s took the test event: status %d after %d ms", args[0], out.Status, out.Milliseconds), nil
		}
		s := command.Show(out, func(w io.Writer, out admin.TestEventReceiverResponse, o render.Options) error {
			return render.FailedEvent(w, args[0], out, o)
		})
		s.Code = command.ExitFailed
		return s, nil
	})
}

func eventsLogCommand(e *command.Env) *cobra.Command {
	var in admin.ListEventDeliveriesRequest
	var limit int
	cmd := command.AdminCall(e, &cobra.Command{
		Use: "log NAME [flags]", Short: "Show what was sent to a receiver, and what waits",
		Long: `Show the events for a receiver, newest first: those that wait, those that it took, those
that were given up after many attempts, and those that were dropped because too many
waited; with the status, the error and the answer of the last attempt. With --json,
each has the event as it is sent.`,
		Example: `  kontor admin events log deploy
  kontor admin events log deploy --state failed --json | jq -c '.deliveries[].body'`,
		Args: command.Between(1, 1),
		PreRunE: func(*cobra.Command, []string) error {
			if limit < 1 {
				return command.Usagef("--limit: want a number from 1")
			}
			return nil
		},
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		in.Name, in.MaxResults = args[0], int32(min(limit, admin.MaxPage))
		all := admin.ListEventDeliveriesResponse{Deliveries: []admin.EventDelivery{}}
		err := adminclient.Pages(ctx, c.Client, "ListEventDeliveries", &in, &in.NextToken, func(out *admin.ListEventDeliveriesResponse) (string, error) {
			all.Deliveries = append(all.Deliveries, out.Deliveries...)
			if len(all.Deliveries) >= limit {
				all.Deliveries = all.Deliveries[:limit]
				return "", nil
			}
			return out.NextToken, nil
		})
		return command.Show(all, render.EventLog), err
	})
	const usual = 50
	f := cmd.Flags()
	f.IntVar(&limit, "limit", usual, "show at most `N` events")
	f.StringVar(&in.State, "state", "", "show only events in the state `STATE`: queued, delivered, failed or dropped (default all)")
	f.StringVar(&in.Type, "type", "", "show only events of the type `TYPE` (default all)")
	f.StringVar(&in.RepositoryName, "repository", "", "show only events of the repository `NAME` (default all)")
	command.CompleteWords(cmd, "state", "queued", "delivered", "failed", "dropped")
	return cmd
}

func eventsRedeliverCommand(e *command.Env) *cobra.Command {
	var in admin.RedeliverEventsRequest
	cmd := command.AdminCall(e, &cobra.Command{
		Use: "redeliver NAME [ID] [flags]", Short: "Send events to a receiver again",
		Long: `Queue events of a receiver's log again: the one with the number ID, which kontor admin
events log shows, or with --state all that ended so, a thousand at a time. They are
sent with the same webhook-id as before, and before newer ones of their repository.`,
		Example: `  kontor admin events redeliver deploy 42
  kontor admin events redeliver deploy --state failed`,
		Args: command.Between(1, 2),
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		in.Name = args[0]
		if (len(args) > 1) == (in.State != "") {
			return command.Shown{}, command.Usagef("give the number of an event, or --state")
		}
		if len(args) > 1 {
			var err error
			if in.DeliveryID, err = strconv.ParseInt(args[1], 10, 64); err != nil || in.DeliveryID < 1 {
				return command.Shown{}, command.Usagef("%q: want the number of an event, as kontor admin events log shows it", args[1])
			}
		}
		var out admin.RedeliverEventsResponse
		if err := c.Call(ctx, "RedeliverEvents", in, &out); err != nil {
			return command.Shown{}, err
		}
		s := command.Show(out, func(w io.Writer, out admin.RedeliverEventsResponse, o render.Options) error {
			return render.Redelivered(w, args[0], out, o)
		})
		if out.Queued == 0 {
			s.Code = command.ExitFailed
		}
		return s, nil
	})
	cmd.Flags().StringVar(&in.State, "state", "", "send all again that ended as `STATE`: failed, dropped or delivered (default none)")
	command.CompleteWords(cmd, "state", "failed", "dropped", "delivered")
	return cmd
}
