package awsjson

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/jsonscan"
)

// Decode reads the JSON object body into the struct that into points to.
//
// It differs from encoding/json as AWS does: member names match exactly, by
// case too, and members that are not known are ignored whatever they hold; a
// null member is an absent one; blobs are base64. Fields take their names
// from json tags. Kinds: string, bool, integers, floats, []byte, structs,
// slices, maps with string keys, pointers to these, and json.Unmarshaler.
//
// An empty body is an empty object. Of members given twice the last counts.
// What into comes to hold takes at most twice the size of body, and a little: a
// body of tiny elements that would take more is refused before it does.
// Errors are SerializationExceptions that name the member, such as
// "imageIds[2].imageTag".
func Decode(body []byte, into any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	if !utf8.Valid(body) {
		return ecr.Errorf(ecr.CodeSerialization, "The request body is not UTF-8")
	}
	if !json.Valid(body) {
		return ecr.Errorf(ecr.CodeSerialization, "The request body is not valid JSON")
	}
	c := &cursor{b: body, left: 2*len(body) + freeMemory}
	c.space()
	if c.b[c.i] != '{' {
		return ecr.Errorf(ecr.CodeSerialization, "The request body is not a JSON object")
	}
	return c.value(reflect.ValueOf(into).Elem(), nil)
}

// freeMemory is what a request may take whatever its size, so that short lists of
// tiny elements are decoded and checked as others are.
const freeMemory = 64 << 10

// A cursor walks over JSON that is known to be valid.
type cursor struct {
	b    []byte
	i    int
	left int // bytes that may still be taken for what is decoded
}

// take counts memory that is about to be used.
func (c *cursor) take(n int) error {
	if c.left -= n; c.left < 0 {
		return ecr.Errorf(ecr.CodeSerialization, "The request body has too many elements for its length")
	}
	return nil
}

// path leads to a member, innermost last; it is only written out in errors.
type path struct {
	up    *path
	name  string
	index int // used when name is empty
}

func (p *path) String() string {
	if p == nil {
		return ""
	}
	if p.name == "" {
		return fmt.Sprintf("%s[%d]", p.up, p.index)
	}
	if p.up == nil {
		return p.name
	}
	return p.up.String() + "." + p.name
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// value decodes the value at the cursor into v, which is set again.
func (c *cursor) value(v reflect.Value, at *path) error {
	c.space()
	if c.b[c.i] == 'n' { // null
		v.SetZero()
		c.skip()
		return nil
	}
	if v.Kind() == reflect.Pointer {
		if err := c.take(int(v.Type().Elem().Size())); err != nil {
			return err
		}
		p := reflect.New(v.Type().Elem())
		if err := c.value(p.Elem(), at); err != nil {
			return err
		}
		v.Set(p)
		return nil
	}
	if v.Addr().Type().Implements(unmarshaler) {
		raw := c.skip()
		if err := v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(raw); err != nil {
			return mismatch(raw, v, at)
		}
		return nil
	}
	switch v.Kind() {
	case reflect.Struct:
		return c.structure(v, at)
	case reflect.Map:
		return c.dictionary(v, at)
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Uint8 {
			return c.list(v, at)
		}
	}
	raw := c.skip()
	if err := c.take(len(raw)); err != nil {
		return err
	}
	return scalar(raw, v, at)
}

func (c *cursor) structure(v reflect.Value, at *path) error {
	if c.b[c.i] != '{' {
		return mismatch(c.skip(), v, at)
	}
	v.SetZero()
	known := fieldsOf(v.Type())
	for c.enter(); c.b[c.i] != '}'; c.next() {
		name := c.name()
		index, ok := known[name]
		if !ok {
			c.skip()
			continue
		}
		if err := c.value(v.Field(index), &path{up: at, name: name}); err != nil {
			return err
		}
	}
	c.i++
	return nil
}

// mapEntry is how many bytes an entry of a map takes in addition to its key and value,
// including the map's growth.
const mapEntry = 150

func (c *cursor) dictionary(v reflect.Value, at *path) error {
	if c.b[c.i] != '{' {
		return mismatch(c.skip(), v, at)
	}
	m := reflect.MakeMap(v.Type())
	for c.enter(); c.b[c.i] != '}'; c.next() {
		name := c.name()
		if err := c.take(mapEntry + len(name) + int(v.Type().Elem().Size())); err != nil {
			return err
		}
		element := reflect.New(v.Type().Elem()).Elem()
		if err := c.value(element, &path{up: at, name: name}); err != nil {
			return err
		}
		m.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), element)
	}
	c.i++
	v.Set(m)
	return nil
}

func (c *cursor) list(v reflect.Value, at *path) error {
	if c.b[c.i] != '[' {
		return mismatch(c.skip(), v, at)
	}
	n := 0
	for range jsonscan.Elements(c.b[c.i:]) {
		n++
	}
	if n > 0 && n > c.left/int(max(1, v.Type().Elem().Size())) {
		return c.take(c.left + 1)
	}
	if err := c.take(n * int(v.Type().Elem().Size())); err != nil {
		return err
	}
	s := reflect.MakeSlice(v.Type(), n, n)
	n = 0
	for c.enter(); c.b[c.i] != ']'; c.next() {
		if err := c.value(s.Index(n), &path{up: at, index: n}); err != nil {
			return err
		}
		n++
	}
	c.i++
	v.Set(s)
	return nil
}

// enter steps into an object or list, to its first member or its end.
func (c *cursor) enter() { c.i++; c.space() }

// next steps over a comma, if there is one, to the next member or the end.
func (c *cursor) next() {
	c.space()
	if c.b[c.i] == ',' {
		c.i++
		c.space()
	}
}

// name reads a member's name and the colon.
func (c *cursor) name() string {
	name := jsonscan.Unquote(c.skip())
	c.space()
	c.i++
	return name
}

func (c *cursor) space() { c.i = jsonscan.Space(c.b, c.i) }

// skip steps over the value at the cursor and returns its text.
func (c *cursor) skip() []byte {
	c.space()
	start := c.i
	c.i = jsonscan.Skip(c.b, start)
	return c.b[start:c.i]
}

// scalar decodes raw, one value of any kind but null, into v.
func scalar(raw []byte, v reflect.Value, at *path) error {
	kind := raw[0]
	number := kind == '-' || kind >= '0' && kind <= '9'
	switch v.Kind() {
	case reflect.String:
		if kind == '"' {
			v.SetString(jsonscan.Unquote(raw))
			return nil
		}
	case reflect.Slice: // of bytes
		if kind == '"' {
			blob, err := base64.StdEncoding.DecodeString(jsonscan.Unquote(raw))
			if err != nil {
				return ecr.Errorf(ecr.CodeSerialization, "Invalid base64 at '%s'", at)
			}
			v.SetBytes(blob)
			return nil
		}
	case reflect.Bool:
		if kind == 't' || kind == 'f' {
			v.SetBool(kind == 't')
			return nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n, ok := integer(raw); number && ok && !v.OverflowInt(n) {
			v.SetInt(n)
			return nil
		}
	case reflect.Float32, reflect.Float64:
		if f, err := strconv.ParseFloat(string(raw), 64); number && err == nil && !v.OverflowFloat(f) {
			v.SetFloat(f)
			return nil
		}
	}
	return mismatch(raw, v, at)
}

// integer is a JSON number without a fraction, such as 12, 12.0 or 1.2e1.
func integer(raw []byte) (int64, bool) {
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// mismatch is the error for a value of the wrong kind, in the words AWS'
// services use; the member's path is ours.
func mismatch(raw []byte, v reflect.Value, at *path) error {
	var have string
	switch raw[0] {
	case '{':
		return ecr.Errorf(ecr.CodeSerialization, "Start of structure or map found where not expected: '%s'", at)
	case '[':
		return ecr.Errorf(ecr.CodeSerialization, "Start of list found where not expected: '%s'", at)
	case '"':
		have = "STRING_VALUE"
	case 't':
		have = "TRUE_VALUE"
	case 'f':
		have = "FALSE_VALUE"
	default:
		have = "NUMBER_VALUE"
	}
	return ecr.Errorf(ecr.CodeSerialization, "%s can not be converted to %s: '%s'", have, wanted(v), at)
}

func wanted(v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		return "a String"
	case reflect.Bool:
		return "a Boolean"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32:
		return "an Integer"
	case reflect.Int64:
		return "a Long"
	case reflect.Float32, reflect.Float64:
		return "a Double"
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return "a Blob"
		}
		return "a List"
	case reflect.Map:
		return "a Map"
	}
	if v.Type() == reflect.TypeFor[Time]() {
		return "a Timestamp"
	}
	return "a Structure"
}

var fieldCache sync.Map // reflect.Type -> map[string]int

// fieldsOf maps the member names of a struct type to its fields.
func fieldsOf(t reflect.Type) map[string]int {
	if m, ok := fieldCache.Load(t); ok {
		return m.(map[string]int)
	}
	m := make(map[string]int, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		m[name] = i
	}
	actual, _ := fieldCache.LoadOrStore(t, m)
	return actual.(map[string]int)
}
