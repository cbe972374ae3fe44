package spec

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/jsonpos"
)

// node is a value and the path that led to it.
type node struct {
	*lang.Value
	path jsonpos.Path
	key  state.Position // of the key before it; its own place in a list
}

// origin is n as the maker of a generated part.
func (n node) origin() state.Origin { return state.Origin{Field: n.path.String(), Position: n.key} }

// decoder reads values into types and collects what does not fit.
type decoder struct{ *problems }

// wrong reports what is wrong with n, unless that was done as it was parsed.
func (d decoder) wrong(n node, format string, args ...any) {
	if n.Kind != lang.Broken {
		d.errorf(n.At, n.path, format, args...)
	}
}

// object returns the members of a mapping by key, those without a value left
// out: they are as good as absent. Keys that are not in fields are errors;
// elsewhere tells where else a field of that name belongs.
func (d decoder) object(n node, fields []string, elsewhere func(field string) string) map[string]node {
	if n.Kind == lang.Null {
		return nil
	}
	if n.Kind != lang.Mapping {
		d.wrong(n, "want a mapping with the fields %s, not %s", some(fields), n)
		return nil
	}
	out := make(map[string]node, len(n.Members))
	for _, m := range n.Members {
		if !slices.Contains(fields, m.Key) {
			hint := ""
			if elsewhere != nil {
				hint = elsewhere(m.Key)
			}
			if near := nearest(m.Key, fields); hint == "" && near != "" {
				hint = "; did you mean " + strconv.Quote(near) + "?"
			}
			d.errorf(m.At, n.path, "unknown field %q%s", lang.Clip(m.Key), hint)
			continue
		}
		if m.Value.Kind != lang.Null {
			out[m.Key] = node{m.Value, n.path.At(m.Key), m.At}
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
			d.errorf(n.At, n.path, "%s needs the field %s", what, f)
			whole = false
		}
	}
	return whole
}

// list returns the items of a list; what says what they are.
func (d decoder) list(n node, what string) []node {
	if n.Kind != lang.List {
		d.wrong(n, "want a list of %s, not %s", what, n)
		return nil
	}
	out := make([]node, len(n.Items))
	for i, item := range n.Items {
		out[i] = node{item, n.path.At(i), item.At}
	}
	return out
}

// text reads a text. Numbers and booleans that stand for one must be quoted:
// YAML would change how they are written (1.10 is 1.1).
func (d decoder) text(n node) (string, bool) {
	switch n.Kind {
	case lang.Text:
		return n.Text, true
	case lang.Boolean, lang.Integer, lang.Number:
		d.wrong(n, "%s is not a text; quote it: %q", n, lang.Clip(n.Text))
	default:
		d.wrong(n, "want a text, not %s", n)
	}
	return "", false
}

func (d decoder) boolean(n node) (bool, bool) {
	if n.Kind == lang.Boolean {
		return n.True(), true
	}
	hint := ""
	if n.Kind == lang.Text {
		switch strings.ToLower(n.Text) {
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
	if huge := n.Kind == lang.Text && n.Plain && lang.IsDecimal(n.Text); n.Kind != lang.Integer && !huge {
		d.wrong(n, "want a whole number of %ss, not %s", what, n)
		return 0, false
	}
	number, err := strconv.Atoi(n.Text)
	switch {
	case strings.HasPrefix(n.Text, "-") || err == nil && number < 1:
		d.wrong(n, "want 1 %s or more, not %s", what, lang.Clip(n.Text))
	case err != nil || number > maxCount:
		d.wrong(n, "want at most %d %ss, not %s", maxCount, what, lang.Clip(n.Text))
	default:
		return number, true
	}
	return 0, false
}

// nearest is the word that s was probably meant to be, "" when none is near:
// one with few letters changed, or one that s is the beginning or end of.
func nearest(s string, words []string) string {
	s = strings.ToLower(strings.ReplaceAll(s, "-", "_"))
	if len(s) > 64 {
		return ""
	}
	best, least := "", math.MaxInt
	for _, w := range words {
		dist := distance(s, w)
		if dist > max(1, min(len(s), len(w))/3) {
			continue
		}
		if dist < least {
			best, least = w, dist
		}
	}
	for _, w := range words {
		if best == "" && len(s) >= 4 && (strings.HasPrefix(w, s) || strings.HasSuffix(w, "_"+s)) {
			best = w
		}
	}
	return best
}

// distance is how many letters must be put in, taken out, replaced or swapped
// with their neighbour to make b of a.
func distance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			change := row[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			next[j] = min(row[j]+1, next[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
