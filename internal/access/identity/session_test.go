package identity_test

import (
	"context"
	"encoding/base64"
	"errors"
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

var testRole = meta.Role{
	UniqueID: "AROA22222222222222222", Account: account, Name: "ci", Path: "/ci/", Trust: "{}", MaxSession: time.Hour,
	Policies: []string{access.PolicyPushPull}, Inline: map[string]string{"own": `{"a":1}`}, Tags: map[string]string{"Team": "a", "x": "y"},
}

// roleSession makes a role and a session of it.
func (b *bench) roleSession(t testing.TB) identity.Temporary {
	t.Helper()
	b.update(t, func(ctx context.Context, tx meta.Tx) error {
		err := tx.Identities().InsertRole(ctx, testRole)
		if errors.Is(err, meta.ErrExists) {
			return nil
		}
		return err
	})
	s, err := b.IssueSession(t.Context(), identity.Session{
		UniqueID: testRole.UniqueID, Name: "work", Policy: `{"b":2}`, Tags: map[string]string{"team": "b"}, Transitive: []string{"team"},
		SourceIdentity: "ann", Duration: 15 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRoleSession(t *testing.T) {
	b := newBench(t)
	s := b.roleSession(t)
	p, secret, err := b.LookupSession(t.Context(), s.AccessKeyID, s.SessionToken)
	if err != nil || secret != s.SecretAccessKey {
		t.Fatal(err)
	}
	p.Session.Token = nil
	want := access.Principal{
		Account: account, ARN: "arn:aws:sts::111122223333:assumed-role/ci/work", UniqueID: testRole.UniqueID + ":work", KeyID: s.AccessKeyID,
		Policies: testRole.Policies, Documents: []access.Document{{Name: "inline policy own", Text: `{"a":1}`}},
		Tags: map[string]string{"team": "b", "x": "y"},
		Session: &access.Session{
			RoleARN: "arn:aws:iam::111122223333:role/ci/ci", Policies: []access.Document{{Name: "session policy", Text: `{"b":2}`}},
			IssuedAt: b.now, SourceIdentity: "ann", TransitiveTags: []string{"team"},
		},
	}
	if d := cmp.Diff(want, p, addresses); d != "" {
		t.Errorf("principal (-want +got):\n%s", d)
	}
	if strings.Contains(s.SessionToken, s.SecretAccessKey) || s.SessionToken == b.roleSession(t).SessionToken {
		t.Error("the token tells its secret, or is that of another session")
	}
	b.now = b.now.Add(15*time.Minute - time.Second)
	if _, _, err := b.LookupSession(t.Context(), s.AccessKeyID, s.SessionToken); err != nil {
		t.Errorf("a second before the end: %v", err)
	}
	b.now = b.now.Add(time.Second)
	_, _, err = b.LookupSession(t.Context(), s.AccessKeyID, s.SessionToken)
	wantCode(t, err, ecr.CodeExpiredToken, "The security token included in the request is expired")
}

// A docker token of a session knows what the session may, and ends with it.
func TestDockerTokenOfSession(t *testing.T) {
	b := newBench(t)
	s := b.roleSession(t)
	p, _, err := b.LookupSession(t.Context(), s.AccessKeyID, s.SessionToken)
	if err != nil {
		t.Fatal(err)
	}
	password, expires, err := b.IssueToken(t.Context(), p, region)
	if err != nil || !expires.Equal(s.Expires) {
		t.Fatalf("expires %v, %v", expires, err)
	}
	got, err := b.Tokens(b.store).VerifyToken(t.Context(), password, region)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(p, got, addresses); d != "" {
		t.Errorf("principal (-issued to +verified):\n%s", d)
	}
	b.update(t, func(ctx context.Context, tx meta.Tx) error { return tx.Identities().DeleteRole(ctx, testRole.UniqueID) })
	_, err = b.Tokens(b.store).VerifyToken(t.Context(), password, region)
	wantCode(t, err, ecr.CodeUnrecognizedClient, invalidToken)
}

func TestPackedPolicy(t *testing.T) {
	b := newBench(t)
	tags := map[string]string{}
	for i := range 50 {
		tags[strings.Repeat(string(rune('a'+i%26)), i+1)] = rapid.StringMatching(`[a-zA-Z0-9]{200}`).Example(i)
	}
	_, err := b.IssueSession(t.Context(), identity.Session{UniqueID: "AROA", Name: "n", Tags: tags, Duration: time.Hour})
	if ecr.CodeOf(err) != identity.CodePackedPolicyTooLarge {
		t.Errorf("IssueSession = %v", err)
	}
	// The longest that is accepted goes through as session token and as docker
	// password.
	b.update(t, func(ctx context.Context, tx meta.Tx) error { return tx.Identities().InsertRole(ctx, testRole) })
	var s identity.Temporary
	for len(tags) > 0 {
		s, err = b.IssueSession(t.Context(), identity.Session{UniqueID: testRole.UniqueID, Name: "n", Tags: tags, Duration: time.Hour})
		if err == nil {
			break
		}
		for k := range tags {
			delete(tags, k)
			break
		}
	}
	p, _, err := b.LookupSession(t.Context(), s.AccessKeyID, s.SessionToken)
	if err != nil || s.Packed < 80 {
		t.Fatalf("packed %d%%: %v", s.Packed, err)
	}
	password, _, err := b.IssueToken(t.Context(), p, region)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Tokens(b.store).VerifyToken(t.Context(), password, region); err != nil {
		t.Errorf("a password of %d bytes: %v", len(password), err)
	}
}

// No change of a token leaves it valid.
func TestSessionTokenTampering(t *testing.T) {
	b := newBench(t)
	s := b.roleSession(t)
	rapid.Check(t, func(rt *rapid.T) {
		changed := []byte(s.SessionToken)
		i := rapid.IntRange(0, len(changed)-1).Draw(rt, "at")
		changed[i] = rapid.Byte().Filter(func(c byte) bool { return c != changed[i] }).Draw(rt, "byte")
		if p, _, err := b.LookupSession(t.Context(), s.AccessKeyID, string(changed)); ecr.CodeOf(err) != ecr.CodeUnrecognizedClient {
			rt.Fatalf("LookupSession = %+v, %v", p, err)
		}
	})
	// A docker password is not a session token, and the other way round.
	password := b.token(t, identity.Pusher)
	_, _, err := b.LookupSession(t.Context(), s.AccessKeyID, password)
	wantCode(t, err, ecr.CodeUnrecognizedClient, invalidToken)
	_, err = b.Tokens(b.store).VerifyToken(t.Context(), s.SessionToken, region)
	wantCode(t, err, ecr.CodeUnrecognizedClient, invalidToken)
}

func FuzzLookupSession(f *testing.F) {
	b := newBench(f)
	s := b.roleSession(f)
	for _, seed := range []string{s.SessionToken, "", "x", s.SessionToken[4:], base64.StdEncoding.EncodeToString(make([]byte, 40)), s.SessionToken + "\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		_, _, err := b.LookupSession(t.Context(), s.AccessKeyID, token)
		if token != s.SessionToken && ecr.CodeOf(err) != ecr.CodeUnrecognizedClient {
			t.Errorf("LookupSession(%q) = %v", token, err)
		}
	})
}
