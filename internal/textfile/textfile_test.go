package textfile_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/text/encoding/unicode"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/textfile"
)

func TestDecode(t *testing.T) {
	for name, c := range map[string]struct{ data, want, err string }{
		"nothing":                    {"", "", ""},
		"one byte":                   {"{", "{", ""},
		"UTF-8":                      {"a: é\r\n", "a: é\r\n", ""},
		"UTF-8 with a mark":          {"\xef\xbb\xbf{}", "{}", ""},
		"two marks":                  {"\xef\xbb\xbf\xef\xbb\xbf{}", "\ufeff{}", ""},
		"UTF-16 of PowerShell":       {"\xff\xfe{\x00}\x00\r\x00\n\x00", "{}\r\n", ""},
		"UTF-16, the other way":      {"\xfe\xff\x00{\x20\xac\x00}", "{€}", ""},
		"UTF-16 without a mark":      {"[\x00=\xd8\x00\xde]\x00", "[😀]", ""},
		"UTF-16, the other, without": {"\x00[\xd8\x3d\xde\x00\x00]", "[😀]", ""},
		"a mark alone":               {"\xff\xfe", "", ""},
		"the replacement character":  {"\xff\xfe\xfd\xff", "\ufffd", ""},
		"half a character":           {"\xff\xfe{\x00}", "", "the file is UTF-16 and damaged; save it as UTF-8"},
		"half a pair":                {"\xff\xfe{\x00=\xd8}\x00", "", "the file is UTF-16 and damaged; save it as UTF-8"},
		"UTF-32":                     {"\xff\xfe\x00\x00{\x00\x00\x00", "", "the file is UTF-32; save it as UTF-8"},
		"Latin-1":                    {"a: \xe9", "a: \xe9", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := textfile.Decode([]byte(c.data))
			if string(got) != c.want || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
				t.Errorf("%q %v, want %q %s", got, err, c.want, c.err)
			}
			read, readErr := io.ReadAll(textfile.NewReader(iotest.OneByteReader(strings.NewReader(c.data))))
			if string(read) != c.want || fmt.Sprint(readErr) != fmt.Sprint(err) {
				t.Errorf("read: %q %v, want %q %v", read, readErr, c.want, err)
			}
		})
	}
}

// Whatever an encoder of others writes is read.
func TestDecodeOfAnyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := strings.TrimLeft(rapid.String().Draw(t, "text"), "\x00") // which would look like UTF-32
		for _, order := range []unicode.Endianness{unicode.LittleEndian, unicode.BigEndian} {
			data, err := unicode.UTF16(order, unicode.UseBOM).NewEncoder().String(want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := textfile.Decode([]byte(data))
			if err != nil || string(got) != want {
				t.Fatalf("%q %v", got, err)
			}
		}
	})
}
