package identity_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// adminOf is the account's administrator with its credentials.
func adminOf(t *testing.T, b *bench) (access.Principal, identity.Credentials) {
	t.Helper()
	c, err := b.Credentials(t.Context(), account, identity.Administrator)
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.CheckSecret(t.Context(), c.AccessKeyID, c.SecretAccessKey, "")
	if err != nil {
		t.Fatal(err)
	}
	return p, c
}

func TestCheckSecret(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	p, c := adminOf(t, b)
	temporary, err := b.IssueSession(ctx, identity.Session{UniqueID: p.UniqueID, Parent: p.KeyID, Duration: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.CheckSecret(ctx, temporary.AccessKeyID, temporary.SecretAccessKey, temporary.SessionToken); err != nil || got.ARN != p.ARN || got.Session == nil {
		t.Errorf("temporary credentials: %+v, %v", got, err)
	}
	for name, try := range map[string][3]string{
		"another secret":     {c.AccessKeyID, c.SecretAccessKey + "x", ""},
		"no secret":          {c.AccessKeyID, "", ""},
		"another key":        {"AKIAAAAAAAAAAAAAAAAA", c.SecretAccessKey, ""},
		"no key":             {"", "", ""},
		"without the token":  {temporary.AccessKeyID, temporary.SecretAccessKey, ""},
		"a token of another": {c.AccessKeyID, c.SecretAccessKey, temporary.SessionToken},
		"a secret of a user": {temporary.AccessKeyID, c.SecretAccessKey, temporary.SessionToken},
	} {
		if _, err := b.CheckSecret(ctx, try[0], try[1], try[2]); ecr.CodeOf(err) != ecr.CodeUnrecognizedClient {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.now = b.now.Add(time.Hour)
	if _, err := b.CheckSecret(ctx, temporary.AccessKeyID, temporary.SecretAccessKey, temporary.SessionToken); ecr.CodeOf(err) != ecr.CodeExpiredToken {
		t.Errorf("after its time: %v", err)
	}
}

// A session of the console ends with its time, without requests, with a logout, and
// with its access key.
func TestConsoleSession(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	p, c := adminOf(t, b)
	open := func(p access.Principal, link bool) string {
		t.Helper()
		secret, s, err := b.OpenConsole(ctx, p, link)
		if err != nil || s.ID == secret || s.Link != link {
			t.Fatalf("%+v, %v", s, err)
		}
		return secret
	}
	ended := func(name, secret string) {
		t.Helper()
		if got, _, err := b.ConsoleCaller(ctx, secret); !errors.Is(err, identity.ErrNoConsoleSession) || got.ARN != "" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	goes := func(secret string) {
		t.Helper()
		if got, _, err := b.ConsoleCaller(ctx, secret); err != nil || got.ARN != p.ARN {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	ended("no session", "x")
	start := b.now
	secret := open(p, false)
	for b.now.Before(start.Add(identity.ConsoleLifetime)) { // with a request now and then
		goes(secret)
		b.now = b.now.Add(50 * time.Minute)
	}
	ended("after its lifetime", secret)
	secret = open(p, false)
	b.now = b.now.Add(identity.ConsoleIdle)
	ended("without requests", secret)
	secret = open(p, false)
	err := b.store.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		return tx.Identities().DeleteConsoleSession(ctx, identity.ConsoleID(secret))
	})
	if err != nil {
		t.Fatal(err)
	}
	ended("logged out", secret)

	temporary, err := b.IssueSession(ctx, identity.Session{UniqueID: p.UniqueID, Parent: p.KeyID, Duration: 15 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	short, err := b.CheckSecret(ctx, temporary.AccessKeyID, temporary.SecretAccessKey, temporary.SessionToken)
	if err != nil {
		t.Fatal(err)
	}
	secret = open(short, false)
	goes(secret)
	b.now = b.now.Add(15 * time.Minute)
	ended("with its credentials", secret)

	// For good with the key, whose temporary credentials it may have come with.
	if temporary, err = b.IssueSession(ctx, identity.Session{UniqueID: p.UniqueID, Parent: p.KeyID, Duration: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if short, err = b.CheckSecret(ctx, temporary.AccessKeyID, temporary.SecretAccessKey, temporary.SessionToken); err != nil {
		t.Fatal(err)
	}
	before := map[string]string{"of a key": open(p, false), "of its temporary credentials": open(short, false)}
	for _, active := range []bool{false, true} {
		for _, secret := range before {
			if !active {
				goes(secret)
			}
		}
		err = b.store.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
			return tx.Identities().SetAccessKeyActive(ctx, c.AccessKeyID, active)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, secret := range before {
		ended(name+" that is on again", secret)
	}

	secret, link := open(p, false), open(p, true)
	err = b.store.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		return tx.Identities().SetAccessKeyActive(ctx, c.AccessKeyID, false)
	})
	if err != nil {
		t.Fatal(err)
	}
	ended("of a key that is off", secret)
	if _, err := b.TakeLink(ctx, link); !errors.Is(err, identity.ErrNoConsoleSession) {
		t.Errorf("link of a key that is off: %v", err)
	}
	machine, limited := p, p
	machine.Token = &access.MachineToken{}
	limited.Session = &access.Session{}
	for name, p := range map[string]access.Principal{"a job": {System: "job"}, "a key that is off": p, "a machine token": machine, "a session without its token": limited} {
		if _, _, err := b.OpenConsole(ctx, p, false); ecr.CodeOf(err) != ecr.CodeUnrecognizedClient {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A link can be opened once, in its time, and is no session.
func TestConsoleLink(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	p, _ := adminOf(t, b)
	link, _, err := b.OpenConsole(ctx, p, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.ConsoleCaller(ctx, link); !errors.Is(err, identity.ErrNoConsoleSession) {
		t.Errorf("a link as a cookie: %v", err)
	}
	for range 2 { // looking at it does not use it up
		if got, err := b.LinkCaller(ctx, link); err != nil || got.ARN != p.ARN {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	taken := make(chan error)
	for range 4 {
		go func() { _, err := b.TakeLink(ctx, link); taken <- err }()
	}
	times := 0
	for range 4 {
		switch err := <-taken; {
		case err == nil:
			times++
		case !errors.Is(err, identity.ErrNoConsoleSession):
			t.Error(err)
		}
	}
	if times != 1 {
		t.Errorf("opened %d times", times)
	}
	if link, _, err = b.OpenConsole(ctx, p, true); err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(identity.ConsoleLinkTime)
	if _, err := b.TakeLink(ctx, link); !errors.Is(err, identity.ErrNoConsoleSession) {
		t.Errorf("after its time: %v", err)
	}
	session, _, err := b.OpenConsole(ctx, p, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.TakeLink(ctx, session); !errors.Is(err, identity.ErrNoConsoleSession) {
		t.Errorf("a session as a link: %v", err)
	}
}
