package metatest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

func creationTemplates(t *testing.T, s meta.Store) {
	insert := func(tx meta.Tx) func(context.Context, meta.CreationTemplate) error {
		return tx.Registries().InsertCreationTemplate
	}
	put := func(tx meta.Tx) func(context.Context, meta.CreationTemplate) error {
		return tx.Registries().UpdateCreationTemplate
	}
	list := func(in ecr.RegistryID, after string, limit int) []meta.CreationTemplate {
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.CreationTemplate, error) {
			return r.Registries().ListCreationTemplates(ctx, in, after, limit)
		})
	}
	diff(t, []meta.CreationTemplate(nil), list(registry, "", 10))
	full := meta.CreationTemplate{Registry: registry, Prefix: "team/app", CreatedAt: noon, UpdatedAt: noon, TemplateSettings: meta.TemplateSettings{
		Given: "team/app/", Description: "for ü", Encryption: ecr.Encryption{Type: "KMS", KMSKey: "arn:aws:kms:us-east-1:000000000000:key/1"},
		Mutability: ecr.Mutability{Mode: ecr.ImmutableWithExclusion, Filters: []string{"latest"}}, Tags: map[string]string{"team": "a"},
		Policy: `{"a": "<ü>"}`, Lifecycle: `{"rules": []}`, AppliedFor: []ecr.CreationReason{ecr.CreateOnPush}, RoleARN: "arn:aws:iam::000000000000:role/r",
	}}
	root := meta.CreationTemplate{Registry: registry, Prefix: ecr.RootPrefix, CreatedAt: noon, UpdatedAt: noon}
	away := meta.CreationTemplate{Registry: other, Prefix: "team/app", CreatedAt: noon, UpdatedAt: noon}
	for _, c := range []meta.CreationTemplate{full, root, away} {
		update(t, s, change(insert, c))
	}
	refused(t, s, meta.ErrExists, change(insert, meta.CreationTemplate{Registry: registry, Prefix: "team/app", CreatedAt: noon, UpdatedAt: noon}))
	diff(t, []meta.CreationTemplate{root, full}, list(registry, "", 10)) // capitals come before
	diff(t, []meta.CreationTemplate{root}, list(registry, "", 1))
	diff(t, []meta.CreationTemplate{full}, list(registry, "ROOT", 10))
	diff(t, []meta.CreationTemplate{full}, read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.CreationTemplate, error) {
		return r.Registries().CreationTemplates(ctx, registry, []string{"team/app", "team/app", "none"})
	}))

	full.Policy, full.UpdatedAt = "", noon.Add(time.Hour)
	update(t, s, change(put, full))
	diff(t, []meta.CreationTemplate{full}, list(registry, "ROOT", 10))
	diff(t, []meta.CreationTemplate{away}, list(other, "", 10))
	refused(t, s, meta.ErrNotFound, change(put, meta.CreationTemplate{Registry: registry, Prefix: "none"}))

	gone := func(ctx context.Context, tx meta.Tx) error {
		return tx.Registries().DeleteCreationTemplate(ctx, registry, "team/app")
	}
	update(t, s, gone)
	refused(t, s, meta.ErrNotFound, gone)
	diff(t, []meta.CreationTemplate{root}, list(registry, "", 10))
	diff(t, []meta.CreationTemplate{away}, list(other, "", 10))
}

func machineTokens(t *testing.T, s meta.Store) {
	insert := func(tx meta.Tx) func(context.Context, meta.MachineToken) error {
		return tx.Identities().InsertMachineToken
	}
	for i := range 2 {
		update(t, s, change(insertUser, meta.User{UniqueID: fmt.Sprint("AIDA", i), Account: account, Name: fmt.Sprint("user", i), CreatedAt: noon}))
	}
	list := func(user string) []meta.MachineToken {
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.MachineToken, error) {
			return r.Identities().ListMachineTokens(ctx, user)
		})
	}
	flux := meta.MachineToken{ID: "AMTK1", UserUniqueID: "AIDA0", Name: "flux", Hash: []byte{0, 1}, CreatedAt: noon}
	argo := meta.MachineToken{ID: "AMTK2", UserUniqueID: "AIDA0", Name: "Argo", Hash: []byte{2}, Policy: "{}", CreatedAt: noon, ExpiresAt: noon.Add(time.Hour)}
	same := meta.MachineToken{ID: "AMTK3", UserUniqueID: "AIDA1", Name: "flux", Hash: []byte{3}, CreatedAt: noon}
	for _, m := range []meta.MachineToken{flux, argo, same} {
		update(t, s, change(insert, m))
	}
	diff(t, []meta.MachineToken{argo, flux}, list("AIDA0")) // byte order
	for name, m := range map[string]meta.MachineToken{
		"id":                {ID: "AMTK1", UserUniqueID: "AIDA1", Name: "new"},
		"name":              {ID: "AMTK4", UserUniqueID: "AIDA0", Name: "flux"},
		"other letter case": {ID: "AMTK4", UserUniqueID: "AIDA0", Name: "FLUX"},
	} {
		t.Run(name+" in use", func(t *testing.T) {
			m.Hash, m.CreatedAt = []byte{1}, noon
			refused(t, s, meta.ErrExists, change(insert, m))
		})
	}
	refused(t, s, meta.ErrReferenced, change(insert, meta.MachineToken{ID: "AMTK5", UserUniqueID: "AIDA9", Name: "x", Hash: []byte{1}, CreatedAt: noon}))

	use := func(at time.Time, from string) {
		update(t, s, func(ctx context.Context, tx meta.Tx) error {
			return tx.Identities().RecordTokenUse(ctx, "AMTK1", meta.TokenUse{At: at, From: from})
		})
	}
	use(noon.Add(time.Hour), "192.0.2.1")
	use(noon, "192.0.2.2") // of a replica that was slow
	flux.LastUsed = meta.TokenUse{At: noon.Add(time.Hour), From: "192.0.2.1"}
	get := func(ctx context.Context, r meta.Reader) (meta.MachineToken, error) {
		return r.Identities().MachineToken(ctx, "AMTK1")
	}
	diff(t, flux, read(t, s, get))

	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Identities().DeleteMachineToken(ctx, "AMTK1") })
	refused(t, s, meta.ErrNotFound, func(ctx context.Context, tx meta.Tx) error { return tx.Identities().DeleteMachineToken(ctx, "AMTK1") })
	use(noon, "gone")
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Identities().DeleteUser(ctx, "AIDA0") })
	diff(t, []meta.MachineToken(nil), list("AIDA0"))
	diff(t, []meta.MachineToken{same}, list("AIDA1"))
}
