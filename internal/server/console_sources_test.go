package server_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Pull-through caches, credentials and creation templates are made, shown and deleted.
func TestConsoleSources(t *testing.T) {
	w := start(t, t.TempDir(), compatOCI)
	b := visitor{w, w.logIn(w.credentials(here, administrator))}
	const upstreams, templates = "/console/upstreams", "/console/templates"
	b.get(upstreams, "There is no pull-through cache", "kontor upstreams create quay quay.io", "There is no credential")
	b.post(upstreams, url.Values{"do": {"login"}, "name": {"hub"}, "user": {"ann"}, "token": {"s3cret-token"}}, 303)
	b.post(upstreams, url.Values{"do": {"create"}, "prefix": {"docker-hub"}, "host": {"docker.io"}, "credential": {"hub"}}, 303)
	b.post(upstreams, url.Values{"do": {"create"}, "prefix": {"docker-hub"}, "host": {"quay.io"}}, 400)
	b.post(upstreams, url.Values{"do": {"create"}, "prefix": {"x"}, "host": {"quay.io"}}, 400)
	if body := b.get(upstreams, "docker-hub/", "registry-1.docker.io", "nothing pulled", "not said", "<option>hub</option>", "Counted by this server since"); strings.Contains(body, "s3cret") || strings.Contains(w.log.String(), "s3cret") {
		t.Error("the credential is shown, or is in the log")
	}
	if a := b.get(upstreams + "?format=csv&table=credentials"); !strings.HasPrefix(a, "name,created,updated") || !strings.Contains(a, "\nhub,") {
		t.Errorf("CSV: %s", a)
	}
	b.post(upstreams, b.post(upstreams, url.Values{"do": {"forget"}, "name": {"hub"}}, 200, "delete the rule first"), 400)
	b.post(upstreams, b.post(upstreams, url.Values{"do": {"delete"}, "prefix": {"docker-hub"}}, 200, "came by the rule stay"), 303)
	b.post(upstreams, b.post(upstreams, url.Values{"do": {"forget"}, "name": {"hub"}}, 200), 303)
	b.get(upstreams, "There is no pull-through cache", "There is no credential")
	b.post(upstreams, url.Values{"do": {"delete"}, "prefix": {"docker-hub"}}, 400)
	b.post(upstreams, url.Values{"do": {"nothing"}}, 400)

	b.get(templates, "There is no template", "create-repository-creation-template --prefix team")
	b.post(templates, url.Values{"do": {"create"}, "prefix": {"team"}, "description": {"<b>"}, "for": {string(ecr.CreateOnPush)}, "immutable": {"yes"}, "lifecycle": {expireAfter(9)}}, 303)
	b.get(templates, "team/", "&lt;b&gt;", "a push", "immutable", "yes")
	b.post(templates, url.Values{"do": {"create"}, "prefix": {"other"}}, 400)
	b.post(templates, url.Values{"do": {"create"}, "prefix": {"other"}, "for": {"ANYTHING"}}, 400)
	b.post(templates, b.post(templates, url.Values{"do": {"delete"}, "prefix": {"team"}}, 200, "stay as they are"), 303)
	b.get(templates, "There is no template")

	// Who may see the caches and nothing else is offered nothing else.
	c := w.identities()
	if _, err := c.CreateUser(t.Context(), iam.NewUser{Name: "viewer"}); err != nil {
		t.Fatal(err)
	}
	if err := c.PutInline(t.Context(), iam.OfUser, "viewer", "see", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:DescribePullThroughCacheRules"],"Resource":"*"}]}`); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := c.CreateAccessKey(t.Context(), "viewer"); err != nil {
		t.Fatal(err)
	}
	b.cookie = w.logIn(w.credentials(here, "viewer"))
	if body := b.get(upstreams); strings.Contains(body, "Create a pull-through cache") || strings.Contains(body, "credential\"") {
		t.Errorf("offered to a viewer: %s", body)
	}
	b.post(upstreams, url.Values{"do": {"create"}, "prefix": {"quay"}, "host": {"quay.io"}}, 403)
	b.post(upstreams, url.Values{"do": {"login"}, "name": {"hub"}, "user": {"ann"}, "token": {"x"}}, 403)
	w.want(w.page(b.cookie, "GET", templates, nil), 403)
}
