package clients

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Three accounts, the repositories of one, and people in each. Carl may do
// everything with ECR as far as his own account is concerned: what he cannot
// do, the owner's side denies.
const (
	owner, accountB, accountC = "111111111111", "222222222222", "333333333333"

	accountsFile = `
stack: rights
registries:
  - {name: owner, account: "111111111111", region: us-east-1}
  - {name: b,     account: "222222222222", region: us-east-1}
  - {name: c,     account: "333333333333", region: us-east-1}
ecr_repositories:
  closed: {registries: [owner]}
  shared:
    registries: [owner]
    additional_pull_account_ids: ["222222222222"]
    additional_push_account_ids: ["333333333333"]
`
	peopleFile = `
identities:
  - account: "111111111111"
    users:
      - name: olga
        policies: [AmazonEC2ContainerRegistryPowerUser]
        access_keys: [{id: AKIAOLGA00000000TEST, secret: olga-s-long-secret}]
  - account: "333333333333"
    users:
      - name: carl
        policies: [AmazonEC2ContainerRegistryFullAccess]
        inline:
          assume: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "sts:AssumeRole", Resource: "arn:aws:iam::222222222222:role/puller"}]}
        access_keys: [{id: AKIACARL00000000TEST, secret: carl-s-long-secret}]
  - account: "222222222222"
    users:
      - name: bea
        policies: [AmazonEC2ContainerRegistryPullOnly]
        access_keys: [{id: AKIABEA000000000TEST, secret: bea-s-long-secret}]
    roles:
      - name: puller
        policies: [AmazonEC2ContainerRegistryPullOnly]
        trust: {Version: "2012-10-17", Statement: [{Effect: Allow, Principal: {AWS: "arn:aws:iam::333333333333:user/carl"}, Action: "sts:AssumeRole"}]}
`
	pullOnly = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"
)

// trial is a server with the three accounts.
type trial struct {
	*kontor
	olga, carl, bea *person
}

func accounts(t *testing.T) *trial {
	t.Helper()
	identities := filepath.Join(t.TempDir(), "people.yaml")
	if err := os.WriteFile(identities, []byte(peopleFile), 0o600); err != nil {
		t.Fatal(err)
	}
	k := upWith(t, ecrMode, accountsFile, "--identities", identities)
	if err := json.Unmarshal(k.ok(kontorBin, "env", "--data", k.data, "--target", "owner", "--format", "json"), &k.env); err != nil {
		t.Fatal(err)
	}
	k.host = k.env["KONTOR_REGISTRY"]
	w := &trial{kontor: k}
	w.olga = w.person("arn:aws:iam::"+owner+":user/olga", "AKIAOLGA00000000TEST", "olga-s-long-secret", "")
	w.carl = w.person("arn:aws:iam::"+accountC+":user/carl", "AKIACARL00000000TEST", "carl-s-long-secret", "")
	w.bea = w.person("arn:aws:iam::"+accountB+":user/bea", "AKIABEA000000000TEST", "bea-s-long-secret", "")
	return w
}

// admin runs the AWS CLI as the administrator of the account that is the
// target's.
func (w *trial) admin(target string, args ...string) {
	w.t.Helper()
	w.adminGets(nil, target, args...)
}

// adminGets is admin, and decodes what the CLI prints into v.
func (w *trial) adminGets(v any, target string, args ...string) {
	w.t.Helper()
	k := *w.kontor
	k.env = nil
	if err := json.Unmarshal(w.ok(kontorBin, "env", "--data", w.data, "--target", target, "--format", "json"), &k.env); err != nil {
		w.t.Fatal(err)
	}
	k.aws(v, args...)
}

// person is someone with credentials, and with a home that has a docker login
// at the owner's registry.
type person struct {
	*kontor
	trial *trial
	arn   string
	token string // the docker password, as of the last login
}

// person logs in to docker.
func (w *trial) person(arn, id, secret, session string) *person {
	w.t.Helper()
	p := w.stranger(arn, id, secret, session)
	p.login()
	return p
}

// stranger is a person without a docker login.
func (w *trial) stranger(arn, id, secret, session string) *person {
	k := *w.kontor
	k.home = w.t.TempDir()
	k.env = map[string]string{
		"AWS_ENDPOINT_URL": w.env["AWS_ENDPOINT_URL"], "AWS_REGION": w.env["AWS_REGION"], "AWS_DEFAULT_REGION": w.env["AWS_REGION"],
		"AWS_ACCESS_KEY_ID": id, "AWS_SECRET_ACCESS_KEY": secret,
	}
	if session != "" {
		k.env["AWS_SESSION_TOKEN"] = session
	}
	return &person{kontor: &k, trial: w, arn: arn}
}

func (p *person) login() {
	p.t.Helper()
	p.token = p.adminPassword() // by the person's own credentials
	config, err := json.Marshal(map[string]any{"auths": map[string]any{
		p.host: map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("AWS:" + p.token))},
	}})
	if err != nil {
		p.t.Fatal(err)
	}
	dir := filepath.Join(p.home, ".docker")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// role assumes a role by the AWS CLI.
func (p *person) role(account, name string) *person {
	p.t.Helper()
	var got struct {
		AssumedRoleUser struct{ Arn string }
		Credentials     struct{ AccessKeyId, SecretAccessKey, SessionToken string }
	}
	p.aws(&got, "sts", "assume-role", "--role-arn", "arn:aws:iam::"+account+":role/"+name, "--role-session-name", "night")
	if want := "arn:aws:sts::" + account + ":assumed-role/" + name + "/night"; got.AssumedRoleUser.Arn != want {
		p.t.Fatalf("assume-role says %s, not %s", got.AssumedRoleUser.Arn, want)
	}
	c := got.Credentials
	return p.trial.person(got.AssumedRoleUser.Arn, c.AccessKeyId, c.SecretAccessKey, c.SessionToken)
}

// foretold makes sure that `kontor access check` says of the person what has
// just happened: outcome is one of the words, and the exit code is 0 only when
// it is allowed.
func (p *person) foretold(right, repository string, outcomes ...string) {
	p.t.Helper()
	k := *p.kontor // in a folder without a file: the registry of the data folder
	k.home = p.t.TempDir()
	stdout, stderr, err := k.run(kontorBin, "access", "check", p.arn, right, repository, "--json", "--data", p.data)
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		p.t.Fatal(err)
	}
	var got struct{ Outcome string }
	if err := json.Unmarshal(stdout, &got); err != nil {
		p.t.Fatalf("access check %s %s %s: exit code %d: %v\n%s%s", p.arn, right, repository, code, err, stdout, stderr)
	}
	if !slices.Contains(outcomes, got.Outcome) || (code == 0) != (got.Outcome == "allowed") {
		p.t.Fatalf("access check %s %s %s says %s, exit code %d; what happened is %s\n%s", p.arn, right, repository, got.Outcome, code, strings.Join(outcomes, " or "), stdout)
	}
}

// pulls makes sure that the person pulls the image, by every road.
func (p *person) pulls(image string) {
	p.t.Helper()
	p.ok(skopeoBin, "copy", "--src-tls-verify=false", "docker://"+p.host+"/"+image, "oci:"+filepath.Join(p.t.TempDir(), "pulled")+":it")
	p.ok(craneBin, "pull", "--insecure", p.host+"/"+image, filepath.Join(p.t.TempDir(), "pulled.tar"))
	repository, tag, _ := strings.Cut(image, ":")
	var got struct {
		Images []struct{ ImageManifest string }
	}
	p.aws(&got, "ecr", "batch-get-image", "--registry-id", owner, "--repository-name", repository, "--image-ids", "imageTag="+tag)
	if len(got.Images) != 1 || got.Images[0].ImageManifest == "" {
		p.t.Fatalf("batch-get-image of %s: %+v", image, got)
	}
	p.foretold("pull", repository, "allowed")
}

// denied is ECR's text for p.
func (p *person) denied(action, repository, why string) string {
	return "User: " + p.arn + " is not authorized to perform: ecr:" + action +
		" on resource: arn:aws:ecr:us-east-1:" + owner + ":repository/" + repository + " " + why
}

// Why someone is denied, in ECR's words.
func lacks(kind, action string) string {
	return "because no " + kind + " policy allows the ecr:" + action + " action"
}

const registryDenies = "with an explicit deny in a resource-based policy"

// cannotPull makes sure that the person is denied the image, by every road and
// for that reason. The docker login is of a time when it was not.
func (p *person) cannotPull(image, why string) {
	p.t.Helper()
	repository, tag, _ := strings.Cut(image, ":")
	text := p.denied("BatchGetImage", repository, why)
	p.fails([]string{text}, skopeoBin, "copy", "--src-tls-verify=false", "docker://"+p.host+"/"+image, "oci:"+filepath.Join(p.t.TempDir(), "pulled")+":it")
	p.fails([]string{"DENIED: " + text}, craneBin, "pull", "--insecure", p.host+"/"+image, filepath.Join(p.t.TempDir(), "pulled.tar"))
	p.refused("/v2/"+repository+"/manifests/"+tag, http.StatusForbidden)
	p.fails([]string{"(AccessDeniedException)", text}, awsBin,
		p.awsArgs([]string{"ecr", "batch-get-image", "--registry-id", owner, "--repository-name", repository, "--image-ids", "imageTag=" + tag})...)
	p.foretold("pull", repository, "denied", "partly") // partly: layers, whose names no one learns
}

// refused makes sure of the status on the docker path, and of what ECR says
// with it: 401 for a password that is none, 403 for one that is not enough.
func (p *person) refused(path string, status int) {
	p.t.Helper()
	want := "Not Authorized\n"
	if status == http.StatusForbidden {
		want = `{"errors":[{"code":"DENIED","message":"User: ` + p.arn + " is not authorized"
	}
	if got := p.do(http.MethodGet, path, p.token, nil, ""); got.status != status || !strings.HasPrefix(string(got.body), want) {
		p.t.Fatalf("GET %s as %s: %d, %q; want %d, %q", path, p.arn, got.status, got.body, status, want)
	}
}

// push is skopeo's command for the small image.
func (p *person) push(image string) []string {
	return []string{"copy", "--dest-tls-verify=false", "oci:" + p.otherImage(), "docker://" + p.host + "/" + image}
}

func (p *person) pushes(image string) {
	p.t.Helper()
	p.ok(skopeoBin, p.push(image)...)
	repository, _, _ := strings.Cut(image, ":")
	p.foretold("push", repository, "allowed")
}

// cannotPush makes sure that the person is denied what the push begins with,
// on both roads.
func (p *person) cannotPush(image, why string) {
	p.t.Helper()
	repository, _, _ := strings.Cut(image, ":")
	text := p.denied("InitiateLayerUpload", repository, why)
	// crane asks by HEAD first where it may not even do that, and has no text then
	p.fails(nil, craneBin, "push", "--insecure", strings.TrimSuffix(p.otherImage(), ":other"), p.host+"/"+image)
	got := p.do(http.MethodPost, "/v2/"+repository+"/blobs/uploads/", p.token, nil, "")
	if got.status != http.StatusForbidden || !strings.Contains(string(got.body), text) {
		p.t.Fatalf("POST of an upload as %s: %d, %s; want 403 with %q", p.arn, got.status, got.body, text)
	}
	p.fails([]string{"(AccessDeniedException)", text}, awsBin,
		p.awsArgs([]string{"ecr", "initiate-layer-upload", "--registry-id", owner, "--repository-name", repository})...)
	p.foretold("push", repository, "denied", "partly")
}
