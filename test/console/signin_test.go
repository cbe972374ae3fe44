package console

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/host"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/testkit/idp"
)

// company is a registry whose people log in with an identity provider: ann may take two
// roles, bob one, and eve none.
func company(t *testing.T) (url string, p *idp.Provider) {
	t.Helper()
	p = idp.Start(t)
	p.People["eve"] = nil
	local := ecr.LocalRegistry()
	s, err := host.Start(t.Context(), host.Config{
		Folder: t.TempDir(), Host: "127.0.0.1", Registries: []datadir.Registry{{Account: local.Account, Region: local.Region}},
		Server: server.Config{SignIn: []authn.Provider{{Name: "Example Inc.", Issuer: p.URL, ClientID: idp.ClientID, ClientSecret: idp.ClientSecret}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	c := s.IAM(local.Region).System(local.Account, "tests")
	arn, err := c.CreateProvider(ctx, p.URL, []string{idp.ClientID}, nil)
	must(err)
	for name, about := range map[string]struct {
		text   string
		people []string
	}{"developer": {"See all images, and push to the repositories of the shop", []string{"ann", "bob"}}, "registry-admin": {"Everything in the registry", []string{"ann"}}} {
		_, err := c.CreateRole(ctx, iam.NewRole{Name: name, Trust: p.Trust(arn, about.people...), Description: about.text})
		must(err)
		must(c.PutInline(ctx, iam.OfRole, name, "rights", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:*","kontor:*"],"Resource":"*"}]}`))
	}
	for _, name := range []ecr.RepositoryName{"shop/web", "shop/api", "platform/base"} {
		_, err := s.Registry().System("tests").CreateRepository(ctx, registry.NewRepository{Repo: local.Repo(name), Mutability: ecr.Mutability{Mode: ecr.Immutable}})
		must(err)
	}
	return s.Registries[0].Endpoint, p
}

// Logging in with an identity provider, by keyboard alone.
func TestSignIn(t *testing.T) { signIn(t, true) }

// The same with scripts off.
func TestSignInWithoutScripts(t *testing.T) { signIn(t, false) }

func signIn(t *testing.T, scripts bool) {
	url, _ := company(t)
	b := open(t)
	b.scripts(scripts)
	as := func(person string) {
		t.Helper()
		b.tabTo(`a[href^="/console/sso?"]`)
		b.press()
		b.until("document.title === 'Example Inc.'")
		b.tabTo("button[value='" + person + "']")
		b.press()
	}
	b.do(chromedp.Navigate(url + "/console/repositories"))
	b.at("/console/login")
	as("")
	b.until("document.querySelector('[role=alert]')?.innerText.includes('did not let you log in')")
	as("eve")
	b.until("document.querySelector('[role=alert]')?.innerText.includes('knows you as eve, but no role')")
	as("bob")
	b.at("/console/")
	b.until("document.querySelector('.me').innerText.includes('assumed-role/developer/bob')")
	b.do(chromedp.Navigate(url + "/console/repositories"))
	b.tabTo("form[action='/console/logout'] button")
	b.press()
	b.at("/console/login")

	b.do(chromedp.Navigate(url + "/console/bin"))
	b.at("/console/login")
	as("ann")
	b.until("document.querySelector('h1')?.innerText === 'Choose a role'")
	b.tabTo("button[value$='role/registry-admin']")
	b.press()
	b.at("/console/bin")
	b.until("document.querySelector('.me').innerText.includes('assumed-role/registry-admin/ann')")
	b.do(chromedp.Navigate(url + "/console/sessions"))
	b.until("document.querySelector('#sessions')?.innerText.includes('this session')")
	for _, said := range b.complaints() {
		if !strings.Contains(said, "401") && !strings.Contains(said, "favicon") { // refused twice; the provider has no icon
			t.Error(said)
		}
	}
}

// The pages of a login, as TestPages looks at others.
func TestSignInPages(t *testing.T) {
	url, _ := company(t)
	b := open(t)
	b.do(chromedp.Navigate(url + "/console/login"))
	checkPage(t, b, "sign-in")
	b.look("light", 1280)
	b.do(chromedp.Click(chromedp.CSS(`a[href^="/console/sso?"]`)))
	b.until("document.title === 'Example Inc.'")
	b.do(chromedp.Click(chromedp.CSS("button[value='']")))
	b.until("document.querySelector('[role=alert]') !== null")
	b.complaints() // the answer is 401
	checkPage(t, b, "sign-in-refused")
	b.look("light", 1280)
	b.do(chromedp.Click(chromedp.CSS(`a[href^="/console/sso?"]`)))
	b.until("document.title === 'Example Inc.'")
	b.do(chromedp.Click(chromedp.CSS("button[value=ann]")))
	b.until("document.querySelector('h1')?.innerText === 'Choose a role'")
	checkPage(t, b, "sign-in-roles")
}
