package latergc

import (
	"os"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

// After the first collection, the next ones are as usual.
func TestUsualAfterTheFirst(t *testing.T) {
	if os.Getenv("GOGC") != "" {
		t.Fatal("unset GOGC: it overrides what is tested")
	}
	percent := func() uint64 {
		s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(s)
		return s[0].Value.Uint64()
	}
	usual := func() {
		t.Helper()
		for end := time.Now().Add(time.Minute); percent() != 100; time.Sleep(time.Millisecond) {
			runtime.GC() // the first may still find the object on the stack
			if time.Now().After(end) {
				t.Fatalf("a heap may grow by %d %% after a collection", percent())
			}
		}
	}
	usual() // after what init did
	delay()
	if n := percent(); n != 400 {
		t.Fatalf("a heap may grow by %d %% at first", n)
	}
	usual()
}
