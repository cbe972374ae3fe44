package cli_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/events"
)

// The deployer, which imports no store, has its own list of the events of the registry.
func TestEventsOfTheFile(t *testing.T) {
	var types []string
	for _, x := range events.Types {
		types = append(types, string(x))
	}
	if d := cmp.Diff(types, fields.EventTypes); d != "" {
		t.Errorf("types (-registry +file):\n%s", d)
	}
	for i, name := range fields.EventFormats {
		if f, err := events.ParseFormat(name); err != nil || string(f) != name {
			t.Errorf("format %s: %s, %v", name, f, err)
		}
		if f, _ := events.ParseFormat(""); i == 0 && string(f) != name {
			t.Errorf("the default is %s, and %s in the file", f, name)
		}
	}
}
