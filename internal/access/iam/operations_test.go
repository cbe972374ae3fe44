package iam_test

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// askNothing are the methods of a caller that need no permission, and those
// that sessions_test.go tries.
var askNothing = []string{
	"Partition", "OwnName", "BoundaryARN", "DecodeAuthorizationMessage", "EnsureAccessKey", "AssumeRole", "SessionToken",
}

func TestEveryOperationIsTried(t *testing.T) {
	tried := slices.Clone(askNothing)
	for _, call := range everything() {
		method, _, _ := strings.Cut(call.method, ".")
		tried = append(tried, method)
	}
	caller := reflect.TypeFor[*iam.Caller]()
	for i := range caller.NumMethod() {
		if name := caller.Method(i).Name; !slices.Contains(tried, name) {
			t.Errorf("Caller.%s is not tried", name)
		}
	}
	for _, name := range tried {
		if _, ok := caller.MethodByName(name); !ok {
			t.Errorf("Caller has no %s", name)
		}
	}
}

// isRead reports whether an action changes nothing.
func isRead(action string) bool {
	for _, prefix := range []string{"Get", "List", "Simulate"} {
		if strings.HasPrefix(bare(action), prefix) {
			return true
		}
	}
	return false
}

// bare is an action without the service.
func bare(action string) string { return action[strings.IndexByte(action, ':')+1:] }

// full is an action with its service, which is IAM unless it says another.
func full(action string) string {
	if strings.Contains(action, ":") {
		return action
	}
	return "iam:" + action
}

func prefixed(prefix string, actions []string) (list []string) {
	for _, a := range actions {
		list = append(list, prefix+full(a))
	}
	return list
}

// Each operation asks for its actions, and has a record of each if it changes
// something, and with audit all also if not.
func TestPermissionsAreOnRecord(t *testing.T) {
	for _, mode := range []audit.Mode{audit.Changes, audit.All} {
		t.Run(string(mode), func(t *testing.T) {
			w := open(t, mode)
			for _, call := range everything() {
				if err := call.do(t.Context(), w.As(w.admin)); err != nil {
					t.Fatalf("%s: %v", call.method, err)
				}
				want := prefixed("", call.actions)
				if mode == audit.Changes && isRead(call.actions[0]) {
					want = nil
				}
				got := w.records()
				if d := cmp.Diff(want, actions(got)); d != "" {
					t.Errorf("%s on record (-want +got):\n%s", call.method, d)
				}
				for _, r := range got {
					if r.Operation != bare(call.actions[0]) || r.Principal != w.admin.ARN || r.RequestID != "request-1" || r.Resource == "" ||
						r.Statement != "AdministratorAccess, statement 1" {
						t.Errorf("%s: %+v", call.method, r)
					}
				}
			}
		})
	}
}

// Who has no rights is told the same of what is there and of what is not,
// changes nothing, and is on record once.
func TestStrangersAreDenied(t *testing.T) {
	w := open(t, audit.Changes)
	calls := everything()
	denied := func(c call) string {
		t.Helper()
		err := c.do(t.Context(), w.As(w.nobody))
		wantCode(t, err, ecr.CodeAccessDenied, "User: "+w.nobody.ARN+" is not authorized to perform: "+full(c.actions[0])+" on resource: ",
			" because no identity-based policy allows the "+full(c.actions[0])+" action")
		got := w.records()
		if d := cmp.Diff(prefixed("!", c.actions[:1]), actions(got)); d != "" || got[0].Operation != bare(c.actions[0]) || got[0].Principal != w.nobody.ARN || got[0].Reason == "" {
			t.Errorf("%s on record (-want +got):\n%s%+v", c.method, d, got)
		}
		return err.Error()
	}
	missing := map[string]string{}
	for _, c := range calls {
		missing[c.actions[0]] = denied(c)
	}
	for _, c := range calls[:4] { // what the others are about
		if err := c.do(t.Context(), w.System(home, "tests")); err != nil {
			t.Fatal(err)
		}
	}
	w.records()
	before := w.details()
	for _, c := range calls {
		if c.method == "AccessKeyLastUsed" {
			continue // there is no key
		}
		if got := denied(c); got != missing[c.actions[0]] {
			t.Errorf("%s tells what there is:\n%s\n%s", c.method, missing[c.actions[0]], got)
		}
	}
	if d := cmp.Diff(before, w.details()); d != "" {
		t.Errorf("something changed (-before +after):\n%s", d)
	}
}

// details are the users, roles, policies and providers of home.
func (w *world) details() any {
	w.t.Helper()
	c := w.System(home, "tests")
	d, _, err := c.AccountDetails(w.t.Context(), []iam.DetailKind{iam.DetailUsers, iam.DetailRoles, iam.DetailPolicies}, iam.Page{})
	if err != nil {
		w.t.Fatal(err)
	}
	providers, err := c.Providers(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return []any{d, providers}
}

// When it cannot be put on record, nothing is changed and no session begins,
// and the words are the service's.
func TestWithoutARecordNothingHappens(t *testing.T) {
	w := open(t, audit.Changes)
	calls := everything()
	for _, c := range calls[:4] {
		if err := c.do(t.Context(), w.As(w.admin)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(w.dir); err != nil {
		t.Fatal(err)
	}
	before := w.details()
	const text = "The service cannot put this on record now. Try again later."
	for _, c := range calls {
		switch err := c.do(t.Context(), w.As(w.admin)); {
		case isRead(c.actions[0]):
		case err == nil:
			t.Errorf("%s goes on without a record", c.method)
		case ecr.CodeOf(err) == ecr.CodeUnavailable:
			wantCode(t, err, ecr.CodeUnavailable, text)
		}
	}
	wantCode(t, w.As(w.nobody).DeleteUser(t.Context(), "thing"), ecr.CodeUnavailable, text)
	_, err := w.As(w.admin).AssumeRole(t.Context(), iam.AssumeRole{RoleARN: roleARN, SessionName: "job"})
	wantCode(t, err, ecr.CodeUnavailable, text)
	if d := cmp.Diff(before, w.details()); d != "" {
		t.Errorf("something changed (-before +after):\n%s", d)
	}
}

// A job of the server needs no rights; its reason is on record.
func TestSystem(t *testing.T) {
	w := open(t, audit.Changes)
	for _, call := range everything() {
		if err := call.do(t.Context(), w.System(home, "identities file")); err != nil {
			t.Errorf("%s: %v", call.method, err)
		}
		for _, r := range w.records() {
			if r.Principal != "system: identities file" || r.Statement != "system: identities file" {
				t.Errorf("%s: %+v", call.method, r)
			}
		}
	}
	wanted := identity.Credentials{AccessKeyID: "AKIAWANTEDWANTEDWANT", SecretAccessKey: "wanted"}
	wantCode(t, w.As(w.admin).EnsureAccessKey(t.Context(), "nobody", wanted), ecr.CodeAccessDenied, "chosen by the server")
	for range 2 {
		if err := w.System(home, "identities file").EnsureAccessKey(t.Context(), "nobody", wanted); err != nil {
			t.Fatal(err)
		}
	}
	if p, secret, err := w.identity.Lookup(t.Context(), wanted.AccessKeyID); err != nil || secret != "wanted" || p.ARN != w.nobody.ARN {
		t.Errorf("%+v, %v", p, err)
	}
}

// IAM API reference, UpdateUser: "the user must have permission on both the
// source and the target".
func TestRenamingAsksForBothNames(t *testing.T) {
	w := open(t, audit.Changes)
	w.user("old")
	half := w.user("half", allow("iam:UpdateUser", "arn:aws:iam::111111111111:user/old"))
	whole := w.user("whole", allow("iam:UpdateUser", "arn:aws:iam::111111111111:user/old"), allow("iam:UpdateUser", "arn:aws:iam::111111111111:user/team/new"))
	w.records()
	wantCode(t, w.As(half).UpdateUser(t.Context(), "old", "new", "/team/"), ecr.CodeAccessDenied, "on resource: arn:aws:iam::111111111111:user/team/new")
	if err := w.As(whole).UpdateUser(t.Context(), "old", "new", "/team/"); err != nil {
		t.Fatal(err)
	}
	var resources []string
	for _, r := range w.records() {
		resources = append(resources, string(r.Decision)+" "+r.Resource)
	}
	want := []string{"denied arn:aws:iam::111111111111:user/team/new", "allowed arn:aws:iam::111111111111:user/old", "allowed arn:aws:iam::111111111111:user/team/new"}
	if !slices.Equal(resources, want) {
		t.Errorf("on record: %q", resources)
	}
}

// The second permission of a creation with tags is asked for, and its denial is
// what is recorded.
func TestTagsNeedTheirOwnPermission(t *testing.T) {
	w := open(t, audit.Changes)
	maker := w.user("maker", allow("iam:Create*", "*"))
	w.records()
	for _, call := range everything()[:3] {
		wantCode(t, call.do(t.Context(), w.As(maker)), ecr.CodeAccessDenied, "iam:"+call.actions[1])
		if got := w.records(); !slices.Equal(actions(got), []string{"!iam:" + call.actions[1]}) || got[0].Operation != call.actions[0] {
			t.Errorf("%s: %+v", call.method, got)
		}
	}
	if _, err := w.As(maker).CreateUser(t.Context(), iam.NewUser{Name: "plain"}); err != nil {
		t.Error(err)
	}
}

// A caller sees and changes its own account only.
func TestAccountsAreApart(t *testing.T) {
	w := open(t, audit.Changes)
	w.user("thing")
	foreign := w.As(w.principal(other, identity.Administrator))
	_, err := foreign.User(t.Context(), "thing")
	wantCode(t, err, iam.CodeNoSuchEntity)
	users, _, err := foreign.Users(t.Context(), iam.Page{})
	if err != nil || len(users) != 2 {
		t.Errorf("%d users, %v", len(users), err)
	}
	if _, err := foreign.CreateUser(t.Context(), iam.NewUser{Name: "thing"}); err != nil {
		t.Errorf("a name that another account has: %v", err)
	}
}

// Lists continue where a page ended, whatever the path prefix leaves out.
func TestPagesOfUsers(t *testing.T) {
	w := open(t, audit.Changes)
	c := w.System(home, "tests")
	var want []string
	for i, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		path := "/"
		if i%2 == 0 {
			path, want = "/team/", append(want, name)
		}
		if _, err := c.CreateUser(t.Context(), iam.NewUser{Name: name, Path: path}); err != nil {
			t.Fatal(err)
		}
	}
	for limit := 1; limit <= 5; limit++ {
		var got []string
		for marker := ""; ; {
			page, next, err := c.Users(t.Context(), iam.Page{PathPrefix: "/team/", Limit: limit, Marker: marker})
			if err != nil || len(page) > limit || next != "" && len(page) < limit {
				t.Fatalf("a page of %d of %d, next %q, %v", len(page), limit, next, err)
			}
			for _, u := range page {
				got = append(got, u.Name)
			}
			if marker = next; next == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: %q, want %q", limit, got, want)
		}
	}
}

// The credentials of GetSessionToken call no IAM API (STS API reference), and
// are told as AWS tells them; that is not a denial of a permission.
func TestSessionsOfUsersCallNoIAM(t *testing.T) {
	w := open(t, audit.All)
	p := w.admin
	p.Session = &access.Session{IssuedAt: w.now.Add(-time.Minute)}
	for _, call := range everything() {
		if call.method == "AccessKeyLastUsed" || strings.Contains(call.method, "AccessKeyActive") || call.method == "DeleteAccessKey" {
			continue // nothing is there to ask about
		}
		wantCode(t, call.do(t.Context(), w.As(p)), ecr.CodeUnrecognizedClient, "The security token included in the request is invalid.")
	}
	if got := w.records(); len(got) > 0 {
		t.Errorf("on record: %+v", got)
	}
}

func TestMachineTokensAreChecked(t *testing.T) {
	w := open(t, audit.Changes)
	w.user("ann")
	c := w.System(home, "tests").Tokens()
	const allowed = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}`
	for _, tt := range []struct {
		name string
		n    iam.NewMachineToken
		code ecr.Code
		text string
	}{
		{"no name", iam.NewMachineToken{User: "ann"}, ecr.CodeValidation, "'tokenName'"},
		{"a name of other characters", iam.NewMachineToken{User: "ann", Name: "a b"}, ecr.CodeValidation, "tokenName"},
		{"a long name", iam.NewMachineToken{User: "ann", Name: strings.Repeat("x", 65)}, ecr.CodeValidation, "less than or equal to 64"},
		{"no such user", iam.NewMachineToken{User: "bob", Name: "x"}, iam.CodeNoSuchEntity, "bob"},
		{"expired already", iam.NewMachineToken{User: "ann", Name: "x", Expires: w.now}, ecr.CodeValidation, "'expiresAt'"},
		{"not a pattern", iam.NewMachineToken{User: "ann", Name: "x", Pull: []string{"Team/*"}}, ecr.CodeValidation, "'pull'"},
		{"a pattern that ends the ARN", iam.NewMachineToken{User: "ann", Name: "x", Push: []string{`a","*`}}, ecr.CodeValidation, "'push'"},
		{"a policy and patterns", iam.NewMachineToken{User: "ann", Name: "x", Pull: []string{"*"}, Policy: allowed}, ecr.CodeValidation, "either a policy or patterns"},
		{"no policy", iam.NewMachineToken{User: "ann", Name: "x", Policy: "{}"}, iam.CodeMalformedPolicyDocument, ""},
		{"a policy for resources", iam.NewMachineToken{User: "ann", Name: "x", Policy: strings.Replace(allowed, `"Action"`, `"Principal":"*","Action"`, 1)}, iam.CodeMalformedPolicyDocument, ""},
		{"a long policy", iam.NewMachineToken{User: "ann", Name: "x", Policy: allowed + strings.Repeat(" ", 10240)}, ecr.CodeValidation, "10240"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := c.Create(t.Context(), tt.n)
			wantCode(t, err, tt.code, tt.text)
		})
	}
	for i := range 100 {
		if _, _, err := c.Create(t.Context(), iam.NewMachineToken{User: "ann", Name: fmt.Sprint("token", i)}); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			_, _, err := c.Create(t.Context(), iam.NewMachineToken{User: "ann", Name: "TOKEN0"})
			wantCode(t, err, iam.CodeEntityAlreadyExists, "User ann has a token with the name TOKEN0 already.")
		}
	}
	_, _, err := c.Create(t.Context(), iam.NewMachineToken{User: "ann", Name: "more"})
	wantCode(t, err, iam.CodeLimitExceeded, "TokensPerUser: 100")
	_, err = c.Delete(t.Context(), "ann", "more")
	wantCode(t, err, iam.CodeNoSuchEntity, "User ann has no token with the name more.")
}
