package server_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/access/iam"
)

// Roles are made, let others in, get rights, and go, as it was shown before.
func TestConsoleRoles(t *testing.T) {
	w := start(t, t.TempDir())
	w.create(here, "team/app")
	c := w.identities()
	b := visitor{w, w.logIn(w.credentials(here, administrator))}
	const page = "/console/people/roles/ci"
	trusts := func(want string) {
		t.Helper()
		role, err := c.Role(t.Context(), "ci")
		if err != nil || !strings.Contains(role.Trust, want) {
			t.Errorf("%v %v, want %s", role.Trust, err, want)
		}
	}
	b.post("/console/people", url.Values{"do": {"role"}, "name": {"ci"}, "who": {"222222222222"}, "description": {"builds <b>"}}, 303)
	trusts("222222222222")
	b.get(page, "222222222222", "sts:AssumeRole", "always", "builds &lt;b&gt;", "ci has no policy")
	b.get("/console/people", `href="`+page+`"`)
	policy := func(account string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + account + `:root"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"x"}}}]}`
	}
	form := b.post(page, url.Values{"do": {"trust"}, "text": {policy("333333333333")}}, 200, "What comes", "333333333333", "StringEquals sts:ExternalId: x", "What goes", "222222222222")
	trusts("222222222222")
	if err := c.UpdateAssumeRolePolicy(t.Context(), "ci", policy("444444444444")); err != nil {
		t.Fatal(err)
	}
	form = b.post(page, form, 200, "something has changed since", "444444444444")
	trusts("444444444444")
	b.post(page, form, 303)
	trusts("333333333333")
	b.post(page, url.Values{"do": {"trust"}, "text": {"<b>"}}, 400, "it is not JSON", "&lt;b&gt;")
	b.post(page, url.Values{"do": {"trust"}, "text": {`{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps"}]}`}}, 400, "The policy is not valid")

	const readOnly = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
	form = b.post(page, url.Values{"do": {"attach"}, "arn": {readOnly}}, 200, "What ci gains", "team/app", "ci loses nothing.", "attach-role-policy --role-name ci")
	b.post(page, form, 303)
	form = b.post(page, url.Values{"do": {"put"}, "policy": {"no"}, "text": {`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"ecr:*","Resource":"*"}]}`}}, 200, "What ci loses", "team/app")
	b.post(page, form, 303)
	if names, err := c.InlineNames(t.Context(), iam.OfRole, "ci"); err != nil || len(names) != 1 {
		t.Error(names, err)
	}
	b.post(page, b.post(page, url.Values{"do": {"remove"}}, 200, "It must have no policies"), 400, "must detach all policies first")
	b.post(page, b.post(page, url.Values{"do": {"unput"}, "policy": {"no"}}, 200), 303)
	b.post(page, b.post(page, url.Values{"do": {"detach"}, "arn": {readOnly}}, 200), 303)
	b.post(page, b.post(page, url.Values{"do": {"remove"}}, 200), 303)
	w.want(w.page(b.cookie, "GET", page, nil), 404)

	// A user with its keys goes as a role does.
	const user = "/console/people/users/ann"
	b.post("/console/people", url.Values{"name": {"ann"}}, 303)
	b.post(user, b.post(user, url.Values{"do": {"remove"}}, 200, "The user cannot log in"), 303)
	w.want(w.page(b.cookie, "GET", user, nil), 404)
	other := w.logIn(w.credentials(here, pusher))
	w.want(w.page(other, "GET", page, nil), 403)
	w.want(w.page(other, "POST", "/console/people", url.Values{"do": {"role"}, "name": {"x"}, "who": {"222222222222"}}), 403)
}
