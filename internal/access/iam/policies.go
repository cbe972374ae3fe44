package iam

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/policy"
)

// ManagedPolicy is a managed policy of the account or of everybody.
type ManagedPolicy struct {
	meta.Policy
	ARN         string
	AWS         bool // everybody's; it has one version and cannot be changed
	Attachments int
	Boundaries  int // of users and roles that have it as boundary
}

// Version is one of a managed policy's versions.
type Version struct {
	Number    int
	Default   bool
	Text      string
	CreatedAt time.Time
}

// Name is the version's, such as "v1".
func (v Version) Name() string { return fmt.Sprintf("v%d", v.Number) }

// awsSince represents the dates of everybody's policies, which are not kept.
var awsSince = time.Date(2015, 12, 21, 17, 6, 48, 0, time.UTC)

// aws is everybody's policy m.
func (s *Service) aws(m policy.ManagedPolicy) ManagedPolicy {
	return ManagedPolicy{
		Policy: meta.Policy{
			ID: awsPolicyID(m.Name), Name: m.Name, Path: m.Path, CreatedAt: awsSince, UpdatedAt: awsSince, Default: 1, Last: 1,
			Versions: map[int]meta.PolicyVersion{1: {Text: m.Document.String(), CreatedAt: awsSince}},
		},
		ARN: m.ARN(s.cfg.Partition), AWS: true,
	}
}

// awsPolicyID is the id of everybody's policy: of the right form, and always
// the same.
func awsPolicyID(name string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	id := []byte("ANPAI")
	for _, b := range []byte(strings.TrimPrefix(string(ecr.DigestOf([]byte(name))), "sha256:"))[:16] {
		id = append(id, letters[b%32])
	}
	return string(id)
}

// find reads the managed policy with that ARN; meta.ErrNotFound when the
// account cannot use one.
func (r *reading) find(ctx context.Context, arn string) (ManagedPolicy, error) {
	for _, m := range identity.Managed() {
		if m.ARN(r.c.s.cfg.Partition) == arn {
			return r.c.s.aws(m), nil
		}
	}
	p, err := r.Policy(ctx, r.c.p.Account, arn[strings.LastIndexByte(arn, '/')+1:])
	m := ManagedPolicy{Policy: p, ARN: identity.PolicyARN(r.c.s.cfg.Partition, p)}
	if err == nil && m.ARN != arn {
		err = meta.ErrNotFound
	}
	return m, err
}

// reference is how rows refer to the managed policy with that ARN; "" for "".
func (r *reading) reference(ctx context.Context, arn string) (string, error) {
	if arn == "" {
		return "", nil
	}
	m, err := r.find(ctx, arn)
	if errors.Is(err, meta.ErrNotFound) {
		return "", ecr.Errorf(CodeNoSuchEntity, "Policy %s does not exist or is not attachable.", arn)
	}
	if m.AWS {
		if m.Path != "/" {
			return "", ecr.Errorf("PolicyNotAttachable", "Cannot attach a Service Role Policy to a Customer Role.")
		}
		return m.Name, err
	}
	return m.ID, err
}

// attached resolves references of rows, by ARN.
func (r *reading) attached(ctx context.Context, refs []string) ([]ManagedPolicy, error) {
	var out []ManagedPolicy
	var ids []string
	for _, ref := range refs {
		if identity.IsPolicyID(ref) {
			ids = append(ids, ref)
			continue
		}
		for _, m := range identity.Managed() {
			if m.Name == ref {
				out = append(out, r.c.s.aws(m))
			}
		}
	}
	if len(ids) > 0 {
		found, err := r.Policies(ctx, ids)
		if err != nil {
			return nil, err
		}
		for _, p := range found {
			out = append(out, ManagedPolicy{Policy: p, ARN: identity.PolicyARN(r.c.s.cfg.Partition, p)})
		}
	}
	slices.SortFunc(out, func(a, b ManagedPolicy) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// CreatePolicy adds a managed policy, whose version v1 is text.
func (c *Caller) CreatePolicy(ctx context.Context, name, path, description, text string, tags []Tag) (m ManagedPolicy, err error) {
	err = errors.Join(checkName("policyName", name, maxPolicyName), checkPath(&path), checkDescription(description))
	if err != nil {
		return m, firstOf(err)
	}
	kept, err := checkTags(nil, tags)
	if err != nil {
		return m, err
	}
	err = c.update(ctx, "iam:CreatePolicy", func(ctx context.Context, tx *writing) error {
		q := question{resource: c.arn("policy", path, name), requestTags: tagMap(tags), tagKeys: tagKeys(tags)}
		if err := tx.may(q); err != nil {
			return err
		}
		if len(tags) > 0 {
			if err := tx.also("iam:TagPolicy", q); err != nil {
				return err
			}
		}
		if err := checkManaged(text); err != nil {
			return err
		}
		now := c.now()
		p := meta.Policy{
			ID: identity.NewPolicyID(), Account: c.p.Account, Name: name, Path: path, Description: description, CreatedAt: now, UpdatedAt: now,
			Versions: map[int]meta.PolicyVersion{1: {Text: text, CreatedAt: now}}, Default: 1, Last: 1, Tags: kept,
		}
		m = ManagedPolicy{Policy: p, ARN: q.resource}
		err := tx.InsertPolicy(ctx, p)
		if errors.Is(err, meta.ErrExists) {
			return ecr.Errorf(CodeEntityAlreadyExists, "A policy called %s already exists. Duplicate names are not allowed.", name)
		}
		return err
	})
	return m, err
}

func checkManaged(text string) error {
	if _, err := checkDocument(text, policy.Identity); err != nil {
		return err
	}
	if packed(text) > maxManaged {
		return limitExceeded("PolicySize", maxManaged)
	}
	return nil
}

// managed reads a managed policy and asks whether the caller may do action on
// it; with change, only the account's own can be meant.
func (r *reading) managed(ctx context.Context, arn string, change bool) (ManagedPolicy, error) {
	if !strings.HasPrefix(arn, "arn:") || len(arn) < 20 {
		return ManagedPolicy{}, ecr.Errorf(CodeInvalidInput, "ARN %.200s is not valid.", arn)
	}
	m, err := r.find(ctx, arn)
	if err != nil && !errors.Is(err, meta.ErrNotFound) {
		return m, err
	}
	if denied := r.may(question{resource: arn, tags: m.Tags}); denied != nil {
		return m, denied
	}
	switch {
	case err != nil:
		return m, ecr.Errorf(CodeNoSuchEntity, "Policy %s was not found.", arn)
	case change && m.AWS:
		return m, ecr.Errorf(ecr.CodeAccessDenied, "Cannot modify the policy %s: it is managed by AWS.", arn)
	}
	return m, nil
}

// ManagedPolicy returns a managed policy with its versions.
func (c *Caller) ManagedPolicy(ctx context.Context, arn string) (m ManagedPolicy, err error) {
	err = c.view(ctx, "iam:GetPolicy", func(ctx context.Context, r *reading) (err error) {
		if m, err = r.managed(ctx, arn, false); err != nil {
			return err
		}
		counts, err := r.counts(ctx)
		m.Attachments, m.Boundaries = counts.attached[m.reference()], counts.boundaries[m.reference()]
		return err
	})
	return m, err
}

func (m ManagedPolicy) reference() string {
	if m.AWS {
		return m.Name
	}
	return m.ID
}

// counts is how often managed policies are used, by reference.
type counts struct{ attached, boundaries map[string]int }

func (r *reading) counts(ctx context.Context) (counts, error) {
	out := counts{map[string]int{}, map[string]int{}}
	add := func(refs []string, boundary string) {
		for _, ref := range refs {
			out.attached[ref]++
		}
		if boundary != "" {
			out.boundaries[boundary]++
		}
	}
	for u, err := range meta.Pages("", maxPage, func(after string, limit int) ([]meta.User, error) {
		return r.ListUsers(ctx, r.c.p.Account, after, limit)
	}, func(u meta.User) string { return u.Name }) {
		if err != nil {
			return out, err
		}
		add(u.Policies, u.Boundary)
	}
	for role, err := range meta.Pages("", maxPage, func(after string, limit int) ([]meta.Role, error) {
		return r.ListRoles(ctx, r.c.p.Account, after, limit)
	}, func(r meta.Role) string { return r.Name }) {
		if err != nil {
			return out, err
		}
		add(role.Policies, role.Boundary)
	}
	return out, nil
}

// Scopes of ListPolicies.
const (
	ScopeAll   = "All"
	ScopeAWS   = "AWS"
	ScopeLocal = "Local"
)

// ManagedPolicies lists managed policies, everybody's first, and where the
// next page begins.
func (c *Caller) ManagedPolicies(ctx context.Context, p Page, scope string, onlyAttached bool) (list []ManagedPolicy, next string, err error) {
	if err := p.check(); err != nil {
		return nil, "", err
	}
	if scope == "" {
		scope = ScopeAll
	}
	if scope != ScopeAll && scope != ScopeAWS && scope != ScopeLocal {
		return nil, "", invalid("scope", scope, "Member must satisfy enum value set: [All, AWS, Local]")
	}
	// The marker of one of everybody's begins with a character that no name has.
	const aws = "*"
	err = c.view(ctx, "iam:ListPolicies", func(ctx context.Context, r *reading) error {
		if err := r.may(question{resource: "*"}); err != nil {
			return err
		}
		var used counts
		var err error
		if !p.Uncounted || onlyAttached {
			if used, err = r.counts(ctx); err != nil {
				return err
			}
		}
		list, next, err = collect(p, func(after string, limit int) (out []ManagedPolicy, err error) {
			if name, of := strings.CutPrefix(after, aws); scope != ScopeLocal && (after == "" || of) {
				for _, m := range identity.Managed() {
					if m.Name > name && len(out) < limit {
						out = append(out, c.s.aws(m))
					}
				}
				after = ""
			}
			if scope == ScopeAWS {
				return out, nil
			}
			own, err := r.ListPolicies(ctx, c.p.Account, after, limit-len(out))
			for _, p := range own {
				out = append(out, ManagedPolicy{Policy: p, ARN: identity.PolicyARN(c.s.cfg.Partition, p)})
			}
			return out, err
		}, func(m ManagedPolicy) string {
			if m.AWS {
				return aws + m.Name
			}
			return m.Name
		}, func(m ManagedPolicy) bool {
			return strings.HasPrefix(identity.PathOf(m.Path), p.PathPrefix) && (!onlyAttached || used.attached[m.reference()] > 0)
		})
		for i, m := range list {
			list[i].Attachments, list[i].Boundaries = used.attached[m.reference()], used.boundaries[m.reference()]
		}
		return err
	})
	return list, next, err
}

// DeletePolicy removes a policy of the account that is not attached and whose only
// version is the default one.
func (c *Caller) DeletePolicy(ctx context.Context, arn string) error {
	return c.update(ctx, "iam:DeletePolicy", func(ctx context.Context, tx *writing) error {
		m, err := tx.managed(ctx, arn, true)
		if err != nil {
			return err
		}
		if len(m.Versions) > 1 {
			return ecr.Errorf(CodeDeleteConflict, "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
		}
		err = tx.DeletePolicy(ctx, m.ID)
		if errors.Is(err, meta.ErrReferenced) {
			return ecr.Errorf(CodeDeleteConflict, "Cannot delete a policy attached to entities.")
		}
		return err
	})
}

// CreatePolicyVersion adds a version and, if asked, makes it the default.
func (c *Caller) CreatePolicyVersion(ctx context.Context, arn, text string, setDefault bool) (v Version, err error) {
	err = c.update(ctx, "iam:CreatePolicyVersion", func(ctx context.Context, tx *writing) error {
		m, err := tx.managed(ctx, arn, true)
		if err != nil {
			return err
		}
		if err := checkManaged(text); err != nil {
			return err
		}
		if len(m.Versions) >= maxVersions {
			return ecr.Errorf(CodeLimitExceeded, "A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", maxVersions)
		}
		m.Last++
		m.UpdatedAt = c.now()
		m.Versions[m.Last] = meta.PolicyVersion{Text: text, CreatedAt: m.UpdatedAt}
		if setDefault {
			m.Default = m.Last
		}
		v = m.version(m.Last)
		return tx.UpdatePolicy(ctx, m.Policy)
	})
	return v, err
}

func (m ManagedPolicy) version(n int) Version {
	return Version{Number: n, Default: n == m.Default, Text: m.Versions[n].Text, CreatedAt: m.Versions[n].CreatedAt}
}

// lookup finds a version by its name.
func (m ManagedPolicy) lookup(name string) (Version, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(name, "v"))
	if err != nil || !strings.HasPrefix(name, "v") {
		return Version{}, invalid("versionId", name, `Member must satisfy regular expression pattern: v[1-9][0-9]*(\.[A-Za-z0-9-]*)?`)
	}
	if _, ok := m.Versions[n]; !ok {
		return Version{}, ecr.Errorf(CodeNoSuchEntity, "Policy %s version %s does not exist or is not attachable.", m.ARN, name)
	}
	return m.version(n), nil
}

// PolicyVersion returns one version of a managed policy.
func (c *Caller) PolicyVersion(ctx context.Context, arn, name string) (v Version, err error) {
	err = c.view(ctx, "iam:GetPolicyVersion", func(ctx context.Context, r *reading) error {
		m, err := r.managed(ctx, arn, false)
		if err == nil {
			v, err = m.lookup(name)
		}
		return err
	})
	return v, err
}

// PolicyVersions lists the versions of a managed policy, newest first.
func (c *Caller) PolicyVersions(ctx context.Context, arn string) (list []Version, err error) {
	err = c.view(ctx, "iam:ListPolicyVersions", func(ctx context.Context, r *reading) error {
		m, err := r.managed(ctx, arn, false)
		list = nil
		for _, n := range slices.Backward(slices.Sorted(maps.Keys(m.Versions))) {
			list = append(list, m.version(n))
		}
		return err
	})
	return list, err
}

// SetDefaultPolicyVersion puts a version in force, for the next request.
func (c *Caller) SetDefaultPolicyVersion(ctx context.Context, arn, name string) error {
	return c.update(ctx, "iam:SetDefaultPolicyVersion", func(ctx context.Context, tx *writing) error {
		m, err := tx.managed(ctx, arn, true)
		if err != nil {
			return err
		}
		v, err := m.lookup(name)
		if err != nil {
			return err
		}
		m.Default, m.UpdatedAt = v.Number, c.now()
		return tx.UpdatePolicy(ctx, m.Policy)
	})
}

// DeletePolicyVersion removes a version that is not the default one.
func (c *Caller) DeletePolicyVersion(ctx context.Context, arn, name string) error {
	return c.update(ctx, "iam:DeletePolicyVersion", func(ctx context.Context, tx *writing) error {
		m, err := tx.managed(ctx, arn, true)
		if err != nil {
			return err
		}
		v, err := m.lookup(name)
		if err != nil {
			return err
		}
		if v.Default {
			return ecr.Errorf(CodeDeleteConflict, "Cannot delete the default version of a policy.")
		}
		delete(m.Versions, v.Number)
		m.UpdatedAt = c.now()
		return tx.UpdatePolicy(ctx, m.Policy)
	})
}
