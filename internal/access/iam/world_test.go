package iam_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
)

const (
	home  ecr.AccountID = "111111111111"
	other ecr.AccountID = "222222222222"
)

// world is IAM of two accounts on a real database, with a real audit log.
type world struct {
	*iam.Service
	t        *testing.T
	identity *identity.Service
	meta     meta.Store
	admin    access.Principal // of home
	nobody   access.Principal // of home, without rights
	dir      string           // of the audit log
	seen     int              // records that were looked at
	now      time.Time
}

func open(t *testing.T, mode audit.Mode) *world {
	t.Helper()
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "kontor.db")})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, meta: store, dir: filepath.Join(t.TempDir(), "audit"), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	written := w.now
	log, err := audit.Open(audit.Config{Dir: w.dir, Mode: mode, MaxBytes: 1, Keep: -1, Log: slog.New(slog.DiscardHandler), Now: func() time.Time {
		written = written.Add(time.Second) // so that the order of files is that of records
		return written
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = log.Close() // some tests take its folder away
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	key, err := identity.NewMasterKey(make([]byte, identity.MasterKeySize))
	if err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return w.now }
	w.identity = identity.New(identity.Config{Meta: store, Key: key, Now: clock})
	w.Service = iam.New(iam.Config{Gate: gate.New(gate.Config{Meta: store, Audit: log}), Identity: w.identity, Now: clock, Partition: "aws"})
	for _, account := range []ecr.AccountID{home, other} {
		if err := w.identity.EnsureAccount(t.Context(), account); err != nil {
			t.Fatal(err)
		}
	}
	w.admin = w.principal(home, identity.Administrator)
	w.nobody = w.user("nobody")
	w.records()
	return w
}

// principal is a user as a request of it comes.
func (w *world) principal(account ecr.AccountID, name string) access.Principal {
	w.t.Helper()
	c, err := w.identity.Credentials(w.t.Context(), account, name)
	if err != nil {
		w.t.Fatal(err)
	}
	p, _, err := w.identity.Lookup(w.t.Context(), c.AccessKeyID)
	if err != nil {
		w.t.Fatal(err)
	}
	p.Request = access.RequestInfo{ID: "request-1", UserAgent: "test-client/1", At: w.now}
	return p
}

// user makes a user of home with an inline policy of each statement.
func (w *world) user(name string, statements ...string) access.Principal {
	w.t.Helper()
	c := w.System(home, "tests")
	if _, err := c.CreateUser(w.t.Context(), iam.NewUser{Name: name}); err != nil {
		w.t.Fatal(err)
	}
	if len(statements) > 0 {
		if err := c.PutInline(w.t.Context(), iam.OfUser, name, "rights", document(statements...)); err != nil {
			w.t.Fatal(err)
		}
	}
	if _, _, _, err := c.CreateAccessKey(w.t.Context(), name); err != nil {
		w.t.Fatal(err)
	}
	return w.principal(home, name)
}

// document is a policy of statements without braces.
func document(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[{` + strings.Join(statements, "},{") + `}]}`
}

func allow(action, resource string) string {
	return `"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"`
}

// trusting is a trust policy.
func trusting(principal, action string) string {
	return document(`"Effect":"Allow","Principal":{"AWS":"` + principal + `"},"Action":"` + action + `"`)
}

// records are those that are new since the last call.
func (w *world) records() []audit.Record {
	w.t.Helper()
	var all []audit.Record
	for r, err := range audit.Query(w.dir, audit.Filter{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, r)
	}
	all, w.seen = all[w.seen:], len(all)
	return all
}

// actions are those on record, "!" before those that were denied.
func actions(records []audit.Record) (list []string) {
	for _, r := range records {
		action := r.Action
		if r.Decision == audit.Denied {
			action = "!" + action
		}
		list = append(list, action)
	}
	return list
}

func wantCode(t *testing.T, err error, code ecr.Code, texts ...string) {
	t.Helper()
	var e *ecr.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("error is %v, not %s", err, code)
		return
	}
	for _, text := range texts {
		if !strings.Contains(e.Message, text) {
			t.Errorf("%s says %q, without %q", code, e.Message, text)
		}
	}
}

// call is one call of an operation.
type call struct {
	method  string   // of iam.Caller
	actions []string // that it asks for, without "iam:"
	do      func(ctx context.Context, c *iam.Caller) error
}

const (
	policyARN   = "arn:aws:iam::111111111111:policy/thing"
	boundaryARN = "arn:aws:iam::aws:policy/AdministratorAccess"
	issuerURL   = "https://issuer.example.com"
	providerARN = "arn:aws:iam::111111111111:oidc-provider/issuer.example.com"
	roleARN     = "arn:aws:iam::111111111111:role/thing"
)

// everything calls every operation that asks for a permission, in an order in
// which the administrator of an empty account succeeds with each.
func everything() []call {
	const thing = "thing"
	tags := []iam.Tag{{Key: "team", Value: "a"}}
	text := document(allow("ecr:*", "*"))
	key := "" // of the last CreateAccessKey
	page := iam.Page{}
	all := []call{
		{"CreatePolicy", []string{"CreatePolicy", "TagPolicy"}, func(ctx context.Context, c *iam.Caller) error {
			_, err := c.CreatePolicy(ctx, thing, "", "", text, tags)
			return err
		}},
		{"CreateUser", []string{"CreateUser", "TagUser"}, func(ctx context.Context, c *iam.Caller) error {
			_, err := c.CreateUser(ctx, iam.NewUser{Name: thing, Tags: tags})
			return err
		}},
		{"CreateRole", []string{"CreateRole", "TagRole"}, func(ctx context.Context, c *iam.Caller) error {
			_, err := c.CreateRole(ctx, iam.NewRole{Name: thing, Trust: trusting(string(home), "sts:AssumeRole"), Tags: tags})
			return err
		}},
		{"CreateProvider", []string{"CreateOpenIDConnectProvider"}, func(ctx context.Context, c *iam.Caller) error {
			_, err := c.CreateProvider(ctx, issuerURL, []string{"sts"}, nil)
			return err
		}},
		{"User", []string{"GetUser"}, func(ctx context.Context, c *iam.Caller) error { _, err := c.User(ctx, thing); return err }},
		{"Users", []string{"ListUsers"}, func(ctx context.Context, c *iam.Caller) error { _, _, err := c.Users(ctx, page); return err }},
		{"Role", []string{"GetRole"}, func(ctx context.Context, c *iam.Caller) error { _, err := c.Role(ctx, thing); return err }},
		{"Roles", []string{"ListRoles"}, func(ctx context.Context, c *iam.Caller) error { _, _, err := c.Roles(ctx, page); return err }},
		{"ManagedPolicy", []string{"GetPolicy"}, func(ctx context.Context, c *iam.Caller) error { _, err := c.ManagedPolicy(ctx, policyARN); return err }},
		{"ManagedPolicies", []string{"ListPolicies"}, func(ctx context.Context, c *iam.Caller) error {
			_, _, err := c.ManagedPolicies(ctx, page, "", false)
			return err
		}},
		{"AccountDetails", []string{"GetAccountAuthorizationDetails"}, func(ctx context.Context, c *iam.Caller) error {
			_, _, err := c.AccountDetails(ctx, []iam.DetailKind{iam.DetailUsers}, page)
			return err
		}},
		{"Tokens.Create", []string{"kontor:CreateUserToken"}, func(ctx context.Context, c *iam.Caller) error {
			_, _, err := c.Tokens().Create(ctx, iam.NewMachineToken{User: thing, Name: "flux"})
			return err
		}},
		{"Tokens.List", []string{"kontor:ListUserTokens"}, func(ctx context.Context, c *iam.Caller) error { _, err := c.Tokens().List(ctx, thing); return err }},
		{"Tokens.Delete", []string{"kontor:DeleteUserToken"}, func(ctx context.Context, c *iam.Caller) error {
			_, err := c.Tokens().Delete(ctx, thing, "flux")
			return err
		}},
		{"CreateAccessKey", []string{"CreateAccessKey"}, func(ctx context.Context, c *iam.Caller) error {
			_, k, _, err := c.CreateAccessKey(ctx, thing)
			key = k.ID
			return err
		}},
		{"AccessKeys", []string{"ListAccessKeys"}, func(ctx context.Context, c *iam.Caller) error { _, _, err := c.AccessKeys(ctx, thing); return err }},
		{"SetAccessKeyActive", []string{"UpdateAccessKey"}, func(ctx context.Context, c *iam.Caller) error { return c.SetAccessKeyActive(ctx, thing, key, false) }},
		{"AccessKeyLastUsed", []string{"GetAccessKeyLastUsed"}, func(ctx context.Context, c *iam.Caller) error { _, _, err := c.AccessKeyLastUsed(ctx, key); return err }},
		{"DeleteAccessKey", []string{"DeleteAccessKey"}, func(ctx context.Context, c *iam.Caller) error { return c.DeleteAccessKey(ctx, thing, key) }},
		{"UpdateRole", []string{"UpdateRole"}, func(ctx context.Context, c *iam.Caller) error {
			return c.UpdateRole(ctx, thing, new(string), 2*time.Hour)
		}},
		{"UpdateAssumeRolePolicy", []string{"UpdateAssumeRolePolicy"}, func(ctx context.Context, c *iam.Caller) error {
			return c.UpdateAssumeRolePolicy(ctx, thing, trusting(string(home), "sts:AssumeRole"))
		}},
		{"CreatePolicyVersion", []string{"CreatePolicyVersion"}, func(ctx context.Context, c *iam.Caller) error {
			_, err := c.CreatePolicyVersion(ctx, policyARN, text, true)
			return err
		}},
		{"PolicyVersion", []string{"GetPolicyVersion"}, func(ctx context.Context, c *iam.Caller) error {
			_, err := c.PolicyVersion(ctx, policyARN, "v2")
			return err
		}},
		{"PolicyVersions", []string{"ListPolicyVersions"}, func(ctx context.Context, c *iam.Caller) error { _, err := c.PolicyVersions(ctx, policyARN); return err }},
		{"SetDefaultPolicyVersion", []string{"SetDefaultPolicyVersion"}, func(ctx context.Context, c *iam.Caller) error {
			return c.SetDefaultPolicyVersion(ctx, policyARN, "v1")
		}},
		{"DeletePolicyVersion", []string{"DeletePolicyVersion"}, func(ctx context.Context, c *iam.Caller) error { return c.DeletePolicyVersion(ctx, policyARN, "v2") }},
		{"Provider", []string{"GetOpenIDConnectProvider"}, func(ctx context.Context, c *iam.Caller) error { _, err := c.Provider(ctx, providerARN); return err }},
		{"Providers", []string{"ListOpenIDConnectProviders"}, func(ctx context.Context, c *iam.Caller) error { _, err := c.Providers(ctx); return err }},
		{"ChangeAudience", []string{"AddClientIDToOpenIDConnectProvider"}, func(ctx context.Context, c *iam.Caller) error { return c.ChangeAudience(ctx, providerARN, "x", true) }},
		{"ChangeAudience", []string{"RemoveClientIDFromOpenIDConnectProvider"}, func(ctx context.Context, c *iam.Caller) error {
			return c.ChangeAudience(ctx, providerARN, "x", false)
		}},
		{"Simulate", []string{"SimulateCustomPolicy"}, func(ctx context.Context, c *iam.Caller) error {
			_, err := c.Simulate(ctx, iam.Simulation{Actions: []string{"ecr:PutImage"}, Policies: []string{text}})
			return err
		}},
		{"Simulate", []string{"SimulatePrincipalPolicy"}, func(ctx context.Context, c *iam.Caller) error {
			_, err := c.Simulate(ctx, iam.Simulation{Actions: []string{"ecr:PutImage"}, Source: "arn:aws:iam::111111111111:user/thing"})
			return err
		}},
	}
	for _, of := range []iam.Holder{iam.OfUser, iam.OfRole} {
		named := func(format string) []string { return []string{strings.Replace(format, "*", string(of), 1)} }
		all = append(all,
			call{"PutInline", named("Put*Policy"), func(ctx context.Context, c *iam.Caller) error { return c.PutInline(ctx, of, thing, "own", text) }},
			call{"Inline", named("Get*Policy"), func(ctx context.Context, c *iam.Caller) error { _, err := c.Inline(ctx, of, thing, "own"); return err }},
			call{"InlineNames", named("List*Policies"), func(ctx context.Context, c *iam.Caller) error { _, err := c.InlineNames(ctx, of, thing); return err }},
			call{"DeleteInline", named("Delete*Policy"), func(ctx context.Context, c *iam.Caller) error { return c.DeleteInline(ctx, of, thing, "own") }},
			call{"Attach", named("Attach*Policy"), func(ctx context.Context, c *iam.Caller) error { return c.Attach(ctx, of, thing, policyARN) }},
			call{"Attached", named("ListAttached*Policies"), func(ctx context.Context, c *iam.Caller) error { _, err := c.Attached(ctx, of, thing); return err }},
			call{"Detach", named("Detach*Policy"), func(ctx context.Context, c *iam.Caller) error { return c.Detach(ctx, of, thing, policyARN) }},
			call{"PutBoundary", named("Put*PermissionsBoundary"), func(ctx context.Context, c *iam.Caller) error { return c.PutBoundary(ctx, of, thing, boundaryARN) }},
			call{"DeleteBoundary", named("Delete*PermissionsBoundary"), func(ctx context.Context, c *iam.Caller) error { return c.DeleteBoundary(ctx, of, thing) }},
			call{"Tag", named("Tag*"), func(ctx context.Context, c *iam.Caller) error { return c.Tag(ctx, of, thing, tags) }},
			call{"TagsOf", named("List*Tags"), func(ctx context.Context, c *iam.Caller) error { _, err := c.TagsOf(ctx, of, thing); return err }},
			call{"Untag", named("Untag*"), func(ctx context.Context, c *iam.Caller) error { return c.Untag(ctx, of, thing, []string{"team"}) }},
		)
	}
	return append(all,
		call{"UpdateUser", []string{"UpdateUser", "UpdateUser"}, func(ctx context.Context, c *iam.Caller) error { return c.UpdateUser(ctx, thing, "", "/team/") }},
		call{"DeleteUser", []string{"DeleteUser"}, func(ctx context.Context, c *iam.Caller) error { return c.DeleteUser(ctx, thing) }},
		call{"DeleteRole", []string{"DeleteRole"}, func(ctx context.Context, c *iam.Caller) error { return c.DeleteRole(ctx, thing) }},
		call{"DeletePolicy", []string{"DeletePolicy"}, func(ctx context.Context, c *iam.Caller) error { return c.DeletePolicy(ctx, policyARN) }},
		call{"DeleteProvider", []string{"DeleteOpenIDConnectProvider"}, func(ctx context.Context, c *iam.Caller) error { return c.DeleteProvider(ctx, providerARN) }},
	)
}
