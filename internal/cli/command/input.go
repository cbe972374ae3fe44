package command

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/kontor-registry/kontor/internal/leases"
	"github.com/kontor-registry/kontor/internal/textfile"
)

// InputName is what messages call the file arg, or stdin for "-".
func InputName(arg string) string {
	if arg == "-" {
		return "stdin"
	}
	return filepath.Base(arg)
}

// maxInput bounds what is read from a file or stdin; the largest clusters
// print some hundred megabytes.
const maxInput = 2 << 30

// ReadInput reads the file name, or stdin for "-".
func ReadInput(e *Env, name string) (text []byte, err error) {
	r := e.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("reading the images in use: %w", err)
		}
		defer Closing(&err, f.Close)
		r = f
	}
	text, err = io.ReadAll(io.LimitReader(r, maxInput+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the images in use: %w", err)
	case len(text) > maxInput:
		return nil, fmt.Errorf("%s is larger than %d bytes", InputName(name), maxInput)
	}
	if text, err = textfile.Decode(text); err != nil {
		return nil, fmt.Errorf("%s: %w", InputName(name), err)
	}
	return text, nil
}

// ReadInUse reads files that say what is in use; see leases.ParseInUse.
func ReadInUse(e *Env, names []string) ([]leases.InUse, error) {
	var out []leases.InUse
	for _, name := range names {
		text, err := ReadInput(e, name)
		if err != nil {
			return nil, err
		}
		u, err := leases.ParseInUse(InputName(name), text)
		if err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	return out, nil
}
