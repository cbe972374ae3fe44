package authn_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// password is a docker password of the suite's user.
func (b *bench) password(t testing.TB) string {
	t.Helper()
	p, _, err := b.identity.Lookup(t.Context(), suiteKey)
	if err != nil {
		t.Fatal(err)
	}
	password, _, err := b.identity.IssueToken(t.Context(), p, region)
	if err != nil {
		t.Fatal(err)
	}
	return password
}

// tokens verifies by what is there now.
func (b *bench) tokens() authn.Tokens { return b.identity.Tokens(b.store) }

func encoded(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestBasic(t *testing.T) {
	b := newBench(t)
	const invalid = "The security token included in the request is invalid."
	tests := []struct {
		name    string
		headers func(password string) []string
		code    ecr.Code // "" when accepted
		message string
	}{
		{name: "docker", headers: func(p string) []string { return []string{"Basic " + encoded("AWS:"+p)} }},
		{name: "scheme of another case", headers: func(p string) []string { return []string{"basic " + encoded("AWS:"+p)} }},
		{name: "bearer password", headers: func(p string) []string { return []string{"Bearer " + p} }},
		{name: "bearer authorizationToken", headers: func(p string) []string { return []string{"Bearer " + encoded("AWS:"+p)} }},
		{name: "another user", headers: func(p string) []string { return []string{"Basic " + encoded("aws:"+p)} }, code: ecr.CodeUnrecognizedClient, message: invalid},
		{name: "no user", headers: func(p string) []string { return []string{"Basic " + encoded(p)} }, code: ecr.CodeUnrecognizedClient, message: invalid},
		{name: "password as it is", headers: func(p string) []string { return []string{"Basic " + p} }, code: ecr.CodeUnrecognizedClient, message: invalid},
		{name: "no password", headers: func(string) []string { return []string{"Basic " + encoded("AWS:")} }, code: ecr.CodeUnrecognizedClient, message: invalid},
		{name: "wrong password", headers: func(string) []string { return []string{"Basic " + encoded("AWS:x")} }, code: ecr.CodeUnrecognizedClient, message: invalid},
		{name: "the key's secret", headers: func(string) []string { return []string{"Basic " + encoded("AWS:"+suiteSecret)} }, code: ecr.CodeUnrecognizedClient, message: invalid},
		{name: "not base64", headers: func(string) []string { return []string{"Basic %"} }, code: ecr.CodeUnrecognizedClient, message: invalid},
		{name: "nothing behind the scheme", headers: func(string) []string { return []string{"Basic"} }, code: ecr.CodeUnrecognizedClient, message: invalid},
		{name: "empty header", headers: func(string) []string { return []string{""} }, code: ecr.CodeUnrecognizedClient, message: invalid},
		{name: "another scheme", headers: func(p string) []string { return []string{"Digest " + encoded("AWS:"+p)} }, code: ecr.CodeUnrecognizedClient, message: invalid},
		{name: "twice", headers: func(p string) []string { return []string{"Basic " + encoded("AWS:"+p), "Basic " + encoded("AWS:"+p)} },
			code: ecr.CodeUnrecognizedClient, message: invalid},
		{name: "nothing", headers: func(string) []string { return nil }, code: ecr.CodeIncompleteSignature, message: "Missing Authentication Token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
			for _, h := range tt.headers(b.password(t)) {
				r.Header.Add("Authorization", h)
			}
			p, err := authn.VerifyBasic(r, b.tokens(), nil, region)
			if missing := len(r.Header["Authorization"]) == 0; errors.Is(err, authn.ErrNoCredentials) != missing {
				t.Errorf("err = %v", err)
			}
			if tt.code != "" {
				wantError(t, err, tt.code, tt.message)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if p.UniqueID != "AIDAEXAMPLE" || p.KeyID != suiteKey || p.Policies[0] != access.PolicyPushPull {
				t.Errorf("principal %+v", p)
			}
		})
	}
}

func TestBasicEnds(t *testing.T) {
	const expired = "Your authorization token has expired. Reauthenticate and try again."
	b := newBench(t)
	r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
	r.SetBasicAuth("AWS", b.password(t))
	if _, err := authn.VerifyBasic(r, b.tokens(), nil, region); err != nil {
		t.Fatal(err)
	}
	_, err := authn.VerifyBasic(r, b.tokens(), nil, "eu-west-1")
	wantError(t, err, ecr.CodeAccessDenied, "issued for the region 'us-east-1'; this endpoint serves 'eu-west-1'")
	b.now = b.now.Add(12 * time.Hour)
	_, err = authn.VerifyBasic(r, b.tokens(), nil, region)
	wantError(t, err, ecr.CodeExpiredToken, expired)
	b.now = b.now.Add(-time.Hour)
	b.deactivate(t)
	_, err = authn.VerifyBasic(r, b.tokens(), nil, region)
	wantError(t, err, ecr.CodeUnrecognizedClient, "The security token included in the request is invalid.")
}

func FuzzVerifyBasic(f *testing.F) {
	b := newBench(f)
	good := b.password(f)
	for _, s := range []string{"Basic " + encoded("AWS:"+good), "Bearer " + good, "Basic", "", "Bearer a b", "Basic QVdTOg=="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
		r.Header.Set("Authorization", header)
		p, err := authn.VerifyBasic(r, b.tokens(), nil, region)
		if err != nil && ecr.CodeOf(err) != ecr.CodeUnrecognizedClient {
			t.Errorf("VerifyBasic(%q) = %v", header, err)
		}
		if err == nil && p.UniqueID != "AIDAEXAMPLE" {
			t.Errorf("VerifyBasic(%q) = %+v", header, p)
		}
	})
}
