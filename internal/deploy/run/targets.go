package run

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/state"
)

// TargetError is about a choice of registries that the file does not allow.
type TargetError struct{ message string }

func (e *TargetError) Error() string { return e.message }

// Choose are the targets of the names, all for no names, in the order of the
// file.
func Choose(all []state.Target, names []string) ([]state.Target, error) {
	if len(names) == 0 {
		return all, nil
	}
	for _, n := range names {
		if !slices.ContainsFunc(all, func(t state.Target) bool { return t.Name == n }) {
			return nil, &TargetError{fmt.Sprintf("there is no registry %q in the file: it has %s", n, list(all))}
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(t state.Target) bool { return !slices.Contains(names, t.Name) }), nil
}

// ChooseOne is the target of the name, or the only one for "".
func ChooseOne(all []state.Target, name string) (state.Target, error) {
	if name != "" {
		chosen, err := Choose(all, []string{name})
		if err != nil {
			return state.Target{}, err
		}
		return chosen[0], nil
	}
	if err := one(all); err != nil {
		return state.Target{}, err
	}
	return all[0], nil
}

// one wants a single target.
func one(targets []state.Target) error {
	if len(targets) == 1 {
		return nil
	}
	return &TargetError{fmt.Sprintf("the file has %d registries: give --target with one of %s", len(targets), list(targets))}
}

func list(targets []state.Target) string {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = t.Name
	}
	return strings.Join(names, ", ")
}
