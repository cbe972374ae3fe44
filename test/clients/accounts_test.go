package clients

import (
	"encoding/json"
	"strings"
	"testing"
)

// Three accounts, each with its own registry on one server. What
// additional_pull_account_ids and additional_push_account_ids grant is what
// another account's users can do, and nothing else.
func TestAccountsOnTheDockerPath(t *testing.T) {
	for _, m := range modes {
		t.Run(m.compat, func(t *testing.T) {
			t.Parallel()
			accountsOnTheDockerPath(t, m)
		})
	}
}

func accountsOnTheDockerPath(t *testing.T, m mode) {
	k := upWith(t, m, `
stack: accounts
registries:
  - {name: owner,  account: "111111111111", region: us-east-1}
  - {name: puller, account: "333333333333", region: us-east-1}
  - {name: pusher, account: "444444444444", region: us-east-1}
ecr_repositories:
  closed: {}
  shared:
    additional_pull_account_ids: ["333333333333"]
    additional_push_account_ids: ["444444444444"]
`)
	password := func(target string) string {
		return strings.TrimSpace(string(k.ok(kontorBin, "login", "--data", k.data, "--target", target, "--print-password")))
	}
	var env map[string]string
	if err := json.Unmarshal(k.ok(kontorBin, "env", "--data", k.data, "--target", "owner", "--format", "json"), &env); err != nil {
		t.Fatal(err)
	}
	host := env["KONTOR_REGISTRY"]
	image := "oci:" + k.otherImage()
	push := func(as, to string) []string {
		return []string{"copy", "--dest-tls-verify=false", "--dest-creds", "AWS:" + password(as), image, "docker://" + host + "/" + to}
	}
	inspect := func(as, of string) []string {
		return []string{"inspect", "--raw", "--tls-verify=false", "--creds", "AWS:" + password(as), "docker://" + host + "/" + of}
	}
	k.ok(skopeoBin, push("owner", "shared:v1")...)
	k.ok(skopeoBin, push("owner", "closed:v1")...)

	k.ok(skopeoBin, inspect("puller", "shared:v1")...)
	denied := func(action, repository string) []string {
		return []string{"not authorized to perform: ecr:" + action + " on resource: arn:aws:ecr:us-east-1:111111111111:repository/" + repository +
			" because no resource-based policy allows the ecr:" + action + " action"}
	}
	k.fails(denied("BatchGetImage", "closed"), skopeoBin, inspect("puller", "closed:v1")...)
	k.fails(denied("PutImage", "shared"), skopeoBin, push("puller", "shared:v2")...)

	k.ok(skopeoBin, push("pusher", "shared:v2")...)
	k.ok(skopeoBin, inspect("pusher", "shared:v2")...)
	k.again("shared", "v1", skopeoBin, push("pusher", "shared:v1")...)
	k.fails([]string{"403 (Forbidden)"}, skopeoBin, push("pusher", "closed:v2")...)
	// Pushing is not deleting, and not for ever: the owner takes it back.
	k.fails([]string{"not authorized to perform: ecr:BatchDeleteImage"},
		skopeoBin, "delete", "--tls-verify=false", "--creds", "AWS:"+password("pusher"), "docker://"+host+"/shared:v2")
	for name, value := range env { // the owner's
		k.env[name] = value
	}
	k.aws(nil, "ecr", "delete-repository-policy", "--repository-name", "shared")
	k.fails(denied("BatchGetImage", "shared"), skopeoBin, inspect("puller", "shared:v1")...)
}
