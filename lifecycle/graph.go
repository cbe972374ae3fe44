package lifecycle

import "slices"

// graph is how the images of a repository refer to one another. The nil graph
// has no references.
type graph struct {
	subjects []int32 // by image: its subject, or -1
	// The indexes that list image i are listing[first[i]:first[i+1]].
	listing, first []int32
}

// newGraph returns nil when no image refers to another one that is there.
func newGraph(images []Image) *graph {
	n := 0
	for i := range images {
		n += len(images[i].Children)
		if images[i].Subject != "" {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	// only the digests that are referred to: most images may not be
	at := make(map[string]int32, n)
	for i := range images {
		for _, d := range images[i].Children {
			at[d] = -1
		}
		if s := images[i].Subject; s != "" {
			at[s] = -1
		}
	}
	found := false
	for i := range images {
		if j, wanted := at[images[i].Digest]; wanted && j < 0 {
			at[images[i].Digest] = int32(i)
			found = true
		}
	}
	if !found {
		return nil
	}
	return link(images, at)
}

// link makes the graph, when at is where digests are, -1 for nowhere.
func link(images []Image, at map[string]int32) *graph {
	g := &graph{subjects: make([]int32, len(images)), first: make([]int32, len(images)+1)}
	type edge struct{ child, index int32 }
	var edges []edge
	for i := range images {
		g.subjects[i] = -1
		if s := images[i].Subject; s != "" && at[s] != int32(i) {
			g.subjects[i] = at[s]
		}
		for _, d := range images[i].Children {
			if j := at[d]; j >= 0 && j != int32(i) {
				edges = append(edges, edge{j, int32(i)})
				g.first[j+1]++
			}
		}
	}
	for i := range images {
		g.first[i+1] += g.first[i]
	}
	g.listing = make([]int32, len(edges))
	next := slices.Clone(g.first)
	for _, e := range edges {
		g.listing[next[e.child]] = e.index
		next[e.child]++
	}
	return g
}

// indexes are the indexes that list i, also those that are gone.
func (g *graph) indexes(i int) []int32 { return g.listing[g.first[i]:g.first[i+1]] }

// index is the index, of the least digest, that lists i, is not gone and
// forbids the action: a transition does not mind an archived one. It is -1
// when there is none.
func (g *graph) index(b *board, i int, action ActionType) int {
	least := -1
	if g == nil {
		return least
	}
	for _, k := range g.indexes(i) {
		j := int(k)
		if b.isGone(j) || action == Transition && b.images[j].Status == StatusArchived {
			continue
		}
		if least < 0 || b.images[j].Digest < b.images[least].Digest {
			least = j
		}
	}
	return least
}

// subject is the subject of i among the images of b, -1 when there is none.
func (g *graph) subject(b *board, i int) int {
	if g == nil || g.subjects[i] < 0 || b.isGone(int(g.subjects[i])) {
		return -1
	}
	return int(g.subjects[i])
}

// dependent reports whether i is an untagged part of another image: listed by
// an index, or referring to a subject.
func (g *graph) dependent(b *board, i int) bool {
	return g != nil && len(b.images[i].Tags) == 0 && (g.subject(b, i) >= 0 ||
		slices.ContainsFunc(g.indexes(i), func(j int32) bool { return !b.isGone(int(j)) }))
}

func (b *board) isGone(i int) bool { return b.gone != nil && b.gone[i] }

// Held are digests of images that must stay, each with the name of who holds
// it, such as "lease shop/web".
type Held map[string]string

// Close returns h with all that a held image needs, and all that belongs to
// it: the indexes that list it and the subject it refers to, whatever lists or
// refers to those, and then the children and referrers of all of them. Each
// has the name of the image that it is held for; of several, the first in byte
// order.
func (h Held) Close(images []Image) Held {
	return newGraph(images).hold(images, h)
}

func (g *graph) hold(images []Image, h Held) Held {
	if len(h) == 0 {
		return nil
	}
	name := make([]string, len(images)) // by image; "" for not held
	held := make([]bool, len(images))
	closed := Held{}
	var queue []int32
	hold := func(i int32, by string) {
		if !held[i] || by < name[i] {
			held[i], name[i] = true, by
			queue = append(queue, i)
		}
	}
	for d, by := range h {
		closed[d] = by
	}
	for i := range images {
		if by, ok := h[images[i].Digest]; ok {
			hold(int32(i), by)
		}
	}
	if g != nil {
		for len(queue) > 0 { // upwards
			i := queue[0]
			queue = queue[1:]
			for _, j := range g.indexes(int(i)) {
				hold(j, name[i])
			}
			if j := g.subjects[i]; j >= 0 {
				hold(j, name[i])
			}
		}
		down := g.down()
		for i := range images {
			if held[i] {
				queue = append(queue, int32(i))
			}
		}
		for len(queue) > 0 {
			i := queue[0]
			queue = queue[1:]
			for _, j := range down[i] {
				hold(j, name[i])
			}
		}
	}
	for i := range images {
		if by, itself := h[images[i].Digest]; itself {
			closed[images[i].Digest] = by
		} else if held[i] {
			closed[images[i].Digest] = name[i]
		}
	}
	return closed
}

// down is, by image, its children and referrers.
func (g *graph) down() [][]int32 {
	down := make([][]int32, len(g.subjects))
	for i := range g.subjects {
		for _, j := range g.indexes(i) {
			down[j] = append(down[j], int32(i))
		}
		if j := g.subjects[i]; j >= 0 {
			down[j] = append(down[j], int32(i))
		}
	}
	return down
}
