package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const selectRole = `SELECT unique_id, account, name, path, created_at, policies, inline, boundary, tags, description, trust, max_session FROM roles `

func scanRole(rows *sql.Rows) (meta.Role, error) {
	var r meta.Role
	var created, session int64
	var policies, inline, tags string
	err := rows.Scan(&r.UniqueID, &r.Account, &r.Name, &r.Path, &created, &policies, &inline, &r.Boundary, &tags, &r.Description, &r.Trust, &session)
	if err != nil {
		return r, err
	}
	r.CreatedAt, r.MaxSession = fromMicros(created), time.Duration(session)*time.Second
	return r, errors.Join(fromJSON(policies, &r.Policies), fromJSON(inline, &r.Inline), fromJSON(tags, &r.Tags))
}

// Role implements meta.IdentityReader.
func (r identityReader) Role(ctx context.Context, account ecr.AccountID, name string) (meta.Role, error) {
	role, err := one(ctx, r.s, scanRole, selectRole+`WHERE account = $1 AND name = $2`, string(account), name)
	return role, wrap(err, "reading role %s of account %s", name, account)
}

// RoleByID implements meta.IdentityReader.
func (r identityReader) RoleByID(ctx context.Context, uniqueID string) (meta.Role, error) {
	role, err := remembered(r.transaction, areaIdentities, rowKey{what: rowRole, a: uniqueID}, sizeOfRole, func() (meta.Role, error) {
		return one(ctx, r.s, scanRole, selectRole+`WHERE unique_id = $1`, uniqueID)
	})
	return ownRole(role), wrap(err, "reading role %s", uniqueID)
}

// ListRoles implements meta.IdentityReader.
func (r identityReader) ListRoles(ctx context.Context, account ecr.AccountID, after string, limit int) ([]meta.Role, error) {
	all, err := list(ctx, r.s, scanRole, selectRole+`WHERE account = $1 AND name > $2 ORDER BY name LIMIT $3`, string(account), after, limit)
	return all, wrap(err, "listing the roles of account %s", account)
}

// InsertRole implements meta.IdentityWriter.
func (t identityTx) InsertRole(ctx context.Context, r meta.Role) error {
	g, err := encodeGranted(r.Policies, r.Inline, r.Tags)
	if err != nil {
		return err
	}
	n, err := t.s.exec(ctx, `INSERT INTO roles (unique_id, account, name, path, created_at, policies, inline, boundary, tags, description, trust, max_session)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`,
		r.UniqueID, string(r.Account), r.Name, r.Path, micros(r.CreatedAt), g.policies, g.inline, r.Boundary, g.tags,
		r.Description, r.Trust, int64(r.MaxSession/time.Second))
	return wrap(orElse(n, err, meta.ErrExists), "adding role %s to account %s", r.Name, r.Account)
}

// UpdateRole implements meta.IdentityWriter.
func (t identityTx) UpdateRole(ctx context.Context, r meta.Role) error {
	g, err := encodeGranted(r.Policies, r.Inline, r.Tags)
	if err != nil {
		return err
	}
	n, err := t.s.exec(ctx, `UPDATE roles SET path = $2, policies = $3, inline = $4, boundary = $5, tags = $6, description = $7, trust = $8, max_session = $9
		WHERE unique_id = $1`,
		r.UniqueID, r.Path, g.policies, g.inline, r.Boundary, g.tags, r.Description, r.Trust, int64(r.MaxSession/time.Second))
	return wrap(orElse(n, err, meta.ErrNotFound), "changing role %s", r.UniqueID)
}

// DeleteRole implements meta.IdentityWriter.
func (t identityTx) DeleteRole(ctx context.Context, uniqueID string) error {
	n, err := t.s.exec(ctx, `DELETE FROM roles WHERE unique_id = $1`, uniqueID)
	return wrap(orElse(n, err, meta.ErrNotFound), "deleting role %s", uniqueID)
}

const selectPolicy = `SELECT id, account, name, path, description, created_at, updated_at, versions, default_version, last_version, tags FROM managed_policies `

func scanPolicy(rows *sql.Rows) (meta.Policy, error) {
	var p meta.Policy
	var created, updated int64
	var versions, tags string
	err := rows.Scan(&p.ID, &p.Account, &p.Name, &p.Path, &p.Description, &created, &updated, &versions, &p.Default, &p.Last, &tags)
	if err != nil {
		return p, err
	}
	p.CreatedAt, p.UpdatedAt = fromMicros(created), fromMicros(updated)
	var stored map[int]policyVersion
	if err := errors.Join(fromJSON(versions, &stored), fromJSON(tags, &p.Tags)); err != nil {
		return p, err
	}
	p.Versions = make(map[int]meta.PolicyVersion, len(stored))
	for n, v := range stored {
		p.Versions[n] = meta.PolicyVersion{Text: v.Text, CreatedAt: fromMicros(v.At)}
	}
	return p, nil
}

// policyVersion is a version as its column has it.
type policyVersion struct {
	Text string `json:"text"`
	At   int64  `json:"at"`
}

func encodeVersions(versions map[int]meta.PolicyVersion) (string, error) {
	out := make(map[int]policyVersion, len(versions))
	for n, v := range versions {
		out[n] = policyVersion{v.Text, micros(v.CreatedAt)}
	}
	b, err := json.Marshal(out)
	if err != nil {
		return "", fmt.Errorf("encoding policy versions: %w", err)
	}
	return string(b), nil
}

// Policy implements meta.IdentityReader.
func (r identityReader) Policy(ctx context.Context, account ecr.AccountID, name string) (meta.Policy, error) {
	p, err := one(ctx, r.s, scanPolicy, selectPolicy+`WHERE account = $1 AND name = $2`, string(account), name)
	return p, wrap(err, "reading policy %s of account %s", name, account)
}

// Policies implements meta.IdentityReader.
func (r identityReader) Policies(ctx context.Context, ids []string) ([]meta.Policy, error) {
	all, err := list(ctx, r.s, scanPolicy, selectPolicy+`WHERE `+r.s.d.In("id", 1)+` ORDER BY id`, r.s.d.Strings(ids))
	return all, wrap(err, "reading %d policies", len(ids))
}

// ListPolicies implements meta.IdentityReader.
func (r identityReader) ListPolicies(ctx context.Context, account ecr.AccountID, after string, limit int) ([]meta.Policy, error) {
	all, err := list(ctx, r.s, scanPolicy, selectPolicy+`WHERE account = $1 AND name > $2 ORDER BY name LIMIT $3`, string(account), after, limit)
	return all, wrap(err, "listing the policies of account %s", account)
}

// InsertPolicy implements meta.IdentityWriter.
func (t identityTx) InsertPolicy(ctx context.Context, p meta.Policy) error {
	versions, err := encodeVersions(p.Versions)
	tags, terr := toJSON(p.Tags)
	if err := errors.Join(err, terr); err != nil {
		return err
	}
	n, err := t.s.exec(ctx, `INSERT INTO managed_policies (id, account, name, path, description, created_at, updated_at, versions, default_version, last_version, tags)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`,
		p.ID, string(p.Account), p.Name, p.Path, p.Description, micros(p.CreatedAt), micros(p.UpdatedAt), versions, p.Default, p.Last, tags)
	return wrap(orElse(n, err, meta.ErrExists), "adding policy %s to account %s", p.Name, p.Account)
}

// UpdatePolicy implements meta.IdentityWriter.
func (t identityTx) UpdatePolicy(ctx context.Context, p meta.Policy) error {
	versions, err := encodeVersions(p.Versions)
	tags, terr := toJSON(p.Tags)
	if err := errors.Join(err, terr); err != nil {
		return err
	}
	n, err := t.s.exec(ctx, `UPDATE managed_policies SET updated_at = $2, versions = $3, default_version = $4, last_version = $5, tags = $6 WHERE id = $1`,
		p.ID, micros(p.UpdatedAt), versions, p.Default, p.Last, tags)
	return wrap(orElse(n, err, meta.ErrNotFound), "changing policy %s", p.ID)
}

// DeletePolicy implements meta.IdentityWriter. Ids are letters and digits, so
// one in quotes is an element of a JSON list and nothing else.
func (t identityTx) DeletePolicy(ctx context.Context, id string) error {
	there, err := t.s.truth(ctx, `SELECT EXISTS (SELECT 1 FROM managed_policies WHERE id = $1)`, id)
	if err == nil && !there {
		err = meta.ErrNotFound
	}
	for _, table := range []string{"users", "roles"} {
		if err != nil {
			break
		}
		var used bool
		used, err = t.s.truth(ctx, `SELECT EXISTS (SELECT 1 FROM `+table+` h JOIN managed_policies p ON h.account = p.account
			WHERE p.id = $1 AND (h.boundary = p.id OR h.policies LIKE '%"' || p.id || '"%'))`, id)
		if err == nil && used {
			err = meta.ErrReferenced
		}
	}
	if err == nil {
		_, err = t.s.exec(ctx, `DELETE FROM managed_policies WHERE id = $1`, id)
	}
	return wrap(err, "deleting policy %s", id)
}

const selectIssuer = `SELECT account, url, audiences, thumbprints, created_at FROM issuers `

func scanIssuer(rows *sql.Rows) (meta.Issuer, error) {
	var i meta.Issuer
	var created int64
	var audiences, thumbprints string
	if err := rows.Scan(&i.Account, &i.URL, &audiences, &thumbprints, &created); err != nil {
		return i, err
	}
	i.CreatedAt = fromMicros(created)
	return i, errors.Join(fromJSON(audiences, &i.Audiences), fromJSON(thumbprints, &i.Thumbprints))
}

// Issuer implements meta.IdentityReader.
func (r identityReader) Issuer(ctx context.Context, account ecr.AccountID, url string) (meta.Issuer, error) {
	i, err := one(ctx, r.s, scanIssuer, selectIssuer+`WHERE account = $1 AND url = $2`, string(account), url)
	return i, wrap(err, "reading issuer %s of account %s", url, account)
}

// ListIssuers implements meta.IdentityReader.
func (r identityReader) ListIssuers(ctx context.Context, account ecr.AccountID) ([]meta.Issuer, error) {
	all, err := list(ctx, r.s, scanIssuer, selectIssuer+`WHERE account = $1 ORDER BY url`, string(account))
	return all, wrap(err, "listing the issuers of account %s", account)
}

// PutIssuer implements meta.IdentityWriter.
func (t identityTx) PutIssuer(ctx context.Context, i meta.Issuer) error {
	audiences, err := toJSON(i.Audiences)
	thumbprints, terr := toJSON(i.Thumbprints)
	if err := errors.Join(err, terr); err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `INSERT INTO issuers (account, url, audiences, thumbprints, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (account, url) DO UPDATE SET audiences = excluded.audiences, thumbprints = excluded.thumbprints, created_at = excluded.created_at`,
		string(i.Account), i.URL, audiences, thumbprints, micros(i.CreatedAt))
	return wrap(err, "storing issuer %s of account %s", i.URL, i.Account)
}

// DeleteIssuer implements meta.IdentityWriter.
func (t identityTx) DeleteIssuer(ctx context.Context, account ecr.AccountID, url string) error {
	n, err := t.s.exec(ctx, `DELETE FROM issuers WHERE account = $1 AND url = $2`, string(account), url)
	return wrap(orElse(n, err, meta.ErrNotFound), "deleting issuer %s of account %s", url, account)
}
