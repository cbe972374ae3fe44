package sqlstore

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/kontor-registry/kontor/internal/memo"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// rowTable keeps rows that requests read again and again, for the stamp of their area.
type rowTable = memo.Table[rowKey, stamp, any]

// rowBytes bounds the memory of the rows that are kept.
const rowBytes = 16 << 20

// rowKey is what was asked for.
type rowKey struct {
	what    question
	a, b, c string
	repo    meta.RepositoryID
}

type question int8

const (
	rowTokenKeys question = iota
	rowUser
	rowRole
	rowRepository
	rowRegistry
	rowImageByTag
	rowImageByDigest
	rowBlob
	rowContent
)

// remembered is what read returns, or what it returned in another transaction that saw
// the same of the area. Errors are not remembered.
func remembered[T any](t *transaction, a area, key rowKey, size func(T) int, read func() (T, error)) (T, error) {
	at := t.s.stamp(a)
	if at == (stamp{}) {
		return read()
	}
	if v, ok := t.rows.Get(key, at); ok {
		return v.(T), nil // the key says what it is
	}
	v, err := read()
	if err == nil && !t.s.hot && at == t.s.stamp(a) { // a hot one may see a later moment
		t.rows.Put(key, at, v, size(v))
	}
	return v, err
}

// What is kept is shared, so each reader gets maps and lists of its own.

func ownRepository(r meta.Repository) meta.Repository {
	r.Tags, r.Mutability.Filters = maps.Clone(r.Tags), slices.Clone(r.Mutability.Filters)
	return r
}

func ownSettings(s meta.RegistrySettings) meta.RegistrySettings {
	s.Settings = maps.Clone(s.Settings)
	return s
}

func ownUser(u meta.User) meta.User {
	u.Policies, u.Inline, u.Tags = slices.Clone(u.Policies), maps.Clone(u.Inline), maps.Clone(u.Tags)
	return u
}

func ownRole(r meta.Role) meta.Role {
	r.Policies, r.Inline, r.Tags = slices.Clone(r.Policies), maps.Clone(r.Inline), maps.Clone(r.Tags)
	return r
}

// The sizes are what a row needs in memory, about.

func sizeOfMap(m map[string]string) (n int) {
	for k, v := range m {
		n += len(k) + len(v) + 64
	}
	return n
}

func sizeOfList(list []string) (n int) {
	for _, v := range list {
		n += len(v) + 16
	}
	return n
}

func sizeOfRepository(r meta.Repository) int {
	return 512 + len(r.PolicyText) + len(r.LifecycleText) + sizeOfMap(r.Tags) + 64*len(r.Mutability.Filters)
}

func sizeOfSettings(s meta.RegistrySettings) int {
	return 128 + len(s.PolicyText) + sizeOfMap(s.Settings)
}

func sizeOfUser(u meta.User) int {
	return 512 + sizeOfList(u.Policies) + sizeOfMap(u.Inline) + sizeOfMap(u.Tags)
}

func sizeOfRole(r meta.Role) int {
	return 512 + len(r.Trust) + len(r.Description) + sizeOfList(r.Policies) + sizeOfMap(r.Inline) + sizeOfMap(r.Tags)
}

func sizeOfKeys(keys []meta.TokenKey) int { return 64 + 256*len(keys) }

func sizeOfImage(m meta.Manifest) int {
	return 768 + len(m.Image.MediaType) + len(m.Image.ArtifactMediaType)
}

func sizeOfBlob(meta.Blob) int { return 384 }

// Stamp implements meta.IdentityReader.
func (r identityReader) Stamp(context.Context) string { return r.s.stamp(areaIdentities).text() }

// text is "" for a state that is not known.
func (s stamp) text() string {
	if s == (stamp{}) {
		return ""
	}
	return string(s[:])
}

// IdentityStamp implements meta.Store.
func (s *Store) IdentityStamp(ctx context.Context) (string, error) {
	if s.changes != nil {
		return s.changes.now()[areaIdentities].text(), nil
	}
	if s.d.IdentityStamp == "" {
		return "", nil
	}
	var now []byte
	sess, err := s.views.open(ctx, func(ctx context.Context, sess *session) error {
		_, err := sess.queryRow(ctx, []any{&now}, s.d.IdentityStamp)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("reading the stamp of the identities: %w", err)
	}
	s.views.giveBack(sess)
	if len(now) != len(stamp{}) {
		return "", nil
	}
	return stamp(now).text(), nil
}
