package lifecycle

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"
)

// rule is a Rule made ready for many images.
type rule struct {
	Rule
	index  int  // in Policy.Rules
	counts bool // by ImageCountMoreThan
	ages   bool // by one of the others
	need   int  // elements of the list
}

// matcher finds the rules whose class and tag criteria images meet.
type matcher struct {
	rules    []rule // by priority
	elements map[StorageClass]*elements
	whole    map[StorageClass]*whole
}

// whole are the rules that look at no tag, ascending.
type whole struct{ any, untagged []int32 }

// elements are the elements of the lists of one class: those that match only
// tags beginning with a certain byte, and the others.
type elements struct {
	bucket [256][]element
	others []element
	n      int
}

// element is a pattern or prefix. A tag matches that begins with head, ends
// with tail and has the middle parts, in that order, in between; or is head,
// if exact.
type element struct {
	rule       int32
	id         int32 // in its class
	exact      bool
	head, tail string
	middle     []string
}

// newMatcher readies the rules of p. Rules whose count type, number or action
// does not exist own images but act on none: what they would do is not known.
func newMatcher(p Policy) *matcher {
	m := &matcher{elements: map[StorageClass]*elements{}, whole: map[StorageClass]*whole{}}
	for i, r := range p.Rules {
		m.rules = append(m.rules, rule{Rule: r, index: i})
	}
	slices.SortFunc(m.rules, func(a, b rule) int {
		if a.Priority != b.Priority {
			return cmp.Compare(a.Priority, b.Priority)
		}
		return bytes.Compare(a.append(nil), b.append(nil))
	})
	for i := range m.rules {
		m.add(int32(i), &m.rules[i])
	}
	return m
}

func (m *matcher) add(id int32, r *rule) {
	known := r.Selection.CountNumber > 0 &&
		(r.Action.Type == Expire || r.Action.Type == Transition && r.Selection.Class() == Standard)
	switch r.Selection.CountType {
	case ImageCountMoreThan:
		r.counts = known
	case SinceImagePushed, SinceImagePulled, SinceImageTransitioned:
		r.ages = known
	}
	c := r.Selection.Class()
	if m.whole[c] == nil {
		m.elements[c], m.whole[c] = &elements{}, &whole{}
	}
	switch r.Selection.TagStatus {
	case Any:
		m.whole[c].any = append(m.whole[c].any, id)
	case Untagged:
		m.whole[c].untagged = append(m.whole[c].untagged, id)
	case Tagged:
		for _, s := range set(r.Selection.TagPatterns) {
			e := pattern(s)
			e.rule = id
			m.elements[c].add(e)
			r.need++
		}
		for _, s := range set(r.Selection.TagPrefixes) {
			m.elements[c].add(element{rule: id, head: s})
			r.need++
		}
	}
}

// pattern is the element of no rule that s is.
func pattern(s string) element {
	parts := strings.Split(s, "*")
	if len(parts) == 1 {
		return element{exact: true, head: s}
	}
	return element{head: parts[0], middle: parts[1 : len(parts)-1], tail: parts[len(parts)-1]}
}

func (es *elements) add(e element) {
	e.id = int32(es.n)
	es.n++
	if e.head != "" {
		es.bucket[e.head[0]] = append(es.bucket[e.head[0]], e)
		return
	}
	if !e.exact { // no tag is empty
		es.others = append(es.others, e)
	}
}

func (e *element) match(tag string) bool {
	if !strings.HasPrefix(tag, e.head) {
		return false
	}
	tag = tag[len(e.head):]
	if e.exact {
		return tag == ""
	}
	if !strings.HasSuffix(tag, e.tail) {
		return false
	}
	tag = tag[:len(tag)-len(e.tail)]
	// the leftmost place of each part leaves the most room for the next
	for _, part := range e.middle {
		at := strings.Index(tag, part)
		if at < 0 {
			return false
		}
		tag = tag[at+len(part):]
	}
	return true
}

// scratch is a matcher's memory between two images.
type scratch struct {
	now   int32   // the image, counted from 1
	seen  []int32 // by element: the last image that met it
	last  []int32 // by rule: the last image of which an element was met
	count []int32 // by rule: elements met by that image
}

// match appends the rules that an image of class c with these tags belongs to
// or would belong to, the owner first, the others in no order.
func (m *matcher) match(to []int32, s *scratch, c StorageClass, tags []string) []int32 {
	w := m.whole[c]
	if w == nil {
		return to
	}
	first := len(to)
	to = append(to, w.any...)
	if len(tags) == 0 {
		to = append(to, w.untagged...)
	} else if es := m.elements[c]; es.n > 0 {
		to = m.tags(to, s, es, tags)
	}
	for i := first + 1; i < len(to); i++ {
		if to[i] < to[first] {
			to[i], to[first] = to[first], to[i]
		}
	}
	return to
}

func (m *matcher) tags(to []int32, s *scratch, es *elements, tags []string) []int32 {
	if s.last == nil {
		s.last, s.count = make([]int32, len(m.rules)), make([]int32, len(m.rules))
	}
	if len(s.seen) < es.n {
		s.seen = append(s.seen, make([]int32, es.n-len(s.seen))...)
	}
	s.now++
	for _, tag := range tags {
		if tag == "" {
			continue
		}
		to = m.meet(to, s, es.bucket[tag[0]], tag)
		to = m.meet(to, s, es.others, tag)
	}
	return to
}

// meet appends the rules whose last element to be met is one of these.
func (m *matcher) meet(to []int32, s *scratch, list []element, tag string) []int32 {
	for i := range list {
		e := &list[i]
		if s.seen[e.id] == s.now || !e.match(tag) {
			continue
		}
		s.seen[e.id] = s.now
		if s.last[e.rule] != s.now {
			s.last[e.rule], s.count[e.rule] = s.now, 0
		}
		s.count[e.rule]++
		if int(s.count[e.rule]) == m.rules[e.rule].need {
			to = append(to, e.rule)
		}
	}
	return to
}

// older reports whether m is too old for r, whose days began at cutoff.
func (r *rule) older(m *Image, cutoff time.Time) bool {
	t := m.age(r.Selection.CountType)
	return !t.IsZero() && t.Before(cutoff)
}
