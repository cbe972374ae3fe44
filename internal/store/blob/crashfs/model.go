package crashfs

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
)

// op is one change of the disk, or one sync. The log of them is all there is:
// the state after any number of them is had by applying them again.
type op struct {
	kind kind
	node int    // what is written to, cut, or synced; the folder of an entry
	name string // the entry
	to   int    // rename: the folder of the new entry; link: the file
	dest string // rename: the new entry
	off  int64  // write: where; truncate: the new size
	data []byte
}

type kind int

const (
	opMkdir kind = iota
	opCreate
	opWrite
	opTruncate
	opRename
	opRemove
	opLink
	opSync     // of a file or a folder
	opLoseSync // a sync that failed: what it should have kept never will be
)

// node is a file or a folder, as processes see it (now) and as a crash leaves
// it (kept, and perhaps some of the changes since).
type node struct {
	folder bool

	entries, keptEntries map[string]int // folder: name to node
	links                []link         // changes of entries since the last sync

	data, keptData []byte // file
	changes        []change
}

// link is a change of one entry: name names node now, or nothing if node < 0.
type link struct {
	name string
	node int
}

// change is a write of data at off, or a cut to size off if data is nil.
type change struct {
	off  int64
	data []byte
}

func newNode(folder bool) *node {
	if !folder {
		return &node{}
	}
	return &node{folder: true, entries: map[string]int{}, keptEntries: map[string]int{}}
}

// apply runs a change of a file's bytes.
func (c change) apply(b []byte) []byte {
	end := c.off + int64(len(c.data))
	if c.data == nil || int64(len(b)) < end {
		b = resize(b, end)
	}
	copy(b[c.off:], c.data)
	return b
}

// resize cuts b, or fills it up with zeros. b must not be used any longer.
func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size]
	}
	old := len(b)
	b = slices.Grow(b, int(size)-old)[:size]
	clear(b[old:])
	return b
}

// state is a whole disk; node 0 is the root folder.
type state struct{ nodes []*node }

func newState() *state { return &state{nodes: []*node{newNode(true)}} }

func (s *state) link(folder int, name string, to int) {
	n := s.nodes[folder]
	if to < 0 {
		delete(n.entries, name)
	} else {
		n.entries[name] = to
	}
	n.links = append(n.links, link{name, to})
}

func (s *state) change(file int, c change) {
	n := s.nodes[file]
	n.data = c.apply(n.data)
	n.changes = append(n.changes, c)
}

// apply runs o, which must be possible.
func (s *state) apply(o op) {
	n := s.nodes[o.node]
	switch o.kind {
	case opMkdir, opCreate:
		s.nodes = append(s.nodes, newNode(o.kind == opMkdir))
		s.link(o.node, o.name, len(s.nodes)-1)
	case opWrite:
		s.change(o.node, change{o.off, o.data})
	case opTruncate:
		s.change(o.node, change{o.off, nil})
	case opRename:
		moved := n.entries[o.name]
		s.link(o.node, o.name, -1)
		s.link(o.to, o.dest, moved)
	case opLink:
		s.link(o.node, o.name, o.to)
	case opRemove:
		s.link(o.node, o.name, -1)
	case opSync:
		n.keptEntries, n.keptData = maps.Clone(n.entries), bytes.Clone(n.data)
		n.links, n.changes = nil, nil
	case opLoseSync:
		n.links, n.changes = nil, nil
	}
}

// Variant says what a crash leaves of the changes that were not synced. Of
// entries and of bytes POSIX promises nothing, and no order between any two.
type Variant struct {
	Name    string
	Entries Part
	Bytes   Part
	Seed    uint64 // of Some
}

// Part is how much is left of the changes since the last sync.
type Part int

// Parts of what was not synced.
const (
	None  Part = iota
	All        // as if it had been synced
	Sizes      // of bytes: a file has its new size, but zeros where it grew
	Torn       // of bytes: all writes but the second half of the last one
	Some       // any: each entry, each 512 bytes on their own
)

// Variants are kinds of crashes worth looking at: the pure ones, the ones that
// real filesystems are known for, and three by chance.
func Variants() []Variant {
	return []Variant{
		{"nothing unsynced is left", None, None, 0},
		{"entries without bytes", All, None, 0},
		{"bytes without entries", None, All, 0},
		{"entries and sizes without bytes", All, Sizes, 0},
		{"the last write is torn", All, Torn, 0},
		{"everything is left", All, All, 0},
		{"some of all, 1", Some, Some, 1},
		{"some of all, 2", Some, Some, 2},
		{"some of all, 3", Some, Some, 3},
	}
}

const sector = 512

// crash is what is on the disk after a crash, with nothing left to sync.
func (s *state) crash(v Variant) *state {
	rng := rand.New(rand.NewPCG(v.Seed, uint64(len(s.nodes))))
	after := &state{nodes: make([]*node, len(s.nodes))}
	for i, n := range s.nodes {
		a := newNode(n.folder)
		a.entries = maps.Clone(n.keptEntries)
		for _, l := range n.links {
			switch {
			case v.Entries == None, v.Entries == Some && rng.IntN(2) == 0:
			case l.node < 0:
				delete(a.entries, l.name)
			default:
				a.entries[l.name] = l.node
			}
		}
		a.keptEntries = maps.Clone(a.entries)
		a.data = n.crashedBytes(v.Bytes, rng)
		a.keptData = bytes.Clone(a.data)
		after.nodes[i] = a
	}
	return after
}

// crashedBytes is the content of a file after a crash.
func (n *node) crashedBytes(p Part, rng *rand.Rand) []byte {
	b := bytes.Clone(n.keptData)
	for i, c := range n.changes {
		cut := c.data == nil
		last := i == len(n.changes)-1
		switch {
		case p == All, p == Torn && !last, p == Sizes && cut:
			b = c.apply(b)
		case p == Sizes:
			b = resize(b, max(int64(len(b)), c.off+int64(len(c.data))))
		case p == Torn && !cut:
			b = change{c.off, c.data[:len(c.data)/2]}.apply(b)
		case p == Some && cut && rng.IntN(2) == 0:
			b = c.apply(b)
		case p == Some && !cut:
			off := c.off
			for part := range slices.Chunk(c.data, sector) {
				if rng.IntN(2) == 0 {
					b = change{off, part}.apply(b)
				}
				off += int64(len(part))
			}
		}
	}
	return b
}
