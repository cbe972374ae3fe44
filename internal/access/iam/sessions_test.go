package iam_test

import (
	"slices"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// A session begins with a record of each permission: to assume the role, to tag
// the session, to set its source identity.
func TestAssumeRole(t *testing.T) {
	for _, tt := range []struct {
		name  string
		trust string // the action that the trust policy allows
		edit  func(a *iam.AssumeRole)
		want  []string
	}{
		{"plain", "sts:AssumeRole", func(*iam.AssumeRole) {}, []string{"sts:AssumeRole"}},
		{"with tags", "sts:*", func(a *iam.AssumeRole) { a.Tags = []iam.Tag{{Key: "a", Value: "b"}} }, []string{"sts:AssumeRole", "sts:TagSession"}},
		{"with all", "sts:*", func(a *iam.AssumeRole) { a.Tags, a.SourceIdentity = []iam.Tag{{Key: "a", Value: "b"}}, "jane" },
			[]string{"sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"}},
		{"with tags that are not allowed", "sts:AssumeRole", func(a *iam.AssumeRole) { a.Tags = []iam.Tag{{Key: "a", Value: "b"}} }, []string{"!sts:TagSession"}},
		{"with an identity that is not allowed", "sts:AssumeRole", func(a *iam.AssumeRole) { a.SourceIdentity = "jane" }, []string{"!sts:SetSourceIdentity"}},
		{"that is closed", "sts:TagSession", func(*iam.AssumeRole) {}, []string{"!sts:AssumeRole"}},
		{"that is not there", "sts:*", func(a *iam.AssumeRole) { a.RoleARN = "arn:aws:iam::111111111111:role/none" }, []string{"!sts:AssumeRole"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, audit.Changes)
			if _, err := w.System(home, "tests").CreateRole(t.Context(), iam.NewRole{Name: "thing", Trust: trusting(string(home), tt.trust)}); err != nil {
				t.Fatal(err)
			}
			w.records()
			a := iam.AssumeRole{RoleARN: roleARN, SessionName: "job", Region: "us-east-1"}
			tt.edit(&a)
			got, err := w.As(w.admin).AssumeRole(t.Context(), a)
			on := w.records()
			if !slices.Equal(actions(on), tt.want) {
				t.Errorf("on record: %q, want %q", actions(on), tt.want)
			}
			for _, r := range on {
				if r.Operation != "AssumeRole" || r.Resource != a.RoleARN || r.Principal != w.admin.ARN || (r.Statement == "trust policy") != (r.Decision == audit.Allowed) {
					t.Errorf("%+v", r)
				}
			}
			if refused, is := on[len(on)-1], on[len(on)-1].Decision == audit.Denied; is {
				wantCode(t, err, ecr.CodeAccessDenied, "User: "+w.admin.ARN+" is not authorized to perform: "+refused.Action+" on resource: "+a.RoleARN)
				if got != (iam.Assumed{}) {
					t.Errorf("refused, and a session: %+v", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			p, _, err := w.identity.LookupSession(t.Context(), got.AccessKeyID, got.SessionToken)
			if err != nil || p.ARN != "arn:aws:sts::111111111111:assumed-role/thing/job" || p.Session.SourceIdentity != a.SourceIdentity || p.Tags["a"] != map[bool]string{true: "b"}[a.Tags != nil] {
				t.Errorf("the session is %+v, %v", p, err)
			}
		})
	}
}

// What the role itself limits is refused after it was asked, and nothing is on
// record of a session that does not begin.
func TestLimitsOfSessions(t *testing.T) {
	w := open(t, audit.Changes)
	if _, err := w.System(home, "tests").CreateRole(t.Context(), iam.NewRole{Name: "thing", Trust: trusting(string(home), "sts:*")}); err != nil {
		t.Fatal(err)
	}
	w.records()
	_, err := w.As(w.admin).AssumeRole(t.Context(), iam.AssumeRole{RoleARN: roleARN, SessionName: "job", Duration: 2 * time.Hour})
	wantCode(t, err, ecr.CodeValidation, "exceeds the MaxSessionDuration")
	_, err = w.As(w.admin).AssumeRole(t.Context(), iam.AssumeRole{RoleARN: roleARN, SessionName: "job", PolicyARNs: []string{"arn:aws:iam::111111111111:policy/none"}})
	wantCode(t, err, iam.CodeMalformedPolicyDocument, "policy/none")
	if got := w.records(); len(got) > 0 {
		t.Errorf("on record: %+v", got)
	}
	// Across accounts both sides must allow.
	foreign := w.As(w.principal(other, identity.Administrator))
	_, err = foreign.AssumeRole(t.Context(), iam.AssumeRole{RoleARN: roleARN, SessionName: "job"})
	wantCode(t, err, ecr.CodeAccessDenied)
}

// GetSessionToken needs no permission, and is a read.
func TestSessionToken(t *testing.T) {
	for mode, want := range map[audit.Mode][]string{audit.Changes: nil, audit.All: {"sts:GetSessionToken"}} {
		t.Run(string(mode), func(t *testing.T) {
			w := open(t, mode)
			got, err := w.As(w.nobody).SessionToken(t.Context(), 0, false)
			if err != nil {
				t.Fatal(err)
			}
			if on := w.records(); !slices.Equal(actions(on), want) {
				t.Errorf("on record: %q, want %q", actions(on), want)
			}
			p, _, err := w.identity.LookupSession(t.Context(), got.AccessKeyID, got.SessionToken)
			if err != nil || p.ARN != w.nobody.ARN || p.Session == nil || p.Session.RoleARN != "" {
				t.Errorf("%+v, %v", p, err)
			}
			_, err = w.As(p).SessionToken(t.Context(), 0, false)
			wantCode(t, err, ecr.CodeAccessDenied, "Cannot call GetSessionToken with session credentials")
		})
	}
}
