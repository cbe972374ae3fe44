package declared_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access/declared"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
)

const example = `
identities:
  - policies:
      - name: read
        document: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "ecr:Describe*", Resource: "*"}]}
    users:
      - name: ann
        path: /ops/
        policies: [AmazonEC2ContainerRegistryPowerUser, read]
        tags: {team: a}
        access_keys:
          - {id: AKIAIOSFODNN7EXAMPLE, secret_env: ANN_SECRET}
      - name: bob
        boundary: read
        inline:
          own: '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}'
    roles:
      - name: ci
        max_session: 2h
        description: builds
        trust: {Version: "2012-10-17", Statement: [{Effect: Allow, Principal: {AWS: "arn:aws:iam::111111111111:user/ops/ann"}, Action: "sts:AssumeRole"}]}
        policies: [arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly]
    oidc:
      - {url: "https://token.example.com", audiences: [a, b]}
  - account: "222222222222"
    users: [{name: carl}]
`

// A bench applies files to a real store.
type bench struct {
	meta     meta.Store
	identity *identity.Service
	iam      *iam.Service
	changes  int
}

// counting counts what changes the store.
type counting struct {
	meta.Store
	b *bench
}

func (c counting) Update(ctx context.Context, fn func(ctx context.Context, tx meta.Tx) error) error {
	c.b.changes++
	return c.Store.Update(ctx, fn)
}

func newBench(t *testing.T) *bench {
	t.Helper()
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "kontor.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	key, err := identity.NewMasterKey(make([]byte, identity.MasterKeySize))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{meta: store}
	now := func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }
	b.identity = identity.New(identity.Config{Meta: counting{store, b}, Key: key, Now: now})
	b.iam = iam.New(iam.Config{Gate: gate.New(gate.Config{Meta: counting{store, b}}), Identity: b.identity, Now: now, Partition: "aws"})
	return b
}

func (b *bench) apply(t *testing.T, text string) error {
	t.Helper()
	f, err := declared.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return declared.Apply(t.Context(), declared.Config{IAM: b.iam, Account: "111111111111", Getenv: func(name string) string {
		return map[string]string{"ANN_SECRET": "a-secret-of-ann-0123456789"}[name]
	}}, f)
}

func (b *bench) must(t *testing.T, text string) {
	t.Helper()
	if err := b.apply(t, text); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) user(t *testing.T, account ecr.AccountID, name string) meta.User {
	t.Helper()
	u, err := b.iam.System(account, "test").User(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestApply(t *testing.T) {
	b := newBench(t)
	b.must(t, example)
	ann, bob := b.user(t, "111111111111", "ann"), b.user(t, "111111111111", "bob")
	if ann.Path != "/ops/" || len(ann.Policies) != 2 || ann.Policies[1] != "AmazonEC2ContainerRegistryPowerUser" || ann.Tags["team"] != "a" {
		t.Errorf("ann %+v", ann)
	}
	if bob.Boundary == "" || !strings.Contains(bob.Inline["own"], "ecr:*") {
		t.Errorf("bob %+v", bob)
	}
	if c, err := b.identity.Credentials(t.Context(), "111111111111", "ann"); err != nil || c.AccessKeyID != "AKIAIOSFODNN7EXAMPLE" || c.SecretAccessKey != "a-secret-of-ann-0123456789" {
		t.Errorf("credentials of ann: %s, %v", c.AccessKeyID, err)
	}
	made, err := b.identity.Credentials(t.Context(), "222222222222", "carl")
	if err != nil {
		t.Error(err)
	}
	role, err := b.iam.System("111111111111", "test").Role(t.Context(), "ci")
	if err != nil || role.MaxSession != 2*time.Hour || !strings.Contains(role.Trust, "user/ops/ann") || role.Description != "builds" {
		t.Errorf("role %+v, %v", role, err)
	}

	// Again is nothing: no key is made again, nothing is written.
	b.changes = 0
	b.must(t, example)
	if d := cmp.Diff(ann, b.user(t, "111111111111", "ann")); d != "" {
		t.Errorf("ann (-before +after):\n%s", d)
	}
	if again, err := b.identity.Credentials(t.Context(), "222222222222", "carl"); err != nil || again != made {
		t.Errorf("carl's key changed, %v", err)
	}
	if b.changes != 1 { // of the key that is there
		t.Errorf("%d transactions", b.changes)
	}

	// What the file names is as it says, what it does not name stays.
	b.must(t, `
identities:
  - policies:
      - {name: read, document: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "ecr:Get*", Resource: "*"}]}}
    users:
      - {name: ann, policies: [read], tags: {team: b, more: c}, access_keys: [{id: AKIAIOSFODNN7EXAMPLE, secret: another-secret-0123456789}]}
      - {name: bob, inline: {other: '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:Get*","Resource":"*"}]}'}}
    oidc: [{url: "https://token.example.com", audiences: [b, c]}]
`)
	ann, bob = b.user(t, "111111111111", "ann"), b.user(t, "111111111111", "bob")
	if d := cmp.Diff(map[string]string{"team": "b", "more": "c"}, ann.Tags); d != "" || len(ann.Policies) != 1 || ann.Path != "/ops/" {
		t.Errorf("ann %+v (-want +got):\n%s", ann, d)
	}
	if _, there := bob.Inline["own"]; there || bob.Inline["other"] == "" || bob.Boundary != "" {
		t.Errorf("bob %+v", bob)
	}
	if c, err := b.identity.Credentials(t.Context(), "111111111111", "ann"); err != nil || c.SecretAccessKey != "another-secret-0123456789" {
		t.Errorf("ann's secret did not change, %v", err)
	}
	system := b.iam.System("111111111111", "test")
	if _, err := system.Role(t.Context(), "ci"); err != nil {
		t.Error(err)
	}
	m, err := system.ManagedPolicy(t.Context(), "arn:aws:iam::111111111111:policy/read")
	if err != nil || m.Default != 2 || !strings.Contains(m.Versions[2].Text, "ecr:Get*") {
		t.Errorf("policy %+v, %v", m, err)
	}
	i, err := system.Provider(t.Context(), "arn:aws:iam::111111111111:oidc-provider/token.example.com")
	if d := cmp.Diff([]string{"b", "c"}, i.Audiences); d != "" || err != nil {
		t.Errorf("issuer %v (-want +got):\n%s", err, d)
	}
}

func TestErrors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"not YAML", "identities: [", "sequence"},
		{"unknown field", "identities: [{users: [{name: a, polices: []}]}]", "polices"},
		{"no account", `identities: [{account: "12"}]`, `account "12"`},
		{"no name", "identities: [{users: [{path: /}]}]", "user without a name"},
		{"twice", "identities: [{roles: [{name: a, trust: {}}, {name: A, trust: {}}]}]", "role A is there twice"},
		{"key id", "identities: [{users: [{name: a, access_keys: [{id: x, secret: 0123456789abcdef}]}]}]", `access key "x": want AKIA`},
		{"no secret", "identities: [{users: [{name: a, access_keys: [{id: AKIAIOSFODNN7EXAMPLE}]}]}]", "give one of secret, secret_env and secret_file"},
		{"short secret", "identities: [{users: [{name: a, access_keys: [{id: AKIAIOSFODNN7EXAMPLE, secret: geheim}]}]}]", "a secret has 16 to 128"},
		{"document", "identities: [{policies: [{name: a, document: [1]}]}]", "want a policy"},
		{"duration", "identities: [{roles: [{name: a, max_session: long}]}]", "not a duration such as 2h"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := declared.Parse([]byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse = %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "geheim") {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
	for _, tt := range []struct{ name, text, want string }{
		{"policy that is none", "identities: [{users: [{name: a, policies: [None]}]}]", `identities of account 111111111111: user a: there is no managed policy "None"`},
		{"malformed policy", "identities: [{policies: [{name: p, document: {Statement: x}}]}]", "policy p: Syntax errors in policy."},
		{"trust an unknown user", `identities: [{roles: [{name: r, trust: {Version: "2012-10-17", Statement: [{Effect: Allow, Principal: {AWS: "arn:aws:iam::111111111111:user/x"}, Action: "sts:AssumeRole"}]}}], users: [{name: a}]}]`, "Invalid principal in policy"},
		{"no such variable", "identities: [{users: [{name: a, access_keys: [{id: AKIAIOSFODNN7EXAMPLE, secret_env: NONE}]}]}]", "NONE holds no secret"},
		{"key of another user", "identities: [{users: [{name: a, access_keys: [{id: AKIAIOSFODNN7EXAMPLE, secret: 0123456789abcdef}]}]}, {account: \"222222222222\", users: [{name: b, access_keys: [{id: AKIAIOSFODNN7EXAMPL3, secret: 0123456789abcdef}]}]}]", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := newBench(t).apply(t, tt.text)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("Apply = %v, want %q", err, tt.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(example)
	f.Add("{}")
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = declared.Parse([]byte(text)) // neither panics nor hangs
	})
}
