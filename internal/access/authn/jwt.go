package authn

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// Limits of what outsiders send.
const (
	maxJWT     = 20_000 // characters, as of WebIdentityToken
	maxKeys    = 100
	minRSABits = 2048
	maxRSABits = 8192
	// jwtSkew is how far an issuer's clock may be off.
	jwtSkew = time.Minute
)

// WebToken is a JSON Web Token (RFC 7519) taken apart. Until Verify nothing of
// it is to be believed.
type WebToken struct {
	Issuer    string
	Subject   string
	Audiences []string
	AMR       []string
	// Nonce and Party are for logins in a browser: what the request for the token had,
	// and the client that it was made for (OpenID Connect Core 1.0, 2).
	Nonce string
	Party string
	// Tags are those that the session is to have, TransitiveTags the names of those
	// that it hands on (IAM user guide, "Pass session tags in AWS STS").
	Tags           map[string]string
	TransitiveTags []string
	NotBefore      time.Time // zero when it does not say
	IssuedAt       time.Time // likewise
	Expires        time.Time

	algorithm, keyID string
	signed           []byte // what the signature is of
	signature        []byte
}

// textOrList is a string or a list of strings: an audience (RFC 7519, 4.1.3), or
// the value of a session tag.
type textOrList []string

func (a *textOrList) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte("[")) {
		return json.Unmarshal(b, (*[]string)(a))
	}
	var one string
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*a = textOrList{one}
	return nil
}

// ParseWebToken reads a token of three parts. The algorithms are RS256 and
// ES256; "none" and those with a shared secret are refused.
func ParseWebToken(text string) (WebToken, error) {
	if len(text) > maxJWT {
		return WebToken{}, fmt.Errorf("the token is longer than %d characters", maxJWT)
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return WebToken{}, fmt.Errorf("the token has %d parts, not 3", len(parts))
	}
	raw := make([][]byte, len(parts))
	for i, p := range parts {
		b, err := base64.RawURLEncoding.Strict().DecodeString(p)
		if err != nil || strings.ContainsAny(p, "\r\n") {
			return WebToken{}, fmt.Errorf("part %d of the token is not base64url", i+1)
		}
		raw[i] = b
	}
	var header struct {
		Alg  string   `json:"alg"`
		Kid  string   `json:"kid"`
		Crit []string `json:"crit"`
	}
	if err := json.Unmarshal(raw[0], &header); err != nil {
		return WebToken{}, fmt.Errorf("the token's header: %w", err)
	}
	if header.Alg != "RS256" && header.Alg != "ES256" {
		return WebToken{}, fmt.Errorf("the token is signed with %.20q; want RS256 or ES256", header.Alg)
	}
	if len(header.Crit) > 0 { // RFC 7515, 4.1.11
		return WebToken{}, fmt.Errorf("the token's header demands %.100q, which is not known here", header.Crit)
	}
	var claims struct {
		Iss string     `json:"iss"`
		Sub string     `json:"sub"`
		Aud textOrList `json:"aud"`
		Amr []string   `json:"amr"`
		Non string     `json:"nonce"`
		Azp string     `json:"azp"`
		Exp *float64   `json:"exp"`
		Nbf *float64   `json:"nbf"`
		Iat *float64   `json:"iat"`
	}
	if err := json.Unmarshal(raw[1], &claims); err != nil {
		return WebToken{}, fmt.Errorf("the token's claims: %w", err)
	}
	for name, missing := range map[string]bool{"iss": claims.Iss == "", "sub": claims.Sub == "", "aud": len(claims.Aud) == 0, "exp": claims.Exp == nil} {
		if missing {
			return WebToken{}, fmt.Errorf("the token has no %s", name)
		}
	}
	t := WebToken{
		Issuer: claims.Iss, Subject: claims.Sub, Audiences: claims.Aud, AMR: claims.Amr, Nonce: claims.Non, Party: claims.Azp,
		algorithm: header.Alg, keyID: header.Kid, signed: []byte(parts[0] + "." + parts[1]), signature: raw[2],
	}
	for _, at := range []struct {
		from *float64
		to   *time.Time
	}{{claims.Exp, &t.Expires}, {claims.Nbf, &t.NotBefore}, {claims.Iat, &t.IssuedAt}} {
		if at.from == nil {
			continue
		}
		if s := *at.from; s < 0 || s > 1<<36 {
			return WebToken{}, fmt.Errorf("the token has the time %g", s)
		}
		*at.to = time.Unix(int64(*at.from), 0).UTC()
	}
	if err := t.readTags(raw[1]); err != nil {
		return WebToken{}, fmt.Errorf("the session tags of the token: %w", err)
	}
	return t, nil
}

// tagsClaim is the claim with the session tags. Issuers that cannot nest claims
// write one for each tag, whose name continues after it.
const tagsClaim = "https://aws.amazon.com/tags"

// readTags reads the session tags from the claims.
func (t *WebToken) readTags(text []byte) error {
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(text, &claims); err != nil {
		return err
	}
	for name, value := range claims {
		rest, ok := strings.CutPrefix(name, tagsClaim)
		if !ok {
			continue
		}
		var found struct {
			Tags       map[string]textOrList `json:"principal_tags"`
			Transitive textOrList            `json:"transitive_tag_keys"`
		}
		var err error
		tag, flat := strings.CutPrefix(rest, "/principal_tags/")
		switch {
		case rest == "":
			err = json.Unmarshal(value, &found)
		case rest == "/transitive_tag_keys":
			err = json.Unmarshal(value, &found.Transitive)
		case flat:
			var values textOrList
			err = json.Unmarshal(value, &values)
			found.Tags = map[string]textOrList{tag: values}
		}
		if err != nil {
			return fmt.Errorf("%.100s: %w", name, err)
		}
		t.TransitiveTags = append(t.TransitiveTags, found.Transitive...)
		for key, values := range found.Tags {
			if _, twice := t.Tags[key]; twice || len(values) != 1 {
				return fmt.Errorf("the tag %.128q needs one value", key)
			}
			if t.Tags == nil {
				t.Tags = map[string]string{}
			}
			t.Tags[key] = values[0]
		}
	}
	slices.Sort(t.TransitiveTags)
	return nil
}

// publicKey is a key of an issuer.
type publicKey struct {
	id        string
	algorithm string
	key       crypto.PublicKey // *rsa.PublicKey or *ecdsa.PublicKey
}

// parseKeys reads a JSON Web Key Set (RFC 7517). Keys that are for something
// else, or of kinds not known here, are passed over.
func parseKeys(text []byte) ([]publicKey, error) {
	var set struct {
		Keys []struct {
			Kty, Use, Kid, Alg, Crv, N, E, X, Y string
		} `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("key set: %d keys, at most %d are read", len(set.Keys), maxKeys)
	}
	var keys []publicKey
	for _, k := range set.Keys {
		if k.Use != "" && k.Use != "sig" {
			continue
		}
		switch {
		case k.Kty == "RSA" && (k.Alg == "" || k.Alg == "RS256"):
			n, e := number(k.N), number(k.E)
			if n == nil || e == nil || n.BitLen() < minRSABits || n.BitLen() > maxRSABits || !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 {
				continue
			}
			keys = append(keys, publicKey{k.Kid, "RS256", &rsa.PublicKey{N: n, E: int(e.Int64())}})
		case k.Kty == "EC" && k.Crv == "P-256" && (k.Alg == "" || k.Alg == "ES256"):
			x, xerr := base64.RawURLEncoding.DecodeString(k.X)
			y, yerr := base64.RawURLEncoding.DecodeString(k.Y)
			if xerr != nil || yerr != nil || len(x) != 32 || len(y) != 32 {
				continue
			}
			key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
			if err != nil {
				continue // not on the curve
			}
			keys = append(keys, publicKey{k.Kid, "ES256", key})
		}
	}
	return keys, nil
}

func number(text string) *big.Int {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) == 0 {
		return nil
	}
	return new(big.Int).SetBytes(b)
}

// matching are those of keys that may have signed t.
func (t WebToken) matching(keys []publicKey) []publicKey {
	var out []publicKey
	for _, k := range keys {
		if k.algorithm == t.algorithm && (t.keyID == "" || t.keyID == k.id) {
			out = append(out, k)
		}
	}
	return out
}

// signedBy reports whether k made t's signature.
func (t WebToken) signedBy(k publicKey) bool {
	sum := sha256.Sum256(t.signed)
	switch key := k.key.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], t.signature) == nil
	case *ecdsa.PublicKey:
		if len(t.signature) != 64 { // RFC 7518, 3.4
			return false
		}
		return ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(t.signature[:32]), new(big.Int).SetBytes(t.signature[32:]))
	}
	return false
}
