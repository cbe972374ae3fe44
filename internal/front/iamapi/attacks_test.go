package iamapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/kontor-registry/kontor/internal/access/audit"
)

const administrator = "arn:aws:iam::aws:policy/AdministratorAccess"

// Principals cannot use IAM to get more than IAM's own actions allow: not without any
// permission, not past a boundary, and not by a session that asks for more.
func TestPrincipalsCannotRaiseThemselves(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	admin := iam.NewFromConfig(w.admin(accountA))

	plain := iam.NewFromConfig(w.newUser(accountA, "plain", allow("ecr:*", "*")))
	denied := func(name string, err error) {
		t.Helper()
		t.Log(name)
		wantError(t, err, "AccessDenied", "is not authorized to perform: iam:")
	}
	_, err := plain.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: aws.String("plain"), PolicyArn: aws.String(administrator)})
	denied("attach to itself", err)
	_, err = plain.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("plain"), PolicyName: aws.String("x"), PolicyDocument: aws.String(allow("*", "*"))})
	denied("inline policy", err)
	_, err = plain.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("administrator")})
	denied("a key of another", err)
	_, err = plain.UpdateUser(ctx, &iam.UpdateUserInput{UserName: aws.String("plain"), NewUserName: aws.String("other")})
	denied("another name", err)

	// Under a boundary everything of IAM is out of reach that the boundary lacks.
	everything := w.newUser(accountA, "bounded", allow("*", "*"))
	must(admin.PutUserPermissionsBoundary(ctx, &iam.PutUserPermissionsBoundaryInput{
		UserName: aws.String("bounded"), PermissionsBoundary: aws.String("arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"),
	}))(t)
	_, err = iam.NewFromConfig(everything).DeleteUserPermissionsBoundary(ctx, &iam.DeleteUserPermissionsBoundaryInput{UserName: aws.String("bounded")})
	wantError(t, err, "AccessDenied", "because no permissions boundary allows the iam:DeleteUserPermissionsBoundary action")

	// The policy of a session limits, it never gives.
	role := w.newRole(accountA, "little", trust("111111111111", ""), allow("ecr:GetAuthorizationToken", "*"))
	out := must(assume(t, w.admin(accountA), role, func(in *sts.AssumeRoleInput) { in.Policy = aws.String(allow("*", "*")) }))(t)
	_, err = iam.NewFromConfig(w.session(accountA, out.Credentials)).AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{
		RoleName: aws.String("little"), PolicyArn: aws.String(administrator),
	})
	denied("a session's own role", err)
}

// "Delegating responsibility to others using permissions boundaries" (IAM user
// guide): iam:PermissionsBoundary is the boundary of the user acted on.
func TestDelegationByBoundary(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	const boundary = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPowerUser"
	admin := iam.NewFromConfig(w.admin(accountA))
	delegate := iam.NewFromConfig(w.newUser(accountA, "delegate", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["iam:AttachUserPolicy","iam:DetachUserPolicy","iam:PutUserPolicy","iam:DeleteUserPolicy"],"Resource":"*",
		 "Condition":{"StringEquals":{"iam:PermissionsBoundary":"`+boundary+`"}}},
		{"Effect":"Allow","Action":"iam:DeleteUserPermissionsBoundary","Resource":"*"},
		{"Effect":"Deny","Action":"iam:DeleteUserPermissionsBoundary","Resource":"*","Condition":{"StringEquals":{"iam:PermissionsBoundary":"`+boundary+`"}}}]}`))
	for name, of := range map[string]*string{"bounded": aws.String(boundary), "free": nil, "other": aws.String("arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly")} {
		must(admin.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String(name), PermissionsBoundary: of}))(t)
	}
	for _, name := range []string{"bounded", "free", "other"} {
		t.Run(name, func(t *testing.T) {
			_, err := delegate.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: aws.String(name), PolicyArn: aws.String(administrator)})
			_, perr := delegate.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String(name), PolicyName: aws.String("x"), PolicyDocument: aws.String(allow("*", "*"))})
			if name == "bounded" {
				if err != nil || perr != nil {
					t.Errorf("%v, %v", err, perr)
				}
				return
			}
			wantError(t, err, "AccessDenied", "iam:AttachUserPolicy")
			wantError(t, perr, "AccessDenied", "iam:PutUserPolicy")
		})
	}
	_, err := delegate.DeleteUserPermissionsBoundary(ctx, &iam.DeleteUserPermissionsBoundaryInput{UserName: aws.String("bounded")})
	wantError(t, err, "AccessDenied", "with an explicit deny")
	must(delegate.DeleteUserPermissionsBoundary(ctx, &iam.DeleteUserPermissionsBoundaryInput{UserName: aws.String("other")}))(t)
}

// A tag is handed on under the name that it has, however TransitiveTagKeys
// spell it, and cannot be replaced on the way.
func TestTransitiveTagsInOtherLetters(t *testing.T) {
	w := start(t)
	ann := w.newUser(accountA, "ann", allow("sts:*", "*"))
	role := w.newRole(accountA, "role", trust("111111111111", ""), allow("*", "*"))
	next := w.newRole(accountA, "next", trust("111111111111", ""), allow("*", "*"))
	first := must(assume(t, ann, role, func(in *sts.AssumeRoleInput) {
		in.Tags = []ststypes.Tag{{Key: aws.String("team"), Value: aws.String("a")}}
		in.TransitiveTagKeys = []string{"TEAM"}
	}))(t)
	_, err := assume(t, w.session(accountA, first.Credentials), next, func(in *sts.AssumeRoleInput) {
		in.Tags = []ststypes.Tag{{Key: aws.String("team"), Value: aws.String("z")}}
	})
	wantError(t, err, "InvalidParameterValue", "conflicts with a transitive tag key from the calling session")
}

// What cannot be read changes nothing, also where a part of it could be.
func TestWhatCannotBeReadChangesNothing(t *testing.T) {
	w := start(t)
	c := iam.NewFromConfig(w.admin(accountA))
	name := aws.String("ann")
	must(c.CreateUser(t.Context(), &iam.CreateUserInput{UserName: name, Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("a")}}}))(t)
	var form strings.Builder
	form.WriteString("Action=UntagUser&Version=2010-05-08&UserName=ann&TagKeys.member.1=team")
	for i := 2; i < 1010; i++ {
		fmt.Fprintf(&form, "&TagKeys.member.%d=x", i)
	}
	if status, body := w.query(w.admin(accountA), form.String(), "iam"); status != http.StatusBadRequest || !strings.Contains(body, "has more than") {
		t.Errorf("%d %s", status, body)
	}
	if tags := must(c.ListUserTags(t.Context(), &iam.ListUserTagsInput{UserName: name}))(t).Tags; len(tags) != 1 {
		t.Errorf("tags are %v", tags)
	}
}

// Reads of IAM and STS go on record where reads do: once each, and not when
// they fail. GetCallerIdentity asks for no permission and leaves none.
func TestReadsAreOnRecord(t *testing.T) {
	for mode, recorded := range map[audit.Mode]int{audit.Changes: 0, audit.All: 1, audit.Strict: 1} {
		t.Run(string(mode), func(t *testing.T) {
			w := start(t, func(c *audit.Config) { c.Mode = mode })
			ctx := t.Context()
			c := iam.NewFromConfig(w.admin(accountA))
			must(c.ListUsers(ctx, &iam.ListUsersInput{}))(t)
			must(c.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("administrator")}))(t)
			_, err := c.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("nobody")})
			wantError(t, err, "NoSuchEntity", "")
			must(sts.NewFromConfig(w.admin(accountA)).GetSessionToken(ctx, &sts.GetSessionTokenInput{}))(t)
			must(whoami(t, w.admin(accountA)))(t)
			found := map[string]int{}
			for _, f := range must(filepath.Glob(filepath.Join(w.audit, "*")))(t) {
				for l := range strings.Lines(string(must(os.ReadFile(f))(t))) {
					var r audit.Record
					if err := json.Unmarshal([]byte(l), &r); err != nil {
						t.Fatal(err)
					}
					if r.Decision != audit.Allowed || r.Principal == "" || r.Source == "" || r.RequestID == "" {
						t.Errorf("%s", l)
					}
					found[r.Action]++
				}
			}
			for action, want := range map[string]int{"iam:ListUsers": recorded, "iam:GetUser": recorded, "sts:GetSessionToken": recorded, "sts:GetCallerIdentity": 0} {
				t.Run(action, func(t *testing.T) {
					if found[action] != want {
						t.Errorf("%d records of %s, want %d", found[action], action, want)
					}
				})
			}
		})
	}
}
