package console

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// tabTo moves the focus with the Tab key until an element that matches has it.
func (b *browser) tabTo(selector string) {
	b.t.Helper()
	for range 200 {
		if get[bool](b, "document.activeElement.matches("+fmt.Sprintf("%q", selector)+")") {
			return
		}
		b.do(chromedp.KeyEvent(kb.Tab))
	}
	b.t.Fatalf("the Tab key does not lead to %s; the focus is on %s", selector, get[string](b, "document.activeElement.outerHTML"))
}

// press presses Enter where the focus is.
func (b *browser) press() { b.t.Helper(); b.do(chromedp.KeyEvent(kb.Enter)) }

// at waits until the page of a path is there.
func (b *browser) at(path string) {
	b.t.Helper()
	b.until(fmt.Sprintf("location.pathname === %q && document.readyState === 'complete' && document.querySelector('h1')", path) + " !== null")
}

// The main flows with the keyboard alone: log in, find an image and why it stays,
// delete a tag and bring it back, try and save a lifecycle policy, log out.
func TestKeyboard(t *testing.T) { flows(t, true) }

// The same flows with scripts off.
func TestWithoutScripts(t *testing.T) { flows(t, false) }

func flows(t *testing.T, scripts bool) {
	w := start(t)
	repo, _ := w.fill()
	b := open(t)
	b.scripts(scripts)
	of := "/console/repositories/" + repo + "/-/"

	b.do(chromedp.Navigate(w.URL + "/"))
	b.at("/console/login")
	b.tabTo("#key")
	b.do(chromedp.KeyEvent(w.Admin.AccessKeyID), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent("wrong"))
	b.press()
	b.until("document.querySelector('[role=alert]') !== null")
	b.at("/console/login")
	b.tabTo("#secret")
	b.do(chromedp.KeyEvent(w.Admin.SecretAccessKey))
	b.press()
	b.at("/console/")

	b.tabTo(`a[href="/console/repositories"]`)
	b.press()
	b.at("/console/repositories")
	b.tabTo("#q")
	b.do(chromedp.KeyEvent("shop/w"))
	b.press()
	b.until("document.querySelectorAll('#repositories tbody tr').length === 2 && location.search.includes('shop')")
	b.tabTo(`#repositories a[href="` + of + `tags"]`)
	b.press()
	b.at(of + "tags")
	b.tabTo("thead a[href*='sort=expires']")
	b.press()
	b.until("location.search.includes('sort=expires')")
	b.until("document.querySelector('#tags tbody .badge')?.textContent === 'Expires at the next run'")
	b.tabTo("#tags tbody th a")
	b.press()
	b.until("document.querySelector('#answer.go') !== null")

	b.do(chromedp.Navigate(w.URL + of + "tags"))
	b.tabTo("input[name=pick][value=pr-413]")
	b.do(chromedp.KeyEvent(" "))
	b.tabTo("#tags form .fields button")
	b.press()
	b.until("document.querySelector('button.danger') !== null")
	if text := get[string](b, "document.querySelector('#goes').innerText"); !strings.Contains(text, "pr-413") || !strings.Contains(text, "the image goes") {
		t.Errorf("what goes: %s", text)
	}
	b.tabTo("main button.danger")
	b.press()
	b.until("location.search.includes('done=deleted')")
	if get[bool](b, "document.querySelector('[value=pr-413]') !== null") {
		t.Error("pr-413 is still there")
	}
	b.tabTo(`a[href="/console/bin"]`)
	b.press()
	b.at("/console/bin")
	b.tabTo("form:has([value='" + repo + "']) button")
	b.press()
	b.until("document.querySelector('.message')?.innerText.includes('pr-413')")

	b.do(chromedp.Navigate(w.URL + of + "lifecycle"))
	text := strings.Replace(policyText, `"countNumber":14`, `"countNumber":3`, 1)
	b.do(chromedp.SetValue(chromedp.CSS("#text"), text))
	b.tabTo("button[value=try]")
	b.press()
	b.until("document.querySelector('#lost')?.innerText.includes('pr-431')")
	b.tabTo("button[value=save]")
	b.press()
	b.until("location.search.includes('done=lifecycle') && document.querySelector('#text') !== null")
	if got := get[string](b, "document.querySelector('#text').value"); !strings.Contains(got, `"countNumber": 3`) {
		t.Errorf("the policy is %s", got)
	}

	b.tabTo("form[action='/console/logout'] button")
	b.press()
	b.at("/console/login")
	b.do(chromedp.Navigate(w.URL + of + "tags"))
	b.at("/console/login")
	for _, said := range b.complaints() {
		if !strings.Contains(said, "401") {
			t.Error(said)
		}
	}
}

// After a page was exchanged, its heading has the focus, for screen readers.
func TestFocusAfterNavigation(t *testing.T) {
	w := start(t)
	w.fill()
	b := open(t)
	b.enter(w)
	b.tabTo(`a[href="/console/leases"]`)
	b.press()
	b.at("/console/leases")
	b.until("document.activeElement.tagName === 'H1' && document.activeElement.innerText === 'Leases'")
	b.until("document.querySelector('[aria-current=page]').innerText === 'Leases'")
}
