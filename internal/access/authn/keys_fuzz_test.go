package authn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"testing"
)

// FuzzParseKeys: whatever an issuer publishes, the keys that are taken from it
// are of the kinds and sizes that signatures are checked with.
func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"1","use":"sig","alg":"ES256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`)) // RFC 7517, A.1
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"oct","k":"AA"},{}]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeys(text)
		if err != nil && keys != nil || len(keys) > maxKeys {
			t.Errorf("%d keys, %v", len(keys), err)
		}
		for _, k := range keys {
			switch key := k.key.(type) {
			case *rsa.PublicKey:
				if n := key.N.BitLen(); k.algorithm != "RS256" || n < minRSABits || n > maxRSABits || key.E < 3 {
					t.Errorf("%s with %d bits and exponent %d", k.algorithm, n, key.E)
				}
			case *ecdsa.PublicKey:
				if k.algorithm != "ES256" || key.Curve != elliptic.P256() {
					t.Errorf("%s on %v", k.algorithm, key.Curve)
				}
			default:
				t.Errorf("%T", key)
			}
		}
	})
}
