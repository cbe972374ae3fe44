package clients

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// What accounts grant each other, and that `kontor access check` says so.
func TestRightsOfAccounts(t *testing.T) {
	t.Parallel()
	w := accounts(t)
	w.olga.pushes("shared:v1")
	w.olga.pushes("closed:v1")
	w.olga.pulls("closed:v1")

	// Both sides are needed: the owner's for the account, and the user's own.
	w.bea.pulls("shared:v1")
	w.bea.cannotPull("closed:v1", lacks("resource-based", "BatchGetImage"))
	w.admin("b", "iam", "detach-user-policy", "--user-name", "bea", "--policy-arn", pullOnly)
	w.bea.cannotPull("shared:v1", lacks("identity-based", "BatchGetImage"))
	w.bea.fails([]string{"User: " + w.bea.arn + " is not authorized to perform: ecr:GetAuthorizationToken on resource: * " +
		lacks("identity-based", "GetAuthorizationToken")}, awsBin, w.bea.awsArgs([]string{"ecr", "get-login-password"})...)

	// Whatever the user's own account allows, the repository lets B pull only.
	w.admin("b", "iam", "attach-user-policy", "--user-name", "bea", "--policy-arn", "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryFullAccess")
	w.bea.pulls("shared:v1")
	w.bea.cannotPush("shared:v2", lacks("resource-based", "InitiateLayerUpload"))

	// C pushes and pulls, but deletes nothing, overwrites nothing and sets no
	// policy.
	w.carl.pushes("shared:v2")
	w.carl.pulls("shared:v2")
	w.carl.cannotPush("closed:v2", lacks("resource-based", "InitiateLayerUpload"))
	w.carl.fails([]string{tagExists("shared", "v1")}, skopeoBin, w.carl.push("shared:v1")...)
	w.carl.foretold("push", "shared", "allowed")
	text := w.carl.denied("BatchDeleteImage", "shared", lacks("resource-based", "BatchDeleteImage"))
	w.carl.fails([]string{text}, skopeoBin, "delete", "--tls-verify=false", "docker://"+w.host+"/shared:v2")
	w.carl.fails([]string{text}, awsBin, w.carl.awsArgs([]string{"ecr", "batch-delete-image", "--registry-id", owner, "--repository-name", "shared", "--image-ids", "imageTag=v2"})...)
	w.carl.foretold("delete", "shared", "denied")
	w.carl.fails([]string{w.carl.denied("SetRepositoryPolicy", "shared", lacks("resource-based", "SetRepositoryPolicy"))}, awsBin,
		w.carl.awsArgs([]string{"ecr", "set-repository-policy", "--registry-id", owner, "--repository-name", "shared", "--policy-text",
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]}`})...)
	w.carl.fails([]string{w.carl.denied("PutLifecyclePolicy", "shared", lacks("resource-based", "PutLifecyclePolicy"))}, awsBin,
		w.carl.awsArgs([]string{"ecr", "put-lifecycle-policy", "--registry-id", owner, "--repository-name", "shared", "--lifecycle-policy-text", cliLifecycle})...)
	w.carl.foretold("admin", "shared", "denied")
	w.carl.foretold("ecr:SetRepositoryPolicy", "shared", "denied")
	w.olga.pulls("shared:v2") // nothing of that has happened
}

// A role of B, assumed by a user of C, and a registry policy that denies
// everybody.
func TestRightsOfRolesAndRegistries(t *testing.T) {
	t.Parallel()
	w := accounts(t)
	w.olga.pushes("shared:v1")
	night := w.carl.role(accountB, "puller")
	night.pulls("shared:v1")
	night.cannotPull("closed:v1", lacks("resource-based", "BatchGetImage"))
	night.cannotPush("shared:v2", lacks("identity-based", "InitiateLayerUpload"))
	// Bea is of the role's account, and not in its trust policy.
	w.bea.fails([]string{"(AccessDenied)", "User: " + w.bea.arn + " is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::" + accountB + ":role/puller"},
		awsBin, w.bea.awsArgs([]string{"sts", "assume-role", "--role-arn", "arn:aws:iam::" + accountB + ":role/puller", "--role-session-name", "night"})...)

	deny := filepath.Join(w.home, "deny.json")
	if err := os.WriteFile(deny, []byte(`{"Version":"2012-10-17","Statement":[{"Sid":"Closed","Effect":"Deny","Principal":"*","Action":"ecr:BatchGetImage","Resource":"arn:aws:ecr:us-east-1:111111111111:repository/shared"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	w.aws(nil, "ecr", "put-registry-policy", "--policy-text", "file://"+deny)
	for _, p := range []*person{w.olga, w.bea, w.carl, night} {
		p.cannotPull("shared:v1", registryDenies)
	}
	w.aws(nil, "ecr", "delete-registry-policy")
	for _, p := range []*person{w.olga, w.bea, w.carl, night} {
		p.pulls("shared:v1")
	}
}

// What is taken away is refused by the next request, with the docker password
// that worked for the last.
func TestRevocationAtOnce(t *testing.T) {
	t.Parallel()
	w := accounts(t)
	w.olga.pushes("shared:v1")
	w.olga.pushes("closed:v1")
	policy := filepath.Join(w.home, "policy.json")
	if err := os.WriteFile(policy, []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"`+w.bea.arn+`"},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	name := []string{"ecr", "set-repository-policy", "--repository-name", "closed", "--policy-text", "file://" + policy}
	w.aws(nil, name...)
	w.bea.pulls("closed:v1")
	image := "/v2/shared/manifests/v1"
	night := w.carl.role(accountB, "puller")

	for _, c := range []struct {
		name   string
		who    *person
		revoke [][]string // by aws iam
		back   []string   // restores it; none when it cannot be
		status int        // on the docker path
		check  string     // what `kontor access check` says of the principal
	}{
		{"an access key", w.bea,
			[][]string{{"update-access-key", "--user-name", "bea", "--access-key-id", "AKIABEA000000000TEST", "--status", "Inactive"}},
			[]string{"update-access-key", "--user-name", "bea", "--access-key-id", "AKIABEA000000000TEST", "--status", "Active"},
			http.StatusUnauthorized, "allowed"}, // bea may, with another key
		{"a policy of a role", night,
			[][]string{{"detach-role-policy", "--role-name", "puller", "--policy-arn", pullOnly}},
			[]string{"attach-role-policy", "--role-name", "puller", "--policy-arn", pullOnly},
			http.StatusForbidden, "denied"},
		// IAM deletes only what nothing hangs on.
		{"a role", night, [][]string{
			{"detach-role-policy", "--role-name", "puller", "--policy-arn", pullOnly},
			{"delete-role", "--role-name", "puller"},
		}, nil, http.StatusUnauthorized, "denied"},
		{"a user", w.bea, [][]string{
			{"delete-access-key", "--user-name", "bea", "--access-key-id", "AKIABEA000000000TEST"},
			{"detach-user-policy", "--user-name", "bea", "--policy-arn", pullOnly},
			{"delete-user", "--user-name", "bea"},
		}, nil, http.StatusUnauthorized, "denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.who.t = t
			c.who.pulls("shared:v1")
			for _, args := range c.revoke {
				w.admin("b", append([]string{"iam"}, args...)...)
			}
			c.who.refused(image, c.status)
			c.who.fails(nil, craneBin, "manifest", "--insecure", w.host+"/shared:v1")
			if whoami := []string{"sts", "get-caller-identity"}; c.status == http.StatusUnauthorized {
				c.who.fails([]string{"(InvalidClientTokenId)"}, awsBin, c.who.awsArgs(whoami)...)
			} else {
				c.who.aws(nil, whoami...) // the session lives, and may nothing
			}
			c.who.foretold("pull", "shared", c.check)
			if c.back != nil {
				w.admin("b", append([]string{"iam"}, c.back...)...)
				c.who.pulls("shared:v1")
			}
		})
	}
	// Who comes back under a name is someone else.
	w.admin("b", "iam", "create-user", "--user-name", "bea")
	w.admin("b", "iam", "attach-user-policy", "--user-name", "bea", "--policy-arn", pullOnly)
	w.bea.t = t
	w.bea.refused(image, http.StatusUnauthorized)
	var key struct {
		AccessKey struct{ AccessKeyId, SecretAccessKey string }
	}
	w.adminGets(&key, "b", "iam", "create-access-key", "--user-name", "bea")
	bea := w.person(w.bea.arn, key.AccessKey.AccessKeyId, key.AccessKey.SecretAccessKey, "")
	bea.pulls("shared:v1") // that is for her account
	bea.cannotPull("closed:v1", lacks("resource-based", "BatchGetImage"))
	w.aws(nil, name...)
	bea.pulls("closed:v1")
}
