package images

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/kontor-registry/kontor/internal/textfile"
)

// ReadFile reads a text file that the user named, "-" for stdin, in words for the
// user. What it returns is UTF-8 if the file is that or UTF-16.
func ReadFile(path string, stdin io.Reader) ([]byte, error) {
	in, end, err := open(path, stdin)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(in)
	if err = errors.Join(err, end()); err != nil {
		return nil, fileError(path, err)
	}
	text, err := textfile.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Name(path), err)
	}
	return text, nil
}

// open opens the file at path, or stdin for "-".
func open(path string, stdin io.Reader) (io.Reader, func() error, error) {
	if path == "-" {
		return stdin, func() error { return nil }, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fileError(path, err)
	}
	return f, f.Close, nil
}

// Name is what messages call the file at path.
func Name(path string) string {
	if path == "-" {
		return "stdin"
	}
	return path
}

// decoded is text that is in memory, as textfile reads it.
func decoded(text []byte) []byte {
	out, err := textfile.Decode(text)
	if err != nil {
		return text // what is not text is not a manifest either
	}
	return out
}
