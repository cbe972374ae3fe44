package ecrapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

// refuse is a network that is not there.
type refuse struct{}

func (refuse) Do(*http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("no network in this test")
}

// sdkDir is the folder of the SDK's module, whose snapshots are golden files.
var sdkDir = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2/service/ecr").Output()
	return strings.TrimSpace(string(out)), err
})

// snapshots reads the files of a snapshot folder that end in suffix: name to
// first line, headers and body.
func snapshots(t *testing.T, folder, suffix string) map[string]snapshot {
	t.Helper()
	dir, err := sdkDir()
	if err != nil {
		t.Fatalf("finding the SDK's module: %v", err)
	}
	paths, err := filepath.Glob(filepath.Join(dir, folder, "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]snapshot{}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		// The first line, perhaps an empty one, headers, an empty line, the body.
		first, rest, _ := strings.Cut(string(b), "\n")
		headers, body, ok := strings.Cut(strings.TrimPrefix(rest, "\n"), "\n\n")
		if !ok {
			t.Fatalf("%s: not a snapshot as known", p)
		}
		all[strings.TrimSuffix(filepath.Base(p), suffix)] = snapshot{first, headers, body}
	}
	return all
}

type snapshot struct{ first, headers, body string }

// semantic is JSON as a value in which equal numbers are equal.
func semantic(t *testing.T, body []byte) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return numbers(t, v)
}

func numbers(t *testing.T, v any) any {
	switch v := v.(type) {
	case json.Number:
		r, ok := new(big.Rat).SetString(v.String())
		if !ok {
			t.Fatalf("not a number: %s", v)
		}
		return r.RatString()
	case map[string]any:
		for k := range v {
			v[k] = numbers(t, v[k])
		}
	case []any:
		for i := range v {
			v[i] = numbers(t, v[i])
		}
	}
	return v
}

// Every request as the SDK sends it decodes into our type and encodes to the
// same again: nothing lost, nothing added.
func TestRequestSnapshots(t *testing.T) {
	all := snapshots(t, "request_snapshot", ".request.snap")
	if diff := cmp.Diff(slices.Sorted(maps.Keys(modelled)), slices.Sorted(maps.Keys(all))); diff != "" {
		t.Fatalf("operations (-model +snapshots):\n%s", diff)
	}
	for name, s := range all {
		if want := "X-Amz-Target: " + TargetPrefix + "." + name; !strings.Contains(s.headers, want) {
			t.Errorf("%s: headers without %q:\n%s", name, want, s.headers)
		}
		roundTrip(t, name, wireTypes[name].request(), s.body)
	}
}

// Every response as the SDK reads it is one that our types can say.
func TestResponseSnapshots(t *testing.T) {
	all := snapshots(t, "response_snapshot", ".response.snap")
	if diff := cmp.Diff(slices.Sorted(maps.Keys(modelled)), slices.Sorted(maps.Keys(all))); diff != "" {
		t.Fatalf("operations (-model +snapshots):\n%s", diff)
	}
	for name, s := range all {
		roundTrip(t, name, wireTypes[name].response(), s.body)
	}
}

func roundTrip(t *testing.T, name string, v any, body string) {
	t.Helper()
	if err := awsjson.Decode([]byte(body), v); err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	got, err := json.Marshal(v)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if diff := cmp.Diff(semantic(t, []byte(body)), semantic(t, got)); diff != "" {
		t.Errorf("%s (-snapshot +ours):\n%s", name, diff)
	}
}

// Every error that this server can raise has status and body as the SDK reads
// them.
func TestErrorSnapshots(t *testing.T) {
	all := snapshots(t, "response_snapshot", ".error.snap")
	seen := 0
	for _, code := range ecr.Codes() {
		s, ok := all[string(code)]
		if !ok {
			continue // a common error, or a failure code; TestErrorTable has them
		}
		seen++
		var err error = ecr.Errorf(code, "__Message__")
		if code == ecr.CodeInvalidLayerPart {
			one := int64(1)
			err = &invalidLayerPart{error: err, details: errorBody{
				LastValidByteReceived: &one, RegistryId: text("__RegistryId__"), RepositoryName: text("__RepositoryName__"), UploadId: text("__UploadId__"),
			}}
		}
		status, body := encodeError(err, "id")
		if got := strconv.Itoa(status); got != s.first {
			t.Errorf("%s: status %s, want %s", code, got, s.first)
		}
		got, mErr := json.Marshal(body)
		if mErr != nil {
			t.Fatal(mErr)
		}
		if diff := cmp.Diff(semantic(t, []byte(s.body)), semantic(t, got)); diff != "" {
			t.Errorf("%s (-snapshot +ours):\n%s", code, diff)
		}
	}
	if seen < 20 {
		t.Errorf("only %d error snapshots were compared", seen)
	}
}
