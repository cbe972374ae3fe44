package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
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

// object returns the members of a mapping by key, without those that have no
// value. Keys that are not fields of the object in, as package fields names it,
// are errors.
func (d decoder) object(n node, in string) map[string]node {
	if n.Kind == lang.Null {
		return nil
	}
	names := fields.Names(in)
	if n.Kind != lang.Mapping {
		hint := ""
		if key, value, ok := strings.Cut(n.Text, ":"); ok && n.Plain && slices.Contains(names, key) && !strings.HasPrefix(value, " ") {
			hint = "; write a space after the colon"
		}
		d.wrong(n, "want a mapping with the fields %s, not %s%s", some(names), n, hint)
		return nil
	}
	out := make(map[string]node, len(n.Members))
	for _, m := range n.Members {
		if !slices.Contains(names, m.Key) {
			hint := fields.Hint(in, m.Key)
			if hint == "" && in == "" && mayBeRepository(m) && n.Get("ecr_repositories") == nil {
				hint = "; a repository goes into ecr_repositories"
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

// mayBeRepository reports whether m looks like an entry of ecr_repositories.
func mayBeRepository(m lang.Member) bool {
	_, err := ecr.ParseRepositoryName(m.Key)
	return err == nil && (m.Value.Kind == lang.Mapping || m.Value.Kind == lang.Null)
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
func (d decoder) need(n node, m map[string]node, what string, names ...string) bool {
	whole := true
	for _, f := range names {
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

// text reads a text. Numbers and booleans that represent one must be quoted:
// YAML would change how they are written (1.10 is 1.1).
func (d decoder) text(n node) (string, bool) {
	switch n.Kind {
	case lang.Text:
		return n.Text, true
	case lang.Boolean, lang.Integer, lang.Number:
		d.wrong(n, "%s is not a string; quote it: %q", n, lang.Clip(n.Text))
	default:
		d.wrong(n, "want a string, not %s", n)
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
			hint = "; remove the quotes"
		case "yes", "y", "on", "enabled", "immutable":
			hint = "; write true"
		case "no", "n", "off", "disabled", "mutable":
			hint = "; write false"
		}
	}
	d.wrong(n, "want true or false, not %s%s", n, hint)
	return false, false
}

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
	case err != nil || number > fields.MaxCount:
		d.wrong(n, "want at most %d %ss, not %s", fields.MaxCount, what, lang.Clip(n.Text))
	default:
		return number, true
	}
	return 0, false
}

// checked reads a text that check finds nothing wrong with; "" when there is
// none.
func (d decoder) checked(n node, check func(string) string) string {
	if n.Value == nil {
		return ""
	}
	s, ok := d.text(n)
	if !ok {
		return ""
	}
	if why := check(s); why != "" {
		d.wrong(n, "%s", why)
		return ""
	}
	return s
}

// account reads an account id. One without quotes is a number in YAML and in
// HCL, and numbers lose their leading zeros, so it is refused even where it is
// whole.
func (d decoder) account(n node) (ecr.AccountID, bool) {
	switch {
	case n.Kind == lang.Text && !(n.Plain && lang.IsDigits(n.Text)):
	case n.Kind == lang.Integer || n.Kind == lang.Number || n.Kind == lang.Text:
		if id, err := ecr.ParseAccountID(n.Text); err == nil {
			d.wrong(n, "an account id is a string, and %s without quotes is a number; quote it: %q", id, id)
		} else {
			d.wrong(n, "an account id is 12 digits in quotes, not the number %s%s", lang.Clip(n.Text), quoted(accountsOf(n.Text)))
		}
		return "", false
	default:
		d.text(n)
		return "", false
	}
	id, err := ecr.ParseAccountID(n.Text)
	if err == nil {
		return id, true
	}
	hint := quoted(accountsOf(n.Text))
	if hint == "" {
		hint = "; want exactly 12 digits"
	}
	d.wrong(n, "%q is not an account id%s", lang.Clip(n.Text), hint)
	return "", false
}

// quoted asks whether one of the ids was meant.
func quoted(ids []string) string {
	for i, id := range ids {
		ids[i] = strconv.Quote(id)
	}
	if len(ids) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(ids, " or ") + "?"
}

// leastAccount is the least number that is taken for an account id which has
// lost its leading zeros: with more of them it is a mistake of another kind.
const leastAccount = 100_000_000

// accountsOf are the account ids that s may have been: in something longer, with
// the separators of the console, as a number that has lost its zeros, or as one
// that another reader of YAML took for octal.
func accountsOf(s string) (ids []string) {
	whole := slices.DeleteFunc(strings.FieldsFunc(s, func(c rune) bool { return c < '0' || '9' < c }), func(run string) bool { return len(run) != 12 })
	if len(whole) == 1 {
		return whole
	}
	bare := strings.NewReplacer("-", "", "_", "", " ", "").Replace(s)
	if lang.IsDigits(bare) && len(bare) == 12 {
		return []string{bare}
	}
	f, err := strconv.ParseFloat(s, 64)
	if n := int64(f); err == nil && leastAccount <= f && f < 1e12 && float64(n) == f {
		ids = append(ids, fmt.Sprintf("%012d", n))
		if octal := strconv.FormatInt(n, 8); len(octal) == 11 {
			ids = append(ids, "0"+octal)
		}
	}
	return ids
}
