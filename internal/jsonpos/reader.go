package jsonpos

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
)

// Reader reads the one value of a stream, as strictly as Parse, without keeping
// what has been read: for texts that are too long for a tree of Values. The
// caller asks for what should come next; each value is read or skipped exactly
// once. After an error a Reader cannot be used.
type Reader struct {
	in  io.Reader
	end error // why in has no more; nil until then
	p   parser
	// base is the offset of p.text[0] in the stream.
	base int
	// token is what p.off is at the beginning of: its end in the window, and
	// whether it is a string of plain characters without escapes.
	token struct {
		end   int
		plain bool
	}
	value Pos    // of the value that was read last
	steps []step // to the value that is being read
	names []byte // of the members of all open objects so far
}

// step leads into an array, or into an object.
type step struct {
	index  int  // -1 in an object
	inside bool // at an item, or at the value of a member
	// The names of the object's members are Reader.names from first on, cut at
	// ends; known has them too when there are many.
	first int
	ends  []int
	known map[string]bool
}

const (
	window    = 1 << 16 // bytes that are read at a time; a longer token makes it grow
	fewNames  = 32      // names of an object that are compared one by one
	maxSilent = 100     // reads without bytes or an error
)

// NewReader reads the value that in holds.
func NewReader(in io.Reader) *Reader {
	return &Reader{in: in, p: parser{text: make([]byte, 0, window), at: Pos{Line: 1, Column: 1}}}
}

// fill reads more into the window, and forgets what lies before p.off.
func (r *Reader) fill() {
	if gone := r.p.off; gone > 0 {
		r.pos()
		r.p.text = r.p.text[:copy(r.p.text, r.p.text[gone:])]
		r.base, r.p.off, r.p.at.Offset, r.token.end = r.base+gone, 0, 0, r.token.end-gone
	}
	rest := len(r.p.text)
	if cap(r.p.text)-rest < window/2 {
		r.p.text = slices.Grow(r.p.text, cap(r.p.text))
	}
	for silent := 0; r.end == nil && len(r.p.text) == rest; silent++ {
		n, err := r.in.Read(r.p.text[rest:cap(r.p.text)])
		r.p.text, r.end = r.p.text[:rest+n], err
		if silent == maxSilent && n == 0 && err == nil {
			r.end = io.ErrNoProgress
		}
	}
}

// pos is the place of the next byte.
func (r *Reader) pos() Pos {
	p := &r.p
	part := p.text[p.at.Offset:p.off]
	if n := bytes.Count(part, []byte{'\n'}); n > 0 {
		p.at.Line, p.at.Column = p.at.Line+n, 1
		part = part[bytes.LastIndexByte(part, '\n')+1:]
	}
	p.at.Column += utf8.RuneCount(part)
	p.at.Offset = p.off
	return Pos{r.base + p.off, p.at.Line, p.at.Column}
}

// next skips white space, takes care that the whole token after it is in the
// window, and returns its first byte; 0 at the end.
func (r *Reader) next() byte {
	for r.p.next(); r.p.off == len(r.p.text); r.p.next() {
		if r.end != nil {
			return 0
		}
		r.fill()
	}
	t := &r.token
	first := r.p.text[r.p.off]
	t.end, t.plain = r.p.off+1, first == '"'
	for escaped := false; ; t.end++ {
		if t.end == len(r.p.text) {
			if r.end != nil {
				return first
			}
			r.fill()
			if t.end == len(r.p.text) {
				return first
			}
		}
		switch c := r.p.text[t.end]; {
		case first != '"':
			if !wordByte(c) {
				return first
			}
		case c == '"' && !escaped:
			t.end++
			return first
		case c == '\\' || c < ' ' || c >= utf8.RuneSelf:
			t.plain = false
			escaped = c == '\\' && !escaped
		default:
			escaped = false
		}
	}
}

// wordByte reports whether c goes on a number or a word.
func wordByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E'
}

func (r *Reader) fail(at Pos, format string, args ...any) error {
	if r.end != nil && !errors.Is(r.end, io.EOF) {
		return r.end
	}
	return &SyntaxError{Pos: at, Path: r.Path(), Msg: fmt.Sprintf(format, args...)}
}

// missing says what should be next.
func (r *Reader) missing(what string) error {
	r.whole()
	return r.fail(r.pos(), "%s where %s should be", r.p.here(), what)
}

// whole takes care that the character that is next is in the window.
func (r *Reader) whole() {
	for r.end == nil && len(r.p.text)-r.p.off < utf8.UTFMax {
		r.fill()
	}
}

// Fail is the error that the value that was read last is wrong.
func (r *Reader) Fail(format string, args ...any) error { return r.fail(r.value, format, args...) }

// FailAt is Fail for a value elsewhere, on the path to the one that is read now.
func (r *Reader) FailAt(at Pos, format string, args ...any) error {
	return r.fail(at, format, args...)
}

// Pos is the place of the value that was read last; of an array or object, when
// its first item or member has not been read yet.
func (r *Reader) Pos() Pos { return r.value }

// Next is the place of the value that is next.
func (r *Reader) Next() Pos {
	r.next()
	return r.pos()
}

// Path leads to the value that is being read.
func (r *Reader) Path() Path {
	var p Path
	for i := range r.steps {
		s := &r.steps[i]
		switch {
		case !s.inside:
		case s.index >= 0:
			p = append(p, s.index)
		default:
			p = append(p, string(r.name(s, len(s.ends)-1)))
		}
	}
	return p
}

// name is that of the member i of an object.
func (r *Reader) name(s *step, i int) []byte {
	from := s.first
	if i > 0 {
		from = s.ends[i-1]
	}
	return r.names[from:s.ends[i]]
}

// Kind is the type of the value that is next.
func (r *Reader) Kind() (Kind, error) {
	switch c := r.next(); {
	case c == '{':
		return Object, nil
	case c == '[':
		return Array, nil
	case c == '"':
		return String, nil
	case c == '-' || '0' <= c && c <= '9':
		return Number, nil
	}
	for _, w := range words {
		if bytes.HasPrefix(r.p.text[r.p.off:], []byte(w.text)) {
			r.token.end = r.p.off + len(w.text)
			return w.kind, nil
		}
	}
	return Null, r.missing("a value")
}

// words are the values that are words.
var words = []struct {
	text string
	kind Kind
}{{"true", Boolean}, {"false", Boolean}, {"null", Null}}

// Text reads a string, number, boolean or null, as Value.Text has it. The bytes
// are good until the next call.
func (r *Reader) Text() ([]byte, error) {
	k, err := r.Kind()
	if err != nil {
		return nil, err
	}
	r.value = r.pos()
	start := r.p.off
	switch k {
	case Object, Array:
		return nil, r.Fail("want a string or number, have %s", k)
	case String:
		return r.str()
	case Number:
		if !r.p.numeral() {
			return nil, r.fail(r.pos(), "malformed number")
		}
		return r.p.text[start:r.p.off], nil
	}
	r.p.off = r.token.end
	if k == Null {
		return nil, nil
	}
	return r.p.text[start:r.p.off], nil
}

// str reads the string that is next.
func (r *Reader) str() ([]byte, error) {
	if r.token.plain && r.token.end <= len(r.p.text) && r.p.text[r.token.end-1] == '"' && r.token.end > r.p.off+1 {
		s := r.p.text[r.p.off+1 : r.token.end-1]
		r.p.off = r.token.end
		return s, nil
	}
	s, err := r.p.str(nil)
	if err != nil {
		return nil, r.fail(r.pos(), "%s", err.(*SyntaxError).Msg)
	}
	return []byte(s), nil
}

// open begins the array or object that is next.
func (r *Reader) open(want Kind) error {
	k, err := r.Kind()
	if err != nil {
		return err
	}
	r.value = r.pos()
	if k != want {
		return r.Fail("want an %s, have %s", want, k)
	}
	if len(r.steps) == MaxDepth {
		r.steps = nil
		return r.Fail("nested deeper than %d levels", MaxDepth)
	}
	r.p.off++
	if n := len(r.steps); n < cap(r.steps) {
		r.steps = r.steps[:n+1]
	} else {
		r.steps = append(r.steps, step{})
	}
	s := &r.steps[len(r.steps)-1]
	*s = step{index: -1, first: len(r.names), ends: s.ends[:0]}
	return nil
}

// close ends it when c is next; else it takes the comma that has to be.
func (r *Reader) close(c byte, comma bool) (done bool, err error) {
	r.steps[len(r.steps)-1].inside = false
	switch have := r.next(); {
	case have == c:
		r.names = r.names[:r.steps[len(r.steps)-1].first]
		r.steps = r.steps[:len(r.steps)-1]
		r.p.off++
		return true, nil
	case !comma:
		return false, nil
	case have != ',':
		return false, r.missing(fmt.Sprintf(`"," or "%c"`, c))
	}
	r.p.off++
	return false, nil
}

// Items reads an array: each is called for each item and has to read it.
func (r *Reader) Items(each func(i int) error) error {
	if err := r.open(Array); err != nil {
		return err
	}
	for i := 0; ; i++ {
		if done, err := r.close(']', i > 0); done || err != nil {
			return err
		}
		s := &r.steps[len(r.steps)-1]
		s.index, s.inside = i, true
		if err := each(i); err != nil {
			return err
		}
	}
}

// Members reads an object: each is called for each member, whose name is good
// until its value is read, and has to read the value.
func (r *Reader) Members(each func(name []byte) error) error {
	if err := r.open(Object); err != nil {
		return err
	}
	for i := 0; ; i++ {
		if done, err := r.close('}', i > 0); done || err != nil {
			return err
		}
		if r.next() != '"' {
			return r.missing("a name in quotes")
		}
		at := r.pos()
		name, err := r.str()
		if err != nil {
			return err
		}
		s := &r.steps[len(r.steps)-1]
		if s.inside = r.remember(name); s.inside {
			return r.fail(at, "given twice")
		}
		if r.next() != ':' {
			return r.missing(`":"`)
		}
		r.p.off++
		s = &r.steps[len(r.steps)-1]
		s.inside = true
		if err := each(r.name(s, len(s.ends)-1)); err != nil {
			return err
		}
	}
}

// remember notes the name of a member, and reports whether it was there.
func (r *Reader) remember(name []byte) bool {
	s := &r.steps[len(r.steps)-1]
	twice := s.known[string(name)]
	for i := 0; i < len(s.ends) && s.known == nil && !twice; i++ {
		twice = bytes.Equal(r.name(s, i), name)
	}
	r.names = append(r.names, name...)
	s.ends = append(s.ends, len(r.names))
	switch {
	case s.known != nil:
		s.known[string(name)] = true
	case len(s.ends) > fewNames:
		s.known = map[string]bool{}
		for i := range s.ends {
			s.known[string(r.name(s, i))] = true
		}
	}
	return twice
}

// Skip reads the value that is next, whatever it is.
func (r *Reader) Skip() error {
	k, err := r.Kind()
	switch {
	case err != nil:
		return err
	case k == Array:
		return r.Items(func(int) error { return r.Skip() })
	case k == Object:
		return r.Members(func([]byte) error { return r.Skip() })
	}
	_, err = r.Text()
	return err
}

// End finds out that nothing follows the value.
func (r *Reader) End() error {
	if r.next() != 0 || r.p.off < len(r.p.text) {
		r.whole()
		return r.fail(r.pos(), "%s after the end of the document", r.p.here())
	}
	if !errors.Is(r.end, io.EOF) {
		return r.end
	}
	return nil
}
