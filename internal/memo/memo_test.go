package memo

import (
	"sync"
	"testing"
)

func TestOnlyForItsStamp(t *testing.T) {
	table := Table[string, int, string]{Max: 10_000}
	table.Put("a", 1, "one", 3)
	if v, ok := table.Get("a", 1); !ok || v != "one" {
		t.Errorf("%q %v", v, ok)
	}
	if v, ok := table.Get("a", 2); ok || v != "" {
		t.Errorf("for another stamp: %q", v)
	}
	if _, ok := table.Get("b", 1); ok {
		t.Error("there is a value that was never put in")
	}
	table.Put("a", 2, "two", 3)
	if _, ok := table.Get("a", 1); ok {
		t.Error("the older value is there")
	}
	if v, _ := table.Get("a", 2); v != "two" {
		t.Errorf("%q", v)
	}
	table.Put("a", 3, "too large", 5_000)
	for stamp := range 4 {
		if v, ok := table.Get("a", stamp); ok {
			t.Errorf("after one that is too large: %q", v)
		}
	}
}

func TestSizeIsBounded(t *testing.T) {
	const most = 100_000
	table := Table[int, int, int]{Max: most}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 1_000 {
				table.Put(i*(w%2+1), 1, i, i)
				table.Get(i, 1)
			}
		})
	}
	wg.Wait()
	table.Put(-1, 1, 7, 100)
	if v, ok := table.Get(-1, 1); !ok || v != 7 {
		t.Error("what was put in last is gone")
	}
	total := 0
	for _, k := range table.byKey {
		total += k.size
	}
	if total != table.size || total > most || len(table.byKey) < 2 {
		t.Errorf("%d values of %d bytes, which are believed to be %d", len(table.byKey), total, table.size)
	}
}
