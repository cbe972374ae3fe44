package console

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// pagesOf are all pages, by name.
func pagesOf(repo, digest string) map[string]string {
	of := "/console/repositories/" + repo + "/-/"
	return map[string]string{
		"overview": "/console/", "repositories": "/console/repositories", "repositories-none": "/console/repositories?q=nothing", "tags": of + "tags", "tags-empty": "/console/repositories/empty/-/tags", "image": of + "images/" + digest,
		"lifecycle": of + "lifecycle", "lifecycle-none": "/console/repositories/empty/-/lifecycle", "access": "/console/access", "repository-access": of + "access?who=arn:aws:iam::333333333333:role/deploy&right=push",
		"activity": "/console/activity", "activity-none": "/console/activity?principal=user/none", "audit": "/console/audit", "audit-none": "/console/audit?action=none", "repository-activity": of + "activity?days=7",
		"bin": "/console/bin", "journal": "/console/journal", "leases": "/console/leases", "people": "/console/people", "user": "/console/people/users/pusher", "role": "/console/people/roles/ci",
		"sessions": "/console/sessions?all=yes", "upstreams": "/console/upstreams", "templates": "/console/templates", "signers": "/console/signers", "replication": "/console/replication", "events": "/console/events", "deliveries": "/console/events/deliveries?receiver=chat", "deliveries-none": "/console/events/deliveries?receiver=chat&type=none", "missing": "/console/nothing",
	}
}

// Each page, in both schemes and at two widths, has nothing that axe finds, breaks no
// rule of its content security policy, is no wider than the window, and takes what
// others wrote as text. With PICTURES, a folder, it leaves pictures there.
func TestPages(t *testing.T) {
	w := start(t)
	repo, digest := w.fill()
	b := open(t)
	b.do(chromedp.Navigate(w.URL + "/console/login"))
	pages := pagesOf(repo, digest)
	check := func(name string) { t.Helper(); checkPage(t, b, name) }
	check("login")
	b.enter(w)
	for name, path := range pages {
		if only := os.Getenv("PAGE"); only != "" && only != name {
			continue
		}
		b.do(chromedp.Navigate(w.URL + path))
		check(name)
	}
}

// checkPage looks at the page that b is at, in both schemes and at all widths.
func checkPage(t *testing.T, b *browser, name string) {
	t.Helper()
	for _, width := range []int64{1100, 1024, 768, 640} { // 640 is 1280 at 200 % zoom
		b.look("light", width)
		if wide := get[int](b, "document.documentElement.scrollWidth"); int64(wide) > width {
			t.Errorf("%s: %d wide in a window of %d", name, wide, width)
		}
	}
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1280, 360} {
			b.look(scheme, width)
			for _, v := range b.axe() {
				t.Errorf("%s %s %d: %s: %s\n%s", name, scheme, width, v.ID, v.Help, strings.Join(v.Nodes, "\n"))
			}
			if wide := get[int](b, "document.documentElement.scrollWidth"); int64(wide) > width {
				t.Errorf("%s %s: %d wide in a window of %d", name, scheme, wide, width)
			}
			if out := get[string](b, `Array.from(document.querySelectorAll("table")).filter(t => t.offsetWidth > t.parentElement.clientWidth + 1).map(t => t.innerText.slice(0, 100)).join("; ")`); out != "" {
				t.Errorf("%s %s %d: a table is wider than its place: %s", name, scheme, width, out)
			}
			picture(t, b, name+"-"+scheme+map[int64]string{1280: "", 360: "-narrow"}[width])
		}
	}
	if title := get[string](b, "document.title"); strings.Contains(title, "taken") {
		t.Errorf("%s: a script of others ran", name)
	}
	for _, said := range b.complaints() {
		if name != "missing" || !strings.Contains(said, "404") {
			t.Errorf("%s: %s", name, said)
		}
	}
}

func picture(t *testing.T, b *browser, name string) {
	t.Helper()
	dir := os.Getenv("PICTURES")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}
