package server_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Tags are set, moved and removed, and images deleted, as it was shown before.
func TestConsoleChangesImages(t *testing.T) {
	w := start(t, t.TempDir())
	w.create(here, "app")
	password := w.password(here, administrator)
	first, _ := w.push(here, password, "app", "v1", "one")
	second, _ := w.push(here, password, "app", "v2", "two")
	cookie := w.logIn(w.credentials(here, administrator))
	page := func(d ecr.Digest) string { return "/console/repositories/app/-/images/" + string(d) }
	holds := func(tag string, d ecr.Digest) {
		t.Helper()
		found, err := w.server.Registry().System("test").DescribeImages(t.Context(), here.Repo("app"), []ecr.ImageID{{Tag: ecr.Tag(tag)}})
		if d == "" && ecr.CodeOf(err) == ecr.CodeImageNotFound {
			return
		}
		if err != nil || found[0].Digest != d {
			t.Errorf("%s: %v %v, want %s", tag, found, err, d)
		}
	}
	post := func(path string, form url.Values, status int, text string) answer {
		t.Helper()
		a := w.want(w.page(cookie, "POST", path, form), status)
		if !strings.Contains(a.body, text) {
			t.Errorf("%v: no %q in %s", form, text, a.body)
		}
		return a
	}
	if a := w.want(w.page(cookie, "GET", page(first), nil), 200); !strings.Contains(a.body, "Set this tag") || !strings.Contains(a.body, "Delete the image") || !strings.Contains(a.body, "kontor promote ") {
		t.Errorf("the page: %s", a.body)
	}
	form := formOf(post(page(first), url.Values{"do": {"tag"}, "tag": {"stable"}}, 200, "which no image has").body)
	holds("stable", "")
	post(page(first), form, 303, "")
	holds("stable", first)
	form = formOf(post(page(second), url.Values{"do": {"tag"}, "tag": {"stable"}}, 200, "The tag stable moves from the image "+string(first)[:14]).body)
	holds("stable", first)
	third, _ := w.push(here, password, "app", "stable", "three") // meanwhile
	post(page(second), form, 200, "something has changed since")
	holds("stable", third)
	form = formOf(post(page(second), url.Values{"do": {"tag"}, "tag": {"stable"}}, 200, "moves from").body)
	post(page(second), form, 303, "")
	holds("stable", second)
	w.want(w.page(cookie, "POST", page(second), url.Values{"do": {"tag"}, "tag": {"<b>"}}), 400)

	if err := w.server.Registry().System("test").SetTagMutability(t.Context(), here.Repo("app"), ecr.Mutability{Mode: ecr.Immutable}); err != nil {
		t.Fatal(err)
	}
	post(page(first), url.Values{"do": {"tag"}, "tag": {"stable"}}, 409, "are immutable in the repository")
	holds("stable", second)
	post(page(first), url.Values{"do": {"tag"}, "tag": {"final"}}, 200, "cannot be moved to another image afterwards")

	form = formOf(post(page(second), url.Values{"do": {"delete"}}, 200, "Its tags are deleted with it: stable, v2.").body)
	holds("v2", second)
	post(page(second), form, 303, "")
	holds("v2", "")
	post("/console/bin", url.Values{"do": {"purge"}, "repository": {"app"}, "digest": {string(second)}}, 200, "This cannot be undone")
	form = formOf(post("/console/bin", url.Values{"do": {"purge"}, "repository": {"app"}, "digest": {string(second)}}, 200, "Reason").body)
	post("/console/bin", form, 200, "This cannot be undone") // without a reason
	form.Set("reason", "a key in it")
	w.push(here, password, "app", "again", "two") // meanwhile
	form = formOf(post("/console/bin", form, 200, "something has changed since").body)
	post("/console/bin", form, 200, "Its tags are deleted with it: again.")
	form.Set("reason", strings.Repeat("x", 1025))
	post("/console/bin", form, 400, "1024")
	form.Set("reason", "a key in it")
	post("/console/bin", form, 200, "The image is gone for good")
	if a := w.want(w.page(cookie, "GET", "/console/bin", nil), 200); strings.Contains(a.body, string(second)) {
		t.Errorf("it is in the bin: %s", a.body)
	}

	// A pin keeps an image, as a lease of its own that says who needs it.
	form = formOf(post(page(first), url.Values{"do": {"pin"}}, 200, "No lifecycle rule expires the image").body)
	form = formOf(post(page(first), form, 200, "No lifecycle rule").body) // without a reason
	form.Set("reason", "audit <b> of 2026")
	post(page(first), form, 303, "")
	if a := w.want(w.page(cookie, "GET", page(first), nil), 200); !strings.Contains(a.body, "audit &lt;b&gt; of 2026, for user/administrator") || !strings.Contains(a.body, "Remove the pin") || strings.Contains(a.body, "Pin the image") {
		t.Errorf("pinned: %s", a.body)
	}
	form = formOf(post(page(first), url.Values{"do": {"unpin"}}, 200, "kontor lease forget").body)
	post(page(first), form, 303, "")
	if a := w.want(w.page(cookie, "GET", page(first), nil), 200); !strings.Contains(a.body, "Pin the image") || strings.Contains(a.body, "of 2026") {
		t.Errorf("not pinned: %s", a.body)
	}

	// Who may look only is offered nothing, and denied.
	users := w.identities()
	if _, err := users.CreateUser(t.Context(), iam.NewUser{Name: "viewer"}); err != nil {
		t.Fatal(err)
	}
	if err := users.PutInline(t.Context(), iam.OfUser, "viewer", "see", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:Describe*","ecr:BatchGetImage"],"Resource":"*"}]}`); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := users.CreateAccessKey(t.Context(), "viewer"); err != nil {
		t.Fatal(err)
	}
	viewer := w.logIn(w.credentials(here, "viewer"))
	if a := w.want(w.page(viewer, "GET", page(first), nil), 200); strings.Contains(a.body, "Set this tag") || strings.Contains(a.body, "Delete the image") || strings.Contains(a.body, "Pin the image") {
		t.Errorf("offered to a viewer: %s", a.body)
	}
	form = formOf(w.want(w.page(viewer, "POST", page(first), url.Values{"do": {"tag"}, "tag": {"mine"}}), 200).body)
	w.want(w.page(viewer, "POST", page(first), form), 403)
	form = formOf(w.want(w.page(viewer, "POST", page(first), url.Values{"do": {"delete"}}), 200).body)
	w.want(w.page(viewer, "POST", page(first), form), 403)
	form = formOf(w.want(w.page(viewer, "POST", "/console/bin", url.Values{"do": {"purge"}, "repository": {"app"}, "digest": {string(first)}}), 200).body)
	form.Set("reason", "a key in it")
	w.want(w.page(viewer, "POST", "/console/bin", form), 403)
	holds("v1", first)
	form = formOf(w.want(w.page(viewer, "POST", page(first), url.Values{"do": {"pin"}}), 200).body)
	form.Set("reason", "mine")
	w.want(w.page(viewer, "POST", page(first), form), 403)
}
