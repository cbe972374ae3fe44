// Package idp is an OpenID Connect provider for tests: discovery, keys, the authorization
// code flow with a page on which people choose who they are, and the token endpoint, which
// checks the client, the redirect, PKCE and that each code is used once. Tests may make it
// behave as providers should not.
package idp

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// What the one client of a Provider is. Its redirect is whatever ends in Callback.
const (
	ClientID     = "kontor-console"
	ClientSecret = "the secret of the client"
	Callback     = "/console/sso/callback"
)

// Provider is a running provider. Set its fields before requests come.
type Provider struct {
	URL  string // also its issuer
	Host string
	Now  func() time.Time
	// People are who may log in, with claims of their tokens.
	People map[string]map[string]any
	// Bad weather. Claims may change those of a token, Discovery what the provider says of
	// itself. Hijack answers a request in place of the provider when it returns true.
	Claims    func(map[string]any)
	Discovery func(map[string]any)
	Hijack    func(http.ResponseWriter, *http.Request) bool
	// Reuse accepts codes that were used.
	Reuse bool

	key    *rsa.PrivateKey
	forged *rsa.PrivateKey // in place of key, where it is set

	mu    sync.Mutex
	codes map[string]grant // guarded by mu
	asked map[string]int   // requests by path; guarded by mu
}

// grant is what a code was given for.
type grant struct{ person, nonce, challenge, redirect string }

// keys are made once: they take long.
var keys = sync.OnceValues(func() (out [2]*rsa.PrivateKey, err error) {
	for i := range out {
		if out[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return out, err
		}
	}
	return out, nil
})

func keyOf(t testing.TB, i int) *rsa.PrivateKey {
	t.Helper()
	all, err := keys()
	if err != nil {
		t.Fatal(err)
	}
	return all[i]
}

// Start starts a provider that ends with the test.
func Start(t testing.TB) *Provider {
	t.Helper()
	key := keyOf(t, 0)
	p := &Provider{Now: time.Now, People: map[string]map[string]any{"ann": {}, "bob": {}}, key: key, codes: map[string]grant{}, asked: map[string]int{}}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	p.URL, p.Host = s.URL, strings.TrimPrefix(s.URL, "http://")
	return p
}

// Asked is how many requests for path there were.
func (p *Provider) Asked(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[path]
}

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked[r.URL.Path]++
	p.mu.Unlock()
	if p.Hijack != nil && p.Hijack(w, r) {
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		about := map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys"}
		if p.Discovery != nil {
			p.Discovery(about)
		}
		answer(w, http.StatusOK, about)
	case "/keys":
		raw := base64.RawURLEncoding.EncodeToString
		answer(w, http.StatusOK, map[string]any{"keys": []any{map[string]string{
			"kty": "RSA", "kid": "one", "alg": "RS256", "use": "sig", "n": raw(p.key.N.Bytes()), "e": raw(big.NewInt(int64(p.key.E)).Bytes()),
		}}})
	case "/authorize":
		p.authorize(w, r)
	case "/token":
		p.token(w, r)
	default:
		http.NotFound(w, r)
	}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has gone
}

var page = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><title>Example Inc.</title><h1>Who are you?</h1>
<form method="post">{{range .}}<p><button name="person" value="{{.}}">{{.}}</button></p>{{end}}<p><button name="person" value="">None of them</button></p></form>`))

// authorize asks the browser who it is, and sends it back.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || back.Path != Callback || q.Get("client_id") != ClientID {
		http.Error(w, "unknown client or redirect", http.StatusBadRequest)
		return
	}
	if q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("state") == "" || q.Get("nonce") == "" || !strings.Contains(" "+q.Get("scope")+" ", " openid ") {
		http.Error(w, "bad request: "+r.URL.RawQuery, http.StatusBadRequest)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = page.Execute(w, p.names()) // the browser has gone
		return
	}
	person := r.PostFormValue("person")
	out := url.Values{"state": {q.Get("state")}}
	if _, known := p.People[person]; known {
		code := rand.Text()
		p.mu.Lock()
		p.codes[code] = grant{person, q.Get("nonce"), q.Get("code_challenge"), back.String()}
		p.mu.Unlock()
		out.Set("code", code)
	} else {
		out.Set("error", "access_denied")
	}
	back.RawQuery = out.Encode()
	http.Redirect(w, r, back.String(), http.StatusSeeOther)
}

func (p *Provider) names() []string { return slices.Sorted(maps.Keys(p.People)) }

// token exchanges a code.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	refuse := func(code string) { answer(w, http.StatusBadRequest, map[string]string{"error": code}) }
	id, secret, _ := r.BasicAuth()
	id, _ = url.QueryUnescape(id)
	secret, _ = url.QueryUnescape(secret)
	if id != ClientID || subtle.ConstantTimeCompare([]byte(secret), []byte(ClientSecret)) != 1 {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		return
	}
	p.mu.Lock()
	g, known := p.codes[r.PostFormValue("code")]
	if !p.Reuse {
		delete(p.codes, r.PostFormValue("code"))
	}
	p.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if r.PostFormValue("grant_type") != "authorization_code" || !known || g.redirect != r.PostFormValue("redirect_uri") || g.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
		refuse("invalid_grant")
		return
	}
	now := p.Now()
	claims := map[string]any{"iss": p.URL, "sub": g.person, "aud": ClientID, "nonce": g.nonce, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix()}
	maps.Copy(claims, p.People[g.person])
	if p.Claims != nil {
		p.Claims(claims)
	}
	token, err := p.Sign(claims)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, http.StatusOK, map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 600, "id_token": token})
}

// Sign makes a token of claims.
func (p *Provider) Sign(claims map[string]any) (string, error) {
	raw := base64.RawURLEncoding.EncodeToString
	text, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed := raw([]byte(`{"alg":"RS256","kid":"one","typ":"JWT"}`)) + "." + raw(text)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, cmp.Or(p.forged, p.key), crypto.SHA256, sum[:])
	return signed + "." + raw(signature), err
}

// Calm ends bad weather.
func (p *Provider) Calm() { p.Claims, p.Discovery, p.Hijack, p.forged = nil, nil, nil, nil }

// Forge lets the provider sign with a key that it does not show.
func (p *Provider) Forge(t testing.TB) {
	t.Helper()
	p.forged = keyOf(t, 1)
}

// Approve logs a person in at the page to which a browser was sent, and returns where
// it is sent then.
func (p *Provider) Approve(t testing.TB, page, person string) *url.URL {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, page, strings.NewReader(url.Values{"person": {person}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if cerr := resp.Body.Close(); err != nil || cerr != nil || resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("%s: %s %s %v %v", page, resp.Status, text, err, cerr)
	}
	to, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// Trust is a trust policy for people of the provider, whose ARN in the account is
// provider.
func (p *Provider) Trust(provider string, people ...string) string {
	list, err := json.Marshal(people)
	if err != nil {
		panic(err) // they are strings
	}
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":%q},"Action":"sts:AssumeRoleWithWebIdentity",
		"Condition":{"StringEquals":{"%s:aud":%q,"%s:sub":%s}}}]}`, provider, p.Host, ClientID, p.Host, list)
}
