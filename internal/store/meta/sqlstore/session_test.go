package sqlstore

import (
	"testing"
	"time"
)

// Sessions for reading that are too old, or were not needed for long, are kept no
// longer.
func TestSessionsAreReplaced(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	p := &pool{d: &Dialect{IdleTime: 5 * time.Minute}}
	fresh, unneeded, worn := &session{expires: now.Add(time.Hour)}, &session{expires: now.Add(time.Hour)}, &session{expires: now.Add(2 * time.Minute)}
	for _, s := range []*session{unneeded, worn} {
		if old := p.keep(s, now); len(old) != 0 {
			t.Errorf("%d went at once", len(old))
		}
	}
	if old := p.keep(fresh, now.Add(3*time.Minute)); len(old) != 1 || old[0] != worn {
		t.Errorf("%d went, want the one that is too old", len(old))
	}
	if got, err := p.pop(); got != fresh || err != nil {
		t.Errorf("the last used comes first: %v, %v", got, err)
	}
	if old := p.keep(fresh, now.Add(6*time.Minute)); len(old) != 1 || old[0] != unneeded {
		t.Errorf("%d went, want the one that was not needed", len(old))
	}
	p.d.IdleTime = 0
	forever := &session{}
	p.keep(forever, now)
	if old := p.keep(fresh, now.Add(30*time.Minute)); len(old) != 0 {
		t.Errorf("%d went, want none without limits", len(old))
	}
}
