package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// clockVariable names a file with nanoseconds by which the clock of a server is off.
const clockVariable = "KONTOR_TEST_CLOCK"

// build builds the binary with a clock that a file sets, and nothing else changed: a Go
// program does not ask the C library for the time, so libfaketime has no effect on it,
// and the product has no hook for it.
func build(dir string) (string, error) {
	const name, clock = "../../internal/host/host.go", "func Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }"
	name2, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(name2)
	if err != nil {
		return "", err
	}
	if !bytes.Contains(text, []byte(clock)) {
		return "", fmt.Errorf("%s has no %q: the test has to set the clock in another way", name, clock)
	}
	text = bytes.Replace(text, []byte(clock), []byte("func Now() time.Time { return testNow().UTC().Truncate(time.Microsecond) }"), 1)
	text = bytes.ReplaceAll(text, []byte("Now: time.Now"), []byte("Now: testNow"))
	text = append(text, []byte(`
func testNow() time.Time {
	b, err := os.ReadFile(os.Getenv("`+clockVariable+`"))
	if err != nil {
		return time.Now()
	}
	var off int64
	for i, c := range string(b) {
		if i > 0 || c != '-' {
			off = off*10 + int64(c-'0')
		}
	}
	if len(b) > 0 && b[0] == '-' {
		off = -off
	}
	return time.Now().Add(time.Duration(off))
}
`)...)
	changed, overlay, binary := filepath.Join(dir, "host.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "kontor")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{name2: changed}})
	if err != nil {
		return "", err
	}
	if !bytes.Contains(text, []byte("\n\t\"os\"\n")) {
		text = bytes.Replace(text, []byte("import (\n"), []byte("import (\n\t\"os\"\n"), 1)
	}
	if err := os.WriteFile(changed, text, 0o600); err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-overlay", overlay, "-o", binary, "./cmd/kontor")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building kontor with a clock to set: %w\n%s", err, out)
	}
	return binary, nil
}
