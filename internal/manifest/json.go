package manifest

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/jsonscan"
)

// invalid is the refusal of a manifest in ECR's form.
func invalid(format string, args ...any) error {
	return ecr.InvalidParameter("ImageManifest", format, args...)
}

// shape is the refusal of valid JSON that is not a manifest. ECR says no more
// than "Invalid JSON syntax"; the field and the reason are ours.
func shape(path, format string, args ...any) error {
	return invalid("Invalid JSON syntax: %s %s", path, fmt.Sprintf(format, args...))
}

// clip shortens outside text for a message.
func clip(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "..."
	}
	return s
}

// validJSON reports whether b is one JSON value, nothing after it, nested at
// most maxDepth deep.
func validJSON(b []byte) bool {
	if !json.Valid(b) {
		return false
	}
	depth := 0
	for c := range marks(b) {
		switch c {
		case '{', '[':
			if depth++; depth > maxDepth {
				return false
			}
		case '}', ']':
			depth--
		}
	}
	return true
}

// tooMany reports whether b, which is valid JSON, has more than maxValues
// members and elements: what a reader spends on each does not depend on its
// size.
func tooMany(b []byte) bool {
	n := 0
	for c := range marks(b) {
		if c == ',' || c == '{' || c == '[' {
			n++
		}
	}
	return n > maxValues
}

// marks yields the bytes of b that are not in strings.
func marks(b []byte) iter.Seq[byte] {
	return func(yield func(byte) bool) {
		for i := 0; i < len(b); i++ {
			if b[i] != '"' {
				if !yield(b[i]) {
					return
				}
				continue
			}
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		}
	}
}

// object is a JSON object's members by exact name, as they are written.
type object map[string][]byte

// parseObject takes the object at path, which is valid JSON, apart. encoding/json
// would let the last of several equal names win and would match names in any
// case; other readers do otherwise, so both are refused for the fields that
// matter.
func parseObject(raw []byte, fields []string, path string) (object, error) {
	if i := jsonscan.Space(raw, 0); i == len(raw) || raw[i] != '{' {
		if path == "" {
			return nil, invalid("Invalid JSON syntax")
		}
		return nil, shape(path, "must be an object")
	}
	o := object{}
	for name, value := range jsonscan.Members(raw) {
		if _, twice := o[name]; twice {
			return nil, shape(clip(join(path, name)), "is there twice")
		}
		for _, f := range fields {
			if name != f && strings.EqualFold(name, f) {
				return nil, shape(clip(join(path, name)), "must be spelled %q", f)
			}
		}
		o[name] = value
	}
	return o, nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// has reports whether the member is there and not null.
func (o object) has(name string) bool {
	v, ok := o[name]
	return ok && string(v) != "null"
}

// text returns a string member, "" when it is not there.
func (o object) text(name string) (string, error) {
	var s string
	err := o.decode(name, "must be a string", &s)
	return s, err
}

// integer returns a whole number and whether it is there.
func (o object) integer(name string) (int64, bool, error) {
	var n int64
	err := o.decode(name, "must be a whole number", &n)
	return n, o.has(name), err
}

// decode stores a member in v, or leaves v alone when it is not there. must
// says what it has to be.
func (o object) decode(name, must string, v any) error {
	if !o.has(name) {
		return nil
	}
	if err := json.Unmarshal(o[name], v); err != nil {
		return shape(name, "%s", must)
	}
	return nil
}

// descriptors reads an array of at most limit descriptors, called what. null is
// an empty array: Go clients write it for a nil slice.
func descriptors(o object, name string, limit int, what string) ([]Descriptor, error) {
	if !o.has(name) {
		return nil, nil
	}
	if o[name][0] != '[' {
		return nil, shape(name, "must be an array")
	}
	var ds []Descriptor
	for raw := range jsonscan.Elements(o[name]) {
		if len(ds) == limit {
			return nil, invalid("Limit on number of %s exceeded", what)
		}
		d, err := parseDescriptor(raw, fmt.Sprintf("%s[%d]", name, len(ds)))
		if err != nil {
			return nil, err
		}
		ds = append(ds, d)
	}
	return ds, nil
}

// parseDescriptor reads the descriptor at path: OCI descriptor.md, whose
// mediaType, digest and size are required.
func parseDescriptor(raw []byte, path string) (Descriptor, error) {
	o, err := parseObject(raw, descriptorFields, path)
	if err != nil {
		return Descriptor{}, err
	}
	bad := func(name, format string, args ...any) (Descriptor, error) {
		return Descriptor{}, shape(join(path, name), format, args...)
	}
	var d Descriptor
	if d.MediaType, err = o.text("mediaType"); err != nil || d.MediaType == "" {
		return bad("mediaType", "must be a media type")
	}
	digest, err := o.text("digest")
	if err != nil || digest == "" {
		return bad("digest", "must be a digest")
	}
	if d.Digest, err = ecr.ParseDigest(digest); err != nil {
		return bad("digest", "must be a sha256 or sha512 digest, not %q", clip(digest))
	}
	size, ok, err := o.integer("size")
	if err != nil || !ok || size < 0 {
		return bad("size", "must be a number of bytes")
	}
	d.Size = size
	if err := o.decode("urls", "", &d.URLs); err != nil {
		return bad("urls", "must be an array of strings")
	}
	if err := o.decode("platform", "", &d.Platform); err != nil {
		return bad("platform", "must be a platform")
	}
	return d, nil
}
