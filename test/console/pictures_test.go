package console

import (
	"flag"
	"os"
	"testing"

	"github.com/chromedp/chromedp"
)

var update = flag.Bool("update", false, "make the pictures of the manual")

// The pictures of the manual are there, and small. With -update they are made.
func TestPicturesOfTheManual(t *testing.T) {
	names := map[string]string{"tags": "", "image": "", "activity": "", "sign-in": "", "roles": "", "signed-in": ""}
	if *update {
		picturesOfSignIn(t)
		w := start(t)
		w.note = ""
		repo, digest := w.fill()
		pages := map[string]string{
			"tags": "/console/repositories/" + repo + "/-/tags", "image": "/console/repositories/" + repo + "/-/images/" + digest,
			"activity": "/console/repositories/" + repo + "/-/activity",
		}
		b := open(t)
		b.enter(w)
		b.do(chromedp.EmulateViewport(1180, 760))
		for name, path := range pages {
			b.do(chromedp.Navigate(w.URL+path), chromedp.WaitVisible(chromedp.CSS("h1")))
			b.shoot(name)
		}
	}
	for name := range names {
		f, err := os.Stat("../../docs/pictures/console-" + name + ".png")
		if err != nil || f.Size() > 150<<10 {
			t.Errorf("%s: %v, or too large: run `go test -run TestPicturesOfTheManual -update .` in test/console", name, err)
		}
	}
}

// shoot takes a picture for the manual.
func (b *browser) shoot(name string) {
	b.t.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile("../../docs/pictures/console-"+name+".png", png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// picturesOfSignIn takes those of a login with an identity provider.
func picturesOfSignIn(t *testing.T) {
	t.Helper()
	url, _ := company(t)
	b := open(t)
	b.do(chromedp.EmulateViewport(900, 480), chromedp.Navigate(url+"/console/repositories"), chromedp.WaitVisible(chromedp.CSS("h1")))
	b.shoot("sign-in")
	b.do(chromedp.Click(chromedp.CSS(`a[href^="/console/sso?"]`)))
	b.until("document.title === 'Example Inc.'")
	b.do(chromedp.Click(chromedp.CSS("button[value=ann]")))
	b.until("document.querySelector('h1')?.innerText === 'Choose a role'")
	b.do(chromedp.EmulateViewport(900, 560))
	b.shoot("roles")
	b.do(chromedp.Click(chromedp.CSS("button[value$='role/developer']")))
	b.at("/console/repositories")
	b.do(chromedp.EmulateViewport(1100, 640))
	b.shoot("signed-in")
}
