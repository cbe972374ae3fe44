package registry_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
	"github.com/kontor-registry/kontor/policy"
)

// What Fit leaves of a policy can be set, and whatever the server can have stays.
func TestFit(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx, to := t.Context(), f.Repo("app", ecr.Mutable)
	err := f.Meta.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		return errors.Join(
			tx.Identities().InsertUser(ctx, meta.User{Account: testkit.Home.Account, Name: "jane", UniqueID: "AIDAJANE0000000000", Path: "/"}),
			tx.Identities().InsertRole(ctx, meta.Role{Account: testkit.Home.Account, Name: "ci", UniqueID: "AROACI000000000000", Path: "/"}),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	const (
		jane    = `"arn:aws:iam::000000000000:user/jane"`
		ci      = `"arn:aws:iam::000000000000:role/ci"`
		gone    = `"arn:aws:iam::000000000000:role/gone"`
		session = `"arn:aws:sts::000000000000:assumed-role/gone/build"`
		other   = `"arn:aws:iam::111111111111:role/any"`
		noGone  = `arn:aws:iam::000000000000:role/gone, which does not exist on this server (--identities makes users and roles)`
		get     = `"Action":"ecr:BatchGetImage"`
		vpce    = `"Effect":"Deny","Principal":"*",` + get + `,"Condition":{"StringNotEquals":{"aws:SourceVpce":"vpce-1"}}`
		https   = `"Effect":"Deny","Principal":"*",` + get + `,"Condition":{"Bool":{"aws:SecureTransport":"false"}}`
		noVPCE  = `as no request to this server has a value for the condition key aws:SourceVpce, so that the Deny would deny everything`
		noHTTPS = `as this server speaks plain HTTP and the Deny is about aws:SecureTransport (--tls serves https)`
	)
	parse := func(text string) policy.Document {
		t.Helper()
		doc, err := policy.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return doc
	}
	allow := func(principals ...string) string {
		return `"Principal":{"AWS":[` + strings.Join(principals, ",") + `]},` + get
	}
	not := func(principals string) string {
		return `"Effect":"Deny","NotPrincipal":{` + principals + `},` + get
	}
	for _, c := range []struct {
		name      string
		have      []string
		want      []string // none: no policy
		left      []string
		secure    bool
		unchanged bool
	}{
		{name: "all there", have: []string{allow(jane, ci, other, `"222222222222"`, `"*"`), `"Principal":"*",` + get}, unchanged: true},
		{name: "one of several", have: []string{allow(jane, gone, other, ci)}, want: []string{allow(jane, other, ci)}, left: []string{noGone}},
		{name: "the only one", have: []string{allow(gone)}, left: []string{noGone}},
		{name: "said once", have: []string{allow(gone), allow(jane), allow(gone, ci)}, want: []string{allow(jane), allow(ci)}, left: []string{noGone}},
		{name: "a session", have: []string{allow(session)}, left: []string{strings.Replace(noGone, "iam::000000000000:role/gone", "sts::000000000000:assumed-role/gone/build", 1)}},
		{name: "with services", have: []string{`"Principal":{"AWS":` + gone + `,"Service":"lambda.amazonaws.com"},` + get}, want: []string{`"Principal":{"Service":"lambda.amazonaws.com"},` + get}, left: []string{noGone}},
		{name: "NotPrincipal", have: []string{not(`"AWS":[` + gone + `,` + ci + `]`)}, want: []string{not(`"AWS":` + ci)}, left: []string{noGone}},
		// would deny everyone
		{name: "only NotPrincipal", have: []string{not(`"AWS":` + gone), allow(ci)}, want: []string{allow(ci)}, left: []string{noGone}},
		{name: "VPC endpoint", have: []string{vpce, allow(ci)}, want: []string{allow(ci)}, left: []string{"statement 1, " + noVPCE}},
		{name: "Allow by VPC endpoint", have: []string{strings.Replace(vpce, "Deny", "Allow", 1)}, unchanged: true},
		{name: "plain HTTP", have: []string{allow(ci), https}, want: []string{allow(ci)}, left: []string{"statement 2, " + noHTTPS}},
		{name: "Allow over https", have: []string{strings.Replace(https, "Deny", "Allow", 1)}, unchanged: true},
		{name: "https", have: []string{allow(ci), https}, secure: true, unchanged: true},
		{name: "all at once", have: []string{https, allow(gone), vpce}, left: []string{"statement 1, " + noHTTPS, noGone, "statement 3, " + noVPCE}},
	} {
		text := policyOf(c.have...)
		got, left, err := f.Registry.Fit(ctx, "aws", c.secure, text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.left, left); diff != "" {
			t.Errorf("%s: left out (-want +got):\n%s", c.name, diff)
		}
		switch {
		case c.unchanged:
			if got != text {
				t.Errorf("%s: %s", c.name, got)
			}
		case c.want == nil:
			if got != "" {
				t.Errorf("%s: %s", c.name, got)
			}
		case !policy.Equal(parse(got), parse(policyOf(c.want...))):
			t.Errorf("%s: %s", c.name, got)
		}
		if got == "" {
			continue
		}
		if _, err := f.SetPolicy(ctx, to, got, false); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// What cannot be read is left for SetPolicy to refuse.
	if got, left, err := f.Registry.Fit(ctx, "aws", false, "{"); got != "{" || left != nil || err != nil {
		t.Error(got, left, err)
	}
}
