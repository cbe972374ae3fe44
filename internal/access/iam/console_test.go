package iam_test

import (
	"slices"
	"testing"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// A user without permissions opens, sees and ends its own sessions, on record with the
// console's name. Sessions of other users need permission, and those of other accounts
// do not exist.
func TestSessionsOfTheConsole(t *testing.T) {
	w := open(t, audit.Changes)
	ctx := t.Context()
	p := w.nobody
	p.Request.Via = "console"
	_, own, err := w.Console(p).Open(ctx, false)
	if err != nil {
		t.Fatal(err)
	}
	got := w.records()
	if !slices.Equal(actions(got), []string{"kontor:OpenConsole"}) || got[0].Via != "console" || got[0].Principal != w.nobody.ARN {
		t.Errorf("on record: %+v", got)
	}
	_, admins, err := w.Console(w.admin).Open(ctx, true)
	if err != nil {
		t.Fatal(err)
	}
	ids := func(p access.Principal, all bool) (out []string) {
		t.Helper()
		list, err := w.Console(p).Sessions(ctx, all, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			out = append(out, s.ID)
		}
		slices.Sort(out)
		return out
	}
	both := []string{own.ID, admins.ID}
	slices.Sort(both)
	if got := ids(w.nobody, false); !slices.Equal(got, []string{own.ID}) {
		t.Errorf("own: %q", got)
	}
	if got := ids(w.admin, true); !slices.Equal(got, both) {
		t.Errorf("all: %q", got)
	}
	w.records()
	_, err = w.Console(w.nobody).Sessions(ctx, true, "", 10)
	wantCode(t, err, ecr.CodeAccessDenied, "kontor:ListConsoleSessions")
	wantCode(t, w.Console(w.nobody).End(ctx, admins.ID), ecr.CodeAccessDenied, "kontor:EndConsoleSession")
	if got := actions(w.records()); !slices.Equal(got, []string{"!kontor:ListConsoleSessions", "!kontor:EndConsoleSession"}) {
		t.Errorf("on record: %q", got)
	}
	foreign := w.principal(other, identity.Administrator)
	if got := ids(foreign, true); got != nil {
		t.Errorf("of another account: %q", got)
	}
	wantCode(t, w.Console(foreign).End(ctx, own.ID), iam.CodeNoSuchEntity)
	if err := w.Console(w.nobody).End(ctx, own.ID); err != nil {
		t.Error(err)
	}
	if err := w.Console(w.admin).End(ctx, admins.ID); err != nil {
		t.Error(err)
	}
	if got := ids(w.admin, true); got != nil {
		t.Errorf("after their end: %q", got)
	}
}

// Sessions whose time is over are not listed, and do not shorten pages.
func TestSessionsThatHaveEndedAreNotListed(t *testing.T) {
	w := open(t, audit.Changes)
	ctx := t.Context()
	begin := func(n int) (ids []string) {
		t.Helper()
		for range n {
			_, s, err := w.Console(w.nobody).Open(ctx, false)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, s.ID)
		}
		slices.Sort(ids)
		return ids
	}
	begin(10)
	if _, _, err := w.Console(w.nobody).Open(ctx, true); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(identity.ConsoleIdle)
	want := begin(3)
	var got []string
	for after, n := "", 2; n == 2; {
		list, err := w.Console(w.nobody).Sessions(ctx, false, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			got, after = append(got, s.ID), s.ID
		}
		n = len(list)
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %q, of %q", got, want)
	}
}
