package run

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/adminclient"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// receivers are those of events of a Kontor registry.
type receivers struct{ c *adminclient.Client }

// receivers returns the receivers of events of the registry; nil for Amazon ECR.
func (s *Registry) receivers() deploy.ReceiversAPI {
	if c := s.admin(); c != nil {
		return receivers{c}
	}
	return nil
}

// observeReceivers reads the receivers, or says why they are not known.
func (s *Registry) observeReceivers(ctx context.Context) (all map[string]state.EventReceiver, why string, err error) {
	api := s.receivers()
	if api == nil {
		return nil, "the registry is Amazon ECR, whose events go to Amazon EventBridge; name the registries of Kontor with `registries` in their entries", nil
	}
	all, err = api.Receivers(ctx)
	if why, err := s.unknown(err, "event receivers", "kontor:ListEventReceivers", "sends events"); why != "" || err != nil {
		return nil, why, err
	}
	return all, "", nil
}

// Receivers implements deploy.ReceiversAPI.
func (s receivers) Receivers(ctx context.Context) (map[string]state.EventReceiver, error) {
	var list admin.ListEventReceiversResponse
	if err := s.c.Call(ctx, "ListEventReceivers", admin.ListEventReceiversRequest{}, &list); err != nil {
		return nil, err
	}
	out := map[string]state.EventReceiver{}
	for _, x := range list.Receivers {
		r := state.EventReceiver{Name: x.Name, URL: x.URL, Format: x.Format, Types: x.Types, Repositories: x.Repositories, OfServer: x.OfFile}
		slices.Sort(r.Types)
		slices.Sort(r.Repositories)
		out[x.Name] = r
	}
	return out, nil
}

// PutReceiver implements deploy.ReceiversAPI.
func (s receivers) PutReceiver(ctx context.Context, r state.EventReceiver) error {
	in := admin.PutEventReceiverRequest{Name: r.Name, URL: r.URL, Format: r.Format, Types: everything(r.Types), Repositories: everything(r.Repositories)}
	if r.SecretEnv != "" {
		if in.Secret = strings.TrimSpace(os.Getenv(r.SecretEnv)); in.Secret == "" {
			return fmt.Errorf("the environment variable %s, which has the secret of the event receiver %s, is not set", r.SecretEnv, r.Name)
		}
	}
	return s.c.Call(ctx, "PutEventReceiver", in, &admin.PutEventReceiverResponse{})
}

// everything makes no patterns the pattern of all: what is not given stays as it is.
func everything(patterns []string) []string {
	if len(patterns) == 0 {
		return []string{"*"}
	}
	return patterns
}

// DeleteReceiver implements deploy.ReceiversAPI.
func (s receivers) DeleteReceiver(ctx context.Context, name string) error {
	return s.c.Call(ctx, "DeleteEventReceiver", admin.DeleteEventReceiverRequest{Name: name}, &admin.DeleteEventReceiverResponse{})
}
