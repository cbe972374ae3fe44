package identity_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
)

// addresses are compared whole.
var addresses = cmpopts.EquateComparable(netip.Addr{})

const account ecr.AccountID = "111122223333"

// A bench is a Service on a real store, with a clock to turn.
type bench struct {
	*identity.Service
	store meta.Store
	now   time.Time
}

func openStore(t testing.TB) meta.Store {
	t.Helper()
	store, err := sqlite.Open(context.Background(), sqlite.Config{Path: filepath.Join(t.TempDir(), "kontor.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	return store
}

// newBench has one account set up.
func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{store: openStore(t), now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	b.Service = identity.New(identity.Config{Meta: b.store, Key: newKey(t, 1), Now: func() time.Time { return b.now }})
	if err := b.EnsureAccount(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) credentials(t testing.TB, user string) identity.Credentials {
	t.Helper()
	c, err := b.Credentials(t.Context(), account, user)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (b *bench) principal(t testing.TB, user string) access.Principal {
	t.Helper()
	p, _, err := b.Lookup(t.Context(), b.credentials(t, user).AccessKeyID)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (b *bench) update(t testing.TB, fn func(ctx context.Context, tx meta.Tx) error) {
	t.Helper()
	if err := b.store.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// everything is all that the store knows of the account's identities.
func (b *bench) everything(t testing.TB) (users []meta.User, keys []meta.AccessKey, tokenKeys []meta.TokenKey) {
	t.Helper()
	err := b.store.View(t.Context(), func(ctx context.Context, r meta.Reader) error {
		users, keys = nil, nil
		for _, name := range []string{identity.Administrator, identity.Pusher} {
			u, err := r.Identities().User(ctx, account, name)
			if err != nil {
				return err
			}
			users = append(users, u)
			ks, err := r.Identities().ListAccessKeys(ctx, u.UniqueID)
			if err != nil {
				return err
			}
			keys = append(keys, ks...)
		}
		var err error
		tokenKeys, err = r.Identities().TokenKeys(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return users, keys, tokenKeys
}

func wantCode(t testing.TB, err error, code ecr.Code, message string) {
	t.Helper()
	if !errors.Is(err, &ecr.Error{Code: code, Message: message}) {
		t.Errorf("err = %v, want %s: %s", err, code, message)
	}
}

const invalidToken = "The security token included in the request is invalid."

func TestEnsureAccount(t *testing.T) {
	b := newBench(t)
	users, keys, tokenKeys := b.everything(t)
	if len(keys) != 2 || len(tokenKeys) != 1 {
		t.Fatalf("%d access keys, %d token keys", len(keys), len(tokenKeys))
	}
	policies := map[string][]string{identity.Administrator: {access.PolicyAdministrator}, identity.Pusher: {access.PolicyPushPull, access.PolicyReferrers}}
	for _, u := range users {
		// Forms of ids: IAM user guide, "IAM identifiers", "Understanding unique ID prefixes".
		if !regexp.MustCompile(`^AIDA[A-Z2-7]{17}$`).MatchString(u.UniqueID) {
			t.Errorf("unique id %q", u.UniqueID)
		}
		if d := cmp.Diff(policies[u.Name], u.Policies); d != "" {
			t.Errorf("policies of %s (-want +got):\n%s", u.Name, d)
		}
		c := b.credentials(t, u.Name)
		if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(c.AccessKeyID) || !regexp.MustCompile(`^[A-Za-z0-9/+]{40}$`).MatchString(c.SecretAccessKey) {
			t.Errorf("credentials of %s: %q, secret of %d characters", u.Name, c.AccessKeyID, len(c.SecretAccessKey))
		}
		for _, k := range keys {
			if strings.Contains(string(k.Sealed), c.SecretAccessKey) {
				t.Errorf("key %s is stored unsealed", k.ID)
			}
		}
		p, secret, err := b.Lookup(t.Context(), c.AccessKeyID)
		if err != nil || secret != c.SecretAccessKey {
			t.Fatalf("Lookup: %v", err)
		}
		want := access.Principal{Account: account, ARN: "arn:aws:iam::111122223333:user/" + u.Name, UniqueID: u.UniqueID,
			KeyID: c.AccessKeyID, Policies: u.Policies}
		if d := cmp.Diff(want, p, addresses); d != "" {
			t.Errorf("principal (-want +got):\n%s", d)
		}
	}
	if b.credentials(t, identity.Administrator) == b.credentials(t, identity.Pusher) {
		t.Error("both users have the same key")
	}

	t.Run("again changes nothing", func(t *testing.T) {
		if err := b.EnsureAccount(t.Context(), account); err != nil {
			t.Fatal(err)
		}
		u, k, tk := b.everything(t)
		if d := cmp.Diff([]any{users, keys, tokenKeys}, []any{u, k, tk}); d != "" {
			t.Errorf("(-before +after):\n%s", d)
		}
	})
	t.Run("another account shares the token key only", func(t *testing.T) {
		if err := b.EnsureAccount(t.Context(), "444455556666"); err != nil {
			t.Fatal(err)
		}
		other, err := b.Credentials(t.Context(), "444455556666", identity.Administrator)
		if err != nil {
			t.Fatal(err)
		}
		if p, _, err := b.Lookup(t.Context(), other.AccessKeyID); err != nil || p.Account != "444455556666" {
			t.Errorf("Lookup = %+v, %v", p, err)
		}
		if _, _, tk := b.everything(t); len(tk) != 1 {
			t.Errorf("%d token keys", len(tk))
		}
	})
	t.Run("what was taken away comes back new", func(t *testing.T) {
		b.update(t, func(ctx context.Context, tx meta.Tx) error {
			return errors.Join(tx.Identities().DeleteUser(ctx, users[0].UniqueID), tx.Identities().DeleteAccessKey(ctx, keys[1].ID))
		})
		if err := b.EnsureAccount(t.Context(), account); err != nil {
			t.Fatal(err)
		}
		u, k, _ := b.everything(t)
		if u[0].UniqueID == users[0].UniqueID || u[1].UniqueID != users[1].UniqueID || k[0].ID == keys[0].ID || k[1].ID == keys[1].ID {
			t.Errorf("users %v, keys of %v", u, k)
		}
	})
}

func TestEnsureAccountRace(t *testing.T) {
	store := openStore(t)
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		s := identity.New(identity.Config{Meta: store, Key: newKey(t, 1), Now: time.Now})
		wg.Go(func() { errs[i] = s.EnsureAccount(t.Context(), account) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	b := &bench{store: store}
	if _, keys, tokenKeys := b.everything(t); len(keys) != 2 || len(tokenKeys) != 1 {
		t.Errorf("%d access keys, %d token keys", len(keys), len(tokenKeys))
	}
}

func TestWrongMasterKey(t *testing.T) {
	b := newBench(t)
	p := b.principal(t, identity.Pusher)
	password, _, err := b.IssueToken(t.Context(), p, "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	wrong := identity.New(identity.Config{Meta: b.store, Key: newKey(t, 2), Now: time.Now})
	_, _, lookup := wrong.Lookup(t.Context(), p.KeyID)
	_, credentials := wrong.Credentials(t.Context(), account, identity.Pusher)
	_, _, issue := wrong.IssueToken(t.Context(), p, "us-east-1")
	_, verify := wrong.Tokens(b.store).VerifyToken(t.Context(), password, "us-east-1")
	for name, err := range map[string]error{
		"Lookup": lookup, "Credentials": credentials, "IssueToken": issue, "VerifyToken": verify,
		"EnsureAccount":     wrong.EnsureAccount(t.Context(), account),
		"EnsureAccount new": wrong.EnsureAccount(t.Context(), "444455556666"),
	} {
		if !errors.Is(err, identity.ErrMasterKey) || !strings.Contains(err.Error(), "start with the master key file that this data was created with") {
			t.Errorf("%s: %v", name, err)
		}
		if ecr.CodeOf(err) != ecr.CodeServer {
			t.Errorf("%s tells clients %s", name, ecr.CodeOf(err))
		}
	}
}

func TestLookupRefuses(t *testing.T) {
	b := newBench(t)
	p := b.principal(t, identity.Pusher)
	for _, id := range []string{"AKIAQ3EGHISAMPLEQ3EG", "", p.UniqueID, strings.ToLower(p.KeyID), p.KeyID + " "} {
		_, _, err := b.Lookup(t.Context(), id)
		wantCode(t, err, ecr.CodeUnrecognizedClient, invalidToken)
	}
	b.update(t, func(ctx context.Context, tx meta.Tx) error {
		return tx.Identities().SetAccessKeyActive(ctx, p.KeyID, false)
	})
	_, _, err := b.Lookup(t.Context(), p.KeyID)
	wantCode(t, err, ecr.CodeUnrecognizedClient, invalidToken)
	if _, err := b.Credentials(t.Context(), account, identity.Pusher); err == nil || !strings.Contains(err.Error(), "no active access key") {
		t.Errorf("Credentials = %v", err)
	}
	b.update(t, func(ctx context.Context, tx meta.Tx) error {
		return tx.Identities().SetAccessKeyActive(ctx, p.KeyID, true)
	})
	if _, _, err := b.Lookup(t.Context(), p.KeyID); err != nil {
		t.Errorf("switched on again: %v", err)
	}
	if _, err := b.Credentials(t.Context(), account, "nobody"); !errors.Is(err, meta.ErrNotFound) {
		t.Errorf("Credentials of nobody: %v", err)
	}
}

// Sealed secrets exchanged between rows by someone who can write to the
// database open for neither.
func TestSecretsStayInTheirRows(t *testing.T) {
	b := newBench(t)
	_, keys, _ := b.everything(t)
	b.update(t, func(ctx context.Context, tx meta.Tx) error {
		stolen := keys[1]
		stolen.Sealed = keys[0].Sealed
		if err := tx.Identities().DeleteAccessKey(ctx, stolen.ID); err != nil {
			return err
		}
		return tx.Identities().InsertAccessKey(ctx, stolen)
	})
	if _, secret, err := b.Lookup(t.Context(), keys[1].ID); err == nil || secret != "" || ecr.CodeOf(err) != ecr.CodeServer {
		t.Errorf("Lookup = %v", err)
	}
}

func TestPartition(t *testing.T) {
	b := newBench(t)
	s := identity.New(identity.Config{Meta: b.store, Key: newKey(t, 1), Now: time.Now, Partition: "aws-cn"})
	p, _, err := s.Lookup(t.Context(), b.credentials(t, identity.Pusher).AccessKeyID)
	if err != nil || p.ARN != fmt.Sprintf("arn:aws-cn:iam::%s:user/pusher", account) {
		t.Errorf("Lookup = %+v, %v", p, err)
	}
}

func TestCancelled(t *testing.T) {
	b := newBench(t)
	id := b.credentials(t, identity.Pusher).AccessKeyID
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := b.Lookup(ctx, id); !errors.Is(err, context.Canceled) {
		t.Errorf("Lookup = %v", err)
	}
}
