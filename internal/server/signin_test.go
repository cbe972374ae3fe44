package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/testkit/idp"
)

// signsIn makes p a provider that people log in with.
func signsIn(p *idp.Provider) func(*server.Config) {
	return func(c *server.Config) {
		c.SignIn = append(c.SignIn, authn.Provider{Name: "Example Inc.", Issuer: p.URL, ClientID: idp.ClientID, ClientSecret: idp.ClientSecret})
	}
}

// people makes the account trust p, and roles of the names that trust the people.
func (w *world) people(p *idp.Provider, roles map[string][]string) {
	w.t.Helper()
	p.Now = w.clock
	c := w.identities()
	arn, err := c.CreateProvider(w.t.Context(), p.URL, []string{idp.ClientID}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for name, who := range roles {
		if _, err := c.CreateRole(w.t.Context(), iam.NewRole{Name: name, Trust: p.Trust(arn, who...), Description: "of " + name, MaxSession: 2 * time.Hour}); err != nil {
			w.t.Fatal(err)
		}
		if err := c.PutInline(w.t.Context(), iam.OfRole, name, "see", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:Describe*","Resource":"*"}]}`); err != nil {
			w.t.Fatal(err)
		}
	}
}

// browser keeps cookies, as one does.
type browser struct {
	w       *world
	cookies map[string]string
}

func (w *world) browser() *browser { return &browser{w, map[string]string{}} }

func (b *browser) get(path string) answer { return b.send("GET", path, nil) }

func (b *browser) send(method, path string, form url.Values) answer {
	b.w.t.Helper()
	var all []string
	for name, value := range b.cookies {
		all = append(all, name+"="+value)
	}
	a := b.w.page(strings.Join(all, "; "), method, path, form)
	for _, set := range (&http.Response{Header: a.header}).Cookies() {
		if set.MaxAge < 0 {
			delete(b.cookies, set.Name)
			continue
		}
		if !set.HttpOnly || set.SameSite != http.SameSiteLaxMode || set.Path != "/console" {
			b.w.t.Errorf("the cookie %s", set)
		}
		b.cookies[set.Name] = set.Value
	}
	return a
}

// begin follows the link on the login page, to the provider.
func (b *browser) begin() string {
	b.w.t.Helper()
	a := b.w.want(b.get("/console/sso?provider=Example+Inc.&to=/console/repositories"), 303)
	return a.header.Get("Location")
}

// back is where the provider sends the browser when person has logged in.
func (b *browser) back(p *idp.Provider, person string) string {
	b.w.t.Helper()
	return p.Approve(b.w.t, b.begin(), person).RequestURI()
}

func TestSignIn(t *testing.T) {
	p, dir := idp.Start(t), t.TempDir()
	w := start(t, t.TempDir(), signsIn(p), audited(t, dir, audit.Changes, 0))
	w.people(p, map[string][]string{"dev": {"ann", "eve"}, "ops": {"ann"}})
	w.create(here, "team/app")

	eve := w.browser()
	p.People["eve"] = map[string]any{}
	if a := w.want(eve.get("/console/login"), 200); !strings.Contains(a.body, "Log in with Example Inc.") {
		t.Errorf("the login page: %s", a.body)
	}
	back := eve.back(p, "eve")
	if a := w.want(eve.get(back), 303); a.header.Get("Location") != "/console/repositories" {
		t.Errorf("led to %s", a.header.Get("Location"))
	}
	if a := w.want(eve.get("/console/repositories"), 200); !strings.Contains(a.body, "team/app") || !strings.Contains(a.body, "assumed-role/dev/eve") {
		t.Errorf("as eve: %s", a.body)
	}
	if a := w.want(eve.get("/console/people"), 403); !strings.Contains(a.body, "assumed-role/dev/eve") {
		t.Errorf("what the role may not: %s", a.body)
	}
	if a := w.want(eve.get("/console/sessions"), 200); !strings.Contains(a.body, "assumed-role/dev/eve") || !strings.Contains(a.body, w.clock().UTC().Add(2*time.Hour).Format("2006-01-02T15:")) {
		t.Errorf("sessions: %s", a.body)
	}
	w.want(eve.send("POST", "/console/logout", url.Values{}), 303)
	w.want(eve.get("/console/repositories"), 303)

	ann := w.browser()
	a := w.want(ann.get(ann.back(p, "ann")), 200)
	for _, text := range []string{"Choose a role", "of dev", "of ops", "role/ops"} {
		if !strings.Contains(a.body, text) {
			t.Errorf("the choice has no %q: %s", text, a.body)
		}
	}
	_, ticket, _ := strings.Cut(a.body, `name="ticket" value="`)
	ticket, _, _ = strings.Cut(ticket, `"`)
	form := url.Values{"ticket": {ticket}, "role": {"arn:aws:iam::000000000000:role/ops"}}
	w.want(w.browser().send("POST", "/console/sso/role", form), 401) // another browser's
	other := w.browser()
	other.begin()
	w.want(other.send("POST", "/console/sso/role", form), 401) // with a login of its own
	if a := w.want(ann.send("POST", "/console/sso/role", form), 303); a.header.Get("Location") != "/console/repositories" {
		t.Errorf("led to %s", a.header.Get("Location"))
	}
	if a := w.want(ann.get("/console/"), 200); !strings.Contains(a.body, "assumed-role/ops/ann") {
		t.Errorf("as ann: %s", a.body)
	}
	w.want(ann.send("POST", "/console/sso/role", form), 401) // it is over

	found := map[string]int{}
	for _, r := range records(t, dir) {
		found[r.Action+" "+r.Principal+" "+r.Via+" "+string(r.Decision)]++
	}
	for _, want := range []string{
		"sts:AssumeRoleWithWebIdentity arn:aws:iam::000000000000:oidc-provider/" + p.Host + ":ann console allowed",
		"kontor:OpenConsole arn:aws:sts::000000000000:assumed-role/ops/ann console allowed",
		"kontor:EndConsoleSession arn:aws:sts::000000000000:assumed-role/dev/eve console allowed",
	} {
		if found[want] != 1 {
			t.Errorf("%q: %d times on record: %v", want, found[want], found)
		}
	}
	log := w.log.String()
	code, _ := url.Parse(back)
	for name, secret := range map[string]string{"code": code.Query().Get("code"), "client's secret": idp.ClientSecret, "ticket": ticket} {
		if secret == "" || strings.Contains(log, secret) || strings.Contains(log, url.QueryEscape(secret)) {
			t.Errorf("the %s %q is in the log", name, secret)
		}
	}
}

// Sessions of people end with the role's time, when their role stops, and when they are
// ended.
func TestSignInEnds(t *testing.T) {
	p := idp.Start(t)
	w := start(t, t.TempDir(), signsIn(p))
	w.people(p, map[string][]string{"dev": {"ann"}})
	enter := func() *browser {
		t.Helper()
		b := w.browser()
		w.want(b.get(b.back(p, "ann")), 303)
		w.want(b.get("/console/"), 200)
		return b
	}
	b := enter()
	for range 3 { // used all the time, past the ID token's ten minutes
		w.pass(39 * time.Minute)
		w.want(b.get("/console/"), 200)
	}
	w.pass(4 * time.Minute) // two hours and a minute, the role's time
	w.want(b.get("/console/"), 303)

	b = enter()
	c := w.identities()
	if err := c.DeleteInline(t.Context(), iam.OfRole, "dev", "see"); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteRole(t.Context(), "dev"); err != nil {
		t.Fatal(err)
	}
	w.want(b.get("/console/"), 303)
}

// bad is what goes wrong with a login, what is said of it, and with which status.
type bad struct {
	name   string
	make   func(p *idp.Provider)
	status int
	text   string
}

func claim(name string, value func(p *idp.Provider) any) func(*idp.Provider) {
	return func(p *idp.Provider) { p.Claims = func(c map[string]any) { c[name] = value(p) } }
}

func TestSignInInBadWeather(t *testing.T) {
	at := func(d time.Duration) func(*idp.Provider) any {
		return func(p *idp.Provider) any { return p.Now().Add(d).Unix() }
	}
	is := func(v any) func(*idp.Provider) any { return func(*idp.Provider) any { return v } }
	elsewhere := func(name string) func(*idp.Provider) {
		return func(p *idp.Provider) {
			p.Discovery = func(about map[string]any) { about[name] = "http://127.0.0.1:9/elsewhere" }
		}
	}
	at503 := func(path string) func(*idp.Provider) {
		return func(p *idp.Provider) {
			p.Hijack = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == path {
					http.Error(w, "not now", http.StatusServiceUnavailable)
				}
				return r.URL.Path == path
			}
		}
	}
	p := idp.Start(t)
	w := start(t, t.TempDir(), signsIn(p))
	w.people(p, map[string][]string{"dev": {"ann"}})
	for _, tt := range []bad{
		{"another nonce", claim("nonce", is("another")), 401, "it is of another login"},
		{"no nonce", claim("nonce", is("")), 401, "it is of another login"},
		{"another audience", claim("aud", is("another-client")), 401, "Incorrect token audience"},
		{"made for another client", claim("azp", is("another-client")), 401, "it was made for the client"},
		{"two audiences and no party", claim("aud", is([]string{idp.ClientID, "another-client"})), 401, "it was made for the client"},
		{"another issuer", claim("iss", is("https://login.example.com")), 401, "it is of the issuer"},
		{"expired", claim("exp", at(-2*time.Minute)), 401, "has expired"},
		{"of the future", claim("iat", at(2*time.Minute)), 401, "not yet valid"},
		{"a clock that is slow, within a minute", claim("exp", at(-30*time.Second)), 303, ""},
		{"a clock that is fast, within a minute", claim("iat", at(30*time.Second)), 303, ""},
		{"signed with another key", func(p *idp.Provider) { p.Forge(t) }, 401, "signature does not verify"},
		{"no ID token", func(p *idp.Provider) {
			p.Hijack = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/token" {
					w.Header().Set("Content-Type", "application/json")
					_, _ = w.Write([]byte(`{"access_token":"x","token_type":"Bearer"}`))
				}
				return r.URL.Path == "/token"
			}
		}, 401, "cannot be accepted"},
		{"the token endpoint is down", at503("/token"), 503, "does not answer"},
		{"the keys are down", at503("/keys"), 503, "does not answer"},
		{"the token endpoint leads elsewhere", func(p *idp.Provider) {
			p.Hijack = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/token" {
					http.Redirect(w, r, p.URL+"/secrets", http.StatusTemporaryRedirect)
				}
				return r.URL.Path == "/token"
			}
		}, 503, "does not answer"},
		{"down", at503("/.well-known/openid-configuration"), 503, "does not answer"},
		{"another issuer in the discovery document", func(p *idp.Provider) {
			p.Discovery = func(about map[string]any) { about["issuer"] = "https://login.example.com" }
		}, 503, "does not answer"},
		{"no JSON", func(p *idp.Provider) {
			p.Hijack = func(w http.ResponseWriter, r *http.Request) bool {
				_, _ = w.Write([]byte("<html>"))
				return true
			}
		}, 503, "does not answer"},
		{"people are sent to another host", elsewhere("authorization_endpoint"), 401, "adds it to hosts of the provider"},
		{"the server is sent to another host", elsewhere("token_endpoint"), 401, "adds it to hosts of the provider"},
		{"keys of another host", elsewhere("jwks_uri"), 401, "adds it to hosts of the provider"},
		{"a script for a URL", func(p *idp.Provider) {
			p.Discovery = func(about map[string]any) { about["authorization_endpoint"] = "javascript:alert(1)" }
		}, 401, "not a URL"},
		{"it names itself, and does not", func(p *idp.Provider) {
			p.Discovery = func(about map[string]any) { about["authorization_response_iss_parameter_supported"] = true }
		}, 401, "another identity provider"},
		{"no role", func(p *idp.Provider) { p.Claims = func(c map[string]any) { c["sub"] = "stranger<b>" } }, 401, "knows you as stranger&lt;b&gt;"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.Calm()
			w.pass(2 * time.Hour) // what was read of the provider, and that logins failed, is forgotten
			tt.make(p)
			b := w.browser()
			a := b.get("/console/sso?provider=Example+Inc.")
			if a.status == 303 {
				a = b.get(p.Approve(t, a.header.Get("Location"), "ann").RequestURI())
			}
			if a.status != tt.status || !strings.Contains(a.body, tt.text) {
				t.Errorf("%d %s, want %d with %q", a.status, a.body, tt.status, tt.text)
			}
			if tt.status != 303 && strings.Contains(a.header.Get("Set-Cookie"), "kontor-console-") && !strings.Contains(a.header.Get("Set-Cookie"), "Max-Age=0") {
				t.Errorf("a cookie: %v", a.header["Set-Cookie"])
			}
			if n := p.Asked("/secrets"); n != 0 {
				t.Error("a redirect was followed")
			}
		})
	}
}

// Answers that are not to the login of this browser are refused, cost nothing, and keep
// no one out.
func TestSignInAnswers(t *testing.T) {
	p := idp.Start(t)
	p.Reuse = true // what is refused here, the provider would accept
	w := start(t, t.TempDir(), signsIn(p), func(c *server.Config) { c.Limits.FailedLogins = 4 })
	w.people(p, map[string][]string{"dev": {"ann"}})
	refused := func(b *browser, uri string) {
		t.Helper()
		if a := w.want(b.get(uri), 401); !strings.Contains(a.body, "not begun in this browser") {
			t.Errorf("%s", a.body)
		}
	}
	b := w.browser()
	stolen := b.back(p, "ann")
	for range 10 {
		refused(w.browser(), stolen) // a browser without the login
		refused(w.browser(), "/console/sso/callback?code=x&state=y")
	}
	victim := w.browser()
	mine := victim.back(p, "ann")
	refused(victim, stolen) // the login of another browser (login CSRF)
	u, _ := url.Parse(b.back(p, "ann"))
	q := u.Query()
	q.Set("state", "wrong")
	refused(b, "/console/sso/callback?"+q.Encode())
	if n := p.Asked("/token"); n != 0 {
		t.Errorf("the provider was asked %d times", n)
	}
	w.want(victim.get(mine), 303) // the login that was under way goes on
	uri := b.back(p, "ann")
	w.want(b.get(uri), 303)
	refused(b, uri) // a replay: also by the same browser
	late := w.browser()
	uri = late.back(p, "ann")
	w.pass(authn.SignInTime)
	refused(late, uri)

	changed := w.browser()
	uri = changed.back(p, "ann")
	for name, value := range changed.cookies {
		changed.cookies[name] = value[:len(value)-2] + "AA"
	}
	refused(changed, uri)

	denied := w.browser()
	if a := w.want(denied.get(denied.back(p, "nobody")), 401); !strings.Contains(a.body, "did not let you log in") {
		t.Errorf("denied: %s", a.body)
	}
	iss := w.browser()
	if a := w.want(iss.get(iss.back(p, "ann")+"&iss=https%3A%2F%2Fevil.example"), 401); !strings.Contains(a.body, "another identity provider") {
		t.Errorf("another iss: %s", a.body)
	}
	w.want(w.browser().get("/console/sso?provider=none"), 401)

	// Failures that are the provider's word count.
	for range 2 {
		denied := w.browser()
		w.want(denied.get(denied.back(p, "nobody")), 401)
	}
	w.want(w.browser().get("/console/sso?provider=Example+Inc."), 429)
	w.pass(2 * time.Minute)
	b = w.browser()
	w.want(b.get(b.back(p, "ann")), 303)
}

// Who is known to the provider and may not log in locks out no one else behind the same
// address.
func TestSignInFailuresOfOnePerson(t *testing.T) {
	p := idp.Start(t)
	w := start(t, t.TempDir(), signsIn(p), func(c *server.Config) { c.Limits.FailedLogins = 4 })
	w.people(p, map[string][]string{"dev": {"ann", "eve"}, "ops": {"ann"}})
	p.People["eve"], p.People["stranger"] = map[string]any{}, map[string]any{}
	choose := func(b *browser, status int) (choice func(role string, status int)) {
		t.Helper()
		a := w.want(b.get(b.back(p, "ann")), status)
		_, ticket, _ := strings.Cut(a.body, `name="ticket" value="`)
		ticket, _, _ = strings.Cut(ticket, `"`)
		return func(role string, status int) {
			t.Helper()
			w.want(b.send("POST", "/console/sso/role", url.Values{"ticket": {ticket}, "role": {"arn:aws:iam::000000000000:role/" + role}}), status)
		}
	}
	for range 4 {
		b := w.browser()
		if a := w.want(b.get(b.back(p, "stranger")), 401); !strings.Contains(a.body, "knows you as stranger") {
			t.Errorf("%s", a.body)
		}
	}
	b := w.browser()
	w.want(b.get(b.back(p, "stranger")), 429)
	begun := choose(w.browser(), 200)
	for range 4 {
		choose(w.browser(), 200)("none", 401)
	}
	begun("dev", 429) // also of who has begun before
	choose(w.browser(), 429)
	b = w.browser()
	w.want(b.get(b.back(p, "eve")), 303)
}

// Until the account trusts the provider, the page says what to do.
func TestSignInWithoutProvider(t *testing.T) {
	p := idp.Start(t)
	w := start(t, t.TempDir(), signsIn(p))
	if a := w.want(w.browser().get("/console/sso?provider=Example+Inc."), 401); !strings.Contains(a.body, "aws iam create-open-id-connect-provider") {
		t.Errorf("%s", a.body)
	}
	if _, err := w.identities().CreateProvider(t.Context(), p.URL, []string{"sts.amazonaws.com"}, nil); err != nil {
		t.Fatal(err)
	}
	if a := w.want(w.browser().get("/console/sso?provider=Example+Inc."), 401); !strings.Contains(a.body, "aws iam add-client-id-to-open-id-connect-provider") {
		t.Errorf("%s", a.body)
	}
	if n := p.Asked("/.well-known/openid-configuration"); n != 0 {
		t.Errorf("a provider that is not trusted was asked %d times", n)
	}
}

// A provider that hangs keeps one request for a while, and no one after it.
func TestSignInWithProviderThatHangs(t *testing.T) {
	p := idp.Start(t)
	ended := make(chan struct{})
	p.Hijack = func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-r.Context().Done():
		case <-ended:
		}
		return true
	}
	defer close(ended)
	w := start(t, t.TempDir(), signsIn(p))
	w.people(p, map[string][]string{"dev": {"ann"}})
	for range 2 {
		if a := w.want(w.browser().get("/console/sso?provider=Example+Inc."), 503); !strings.Contains(a.body, "does not answer") {
			t.Errorf("%s", a.body)
		}
	}
	if n := p.Asked("/.well-known/openid-configuration"); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
}
