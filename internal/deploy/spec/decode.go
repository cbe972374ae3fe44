package spec

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/jsonpos"
	"github.com/kontor-registry/kontor/internal/spelling"
)

// node is a value and the path that led to it.
type node struct {
	*value
	path jsonpos.Path
	key  state.Position // of the key before it; its own place in a list
}

// origin is n as the maker of a generated part.
func (n node) origin() state.Origin { return state.Origin{Field: n.path.String(), Position: n.key} }

// decoder reads values into types and collects what does not fit.
type decoder struct{ *problems }

// wrong reports what is wrong with n, unless that was done as it was parsed.
func (d decoder) wrong(n node, format string, args ...any) {
	if n.kind != broken {
		d.errorf(n.at, n.path, format, args...)
	}
}

// object returns the members of a mapping by key, those without a value left
// out: they are as good as absent. Keys that are not in fields are errors;
// elsewhere tells where else a field of that name belongs.
func (d decoder) object(n node, fields []string, elsewhere func(field string) string) map[string]node {
	if n.kind == null {
		return nil
	}
	if n.kind != mapping {
		d.wrong(n, "want a mapping with the fields %s, not %s", some(fields), n)
		return nil
	}
	out := make(map[string]node, len(n.members))
	for _, m := range n.members {
		if !slices.Contains(fields, m.key) {
			hint := ""
			if elsewhere != nil {
				hint = elsewhere(m.key)
			}
			if near := nearest(m.key, fields); hint == "" && near != "" {
				hint = "; did you mean " + strconv.Quote(near) + "?"
			}
			d.errorf(m.at, n.path, "unknown field %q%s", clip(m.key), hint)
			continue
		}
		if m.value.kind != null {
			out[m.key] = node{m.value, n.path.At(m.key), m.at}
		}
	}
	return out
}

// some is the names, or of many the first.
func some(names []string) string {
	const most = 10
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// need reports the required fields that m, read from n, does not have.
func (d decoder) need(n node, m map[string]node, what string, fields ...string) bool {
	whole := true
	for _, f := range fields {
		if _, ok := m[f]; !ok {
			d.errorf(n.at, n.path, "%s needs the field %s", what, f)
			whole = false
		}
	}
	return whole
}

// list returns the items of a list; what says what they are.
func (d decoder) list(n node, what string) []node {
	if n.kind != list {
		d.wrong(n, "want a list of %s, not %s", what, n)
		return nil
	}
	out := make([]node, len(n.items))
	for i, item := range n.items {
		out[i] = node{item, n.path.At(i), item.at}
	}
	return out
}

// text reads a text. Numbers and booleans that stand for one must be quoted:
// YAML would change how they are written (1.10 is 1.1).
func (d decoder) text(n node) (string, bool) {
	switch n.kind {
	case text:
		return n.text, true
	case boolean, integer, number:
		d.wrong(n, "%s is not a text; quote it: %q", n, clip(n.text))
	default:
		d.wrong(n, "want a text, not %s", n)
	}
	return "", false
}

func (d decoder) boolean(n node) (bool, bool) {
	if n.kind == boolean {
		return isTrue(n.text), true
	}
	hint := ""
	if n.kind == text {
		switch strings.ToLower(n.text) {
		case "true", "false":
			hint = "; take the quotes away"
		case "yes", "y", "on":
			hint = "; write true"
		case "no", "n", "off":
			hint = "; write false"
		}
	}
	d.wrong(n, "want true or false, not %s%s", n, hint)
	return false, false
}

// maxCount bounds numbers of days and images.
const maxCount = math.MaxInt32

// number reads a whole number of what it says, such as "day", 1 or more. The
// YAML library takes a number beyond 64 bits for a text.
func (d decoder) number(n node, what string) (int, bool) {
	if huge := n.kind == text && n.plain && isDecimal(n.text); n.kind != integer && !huge {
		d.wrong(n, "want a whole number of %ss, not %s", what, n)
		return 0, false
	}
	number, err := strconv.Atoi(n.text)
	switch {
	case strings.HasPrefix(n.text, "-") || err == nil && number < 1:
		d.wrong(n, "want 1 %s or more, not %s", what, clip(n.text))
	case err != nil || number > maxCount:
		d.wrong(n, "want at most %d %ss, not %s", maxCount, what, clip(n.text))
	default:
		return number, true
	}
	return 0, false
}

// nearest is the word that s was probably meant to be, "" when none is near:
// one with few letters changed, or one that s is the beginning or end of.
func nearest(s string, words []string) string {
	s = strings.ToLower(strings.ReplaceAll(s, "-", "_"))
	best := spelling.Nearest(s, words)
	for _, w := range words {
		if best == "" && len(s) >= 4 && (strings.HasPrefix(w, s) || strings.HasSuffix(w, "_"+s)) {
			best = w
		}
	}
	return best
}
