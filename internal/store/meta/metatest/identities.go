package metatest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const (
	account   = ecr.AccountID("000000000000")
	elsewhere = ecr.AccountID("111111111111")
)

// change is an update that is one call.
func change[T any](call func(tx meta.Tx) func(context.Context, T) error, v T) func(context.Context, meta.Tx) error {
	return func(ctx context.Context, tx meta.Tx) error { return call(tx)(ctx, v) }
}

func insertUser(tx meta.Tx) func(context.Context, meta.User) error { return tx.Identities().InsertUser }
func updateUser(tx meta.Tx) func(context.Context, meta.User) error { return tx.Identities().UpdateUser }
func insertRole(tx meta.Tx) func(context.Context, meta.Role) error { return tx.Identities().InsertRole }
func updateRole(tx meta.Tx) func(context.Context, meta.Role) error { return tx.Identities().UpdateRole }
func insertPolicy(tx meta.Tx) func(context.Context, meta.Policy) error {
	return tx.Identities().InsertPolicy
}
func updatePolicy(tx meta.Tx) func(context.Context, meta.Policy) error {
	return tx.Identities().UpdatePolicy
}

func changedUsers(t *testing.T, s meta.Store) {
	u := meta.User{UniqueID: "AIDA1", Account: account, Name: "Ann", CreatedAt: noon}
	update(t, s, change(insertUser, u))
	update(t, s, change(insertUser, meta.User{UniqueID: "AIDA2", Account: account, Name: "bob", CreatedAt: noon}))
	refused(t, s, meta.ErrExists, change(insertUser, meta.User{UniqueID: "AIDA3", Account: account, Name: "aNN", CreatedAt: noon}))
	list := func(after string, limit int) []string {
		return read(t, s, func(ctx context.Context, r meta.Reader) (names []string, err error) {
			all, err := r.Identities().ListUsers(ctx, account, after, limit)
			for _, u := range all {
				names = append(names, u.Name)
			}
			return names, err
		})
	}
	diff(t, []string{"Ann", "bob"}, list("", 10))
	diff(t, []string{"Ann"}, list("", 1))
	diff(t, []string{"bob"}, list("Ann", 10))

	u.Name, u.Path, u.Boundary = "ann", "/ops/", "ANPA1"
	u.Policies, u.Inline, u.Tags = []string{"A", "B"}, map[string]string{"p": `{"a":"ü"}`}, map[string]string{"team": "a", "empty": ""}
	update(t, s, change(updateUser, u))
	diff(t, u, read(t, s, func(ctx context.Context, r meta.Reader) (meta.User, error) {
		return r.Identities().UserByID(ctx, "AIDA1")
	}))
	taken := u
	taken.Name = "BOB"
	refused(t, s, meta.ErrExists, change(updateUser, taken))
	gone := u
	gone.UniqueID, gone.Name = "AIDA9", "nobody"
	refused(t, s, meta.ErrNotFound, change(updateUser, gone))
	hosted := func(a ecr.AccountID) bool {
		return read(t, s, func(ctx context.Context, r meta.Reader) (bool, error) { return r.Identities().HostedAccount(ctx, a) })
	}
	if !hosted(account) || hosted(elsewhere) {
		t.Errorf("hosted: %t, elsewhere %t", hosted(account), hosted(elsewhere))
	}

	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return tx.Identities().InsertAccessKey(ctx, meta.AccessKey{ID: "AKIAA", UserUniqueID: "AIDA1", Sealed: []byte{1}, Active: true, CreatedAt: noon})
	})
	use := func(id string, u meta.KeyUse) {
		update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Identities().RecordKeyUse(ctx, id, u) })
	}
	last := meta.KeyUse{At: noon.Add(time.Hour), Service: "ecr", Region: "us-east-1"}
	use("AKIAA", last)
	use("AKIAA", meta.KeyUse{At: noon, Service: "sts", Region: "eu-west-1"}) // earlier
	use("AKIAGONE", last)
	diff(t, last, read(t, s, func(ctx context.Context, r meta.Reader) (meta.AccessKey, error) {
		return r.Identities().AccessKey(ctx, "AKIAA")
	}).LastUsed)
}

func roles(t *testing.T, s meta.Store) {
	r := meta.Role{
		UniqueID: "AROA1", Account: account, Name: "deployer", Path: "/ci/", CreatedAt: noon, Policies: []string{"A", "B"},
		Inline: map[string]string{"push": "{}"}, Boundary: "ANPA1", Tags: map[string]string{"team": "a"},
		Description: "deploys", Trust: `{"Version":"2012-10-17"}`, MaxSession: 2 * time.Hour,
	}
	byName := func(ctx context.Context, rd meta.Reader) (meta.Role, error) {
		return rd.Identities().Role(ctx, account, "deployer")
	}
	byID := func(ctx context.Context, rd meta.Reader) (meta.Role, error) {
		return rd.Identities().RoleByID(ctx, "AROA1")
	}
	notFound(t, s, "by name", byName)
	notFound(t, s, "by id", byID)
	update(t, s, change(insertRole, r))
	diff(t, r, read(t, s, byName))
	diff(t, r, read(t, s, byID))
	refused(t, s, meta.ErrExists, change(insertRole, meta.Role{UniqueID: "AROA2", Account: account, Name: "DEPLOYER", CreatedAt: noon}))
	refused(t, s, meta.ErrExists, change(insertRole, meta.Role{UniqueID: "AROA1", Account: account, Name: "b", CreatedAt: noon}))
	update(t, s, change(insertRole, meta.Role{UniqueID: "AROA3", Account: elsewhere, Name: "deployer", CreatedAt: noon}))

	r.Trust, r.Policies, r.Inline, r.Boundary, r.Tags, r.MaxSession, r.Description = "{}", nil, nil, "", nil, time.Hour, ""
	update(t, s, change(updateRole, r))
	diff(t, r, read(t, s, byID))
	refused(t, s, meta.ErrNotFound, change(updateRole, meta.Role{UniqueID: "AROA9"}))
	names := read(t, s, func(ctx context.Context, rd meta.Reader) ([]meta.Role, error) {
		return rd.Identities().ListRoles(ctx, account, "", 10)
	})
	diff(t, []meta.Role{r}, names)

	remove := func(ctx context.Context, tx meta.Tx) error { return tx.Identities().DeleteRole(ctx, "AROA1") }
	update(t, s, remove)
	refused(t, s, meta.ErrNotFound, remove)
	notFound(t, s, "by id", byID)
}

func policies(t *testing.T, s meta.Store) {
	p := meta.Policy{
		ID: "ANPA1", Account: account, Name: "push", Path: "/ci/", Description: "d", CreatedAt: noon, UpdatedAt: noon,
		Versions: map[int]meta.PolicyVersion{1: {Text: `{"a":1}`, CreatedAt: noon}}, Default: 1, Last: 1, Tags: map[string]string{"k": "v"},
	}
	byName := func(ctx context.Context, r meta.Reader) (meta.Policy, error) {
		return r.Identities().Policy(ctx, account, "push")
	}
	notFound(t, s, "by name", byName)
	update(t, s, change(insertPolicy, p))
	diff(t, p, read(t, s, byName))
	other := meta.Policy{ID: "ANPA2", Account: account, Name: "PUSH", CreatedAt: noon, UpdatedAt: noon}
	refused(t, s, meta.ErrExists, change(insertPolicy, other))
	other.Name, other.Versions = "pull", map[int]meta.PolicyVersion{}
	update(t, s, change(insertPolicy, other))

	p.Versions = map[int]meta.PolicyVersion{1: p.Versions[1], 3: {Text: "{}", CreatedAt: noon.Add(time.Second)}}
	p.Default, p.Last, p.UpdatedAt, p.Tags = 3, 3, noon.Add(time.Second), nil
	update(t, s, change(updatePolicy, p))
	diff(t, p, read(t, s, byName))
	refused(t, s, meta.ErrNotFound, change(updatePolicy, meta.Policy{ID: "ANPA9"}))
	diff(t, []meta.Policy{p, other}, read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Policy, error) {
		return r.Identities().Policies(ctx, []string{"ANPA2", "ANPA1", "ANPA1", "ANPA9"})
	}))
	diff(t, []meta.Policy{other, p}, read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Policy, error) {
		return r.Identities().ListPolicies(ctx, account, "", 10)
	}))

	remove := func(ctx context.Context, tx meta.Tx) error { return tx.Identities().DeletePolicy(ctx, "ANPA1") }
	u := meta.User{UniqueID: "AIDA1", Account: account, Name: "ann", CreatedAt: noon, Policies: []string{"ANPA1"}}
	r := meta.Role{UniqueID: "AROA1", Account: account, Name: "r", CreatedAt: noon, Boundary: "ANPA1"}
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return errors.Join(tx.Identities().InsertUser(ctx, u), tx.Identities().InsertRole(ctx, r))
	})
	refused(t, s, meta.ErrReferenced, remove) // attached
	u.Policies = []string{"ANPA11", "XANPA1"}
	update(t, s, change(updateUser, u))
	refused(t, s, meta.ErrReferenced, remove) // a boundary
	r.Boundary = ""
	update(t, s, change(updateRole, r))
	update(t, s, remove)
	refused(t, s, meta.ErrNotFound, remove)
	notFound(t, s, "by name", byName)
}

func issuers(t *testing.T, s meta.Store) {
	i := meta.Issuer{Account: account, URL: "https://token.example.com/a", Audiences: []string{"b", "a"}, Thumbprints: []string{"00"}, CreatedAt: noon}
	get := func(ctx context.Context, r meta.Reader) (meta.Issuer, error) {
		return r.Identities().Issuer(ctx, account, i.URL)
	}
	notFound(t, s, "issuer", get)
	put := func(ctx context.Context, tx meta.Tx) error { return tx.Identities().PutIssuer(ctx, i) }
	update(t, s, put)
	diff(t, i, read(t, s, get))
	i.Audiences, i.Thumbprints = []string{"c"}, nil
	update(t, s, put)
	diff(t, i, read(t, s, get))
	all := read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Issuer, error) {
		return r.Identities().ListIssuers(ctx, account)
	})
	diff(t, []meta.Issuer{i}, all)
	none := read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Issuer, error) {
		return r.Identities().ListIssuers(ctx, elsewhere)
	})
	diff(t, []meta.Issuer(nil), none)
	remove := func(ctx context.Context, tx meta.Tx) error { return tx.Identities().DeleteIssuer(ctx, account, i.URL) }
	update(t, s, remove)
	refused(t, s, meta.ErrNotFound, remove)
	notFound(t, s, "issuer", get)
}
