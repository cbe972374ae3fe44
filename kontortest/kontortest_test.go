package kontortest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/testkit/push"
	"github.com/kontor-registry/kontor/kontortest"
	"github.com/kontor-registry/kontor/kontortest/awstest"
)

func ExampleStart() {
	_ = func(t *testing.T) {
		registry := kontortest.Start(t)
		registry.CreateRepository(t, "team/app")

		// Give the code under test what it needs to push and pull ...
		fmt.Println(registry.URI("team/app"), "AWS", registry.Password(t))
		// ... and see what it does half a year later.
		registry.Advance(180 * 24 * time.Hour)
	}
}

// status is the answer to the pusher's request.
func status(t *testing.T, r *kontortest.Registry, password, method, path string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("AWS", password)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

func names(t *testing.T, r *kontortest.Registry) []string {
	t.Helper()
	out, err := awstest.ECR(r).DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{})
	if err != nil {
		t.Fatal(err)
	}
	all := []string{}
	for _, r := range out.Repositories {
		all = append(all, aws.ToString(r.RepositoryUri))
	}
	return all
}

func TestTwoAtOnce(t *testing.T) {
	a, b := kontortest.Start(t), kontortest.Start(t, kontortest.Options{Account: "111111111111", Region: "cn-north-1"})
	a.CreateRepository(t, "only/a")
	if d := cmp.Diff([]string{a.URI("only/a")}, names(t, a)); d != "" {
		t.Errorf("a (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{}, names(t, b)); d != "" {
		t.Errorf("b (-want +got):\n%s", d)
	}
	if a.Account != "000000000000" || a.Region != "us-east-1" || b.Account != "111111111111" || b.Region != "cn-north-1" {
		t.Errorf("a is %s %s, b %s %s", a.Account, a.Region, b.Account, b.Region)
	}
	if a.Admin == b.Admin || a.Admin == a.Pusher {
		t.Error("users share a key")
	}
	if got := status(t, b, a.Password(t), "GET", "/v2/"); got != http.StatusUnauthorized {
		t.Errorf("a's password at b: %d", got)
	}
	if got := status(t, b, b.Password(t), "GET", "/v2/"); got != http.StatusOK {
		t.Errorf("b's password at b: %d", got)
	}
}

func TestDirKeepsTheData(t *testing.T) {
	dir := t.TempDir()
	first := kontortest.Start(t, kontortest.Options{Dir: dir})
	first.CreateRepository(t, "kept")
	password := first.Password(t)
	if message := fails(t, kontortest.Options{Dir: dir}); !strings.Contains(message, "another kontor server runs on this folder") {
		t.Errorf("a second Start on the folder: %s", message)
	}
	first.Stop()
	first.Stop()
	if c, err := net.Dial("tcp", first.Host); err == nil {
		t.Errorf("it serves after Stop (%v)", c.Close())
	}
	second := kontortest.Start(t, kontortest.Options{Dir: dir})
	if d := cmp.Diff([]string{second.URI("kept")}, names(t, second)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if second.Admin != first.Admin || second.Pusher != first.Pusher || status(t, second, password, "GET", "/v2/kept/tags/list") != http.StatusOK {
		t.Error("keys and passwords did not stay")
	}
}

func TestCompat(t *testing.T) {
	for compat, want := range map[string]int{"": 405, "ecr": 405, "oci": 200} {
		t.Run("compat "+compat, func(t *testing.T) { // ECR: n is 1000 at most
			r := kontortest.Start(t, kontortest.Options{Compat: compat})
			r.CreateRepository(t, "app")
			if got := status(t, r, r.Password(t), "GET", "/v2/app/tags/list?n=1001"); got != want {
				t.Errorf("compat %q: %d, want %d", compat, got, want)
			}
		})
	}
}

func TestLog(t *testing.T) {
	var log bytes.Buffer
	r := kontortest.Start(t, kontortest.Options{Log: &log})
	status(t, r, r.Password(t), "GET", "/v2/nowhere/tags/list")
	r.Stop() // and nothing writes now
	if !strings.Contains(log.String(), "path=/v2/nowhere/tags/list status=404") {
		t.Errorf("log:\n%s", &log)
	}
}

// The image clock moves push times; signatures and passwords keep real time.
func TestAdvance(t *testing.T) {
	r := kontortest.Start(t)
	r.CreateRepository(t, "app")
	client, password := awstest.ECR(r), r.Password(t)
	pushedAt := func(layer string) time.Time {
		t.Helper()
		digest := push.To(t, client, "app").Image(layer, "", layer)
		out, err := client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{
			RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{{ImageDigest: aws.String(digest)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return aws.ToTime(out.ImageDetails[0].ImagePushedAt)
	}
	before := pushedAt("one")
	const far = 100 * 24 * time.Hour
	now := r.Now()
	r.Advance(far)
	if moved := r.Now().Sub(now); moved < far {
		t.Errorf("the clock moved by %s", moved)
	}
	if moved := pushedAt("two").Sub(before); moved < far { // and the old client's signatures are fine
		t.Errorf("push times are %s apart", moved)
	}
	for name, p := range map[string]string{"old": password, "new": r.Password(t)} {
		t.Run(name, func(t *testing.T) {
			if got := status(t, r, p, "GET", "/v2/app/tags/list"); got != http.StatusOK {
				t.Errorf("%s password: %d", name, got)
			}
		})
	}
	out, err := client.GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	if at := aws.ToTime(out.AuthorizationData[0].ExpiresAt); at.After(time.Now().Add(13 * time.Hour)) {
		t.Errorf("a token expires at %s", at)
	}
}

func TestDockerConfig(t *testing.T) {
	r := kontortest.Start(t)
	dir := r.DockerConfig(t)
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Auths map[string]struct{ Auth string }
	}
	if err := json.Unmarshal(b, &config); err != nil {
		t.Fatal(err)
	}
	auth, err := base64.StdEncoding.DecodeString(config.Auths[r.Host].Auth)
	user, password, _ := strings.Cut(string(auth), ":")
	if err != nil || user != "AWS" || status(t, r, password, "GET", "/v2/") != http.StatusOK {
		t.Errorf("config.json: %s (%v)", b, err)
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		options kontortest.Options
		want    string
	}{
		{kontortest.Options{Account: "12"}, `kontortest: account id "12": want exactly 12 digits`},
		{kontortest.Options{Region: "US"}, `kontortest: region "US": want 2 to 25 lower-case letters, digits and '-', such as us-east-1`},
		{kontortest.Options{Compat: "docker"}, `kontortest: compat "docker": want ecr or oci`},
		{kontortest.Options{Dir: file}, "kontortest: data folder " + file + " is not a folder"},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			if got := fails(t, tt.options); !strings.HasPrefix(got, tt.want) {
				t.Errorf("%+v: %s, want %s", tt.options, got, tt.want)
			}
		})
	}
	if got := fails(t, kontortest.Options{}, kontortest.Options{}); got != "kontortest: give one Options at most" {
		t.Errorf("two Options: %s", got)
	}
	r := kontortest.Start(t)
	got := failure(t, func(t testing.TB) { r.CreateRepository(t, "Upper") })
	if !strings.HasPrefix(got, `kontortest: repository "Upper": `) {
		t.Errorf("CreateRepository: %s", got)
	}
	r.CreateRepository(t, "there")
	if got := failure(t, func(t testing.TB) { r.CreateRepository(t, "there") }); !strings.Contains(got, "already exists") {
		t.Errorf("CreateRepository: %s", got)
	}
}

// observed is a test whose end by Fatal is noted.
type observed struct {
	testing.TB
	message string
}

func (o *observed) Helper() {}

func (o *observed) Fatal(args ...any) {
	o.message = fmt.Sprint(args...)
	runtime.Goexit()
}

func (o *observed) Fatalf(format string, args ...any) { o.Fatal(fmt.Sprintf(format, args...)) }

// failure is what f ended its test with.
func failure(t *testing.T, f func(testing.TB)) string {
	t.Helper()
	o := &observed{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(o)
	}()
	<-done
	if o.message == "" {
		t.Error("it did not fail")
	}
	return o.message
}

func fails(t *testing.T, opts ...kontortest.Options) string {
	t.Helper()
	return failure(t, func(t testing.TB) { kontortest.Start(t, opts...) })
}
