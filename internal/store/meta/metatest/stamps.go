package metatest

import (
	"context"
	"reflect"
	"slices"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// identityChanges are calls of every method of meta.IdentityWriter, in an order in
// which each changes something.
func identityChanges() []struct {
	name   string
	change func(ctx context.Context, tx meta.IdentityTx) error
} {
	u := meta.User{UniqueID: "AIDA1", Account: account, Name: "ann", CreatedAt: noon}
	r := meta.Role{UniqueID: "AROA1", Account: account, Name: "ci", CreatedAt: noon, Trust: "{}"}
	p := meta.Policy{ID: "ANPA1", Account: account, Name: "p", CreatedAt: noon, UpdatedAt: noon, Versions: map[int]meta.PolicyVersion{1: {Text: "{}", CreatedAt: noon}}, Default: 1, Last: 1}
	i := meta.Issuer{Account: account, URL: "https://token.example.com", CreatedAt: noon}
	k := meta.AccessKey{ID: "AKIA1", UserUniqueID: u.UniqueID, Sealed: []byte{1}, Active: true, CreatedAt: noon}
	t := meta.TokenKey{ID: "t1", Sealed: []byte{1}, CreatedAt: noon}
	return []struct {
		name   string
		change func(ctx context.Context, tx meta.IdentityTx) error
	}{
		{"InsertUser", func(ctx context.Context, tx meta.IdentityTx) error { return tx.InsertUser(ctx, u) }},
		{"UpdateUser", func(ctx context.Context, tx meta.IdentityTx) error { u.Path = "/a/"; return tx.UpdateUser(ctx, u) }},
		{"InsertRole", func(ctx context.Context, tx meta.IdentityTx) error { return tx.InsertRole(ctx, r) }},
		{"UpdateRole", func(ctx context.Context, tx meta.IdentityTx) error { r.Path = "/a/"; return tx.UpdateRole(ctx, r) }},
		{"InsertPolicy", func(ctx context.Context, tx meta.IdentityTx) error { return tx.InsertPolicy(ctx, p) }},
		{"UpdatePolicy", func(ctx context.Context, tx meta.IdentityTx) error {
			p.Tags = map[string]string{"a": "b"}
			return tx.UpdatePolicy(ctx, p)
		}},
		{"PutIssuer", func(ctx context.Context, tx meta.IdentityTx) error { return tx.PutIssuer(ctx, i) }},
		{"InsertAccessKey", func(ctx context.Context, tx meta.IdentityTx) error { return tx.InsertAccessKey(ctx, k) }},
		{"SetAccessKeyActive", func(ctx context.Context, tx meta.IdentityTx) error { return tx.SetAccessKeyActive(ctx, k.ID, false) }},
		{"RecordKeyUse", func(ctx context.Context, tx meta.IdentityTx) error {
			return tx.RecordKeyUse(ctx, k.ID, meta.KeyUse{At: noon, Service: "ecr"})
		}},
		{"InsertTokenKey", func(ctx context.Context, tx meta.IdentityTx) error { return tx.InsertTokenKey(ctx, t) }},
		{"DeleteTokenKey", func(ctx context.Context, tx meta.IdentityTx) error { return tx.DeleteTokenKey(ctx, t.ID) }},
		{"DeleteAccessKey", func(ctx context.Context, tx meta.IdentityTx) error { return tx.DeleteAccessKey(ctx, k.ID) }},
		{"DeleteIssuer", func(ctx context.Context, tx meta.IdentityTx) error { return tx.DeleteIssuer(ctx, i.Account, i.URL) }},
		{"DeletePolicy", func(ctx context.Context, tx meta.IdentityTx) error { return tx.DeletePolicy(ctx, p.ID) }},
		{"DeleteRole", func(ctx context.Context, tx meta.IdentityTx) error { return tx.DeleteRole(ctx, r.UniqueID) }},
		{"DeleteUser", func(ctx context.Context, tx meta.IdentityTx) error { return tx.DeleteUser(ctx, u.UniqueID) }},
	}
}

func identityStamp(t *testing.T, s meta.Store) string {
	t.Helper()
	at := read(t, s, func(ctx context.Context, r meta.Reader) (string, error) { return r.Identities().Stamp(ctx), nil })
	if now, err := s.IdentityStamp(t.Context()); err != nil || now != at {
		t.Errorf("the stamp is %x in a transaction, and %x outside of it, %v", at, now, err)
	}
	return at
}

func identityStamps(t *testing.T, s meta.Store) { replicasStamps(t, s, s) }

// replicasStamps: what one Store changes of the identities gives both another stamp,
// and nothing else does. A Store may have no stamps.
func replicasStamps(t *testing.T, a, b meta.Store) {
	if identityStamp(t, a) == "" {
		t.Log("this store has no stamps")
		return
	}
	changes := identityChanges()
	// These have no part in what a user or role may do, and are read each time.
	apart := []string{
		"InsertConsoleSession", "UseConsoleSession", "DeleteConsoleSession", "DeleteExpiredConsoleSessions",
		"InsertMachineToken", "RecordTokenUse", "DeleteMachineToken",
	}
	writer := reflect.TypeFor[meta.IdentityWriter]()
	for i := range writer.NumMethod() {
		if name := writer.Method(i).Name; !slices.Contains(apart, name) && !slices.ContainsFunc(changes, func(c struct {
			name   string
			change func(ctx context.Context, tx meta.IdentityTx) error
		}) bool {
			return c.name == name
		}) {
			t.Errorf("%s is not tested", name)
		}
	}
	seen := map[string]string{identityStamp(t, b): "the beginning"}
	for _, c := range changes {
		before := identityStamp(t, b)
		var within string
		update(t, a, func(ctx context.Context, tx meta.Tx) error {
			err := c.change(ctx, tx.Identities())
			within = tx.Identities().Stamp(ctx)
			return err
		})
		after := identityStamp(t, b)
		if c.name == "RecordKeyUse" {
			if after != before {
				t.Error("the use of a key gives another stamp")
			}
			continue
		}
		if earlier, again := seen[after]; again || after == "" {
			t.Errorf("%s: the stamp is that of %s", c.name, earlier)
		}
		if within != "" {
			t.Errorf("%s: the transaction that changes has the stamp of what was committed", c.name)
		}
		seen[after] = c.name
	}
	last := identityStamp(t, b)
	repo := newRepository(t, a, "app")
	newBlob(t, a, repo, "layer")
	refused(t, a, meta.ErrNotFound, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteTag(ctx, repo, "none") })
	if identityStamp(t, b) != last || identityStamp(t, a) != last {
		t.Error("a repository gives another stamp")
	}
}

// rememberedRows: what was read is what was read in the same snapshot, and never what
// it was before a change that was reported as done, whichever Store did it.
func rememberedRows(t *testing.T, s meta.Store) { replicasRows(t, s, s) }

func replicasRows(t *testing.T, a, b meta.Store) {
	at := ecr.RegistryID{Account: account, Region: "us-east-1"}
	repo := newRepository(t, a, "app")
	row := func() (meta.Repository, error) {
		return tryRead(t, b, func(ctx context.Context, r meta.Reader) (meta.Repository, error) { return r.Repository(ctx, at, "app") })
	}
	for _, text := range []string{"one", "two", ""} {
		for range 2 { // read, and remembered
			have, err := row()
			if err != nil {
				t.Fatal(err)
			}
			if have.Tags != nil {
				have.Tags["own"] = "a reader's own" // which no other sees
			}
		}
		have, err := row()
		if err != nil || have.ID != repo || len(have.Tags) > 1 {
			t.Fatalf("%+v, %v", have, err)
		}
		have.PolicyText, have.Tags = text, map[string]string{"text": text}
		update(t, a, func(ctx context.Context, tx meta.Tx) error {
			if err := tx.UpdateRepository(ctx, have); err != nil {
				return err
			}
			mine, err := tx.Repository(ctx, at, "app")
			if mine.PolicyText != text {
				t.Errorf("within the transaction that set it to %q: %q", text, mine.PolicyText)
			}
			return err
		})
		if now, err := row(); err != nil || now.PolicyText != text {
			t.Errorf("after it was set to %q: %q, %v", text, now.PolicyText, err)
		}
		update(t, a, func(ctx context.Context, tx meta.Tx) error {
			return tx.Registries().PutRegistrySettings(ctx, at, meta.RegistrySettings{PolicyText: text})
		})
		settings := read(t, b, func(ctx context.Context, r meta.Reader) (meta.RegistrySettings, error) {
			return r.Registries().RegistrySettings(ctx, at)
		})
		if settings.PolicyText != text {
			t.Errorf("settings after they were set to %q: %q", text, settings.PolicyText)
		}
	}

	first, second := digest("first"), digest("second")
	find := func() (meta.Manifest, error) {
		return tryRead(t, b, func(ctx context.Context, r meta.Reader) (meta.Manifest, error) {
			return r.FindImage(ctx, repo, ecr.ImageID{Tag: "v1"})
		})
	}
	update(t, a, func(ctx context.Context, tx meta.Tx) error {
		for _, d := range []ecr.Digest{first, second} {
			if err := tx.InsertManifest(ctx, meta.Manifest{Repository: repo, Image: ecr.Image{Digest: d, PushedAt: noon}, Body: []byte("{}")}); err != nil {
				return err
			}
		}
		return nil
	})
	for _, d := range []ecr.Digest{first, second, first} {
		update(t, a, func(ctx context.Context, tx meta.Tx) error {
			return tx.PutTag(ctx, repo, meta.TagRow{Tag: "v1", Digest: d, TaggedAt: noon}, true)
		})
		for range 2 {
			if m, err := find(); err != nil || m.Image.Digest != d {
				t.Errorf("the tag moved to %s: %s, %v", d, m.Image.Digest, err)
			}
		}
	}
	// A snapshot that was opened before goes on seeing what was there.
	old, end, err := b.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	if m, err := old.FindImage(t.Context(), repo, ecr.ImageID{Tag: "v1"}); err != nil || m.Image.Digest != first {
		t.Errorf("%s, %v", m.Image.Digest, err)
	}
	update(t, a, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteRepository(ctx, repo) })
	refusedRead(t, row)
	refusedRead(t, find)
	if m, err := old.FindImage(t.Context(), repo, ecr.ImageID{Tag: "v1"}); err != nil || m.Image.Digest != first {
		t.Errorf("an older snapshot: %s, %v", m.Image.Digest, err)
	}
	if r, err := old.Repository(t.Context(), at, "app"); err != nil || r.ID != repo {
		t.Errorf("an older snapshot: %v, %v", r.ID, err)
	}
	if again := newRepository(t, a, "app"); again == repo {
		t.Error("an id was used again")
	} else if have, err := row(); err != nil || have.ID != again {
		t.Errorf("a repository of the same name: %d, want %d, %v", have.ID, again, err)
	}
}

func refusedRead[T any](t *testing.T, call func() (T, error)) {
	t.Helper()
	for range 2 {
		if v, err := call(); err == nil {
			t.Errorf("there is %+v still", v)
		}
	}
}
