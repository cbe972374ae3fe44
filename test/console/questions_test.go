package console

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// Tags are set, an image deleted for good, and policies attached, by keyboard alone.
func TestQuestions(t *testing.T) { questions(t, true) }

// The same with scripts off.
func TestQuestionsWithoutScripts(t *testing.T) { questions(t, false) }

func questions(t *testing.T, scripts bool) {
	w := start(t)
	w.note = ""
	w.CreateRepository(t, "app")
	w.image("app", "amd64", map[uint64]int{1: 3000}, nil, "v1")
	b := open(t)
	b.enter(w)
	b.scripts(scripts)
	check := func(name string) {
		t.Helper()
		if scripts { // axe is one
			checkPage(t, b, name)
			b.look("light", 1280)
		}
	}
	b.do(chromedp.Navigate(w.URL + "/console/repositories/app/-/tags"))
	b.tabTo("#tags tbody th a")
	b.press()
	b.until("document.querySelector('#change') !== null")
	b.tabTo("#tag")
	b.do(chromedp.KeyEvent("stable"))
	b.press()
	b.until("document.querySelector('h1').innerText === 'Set the tag stable?'")
	check("ask-tag")
	b.tabTo("main button.first")
	b.press()
	b.until("location.search.includes('done=tagged')")
	b.tabTo("button[value=pin]")
	b.press()
	b.until("document.querySelector('h1').innerText === 'Pin this image?'")
	check("ask-pin")
	b.tabTo("#reason")
	b.do(chromedp.KeyEvent("an audit"))
	b.press()
	b.until("location.search.includes('done=pinned') && document.querySelector('#leases')?.innerText.includes('an audit')")
	b.tabTo("button[value=delete]")
	b.press()
	b.until("document.querySelector('h1').innerText === 'Delete this image?'")
	if text := get[string](b, "document.querySelector('main').innerText"); !strings.Contains(text, "stable, v1") {
		t.Errorf("what goes: %s", text)
	}
	check("ask-delete")
	b.tabTo("main button.danger")
	b.press()
	b.until("location.search.includes('done=deleted')")
	b.do(chromedp.Navigate(w.URL + "/console/bin"))
	b.tabTo("#bin button.danger")
	b.press()
	b.until("document.querySelector('#reason') !== null")
	check("ask-purge")
	b.tabTo("#reason")
	b.do(chromedp.KeyEvent("a key in it"))
	b.press()
	b.until("document.querySelector('.message')?.innerText.includes('gone for good')")

	b.do(chromedp.Navigate(w.URL + "/console/people/users/pusher"))
	b.tabTo("#policies button.danger")
	b.press()
	b.until("document.querySelector('#lost') !== null")
	check("ask-detach")
	b.tabTo("main button.danger")
	b.press()
	b.until("location.search.includes('done=detached')")
	b.tabTo("#arn")
	b.tabTo("form:has(#arn) button")
	b.press()
	b.until("document.querySelector('#gained') !== null")
	b.tabTo("main button.first")
	b.press()
	b.until("location.search.includes('done=attached')")
	check("user-changed")

	w.admin("PutSigner", admin.PutSignerRequest{Signer: admin.Signer{Name: "release", Key: signingKey}}, &admin.PutSignerResponse{})
	b.do(chromedp.Navigate(w.URL + "/console/signers"))
	b.tabTo("#signers button.danger")
	b.press()
	b.until("document.querySelector('h1').innerText === 'Stop trusting release?'")
	check("ask-signer")
	b.tabTo("main button.danger")
	b.press()
	b.until("document.querySelector('.message')?.innerText.includes('It is deleted')")
	w.admin("PutEventReceiver", admin.PutEventReceiverRequest{Name: "chat", URL: "http://127.0.0.1:9/hook", Types: []string{"*"}, Repositories: []string{"*"}}, &admin.PutEventReceiverResponse{})
	b.do(chromedp.Navigate(w.URL + "/console/events"))
	b.tabTo("#receivers td button")
	b.press()
	b.until("document.querySelector('[role=alert]')?.innerText.includes('did not take the test event')")
	check("event-tested")
	b.tabTo("#receivers tbody th a")
	b.press()
	b.at("/console/events/deliveries")
	b.tabTo("#state")
	b.tabTo("form[role=search] button")
	b.press()
	b.until("location.search.includes('state=')")
	for _, said := range b.complaints() {
		t.Error(said)
	}
}
