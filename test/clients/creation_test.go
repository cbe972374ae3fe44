package clients

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/kontor-registry/kontor/test/dockerd"
)

// admin is the ECR API as the administrator calls it.
func (k *kontor) admin() *ecr.Client {
	k.t.Helper()
	var env map[string]string
	if err := json.Unmarshal(k.ok(kontorBin, "env", "--data", k.data, "--user", "administrator", "--format", "json"), &env); err != nil {
		k.t.Fatal(err)
	}
	return ecr.New(ecr.Options{
		Region: env["AWS_REGION"], BaseEndpoint: aws.String(env["AWS_ENDPOINT_URL"]),
		Credentials: credentials.NewStaticCredentialsProvider(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], ""),
	})
}

// Each client pushes to a repository that does not exist, which a template creates.
func TestCreateOnPush(t *testing.T) {
	inBothModes(t, func(t *testing.T, k *kontor) {
		image, _ := layout(t)
		source := "oci:" + imageDir + ":" + image.Annotations[refName]
		to := "docker://" + k.host + "/new/"
		k.fails([]string{"does not exist"}, skopeoBin, "copy", "--all", "--dest-tls-verify=false", source, to+"skopeo:v1")
		_, err := k.admin().CreateRepositoryCreationTemplate(t.Context(), &ecr.CreateRepositoryCreationTemplateInput{
			Prefix: aws.String("new"), AppliedFor: []types.RCTAppliedFor{types.RCTAppliedForCreateOnPush}, ImageTagMutability: types.ImageTagMutabilityImmutable,
		})
		if err != nil {
			t.Fatal(err)
		}
		k.push("new/skopeo", "v1")
		k.ok(craneBin, "copy", "--insecure", k.host+"/new/skopeo:v1", k.host+"/new/crane:v1")
		d := k.docker()
		d.builds(builders[0], k.host+"/new/docker:v1", "scratch", []byte("hello"))
		d.run("push", k.host+"/new/docker:v1")
		d.builds(builders[0], k.host+"/elsewhere:v1", "scratch", []byte("hello"))
		d.refuses("does not exist", "push", k.host+"/elsewhere:v1")

		out, err := k.admin().DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"new/crane", "new/docker", "new/skopeo"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range out.Repositories {
			if r.ImageTagMutability != types.ImageTagMutabilityImmutable {
				t.Errorf("%s is %s", *r.RepositoryName, r.ImageTagMutability)
			}
		}
	})
}

// docker, crane and skopeo log in with a machine token, until it is revoked.
func TestMachineToken(t *testing.T) {
	k := upWith(t, ecrMode, file, "--machine-credentials", "on")
	k.push("website", "v1")
	var made struct{ Password string }
	if err := json.Unmarshal(k.ok(kontorBin, "access", "token", "create", "ci", "--pull", "website", "--push", "test", "--data", k.data, "--json"), &made); err != nil {
		t.Fatal(err)
	}
	d := k.docker()
	d.run("logout", k.host)
	login := func(name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Env, cmd.Stdin = k.environ(), strings.NewReader(made.Password)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	login(dockerd.Docker, "login", "-u", "kontor", "--password-stdin", k.host)
	d.builds(builders[0], k.host+"/test:v1", "scratch", []byte("hello"))
	d.run("push", k.host+"/test:v1")
	d.run("pull", k.host+"/test:v1")
	d.run("tag", k.host+"/test:v1", k.host+"/website:v2")
	d.refuses("because the scope of the token ci does not allow", "push", k.host+"/website:v2")
	login(craneBin, "auth", "login", k.host, "-u", "pusher", "--password-stdin")
	if got := k.ok(craneBin, "ls", "--insecure", k.host+"/website"); !bytes.Contains(got, []byte("v1")) {
		t.Errorf("crane ls: %s", got)
	}
	k.ok(skopeoBin, "inspect", "--raw", "--tls-verify=false", "--creds", "kontor:"+made.Password, "docker://"+k.host+"/website:v1")
	k.ok(kontorBin, "access", "token", "revoke", "ci", "--data", k.data)
	d.refuses("", "pull", k.host+"/website:v1")
	k.fails(nil, craneBin, "ls", "--insecure", k.host+"/website")
}
