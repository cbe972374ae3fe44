// Package textfile decodes text files as programs of all systems write them.
// Windows PowerShell writes UTF-16 for > and a byte order mark for -Encoding
// utf8, and parsers of JSON take neither.
package textfile

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf16"
)

var (
	bom8     = []byte("\ufeff")
	bom16LE  = []byte{0xff, 0xfe}
	bom16BE  = []byte{0xfe, 0xff}
	bom32LE  = []byte{0xff, 0xfe, 0, 0}
	bom32BE  = []byte{0, 0, 0xfe, 0xff}
	errUTF32 = errors.New("the file is UTF-32; save it as UTF-8")
	errUTF16 = errors.New("the file is UTF-16 and damaged; save it as UTF-8")
)

// Decode returns the text of data as UTF-8 without a byte order mark. Text in
// UTF-16 is known by its mark, or by a first character that is ASCII; anything
// else is returned as it is, whether or not it is UTF-8. The result may share
// memory with data.
func Decode(data []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(data, bom8):
		return data[len(bom8):], nil
	case bytes.HasPrefix(data, bom32LE), bytes.HasPrefix(data, bom32BE):
		return nil, errUTF32
	case bytes.HasPrefix(data, bom16LE):
		return decode16(data[2:], binary.LittleEndian)
	case bytes.HasPrefix(data, bom16BE):
		return decode16(data[2:], binary.BigEndian)
	case len(data) >= 2 && data[0] != 0 && data[1] == 0:
		return decode16(data, binary.LittleEndian)
	case len(data) >= 2 && data[0] == 0 && data[1] != 0:
		return decode16(data, binary.BigEndian)
	}
	return data, nil
}

// NewReader returns a reader of what Decode makes of the text of in. UTF-8 is
// passed on as it is read; other text is read whole first.
func NewReader(in io.Reader) io.Reader { return &reader{in: bufio.NewReader(in)} }

type reader struct {
	in   *bufio.Reader
	text io.Reader // decoded; nil until the first Read
}

func (r *reader) Read(p []byte) (int, error) {
	if r.text == nil {
		if err := r.decode(); err != nil {
			return 0, err
		}
	}
	return r.text.Read(p)
}

func (r *reader) decode() error {
	head, _ := r.in.Peek(4) // a failure comes again when it is read
	wide := len(head) >= 2 && (head[0] == 0) != (head[1] == 0)
	for _, bom := range [][]byte{bom16LE, bom16BE, bom32LE, bom32BE} {
		wide = wide || bytes.HasPrefix(head, bom)
	}
	if !wide {
		if r.text = r.in; bytes.HasPrefix(head, bom8) {
			_, err := r.in.Discard(len(bom8))
			return err
		}
		return nil
	}
	data, err := io.ReadAll(r.in)
	if err != nil {
		return err
	}
	if data, err = Decode(data); err == nil {
		r.text = bytes.NewReader(data)
	}
	return err
}

type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// decode16 decodes UTF-16 text without its mark.
func decode16(data []byte, order byteOrder) ([]byte, error) {
	if len(data)%2 != 0 {
		return nil, errUTF16
	}
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = order.Uint16(data[2*i:])
	}
	text := []byte(string(utf16.Decode(units)))
	// A surrogate without its other half is decoded as the replacement
	// character, which is hardly meant.
	if bytes.ContainsRune(text, '\ufffd') && !bytes.Equal(encode16(text, order), data) {
		return nil, errUTF16
	}
	return text, nil
}

func encode16(text []byte, order byteOrder) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(string(text))) {
		out = order.AppendUint16(out, u)
	}
	return out
}
