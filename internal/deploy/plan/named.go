package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// namedSetting is a setting of a registry that has a name and no owner: only those change
// that the file names.
type namedSetting[T any] interface {
	// kind is what it is called.
	kind() string
	differences(other T) []Difference
	// sets says what it does where it is called name, and ends what its end does.
	sets(name string) string
	ends(name string) string
}

// NamedChange is the part of a plan of one signer, or of one receiver of events.
type NamedChange[T namedSetting[T]] struct {
	Name        string       `json:"name"`
	Op          Op           `json:"op"`
	Before      *T           `json:"before,omitempty"`
	After       *T           `json:"after,omitempty"`
	Differences []Difference `json:"differences,omitempty"`
	Effect      string       `json:"effect,omitempty"`
}

// namedWish is what a file says of one.
type namedWish[T any] struct {
	name    string
	setting T
	removed bool
}

// diffNamed plans the settings of a kind.
func diffNamed[T namedSetting[T]](want []namedWish[T], have map[string]T, end End) (changes []NamedChange[T]) {
	for _, w := range want {
		before, exists := have[w.name]
		c := NamedChange[T]{Name: w.name, Op: OpNone}
		switch gone := w.removed || end == Everything; {
		case gone && !exists:
			continue
		case gone:
			c = NamedChange[T]{Name: w.name, Op: OpDelete, Before: &before, Effect: before.ends(w.name)}
		case !exists:
			c = NamedChange[T]{Name: w.name, Op: OpCreate, After: &w.setting, Effect: w.setting.sets(w.name)}
		default:
			if list := before.differences(w.setting); len(list) > 0 {
				c = NamedChange[T]{Name: w.name, Op: OpUpdate, Before: &before, After: &w.setting, Differences: list, Effect: w.setting.sets(w.name)}
			}
		}
		changes = append(changes, c)
	}
	return changes
}

// unknownNamed is the finding where settings of the field cannot be compared.
func unknownNamed(code Code, field string, what, why string, end End) []Finding {
	f := Finding{Code: code, Severity: Error, Field: field, Message: "the " + what + " of the file cannot be compared: " + why}
	if end == Everything {
		f.Severity = Warning // there is nothing to delete
	}
	return []Finding{f}
}

// Moved is TemplateChange.Moved for a setting with a name.
func (c NamedChange[T]) Moved(have T, exists bool) string {
	return moved("the "+have.kind()+" "+c.Name, c.Before, c.After, &have, exists, c.Op == OpDelete, func(a, b *T) bool {
		return len((*a).differences(*b)) == 0
	})
}

// done is TemplateChange.done for a setting with a name.
func (c NamedChange[T]) done(have T, exists bool) bool {
	return exists && c.After != nil && len((*c.After).differences(have)) == 0
}

// staleNamed is staleSettings for the settings of a kind: those that were planned, and
// those that would be planned now.
func staleNamed[T namedSetting[T]](then, now []NamedChange[T], have map[string]T) (out []string) {
	var zero T
	kind := "the " + zero.kind() + " "
	planned := map[string]NamedChange[T]{}
	for _, c := range then {
		planned[c.Name] = c
	}
	for _, c := range now {
		was, ok := planned[c.Name]
		delete(planned, c.Name)
		is, exists := have[c.Name]
		out = append(out, staleSetting(kind+c.Name, ok, was.Op, c.Op, was.After, c.After, was.done(is, exists), func() string { return was.Moved(is, exists) })...)
	}
	for _, name := range slices.Sorted(maps.Keys(planned)) {
		if _, exists := have[name]; planned[name].Op == OpDelete && !exists {
			continue
		}
		out = append(out, kind+name+" left the file since the plan was made")
	}
	return out
}

// check refuses what DiffWith would not have planned.
func (c NamedChange[T]) check() error {
	switch c.Op {
	case OpNone:
		return nil
	case OpCreate, OpUpdate:
		return sides(c.Op, c.Before, c.After)
	case OpDelete:
		if c.Before == nil || c.After != nil {
			return errors.New("a deletion without what was there")
		}
		return nil
	}
	return fmt.Errorf("unknown operation %q", c.Op)
}

func checkNamed[T namedSetting[T]](all []NamedChange[T]) error {
	for _, c := range all {
		if err := c.check(); err != nil {
			var zero T
			return fmt.Errorf("the %s %s: %w", zero.kind(), c.Name, err)
		}
	}
	return nil
}

func pendingNamed[T namedSetting[T]](all []NamedChange[T]) []NamedChange[T] {
	return slices.DeleteFunc(slices.Clone(all), func(c NamedChange[T]) bool { return c.Op == OpNone })
}

// byNames is m with each value changed.
func byNames[S, T any](m map[string]S, change func(S) T) map[string]T {
	out := make(map[string]T, len(m))
	for name, x := range m {
		out[name] = change(x)
	}
	return out
}
