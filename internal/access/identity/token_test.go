package identity_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const region ecr.Region = "us-east-1"

func (b *bench) token(t testing.TB, user string) string {
	t.Helper()
	password, _, err := b.IssueToken(t.Context(), b.principal(t, user), region)
	if err != nil {
		t.Fatal(err)
	}
	return password
}

func TestToken(t *testing.T) {
	b := newBench(t)
	p := b.principal(t, identity.Pusher)
	password, expires, err := b.IssueToken(t.Context(), p, region)
	if err != nil {
		t.Fatal(err)
	}
	if want := b.now.Add(12 * time.Hour); !expires.Equal(want) {
		t.Errorf("expires %v, want %v", expires, want)
	}
	got, err := b.Tokens(b.store).VerifyToken(t.Context(), password, region)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(p, got, addresses); d != "" {
		t.Errorf("principal (-issued to +verified):\n%s", d)
	}

	// The members of ECR's passwords, as observed.
	text, err := base64.StdEncoding.DecodeString(password)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	if members["version"] != "2" || members["type"] != "DATA_KEY" || members["expiration"] != float64(expires.Unix()) ||
		members["payload"] == "" || members["datakey"] == "" || len(members) != 5 {
		t.Errorf("password is %s", text)
	}
	for _, secret := range []string{p.KeyID, p.UniqueID} {
		payload, err := base64.StdEncoding.DecodeString(members["payload"].(string))
		if err != nil || strings.Contains(string(payload), secret) {
			t.Errorf("the payload tells %s (%v)", secret, err)
		}
	}
	if again := b.token(t, identity.Pusher); again == password {
		t.Error("two tokens are the same")
	}
}

func TestTokenExpires(t *testing.T) {
	b := newBench(t)
	password := b.token(t, identity.Pusher)
	start := b.now
	b.now = start.Add(12*time.Hour - time.Second)
	if _, err := b.Tokens(b.store).VerifyToken(t.Context(), password, region); err != nil {
		t.Errorf("a second before: %v", err)
	}
	b.now = start.Add(12 * time.Hour)
	_, err := b.Tokens(b.store).VerifyToken(t.Context(), password, region)
	wantCode(t, err, ecr.CodeExpiredToken, "Your authorization token has expired. Reauthenticate and try again.")
}

func TestTokenOfAnotherRegion(t *testing.T) {
	b := newBench(t)
	_, err := b.Tokens(b.store).VerifyToken(t.Context(), b.token(t, identity.Pusher), "eu-west-1")
	wantCode(t, err, ecr.CodeAccessDenied,
		"The authorization token was issued for the region 'us-east-1'; this endpoint serves 'eu-west-1'. Reauthenticate and try again.")
}

func TestTokenRevoked(t *testing.T) {
	insertUser := func(ctx context.Context, tx meta.Tx, u meta.User) error {
		u.UniqueID = "AIDA22222222222222222"
		return tx.Identities().InsertUser(ctx, u)
	}
	tests := []struct {
		name   string
		revoke func(ctx context.Context, tx meta.Tx, u meta.User, k meta.AccessKey, tk meta.TokenKey) error
	}{
		{"key switched off", func(ctx context.Context, tx meta.Tx, _ meta.User, k meta.AccessKey, _ meta.TokenKey) error {
			return tx.Identities().SetAccessKeyActive(ctx, k.ID, false)
		}},
		{"key deleted", func(ctx context.Context, tx meta.Tx, _ meta.User, k meta.AccessKey, _ meta.TokenKey) error {
			return tx.Identities().DeleteAccessKey(ctx, k.ID)
		}},
		{"user deleted", func(ctx context.Context, tx meta.Tx, u meta.User, _ meta.AccessKey, _ meta.TokenKey) error {
			return tx.Identities().DeleteUser(ctx, u.UniqueID)
		}},
		{"user deleted and created again", func(ctx context.Context, tx meta.Tx, u meta.User, _ meta.AccessKey, _ meta.TokenKey) error {
			if err := tx.Identities().DeleteUser(ctx, u.UniqueID); err != nil {
				return err
			}
			return insertUser(ctx, tx, u)
		}},
		{"user created again with the same key", func(ctx context.Context, tx meta.Tx, u meta.User, k meta.AccessKey, _ meta.TokenKey) error {
			if err := tx.Identities().DeleteUser(ctx, u.UniqueID); err != nil {
				return err
			}
			if err := insertUser(ctx, tx, u); err != nil {
				return err
			}
			k.UserUniqueID = "AIDA22222222222222222"
			return tx.Identities().InsertAccessKey(ctx, k)
		}},
		{"token key deleted", func(ctx context.Context, tx meta.Tx, _ meta.User, _ meta.AccessKey, tk meta.TokenKey) error {
			return tx.Identities().DeleteTokenKey(ctx, tk.ID)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			password, other := b.token(t, identity.Pusher), b.token(t, identity.Administrator)
			if _, err := b.Tokens(b.store).VerifyToken(t.Context(), password, region); err != nil {
				t.Fatal(err)
			}
			users, keys, tokenKeys := b.everything(t)
			b.update(t, func(ctx context.Context, tx meta.Tx) error {
				return tt.revoke(ctx, tx, users[1], keys[1], tokenKeys[0])
			})
			_, err := b.Tokens(b.store).VerifyToken(t.Context(), password, region)
			wantCode(t, err, ecr.CodeUnrecognizedClient, invalidToken)
			if _, err := b.Tokens(b.store).VerifyToken(t.Context(), other, region); (err == nil) == strings.HasPrefix(tt.name, "token key") {
				t.Errorf("another user's token: %v", err)
			}
		})
	}
}

// Deleting the token keys ends all tokens; the next one is issued under a new
// key.
func TestTokenKeyComesBack(t *testing.T) {
	b := newBench(t)
	old := b.token(t, identity.Pusher)
	_, _, tokenKeys := b.everything(t)
	b.update(t, func(ctx context.Context, tx meta.Tx) error {
		return tx.Identities().DeleteTokenKey(ctx, tokenKeys[0].ID)
	})
	fresh := b.token(t, identity.Pusher)
	if _, err := b.Tokens(b.store).VerifyToken(t.Context(), fresh, region); err != nil {
		t.Error(err)
	}
	_, err := b.Tokens(b.store).VerifyToken(t.Context(), old, region)
	wantCode(t, err, ecr.CodeUnrecognizedClient, invalidToken)
}

// After a new token key was added, tokens of the old one still hold.
func TestTokenKeyRotation(t *testing.T) {
	b := newBench(t)
	old := b.token(t, identity.Pusher)
	b.now = b.now.Add(time.Hour)
	const id = "ABCDEFGHIJKLMNOP"
	b.update(t, func(ctx context.Context, tx meta.Tx) error {
		return tx.Identities().InsertTokenKey(ctx, meta.TokenKey{ID: id, CreatedAt: b.now, Sealed: newKey(t, 1).Seal(identity.KindTokenKey, id, make([]byte, 32))})
	})
	for name, password := range map[string]string{"old": old, "new": b.token(t, identity.Pusher)} {
		if _, err := b.Tokens(b.store).VerifyToken(t.Context(), password, region); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIssueTokenNeedsAKey(t *testing.T) {
	b := newBench(t)
	for _, p := range []access.Principal{{}, {System: "lifecycle"}, {UniqueID: "AIDAX"}} {
		_, _, err := b.IssueToken(t.Context(), p, region)
		wantCode(t, err, ecr.CodeUnrecognizedClient, invalidToken)
	}
}

// No change of a password, anywhere, leaves it valid: neither of its text nor
// of a member. In particular no one prolongs one.
func TestTokenTampering(t *testing.T) {
	b := newBench(t)
	password := b.token(t, identity.Pusher)
	rapid.Check(t, func(rt *rapid.T) {
		changed := []byte(password)
		i := rapid.IntRange(0, len(changed)-1).Draw(rt, "at")
		changed[i] = rapid.Byte().Filter(func(c byte) bool { return c != changed[i] }).Draw(rt, "byte")
		if p, err := b.Tokens(b.store).VerifyToken(t.Context(), string(changed), region); err == nil || ecr.CodeOf(err) != ecr.CodeUnrecognizedClient {
			rt.Fatalf("VerifyToken = %+v, %v", p, err)
		}
	})
	text, err := base64.StdEncoding.DecodeString(password)
	if err != nil {
		t.Fatal(err)
	}
	expires := b.now.Add(12 * time.Hour).Unix()
	for name, edit := range map[string]struct{ old, replacement string }{
		"expiration":    {fmt.Sprint(expires), fmt.Sprint(expires + 86400)},
		"version":       {`"version":"2"`, `"version":"3"`},
		"type":          {`"type":"DATA_KEY"`, `"type":"data_key"`},
		"member added":  {`{"payload"`, `{"x":1,"payload"`},
		"member twice":  {`{"payload"`, `{"version":"2","payload"`},
		"space":         {`{"payload"`, `{ "payload"`},
		"name of case":  {`"payload"`, `"Payload"`},
		"another value": {`"version":"2"`, `"version":"\u0032"`},
	} {
		edited := strings.Replace(string(text), edit.old, edit.replacement, 1)
		if edited == string(text) {
			t.Fatalf("%s: nothing changed in %s", name, text)
		}
		_, err = b.Tokens(b.store).VerifyToken(t.Context(), base64.StdEncoding.EncodeToString([]byte(edited)), region)
		wantCode(t, err, ecr.CodeUnrecognizedClient, invalidToken)
	}
}

func FuzzVerifyToken(f *testing.F) {
	b := newBench(f)
	password, _, err := b.IssueToken(context.Background(), b.principal(f, identity.Pusher), region)
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{password, password[:len(password)-4], "", "e30=", base64.StdEncoding.EncodeToString([]byte(`{"version":"2","type":"DATA_KEY","datakey":""}`))} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, err := b.Tokens(b.store).VerifyToken(t.Context(), s, region)
		if s != password && ecr.CodeOf(err) != ecr.CodeUnrecognizedClient {
			t.Errorf("VerifyToken(%q) = %v", s, err)
		}
	})
}

func BenchmarkVerifyToken(b *testing.B) {
	bench := newBench(b)
	password := bench.token(b, identity.Pusher)
	for b.Loop() {
		if _, err := bench.Tokens(bench.store).VerifyToken(b.Context(), password, region); err != nil {
			b.Fatal(err)
		}
	}
}
