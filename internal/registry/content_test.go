package registry

import (
	"os"
	"path/filepath"
	"testing"
)

// Blobs that are served while they wait to be read are bounded in number, and what is
// remembered of those who are served does not grow with those who have ended.
func TestReadingBesideServingIsBounded(t *testing.T) {
	c := content{places: make(chan struct{}, 2)}
	leave := make(chan struct{})
	start := func() bool { return c.startBeside("one", nil, func() { <-leave }) }
	for i := range besideMax {
		if !start() {
			t.Fatalf("%d found no place", i)
		}
	}
	if start() {
		t.Errorf("more than %d wait", besideMax)
	}
	close(leave)
	c.beside.Wait()
	if !start() {
		t.Error("no place was given back")
	}
	c.beside.Wait()

	path := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, _, done := c.begin("one", nil, 0)
	for i := range 1000 {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if !c.serve("one", f) {
			t.Fatal("the blob is not being read")
		}
		if i%100 != 0 {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	open := 0
	files := done()
	for _, f := range files {
		if f.Close() == nil {
			open++
		}
	}
	if open != 10 || len(files) > 100 {
		t.Errorf("%d files are remembered, and %d of them open, want all 10 that are open and few others", len(files), open)
	}
}
