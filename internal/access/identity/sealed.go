package identity

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/kontor-registry/kontor/internal/store/meta"
)

// What clients keep for the server is sealed under the newest token key: the id of the
// key, a salt, and the value as JSON, compressed and encrypted for one purpose. It can
// be opened as long as the key is there.
const sealedHead = tokenKeyIDLen + tokenSaltSize

// seal encrypts v for a purpose.
func (s *Service) seal(ctx context.Context, purpose string, v any) ([]byte, error) {
	key, err := s.newestTokenKey(ctx)
	if err != nil {
		return nil, storeError(err, "reading the token key")
	}
	secret, err := s.cfg.Key.Open(KindTokenKey, key.ID, key.Sealed)
	if err != nil {
		return nil, err
	}
	body, err := pack(v)
	if err != nil {
		return nil, fmt.Errorf("sealing a %s: %w", purpose, err)
	}
	salt := random(tokenSaltSize)
	aead, err := deriveAEAD(secret, salt, purpose)
	if err != nil {
		return nil, fmt.Errorf("sealing a %s: %w", purpose, err)
	}
	head := append([]byte(key.ID), salt...)
	return aead.Seal(bytes.Clone(head), nil, body, head), nil
}

// open finds the token key among keys and decrypts what was sealed for the purpose.
// UnrecognizedClient for what was not.
func (s *Service) open(keys []meta.TokenKey, purpose string, raw []byte, v any) error {
	if len(raw) < sealedHead {
		return notOurs(fmt.Errorf("%s: too short", purpose))
	}
	for _, k := range keys {
		if k.ID != string(raw[:tokenKeyIDLen]) {
			continue
		}
		secret, err := s.cfg.Key.Open(KindTokenKey, k.ID, k.Sealed)
		if err != nil {
			return err
		}
		aead, err := deriveAEAD(secret, raw[tokenKeyIDLen:sealedHead], purpose)
		if err != nil {
			return err
		}
		body, err := aead.Open(nil, nil, raw[sealedHead:], raw[:sealedHead])
		if err != nil {
			return notOurs(fmt.Errorf("%s: %w", purpose, err))
		}
		if err := unpack(body, v); err != nil {
			return fmt.Errorf("claims of a %s: %w", purpose, err)
		}
		return nil
	}
	return notOurs(errors.New(purpose + ": its token key is not there"))
}

// maxKept bounds what Opened reads: an ID token and a little more.
const maxKept = 64 << 10

// Sealed is v, at most 64 KiB as JSON, for a browser to keep for the server: it can
// neither read nor change it. Opened reads it again, on any replica, for the same purpose.
func (s *Service) Sealed(ctx context.Context, purpose string, v any) (string, error) {
	raw, err := s.seal(ctx, purpose, v)
	return base64.RawURLEncoding.EncodeToString(raw), err
}

// Opened reads into v what Sealed made for the purpose. UnrecognizedClient for anything
// else.
func (s *Service) Opened(ctx context.Context, purpose, text string, v any) error {
	if len(text) > maxKept {
		return notOurs(fmt.Errorf("%s: longer than %d bytes", purpose, maxKept))
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return notOurs(fmt.Errorf("%s: %w", purpose, err))
	}
	return s.view(ctx, func(ctx context.Context, r meta.IdentityReader) error {
		keys, err := r.TokenKeys(ctx)
		if err != nil {
			return storeError(err, "reading the token keys")
		}
		return s.open(keys, purpose, raw, v)
	})
}
