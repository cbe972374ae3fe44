package server_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access/iam"
)

// Policies of users are changed as it was shown before, with what they gain and lose.
func TestConsoleChangesPolicies(t *testing.T) {
	w := start(t, t.TempDir())
	w.create(here, "team/app")
	w.create(here, "other")
	c := w.identities()
	if _, err := c.CreateUser(t.Context(), iam.NewUser{Name: "ann"}); err != nil {
		t.Fatal(err)
	}
	cookie := w.logIn(w.credentials(here, administrator))
	const page = "/console/people/users/ann"
	post := func(form url.Values, status int, texts ...string) url.Values {
		t.Helper()
		a := w.want(w.page(cookie, "POST", page, form), status)
		for _, text := range texts {
			if !strings.Contains(a.body, text) {
				t.Errorf("%v: no %q in %s", form, text, a.body)
			}
		}
		return formOf(a.body)
	}
	held := func(attached, inline int) {
		t.Helper()
		list, err := c.Attached(t.Context(), iam.OfUser, "ann")
		names, err2 := c.InlineNames(t.Context(), iam.OfUser, "ann")
		if err != nil || err2 != nil || len(list) != attached || len(names) != inline {
			t.Errorf("%v %v %v %v, want %d and %d", list, names, err, err2, attached, inline)
		}
	}
	const readOnly = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
	if a := w.want(w.page(cookie, "GET", page, nil), 200); !strings.Contains(a.body, `<option value="`+readOnly) || !strings.Contains(a.body, "ann has no policy") {
		t.Errorf("the page: %s", a.body)
	}
	form := post(url.Values{"do": {"attach"}, "arn": {readOnly}}, 200, "What ann gains", "team/app", "pull", "ann loses nothing.", "attach-user-policy")
	held(0, 0)
	post(form, 303)
	held(1, 0)

	inline := func(effect, resource string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"` + effect + `","Action":"ecr:*","Resource":"` + resource + `"}]}`
	}
	put := url.Values{"do": {"put"}, "policy": {"rights"}, "text": {inline("Deny", "arn:aws:ecr:*:*:repository/other")}}
	form = post(put, 200, "What ann loses", "other", "ann gains nothing.")
	held(1, 0)
	// Meanwhile another changes what the user has.
	if err := c.PutInline(t.Context(), iam.OfUser, "ann", "more", inline("Allow", "*")); err != nil {
		t.Fatal(err)
	}
	form = post(form, 200, "something has changed since")
	held(1, 1)
	post(form, 303)
	held(1, 2)
	post(url.Values{"do": {"put"}, "policy": {"bad"}, "text": {`{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps"}]}`}}, 400, "The policy is not valid", "Perhaps")
	post(url.Values{"do": {"put"}, "policy": {"bad"}, "text": {"<b>"}}, 400, "it is not JSON", "&lt;b&gt;")
	held(1, 2)
	if a := w.want(w.page(cookie, "GET", page+"?policy=rights", nil), 200); !strings.Contains(a.body, "repository/other") {
		t.Errorf("the editor: %s", a.body)
	}
	post(post(url.Values{"do": {"unput"}, "policy": {"rights"}}, 200, "What ann gains", "other"), 303)
	post(post(url.Values{"do": {"detach"}, "arn": {readOnly}}, 200, "ann loses nothing."), 303) // "more" gives it all
	held(0, 1)
	post(url.Values{"do": {"attach"}, "arn": {"arn:aws:iam::aws:policy/None"}}, 404)

	// A policy that has changed is shown again, and one of two of a name is detached.
	if err := c.DeleteInline(t.Context(), iam.OfUser, "ann", "more"); err != nil {
		t.Fatal(err)
	}
	m, err := c.CreatePolicy(t.Context(), "AmazonEC2ContainerRegistryReadOnly", "/", "", inline("Allow", "arn:aws:ecr:*:*:repository/other"), nil)
	if err != nil {
		t.Fatal(err)
	}
	form = post(url.Values{"do": {"attach"}, "arn": {m.ARN}}, 200, "What ann gains")
	if _, err := c.CreatePolicyVersion(t.Context(), m.ARN, inline("Deny", "*"), true); err != nil {
		t.Fatal(err)
	}
	post(post(form, 200, "something has changed since", "ann gains nothing."), 303)
	post(post(url.Values{"do": {"attach"}, "arn": {readOnly}}, 200), 303)
	post(url.Values{"do": {"detach"}, "arn": {readOnly}}, 200, "ann gains nothing.", "ann loses nothing.")
	post(post(url.Values{"do": {"detach"}, "arn": {m.ARN}}, 200, "team/app", "ann loses nothing."), 303)
	post(post(url.Values{"do": {"detach"}, "arn": {readOnly}}, 200, "ann gains nothing.", "team/app"), 303)
	held(0, 0)
	if err := c.PutInline(t.Context(), iam.OfUser, "ann", "more", inline("Allow", "*")); err != nil {
		t.Fatal(err)
	}
	post(url.Values{"do": {"nothing"}}, 404)

	// Who may not change users is denied, and sees no policies.
	if _, _, _, err := c.CreateAccessKey(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	cookie = w.logIn(w.credentials(here, "ann")) // may do everything in ecr, and nothing in iam
	post(url.Values{"do": {"attach"}, "arn": {readOnly}}, 403)
	post(url.Values{"do": {"put"}, "policy": {"x"}, "text": {inline("Allow", "*")}}, 403)
	w.want(w.page(cookie, "GET", page, nil), 403)
}

// A key is shown to who may make it and see nothing else, and inline policies that may not
// be listed are not said to be none.
func TestConsoleShowsWhatTheCallerMay(t *testing.T) {
	w := start(t, t.TempDir(), compatOCI)
	c := w.identities()
	as := func(name, actions string) (cookie string) {
		t.Helper()
		_, err := c.CreateUser(t.Context(), iam.NewUser{Name: name})
		_, _, _, err2 := c.CreateAccessKey(t.Context(), name)
		err3 := c.PutInline(t.Context(), iam.OfUser, name, "rights", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[`+actions+`],"Resource":"*"}]}`)
		if err := errors.Join(err, err2, err3); err != nil {
			t.Fatal(err)
		}
		return w.logIn(w.credentials(here, name))
	}
	maker := as("maker", `"iam:CreateAccessKey","kontor:CreateUserToken"`)
	a := w.want(w.page(maker, "POST", "/console/people/users/pusher", url.Values{"do": {"create"}}), 200)
	if !strings.Contains(a.body, "The secret is shown once") || !strings.Contains(a.body, "The rest of the page cannot be shown") {
		t.Errorf("the key: %s", a.body)
	}
	a = w.want(w.page(maker, "POST", "/console/people/users/pusher", url.Values{"do": {"token"}, "name": {"flux"}}), 200)
	if !strings.Contains(a.body, "<code>kontor_") {
		t.Errorf("the token: %s", a.body)
	}
	w.want(w.page(maker, "GET", "/console/people/users/pusher", nil), 403)
	viewer := as("viewer", `"iam:GetUser","iam:ListAccessKeys","iam:ListAttachedUserPolicies"`)
	a = w.want(w.page(viewer, "GET", "/console/people/users/viewer", nil), 200)
	if strings.Contains(a.body, "has no policy") || !strings.Contains(a.body, "iam:ListUserPolicies") {
		t.Errorf("the page: %s", a.body)
	}
}

// Machine tokens are made, shown once, listed and revoked.
func TestConsoleMachineTokens(t *testing.T) {
	w := start(t, t.TempDir(), compatOCI)
	w.create(here, "team/app")
	cookie := w.logIn(w.credentials(here, administrator))
	const page = "/console/people/users/pusher"
	a := w.want(w.page(cookie, "POST", page, url.Values{"do": {"token"}, "name": {"flux"}, "pull": {"team/*"}, "days": {"30"}}), 200)
	_, password, ok := strings.Cut(a.body, `<code>kontor_`)
	password, _, _ = strings.Cut(password, "<")
	if password = "kontor_" + password; !ok {
		t.Fatalf("no token: %s", a.body)
	}
	w.want(w.login(here, "kontor", password, "GET", "/v2/", ""), 200)
	a = w.want(w.page(cookie, "GET", page, nil), 200)
	for _, text := range []string{"flux", "pull team/*", w.clock().UTC().Add(30 * 24 * time.Hour).Format("2006-01-02")} {
		if !strings.Contains(a.body, text) {
			t.Errorf("no %q in the list: %s", text, a.body)
		}
	}
	if strings.Contains(a.body, password[28:]) || strings.Contains(w.log.String(), password[28:]) {
		t.Error("the secret is shown again, or is in the log")
	}
	w.want(w.page(cookie, "POST", page, url.Values{"do": {"token"}, "name": {"x"}, "days": {"0"}}), 400)
	list, err := w.identities().Tokens().List(t.Context(), pusher)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	w.want(w.page(cookie, "POST", page, url.Values{"do": {"revoke"}, "token": {list[0].ID}}), 303)
	w.want(w.login(here, "kontor", password, "GET", "/v2/", ""), 401)

	off := start(t, t.TempDir())
	cookie = off.logIn(off.credentials(here, administrator))
	if a := off.want(off.page(cookie, "GET", page, nil), 200); !strings.Contains(a.body, "does not accept machine tokens") {
		t.Errorf("where they are off: %s", a.body)
	}
	off.want(off.page(cookie, "POST", page, url.Values{"do": {"token"}, "name": {"flux"}}), 400)
}
