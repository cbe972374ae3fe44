package metatest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

func users(t *testing.T, s meta.Store) {
	const account, elsewhere = ecr.AccountID("000000000000"), ecr.AccountID("111111111111")
	u := meta.User{UniqueID: "AIDA1", Account: account, Name: "admin", CreatedAt: noon, Policies: []string{"b", "B", "a"}}
	insert := func(u meta.User) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error { return tx.Identities().InsertUser(ctx, u) }
	}
	byName := func(ctx context.Context, r meta.Reader) (meta.User, error) {
		return r.Identities().User(ctx, account, "admin")
	}
	byID := func(ctx context.Context, r meta.Reader) (meta.User, error) {
		return r.Identities().UserByID(ctx, "AIDA1")
	}
	notFound(t, s, "by name", byName)
	notFound(t, s, "by id", byID)
	update(t, s, insert(u))
	sorted := u
	sorted.Policies = []string{"B", "a", "b"}
	diff(t, sorted, read(t, s, byName))
	diff(t, sorted, read(t, s, byID))
	refused(t, s, meta.ErrExists, insert(u))
	refused(t, s, meta.ErrExists, insert(meta.User{UniqueID: "AIDA2", Account: account, Name: "admin", CreatedAt: noon}))
	refused(t, s, meta.ErrExists, insert(meta.User{UniqueID: "AIDA1", Account: account, Name: "other", CreatedAt: noon}))
	update(t, s, insert(meta.User{UniqueID: "AIDA3", Account: elsewhere, Name: "admin", CreatedAt: noon}))
	if got := read(t, s, func(ctx context.Context, r meta.Reader) (meta.User, error) {
		return r.Identities().UserByID(ctx, "AIDA3")
	}); got.Policies != nil || got.Account != elsewhere {
		t.Errorf("got %+v", got)
	}
	remove := func(ctx context.Context, tx meta.Tx) error { return tx.Identities().DeleteUser(ctx, "AIDA1") }
	update(t, s, remove)
	refused(t, s, meta.ErrNotFound, remove)
	notFound(t, s, "by name", byName)
	notFound(t, s, "by id", byID)
	update(t, s, insert(meta.User{UniqueID: "AIDA4", Account: account, Name: "admin", CreatedAt: noon})) // the name is free
}

func accessKeys(t *testing.T, s meta.Store) {
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return errors.Join(tx.Identities().InsertUser(ctx, meta.User{UniqueID: "AIDA1", Account: "000000000000", Name: "a", CreatedAt: noon}),
			tx.Identities().InsertUser(ctx, meta.User{UniqueID: "AIDA2", Account: "000000000000", Name: "b", CreatedAt: noon}))
	})
	key := func(id, user string, age time.Duration) meta.AccessKey {
		return meta.AccessKey{ID: id, UserUniqueID: user, Sealed: []byte{0, 1, 0xff}, Active: true, CreatedAt: noon.Add(-age)}
	}
	insert := func(k meta.AccessKey) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error { return tx.Identities().InsertAccessKey(ctx, k) }
	}
	get := func(id string) func(context.Context, meta.Reader) (meta.AccessKey, error) {
		return func(ctx context.Context, r meta.Reader) (meta.AccessKey, error) {
			return r.Identities().AccessKey(ctx, id)
		}
	}
	a, b, c := key("AKIAA", "AIDA1", 0), key("AKIAB", "AIDA1", time.Hour), key("AKIAC", "AIDA2", 0)
	notFound(t, s, "before it is there", get("AKIAA"))
	update(t, s, insert(a))
	update(t, s, insert(b))
	update(t, s, insert(c))
	diff(t, a, read(t, s, get("AKIAA")))
	diff(t, []meta.AccessKey{b, a}, read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.AccessKey, error) {
		return r.Identities().ListAccessKeys(ctx, "AIDA1")
	}))
	refused(t, s, meta.ErrExists, insert(key("AKIAA", "AIDA2", 0)))
	refused(t, s, meta.ErrReferenced, insert(key("AKIAD", "AIDA9", 0)))

	set := func(id string, on bool) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error { return tx.Identities().SetAccessKeyActive(ctx, id, on) }
	}
	for _, on := range []bool{false, false, true, true} {
		update(t, s, set("AKIAA", on))
		if got := read(t, s, get("AKIAA")).Active; got != on {
			t.Errorf("active: %v, want %v", got, on)
		}
	}
	refused(t, s, meta.ErrNotFound, set("AKIAD", true))
	remove := func(ctx context.Context, tx meta.Tx) error { return tx.Identities().DeleteAccessKey(ctx, "AKIAA") }
	update(t, s, remove)
	refused(t, s, meta.ErrNotFound, remove)
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Identities().DeleteUser(ctx, "AIDA1") })
	notFound(t, s, "key of a user that is gone", get("AKIAB"))
	diff(t, c, read(t, s, get("AKIAC")))
}

func tokenKeys(t *testing.T, s meta.Store) {
	old := meta.TokenKey{ID: "z", Sealed: []byte{0xfe, 0}, CreatedAt: noon}
	young := meta.TokenKey{ID: "a", Sealed: []byte{1}, CreatedAt: noon.Add(time.Microsecond)}
	insert := func(k meta.TokenKey) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error { return tx.Identities().InsertTokenKey(ctx, k) }
	}
	list := func() []meta.TokenKey {
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.TokenKey, error) {
			return r.Identities().TokenKeys(ctx)
		})
	}
	diff(t, []meta.TokenKey(nil), list())
	update(t, s, insert(old))
	update(t, s, insert(young))
	refused(t, s, meta.ErrExists, insert(old))
	diff(t, []meta.TokenKey{young, old}, list())
	remove := func(ctx context.Context, tx meta.Tx) error { return tx.Identities().DeleteTokenKey(ctx, "z") }
	update(t, s, remove)
	refused(t, s, meta.ErrNotFound, remove)
	diff(t, []meta.TokenKey{young}, list())
}
