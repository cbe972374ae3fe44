package identity

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// A machine token is "kontor_", its id (AMTK and 16 characters), "_", and a secret of
// 256 random bits. Scanners for leaked secrets find it by its beginning. A secret of
// that many bits needs no slow hash.
const (
	machineTokenPrefix   = "kontor_"
	machineTokenIDPrefix = "AMTK"
	machineTokenIDLen    = len(machineTokenIDPrefix) + 16
	machineSecretBytes   = 32
)

var machineSecretEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// MachineUser is the user name that any machine token may be sent with, for tools
// that need one; the name of its user is the other.
const MachineUser = "kontor"

// IsMachineToken reports whether a password has the form of a machine token.
func IsMachineToken(password string) bool { return strings.HasPrefix(password, machineTokenPrefix) }

// NewMachineToken fills in the id and the hash of a token, and returns the password,
// which is not kept.
func NewMachineToken(t *meta.MachineToken) (password string) {
	t.ID = newID(machineTokenIDPrefix, machineTokenIDLen-len(machineTokenIDPrefix))
	secret := strings.ToLower(machineSecretEncoding.EncodeToString(random(machineSecretBytes)))
	t.Hash = hashSecret(secret)
	return machineTokenPrefix + t.ID + "_" + secret
}

func hashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// parseMachineToken takes a password apart, without believing any of it.
func parseMachineToken(password string) (id, secret string, ok bool) {
	rest, ok := strings.CutPrefix(password, machineTokenPrefix)
	if !ok {
		return "", "", false
	}
	id, secret, ok = strings.Cut(rest, "_")
	return id, secret, ok && len(id) == machineTokenIDLen && strings.HasPrefix(id, machineTokenIDPrefix) &&
		len(secret) == machineSecretEncoding.EncodedLen(machineSecretBytes)
}

// VerifyMachineToken returns whom a machine token belongs to, as the store knows them
// now. user is the name that it was sent with: that of the token's user, MachineUser,
// or "" where the client sends none. UnrecognizedClient when there is no such token,
// any more or for that user; ExpiredToken when its time is over.
func (t Tokens) VerifyMachineToken(ctx context.Context, user, password string) (access.Principal, error) {
	id, secret, ok := parseMachineToken(password)
	if !ok {
		return access.Principal{}, errInvalidToken()
	}
	var p access.Principal
	err := t.in.View(ctx, func(ctx context.Context, all meta.Reader) error {
		r := all.Identities()
		token, err := r.MachineToken(ctx, id)
		if errors.Is(err, meta.ErrNotFound) {
			return errInvalidToken()
		}
		if err != nil {
			return err
		}
		if subtle.ConstantTimeCompare(token.Hash, hashSecret(secret)) != 1 {
			return errInvalidToken()
		}
		owner, err := r.UserByID(ctx, token.UserUniqueID)
		if errors.Is(err, meta.ErrNotFound) {
			return errInvalidToken()
		}
		if err != nil {
			return err
		}
		if user != "" && user != MachineUser && user != owner.Name {
			return errInvalidToken()
		}
		if e := token.ExpiresAt; !e.IsZero() && !t.s.cfg.Now().Before(e) {
			return ecr.Errorf(ecr.CodeExpiredToken, "The token %s of user %s expired on %s. Create another one: kontor access token create.",
				token.Name, owner.Name, e.UTC().Format(time.RFC3339))
		}
		if p, err = t.s.UserPrincipal(ctx, r, owner); err != nil {
			return err
		}
		p.KeyID, p.Token = token.ID, &access.MachineToken{ID: token.ID, Name: token.Name}
		if token.Policy != "" {
			p.Token.Scope = &access.Document{Name: "scope of the token " + token.Name, Text: token.Policy}
		}
		return nil
	})
	if err != nil {
		return access.Principal{}, storeError(err, "verifying a machine token")
	}
	return p, nil
}

// TokenUsed records that a machine token was accepted from an address, as Used does.
func (s *Service) TokenUsed(ctx context.Context, id, from string) {
	s.once(id, func(now time.Time) error {
		return s.update(meta.Hot(ctx), func(ctx context.Context, tx meta.IdentityTx) error {
			return tx.RecordTokenUse(ctx, id, meta.TokenUse{At: now, From: from})
		})
	})
}
