package deploy_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/kontor-registry/kontor/internal/deploy"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/kontortest"
)

// TestRole deploys to two accounts through a role in each, and says what is
// missing when the role trusts no one or may not do enough.
func TestRole(t *testing.T) {
	const rights = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}`
	for _, o := range []kontortest.Options{{Account: "111111111111", Region: "us-east-2"}, {Account: "222222222222", Region: "eu-west-1"}} {
		t.Run(o.Account, func(t *testing.T) {
			reg := kontortest.Start(t, o)
			users := iam.New(iam.Options{
				Region: reg.Region, BaseEndpoint: &reg.URL,
				Credentials: credentials.NewStaticCredentialsProvider(reg.Admin.AccessKeyID, reg.Admin.SecretAccessKey, ""),
			})
			role := func(name, trusted, policy string) string {
				t.Helper()
				trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + trusted + `"},"Action":"sts:AssumeRole"}]}`
				out, err := users.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
				if err != nil {
					t.Fatal(err)
				}
				if policy != "" {
					must[*iam.PutRolePolicyOutput](t)(users.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("p"), PolicyDocument: &policy}))
				}
				return aws.ToString(out.Role.Arn)
			}
			to := func(arn string) (*deploy.Conn, error) {
				c := target(reg)
				c.RoleARN = arn
				return deploy.Connect(t.Context(), deploy.ConnectConfig{Target: c, AccessKeyID: reg.Admin.AccessKeyID, SecretAccessKey: reg.Admin.SecretAccessKey})
			}
			conn, err := to(role("deployer", reg.Account, rights))
			if err != nil {
				t.Fatal(err)
			}
			if want := "arn:aws:sts::" + reg.Account + ":assumed-role/deployer/kontor"; conn.Caller != want {
				t.Errorf("caller %s, want %s", conn.Caller, want)
			}
			d := wanted(repo("api", policyA, rulesA))
			deployAll(t, conn, d)
			check(t, conn, d)

			closed := role("closed", "999999999999", rights)
			_, err = to(closed)
			contains(t, err, "registry test: assuming "+closed, `add {"Effect":"Allow","Action":"sts:AssumeRole","Resource":"`+closed+`"}`, "the role's trust policy")

			conn, err = to(role("reader", reg.Account, strings.ReplaceAll(rights, "ecr:*", "ecr:Describe*")))
			if err != nil {
				t.Fatal(err)
			}
			_, err = deploy.Observe(t.Context(), conn.API, conn.Target, deploy.ScopeOf(d))
			contains(t, err, `"Action":"ecr:ListTagsForResource","Resource":"`+conn.Target.Registry.RepositoryARN(kecr.RepositoryName("api"))+`"`)
		})
	}
}
