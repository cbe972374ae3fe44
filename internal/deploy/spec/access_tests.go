package spec

import (
	"slices"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/policy"
)

// accessTest reads an entry of access_tests.
func (r *reader) accessTest(n node) {
	before := len(r.errs)
	m := r.object(n, "access_tests")
	if m == nil {
		if n.Kind == lang.Null {
			r.wrong(n, "want a mapping with the fields principal, allow and deny, but the entry is empty")
		}
		return
	}
	t := state.AccessTest{Repositories: every, Origin: n.origin()}
	if len(r.errs) == before && r.need(n, m, "a test", "principal") {
		_, allow := m["allow"]
		if _, deny := m["deny"]; !allow && !deny {
			r.errorf(n.At, n.path, "a test needs the field allow or the field deny")
		}
	}
	if v, ok := m["principal"]; ok {
		t.Principal = r.tester(v)
	}
	if v, ok := m["repository"]; ok {
		if s, ok := r.glob(v); ok {
			t.Repositories = []string{s}
		}
	}
	rights := func(field string) (out []string) {
		v, ok := m[field]
		if !ok {
			return nil
		}
		for _, item := range r.list(v, "pull, push, delete, admin, or actions such as ecr:PutImage") {
			s, ok := r.text(item)
			action, known := policy.LookupAction(s)
			if known {
				s = action.Name // in the letter case that answers have
			}
			switch {
			case !ok:
			case !fields.Right.MatchString(s):
				r.wrong(item, "want pull, push, delete, admin, or an action such as ecr:PutImage, not %q", lang.Clip(s))
			case !known && strings.HasPrefix(s, "ecr:"):
				r.wrong(item, "%v", policy.CheckAction(s))
			case s == "ecr:GetAuthorizationToken":
				r.wrong(item, "%s is not about a repository; pull and push ask for it already", s)
			case slices.Contains(out, s):
				r.wrong(item, "%s is given twice", s)
			case slices.Contains(t.Allow, s):
				r.wrong(item, "%s is also in allow", s)
			default:
				out = append(out, s)
			}
		}
		return out
	}
	t.Allow = rights("allow")
	t.Deny = rights("deny")
	r.accessTests = append(r.accessTests, t)
}

// tester reads the principal of a test.
func (d decoder) tester(n node) string {
	if n.Kind == lang.Integer || n.Kind == lang.Text && n.Plain && lang.IsDigits(n.Text) {
		id, _ := d.account(n)
		return string(id)
	}
	return d.checked(n, func(s string) string {
		if policy.AccountOf(s) != "" || fields.PrincipalARN.MatchString(s) || fields.ServiceName.MatchString(s) {
			return ""
		}
		return strconv.Quote(lang.Clip(s)) + " is not a principal; want an account id, the ARN of an account's root, a role, a user or a session, or the name of a service"
	})
}
