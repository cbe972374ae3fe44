package gate

import (
	"context"
	"testing"
)

// A server that traces nothing allocates nothing for it.
func TestUntracedCostsNothing(t *testing.T) {
	g := New(Config{})
	op := Op("GetImage")
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() {
		_, end := g.began(ctx, op)
		end(nil)
	}); n != 0 {
		t.Errorf("%v allocations for each operation", n)
	}
}
