package command

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/spec"
)

// LoadFile reads and checks the files of o, and writes what they should know
// to notices, if it is not nil.
func LoadFile(e *Env, o FileOptions, notices io.Writer) (*spec.File, error) {
	sources, err := ReadSources(e, o)
	if err != nil {
		return nil, err
	}
	f, ns, err := spec.Load(sources...)
	if notices != nil {
		for _, n := range ns {
			if _, err := fmt.Fprintln(notices, n.String()); err != nil {
				return nil, err
			}
		}
	}
	return f, err
}

// ReadSources reads the files of o, or else that of $KONTOR_FILE or the one of
// DefaultFiles. Of a folder those are read that spec.Endings names, in byte
// order, but none whose name begins with a dot, and no folders in it.
func ReadSources(e *Env, o FileOptions) ([]spec.Source, error) {
	names := FileNames(e, o)
	switch given := len(o.Files) > 0 || e.Getenv(EnvFile) != ""; {
	case len(names) == 0:
		return nil, fmt.Errorf("there is no %s in this folder: pass -f FILE", NameList(spec.Names(), "or"))
	case len(names) > 1 && !given:
		return nil, fmt.Errorf("there are %s in this folder: choose with -f FILE", NameList(names, "and"))
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
		return nil, fmt.Errorf("the folder %s has no file whose name ends in %s", name, NameList(spec.Endings(), "or"))
	}
	return out, nil
}

// NameList is "a", "a or b", "a, b or c".
func NameList(names []string, word string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " " + word + " " + names[last]
}

// DefaultFiles are the files in this folder that are read when none is given.
func DefaultFiles() []string {
	var found []string
	for _, n := range spec.Names() {
		if _, err := os.Stat(n); err == nil {
			found = append(found, n)
		}
	}
	return found
}

// FileNames are the names under which the files can be read again.
func FileNames(e *Env, o FileOptions) []string {
	switch v := e.Getenv(EnvFile); {
	case len(o.Files) > 0:
		return o.Files
	case v != "":
		return []string{v}
	}
	return DefaultFiles()
}
