package identity

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// TokenLifetime is how long a docker token is valid (ECR API,
// GetAuthorizationToken).
const TokenLifetime = 12 * time.Hour

const (
	tokenKeySize  = 32
	tokenKeyIDLen = 16
	tokenSaltSize = 24
	maxPassword   = 16 << 10 // ours are under 1 KiB, except for sessions with long policies and many tags
	tokenVersion  = "2"
	tokenType     = "DATA_KEY"
)

// tokenBegins is how each password begins: {"payload in base64.
const tokenBegins = "eyJwYXlsb2Fk"

// envelope is a docker password, base64 of this as JSON: the members that
// ECR's have. Clients treat it as opaque.
type envelope struct {
	// Payload is the claims, encrypted under a key of this token alone.
	Payload []byte `json:"payload"`
	// DataKey says how to get at that key: the id of a token key
	// (tokenKeyIDLen bytes) and a salt.
	DataKey    []byte `json:"datakey"`
	Version    string `json:"version"`
	Type       string `json:"type"`
	Expiration int64  `json:"expiration"` // Unix seconds
}

// claims are what a token is bound to.
type claims struct {
	UniqueID string     `json:"u"`
	Region   ecr.Region `json:"r"`
	KeyID    string     `json:"k"`
	// Session is the session token of temporary credentials.
	Session []byte `json:"s,omitempty"`
}

// associated binds the payload to the members outside it.
func (e envelope) associated() []byte {
	ad := []byte(e.Version + "\x00" + e.Type + "\x00" + strconv.FormatInt(e.Expiration, 10) + "\x00")
	return append(ad, e.DataKey...)
}

// IssueToken returns a docker password for p in region and when it expires.
// The password is bound to p's unique id and access key: it ends with either,
// and for temporary credentials with these.
// UnrecognizedClient when p has no access key (jobs of the server).
func (s *Service) IssueToken(ctx context.Context, p access.Principal, region ecr.Region) (string, time.Time, error) {
	if p.UniqueID == "" || p.KeyID == "" {
		return "", time.Time{}, errInvalidToken()
	}
	key, err := s.newestTokenKey(ctx)
	if err != nil {
		return "", time.Time{}, storeError(err, "reading the token key")
	}
	secret, err := s.cfg.Key.Open(KindTokenKey, key.ID, key.Sealed)
	if err != nil {
		return "", time.Time{}, err
	}
	expires := s.cfg.Now().UTC().Add(TokenLifetime).Truncate(time.Second)
	c := claims{UniqueID: p.UniqueID, Region: region, KeyID: p.KeyID}
	if p.Session != nil {
		session, err := s.openSession(ctx, p.Session.Token)
		if err != nil {
			return "", time.Time{}, storeError(err, "reading a session token")
		}
		c.Session = p.Session.Token
		if ends := session.expires(); ends.Before(expires) {
			expires = ends
		}
	}
	password, err := sealToken(key.ID, secret, c, expires)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("issuing a token: %w", err)
	}
	return password, expires, nil
}

// newestTokenKey returns the newest token key. When there is none (an operator deleted
// them to end all tokens), it makes one.
func (s *Service) newestTokenKey(ctx context.Context) (meta.TokenKey, error) {
	var keys []meta.TokenKey
	read := func(ctx context.Context, r meta.IdentityReader) (err error) {
		keys, err = r.TokenKeys(ctx)
		return err
	}
	if err := s.view(ctx, read); err != nil {
		return meta.TokenKey{}, err
	}
	if len(keys) > 0 {
		return keys[0], nil
	}
	err := s.update(ctx, func(ctx context.Context, tx meta.IdentityTx) error {
		if err := read(ctx, tx); err != nil || len(keys) > 0 {
			return err
		}
		if err := s.insertTokenKey(ctx, tx); err != nil {
			return err
		}
		return read(ctx, tx)
	})
	if err != nil {
		return meta.TokenKey{}, err
	}
	return keys[0], nil
}

func sealToken(keyID string, secret []byte, c claims, expires time.Time) (string, error) {
	salt := random(tokenSaltSize)
	aead, err := deriveAEAD(secret, salt, tokenPurpose)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	e := envelope{DataKey: append([]byte(keyID), salt...), Version: tokenVersion, Type: tokenType, Expiration: expires.Unix()}
	e.Payload = aead.Seal(nil, nil, body, e.associated())
	text, err := json.Marshal(e)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(text), nil
}

const tokenPurpose = "kontor docker token"

// Tokens verifies docker tokens.
type Tokens struct {
	s  *Service
	in Snapshots
	at Stamps // nil for none
}

// Stamps tell the state of the identities, as meta.Store does.
type Stamps interface {
	IdentityStamp(ctx context.Context) (string, error)
}

// Stamped is t for a request that does not go on in the snapshot in which its token is
// verified: where the token is known, the stamp of this moment is enough.
func (t Tokens) Stamped(at Stamps) Tokens { return Tokens{t.s, t.in, at} }

// Tokens verifies docker tokens by what is there in in.
func (s *Service) Tokens(in Snapshots) Tokens { return Tokens{s, in, nil} }

// VerifyToken returns whom password was issued to, as the store knows them
// now. UnrecognizedClient when it was not issued here or has been revoked:
// its user deleted (also when one of the same name came after), its access
// key switched off or deleted, its role deleted, or its token key deleted.
// ExpiredToken after TokenLifetime or with its session. AccessDenied for another region than it was issued for.
func (t Tokens) VerifyToken(ctx context.Context, password string, region ecr.Region) (access.Principal, error) {
	if len(password) > maxPassword || !strings.HasPrefix(password, tokenBegins) { // what strangers send costs no transaction
		if _, err := parseToken(password); err != nil {
			return access.Principal{}, notOurs(err)
		}
	}
	key := sha256.Sum256([]byte(password))
	var v verified
	if t.at != nil {
		stamp, err := t.at.IdentityStamp(ctx)
		if err != nil {
			return access.Principal{}, storeError(err, "verifying a docker token")
		}
		if v, known := t.s.verified.Get(key, stamp); known && stamp != "" {
			if err := v.usable(t.s.cfg.Now(), region); err != nil {
				return access.Principal{}, err
			}
			return v.p, nil
		}
	}
	err := t.in.View(ctx, func(ctx context.Context, all meta.Reader) (err error) {
		r := all.Identities()
		stamp := r.Stamp(ctx)
		known := false
		if stamp != "" {
			v, known = t.s.verified.Get(key, stamp)
		}
		if known {
			return v.usable(t.s.cfg.Now(), region)
		}
		if v, err = t.s.verify(ctx, r, password, region); err == nil && stamp != "" {
			t.s.verified.Put(key, stamp, v, v.size())
		}
		return err
	})
	if err != nil {
		return access.Principal{}, storeError(err, "verifying a docker token")
	}
	return v.p, nil
}

// verify finds out within one transaction whom password was issued to.
func (s *Service) verify(ctx context.Context, r meta.IdentityReader, password string, region ecr.Region) (v verified, err error) {
	e, err := parseToken(password)
	if err != nil {
		return v, notOurs(err)
	}
	keys, err := r.TokenKeys(ctx)
	if err != nil {
		return v, err
	}
	c, err := s.openToken(keys, e)
	if err != nil {
		return v, err
	}
	// Only now is e known to be ours and its expiration to be believed.
	v.expires, v.region = time.Unix(e.Expiration, 0), c.Region
	if err := v.usable(s.cfg.Now(), region); err != nil {
		return v, err
	}
	if c.Session != nil {
		v.p, _, err = s.session(ctx, r, keys, c.KeyID, c.Session) // its token ends with it, at the latest
	} else {
		_, v.p, err = s.principal(ctx, r, c.KeyID)
	}
	if err == nil && v.p.UniqueID != c.UniqueID {
		return v, errInvalidToken()
	}
	return v, err
}

// notOurs is for what was not issued here.
func notOurs(err error) error {
	invalid := errInvalidToken()
	invalid.Err = err
	return invalid
}

// openToken finds e's token key among keys and decrypts the claims.
func (s *Service) openToken(keys []meta.TokenKey, e envelope) (claims, error) {
	id, salt := e.DataKey[:tokenKeyIDLen], e.DataKey[tokenKeyIDLen:]
	for _, k := range keys {
		if k.ID != string(id) {
			continue
		}
		secret, err := s.cfg.Key.Open(KindTokenKey, k.ID, k.Sealed)
		if err != nil {
			return claims{}, err
		}
		aead, err := deriveAEAD(secret, salt, tokenPurpose)
		if err != nil {
			return claims{}, err
		}
		body, err := aead.Open(nil, nil, e.Payload, e.associated())
		if err != nil {
			invalid := errInvalidToken()
			invalid.Err = fmt.Errorf("docker token: %w", err)
			return claims{}, invalid
		}
		var c claims
		if err := json.Unmarshal(body, &c); err != nil {
			return claims{}, fmt.Errorf("claims of a docker token: %w", err)
		}
		return c, nil
	}
	invalid := errInvalidToken()
	invalid.Err = errors.New("docker token: its token key is not there")
	return claims{}, invalid
}

// parseToken takes a password apart, without believing any of it. It accepts
// exactly the text that IssueToken writes for the parts found.
func parseToken(password string) (envelope, error) {
	if len(password) > maxPassword {
		return envelope{}, fmt.Errorf("docker token: longer than %d bytes", maxPassword)
	}
	text, err := base64.StdEncoding.Strict().DecodeString(password)
	if err != nil {
		return envelope{}, fmt.Errorf("docker token: %w", err)
	}
	var e envelope
	if err := json.Unmarshal(text, &e); err != nil {
		return envelope{}, fmt.Errorf("docker token: %w", err)
	}
	if e.Version != tokenVersion || e.Type != tokenType || len(e.DataKey) != tokenKeyIDLen+tokenSaltSize {
		return envelope{}, errors.New("docker token: of another kind")
	}
	// One spelling for each token: nothing outside what is authenticated.
	if again, err := json.Marshal(e); err != nil || !bytes.Equal(again, text) {
		return envelope{}, errors.New("docker token: written by someone else")
	}
	return e, nil
}
