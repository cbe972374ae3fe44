// Package memo keeps values that were read, up to a number of bytes, each with the
// stamp of the state that it was read in. A value is given out only for that stamp, so
// it is as good as read again. It knows no time: nothing ends by waiting.
package memo

import "sync"

// Table keeps values by key. Max is how many bytes they may have together; what was
// put in last stays, and of the others any may go. It is safe for concurrent use.
//
// The values are shared: neither who puts one in nor who gets it may change it.
type Table[K, S comparable, V any] struct {
	Max int

	mu    sync.RWMutex
	byKey map[K]kept[S, V] // guarded by mu
	size  int              // guarded by mu
}

type kept[S comparable, V any] struct {
	stamp S
	value V
	size  int
}

// overhead is about how many bytes an entry needs in addition to its value.
const overhead = 128

// Get returns the value of key that was put in with the stamp.
func (t *Table[K, S, V]) Get(key K, stamp S) (value V, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	have, ok := t.byKey[key]
	if !ok || have.stamp != stamp {
		return value, false
	}
	return have.value, true
}

// Put keeps a value of about size bytes in place of the one that key has. One that is
// larger than an eighth of the table is not kept: it would be in the way of others.
func (t *Table[K, S, V]) Put(key K, stamp S, value V, size int) {
	size += overhead
	t.mu.Lock()
	defer t.mu.Unlock()
	t.size -= t.byKey[key].size
	delete(t.byKey, key)
	if size > t.Max/8 {
		return
	}
	if t.byKey == nil {
		t.byKey = map[K]kept[S, V]{}
	}
	for other, have := range t.byKey { // any, in no order that a caller could use
		if t.size+size <= t.Max {
			break
		}
		t.size -= have.size
		delete(t.byKey, other)
	}
	t.byKey[key] = kept[S, V]{stamp, value, size}
	t.size += size
}
