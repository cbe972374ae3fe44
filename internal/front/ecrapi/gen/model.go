package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
)

// A model is the shape of the API: operations and the shapes they are made of.
// The files under ../model hold it in this form, an entry a line.
type model struct {
	Operations map[string]operation `json:"operations"`
	Shapes     map[string]shape     `json:"shapes"`
}

type operation struct {
	Input  string   `json:"input"`
	Output string   `json:"output"`
	Errors []string `json:"errors"`
}

// A shape's type is structure, list, map, string, integer, long, double,
// boolean, timestamp or blob.
type shape struct {
	Type string `json:"type"`
	// Exception marks the errors; Fault those that are the server's.
	Exception bool `json:"exception,omitempty"`
	Fault     bool `json:"fault,omitempty"`
	// Required and Members (name to shape) belong to structures.
	Required []string          `json:"required,omitempty"`
	Members  map[string]string `json:"members,omitempty"`
	// Member is the shape of a list's elements, Key and Value of a map's.
	Member string `json:"member,omitempty"`
	Key    string `json:"key,omitempty"`
	Value  string `json:"value,omitempty"`
	// Min and Max bound a number, or the length of a string, list or blob.
	Min     *int64   `json:"min,omitempty"`
	Max     *int64   `json:"max,omitempty"`
	Pattern string   `json:"pattern,omitempty"`
	Enum    []string `json:"enum,omitempty"`
}

// readModel merges the model files; a name in two of them is an error.
func readModel(paths ...string) (model, error) {
	all := model{Operations: map[string]operation{}, Shapes: map[string]shape{}}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return model{}, err
		}
		var m model
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		if err := d.Decode(&m); err != nil {
			return model{}, fmt.Errorf("%s: %w", path, err)
		}
		for name, op := range m.Operations {
			if _, twice := all.Operations[name]; twice {
				return model{}, fmt.Errorf("%s: operation %s is there twice", path, name)
			}
			all.Operations[name] = op
		}
		for name, s := range m.Shapes {
			if _, twice := all.Shapes[name]; twice {
				return model{}, fmt.Errorf("%s: shape %s is there twice", path, name)
			}
			all.Shapes[name] = s
		}
	}
	return all, all.check()
}

// check reports names that lead nowhere.
func (m model) check() error {
	known := func(from, name string) error {
		if _, ok := m.Shapes[name]; !ok {
			return fmt.Errorf("%s: unknown shape %q", from, name)
		}
		return nil
	}
	for _, name := range sorted(m.Operations) {
		op := m.Operations[name]
		for _, s := range append([]string{op.Input, op.Output}, op.Errors...) {
			if err := known(name, s); err != nil {
				return err
			}
		}
	}
	for _, name := range sorted(m.Shapes) {
		s := m.Shapes[name]
		for _, member := range sorted(s.Members) {
			if err := known(name, s.Members[member]); err != nil {
				return err
			}
		}
		for _, r := range s.Required {
			if s.Members[r] == "" {
				return fmt.Errorf("%s: requires %q, which is no member", name, r)
			}
		}
		for _, ref := range []string{s.Member, s.Key, s.Value} {
			if ref == "" {
				continue
			}
			if err := known(name, ref); err != nil {
				return err
			}
		}
	}
	return nil
}

// ordered is a structure's members: the required ones as the model lists
// them, then the others by name. Checks are made in this order.
func (s shape) ordered() []string {
	names := slices.Clone(s.Required)
	for _, n := range sorted(s.Members) {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// importModel reads the API model in the form in which AWS's SDKs for Python
// and PHP publish it (service-2.json), and keeps names, types, constraints and
// errors; no prose.
func importModel(path string) (model, error) {
	type ref struct {
		Shape string `json:"shape"`
	}
	var from struct {
		Operations map[string]struct {
			Input  ref   `json:"input"`
			Output ref   `json:"output"`
			Errors []ref `json:"errors"`
		} `json:"operations"`
		Shapes map[string]struct {
			Type      string         `json:"type"`
			Exception bool           `json:"exception"`
			Fault     bool           `json:"fault"`
			Required  []string       `json:"required"`
			Members   map[string]ref `json:"members"`
			Member    ref            `json:"member"`
			Key       ref            `json:"key"`
			Value     ref            `json:"value"`
			Min       *int64         `json:"min"`
			Max       *int64         `json:"max"`
			Pattern   string         `json:"pattern"`
			Enum      []string       `json:"enum"`
		} `json:"shapes"`
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return model{}, err
	}
	if err := json.Unmarshal(b, &from); err != nil {
		return model{}, fmt.Errorf("%s: %w", path, err)
	}
	m := model{Operations: map[string]operation{}, Shapes: map[string]shape{}}
	for name, o := range from.Operations {
		op := operation{Input: o.Input.Shape, Output: o.Output.Shape}
		for _, e := range o.Errors {
			op.Errors = append(op.Errors, e.Shape)
		}
		m.Operations[name] = op
	}
	for name, f := range from.Shapes {
		s := shape{
			Type: f.Type, Exception: f.Exception, Fault: f.Fault, Required: f.Required,
			Member: f.Member.Shape, Key: f.Key.Shape, Value: f.Value.Shape,
			Min: f.Min, Max: f.Max, Pattern: f.Pattern, Enum: f.Enum,
		}
		if len(f.Members) > 0 {
			s.Members = map[string]string{}
		}
		for member, r := range f.Members {
			s.Members[member] = r.Shape
		}
		m.Shapes[name] = s
	}
	return m, m.check()
}

// bytes is m as kept in a file: an entry a line, so that changes read well.
func (m model) bytes() ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("{\n\"operations\": {\n")
	if err := writeEntries(&out, m.Operations); err != nil {
		return nil, err
	}
	out.WriteString("},\n\"shapes\": {\n")
	if err := writeEntries(&out, m.Shapes); err != nil {
		return nil, err
	}
	out.WriteString("}\n}\n")
	return out.Bytes(), nil
}

func writeEntries[T any](out *bytes.Buffer, entries map[string]T) error {
	names := sorted(entries)
	for i, name := range names {
		var line bytes.Buffer
		enc := json.NewEncoder(&line)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(entries[name]); err != nil {
			return err
		}
		comma := ","
		if i == len(names)-1 {
			comma = ""
		}
		fmt.Fprintf(out, "%q: %s%s\n", name, bytes.TrimSpace(line.Bytes()), comma)
	}
	return nil
}

func sorted[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
