package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/kontor-registry/kontor/internal/leases"
	"github.com/kontor-registry/kontor/internal/textfile"
)

func inputName(arg string) string {
	if arg == "-" {
		return "stdin"
	}
	return filepath.Base(arg)
}

// maxInput bounds what is read from a file or stdin; the largest clusters
// print some hundred megabytes.
const maxInput = 2 << 30

// readInput reads the file name, or stdin for "-".
func readInput(e *Env, name string) (text []byte, err error) {
	r := e.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("reading the images in use: %w", err)
		}
		defer closing(&err, f.Close)
		r = f
	}
	text, err = io.ReadAll(io.LimitReader(r, maxInput+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the images in use: %w", err)
	case len(text) > maxInput:
		return nil, fmt.Errorf("%s is larger than %d bytes", inputName(name), maxInput)
	}
	if text, err = textfile.Decode(text); err != nil {
		return nil, fmt.Errorf("%s: %w", inputName(name), err)
	}
	return text, nil
}

// readInUse reads files that say what is in use; see leases.ParseInUse.
func readInUse(e *Env, names []string) ([]leases.InUse, error) {
	var out []leases.InUse
	for _, name := range names {
		text, err := readInput(e, name)
		if err != nil {
			return nil, err
		}
		u, err := leases.ParseInUse(inputName(name), text)
		if err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	return out, nil
}
