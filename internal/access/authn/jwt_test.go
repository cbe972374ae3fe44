package authn_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/ecr"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// An issuer is an OpenID Connect provider with two keys.
type issuer struct {
	*httptest.Server
	rsa     *rsa.PrivateKey
	ec      *ecdsa.PrivateKey
	asked   atomic.Int32 // for keys
	broken  atomic.Bool
	claimed string // what it says to be, "" for the truth
	hidden  atomic.Bool
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	i := &issuer{}
	var err error
	if i.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if i.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	i.Server = httptest.NewServer(http.HandlerFunc(i.serve))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	if i.broken.Load() {
		http.Error(w, "not now", http.StatusInternalServerError)
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		says := i.claimed
		if says == "" {
			says = i.URL
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": says, "jwks_uri": i.URL + "/keys"})
	case "/keys":
		i.asked.Add(1)
		point, err := i.ec.PublicKey.Bytes()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		keys := []map[string]string{
			{"kty": "oct", "kid": "r", "k": "c2VjcmV0"}, // must never be used
			{"kty": "EC", "kid": "e", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])},
		}
		if !i.hidden.Load() {
			keys = append(keys, map[string]string{"kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256", "n": b64(i.rsa.N.Bytes()), "e": b64(big.NewInt(int64(i.rsa.E)).Bytes())})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": keys})
	default:
		http.NotFound(w, r)
	}
}

// token signs claims with a header.
func (i *issuer) token(t testing.TB, header, claims map[string]any) string {
	t.Helper()
	h, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	c, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed := b64(h) + "." + b64(c)
	sum := sha256.Sum256([]byte(signed))
	var signature []byte
	if header["alg"] == "ES256" {
		r, s, err := ecdsa.Sign(rand.Reader, i.ec, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	} else if signature, err = rsa.SignPKCS1v15(rand.Reader, i.rsa, crypto.SHA256, sum[:]); err != nil {
		t.Fatal(err)
	}
	return signed + "." + b64(signature)
}

var (
	rs256 = map[string]any{"alg": "RS256", "kid": "r"}
	es256 = map[string]any{"alg": "ES256", "kid": "e"}
)

func TestWebTokens(t *testing.T) {
	i, other := newIssuer(t), newIssuer(t)
	now := suiteTime
	claims := func(change map[string]any) map[string]any {
		c := map[string]any{"iss": i.URL, "sub": "repo:a", "aud": "sts", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix()}
		maps.Copy(c, change)
		return c
	}
	good := i.token(t, rs256, claims(nil))
	forged := strings.Split(good, ".")
	tests := []struct {
		name, token string
		code        ecr.Code // "" when good, "parse" when ParseWebToken refuses
		message     string
	}{
		{name: "RS256", token: good},
		{name: "ES256", token: i.token(t, es256, claims(nil))},
		{name: "several audiences", token: i.token(t, rs256, claims(map[string]any{"aud": []string{"x", "sts"}}))},
		{name: "without a key id", token: i.token(t, map[string]any{"alg": "RS256"}, claims(nil))},
		{name: "clock a little off", token: i.token(t, rs256, claims(map[string]any{"iat": now.Add(30 * time.Second).Unix()}))},
		{name: "expired", token: i.token(t, rs256, claims(map[string]any{"exp": now.Add(-2 * time.Minute).Unix()})), code: authn.CodeExpiredIdentityToken, message: "Token expired"},
		{name: "not yet valid", token: i.token(t, rs256, claims(map[string]any{"nbf": now.Add(5 * time.Minute).Unix()})), code: authn.CodeInvalidIdentityToken, message: "not yet valid"},
		{name: "from the future", token: i.token(t, rs256, claims(map[string]any{"iat": now.Add(5 * time.Minute).Unix()})), code: authn.CodeInvalidIdentityToken, message: "not yet valid"},
		{name: "another audience", token: i.token(t, rs256, claims(map[string]any{"aud": "elsewhere"})), code: authn.CodeInvalidIdentityToken, message: "Incorrect token audience"},
		{name: "signed by another issuer", token: other.token(t, rs256, claims(nil)), code: authn.CodeInvalidIdentityToken, message: "not a valid JWT"},
		{name: "claims changed", token: forged[0] + "." + b64([]byte(`{"iss":"`+i.URL+`","sub":"root","aud":"sts","exp":4102444800}`)) + "." + forged[2],
			code: authn.CodeInvalidIdentityToken, message: "not a valid JWT"},
		{name: "key of another algorithm", token: i.token(t, map[string]any{"alg": "RS256", "kid": "e"}, claims(nil)), code: authn.CodeInvalidIdentityToken, message: "verification key"},
		{name: "unknown key", token: i.token(t, map[string]any{"alg": "RS256", "kid": "x"}, claims(nil)), code: authn.CodeInvalidIdentityToken, message: "verification key"},
		{name: "alg none", token: b64([]byte(`{"alg":"none"}`)) + "." + forged[1] + ".", code: "parse"},
		{name: "shared secret", token: b64([]byte(`{"alg":"HS256","kid":"r"}`)) + "." + forged[1] + "." + forged[2], code: "parse"},
		{name: "critical header", token: i.token(t, map[string]any{"alg": "RS256", "kid": "r", "crit": []string{"x"}}, claims(nil)), code: "parse"},
		{name: "no subject", token: i.token(t, rs256, claims(map[string]any{"sub": ""})), code: "parse"},
		{name: "no end", token: i.token(t, rs256, claims(map[string]any{"exp": nil})), code: "parse"},
		{name: "no token", token: "x", code: "parse"},
		{name: "too long", token: strings.Repeat("x", 20_001), code: "parse"},
	}
	verifier := authn.NewIssuers(authn.IssuersConfig{Now: func() time.Time { return now }})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token, err := authn.ParseWebToken(tt.token)
			if (err != nil) != (tt.code == "parse") {
				t.Fatalf("ParseWebToken: %v", err)
			}
			if err != nil {
				return
			}
			err = verifier.Verify(t.Context(), token, []string{"a", "sts"})
			if tt.code != "" {
				wantError(t, err, tt.code, tt.message)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	if n := i.asked.Load(); n != 1 {
		t.Errorf("asked for keys %d times: unknown ones are asked for once a minute", n)
	}
}

// IAM user guide, "Pass session tags in AWS STS", Passing session tags using
// AssumeRoleWithWebIdentity: nested, and flat for issuers that cannot nest.
func TestSessionTagsOfTokens(t *testing.T) {
	i := newIssuer(t)
	const claim = "https://aws.amazon.com/tags"
	for _, tt := range []struct {
		name       string
		claims     map[string]any
		tags       map[string]string
		transitive []string
		refused    bool
	}{
		{name: "none"},
		{name: "nested", claims: map[string]any{claim: map[string]any{"principal_tags": map[string][]string{"a": {"1"}, "b": {""}}, "transitive_tag_keys": []string{"b", "a"}}},
			tags: map[string]string{"a": "1", "b": ""}, transitive: []string{"a", "b"}},
		{name: "nested, without lists", claims: map[string]any{claim: map[string]any{"principal_tags": map[string]string{"a": "1"}, "transitive_tag_keys": "a"}},
			tags: map[string]string{"a": "1"}, transitive: []string{"a"}},
		{name: "flat", claims: map[string]any{claim + "/principal_tags/a/b": "1", claim + "/principal_tags/c": []string{"2"}, claim + "/transitive_tag_keys": []string{"c"}},
			tags: map[string]string{"a/b": "1", "c": "2"}, transitive: []string{"c"}},
		{name: "of another namespace", claims: map[string]any{claim + "2/principal_tags/a": "1", "tags": "x"}},
		{name: "nested and flat", claims: map[string]any{claim: map[string]any{"principal_tags": map[string]string{"a": "1"}}, claim + "/principal_tags/b": "2"},
			tags: map[string]string{"a": "1", "b": "2"}},
		{name: "twice", claims: map[string]any{claim: map[string]any{"principal_tags": map[string]string{"a": "1"}}, claim + "/principal_tags/a": "1"}, refused: true},
		{name: "two values", claims: map[string]any{claim: map[string]any{"principal_tags": map[string][]string{"a": {"1", "2"}}}}, refused: true},
		{name: "no values", claims: map[string]any{claim + "/principal_tags/a": []string{}}, refused: true},
		{name: "a number", claims: map[string]any{claim + "/principal_tags/a": 1}, refused: true},
		{name: "a list of tags", claims: map[string]any{claim: []string{"a"}}, refused: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claims := map[string]any{"iss": i.URL, "sub": "s", "aud": "a", "exp": suiteTime.Add(time.Hour).Unix()}
			maps.Copy(claims, tt.claims)
			token, err := authn.ParseWebToken(i.token(t, rs256, claims))
			if (err != nil) != tt.refused || !maps.Equal(token.Tags, tt.tags) || !slices.Equal(token.TransitiveTags, tt.transitive) {
				t.Errorf("%v, %v, %v", token.Tags, token.TransitiveTags, err)
			}
		})
	}
}

func TestIssuerKeysTurnOver(t *testing.T) {
	i := newIssuer(t)
	now := suiteTime
	v := authn.NewIssuers(authn.IssuersConfig{Now: func() time.Time { return now }})
	verify := func() error {
		token, err := authn.ParseWebToken(i.token(t, rs256, map[string]any{"iss": i.URL, "sub": "s", "aud": "a", "exp": now.Add(time.Hour).Unix()}))
		if err != nil {
			t.Fatal(err)
		}
		return v.Verify(t.Context(), token, []string{"a"})
	}
	i.broken.Store(true)
	wantError(t, verify(), authn.CodeIDPCommunicationError, "Could not read the keys of the identity provider")
	i.broken.Store(false)
	wantError(t, verify(), authn.CodeIDPCommunicationError, "") // not asked again so soon
	now = now.Add(2 * time.Minute)
	i.hidden.Store(true)
	wantError(t, verify(), authn.CodeInvalidIdentityToken, "verification key")
	i.hidden.Store(false)
	now = now.Add(2 * time.Minute)
	if err := verify(); err != nil { // a new key is found
		t.Error(err)
	}
	i.broken.Store(true)
	now = now.Add(30 * time.Minute)
	if err := verify(); err != nil { // an issuer that is away does no harm for an hour
		t.Error(err)
	}
	now = now.Add(2 * time.Hour)
	wantError(t, verify(), authn.CodeIDPCommunicationError, "") // but a key is not good for ever
	i.broken.Store(false)
	i.claimed = "https://other.example"
	now = now.Add(2 * time.Minute)
	wantError(t, verify(), authn.CodeIDPCommunicationError, "")
	i.claimed = ""
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	fresh := authn.NewIssuers(authn.IssuersConfig{Now: func() time.Time { return now }})
	token, err := authn.ParseWebToken(i.token(t, rs256, map[string]any{"iss": i.URL, "sub": "s", "aud": "a", "exp": now.Add(time.Hour).Unix()}))
	if err != nil {
		t.Fatal(err)
	}
	if err := fresh.Verify(ctx, token, []string{"a"}); err != nil { // others may wait for the keys
		t.Errorf("for a caller who has gone: %v", err)
	}
}

func TestCheckIssuerURL(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://token.example.com": true, "https://example.com/a/b": true, "http://localhost:8080": true, "http://127.0.0.1:1": true,
		"http://token.example.com": false, "https://": false, "ftp://localhost": false, "https://a?b": false, "https://u@a": false, "https://a#f": false, "x": false,
	} {
		t.Run(url, func(t *testing.T) {
			if err := authn.CheckIssuerURL(url); (err == nil) != ok {
				t.Error(err)
			}
		})
	}
}

func FuzzParseWebToken(f *testing.F) {
	f.Add(b64([]byte(`{"alg":"RS256"}`)) + "." + b64([]byte(`{"iss":"a","sub":"b","aud":["c"],"exp":1}`)) + "." + b64([]byte("x")))
	f.Add("a.b.c")
	f.Add(fmt.Sprint(strings.Repeat(".", 10)))
	f.Fuzz(func(t *testing.T, text string) {
		token, err := authn.ParseWebToken(text)
		if err == nil && (token.Issuer == "" || token.Subject == "" || len(token.Audiences) == 0) {
			t.Errorf("%q is %+v", text, token)
		}
	})
}

// through hands every request to one server, whatever its host.
type through struct{ to http.Handler }

func (t through) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	t.to.ServeHTTP(w, r)
	return w.Result(), nil
}

// What an issuer elsewhere says does not make the server ask its own machine,
// and a redirection is not an answer.
func TestIssuersCannotSendTheServerAround(t *testing.T) {
	i := newIssuer(t)
	for _, tt := range []struct {
		name string
		keys string
		ok   bool
	}{
		{"its own keys", "https://issuer.example/keys", true},
		{"keys elsewhere", "https://keys.example/keys", true},
		{"this machine", "http://127.0.0.1/keys", false},
		{"this machine by name", "http://localhost:8080/keys", false},
		{"this machine by IPv6", "http://[::1]/keys", false},
		{"in other letters", "HTTP://localhost/keys", false},
		{"in clear", "http://keys.example/keys", false},
		{"a file", "file:///etc/passwd", false},
		{"a redirection", "https://issuer.example/moved", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			v := authn.NewIssuers(authn.IssuersConfig{Now: func() time.Time { return suiteTime }, Transport: through{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				switch r.URL.Path {
				case "/.well-known/openid-configuration":
					_ = json.NewEncoder(w).Encode(map[string]string{"issuer": "https://issuer.example", "jwks_uri": tt.keys})
				case "/moved":
					http.Redirect(w, r, "https://issuer.example/keys", http.StatusFound)
				default:
					i.serve(w, r)
				}
			})}})
			token, err := authn.ParseWebToken(i.token(t, rs256, map[string]any{"iss": "https://issuer.example", "sub": "s", "aud": "a", "exp": suiteTime.Add(time.Hour).Unix()}))
			if err != nil {
				t.Fatal(err)
			}
			err = v.Verify(t.Context(), token, []string{"a"})
			if tt.ok {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, authn.CodeIDPCommunicationError, "")
			if asked > 1 && !strings.HasPrefix(tt.keys, "https:") {
				t.Errorf("%d requests", asked)
			}
		})
	}
}
