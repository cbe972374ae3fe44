package plan

import (
	"fmt"
	"slices"

	"github.com/kontor-registry/kontor/internal/deploy/state"
)

// Fields of receivers of events. Their repositories are FieldRepositories.
const (
	FieldURL    Field = "url"
	FieldFormat Field = "format"
	FieldTypes  Field = "types"
)

// The findings about receivers of events.
const (
	// CodeReceivers: the receivers of the registry are not known, it cannot have any, or the
	// server's configuration file has one of them.
	CodeReceivers Code = "KON2035"
)

// EventReceiver is a webhook that is told of events.
type EventReceiver struct {
	URL          string   `json:"url"`
	Format       string   `json:"format"`
	Types        []string `json:"types,omitempty"`
	Repositories []string `json:"repositories,omitempty"`
	// SecretEnv is the environment variable of apply that has the secret. It is no
	// difference: registries do not show secrets.
	SecretEnv string `json:"secret_env,omitempty"`
}

// EventReceiverChange is one receiver's part of a plan.
type EventReceiverChange = NamedChange[EventReceiver]

// EventReceiverOf is r as plans have it.
func EventReceiverOf(r state.EventReceiver) EventReceiver {
	return EventReceiver{r.URL, r.Format, slices.Clone(r.Types), slices.Clone(r.Repositories), r.SecretEnv}
}

// State is r as a registry has it.
func (r EventReceiver) State(name string) state.EventReceiver {
	return state.EventReceiver{Name: name, URL: r.URL, Format: r.Format, Types: r.Types, Repositories: r.Repositories, SecretEnv: r.SecretEnv}
}

func (r EventReceiver) differences(b EventReceiver) (list []Difference) {
	for _, d := range []struct {
		field Field
		same  bool
	}{
		{FieldURL, state.SameURL(r.URL, b.URL)}, {FieldFormat, r.Format == b.Format},
		{FieldTypes, slices.Equal(r.Types, b.Types)}, {FieldRepositories, slices.Equal(r.Repositories, b.Repositories)},
	} {
		if !d.same {
			list = append(list, Difference{Field: d.field, Action: Modify})
		}
	}
	return list
}

func (EventReceiver) kind() string { return "event receiver" }

func (r EventReceiver) sets(string) string {
	return fmt.Sprintf("%s would be sent to %s as %s", r.State("").Told(), r.URL, r.Format)
}

func (r EventReceiver) ends(name string) string {
	return fmt.Sprintf("events would no longer be sent to %s, and those that wait for it are dropped (receivers have no owner: other files may name %s)", r.URL, name)
}

// diffReceivers plans the receivers of events.
func diffReceivers(desired state.Desired, observed state.Observed, o Options) (changes []EventReceiverChange, findings []Finding) {
	if len(desired.Wanted.Receivers) == 0 {
		return nil, nil
	}
	have := observed.Settings.Receivers
	if have == nil {
		return nil, unknownNamed(CodeReceivers, "event_receivers", "event receivers", observed.Settings.NoReceivers, o.End)
	}
	var want []namedWish[EventReceiver]
	for _, r := range desired.Wanted.Receivers {
		if have[r.Name].OfServer {
			findings = append(findings, Finding{Code: CodeReceivers, Severity: Error, Field: "event_receivers",
				Message: fmt.Sprintf("the event receiver %s is in the configuration file of the server: change it there, or give this one another name", r.Name)})
			continue
		}
		want = append(want, namedWish[EventReceiver]{r.Name, EventReceiverOf(r), r.Removed})
	}
	return diffNamed(want, byNames(have, EventReceiverOf), o.End), findings
}

// PendingReceivers is PendingTemplates for receivers of events.
func (p Plan) PendingReceivers() []EventReceiverChange { return pendingNamed(p.Receivers) }
