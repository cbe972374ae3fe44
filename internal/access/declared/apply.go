package declared

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Config is what a file is applied with. All fields are required.
type Config struct {
	IAM *iam.Service
	// Account is that of the file's accounts without an id.
	Account ecr.AccountID
	// Getenv reads the variables that keys name.
	Getenv func(string) string
}

// reason is what the audit log says of who did it.
const reason = "identities file"

// Apply makes what f says. It stops at the first error; applying again continues.
func Apply(ctx context.Context, cfg Config, f File) error {
	for _, a := range f.Identities {
		account := cfg.Account
		if a.ID != "" {
			account = ecr.AccountID(a.ID)
		}
		if err := (&applier{cfg, cfg.IAM.System(account, reason), account}).account(ctx, a); err != nil {
			return fmt.Errorf("identities of account %s: %w", account, message(err))
		}
	}
	return nil
}

// message is err in the words for people.
func message(err error) error {
	var known *ecr.Error
	if errors.As(err, &known) && known.Err == nil {
		return errors.New(strings.Replace(err.Error(), known.Error(), known.Message, 1))
	}
	return err
}

type applier struct {
	cfg Config
	*iam.Caller
	id ecr.AccountID
}

func (a *applier) account(ctx context.Context, all Account) error {
	for _, p := range all.Policies {
		if err := a.policy(ctx, p); err != nil {
			return fmt.Errorf("policy %s: %w", p.Name, err)
		}
	}
	// Users before the roles whose trust policies may name them.
	for _, u := range all.Users {
		if err := a.user(ctx, u); err != nil {
			return fmt.Errorf("user %s: %w", u.Name, err)
		}
	}
	for _, r := range all.Roles {
		if err := a.role(ctx, r); err != nil {
			return fmt.Errorf("role %s: %w", r.Name, err)
		}
	}
	for _, i := range all.Issuers {
		if err := a.issuer(ctx, i); err != nil {
			return fmt.Errorf("oidc %s: %w", i.URL, err)
		}
	}
	return nil
}

func missing(err error) bool { return ecr.CodeOf(err) == iam.CodeNoSuchEntity }

// arn is the ARN of the managed policy called name; names of the account's own
// win over AWS's.
func (a *applier) arn(ctx context.Context, name string) (string, error) {
	if name == "" || strings.HasPrefix(name, "arn:") {
		return name, nil
	}
	all, _, err := a.ManagedPolicies(ctx, iam.Page{Limit: 1000}, iam.ScopeLocal, false)
	if err != nil {
		return "", err
	}
	for _, p := range all {
		if p.Name == name {
			return p.ARN, nil
		}
	}
	for _, m := range identity.Managed() {
		if m.Name == name {
			return m.ARN(a.Partition()), nil
		}
	}
	return "", fmt.Errorf("there is no managed policy %q: declare it under policies, or give the name of one of AWS's", name)
}

func tagsOf(m map[string]string) []iam.Tag { return iam.Tags(m) }

func (a *applier) policy(ctx context.Context, p Policy) error {
	all, _, err := a.ManagedPolicies(ctx, iam.Page{Limit: 1000}, iam.ScopeLocal, false)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(m iam.ManagedPolicy) bool { return m.Name == p.Name })
	if i < 0 {
		_, err := a.CreatePolicy(ctx, p.Name, p.Path, p.Description, string(p.Document), tagsOf(p.Tags))
		return err
	}
	have := all[i]
	if p.Path != "" && p.Path != identity.PathOf(have.Path) {
		return fmt.Errorf("its path is %s and cannot be changed to %s", identity.PathOf(have.Path), p.Path)
	}
	if have.Versions[have.Default].Text == string(p.Document) {
		return nil
	}
	const room = 5
	for _, n := range slices.Sorted(maps.Keys(have.Versions)) {
		if len(have.Versions) < room {
			break
		}
		if n != have.Default {
			if err := a.DeletePolicyVersion(ctx, have.ARN, iam.Version{Number: n}.Name()); err != nil {
				return err
			}
			delete(have.Versions, n)
		}
	}
	_, err = a.CreatePolicyVersion(ctx, have.ARN, string(p.Document), true)
	return err
}

func (a *applier) user(ctx context.Context, u User) error {
	have, err := a.User(ctx, u.Name)
	if missing(err) {
		have, err = a.CreateUser(ctx, iam.NewUser{Name: u.Name, Path: u.Path, Tags: tagsOf(u.Tags)})
	}
	if err != nil {
		return err
	}
	if u.Path != "" && u.Path != identity.PathOf(have.Path) {
		if err := a.UpdateUser(ctx, u.Name, "", u.Path); err != nil {
			return err
		}
	}
	err = a.grants(ctx, iam.OfUser, u.Name, u.Policies, u.Inline, have.Inline, u.Boundary, have.Boundary, u.Tags, have.Tags)
	if err != nil {
		return err
	}
	for _, k := range u.Keys {
		c, err := k.credentials(a.cfg.Getenv)
		if err != nil {
			return err
		}
		if err := a.EnsureAccessKey(ctx, u.Name, c); err != nil {
			return err
		}
	}
	if len(u.Keys) > 0 {
		return nil
	}
	_, keys, err := a.AccessKeys(ctx, u.Name)
	if err == nil && len(keys) == 0 {
		_, _, _, err = a.CreateAccessKey(ctx, u.Name)
	}
	return err
}

func (a *applier) role(ctx context.Context, r Role) error {
	longest, err := r.maxSession()
	if err != nil {
		return err
	}
	have, err := a.Role(ctx, r.Name)
	if missing(err) {
		have, err = a.CreateRole(ctx, iam.NewRole{
			Name: r.Name, Path: r.Path, Trust: string(r.Trust), Description: r.Description, MaxSession: longest, Tags: tagsOf(r.Tags),
		})
	}
	if err != nil {
		return err
	}
	if r.Path != "" && r.Path != identity.PathOf(have.Path) {
		return fmt.Errorf("its path is %s and cannot be changed to %s", identity.PathOf(have.Path), r.Path)
	}
	if have.Trust != string(r.Trust) {
		if err := a.UpdateAssumeRolePolicy(ctx, r.Name, string(r.Trust)); err != nil {
			return err
		}
	}
	if have.Description != r.Description || have.MaxSession != longest {
		if err := a.UpdateRole(ctx, r.Name, &r.Description, longest); err != nil {
			return err
		}
	}
	return a.grants(ctx, iam.OfRole, r.Name, r.Policies, r.Inline, have.Inline, r.Boundary, have.Boundary, r.Tags, have.Tags)
}

// grants makes policies, boundary and tags of a user or role as wanted.
func (a *applier) grants(ctx context.Context, of iam.Holder, name string, policies []string, inline map[string]Document, haveInline map[string]string,
	boundary, haveBoundary string, tags, haveTags map[string]string,
) error {
	attached, err := a.Attached(ctx, of, name)
	if err != nil {
		return err
	}
	want := map[string]bool{}
	for _, p := range policies {
		arn, err := a.arn(ctx, p)
		if err != nil {
			return err
		}
		want[arn] = true
	}
	for _, m := range attached {
		if !want[m.ARN] {
			if err := a.Detach(ctx, of, name, m.ARN); err != nil {
				return err
			}
		}
		delete(want, m.ARN)
	}
	for _, arn := range slices.Sorted(maps.Keys(want)) {
		if err := a.Attach(ctx, of, name, arn); err != nil {
			return err
		}
	}
	for _, p := range slices.Sorted(maps.Keys(haveInline)) {
		if _, ok := inline[p]; !ok {
			if err := a.DeleteInline(ctx, of, name, p); err != nil {
				return err
			}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(inline)) {
		if haveInline[p] != string(inline[p]) {
			if err := a.PutInline(ctx, of, name, p, string(inline[p])); err != nil {
				return fmt.Errorf("inline policy %s: %w", p, err)
			}
		}
	}
	if err := a.boundary(ctx, of, name, boundary, haveBoundary); err != nil {
		return err
	}
	var gone []string
	for _, key := range slices.Sorted(maps.Keys(haveTags)) {
		if _, ok := tags[key]; !ok {
			gone = append(gone, key)
		}
	}
	if gone != nil {
		if err := a.Untag(ctx, of, name, gone); err != nil {
			return err
		}
	}
	if len(tags) > 0 && !maps.Equal(tags, haveTags) {
		return a.Tag(ctx, of, name, tagsOf(tags))
	}
	return nil
}

func (a *applier) boundary(ctx context.Context, of iam.Holder, name, want, have string) error {
	arn, err := a.arn(ctx, want)
	if err != nil {
		return err
	}
	current, err := a.BoundaryARN(ctx, have)
	switch {
	case err != nil:
		return err
	case arn == current:
		return nil
	case arn == "":
		return a.DeleteBoundary(ctx, of, name)
	}
	return a.PutBoundary(ctx, of, name, arn)
}

func (a *applier) issuer(ctx context.Context, i Issuer) error {
	arn := a.cfg.IAM.ProviderARN(a.id, i.URL)
	have, err := a.Provider(ctx, arn)
	if missing(err) {
		_, err = a.CreateProvider(ctx, i.URL, i.Audiences, nil)
		return err
	}
	if err != nil {
		return err
	}
	return a.audiences(ctx, arn, i, have)
}

func (a *applier) audiences(ctx context.Context, arn string, i Issuer, have meta.Issuer) error {
	for _, audience := range have.Audiences {
		if !slices.Contains(i.Audiences, audience) {
			if err := a.ChangeAudience(ctx, arn, audience, false); err != nil {
				return err
			}
		}
	}
	for _, audience := range i.Audiences {
		if !slices.Contains(have.Audiences, audience) {
			if err := a.ChangeAudience(ctx, arn, audience, true); err != nil {
				return err
			}
		}
	}
	return nil
}
