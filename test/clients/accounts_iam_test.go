package clients

import (
	"os"
	"path/filepath"
	"testing"
)

// A user and a role by the AWS CLI: what they may, sessions, and the end of a
// key.
func TestIdentitiesByTheAWSCLI(t *testing.T) {
	t.Parallel()
	k := up(t)
	file := func(name, text string) string {
		path := filepath.Join(k.home, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return "file://" + path
	}
	denied := func(action string, args ...string) {
		t.Helper()
		k.fails([]string{"AccessDenied", "is not authorized to perform: " + action}, awsBin, k.awsArgs(args)...)
	}
	trust := file("trust.json", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"sts:AssumeRole"}]}`)
	look := file("look.json", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:DescribeRepositories","Resource":"*"}]}`)
	assume := file("assume.json", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::000000000000:role/looker"}]}`)

	var role struct{ Role struct{ Arn string } }
	k.aws(&role, "iam", "create-role", "--role-name", "looker", "--assume-role-policy-document", trust)
	k.aws(nil, "iam", "put-role-policy", "--role-name", "looker", "--policy-name", "look", "--policy-document", look)
	k.aws(nil, "iam", "create-user", "--user-name", "ann")
	k.aws(nil, "iam", "put-user-policy", "--user-name", "ann", "--policy-name", "assume", "--policy-document", assume)
	var inline struct {
		PolicyDocument struct{ Statement []struct{ Action string } }
	}
	k.aws(&inline, "iam", "get-user-policy", "--user-name", "ann", "--policy-name", "assume")
	if s := inline.PolicyDocument.Statement; len(s) != 1 || s[0].Action != "sts:AssumeRole" {
		t.Errorf("get-user-policy says %+v", inline)
	}
	var simulated struct {
		EvaluationResults []struct{ EvalDecision string }
	}
	k.aws(&simulated, "iam", "simulate-principal-policy", "--policy-source-arn", role.Role.Arn, "--action-names", "ecr:DescribeRepositories", "ecr:PutImage")
	if r := simulated.EvaluationResults; len(r) != 2 || r[0].EvalDecision != "allowed" || r[1].EvalDecision != "implicitDeny" {
		t.Errorf("simulate-principal-policy says %+v", r)
	}
	var key struct {
		AccessKey struct{ AccessKeyId, SecretAccessKey string }
	}
	k.aws(&key, "iam", "create-access-key", "--user-name", "ann")

	admin := map[string]string{}
	as := func(id, secret, token string) {
		for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": id, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token} {
			if _, kept := admin[name]; !kept {
				admin[name] = k.env[name]
			}
			k.env[name] = value
		}
	}
	as(key.AccessKey.AccessKeyId, key.AccessKey.SecretAccessKey, "")
	denied("ecr:DescribeRepositories", "ecr", "describe-repositories")
	denied("iam:ListUsers", "iam", "list-users")
	var session struct {
		Credentials struct{ AccessKeyId, SecretAccessKey, SessionToken string }
	}
	k.aws(&session, "sts", "assume-role", "--role-arn", role.Role.Arn, "--role-session-name", "work")
	as(session.Credentials.AccessKeyId, session.Credentials.SecretAccessKey, session.Credentials.SessionToken)
	var who struct{ Arn string }
	k.aws(&who, "sts", "get-caller-identity")
	if who.Arn != "arn:aws:sts::000000000000:assumed-role/looker/work" {
		t.Errorf("get-caller-identity says %s", who.Arn)
	}
	k.aws(nil, "ecr", "describe-repositories")
	denied("ecr:CreateRepository", "ecr", "create-repository", "--repository-name", "team/app")

	as(admin["AWS_ACCESS_KEY_ID"], admin["AWS_SECRET_ACCESS_KEY"], "")
	k.aws(nil, "iam", "update-access-key", "--user-name", "ann", "--access-key-id", key.AccessKey.AccessKeyId, "--status", "Inactive")
	as(key.AccessKey.AccessKeyId, key.AccessKey.SecretAccessKey, "")
	k.fails([]string{"InvalidClientTokenId"}, awsBin, k.awsArgs([]string{"sts", "get-caller-identity"})...)
}
