package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/kontor-registry/kontor/internal/jsonscan"
)

// FuzzScan holds what is scanned against encoding/json.
func FuzzScan(f *testing.F) {
	for _, s := range []string{
		` {"a" : [1, "]\"\\", {}, [] ,null], "b\u0061":{"c":true} , "":-1.5e3} `, `[ ]`, "\t{ }\n", `["\\",[[{"}":"{"}]]]`, `[1,2]`, `"x"`, `0`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !json.Valid(b) {
			return
		}
		begin := jsonscan.Space(b, 0)
		if end := jsonscan.Skip(b, begin); len(bytes.TrimSpace(b[end:])) > 0 {
			t.Fatalf("%q ends at %d", b, end)
		}
		switch b[begin] {
		case '[':
			var want []json.RawMessage
			if err := json.Unmarshal(b, &want); err != nil {
				t.Fatal(err)
			}
			n := 0
			for got := range jsonscan.Elements(b) {
				if n >= len(want) || !bytes.Equal(got, want[n]) {
					t.Fatalf("%q: element %d is %q", b, n, got)
				}
				n++
			}
			if n != len(want) {
				t.Fatalf("%q: %d elements, not %d", b, n, len(want))
			}
		case '{':
			var want map[string]json.RawMessage
			if err := json.Unmarshal(b, &want); err != nil {
				t.Fatal(err)
			}
			last := map[string]string{}
			for name, value := range jsonscan.Members(b) {
				last[name] = string(value)
			}
			if len(last) != len(want) {
				t.Fatalf("%q: %d members, not %d", b, len(last), len(want))
			}
			for name, value := range want {
				if last[name] != string(value) {
					t.Fatalf("%q: member %q is %q", b, name, last[name])
				}
			}
		case '"':
			var want string
			if err := json.Unmarshal(b, &want); err != nil {
				t.Fatal(err)
			}
			if got := jsonscan.Unquote(b[begin:jsonscan.Skip(b, begin)]); got != want && bytes.IndexByte(b, '\\') >= 0 {
				t.Fatalf("%q is %q", b, got)
			}
		}
	})
}
