package metatest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

func consoleSessions(t *testing.T, s meta.Store) {
	session := func(id, who string, in ecr.AccountID) meta.ConsoleSession {
		return meta.ConsoleSession{
			ID: id, Account: in, UniqueID: who, Principal: "arn:aws:iam::000000000000:user/ü", KeyID: "AKIA1",
			Source: "192.0.2.1", UserAgent: "a browser", CreatedAt: noon, UsedAt: noon, ExpiresAt: noon.Add(time.Hour),
		}
	}
	insert := func(c meta.ConsoleSession) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error { return tx.Identities().InsertConsoleSession(ctx, c) }
	}
	get := func(id string) func(context.Context, meta.Reader) (meta.ConsoleSession, error) {
		return func(ctx context.Context, r meta.Reader) (meta.ConsoleSession, error) {
			return r.Identities().ConsoleSession(ctx, id)
		}
	}
	list := func(in ecr.AccountID, who, after string, limit int) []meta.ConsoleSession {
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.ConsoleSession, error) {
			return r.Identities().ListConsoleSessions(ctx, in, who, after, limit)
		})
	}
	a, b, c, d := session("a", "AIDA1", account), session("b", "AIDA2", account), session("c", "AIDA1", account), session("d", "AIDA3", elsewhere)
	b.Link, b.Token = true, []byte{0, 0xff}
	c.ExpiresAt = noon.Add(2 * time.Hour)
	notFound(t, s, "session", get("a"))
	for _, x := range []meta.ConsoleSession{c, a, b, d} {
		update(t, s, insert(x))
	}
	refused(t, s, meta.ErrExists, insert(a))
	diff(t, b, read(t, s, get("b")))
	diff(t, []meta.ConsoleSession{a, b, c}, list(account, "", "", 10))
	diff(t, []meta.ConsoleSession{b}, list(account, "", "a", 1))
	diff(t, []meta.ConsoleSession{a, c}, list(account, "AIDA1", "", 10))
	diff(t, []meta.ConsoleSession{d}, list(elsewhere, "", "", 10))

	for _, at := range []time.Time{noon.Add(time.Minute), noon} { // the earlier one comes late
		update(t, s, func(ctx context.Context, tx meta.Tx) error {
			if err := tx.Identities().UseConsoleSession(ctx, "gone", at); err != nil {
				return err
			}
			return tx.Identities().UseConsoleSession(ctx, "a", at)
		})
	}
	a.UsedAt = noon.Add(time.Minute)
	diff(t, a, read(t, s, get("a")))

	remove := func(ctx context.Context, tx meta.Tx) error { return tx.Identities().DeleteConsoleSession(ctx, "b") }
	update(t, s, remove)
	refused(t, s, meta.ErrNotFound, remove)
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return tx.Identities().DeleteExpiredConsoleSessions(ctx, noon.Add(time.Hour+time.Microsecond))
	})
	diff(t, []meta.ConsoleSession{c}, list(account, "", "", 10))
	diff(t, []meta.ConsoleSession(nil), list(elsewhere, "", "", 10))

	// They end for good with their access key and their user.
	user := meta.User{Account: account, UniqueID: "AIDA9", Name: "sessions", Path: "/", CreatedAt: noon}
	x, y, z := session("x", user.UniqueID, account), session("y", user.UniqueID, account), session("z", user.UniqueID, account)
	x.KeyID, y.KeyID, z.KeyID = "AKIAOFF", "AKIADELETED", "AKIAON"
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		err := tx.Identities().InsertUser(ctx, user)
		for _, c := range []meta.ConsoleSession{x, y, z} {
			err = errors.Join(err, tx.Identities().InsertConsoleSession(ctx, c),
				tx.Identities().InsertAccessKey(ctx, meta.AccessKey{UserUniqueID: user.UniqueID, ID: c.KeyID, Sealed: []byte("x"), Active: true, CreatedAt: noon}))
		}
		return err
	})
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return errors.Join(tx.Identities().SetAccessKeyActive(ctx, z.KeyID, true), tx.Identities().SetAccessKeyActive(ctx, x.KeyID, false), tx.Identities().DeleteAccessKey(ctx, y.KeyID))
	})
	diff(t, []meta.ConsoleSession{z}, list(account, user.UniqueID, "", 10))
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Identities().DeleteUser(ctx, user.UniqueID) })
	diff(t, []meta.ConsoleSession{c}, list(account, "", "", 10))
}
