package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Setting is where a registry's settings hold its receivers, a JSON list: each change
// reads the settings to decide, so they cost it nothing.
const Setting = "eventReceivers"

// MaxReceivers is how many receivers a registry has at most.
const MaxReceivers = 20

// Receiver is who is told of events.
type Receiver struct {
	ID   string `json:"id"` // never used again
	Name string `json:"name"`
	// Host is where it is, for people: the URL, whose query may hold a secret, is in
	// Sealed.
	Host   string `json:"host"`
	Format Format `json:"format"`
	// Types are those that it wants, such as "image.*"; none for all. Repositories are
	// names or patterns such as "team/*"; none for all.
	Types        []string `json:"types,omitempty"`
	Repositories []string `json:"repositories,omitempty"`
	// Sealed has its URL and secrets.
	Sealed    []byte    `json:"sealed"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
	// OfFile: the server's configuration file has it.
	OfFile bool `json:"ofFile,omitempty"`
}

// Wants reports whether r is told of e.
func (r Receiver) Wants(e Event) bool {
	matches := func(patterns []string, s string) bool {
		return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return ecr.MatchWildcard(p, s) })
	}
	if !matches(r.Types, string(e.Type)) {
		return false
	}
	return len(r.Repositories) == 0 || e.Repository != "" && matches(r.Repositories, string(e.Repository))
}

// parsed has the receivers of the text that was parsed last for each registry's settings,
// by the text: there are few.
var parsed struct {
	sync.Mutex
	by map[string][]Receiver // guarded by Mutex
}

// ReceiversOf reads the receivers in the settings of a registry, in byte order of their
// names. The list is shared: callers do not change it.
func ReceiversOf(s meta.RegistrySettings) ([]Receiver, error) {
	text := s.Settings[Setting]
	if text == "" {
		return nil, nil
	}
	parsed.Lock()
	defer parsed.Unlock()
	if list, known := parsed.by[text]; known {
		return list, nil
	}
	var list []Receiver
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("reading the event receivers of a registry: %w", err)
	}
	const most = 100
	if parsed.by == nil || len(parsed.by) >= most {
		parsed.by = map[string][]Receiver{}
	}
	parsed.by[text] = list
	return list, nil
}

// SetReceivers puts receivers into the settings of a registry.
func SetReceivers(s *meta.RegistrySettings, list []Receiver) error {
	if len(list) == 0 {
		delete(s.Settings, Setting)
		return nil
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Receiver) int { return strings.Compare(a.Name, b.Name) })
	text, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("encoding the event receivers of a registry: %w", err)
	}
	if s.Settings == nil {
		s.Settings = map[string]string{}
	}
	s.Settings[Setting] = string(text)
	return nil
}

// ParsePatterns checks patterns of types: each matches at least one.
func ParsePatterns(patterns []string) error {
	for _, p := range patterns {
		if !slices.ContainsFunc(Types, func(t Type) bool { return ecr.MatchWildcard(p, string(t)) }) {
			names := make([]string, len(Types))
			for i, t := range Types {
				names[i] = string(t)
			}
			return fmt.Errorf("%q matches no type of event: the types are %s", p, strings.Join(names, ", "))
		}
	}
	return nil
}

// ParseRepositories checks names and patterns of repositories.
func ParseRepositories(patterns []string) error {
	for _, p := range patterns {
		name := strings.ReplaceAll(p, "*", "aa")
		if _, err := ecr.ParseRepositoryName(name); err != nil {
			return fmt.Errorf("%q: want the name of a repository, or a pattern such as team/*", p)
		}
	}
	return nil
}

// errFormat is about a format that is none.
var errFormat = errors.New("want eventbridge, cloudevents or cloudevents-binary")

// ParseFormat reads a Format; "" is EventBridge.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case "":
		return EventBridge, nil
	case EventBridge, CloudEvents, CloudEventsBinary:
		return f, nil
	}
	return "", fmt.Errorf("%q: %w", s, errFormat)
}
