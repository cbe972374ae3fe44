package registry

import (
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/store/meta"
)

// An upload that was touched after it was listed is not forgotten.
func TestTouchedUploadIsNotForgotten(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var b begun
	u := meta.Upload{ID: "1", UpdatedAt: noon}
	b.add(u)
	if all := b.list(noon.Add(1)); len(all) != 1 {
		t.Fatal(all)
	}
	u.UpdatedAt, u.Progress.Offset = noon.Add(1), 7
	if !b.hold(u) || b.forget("1", noon.Add(1)) || !b.has("1") || b.held != 7 {
		t.Errorf("it was forgotten, or %d bytes are held", b.held)
	}
	if !b.forget("1", noon.Add(2)) || b.has("1") || b.held != 0 {
		t.Errorf("it was not forgotten, or %d bytes are held", b.held)
	}
}
