package authn_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access/authn"
)

// transport is a function that answers requests.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Logins, which strangers begin, do not hold up who has a token and whose keys are known.
func TestLoginsDoNotHoldUpTokens(t *testing.T) {
	i := newIssuer(t)
	var hangs atomic.Bool
	asked, release := make(chan struct{}), make(chan struct{})
	v := authn.NewIssuers(authn.IssuersConfig{Now: func() time.Time { return suiteTime }, Transport: transport(func(r *http.Request) (*http.Response, error) {
		if hangs.Load() {
			asked <- struct{}{}
			<-release
		}
		return http.DefaultTransport.RoundTrip(r)
	})})
	token, err := authn.ParseWebToken(i.token(t, rs256, map[string]any{"iss": i.URL, "sub": "s", "aud": "a", "exp": suiteTime.Add(time.Hour).Unix()}))
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Verify(t.Context(), token, []string{"a"}); err != nil {
		t.Fatal(err)
	}
	hangs.Store(true)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _, _ = v.BeginSignIn(t.Context(), authn.Provider{Name: "Example Inc.", Issuer: i.URL, ClientID: "a"}, "https://registry.example.com/")
	}()
	<-asked
	if err := v.Verify(t.Context(), token, []string{"a"}); err != nil {
		t.Error(err)
	}
	hangs.Store(false)
	close(release)
	<-ended
}

// Where an issuer says later that its keys are elsewhere, they are not asked for there.
func TestKeysOfALoginAreOfItsHosts(t *testing.T) {
	i, elsewhere := newIssuer(t), newIssuer(t)
	var told atomic.Int32
	idToken := i.token(t, rs256, map[string]any{"iss": i.URL, "sub": "s", "aud": "a", "exp": suiteTime.Add(time.Hour).Unix()})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
			keys := i.URL + "/keys"
			if told.Add(1) > 1 {
				keys = elsewhere.URL + "/keys"
			}
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": keys, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token"})
		case r.URL.Path == "/token":
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]string{"access_token": "x", "token_type": "Bearer", "id_token": idToken})
		case r.Host == strings.TrimPrefix(elsewhere.URL, "http://"):
			elsewhere.serve(w, r)
		default:
			i.serve(w, r)
		}
	})
	v := authn.NewIssuers(authn.IssuersConfig{Now: func() time.Time { return suiteTime }, Transport: through{handler}})
	p := authn.Provider{Name: "Example Inc.", Issuer: i.URL, ClientID: "a"}
	_, s, err := v.BeginSignIn(t.Context(), p, "https://registry.example.com/")
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = v.FinishSignIn(t.Context(), p, s, url.Values{"state": {s.State}, "code": {"c"}})
	if err == nil || told.Load() != 2 || elsewhere.asked.Load() != 0 {
		t.Errorf("the other host was asked %d times for keys, after %d answers: %v", elsewhere.asked.Load(), told.Load(), err)
	}
}
