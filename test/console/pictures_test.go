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
	names := map[string]string{"tags": "", "image": "", "activity": ""}
	if *update {
		w := start(t)
		w.note = ""
		repo, digest := w.fill()
		names["tags"], names["image"] = "/console/repositories/"+repo+"/-/tags", "/console/repositories/"+repo+"/-/images/"+digest
		names["activity"] = "/console/repositories/" + repo + "/-/activity"
		b := open(t)
		b.enter(w)
		b.do(chromedp.EmulateViewport(1100, 760))
		for name, path := range names {
			b.do(chromedp.Navigate(w.URL+path), chromedp.WaitVisible(chromedp.CSS("h1")))
			png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile("../../docs/pictures/console-"+name+".png", png, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name := range names {
		f, err := os.Stat("../../docs/pictures/console-" + name + ".png")
		if err != nil || f.Size() > 150<<10 {
			t.Errorf("%s: %v, or too large: run `go test -run TestPicturesOfTheManual -update .` in test/console", name, err)
		}
	}
}
