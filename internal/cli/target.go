package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// anyRegistry stands for the local registry where none is reached.
var anyRegistry = ecr.RegistryID{Account: "000000000000", Region: "us-east-1"}

// sources reads the files of o, or else that of $KONTOR_FILE or the one of
// defaultFiles. Of a folder those are read that spec.Endings names, in byte
// order, but none whose name begins with a dot, and no folders in it.
func (e *Env) sources(o fileOptions) ([]spec.Source, error) {
	names := o.files
	if v := e.Getenv(envFile); len(names) == 0 && v != "" {
		names = []string{v}
	}
	if len(names) == 0 {
		found := defaultFiles()
		switch len(found) {
		case 0:
			return nil, fmt.Errorf("there is no %s in this folder: give -f FILE", nameList(spec.Names(), "or"))
		case 1:
		default:
			return nil, fmt.Errorf("there are %s in this folder: give -f FILE", nameList(found, "and"))
		}
		names = found
	}
	out := make([]spec.Source, 0, len(names))
	for _, n := range names {
		info, err := os.Stat(n)
		switch {
		case err == nil && info.IsDir():
			inside, err := folder(n)
			if err != nil {
				return nil, err
			}
			out = append(out, inside...)
			continue
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("%s does not exist", n)
		}
		s, err := readSource(n)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func readSource(name string) (spec.Source, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return spec.Source{}, fmt.Errorf("reading %s: %w", name, errors.Unwrap(err))
	}
	return spec.Source{Name: name, Data: b}, nil
}

// folder reads the files of a folder.
func folder(name string) ([]spec.Source, error) {
	entries, err := os.ReadDir(name) // in byte order
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, errors.Unwrap(err))
	}
	var out []spec.Source
	for _, entry := range entries {
		path := filepath.Join(name, entry.Name())
		ending := strings.ToLower(filepath.Ext(path))
		if strings.HasPrefix(entry.Name(), ".") || !slices.Contains(spec.Endings(), ending) {
			continue
		}
		// a link counts as what it leads to
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			continue
		}
		s, err := readSource(path)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("the folder %s has no file whose name ends in %s", name, nameList(spec.Endings(), "or"))
	}
	return out, nil
}

// nameList is "a", "a or b", "a, b or c".
func nameList(names []string, word string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " " + word + " " + names[last]
}

// defaultFiles are the files in this folder that are read when none is given.
func defaultFiles() []string {
	var found []string
	for _, n := range spec.Names() {
		if _, err := os.Stat(n); err == nil {
			found = append(found, n)
		}
	}
	return found
}

// pickTarget chooses the entry of registries that name says, or the only one.
func (e *Env) pickTarget(targets []state.Target, name string) (state.Target, error) {
	if v := e.Getenv(envTarget); name == "" && v != "" {
		name = v
	}
	var names []string
	for _, t := range targets {
		if t.Name == name {
			return t, nil
		}
		names = append(names, t.Name)
	}
	switch {
	case len(targets) == 0:
		return state.Target{}, errors.New("the file names no registry")
	case name != "":
		return state.Target{}, usagef("there is no registry %q in the file: it has %s", name, strings.Join(names, ", "))
	case len(targets) > 1:
		return state.Target{}, usagef("the file has %d registries: give --target with one of %s", len(targets), strings.Join(names, ", "))
	}
	return targets[0], nil
}

// session is a file and the registry it is deployed to.
type session struct {
	conn    *deploy.Conn
	file    *spec.File
	desired state.Desired
	close   func() error
}

// open reads the file and reaches the registry that o chooses. A file without
// registries goes to the local registry and nowhere else.
func (e *Env) open(ctx context.Context, o targetOptions) (s *session, err error) {
	f, err := e.loadFile(o.fileOptions, e.Stderr)
	if err != nil {
		return nil, err
	}
	desired := f.Desired(anyRegistry)
	target, err := e.pickTarget(desired.Targets, o.target)
	if err != nil {
		return nil, err
	}
	s = &session{file: f, desired: desired, close: func() error { return nil }}
	config := deploy.ConnectConfig{Target: target}
	if target.Local {
		dir, err := e.dataDir(o.data)
		if err != nil {
			return nil, err
		}
		local, closeServer, err := e.localRegistry(ctx, dir)
		if err != nil {
			return nil, err
		}
		if closeServer != nil {
			s.close = closeServer
		}
		// The policies name the registry's account and partition.
		s.desired = f.Desired(local.Registry)
		config.Target.Registry = local.Registry
		config.Target.Endpoint = local.Endpoint
		config.AccessKeyID, config.SecretAccessKey = local.AccessKeyID, local.SecretAccessKey
		config.HTTPClient = local.HTTPClient
	}
	s.conn, err = deploy.Connect(ctx, config)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}
