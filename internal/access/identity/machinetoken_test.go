package identity_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// machineToken gives pusher a token.
func (b *bench) machineToken(t testing.TB) (meta.MachineToken, string) {
	t.Helper()
	token := meta.MachineToken{UserUniqueID: b.principal(t, identity.Pusher).UniqueID, Name: "flux", CreatedAt: b.now}
	password := identity.NewMachineToken(&token)
	err := b.store.Update(context.Background(), func(ctx context.Context, tx meta.Tx) error { return tx.Identities().InsertMachineToken(ctx, token) })
	if err != nil {
		t.Fatal(err)
	}
	return token, password
}

// The store has nothing that the password could be made from.
func TestMachineTokenIsKeptAsHash(t *testing.T) {
	b := newBench(t)
	token, password := b.machineToken(t)
	secret := password[strings.LastIndexByte(password, '_')+1:]
	if len(token.Hash) != 32 || bytes.Contains(token.Hash, []byte(secret)) || strings.Contains(token.ID, secret) || len(secret) < 50 {
		t.Errorf("%+v, %q", token, password)
	}
	if other := identity.NewMachineToken(new(meta.MachineToken)); other == password {
		t.Error("two tokens are the same")
	}
	p, err := b.Tokens(b.store).VerifyMachineToken(t.Context(), "", password)
	if err != nil || p.Token == nil || p.Token.Name != "flux" || p.Token.Scope != nil || p.KeyID != token.ID || p.Session != nil {
		t.Errorf("%+v, %v", p, err)
	}
}

func FuzzVerifyMachineToken(f *testing.F) {
	b := newBench(f)
	_, password := b.machineToken(f)
	for _, s := range []string{password, password[:len(password)-1], password[:27], "", "kontor_", "kontor__", strings.ToUpper(password)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, err := b.Tokens(b.store).VerifyMachineToken(t.Context(), "", s)
		if s != password && ecr.CodeOf(err) != ecr.CodeUnrecognizedClient {
			t.Errorf("VerifyMachineToken(%q) = %v", s, err)
		}
	})
}
