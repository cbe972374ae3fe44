package identity

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Times of the console: how long a session lasts at most, and without a request;
// how long a one-time link can be opened; and how exactly the last request is
// known.
const (
	ConsoleLifetime = 8 * time.Hour
	ConsoleIdle     = time.Hour
	ConsoleLinkTime = 2 * time.Minute
	consoleUseStep  = 5 * time.Minute
)

// consoleSecret is how many random bytes a browser holds.
const consoleSecret = 32

// ErrNoConsoleSession: the cookie or the link is not one, or no longer.
var ErrNoConsoleSession = errors.New("identity: no such session of the console")

// ConsoleID is the ID of the session whose secret this is.
func ConsoleID(secret string) string {
	sum := sha256.Sum256([]byte("kontor console session " + secret))
	return hex.EncodeToString(sum[:])
}

// CheckSecret returns whom an access key belongs to when the secret, and for
// temporary credentials the session token, are its own. It is for logins to the
// console, where a browser cannot sign. UnrecognizedClient otherwise, ExpiredToken
// for credentials whose time is over.
func (s *Service) CheckSecret(ctx context.Context, keyID, secret, token string) (access.Principal, error) {
	var (
		p    access.Principal
		want string
		err  error
	)
	if strings.HasPrefix(keyID, sessionKeyPrefix) || token != "" {
		p, want, err = s.LookupSession(ctx, keyID, token)
	} else {
		p, want, err = s.Lookup(ctx, keyID)
	}
	if err != nil {
		return access.Principal{}, err
	}
	// Of the hashes, so that not even the length shows.
	have, known := sha256.Sum256([]byte(secret)), sha256.Sum256([]byte(want))
	if subtle.ConstantTimeCompare(have[:], known[:]) != 1 {
		return access.Principal{}, errInvalidToken()
	}
	return p, nil
}

// OpenConsole begins a session of p, or with link makes a one-time link to one, and
// returns the secret for the browser. The session ends with p's access key.
// UnrecognizedClient when p has no access key, its key is off, or p came with a machine
// token. It asks for no permission and records nothing: package iam does.
func (s *Service) OpenConsole(ctx context.Context, p access.Principal, link bool) (secret string, session meta.ConsoleSession, err error) {
	// What limits p must be in the row: a machine token, or a session without its token,
	// would become one without limits.
	if p.UniqueID == "" || p.KeyID == "" || p.Token != nil || p.Session != nil && p.Session.Token == nil {
		return "", session, errInvalidToken()
	}
	now := s.cfg.Now().UTC().Truncate(time.Second)
	secret = base64.RawURLEncoding.EncodeToString(random(consoleSecret))
	session = meta.ConsoleSession{
		ID: ConsoleID(secret), Link: link, Account: p.Account, UniqueID: p.UniqueID, Principal: p.ARN, KeyID: p.KeyID,
		CreatedAt: now, UsedAt: now, ExpiresAt: now.Add(ConsoleLifetime),
	}
	if link {
		session.ExpiresAt = now.Add(ConsoleLinkTime)
	}
	if a := p.Request.Source; a.IsValid() {
		session.Source = a.String()
	}
	session.UserAgent = cut(p.Request.UserAgent, 200)
	ofKey := true // of a key that the database has
	if p.Session != nil {
		session.Token = p.Session.Token
		// The session ends when that key is switched off, for good.
		claims, err := s.openSession(ctx, session.Token)
		if err != nil {
			return "", meta.ConsoleSession{}, storeError(err, "opening a session of the console")
		}
		if ofKey = claims.Parent != ""; ofKey {
			session.KeyID = claims.Parent
		}
		if ends := claims.expires(); ends.Before(session.ExpiresAt) {
			session.ExpiresAt = ends
		}
	}
	err = s.update(ctx, func(ctx context.Context, tx meta.IdentityTx) error {
		if err := tx.DeleteExpiredConsoleSessions(ctx, now); err != nil {
			return err
		}
		if ofKey { // it may have been switched off since p was looked up
			if _, _, err := s.principal(ctx, tx, session.KeyID); err != nil {
				return err
			}
		}
		return tx.InsertConsoleSession(ctx, session)
	})
	if err != nil {
		return "", meta.ConsoleSession{}, storeError(err, "opening a session of the console")
	}
	return secret, session, nil
}

// cut is s, at most n bytes of it.
func cut(s string, n int) string { return strings.ToValidUTF8(s[:min(len(s), n)], "") }

// TakeLink uses up a one-time link and returns whose it is. Of several who open it
// at once, one succeeds. ErrNoConsoleSession.
func (s *Service) TakeLink(ctx context.Context, link string) (p access.Principal, err error) {
	id := ConsoleID(link)
	if p, _, err = s.console(ctx, id, true); err != nil {
		return p, err
	}
	err = s.update(ctx, func(ctx context.Context, tx meta.IdentityTx) error { return tx.DeleteConsoleSession(ctx, id) })
	if errors.Is(err, meta.ErrNotFound) {
		return access.Principal{}, ErrNoConsoleSession
	}
	if err != nil {
		return access.Principal{}, storeError(err, "opening a link to the console")
	}
	return p, nil
}

// LinkCaller returns who gets the session of a one-time link that nobody has opened
// yet. ErrNoConsoleSession.
func (s *Service) LinkCaller(ctx context.Context, link string) (access.Principal, error) {
	p, _, err := s.console(ctx, ConsoleID(link), true)
	return p, err
}

// ConsoleCaller returns who has the session with this secret, as the store knows
// them now. ErrNoConsoleSession when it has ended: its time is over, it was ended,
// or the access key, the user or the role is gone.
func (s *Service) ConsoleCaller(ctx context.Context, secret string) (access.Principal, meta.ConsoleSession, error) {
	p, session, err := s.console(ctx, ConsoleID(secret), false)
	if err != nil {
		return p, session, err
	}
	if now := s.cfg.Now().UTC().Truncate(time.Second); now.Sub(session.UsedAt) >= consoleUseStep {
		session.UsedAt = now
		// A database that cannot write now does not end the session.
		_ = s.update(ctx, func(ctx context.Context, tx meta.IdentityTx) error { return tx.UseConsoleSession(ctx, session.ID, now) })
	}
	return p, session, nil
}

// ConsoleEnded reports whether the time of a session or a link is over at now.
func ConsoleEnded(s meta.ConsoleSession, now time.Time) bool {
	return !now.Before(s.ExpiresAt) || !s.Link && now.Sub(s.UsedAt) >= ConsoleIdle
}

func (s *Service) console(ctx context.Context, id string, link bool) (p access.Principal, session meta.ConsoleSession, err error) {
	err = s.view(ctx, func(ctx context.Context, r meta.IdentityReader) error {
		session, err = r.ConsoleSession(ctx, id)
		if errors.Is(err, meta.ErrNotFound) {
			return ErrNoConsoleSession
		}
		if err != nil {
			return err
		}
		now := s.cfg.Now()
		if session.Link != link || ConsoleEnded(session, now) {
			return ErrNoConsoleSession
		}
		if session.Token != nil {
			keys, err := r.TokenKeys(ctx)
			if err != nil {
				return err
			}
			claims, err := s.unseal(keys, session.Token)
			if err != nil {
				return err
			}
			if p, _, err = s.session(ctx, r, keys, claims.KeyID, session.Token); err != nil {
				return err
			}
		} else if _, p, err = s.principal(ctx, r, session.KeyID); err != nil {
			return err
		}
		if p.UniqueID != session.UniqueID {
			return ErrNoConsoleSession
		}
		return nil
	})
	switch code := ecr.CodeOf(err); {
	case err == nil || errors.Is(err, ErrNoConsoleSession):
	case code == ecr.CodeUnrecognizedClient || code == ecr.CodeExpiredToken:
		err = ErrNoConsoleSession
	default:
		err = storeError(err, "looking up a session of the console")
	}
	if err != nil {
		return access.Principal{}, meta.ConsoleSession{}, err
	}
	return p, session, nil
}
