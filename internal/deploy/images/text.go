package images

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Text reads text as UTF-8 that may be written otherwise: with a byte order
// mark, or in UTF-16, as Windows PowerShell redirects the output of programs.
// UTF-16 without a mark is known by the zero bytes of its first character,
// which are in no JSON.
func Text(in io.Reader) io.Reader {
	b := bufio.NewReader(in)
	var decoder transform.Transformer = unicode.BOMOverride(encoding.Nop.NewDecoder())
	switch first, _ := b.Peek(2); { // a failure comes again when it is read
	case len(first) == 2 && first[0] == 0 && first[1] != 0:
		decoder = unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewDecoder()
	case len(first) == 2 && first[0] != 0 && first[1] == 0:
		decoder = unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewDecoder()
	}
	return transform.NewReader(b, decoder)
}

// ReadFile reads a file that the user named as Text does; "-" is stdin.
func ReadFile(path string, stdin io.Reader) ([]byte, error) {
	in, end, err := open(path, stdin)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(Text(in))
	if err = errors.Join(err, end()); err != nil {
		return nil, fileError(path, err)
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

// decoded is text that is in memory, as Text reads it.
func decoded(text []byte) []byte {
	out, err := io.ReadAll(Text(bytes.NewReader(text)))
	if err != nil {
		return text // what is not text is not a manifest either
	}
	return out
}
