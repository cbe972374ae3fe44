package authn_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
)

// The published test suite's key, time and scope.
const (
	suiteKey                = "AKIDEXAMPLE"
	suiteSecret             = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	suiteService            = "service"
	region       ecr.Region = "us-east-1"
	account                 = "123456789012"
)

var suiteTime = time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)

// A bench is a Verifier over a real store that holds the suite's key.
type bench struct {
	*authn.Verifier
	identity *identity.Service
	store    meta.Store
	now      time.Time
}

// verify verifies r, whose body was received.
func (b *bench) verify(r *http.Request, body []byte, region ecr.Region, service string) (access.Principal, error) {
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	p, _, err := b.ReadAndVerify(again, 1<<20, region, service)
	return p, err
}

func newBench(t testing.TB) *bench {
	t.Helper()
	raw := make([]byte, identity.MasterKeySize)
	master, err := identity.NewMasterKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(context.Background(), sqlite.Config{Path: filepath.Join(t.TempDir(), "kontor.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	b := &bench{store: store, now: suiteTime}
	now := func() time.Time { return b.now }
	b.identity = identity.New(identity.Config{Meta: store, Key: master, Now: now})
	b.Verifier = authn.New(authn.Config{Keys: b.identity, Now: now})
	err = store.Update(context.Background(), func(ctx context.Context, tx meta.Tx) error {
		u := meta.User{UniqueID: "AIDAEXAMPLE", Account: account, Name: "suite", CreatedAt: suiteTime, Policies: []string{access.PolicyPushPull}}
		if err := tx.Identities().InsertUser(ctx, u); err != nil {
			return err
		}
		if err := tx.Identities().InsertTokenKey(ctx, meta.TokenKey{ID: "TOKENKEYTOKENKEY", CreatedAt: suiteTime,
			Sealed: master.Seal(identity.KindTokenKey, "TOKENKEYTOKENKEY", make([]byte, 32))}); err != nil {
			return err
		}
		return tx.Identities().InsertAccessKey(ctx, meta.AccessKey{
			ID: suiteKey, UserUniqueID: u.UniqueID, Active: true, CreatedAt: suiteTime,
			Sealed: master.Seal(identity.KindAccessKey, suiteKey, []byte(suiteSecret)),
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// deactivate switches the suite's key off.
func (b *bench) deactivate(t testing.TB) {
	t.Helper()
	if err := b.store.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
		return tx.Identities().SetAccessKeyActive(ctx, suiteKey, false)
	}); err != nil {
		t.Fatal(err)
	}
}

// received is r as a server gets it: written out and read again.
func received(t testing.TB, r *http.Request) (*http.Request, []byte) {
	t.Helper()
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		t.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got, body
}

// parsed is a request as in the suite's .req and .sreq files.
func parsed(t testing.TB, text string) (*http.Request, []byte) {
	t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return r, []byte(body)
}

func wantError(t testing.TB, err error, code ecr.Code, message string) {
	t.Helper()
	if !errors.Is(err, &ecr.Error{Code: code}) || !strings.Contains(err.Error(), message) {
		t.Errorf("err = %v, want %s: %s", err, code, message)
	}
}

const mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. " +
	"Consult the service documentation for details."
