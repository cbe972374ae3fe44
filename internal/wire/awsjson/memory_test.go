package awsjson_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

// Whatever a body holds, decoding it takes no more than a few times its size.
func TestDecodeMemory(t *testing.T) {
	type item struct {
		A, B *string
		List []string
		Map  map[string]string
	}
	type request struct {
		Items []item            `json:"items"`
		Texts []string          `json:"texts"`
		Map   map[string]string `json:"map"`
		Blob  []byte            `json:"blob"`
	}
	const size = 4 << 20
	fill := func(begin, element, end string) string {
		return begin + strings.Repeat(element+",", size/(len(element)+1)) + element + end
	}
	var names strings.Builder
	for i := 0; names.Len() < size; i++ {
		fmt.Fprintf(&names, `"%d":"",`, i)
	}
	for _, tt := range []struct {
		name, body string
		refused    bool
	}{
		{"empty structures", fill(`{"items":[`, "{}", "]}"), true},
		{"nulls", fill(`{"items":[`, "null", "]}"), true},
		{"empty lists", fill(`{"items":[`, `{"List":[]}`, "]}"), true},
		{"empty texts", fill(`{"texts":[`, `""`, "]}"), true},
		{"short names", `{"map":{` + names.String() + `"x":""}}`, true},
		{"unknown members", fill(`{"unknown":[`, "{}", "]}"), false},
		{"a long text", `{"texts":["` + strings.Repeat("x", size) + `"]}`, false},
		{"a blob", `{"blob":"` + strings.Repeat("AAAA", size/4) + `"}`, false},
		{"digests", fill(`{"texts":[`, `"sha256:`+strings.Repeat("0", 64)+`"`, "]}"), false},
		{"few empty structures", `{"items":[` + strings.Repeat("{},", 500) + `{}]}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := []byte(tt.body)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := awsjson.Decode(body, new(request))
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > uint64(3*len(body)+1<<20) {
				t.Errorf("a body of %d KiB takes %d KiB", len(body)>>10, took>>10)
			}
			if refused := ecr.CodeOf(err) == ecr.CodeSerialization; refused != tt.refused || err != nil && !refused {
				t.Errorf("got %v", err)
			}
		})
	}
}
